//! Reads events in Azure Event Grid's own schema. Event Grid can also send CloudEvents, which the module
//! `cloud_events` reads.

use serde_json::Value;

use crate::draft::Draft;
use crate::incoming::Content;
use crate::{MAX_EVENTS, Shape, ShapeError, cloud_events, json, time};

const VALIDATION: &str = "Microsoft.EventGrid.SubscriptionValidationEvent";
const DELETION: &str = "Microsoft.EventGrid.SubscriptionDeletedEvent";

/// The content of a request from Event Grid.
pub(crate) enum Events {
    /// The code in Event Grid's test of the webhook address. The response must contain the same code, as
    /// proof that the address accepts events.
    Validation(String),
    Drafts(Vec<Draft>),
}

pub(crate) fn read(content: &Content) -> Result<Events, ShapeError> {
    let shape = Shape::EventGrid;
    let value = content.json();
    // Event Grid sends an array. But a person who tests the webhook address can post a single event.
    let events = value.as_array().map_or(std::slice::from_ref(value), Vec::as_slice);
    if events.len() > MAX_EVENTS {
        return Err(ShapeError::TooMany { found: events.len() });
    }
    if events.first().is_none_or(|event| json::text(event, "eventType").is_none()) {
        return Err(ShapeError::Missing { shape, member: "eventType" });
    }
    let is_validation = |event: &&Value| json::text(event, "eventType") == Some(VALIDATION);
    if let Some(event) = events.iter().find(is_validation) {
        let code = json::text(&event["data"], "validationCode");
        let code = code.ok_or(ShapeError::Missing { shape, member: "data.validationCode" })?;
        return Ok(Events::Validation(code.to_owned()));
    }
    Ok(Events::Drafts(events.iter().map(draft).collect()))
}

fn draft(event: &Value) -> Draft {
    let kind = json::text(event, "eventType").unwrap_or("event");
    let mut draft = Draft::new(Shape::EventGrid, kind);
    if kind == DELETION {
        draft.title = "The Event Grid subscription was deleted".to_owned();
    }
    let subject = json::text(event, "subject");
    if kind != DELETION
        && let Some(subject) = subject
    {
        draft.summary = Some(format!("{kind}: {subject}"));
    }
    let mut facts = Vec::new();
    facts.extend(subject.map(|subject| ("Subject".to_owned(), subject.to_owned())));
    facts.extend(json::text(event, "topic").map(|topic| ("Topic".to_owned(), topic.to_owned())));
    let at = json::text(event, "eventTime").map(|text| time::shown(text).unwrap_or_else(|| text.to_owned()));
    facts.extend(at.map(|at| ("Time".to_owned(), at)));
    draft.facts(facts);
    cloud_events::data(&mut draft, &event["data"]);
    let topic = json::text(event, "topic").unwrap_or_default();
    draft.idempotency_key = json::text(event, "id").map(|id| format!("{topic} {id}"));
    draft
}
