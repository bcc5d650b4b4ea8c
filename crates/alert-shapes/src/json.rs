//! Looks up members of JSON values.

use serde_json::Value;

/// The maximum number of levels of nested objects that [`facts`] reads.
const MAX_LEVELS: usize = 3;

/// The member as trimmed text. `None` if the member is missing, is blank, or is no JSON string.
pub(crate) fn text<'a>(value: &'a Value, member: &str) -> Option<&'a str> {
    value.get(member)?.as_str().map(str::trim).filter(|text| !text.is_empty())
}

/// Tries `members` in order, and returns the first text that [`text`] finds.
pub(crate) fn first<'a>(value: &'a Value, members: &[&str]) -> Option<&'a str> {
    members.iter().find_map(|member| text(value, member))
}

/// The elements of the array `member`. The result is empty if `member` is missing or no array.
pub(crate) fn list<'a>(value: &'a Value, member: &str) -> &'a [Value] {
    value.get(member).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// A text, number or boolean as text. `None` for other values and for a blank text.
pub(crate) fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::String(text) if text.trim().is_empty() => None,
        Value::String(text) => Some(text.trim().to_owned()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(truth) => Some(truth.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

/// A member as text, if it is a text, a number or a boolean.
pub(crate) fn shown(value: &Value, member: &str) -> Option<String> {
    value.get(member).and_then(scalar)
}

/// The members of an object that are texts, numbers or booleans. Each pair has the member's name, and its
/// value as text.
pub(crate) fn pairs(value: &Value) -> Vec<(String, String)> {
    let members = value.as_object().into_iter().flatten();
    members.filter_map(|(name, value)| Some((name.clone(), scalar(value)?))).collect()
}

/// Returns the texts, numbers and booleans in a JSON value as pairs of a name and a text. The result has at
/// most `limit` pairs. The name of a nested value is its path, joined with dots, such as `disk.size`. An
/// array of texts, numbers and booleans becomes one pair, with at most ten elements. The function skips all
/// other arrays, objects that are nested too deep, and values whose path is too long.
pub(crate) fn facts(value: &Value, limit: usize) -> Vec<(String, String)> {
    let mut found = Vec::new();
    collect(value, String::new(), 0, limit, &mut found);
    found
}

fn collect(value: &Value, path: String, level: usize, limit: usize, found: &mut Vec<(String, String)>) {
    if found.len() >= limit || path.len() > 100 {
        return;
    }
    match value {
        Value::Object(members) if level < MAX_LEVELS => {
            for (name, inner) in members {
                let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                collect(inner, path, level + 1, limit, found);
            }
        }
        Value::Array(elements) if elements.iter().all(|element| scalar(element).is_some()) => {
            let texts: Vec<_> = elements.iter().take(10).filter_map(scalar).collect();
            if !texts.is_empty() {
                found.push((path, texts.join(", ")));
            }
        }
        _ => found.extend(scalar(value).map(|text| (path, text))),
    }
}
