//! Taking typed fields out of a JSON object, with errors that name the path.
//!
//! Bodies come from many senders, so unknown fields survive: what nobody took is the *rest*. Plain functions on
//! [`serde_json::Map`] instead of serde's `flatten`, whose errors say neither where nor what.

use platform::excerpt;
use serde_json::{Map, Value};
use thiserror::Error;

use crate::lone_surrogates;
use crate::path::is_segment;

/// How many levels of objects and arrays a caller's JSON may have. An envelope has a few more than what is put into it, and
/// [`Fields::parse`], which reads envelopes, takes 127.
const MAX_LEVELS: usize = 32;

/// A field that is missing, or of another type than expected. Says where, never what stood there. The caller may have chosen
/// the path, so an excerpt of it is shown.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{}: {expected} expected", excerpt(.path))]
pub struct FieldError {
    /// The JSON path, e.g. `conversation.id`.
    pub path: String,
    /// What was expected there, e.g. `a string`.
    pub expected: &'static str,
}

/// A JSON object whose fields are being taken out.
#[derive(Debug)]
pub struct Fields {
    object: Map<String, Value>,
    path: String,
}

impl Fields {
    /// The fields of `object`, which stands at `path` of the whole (empty for the whole itself).
    pub fn new(object: Map<String, Value>, path: impl Into<String>) -> Self {
        Self { object, path: path.into() }
    }

    /// [`Fields::parse`] for the body of a request: the JSON may have 32 levels.
    pub fn of_request(body: &[u8]) -> Result<Self, FieldError> {
        if has_more_levels(body, MAX_LEVELS) {
            return Err(FieldError { path: "body".into(), expected: "JSON of at most 32 levels" });
        }
        Self::parse(body)
    }

    /// The fields of the object in `bytes`: UTF-8 JSON, a byte order mark tolerated. Of half a character the replacement
    /// character is left.
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

    /// An error for the field `name`.
    pub fn error(&self, name: &str, expected: &'static str) -> FieldError {
        FieldError { path: self.path_of(name), expected }
    }

    fn path_of(&self, name: &str) -> String {
        if self.path.is_empty() { name.into() } else { format!("{}.{name}", self.path) }
    }

    /// Takes any value; `null` counts as absent.
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

    /// Takes a string that has to be there and not empty.
    pub fn required_string(&mut self, name: &str) -> Result<String, FieldError> {
        self.string(name)?
            .filter(|text| !text.is_empty())
            .ok_or_else(|| self.error(name, "a string that is not empty"))
    }

    /// Takes the id of something that has a path of its own: it has to be there, and must not lead to another path.
    pub fn required_segment(&mut self, name: &str) -> Result<String, FieldError> {
        let id = self.required_string(name)?;
        if is_segment(&id) { Ok(id) } else { Err(self.error(name, NOT_ONLY_DOTS)) }
    }

    /// Takes `true` or `false`; absent is `false`.
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

    /// Takes an object that has to be there.
    pub fn required_object(&mut self, name: &str) -> Result<Fields, FieldError> {
        self.object(name)?.ok_or_else(|| self.error(name, "an object"))
    }

    /// Takes an array of objects.
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

    /// What nobody has taken so far.
    pub fn as_object(&self) -> &Map<String, Value> {
        &self.object
    }

    /// What nobody took.
    pub fn rest(self) -> Map<String, Value> {
        self.object
    }
}

/// The value in `bytes`, if they are JSON.
// One copy of the parser, which is large, in each component.
#[inline(never)]
pub fn value_of(bytes: &[u8]) -> Option<Value> {
    serde_json::from_slice(bytes).ok()
}

/// What an id is expected to be that becomes a segment of a path.
pub(crate) const NOT_ONLY_DOTS: &str = "an id that is not only dots";

