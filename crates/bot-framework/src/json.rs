//! Takes typed fields out of a JSON object. If a field is missing or has a wrong type, the error names the
//! path of the field, e.g. `conversation.id`.
//!
//! Many kinds of senders write the bodies of requests, so a body can have fields that the bot does not know.
//! The module keeps these fields: [`Fields::rest`] returns every field that was not taken. The module uses
//! plain functions on [`serde_json::Map`] instead of serde's `flatten`, because errors of `flatten` name
//! neither the path nor the expected type.

use platform::excerpt;
pub use platform::value_of;
use serde_json::{Map, Value};
use thiserror::Error;

use crate::lone_surrogates;
use crate::path::is_segment;

/// The maximum number of levels of objects and arrays in the body of a request. [`Fields::parse`] accepts
/// more levels (127, the limit of the JSON parser), because [`Fields::parse`] also reads envelopes. An
/// envelope (the JSON in a queue message) contains a caller's JSON, and adds a few levels around this JSON.
const MAX_LEVELS: usize = 32;

/// The error for a field that is missing or has an unexpected value. The error text names the path, and never
/// the value. A caller can choose the names in the path, so the text has only an excerpt of the path.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{}: expected {expected}", excerpt(.path))]
pub struct FieldError {
    /// The JSON path, e.g. `conversation.id`.
    pub path: String,
    /// The expected value, e.g. `a string`.
    pub expected: &'static str,
}

/// A JSON object from which fields are taken.
#[derive(Debug)]
pub struct Fields {
    object: Map<String, Value>,
    path: String,
}

impl Fields {
    /// Makes a `Fields` from `object`. `path` is the path from the whole JSON to `object`. If `object` is the
    /// whole JSON, `path` is empty.
    pub fn new(object: Map<String, Value>, path: impl Into<String>) -> Self {
        Self { object, path: path.into() }
    }

    /// Reads the body of a request, as [`Fields::parse`] does, but refuses JSON of more than 32 levels.
    pub fn of_request(body: &[u8]) -> Result<Self, FieldError> {
        if has_more_levels(body, MAX_LEVELS) {
            return Err(FieldError {
                path: "body".into(),
                expected: "JSON with at most 32 levels of objects and arrays",
            });
        }
        Self::parse(body)
    }

    /// Reads a JSON object in UTF-8. A byte order mark is ignored. Each lone surrogate (an escape for half of
    /// a character) becomes the replacement character U+FFFD.
    pub fn parse(bytes: &[u8]) -> Result<Self, FieldError> {
        let whole = |expected| FieldError { path: "body".into(), expected };
        let bytes = bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(bytes);
        let value = value_of(bytes).or_else(|| value_of(&lone_surrogates::replaced(bytes)?));
        match value {
            Some(Value::Object(object)) => Ok(Self::new(object, "")),
            Some(_) => Err(whole("a JSON object")),
            None => Err(whole("valid JSON")),
        }
    }

    /// Makes an error for the field `name`.
    pub fn error(&self, name: &str, expected: &'static str) -> FieldError {
        FieldError { path: self.path_of(name), expected }
    }

    fn path_of(&self, name: &str) -> String {
        if self.path.is_empty() { name.into() } else { format!("{}.{name}", self.path) }
    }

    /// Takes a value of any type out of the object. `null` counts as absent.
    pub fn take(&mut self, name: &str) -> Option<Value> {
        self.object.remove(name).filter(|value| !value.is_null())
    }

    /// Takes a string.
    pub fn string(&mut self, name: &str) -> Result<Option<String>, FieldError> {
        match self.take(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(self.error(name, "a string")),
        }
    }

    /// Takes a string that must be present and not empty.
    pub fn required_string(&mut self, name: &str) -> Result<String, FieldError> {
        self.string(name)?
            .filter(|text| !text.is_empty())
            .ok_or_else(|| self.error(name, "a non-empty string"))
    }

    /// Takes an id that becomes a segment of a URL's path. The id must be present. An id of only dots is
    /// refused, because a server could read the segment `..` as the parent path.
    pub fn required_segment(&mut self, name: &str) -> Result<String, FieldError> {
        let id = self.required_string(name)?;
        if is_segment(&id) { Ok(id) } else { Err(self.error(name, NOT_ONLY_DOTS)) }
    }

