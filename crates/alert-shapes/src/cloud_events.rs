//! Reads CloudEvents 1.0 over HTTP. The sender of the events can first ask whether the webhook address
//! accepts events (the *handshake*). This module also makes the response to the handshake.
//!
//! An event arrives in one of three modes:
//! - *structured*: the body is a JSON object with the attributes (such as `id` and `type`) and the data
//! - *batch*: the body is an array of such objects
//! - *binary*: the attributes are in headers, and the body is the data

use percent_encoding::percent_decode_str;
use serde_json::{Map, Value};

use crate::draft::Draft;
use crate::incoming::{Content, Incoming};
use crate::plain;
use crate::{MAX_EVENTS, Shape, ShapeError, json, markdown, time};

const SHAPE: Shape = Shape::CloudEvents;

/// The attributes that the crate reads from the headers of an event in the binary mode.
const ATTRIBUTES: [&str; 6] = ["specversion", "id", "source", "type", "subject", "time"];

/// The maximum number of facts (rows of the card) that an event's data becomes.
const MAX_FACTS: usize = 15;

/// The response to the handshake of a CloudEvents webhook.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OptionsResponse {
    /// The headers of the response: names in lower case, and values.
    pub headers: Vec<(&'static str, String)>,
}

/// Makes the response to the handshake, which is an `OPTIONS` request. The header `WebHook-Request-Origin` of
/// the request names the sender. The response allows this sender to post events. The result is `None` if this
/// header is missing or blank. The result is also `None` if the name is longer than 253 bytes, or contains a
/// character that is not allowed in a name.
pub fn cloud_events_options<'a>(header: impl Fn(&str) -> Option<&'a str>) -> Option<OptionsResponse> {
    let origin = header("webhook-request-origin")?.trim();
    let is_name = |c: char| c.is_ascii_graphic() && !matches!(c, ',' | ';' | '"');
    if origin.is_empty() || origin.len() > 253 || !origin.chars().all(is_name) {
        return None;
    }
    let mut headers = vec![("allow", "POST".to_owned()), ("webhook-allowed-origin", origin.to_owned())];
    if header("webhook-request-rate").is_some() {
        headers.push(("webhook-allowed-rate", "120".to_owned()));
    }
    Some(OptionsResponse { headers })
}

pub(crate) fn read(incoming: &Incoming<'_>, content: &Content) -> Result<Vec<Draft>, ShapeError> {
    if incoming.header("ce-specversion").is_some()
        && !incoming.media_type().starts_with("application/cloudevents")
    {
        return Ok(vec![draft(&binary(incoming, content))?]);
    }
    match content.json() {
        Value::Array(events) if events.len() > MAX_EVENTS => Err(ShapeError::TooMany { found: events.len() }),
        Value::Array(events) if events.is_empty() => Err(ShapeError::Empty { shape: SHAPE }),
        Value::Array(events) => events.iter().map(draft).collect(),
        event => Ok(vec![draft(event)?]),
    }
}

/// Turns an event in the binary mode into the JSON object of the structured mode.
fn binary(incoming: &Incoming<'_>, content: &Content) -> Value {
    let mut event = Map::new();
    for name in ATTRIBUTES {
        if let Some(value) = incoming.header(&format!("ce-{name}")) {
            let value = percent_decode_str(value).decode_utf8_lossy().into_owned();
            event.insert(name.to_owned(), Value::String(value));
        }
    }
    let data = match content {
        Content::Json(value) => value.clone(),
        Content::Text(text) => Value::from(text.as_str()),
        Content::Bytes { count } => Value::from(format!("{count} bytes of {}", incoming.media_type())),
    };
    event.insert("data".to_owned(), data);
    Value::Object(event)
}

fn draft(event: &Value) -> Result<Draft, ShapeError> {
    let needed =
        |member: &'static str| json::text(event, member).ok_or(ShapeError::Missing { shape: SHAPE, member });
    let (kind, source, id) = (needed("type")?, needed("source")?, needed("id")?);
    let mut draft = Draft::new(SHAPE, kind);
    draft.idempotency_key = Some(format!("{source} {id}"));
    let subject = json::text(event, "subject");
    draft.summary = Some(format!("{kind}: {}", subject.unwrap_or(source)));
    let mut facts = vec![("Source".to_owned(), source.to_owned())];
    facts.extend(subject.map(|subject| ("Subject".to_owned(), subject.to_owned())));
    let at = json::text(event, "time").map(|text| time::shown(text).unwrap_or_else(|| text.to_owned()));
    facts.extend(at.map(|at| ("Time".to_owned(), at)));
    draft.facts(facts);
    data(&mut draft, &event["data"]);
    if let Some(encoded) = event["data_base64"].as_str() {
        draft.leave_out(format!("{} bytes of data", encoded.len() / 4 * 3));
    }
    Ok(draft)
}

/// Adds the data of an event to the draft. A string becomes a text of the card. In an object, the function
/// tries the members `text`, `message` and `description` in this order. The first of these members that has a
/// text becomes a text of the card. The other members become facts. The number of facts is at most
/// [`MAX_FACTS`].
pub(crate) fn data(draft: &mut Draft, data: &Value) {
    match data {
        Value::String(text) => draft.text(markdown::with_line_breaks(text)),
        Value::Object(_) => {
            let text = json::first(data, &["text", "message", "description"]);
            if let Some(text) = text {
                draft.text(markdown::with_line_breaks(text));
            }
            let mut facts = json::facts(data, MAX_FACTS);
            facts.retain(|(_, value)| Some(value.as_str()) != text);
            draft.facts(facts);
            draft.tone = plain::tone(json::first(data, &["severity", "level", "status"]).unwrap_or_default());
            if let Some(address) = json::first(data, &["url", "link", "html_url"]) {
                draft.link("Open", address);
            }
        }
        other => draft.facts(json::facts(other, MAX_FACTS)),
    }
}
