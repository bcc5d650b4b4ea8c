//! Reads Adaptive Cards that senders make themselves. A payload is the card alone, or a JSON message with the
//! card in `attachments`. Programs post such a message to Teams' Workflows.
//!
//! The alert keeps the elements and actions of Adaptive Cards 1.5 that only show something or open a web
//! page. The alert leaves out inputs, media, mentions, and actions that post or refresh. The module
//! `elements` lists the elements, actions and members that stay. If an element or action is not in this list,
//! but has another element or action in its member `fallback`, the module `cleaner` cleans and keeps this
//! fallback. Without a fallback, `cleaner` leaves the element or action out.

mod cleaner;
mod elements;

use serde_json::{Value, json};

use crate::incoming::Content;
use crate::{Shape, ShapeError, ShapedAlert, State, draft, json, markdown};

use cleaner::Cleaner;

/// The versions that the alert's card can have. Every other version becomes 1.5.
const VERSIONS: [&str; 6] = ["1.0", "1.1", "1.2", "1.3", "1.4", "1.5"];

/// The media type of an Adaptive Card in a message.
const CARD: &str = "application/vnd.microsoft.card.adaptive";

/// Whether a payload is a card, or a message with a card.
pub(crate) fn is_card(value: &Value) -> bool {
    card_of(value).is_some()
}

/// Returns the card of a payload: the payload itself, or the first card in a message. `None` if the payload
/// has no card.
fn card_of(value: &Value) -> Option<&Value> {
    if value["type"] == "AdaptiveCard" {
        return Some(value);
    }
    cards_of(value).next()
}

fn cards_of(value: &Value) -> impl Iterator<Item = &Value> {
    let attachments = json::list(value, "attachments").iter();
    attachments
        .filter(|attachment| attachment["contentType"] == CARD)
        .map(|attachment| &attachment["content"])
}

/// Makes an alert from a payload with a card.
pub(crate) fn read(content: &Content) -> Result<ShapedAlert, ShapeError> {
    let shape = Shape::AdaptiveCard;
    let value = content.json();
    let card = card_of(value).ok_or(ShapeError::Missing { shape, member: "attachments" })?;
    let mut cleaner = Cleaner::default();
    let mut members = cleaner.card(card);
    let extra = cards_of(value).count().saturating_sub(1);
    if extra > 0 {
        cleaner.leave_out(&format!("{extra} more cards"));
    }
    let message_texts = ["summary", "text"].map(|member| json::text(value, member).unwrap_or_default());
    let texts = message_texts
        .into_iter()
        .chain([cleaner.text(), json::text(card, "fallbackText").unwrap_or_default()]);
    let summary = texts.map(|text| markdown::plain_line(text, 240)).find(|line| !line.is_empty());
    let summary = summary.ok_or(ShapeError::Empty { shape })?;
    let missing = cleaner.missing();
    let left_out = draft::cleaned_names(cleaner.into_left_out());
    let mut body = match members.get_mut("body").map(Value::take) {
        Some(Value::Array(body)) => body,
        _ => vec![json!({"type": "TextBlock", "text": summary, "wrap": true})],
    };
    if missing > 0 {
        let text = draft::more(missing as u64, "part");
        body.push(
            json!({"type": "TextBlock", "text": text, "wrap": true, "isSubtle": true, "size": "Small"}),
        );
    }
    body.extend(draft::frame(shape, &left_out));
    members.insert("type".to_owned(), json!("AdaptiveCard"));
    let version = json::text(card, "version").filter(|version| VERSIONS.contains(version)).unwrap_or("1.5");
    members.insert("version".to_owned(), json!(version));
    members.insert("body".to_owned(), Value::Array(body));
    // With the width `Full`, Teams shows the card as wide as the chat. Cards from Alertmanager have this
    // width.
    if json::text(&card["msteams"], "width").is_some_and(|width| width.eq_ignore_ascii_case("full")) {
        members.insert("msteams".to_owned(), json!({"width": "Full"}));
    }
    let card = Value::Object(members);
    Ok(ShapedAlert {
        summary,
        card,
        key: None,
        state: State::None,
        idempotency_key: None,
        importance_high: false,
        left_out,
    })
}
