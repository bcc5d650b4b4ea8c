//! The request of a sender (a program that posts alerts), and the content of the request's body.

use std::borrow::Cow;
use std::fmt;

use percent_encoding::percent_decode;
use serde_json::{Map, Value};

use crate::ShapeError;

/// The maximum number of fields that the crate reads from a form.
const MAX_FIELDS: usize = 64;

/// The request of a sender: its headers and its body.
#[derive(Clone, Copy)]
pub struct Incoming<'a> {
    /// The header `Content-Type`.
    pub content_type: Option<&'a str>,
    /// Looks up a header other than `Content-Type`. The crate passes the name in lower case.
    pub header: &'a dyn Fn(&str) -> Option<&'a str>,
    /// The body. The caller limits the size of the body.
    pub body: &'a [u8],
    /// Parses JSON. The caller passes its own parser, because the code of a parser is large. So the caller's
    /// WebAssembly component contains only one parser.
    pub json: fn(&[u8]) -> serde_json::Result<Value>,
}

impl fmt::Debug for Incoming<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Incoming").field("content_type", &self.content_type).finish_non_exhaustive()
    }
}

/// The content of a body.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Content {
    /// A JSON value other than a string, or the fields of a form as a JSON object.
    Json(Value),
    /// Any other text, such as the text of a JSON string.
    Text(String),
    /// Bytes that are not UTF-8. Only a CloudEvent with its attributes in headers (`ce-specversion`) can have
    /// such a body.
    Bytes { count: usize },
}

impl Content {
    /// Returns the value of [`Self::Json`]. For any other content, the method returns null.
    pub(crate) fn json(&self) -> &Value {
        match self {
            Self::Json(value) => value,
            Self::Text(_) | Self::Bytes { .. } => &Value::Null,
        }
    }
}

impl Incoming<'_> {
    /// The value of a header other than `Content-Type`, without the blanks around the value. `None` if the
    /// header is missing or blank.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        (self.header)(name).map(str::trim).filter(|value| !value.is_empty())
    }

    /// The media type in lower case, without parameters.
    pub(crate) fn media_type(&self) -> String {
        let whole = self.content_type.unwrap_or_default();
        whole.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
    }

    /// Reads the body. If the body begins with `{` or `[`, the method reads JSON, even if the `Content-Type`
    /// names another type, because `curl -d` sends JSON with the type of a form. If the JSON is not valid,
    /// and the type is `text/…` (other than `text/json`), the method reads the body as text. If the body
    /// begins with another character, the `Content-Type` decides whether the method reads a form, JSON or
    /// text.
    pub(crate) fn content(&self) -> Result<Content, ShapeError> {
        let media_type = self.media_type();
        let text = match std::str::from_utf8(self.body) {
            Ok(text) => text.trim_start_matches('\u{feff}').trim(),
            Err(_) if self.header("ce-specversion").is_some() => {
                return Ok(Content::Bytes { count: self.body.len() });
            }
            Err(error) => return Err(ShapeError::NotUtf8 { at: error.valid_up_to() }),
        };
        let is_form = media_type == "application/x-www-form-urlencoded";
        let is_text = media_type.starts_with("text/") && media_type != "text/json";
        if text.starts_with(['{', '[']) {
            return match self.parse(text) {
                Err(_) if is_text => Ok(Content::Text(text.to_owned())),
                parsed => parsed,
            };
        }
        if is_form {
            return self.form(text);
        }
        if media_type.ends_with("json") && !text.is_empty() {
            // A JSON value can also be a text in quotes. The text without the quotes is the content.
            return match self.parse(text)? {
                Content::Json(Value::String(text)) => Ok(Content::Text(text)),
                content => Ok(content),
            };
        }
        Ok(Content::Text(text.to_owned()))
    }

    fn parse(&self, text: &str) -> Result<Content, ShapeError> {
        let parsed = (self.json)(text.as_bytes()).map(Content::Json);
        parsed.map_err(|error| ShapeError::NotJson { line: error.line(), column: error.column() })
    }

    /// Reads a form. A form of Slack or GitHub can have JSON in the field `payload`. If no field has a known
    /// name (such as `text`), the method reads the whole body as a text. The reason: `curl -d 'done'` sends a
    /// text with the type of a form.
    fn form(&self, text: &str) -> Result<Content, ShapeError> {
        let mut fields = Map::new();
        for pair in text.split('&').take(MAX_FIELDS) {
            let Some((name, value)) = pair.split_once('=') else { continue };
            let name = decoded(name).into_owned();
            let value = decoded(value).into_owned();
            if name == "payload" && value.trim_start().starts_with(['{', '[']) {
                return self.parse(value.trim());
            }
            fields.entry(name).or_insert(Value::String(value));
        }
        let is_plain = ["text", "message", "title", "body"].iter().any(|name| fields.contains_key(*name));
        match is_plain {
            true => Ok(Content::Json(Value::Object(fields))),
            false => Ok(Content::Text(decoded(text).into_owned())),
        }
    }
}

fn decoded(text: &str) -> Cow<'_, str> {
    let spaced = match text.contains('+') {
        true => Cow::Owned(text.replace('+', " ")),
        false => Cow::Borrowed(text),
    };
    match spaced {
        Cow::Borrowed(text) => percent_decode(text.as_bytes()).decode_utf8_lossy(),
        Cow::Owned(text) => Cow::Owned(percent_decode(text.as_bytes()).decode_utf8_lossy().into_owned()),
    }
}