    /// Takes `true` or `false`. Absent means `false`.
    pub fn boolean(&mut self, name: &str) -> Result<bool, FieldError> {
        match self.take(name) {
            None => Ok(false),
            Some(Value::Bool(value)) => Ok(value),
            Some(_) => Err(self.error(name, "true or false")),
        }
    }

    /// Takes an object.
    pub fn object(&mut self, name: &str) -> Result<Option<Fields>, FieldError> {
        match self.take(name) {
            None => Ok(None),
            Some(Value::Object(object)) => Ok(Some(Fields::new(object, self.path_of(name)))),
            Some(_) => Err(self.error(name, "an object")),
        }
    }

    /// Takes an object that must be present.
    pub fn required_object(&mut self, name: &str) -> Result<Fields, FieldError> {
        self.object(name)?.ok_or_else(|| self.error(name, "an object"))
    }

    /// Takes an array of objects. If the array is absent, the result is empty.
    pub fn objects(&mut self, name: &str) -> Result<Vec<Fields>, FieldError> {
        let values = match self.take(name) {
            None => return Ok(Vec::new()),
            Some(Value::Array(values)) => values,
            Some(_) => return Err(self.error(name, "an array")),
        };
        let element = |(index, value)| {
            let path = format!("{}[{index}]", self.path_of(name));
            match value {
                Value::Object(object) => Ok(Fields::new(object, path)),
                _ => Err(FieldError { path, expected: "an object" }),
            }
        };
        values.into_iter().enumerate().map(element).collect()
    }

    /// The fields that have not been taken so far.
    pub fn as_object(&self) -> &Map<String, Value> {
        &self.object
    }

    /// Returns the fields that were not taken.
    pub fn rest(self) -> Map<String, Value> {
        self.object
    }
}

/// The text in [`FieldError::expected`] for an id of only dots. Such an id cannot be a segment of a URL's
/// path.
pub(crate) const NOT_ONLY_DOTS: &str = "an id that is not only dots";

