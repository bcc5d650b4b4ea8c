//! Reads messages in Slack's format, with text, blocks and attachments.

use serde_json::Value;

use crate::draft::{Draft, Part, Tone};
use crate::incoming::Content;
use crate::message_card::tone_of_colour;
use crate::mrkdwn::to_markdown;
use crate::{Shape, ShapeError, html, json, time};

const MAX_BLOCKS: usize = 50;
const MAX_ATTACHMENTS: usize = 20;
/// The deepest level of nested elements that this module reads in a rich text. The rich text has level 0.
const MAX_LEVELS: usize = 6;

pub(crate) fn read(content: &Content) -> Result<Draft, ShapeError> {
    let value = match content {
        Content::Text(text) => {
            let mut draft = Draft::new(Shape::Slack, "");
            draft.text(to_markdown(text));
            return Ok(draft);
        }
        other => other.json(),
    };
    if !value.is_object() {
        return Err(ShapeError::Missing { shape: Shape::Slack, member: "text" });
    }
    let mut draft = Draft::new(Shape::Slack, "");
    let text = json::text(value, "text").map(to_markdown);
    draft.summary.clone_from(&text);
    // If a Slack message has blocks, Slack shows the member `text` only in notifications.
    let has_blocks = !json::list(value, "blocks").is_empty();
    if let Some(text) = text.filter(|_| !has_blocks) {
        draft.text(text);
    }
    blocks(&mut draft, json::list(value, "blocks"));
    let attachments = json::list(value, "attachments");
    for part in draft.first_of(attachments, MAX_ATTACHMENTS, "attachments") {
        attachment(&mut draft, part);
    }
    Ok(draft)
}

fn attachment(draft: &mut Draft, attachment: &Value) {
    let text = |member: &str| json::text(attachment, member).map(to_markdown);
    if draft.tone == Tone::Neutral {
        draft.tone = json::text(attachment, "color").map_or(Tone::Neutral, tone_of_colour);
    }
    for part in
        [text("pretext"), text("author_name").map(|author| format!("_{author}_"))].into_iter().flatten()
    {
        draft.text(part);
    }
    let title = text("title");
    let address = json::text(attachment, "title_link");
    if let Some(address) = address {
        draft.link("Open", address);
    }
    match title {
        // The first title becomes the title of the card.
        Some(title) if draft.title.is_empty() => draft.title = title,
        Some(title) => draft.push(Part::Heading(title)),
        None => {}
    }
    let has_text =
        ["text", "fields", "blocks", "title", "pretext"].iter().any(|name| !attachment[*name].is_null());
    if let Some(text) = text("text").or_else(|| text("fallback").filter(|_| !has_text)) {
        draft.text(text);
    }
    let fields = json::list(attachment, "fields").iter().filter_map(|field| {
        let title = json::shown(field, "title").map(|title| to_markdown(&title)).unwrap_or_default();
        Some((title, to_markdown(&json::shown(field, "value")?)))
    });
    draft.facts(fields.collect());
    blocks(draft, json::list(attachment, "blocks"));
    for address in ["image_url", "thumb_url"].iter().filter_map(|member| json::text(attachment, member)) {
        draft.image(address, json::text(attachment, "title").unwrap_or("Image"));
    }
    for action in draft.first_of(json::list(attachment, "actions"), MAX_BLOCKS, "buttons") {
        button(draft, action, json::text(action, "text").unwrap_or("Open"));
    }
    let seconds =
        attachment["ts"].as_i64().or_else(|| json::text(attachment, "ts")?.split('.').next()?.parse().ok());
    let footer = [text("footer"), seconds.and_then(time::of_seconds)];
    let footer: Vec<_> = footer.into_iter().flatten().collect();
    if !footer.is_empty() {
        draft.push(Part::Subtle(footer.join(" · ")));
    }
}

fn blocks(draft: &mut Draft, blocks: &[Value]) {
    for block in draft.first_of(blocks, MAX_BLOCKS, "blocks") {
        one_block(draft, block);
    }
}