/// Whether JSON has more levels of objects and arrays than that. Looks at brackets outside of strings, so that a parser is not
/// even asked; of text that is no JSON the answer means nothing.
fn has_more_levels(json: &[u8], levels: usize) -> bool {
    let (mut depth, mut in_string) = (0_usize, false);
    let mut bytes = json.iter();
    while let Some(byte) = bytes.next() {
        match byte {
            b'"' => in_string = !in_string,
            // Whatever is escaped, it ends no string.
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
    fn errors_name_the_path() {
        type Take = fn(&mut Fields) -> Result<(), FieldError>;
        let cases: [(&str, Take, &str); 8] = [
            (r#"{"a":1}"#, |f| f.string("a").map(drop), "a: a string expected"),
            (r#"{}"#, |f| f.required_string("a").map(drop), "a: a string that is not empty expected"),
            (r#"{"a":""}"#, |f| f.required_string("a").map(drop), "a: a string that is not empty expected"),
            (r#"{"a":null}"#, |f| f.required_object("a").map(drop), "a: an object expected"),
            (r#"{"a":1}"#, |f| f.boolean("a").map(drop), "a: true or false expected"),
            (r#"{"a":{"b":1}}"#, |f| f.required_object("a")?.string("b").map(drop), "a.b: a string expected"),
            (r#"{"a":{}}"#, |f| f.objects("a").map(drop), "a: an array expected"),
            (r#"{"a":[{},3]}"#, |f| f.objects("a").map(drop), "a[1]: an object expected"),
        ];
        for (json, take, expected) in cases {
            let error = take(&mut fields(json)).expect_err(json);
            assert_eq!(error.to_string(), expected, "{json}");
        }
    }

    #[test]
    fn what_is_no_object_is_refused() {
        for (body, expected) in [
            (&b""[..], "body: valid JSON expected"),
            (b"{", "body: valid JSON expected"),
            (b"\xff\xfe", "body: valid JSON expected"),
            (b"[]", "body: a JSON object expected"),
            (b"null", "body: a JSON object expected"),
            (b"{} {}", "body: valid JSON expected"),
        ] {
            assert_eq!(Fields::parse(body).expect_err("refused").to_string(), expected, "{body:?}");
        }
        assert!(
            Fields::parse("[".repeat(100_000).as_bytes()).is_err(),
            "nesting must not overflow the stack"
        );
        assert!(Fields::parse(b"\xEF\xBB\xBF{}").is_ok(), "a byte order mark is tolerated");
        let halves =
            fields(r#"{"text":"pizza \ud83c","unread":{"name":"\udf55","other":[1,"\ud83c\udf55"]}}"#);
        let expected =
            serde_json::json!({"text": "pizza \u{fffd}", "unread": {"name": "\u{fffd}", "other": [1, "🍕"]}});
        assert_eq!(Value::Object(halves.rest()), expected);
    }

    #[test]
    fn request_of_more_than_32_levels_is_refused_whatever_its_strings_hold() {
        let lists = |count: usize| format!(r#"{{"a":{}{}}}"#, "[".repeat(count), "]".repeat(count));
        let objects = |count: usize| format!("{}1{}", r#"{"a":"#.repeat(count), "}".repeat(count));
        for (body, is_accepted) in [
            (lists(31), true),
            (lists(32), false),
            (objects(32), true),
            (objects(33), false),
            (objects(125), false),
            (lists(100_000), false),
            // Brackets in strings are no levels, and an escaped quote does not end a string.
            (format!(r#"{{"a":"{}"}}"#, "[".repeat(100)), true),
            (format!(r#"{{"a":"\"{}"}}"#, "[".repeat(100)), true),
            (format!(r#"{{"a\\":{}{}}}"#, "[".repeat(32), "]".repeat(32)), false),
            // Levels that end do not add up.
            (format!(r#"{{"a":[{}0]}}"#, "[[]],".repeat(100)), true),
        ] {
            let read = Fields::of_request(body.as_bytes());
            let error = read.map(drop).map_err(|error| error.to_string());
            let expected =
                if is_accepted { Ok(()) } else { Err("body: JSON of at most 32 levels expected".to_owned()) };
            assert_eq!(error, expected, "{}", excerpt(&body));
        }
        for body in ["", "]]]]", "{", r#"{"a"#, r#"{"a\"#, "\\"] {
            let error = Fields::of_request(body.as_bytes()).expect_err(body);
            assert_eq!(error.to_string(), "body: valid JSON expected", "{body}");
        }
        Fields::parse(objects(100).as_bytes()).expect("an envelope may have more");
    }

    #[test]
    fn path_that_a_caller_chose_is_cut() {
        let error = fields("{}").error(&"ü".repeat(65), "nothing of this name");
        assert_eq!(error.to_string(), format!("{}…: nothing of this name expected", "ü".repeat(64)));
    }

    #[test]
    fn id_of_nothing_but_dots_is_refused() {
        for (id, is_accepted) in [("a", true), ("..a", true), (".", false), ("..", false), ("....", false)] {
            let read = fields(&format!(r#"{{"id":"{id}"}}"#)).required_segment("id");
            let expected = if is_accepted { Ok(id) } else { Err("id: an id that is not only dots expected") };
            assert_eq!(read.as_deref().map_err(ToString::to_string), expected.map_err(str::to_owned), "{id}");
        }
    }

    #[test]
    fn the_rest_survives() {
        let mut fields = fields(r#"{"known":"x","unknown":{"deep":[1,2.50]}}"#);
        fields.string("known").unwrap();
        assert_eq!(Value::Object(fields.rest()).to_string(), r#"{"unknown":{"deep":[1,2.5]}}"#);
    }
}
