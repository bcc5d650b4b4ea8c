//! Makes a draft from a payload of Alertmanager (version 4 of its payload) or of Grafana. A payload contains
//! a group of the sender's alerts. The draft becomes one alert of the bot, about the whole group. Grafana's
//! payload has all members of Alertmanager's payload, and some more.

use serde_json::Value;

use crate::draft::{Draft, Part, Tone};
use crate::incoming::Content;
use crate::{Shape, ShapeError, State, cut, json, link, time};

/// The most labels in the small print below each alert's text. A *label* is a name with a value, such as
/// `severity` with the value `critical`.
///
/// The same limit applies to the list of facts about the group (rows with a name and a value). In this list,
/// the labels by which the sender groups its alerts do not count towards the limit.
const MAX_LABELS: usize = 8;
/// The most measured values in the small print below an alert's text.
const MAX_VALUES: usize = 5;

pub(crate) fn read(content: &Content, shape: Shape) -> Result<Draft, ShapeError> {
    let value = content.json();
    let Some(alerts) = value["alerts"].as_array() else {
        return Err(ShapeError::Missing { shape, member: "alerts" });
    };
    let is_resolved = json::text(value, "status") == Some("resolved");
    let name = name(value, alerts);
    let (firing, resolved): (Vec<_>, Vec<_>) = alerts.iter().partition(|alert| alert["status"] != "resolved");
    let truncated = value["truncatedAlerts"].as_u64().unwrap_or(0);
    let mut draft = Draft::new(shape, headline(is_resolved, &name, firing.len(), resolved.len(), truncated));
    draft.state = if is_resolved { State::Resolved } else { State::Firing };
    let severity = severity(value, alerts);
    draft.tone = if is_resolved { Tone::Good } else { tone(severity) };
    draft.importance_high = !is_resolved && is_critical(severity);
    draft.key = json::text(value, "groupKey").map(str::to_owned);
    draft.facts(group(value));
    let is_single = alerts.len() == 1;
    for alert in firing.iter().chain(&resolved) {
        draft.push(item(value, alert, is_single, &name));
    }
    draft.more_items = truncated;
    let image = alerts.iter().find_map(|alert| json::text(alert, "imageURL"));
    if let Some(address) = image {
        draft.image(address, "Panel of the alert");
    }
    links(&mut draft, value, firing.first().or(resolved.first()).copied(), is_resolved);
    if alerts.is_empty()
        && let Some(text) = json::text(value, "message")
    {
        draft.text(text);
    }
    Ok(draft)
}

/// The title of the card, which is also the text of the notification.
fn headline(is_resolved: bool, name: &str, firing: usize, resolved: usize, truncated: u64) -> String {
    let all = firing as u64 + resolved as u64 + truncated;
    match is_resolved {
        true if all > 1 => format!("Resolved: {name} ({all} alerts)"),
        true => format!("Resolved: {name}"),
        false if resolved > 0 => {
            format!("Firing: {name} ({} firing, {resolved} resolved)", firing as u64 + truncated)
        }
        false if all > 1 => format!("Firing: {name} ({all} alerts)"),
        false => format!("Firing: {name}"),
    }
}

/// The name of the group in the title. The function tries several members of the payload, such as the summary
/// that all alerts share, the name of the alert, and Grafana's title. The first member with a text is the
/// name.
fn name(value: &Value, alerts: &[Value]) -> String {
    let single = match alerts {
        [alert] => json::text(&alert["annotations"], "summary"),
        _ => None,
    };
    let first = alerts.first().unwrap_or(&Value::Null);
    json::text(&value["commonAnnotations"], "summary")
        .or(single)
        .or_else(|| json::text(&value["commonLabels"], "alertname"))
        .or_else(|| json::text(&value["groupLabels"], "alertname"))
        .or_else(|| json::text(value, "title"))
        .or_else(|| json::text(&first["labels"], "alertname"))
        .or_else(|| json::text(value, "receiver"))
        .unwrap_or("alert")
        .to_owned()
}

/// The facts about the group. The first facts are the labels by which the sender groups its alerts. Then come
/// other labels that all alerts of the group have, at most [`MAX_LABELS`].
fn group(value: &Value) -> Vec<(String, String)> {
    let mut facts = json::pairs(&value["groupLabels"]);
    let mut common = json::pairs(&value["commonLabels"]);
    common.retain(|(label, _)| !label.starts_with("__") && facts.iter().all(|(known, _)| known != label));
    facts.retain(|(label, _)| !label.starts_with("__"));
    facts.extend(common.into_iter().take(MAX_LABELS));
    facts
}

fn severity<'a>(value: &'a Value, alerts: &'a [Value]) -> &'a str {
    let of_alerts =
        || alerts.iter().filter_map(|alert| json::first(&alert["labels"], &["severity", "priority"]));
    let common = json::first(&value["commonLabels"], &["severity", "priority"]);
    common
        .or_else(|| of_alerts().find(|severity| is_critical(severity)))
        .or_else(|| of_alerts().next())
        .unwrap_or_default()
}

