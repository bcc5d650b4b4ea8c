//! Reads plain text, and JSON objects and forms that have a text, a title or both. Apprise, Gotify and many
//! scripts send such payloads.

use serde_json::Value;

use crate::draft::{Draft, Tone};
use crate::incoming::Content;
use crate::{Shape, ShapeError, html, json, markdown};

/// The lowest `priority` (a member that Gotify sends) that gives an alert high importance.
const HIGH_PRIORITY: u64 = 8;

pub(crate) fn read(content: &Content) -> Result<Draft, ShapeError> {
    let shape = Shape::Plain;
    let value = match content {
        Content::Text(text) => {
            let mut draft = Draft::new(shape, "");
            draft.text(markdown::with_line_breaks(text));
            return Ok(draft);
        }
        Content::Bytes { .. } => return Err(ShapeError::Missing { shape, member: "text" }),
        Content::Json(value) => value,
    };
    let title = json::first(value, &["title", "subject"]).unwrap_or_default();
    let text = json::first(value, &["text", "message", "body"]);
    if text.is_none() && title.is_empty() {
        return Err(ShapeError::Missing { shape, member: "text" });
    }
    let mut draft = Draft::new(shape, title);
    if let Some(text) = text {
        // Apprise sends HTML or Markdown, and no member of the payload says which of the two. So the code
        // looks for tags.
        let text = if text.contains("<br") || text.contains("<p>") {
            html::to_markdown(text)
        } else {
            text.to_owned()
        };
        draft.text(markdown::with_line_breaks(&text));
    }
    draft.tone = tone(json::first(value, &["type", "severity", "level"]).unwrap_or_default());
    draft.importance_high = value["priority"].as_u64().is_some_and(|priority| priority >= HIGH_PRIORITY);
    let gotify_link = json::text(&value["extras"]["client::notification"]["click"], "url");
    if let Some(address) = json::first(value, &["url", "link", "click"]).or(gotify_link) {
        draft.link("Open", address);
    }
    for attachment in json::list(value, "attachments").iter().take(5) {
        leave_out_attachment(&mut draft, attachment);
    }
    Ok(draft)
}

/// Records that the card leaves out an attached file. Apprise sends attached files in base64 in the payload.
fn leave_out_attachment(draft: &mut Draft, attachment: &Value) {
    let name = json::first(attachment, &["filename", "name"]).unwrap_or("without a name");
    draft.leave_out(format!("file {name}"));
}

/// Returns the tone (the background colour of the title) for the name of a level, such as `critical`.
pub(crate) fn tone(level: &str) -> Tone {
    match level.to_ascii_lowercase().as_str() {
        "failure" | "failed" | "error" | "critical" | "fatal" | "danger" | "down" | "alert" => {
            Tone::Attention
        }
        "warning" | "warn" => Tone::Warning,
        "success" | "ok" | "good" | "up" => Tone::Good,
        "info" | "notice" => Tone::Accent,
        _ => Tone::Neutral,
    }
}
