//! Reads alerts in Azure Monitor's common alert schema.

use serde_json::Value;

use crate::draft::{Draft, Part, Tone};
use crate::incoming::Content;
use crate::{Shape, ShapeError, State, json, time};

/// The maximum number of conditions that the card shows for one alert. Each condition becomes facts (rows
/// with a name and a value).
const MAX_CONDITIONS: usize = 6;

pub(crate) fn read(content: &Content) -> Result<Draft, ShapeError> {
    let shape = Shape::AzureMonitor;
    let data = &content.json()["data"];
    let essentials = &data["essentials"];
    if !essentials.is_object() {
        return Err(ShapeError::Missing { shape, member: "data.essentials" });
    }
    let is_resolved =
        json::text(essentials, "monitorCondition").is_some_and(|text| text.eq_ignore_ascii_case("resolved"));
    let rule = json::text(essentials, "alertRule").unwrap_or("Azure Monitor alert");
    let mut draft = Draft::new(shape, format!("{}: {rule}", if is_resolved { "Resolved" } else { "Firing" }));
    draft.state = if is_resolved { State::Resolved } else { State::Firing };
    let severity = json::text(essentials, "severity").unwrap_or_default();
    draft.tone = match (is_resolved, severity) {
        (true, _) => Tone::Good,
        (_, "Sev2") => Tone::Warning,
        (_, "Sev3" | "Sev4") => Tone::Accent,
        _ => Tone::Attention,
    };
    draft.importance_high = !is_resolved && matches!(severity, "Sev0" | "Sev1");
    draft.key = json::first(essentials, &["alertId", "originAlertId"]).map(str::to_owned);
    if let Some(description) = json::text(essentials, "description") {
        draft.text(description);
    }
    draft.facts(facts(essentials));
    context(&mut draft, &data["alertContext"]);
    let custom = json::facts(&data["customProperties"], 10);
    draft.facts(custom);
    for (title, address) in
        [("Investigate", json::text(essentials, "investigationLink")), ("Runbook", runbook(data))]
    {
        if let Some(address) = address {
            draft.link(title, address);
        }
    }
    Ok(draft)
}

fn runbook(data: &Value) -> Option<&str> {
    json::first(&data["customProperties"], &["runbook_url", "runbook", "Runbook"])
}

fn facts(essentials: &Value) -> Vec<(String, String)> {
    let mut facts = Vec::new();
    let mut fact =
        |title: &str, value: Option<String>| facts.extend(value.map(|value| (title.to_owned(), value)));
    fact("Severity", json::shown(essentials, "severity"));
    fact("Resource", resources(essentials));
    fact("Resource group", json::shown(essentials, "targetResourceGroup"));
    fact("Signal", json::shown(essentials, "signalType"));
    fact("Service", json::shown(essentials, "monitoringService"));
    for (title, member) in [("Fired", "firedDateTime"), ("Resolved", "resolvedDateTime")] {
        fact(
            title,
            json::text(essentials, member).map(|text| time::shown(text).unwrap_or_else(|| text.to_owned())),
        );
    }
    facts
}

/// The names of at most three resources, and the number of the others.
fn resources(essentials: &Value) -> Option<String> {
    let items = json::list(essentials, "configurationItems");
    let targets = json::list(essentials, "alertTargetIDs");
    let all = if items.is_empty() { targets } else { items };
    let names: Vec<_> =
        all.iter().filter_map(Value::as_str).map(name_of).filter(|name| !name.is_empty()).collect();
    let (first, others) = names.split_at(names.len().min(3));
    let joined = first.join(", ");
    match others.len() {
        0 => (!joined.is_empty()).then_some(joined),
        more => Some(format!("{joined}, and {more} more")),
    }
}

/// The last segment of a resource's id.
fn name_of(id: &str) -> &str {
    id.trim_end_matches('/').rsplit('/').next().unwrap_or(id)
}

/// Adds members of `alertContext` to the draft. The kind of the alert decides which members `alertContext`
/// has.
fn context(draft: &mut Draft, context: &Value) {
    let conditions = json::list(&context["condition"], "allOf");
    let shown = conditions.iter().take(MAX_CONDITIONS);
    draft.facts(shown.flat_map(condition).collect());
    if let Some(query) = conditions.iter().find_map(|condition| json::text(condition, "searchQuery")) {
        draft.push(Part::Subtle(query.to_owned()));
    }
    let members = ["linkToFilteredSearchResultsUI", "linkToSearchResultsUI"];
    if let Some(address) = conditions.iter().find_map(|condition| json::first(condition, &members)) {
        draft.link("Search results", address);
    }
    let mut facts = Vec::new();
    // Alerts about the activity log, service health and resource health have these members.
    for (title, member) in [
        ("Operation", "operationName"),
        ("Status", "status"),
        ("Sub-status", "subStatus"),
        ("Caller", "caller"),
        ("Level", "level"),
        ("Correlation", "correlationId"),
    ] {
        facts.extend(json::shown(context, member).map(|value| (title.to_owned(), value)));
    }
    draft.facts(facts);
    let properties = &context["properties"];
    let health = json::first(properties, &["title", "currentHealthStatus", "statusMessage"]);
    if let Some(text) = json::first(properties, &["communication", "defaultLanguageContent"]).or(health) {
        draft.text(crate::html::to_markdown(text));
    }
    for budget in ["AlertData", "budgetName"] {
        draft.facts(json::facts(&context[budget], 10));
    }
}

/// Turns a condition of the alert rule into facts. For example, the first fact has the name `Percentage CPU
/// (Average)` and the value `93.5 (GreaterThan 80)`. Each of the first five dimensions of the metric (such as
/// the name of a disk) becomes one more fact.
fn condition(condition: &Value) -> Vec<(String, String)> {
    let metric =
        json::first(condition, &["metricName", "metricMeasureColumn", "searchQuery"]).unwrap_or("Condition");
    let metric = if condition["searchQuery"].as_str() == Some(metric) { "Result" } else { metric };
    let how = json::first(condition, &["timeAggregation"]).map(|how| format!(" ({how})")).unwrap_or_default();
    let limit = json::shown(condition, "threshold").unwrap_or_default();
    let operator = json::text(condition, "operator").unwrap_or_default();
    let measured = json::shown(condition, "metricValue").map(|value| format!("{value} ")).unwrap_or_default();
    let rule = format!("{operator} {limit}");
    let rule = if rule.trim().is_empty() { String::new() } else { format!("({})", rule.trim()) };
    let mut facts = vec![(format!("{metric}{how}"), format!("{measured}{rule}").trim().to_owned())];
    for dimension in json::list(condition, "dimensions").iter().take(5) {
        let name = json::shown(dimension, "name").unwrap_or_default();
        facts.extend(json::shown(dimension, "value").map(|value| (name, value)));
    }
    facts
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::resources;

    #[test]
    fn resources_without_names_are_not_counted() {
        for (ids, expected) in [
            (json!(["/", "", "/"]), None),
            (json!(["/", "", "/", "/"]), None),
            (json!(["/x/a", "/", "/x/b"]), Some("a, b")),
            (json!(["/", "/x/a", "/x/b", "/x/c", "/x/d/"]), Some("a, b, c, and 1 more")),
        ] {
            assert_eq!(resources(&json!({"alertTargetIDs": ids})).as_deref(), expected, "{ids}");
        }
    }
}
