//! Reads the member `activity` of an API call such as `POST /api/alerts`. With this member, a caller adds
//! more to the chat message than the text, e.g. attachments.

use bot_framework::MORE_MEMBERS;
use bot_framework::json::{FieldError, Fields};
use serde_json::{Map, Value, json};

/// Checks the members of `activity`, and returns them. A caller is allowed to set the members in
/// [`MORE_MEMBERS`]. The function refuses every other member, because the bot itself sets the rest of each
/// chat message.
pub(super) fn read(mut fields: Fields) -> Result<Map<String, Value>, FieldError> {
    let mut activity = Map::new();
    for name in MORE_MEMBERS {
        let Some(value) = fields.take(name) else { continue };
        let (is_valid, expected) = match name {
            "attachments" => (is_list_of_objects(&value), "an array of at least one object"),
            "attachmentLayout" => (is_one_of(&value, &["list", "carousel"]), "`list` or `carousel`"),
            "importance" => (is_one_of(&value, &["low", "normal", "high"]), "`low`, `normal` or `high`"),
            "suggestedActions" => (value.is_object(), "an object"),
            _ => (value.is_string(), "a string"),
        };
        if !is_valid {
            return Err(fields.error(name, expected));
        }
        activity.insert(name.into(), value);
    }
    match fields.as_object().keys().next() {
        Some(other) => Err(fields.error(
            other,
            "one of the members attachments, attachmentLayout, suggestedActions, summary and importance",
        )),
        None => Ok(activity),
    }
}

/// The value of `attachments` for a chat message with one Adaptive Card.
pub(super) fn attachments_of(card: Map<String, Value>) -> Value {
    json!([{"contentType": "application/vnd.microsoft.card.adaptive", "content": card}])
}

fn is_list_of_objects(value: &Value) -> bool {
    value.as_array().is_some_and(|values| !values.is_empty() && values.iter().all(Value::is_object))
}

fn is_one_of(value: &Value, words: &[&str]) -> bool {
    value.as_str().is_some_and(|word| words.contains(&word))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(json: &str) -> Result<Map<String, Value>, String> {
        let mut fields = Fields::parse(format!(r#"{{"activity":{json}}}"#).as_bytes()).unwrap();
        read(fields.required_object("activity").unwrap()).map_err(|error| error.to_string())
    }

    #[test]
    fn error_of_a_wrong_member_begins_with_the_path() {
        let valid = r#"{"attachments":[{"contentType":"x"}],"attachmentLayout":"list","suggestedActions":{"actions":[]},"summary":"s","importance":"high"}"#;
        assert_eq!(Value::Object(check(valid).unwrap()), serde_json::from_str::<Value>(valid).unwrap());
        assert!(check(r#"{"summary":null}"#).unwrap().is_empty());
        for (json, path) in [
            (r#"{"attachments":[]}"#, "activity.attachments"),
            (r#"{"attachments":{}}"#, "activity.attachments"),
            (r#"{"attachments":[1]}"#, "activity.attachments"),
            (r#"{"attachmentLayout":"grid"}"#, "activity.attachmentLayout"),
            (r#"{"suggestedActions":[]}"#, "activity.suggestedActions"),
            (r#"{"summary":7}"#, "activity.summary"),
            (r#"{"importance":"urgent"}"#, "activity.importance"),
            (r#"{"from":{"id":"evil"}}"#, "activity.from"),
            (r#"{"text":"other"}"#, "activity.text"),
            (r#"{"channelData":{}}"#, "activity.channelData"),
        ] {
            let error = check(json).expect_err(json);
            assert!(error.starts_with(&format!("{path}: ")), "{json}: {error}");
        }
    }
}