/// Whether `json` has more than `levels` levels of objects and arrays. The function counts brackets outside
/// strings, so the check needs no parser. For text that is not JSON, the result has no meaning.
fn has_more_levels(json: &[u8], levels: usize) -> bool {
    // Each level needs an opening bracket. Most bodies have at most `levels` opening brackets, so this count
    // is enough. The count is cheaper than the loop below.
    if json.iter().filter(|byte| matches!(byte, b'{' | b'[')).count() <= levels {
        return false;
    }
    let (mut depth, mut in_string) = (0_usize, false);
    let mut bytes = json.iter();
    while let Some(byte) = bytes.next() {
        match byte {
            b'"' => in_string = !in_string,
            // An escaped character never ends a string.
            b'\\' if in_string => _ = bytes.next(),
            _ if in_string => {}
            b'{' | b'[' if depth == levels => return true,
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    false
}

/// Puts a field into `object` if there is a value.
pub fn put(object: &mut Map<String, Value>, name: &str, value: Option<impl Into<Value>>) {
    if let Some(value) = value {
        object.insert(name.into(), value.into());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(json: &str) -> Fields {
        Fields::parse(json.as_bytes()).unwrap()
    }

    #[test]
    fn field_error_names_the_path_and_the_expected_value() {
        type Take = fn(&mut Fields) -> Result<(), FieldError>;
        let cases: [(&str, Take, &str); 8] = [
            (r#"{"a":1}"#, |f| f.string("a").map(drop), "a: expected a string"),
            (r#"{}"#, |f| f.required_string("a").map(drop), "a: expected a non-empty string"),
            (r#"{"a":""}"#, |f| f.required_string("a").map(drop), "a: expected a non-empty string"),
            (r#"{"a":null}"#, |f| f.required_object("a").map(drop), "a: expected an object"),
            (r#"{"a":1}"#, |f| f.boolean("a").map(drop), "a: expected true or false"),
            (r#"{"a":{"b":1}}"#, |f| f.required_object("a")?.string("b").map(drop), "a.b: expected a string"),
            (r#"{"a":{}}"#, |f| f.objects("a").map(drop), "a: expected an array"),
            (r#"{"a":[{},3]}"#, |f| f.objects("a").map(drop), "a[1]: expected an object"),
        ];
        for (json, take, expected) in cases {
            let error = take(&mut fields(json)).expect_err(json);
            assert_eq!(error.to_string(), expected, "{json}");
        }
    }

    #[test]
    fn body_must_be_a_json_object_and_can_have_a_byte_order_mark_and_lone_surrogates() {
        for (body, expected) in [
            (&b""[..], "body: expected valid JSON"),
            (b"{", "body: expected valid JSON"),
            (b"\xff\xfe", "body: expected valid JSON"),
            (b"[]", "body: expected a JSON object"),
            (b"null", "body: expected a JSON object"),
            (b"{} {}", "body: expected valid JSON"),
        ] {
            assert_eq!(Fields::parse(body).expect_err("refused").to_string(), expected, "{body:?}");
        }
        assert!(
            Fields::parse("[".repeat(100_000).as_bytes()).is_err(),
            "nesting must not overflow the stack"
        );
        assert!(Fields::parse(b"\xEF\xBB\xBF{}").is_ok(), "a byte order mark is ignored");
        let halves =
            fields(r#"{"text":"pizza \ud83c","unread":{"name":"\udf55","other":[1,"\ud83c\udf55"]}}"#);
        let expected =
            serde_json::json!({"text": "pizza \u{fffd}", "unread": {"name": "\u{fffd}", "other": [1, "🍕"]}});
        assert_eq!(Value::Object(halves.rest()), expected);
    }

    #[test]
    fn request_with_more_than_32_levels_outside_strings_is_refused() {
        let lists = |count: usize| format!(r#"{{"a":{}{}}}"#, "[".repeat(count), "]".repeat(count));
        let objects = |count: usize| format!("{}1{}", r#"{"a":"#.repeat(count), "}".repeat(count));
        for (body, is_accepted) in [
            (lists(31), true),
            (lists(32), false),
            (objects(32), true),
            (objects(33), false),
            (objects(125), false),
            (lists(100_000), false),
            // Brackets in strings do not count, and an escaped quote does not end a string.
            (format!(r#"{{"a":"{}"}}"#, "[".repeat(100)), true),
            (format!(r#"{{"a":"\"{}"}}"#, "[".repeat(100)), true),
            (format!(r#"{{"a\\":{}{}}}"#, "[".repeat(32), "]".repeat(32)), false),
            // Only levels that are open at the same time count. Here, each list ends before the next list
            // begins.
            (format!(r#"{{"a":[{}0]}}"#, "[[]],".repeat(100)), true),
        ] {
            let read = Fields::of_request(body.as_bytes());
            let error = read.map(drop).map_err(|error| error.to_string());
            let expected = if is_accepted {
                Ok(())
            } else {
                Err("body: expected JSON with at most 32 levels of objects and arrays".to_owned())
            };
            assert_eq!(error, expected, "{}", excerpt(&body));
        }
        for body in ["", "]]]]", "{", r#"{"a"#, r#"{"a\"#, "\\"] {
            let error = Fields::of_request(body.as_bytes()).expect_err(body);
            assert_eq!(error.to_string(), "body: expected valid JSON", "{body}");
        }
        Fields::parse(objects(100).as_bytes()).expect("`parse` accepts more than 32 levels");
    }

    #[test]
    fn field_error_with_a_long_path_shows_an_excerpt() {
        let error = fields("{}").error(&"ü".repeat(65), "nothing of this name");
        assert_eq!(error.to_string(), format!("{}…: expected nothing of this name", "ü".repeat(64)));
    }

    #[test]
    fn id_for_a_url_path_is_refused_if_it_has_only_dots() {
        for (id, is_accepted) in [("a", true), ("..a", true), (".", false), ("..", false), ("....", false)] {
            let read = fields(&format!(r#"{{"id":"{id}"}}"#)).required_segment("id");
            let expected = if is_accepted { Ok(id) } else { Err("id: expected an id that is not only dots") };
            assert_eq!(read.as_deref().map_err(ToString::to_string), expected.map_err(str::to_owned), "{id}");
        }
    }

    #[test]
    fn rest_keeps_the_fields_that_were_not_taken() {
        let mut fields = fields(r#"{"known":"x","unknown":{"deep":[1,2.50]}}"#);
        fields.string("known").unwrap();
        assert_eq!(Value::Object(fields.rest()).to_string(), r#"{"unknown":{"deep":[1,2.5]}}"#);
    }
}