fn tone(severity: &str) -> Tone {
    match severity.to_ascii_lowercase().as_str() {
        "warning" | "warn" | "moderate" | "minor" => Tone::Warning,
        "info" | "information" | "informational" | "notice" | "low" | "none" => Tone::Accent,
        _ => Tone::Attention,
    }
}

fn is_critical(severity: &str) -> bool {
    ["critical", "page", "emergency", "fatal", "disaster", "p1", "p0"]
        .iter()
        .any(|name| name.eq_ignore_ascii_case(severity))
}

/// Makes the part of the card for one alert of the group.
fn item(value: &Value, alert: &Value, is_single: bool, name: &str) -> Part {
    let (labels, annotations) = (&alert["labels"], &alert["annotations"]);
    let is_resolved = alert["status"] == "resolved";
    let summary = json::text(annotations, "summary");
    let description = json::first(annotations, &["description", "message"]);
    let alert_name = json::text(labels, "alertname");
    let text = match is_single {
        // The title already has the summary.
        true => description.or(alert_name).or(summary),
        false => summary.or(description).or(alert_name),
    };
    let text = text.or(json::text(labels, "instance")).unwrap_or(name);
    let text = if is_resolved && !is_single { format!("Resolved: {text}") } else { text.to_owned() };
    let mut details = Vec::new();
    if let Some(since) = json::text(alert, "startsAt").and_then(time::shown) {
        details.push(format!("since {since}"));
    }
    if let Some(until) = json::text(alert, "endsAt").and_then(time::shown).filter(|_| is_resolved) {
        details.push(format!("until {until}"));
    }
    details.extend(shown_value(alert));
    let known = |label: &str| {
        !value["commonLabels"][label].is_null() || label == "alertname" || label.starts_with("__")
    };
    let own = json::pairs(labels).into_iter().filter(|(label, _)| !known(label));
    details.extend(own.take(MAX_LABELS).map(|(label, value)| format!("{label}={}", cut::line(&value, 100))));
    if !is_single {
        details.extend(own_links(alert));
    }
    Part::Item { text, details: details.join(" · ") }
}

/// The values that a Grafana alert measured, as text.
fn shown_value(alert: &Value) -> Option<String> {
    let values: Vec<_> = json::pairs(&alert["values"]).into_iter().take(MAX_VALUES).collect();
    let shown = match values.as_slice() {
        [] => json::text(alert, "valueString").map(|text| cut::line(text, 200)),
        [(_, value)] => Some(cut::line(value, 60)),
        several => {
            let pairs = several.iter().map(|(name, value)| format!("{name} = {}", cut::line(value, 60)));
            Some(pairs.collect::<Vec<_>>().join(", "))
        }
    }?;
    Some(format!("value {shown}"))
}

fn own_links(alert: &Value) -> Vec<String> {
    let members = [("Source", "generatorURL"), ("Panel", "panelURL"), ("Silence", "silenceURL")];
    let links = members.iter().filter_map(|(title, member)| Some((title, json::text(alert, member)?)));
    links
        .filter_map(|(title, address)| {
            link::in_markdown(address).map(|address| format!("[{title}]({address})"))
        })
        .collect()
}

/// Adds the buttons. Some buttons open the pages that explain the alert. One button opens the page on which a
/// person can silence the alert.
fn links(draft: &mut Draft, value: &Value, first: Option<&Value>, is_resolved: bool) {
    let null = Value::Null;
    let first = first.unwrap_or(&null);
    let runbooks = ["runbook_url", "runbook"];
    let runbook = json::first(&value["commonAnnotations"], &runbooks)
        .or_else(|| json::first(&first["annotations"], &runbooks));
    let of_first = |member: &str| json::text(first, member);
    if let Some(address) = runbook.filter(|address| link::is_web(address)) {
        draft.link("Runbook", address);
    }
    for (title, member) in [("Source", "generatorURL"), ("Dashboard", "dashboardURL"), ("Panel", "panelURL")]
    {
        if let Some(address) = of_first(member) {
            draft.link(title, address);
        }
    }
    let silence = of_first("silenceURL").map(str::to_owned).or_else(|| silence(value));
    if let Some(address) = silence.filter(|_| !is_resolved) {
        draft.link("Silence", &address);
    }
}

/// The URL of the Alertmanager page on which a person can silence the group. `None` if the payload has
/// `orgId` (only Grafana sends `orgId`), or if `externalURL` or the labels of the group are missing.
fn silence(value: &Value) -> Option<String> {
    let base = json::text(value, "externalURL")?.trim_end_matches('/');
    let matchers = json::pairs(&value["groupLabels"]);
    if matchers.is_empty() || !value["orgId"].is_null() {
        return None;
    }
    let quoted = |text: &str| text.replace('\\', "\\\\").replace('"', "\\\"");
    let matchers: Vec<_> =
        matchers.iter().map(|(label, value)| format!("{label}=\"{}\"", quoted(value))).collect();
    Some(format!("{base}/#/silences/new?filter={}", link::encoded(&format!("{{{}}}", matchers.join(", ")))))
}