fn one_block(draft: &mut Draft, block: &Value) {
    match json::text(block, "type").unwrap_or_default() {
        "header" => match text_of(&block["text"]) {
            Some(title) if draft.title.is_empty() => draft.title = title,
            Some(title) => draft.push(Part::Heading(title)),
            None => {}
        },
        "section" => {
            if let Some(text) = text_of(&block["text"]) {
                draft.text(text);
            }
            let fields: Vec<_> = json::list(block, "fields").iter().filter_map(text_of).map(fact).collect();
            draft.facts(fields);
            element(draft, &block["accessory"]);
        }
        "context" => {
            let elements = json::list(block, "elements");
            let elements = draft.first_of(elements, MAX_BLOCKS, "elements");
            let texts: Vec<_> = elements.iter().filter_map(text_of).collect();
            if !texts.is_empty() {
                draft.push(Part::Subtle(texts.join(" ")));
            }
        }
        "actions" => {
            for inner in draft.first_of(json::list(block, "elements"), MAX_BLOCKS, "buttons") {
                element(draft, inner);
            }
        }
        "image" => {
            let alternative = json::text(block, "alt_text").unwrap_or("Image");
            draft.image(json::text(block, "image_url").unwrap_or_default(), alternative);
        }
        "rich_text" => {
            let mut text = String::new();
            rich_text(block, 0, &mut text);
            draft.text(text);
        }
        "markdown" => draft.text(json::text(block, "text").unwrap_or_default()),
        "divider" => {}
        other => draft.leave_out(format!("block {other}")),
    }
}

/// Makes a fact (a row of the card) from a field of a section. If the first line of the field is bold, this
/// line is the name of the fact.
fn fact(text: String) -> (String, String) {
    match text.split_once('\n') {
        Some((name, value)) if name.starts_with("**") => {
            (name.trim().trim_matches('*').trim_end_matches(':').to_owned(), value.trim().to_owned())
        }
        _ => (String::new(), text),
    }
}

/// Adds a button or an image of a block. The card leaves out other elements.
fn element(draft: &mut Draft, element: &Value) {
    match json::text(element, "type").unwrap_or_default() {
        "button" => button(draft, element, json::text(&element["text"], "text").unwrap_or("Open")),
        "image" => {
            let alternative = json::text(element, "alt_text").unwrap_or("Image");
            draft.image(json::text(element, "image_url").unwrap_or_default(), alternative);
        }
        "" => {}
        other => draft.leave_out(format!("element {other}")),
    }
}

/// Keeps a button that has an address. The card leaves out a button without an address, because only Slack
/// can handle a press of this button.
fn button(draft: &mut Draft, button: &Value, title: &str) {
    match json::text(button, "url") {
        Some(address) => draft.link(title, &html::with_characters(address)),
        None => draft.leave_out(format!("button \"{title}\"")),
    }
}

/// Returns the text of a text object or of a plain string, as Markdown.
fn text_of(value: &Value) -> Option<String> {
    let text = value.as_str().or_else(|| json::text(value, "text"))?;
    match value["type"] == "plain_text" {
        true => Some(html::with_characters(text)),
        false => Some(to_markdown(text)),
    }
}

/// Appends the texts and links of a rich text to `text`. The function ignores styles such as bold.
fn rich_text(value: &Value, level: usize, text: &mut String) {
    if level > MAX_LEVELS || text.len() > 16_000 {
        return;
    }
    for element in json::list(value, "elements") {
        match json::text(element, "type").unwrap_or_default() {
            "text" => text.push_str(element["text"].as_str().unwrap_or_default()),
            "link" => {
                let address = json::text(element, "url").unwrap_or_default();
                let title = json::text(element, "text").unwrap_or(address);
                text.push_str(&crate::link::markdown(title, address));
            }
            "user" | "usergroup" => text.push_str("@user"),
            "broadcast" => text.push_str(&format!("@{}", json::text(element, "range").unwrap_or_default())),
            "emoji" => text.push_str(&format!(":{}:", json::text(element, "name").unwrap_or_default())),
            "rich_text_section" => {
                rich_text(element, level + 1, text);
                text.push_str("\n\n");
            }
            "rich_text_list" => {
                for item in json::list(element, "elements") {
                    text.push_str("- ");
                    rich_text(item, level + 1, text);
                    text.push('\n');
                    if text.len() > 16_000 {
                        break;
                    }
                }
            }
            _ => rich_text(element, level + 1, text),
        }
    }
}
