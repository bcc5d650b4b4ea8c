//! Recognises the shape (the format) of a payload (the body of a sender's request). The module first looks at
//! the headers. If no header names the shape, the module looks at the body: plain text has the shape
//! [`Shape::Plain`], and JSON has members that are typical of one shape.

use serde_json::Value;

use crate::incoming::{Content, Incoming};
use crate::{Shape, json, passed_card};

/// The shape of a payload. `None` if the payload has no known shape.
pub(crate) fn shape_of(incoming: &Incoming<'_>, content: &Content) -> Option<Shape> {
    if incoming.header("x-github-event").is_some() {
        return Some(Shape::GitHub);
    }
    if incoming.header("aeg-event-type").is_some() && is_event_grid(content.json()) {
        return Some(Shape::EventGrid);
    }
    let is_cloud_event = incoming.media_type().starts_with("application/cloudevents");
    if is_cloud_event || incoming.header("ce-specversion").is_some() {
        return Some(Shape::CloudEvents);
    }
    match content {
        Content::Text(text) if text.is_empty() => None,
        Content::Text(_) => Some(Shape::Plain),
        Content::Json(value) => shape_of_json(value),
        Content::Bytes { .. } => None,
    }
}

fn shape_of_json(value: &Value) -> Option<Shape> {
    let has = |member: &str| value.get(member).is_some_and(|value| !value.is_null());
    if let Some(first) = value.as_array().and_then(|events| events.first()) {
        return match () {
            () if is_event_grid(value) => Some(Shape::EventGrid),
            () if is_cloud_event(first) => Some(Shape::CloudEvents),
            () => None,
        };
    }
    if is_cloud_event(value) {
        return Some(Shape::CloudEvents);
    }
    if value["schemaId"] == "azureMonitorCommonAlertSchema" {
        return Some(Shape::AzureMonitor);
    }
    if value["alerts"].is_array() && (has("groupKey") || has("receiver") || has("status")) {
        let is_grafana = has("orgId") || has("state") || value["version"] == "1";
        return Some(if is_grafana { Shape::Grafana } else { Shape::Alertmanager });
    }
    if json::text(value, "@type").is_some_and(|kind| kind.eq_ignore_ascii_case("MessageCard")) {
        return Some(Shape::MessageCard);
    }
    if passed_card::is_card(value) {
        return Some(Shape::AdaptiveCard);
    }
    if ["sections", "potentialAction", "themeColor"].into_iter().any(has) {
        return Some(Shape::MessageCard);
    }
    let is_slack = |attachment: &Value| {
        ["fallback", "color", "fields", "pretext", "blocks", "mrkdwn_in"]
            .iter()
            .any(|name| !attachment[*name].is_null())
    };
    if value["blocks"].is_array() || json::list(value, "attachments").iter().any(is_slack) {
        return Some(Shape::Slack);
    }
    // Programs that send Slack's format often set one of these members beside `text`. JSON with `text` alone
    // has the shape `Plain`.
    let names_slack = ["icon_emoji", "icon_url", "mrkdwn", "link_names", "thread_ts", "unfurl_links"];
    if names_slack.into_iter().any(has) && has("text") {
        return Some(Shape::Slack);
    }
    json::first(value, &["text", "message", "title", "body"]).map(|_| Shape::Plain)
}

/// Whether a value is an array of events in Event Grid's own schema, not in the schema of CloudEvents. The
/// first event decides.
fn is_event_grid(value: &Value) -> bool {
    value.as_array().and_then(|events| events.first()).is_some_and(|event| !event["eventType"].is_null())
}

fn is_cloud_event(value: &Value) -> bool {
    ["specversion", "type", "source"].iter().all(|name| value[*name].is_string())
}
