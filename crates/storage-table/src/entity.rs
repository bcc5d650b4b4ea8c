//! Checks and writes entities for a request, and reads entities from a response.

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde::ser::{SerializeMap, Serializer};
use serde_json::{Map, Number, Value};

use crate::error::TableError;
use crate::key::{Key, utf16_units};
use crate::names::ETag;
use crate::op::OP;

/// The ending of a JSON member's name, if the member holds the type of a property. For example, the member
/// `x@odata.type` holds the type of the property `x`.
pub(crate) const TYPE_SUFFIX: &str = "@odata.type";
pub(crate) const INT64: &str = "Edm.Int64";
const KEYS: [&str; 2] = ["PartitionKey", "RowKey"];
const TIMESTAMP: &str = "Timestamp";

/// The service allows 252 properties, and the client's own property [`op`](crate::op) is one of them.
const MOST_PROPERTIES: usize = 251;
const LONGEST_NAME_CHARACTERS: usize = 255;
const LONGEST_STRING_UNITS: usize = 32_768;
const LARGEST_ENTITY_BYTES: usize = 1024 * 1024;

/// An entity: its key and its properties. The properties do not include the key, the timestamp, or the
/// client's own property `op`. By `op`, the client later recognises its own writes.
#[derive(Debug, Clone, PartialEq)]
pub struct Entity {
    /// The key.
    pub key: Key,
    /// The properties. A property is a string, a boolean, a whole number of 32 bits, a floating-point number,
    /// or a whole number of 64 bits (Int64). To set an Int64, use [`Entity::int64`].
    ///
    /// After a read, an Int64 is a string, and its type is missing. Before you write the entity again, call
    /// [`Entity::int64`] for each Int64. Otherwise, the service stores the property as a String, and no
    /// filter on numbers finds the entity.
    pub properties: Map<String, Value>,
}

/// An entity that the client has read. The times come from the service's clock.
#[derive(Debug, Clone, PartialEq)]
pub struct Found {
    /// The entity.
    pub entity: Entity,
    /// The version of the entity.
    pub etag: ETag,
    /// When the entity was written (`Timestamp`).
    pub written_at: DateTime<Utc>,
    /// When the service sent the response (`Date`). This time is in whole seconds, so `answered_at` can be a
    /// little earlier than `written_at`.
    pub answered_at: DateTime<Utc>,
}

impl Entity {
    /// Makes an entity without properties.
    pub fn new(key: Key) -> Self {
        Self { key, properties: Map::new() }
    }

    /// Sets a property to a string, a boolean, a whole number of 32 bits, or a floating-point number.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.properties.insert(name.to_owned(), value.into());
        self
    }

    /// Sets a property to a whole number of 64 bits, like [`Entity::int64`].
    #[must_use]
    pub fn with_int64(mut self, name: &str, value: i64) -> Self {
        self.int64(name, value);
        self
    }

    /// Sets a property to a whole number of 64 bits. In JSON, the value is a string, and the member
    /// `<name>@odata.type` gives the type.
    pub fn int64(&mut self, name: &str, value: i64) {
        self.properties.insert([name, TYPE_SUFFIX].concat(), INT64.into());
        self.properties.insert(name.to_owned(), value.to_string().into());
    }

    /// Returns the property, if it is a string.
    pub fn str(&self, name: &str) -> Option<&str> {
        self.properties.get(name)?.as_str()
    }

    /// Returns the property, if it is a whole number. A string with a whole number counts, too, because the
    /// service returns an Int64 as a string.
    pub fn int(&self, name: &str) -> Option<i64> {
        match self.properties.get(name)? {
            Value::Number(number) => number.as_i64(),
            Value::String(text) => text.parse().ok(),
            _ => None,
        }
    }

    /// Returns the property, if it is a boolean.
    pub fn bool(&self, name: &str) -> Option<bool> {
        self.properties.get(name)?.as_bool()
    }

    /// Returns the body of a write. If `with_keys` is `true`, the body contains the partition key and the row
    /// key. An insert needs both in the body. The other writes have both in the URL.
    pub(crate) fn body(&self, op: &str, with_keys: bool) -> Result<String, TableError> {
        self.check()?;
        Ok(ascii_json(&Body { entity: self, op, with_keys }))
    }

    fn check(&self) -> Result<(), TableError> {
        self.key.check()?;
        // By the service's documentation, the size of an entity is 4 bytes, plus the partition key, plus the
        // row key, plus all properties. The size of a property is 8 bytes, plus the name, plus the value.
        let mut size_bytes = 4 + utf16_bytes(&self.key.partition) + utf16_bytes(&self.key.row);
        let mut count = 0;
        for (name, value) in &self.properties {
            if let Some(typed) = name.strip_suffix(TYPE_SUFFIX) {
                if !self.properties.contains_key(typed) || !value.is_string() {
                    return invalid(typed, "the entity has its type but no value; remove the type");
                }
                continue;
            }
            check_name(name)?;
            count += 1;
            let is_typed = || self.properties.contains_key(&format!("{name}{TYPE_SUFFIX}"));
            size_bytes += 8 + utf16_bytes(name) + check_value(name, value, is_typed)?;
        }
        if count > MOST_PROPERTIES {
            return Err(TableError::Invalid(format!(
                "entity: expected at most {MOST_PROPERTIES} properties, found {count}"
            )));
        }
        if size_bytes > LARGEST_ENTITY_BYTES {
            return Err(TableError::TooLarge);
        }
        Ok(())
    }

    /// Reads an entity from a response. Also returns the entity's `Timestamp`, if the response contains a
    /// `Timestamp`.
    pub(crate) fn read(value: Value) -> Result<(Self, Option<DateTime<Utc>>), TableError> {
        let unreadable = |problem: &str| TableError::Unreadable(problem.to_owned());
        let Value::Object(mut properties) = value else {
            return Err(unreadable("an entity is not a JSON object"));
        };
        let mut text = |name: &str| match properties.remove(name) {
            Some(Value::String(text)) => Ok(text),
            _ => Err(unreadable(&format!("{name} is missing"))),
        };
        let [partition, row] = KEYS;
        let key = Key { partition: text(partition)?, row: text(row)? };
        let timestamp = match properties.remove(TIMESTAMP) {
            Some(Value::String(text)) => {
                let time = DateTime::parse_from_rfc3339(&text);
                Some(time.map_err(|_| unreadable("Timestamp is not a time"))?.to_utc())
            }
            _ => None,
        };
        // The service returns null for a selected property that the entity does not have.
        properties.retain(|name, value| !value.is_null() && !name.starts_with("odata.") && name != OP);
        Ok((Self { key, properties }, timestamp))
    }
}

/// The body of a write.
struct Body<'e> {
    entity: &'e Entity,
    op: &'e str,
    with_keys: bool,
}

impl Serialize for Body<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut body = serializer.serialize_map(None)?;
        if self.with_keys {
            let [partition, row] = KEYS;
            body.serialize_entry(partition, &self.entity.key.partition)?;
            body.serialize_entry(row, &self.entity.key.row)?;
        }
        for (name, value) in &self.entity.properties {
            body.serialize_entry(name, value)?;
        }
        body.serialize_entry(OP, self.op)?;
        body.end()
    }
}

/// Writes JSON in ASCII, because Azurite (the storage emulator) decodes a body piece by piece. If the bytes
/// of a character are in two pieces, Azurite damages the character.
fn ascii_json(value: &impl Serialize) -> String {
    // `to_string` cannot fail here, because the name of each member is text and the target is memory.
    let json = serde_json::to_string(value).unwrap_or_default();
    if json.is_ascii() {
        return json;
    }
    let mut ascii = String::with_capacity(json.len());
    for character in json.chars() {
        if character.is_ascii() {
            ascii.push(character);
        } else {
            for unit in character.encode_utf16(&mut [0; 2]) {
                ascii.push_str(&format!("\\u{unit:04x}"));
            }
        }
    }
    ascii
}

fn utf16_bytes(text: &str) -> usize {
    2 * utf16_units(text)
}

fn invalid<T>(name: &str, problem: &str) -> Result<T, TableError> {
    Err(TableError::Invalid(format!("property {name}: {problem}")))
}

/// Checks the name of a property. The service allows every C# identifier, but this client allows only ASCII
/// identifiers.
fn check_name(name: &str) -> Result<(), TableError> {
    if KEYS.contains(&name) || name == TIMESTAMP || name == OP {
        return invalid(name, "the name is reserved; choose another name");
    }
    let starts_well = name.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_');
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    if starts_well && name.bytes().all(allowed) && name.len() <= LONGEST_NAME_CHARACTERS {
        return Ok(());
    }
    invalid("?", "expected a name of at most 255 letters, digits and `_`, without a digit at the beginning")
}

/// Checks a value, and returns its size in bytes. `is_typed` returns whether the entity gives a type for the
/// property. A number with a type can have more than 32 bits.
fn check_value(name: &str, value: &Value, is_typed: impl Fn() -> bool) -> Result<usize, TableError> {
    match value {
        Value::Bool(_) => Ok(1),
        Value::Number(number) => check_number(name, number, is_typed),
        Value::String(text) => match utf16_bytes(text) {
            bytes if bytes <= 2 * LONGEST_STRING_UNITS => Ok(4 + bytes),
            _ => invalid(name, "the text is longer than 32768 UTF-16 units; split the text"),
        },
        // The service ignores a null without an error, so a merge would keep the old value.
        Value::Null => invalid(name, "null is not stored; to remove the property, replace the whole entity"),
        Value::Array(_) | Value::Object(_) => invalid(name, "nested values are not stored; store JSON text"),
    }
}

fn check_number(name: &str, number: &Number, is_typed: impl Fn() -> bool) -> Result<usize, TableError> {
    let is_int32 = number.as_i64().is_some_and(|number| i32::try_from(number).is_ok());
    if is_int32 || number.is_f64() || is_typed() {
        return Ok(8);
    }
    invalid(name, "the number does not fit in 32 bits; use Entity::int64")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn entity(properties: Value) -> Entity {
        let Value::Object(properties) = properties else { unreachable!() };
        Entity { key: Key::new("p", "r"), properties }
    }

    #[test]
    fn entity_with_non_ascii_text_is_written_as_ascii_and_read_back_unchanged() {
        let entity = Entity::new(Key::new("ü", "🍕")).with("text", "é\u{301}\u{FFFF}🍕\"\\\n");
        let body = entity.body("o", true).unwrap();
        assert!(body.is_ascii() && body.contains(r"\ud83c\udf55"), "{body}");
        let mut read = serde_json::from_str::<Value>(&body).unwrap();
        assert_eq!(read["op"].take(), "o");
        assert_eq!(Entity::read(read), Ok((entity, None)));
    }

    #[test]
    fn body_has_op_and_types_and_has_the_keys_only_if_with_keys_is_true() {
        let entity = entity(json!({"a": 1, "b": "x", "c": true})).with_int64("d", 9_007_199_254_740_993);
        let body: Value = serde_json::from_str(&entity.body("o1", true).unwrap()).unwrap();
        assert_eq!(
            body,
            json!({"PartitionKey": "p", "RowKey": "r", "a": 1, "b": "x", "c": true, "op": "o1",
                "d": "9007199254740993", "d@odata.type": "Edm.Int64"})
        );
        let body: Value = serde_json::from_str(&entity.body("o1", false).unwrap()).unwrap();
        assert!(body.get("PartitionKey").is_none() && body.get("RowKey").is_none());
    }

    #[test]
    fn entity_with_a_property_that_the_service_refuses_is_an_error() {
        for (properties, expected) in [
            (json!({"a": "x".repeat(32_768)}), None),
            (json!({"a": "ü".repeat(32_768)}), None),
            (json!({"a": "ü".repeat(32_769)}), Some("32768")),
            (json!({"a": "🦀".repeat(16_385)}), Some("32768")),
            (json!({"a": i32::MAX, "b": i32::MIN, "c": 1.5}), None),
            (json!({"a": i64::from(i32::MAX) + 1}), Some("int64")),
            (json!({"a": u64::MAX}), Some("int64")),
            (json!({"a": null}), Some("null")),
            (json!({"a": []}), Some("nested")),
            (json!({"a": {}}), Some("nested")),
            (json!({"a-b": 1}), Some("letters")),
            (json!({"1a": 1}), Some("letters")),
            (json!({"": 1}), Some("letters")),
            (json!({"a".repeat(255): 1}), None),
            (json!({"a".repeat(256): 1}), Some("letters")),
            (json!({"op": "x"}), Some("reserved")),
            (json!({"PartitionKey": "x"}), Some("reserved")),
            (json!({"Timestamp": "x"}), Some("reserved")),
            (json!({"a@odata.type": "Edm.Int64"}), Some("type")),
        ] {
            let problem = entity(properties).body("o", false).err().map(|error| error.to_string());
            match expected {
                None => assert_eq!(problem, None),
                Some(part) => assert!(problem.as_ref().unwrap().contains(part), "{problem:?}"),
            }
        }
        let many = |count: usize| (0..count).map(|index| (format!("p{index}"), json!(1))).collect();
        assert!(entity(Value::Object(many(251))).body("o", false).is_ok());
        assert!(matches!(entity(Value::Object(many(252))).body("o", false), Err(TableError::Invalid(_))));
        let big = (0..17).map(|index| (format!("p{index}"), json!("x".repeat(32_000)))).collect();
        assert_eq!(entity(Value::Object(big)).body("o", false), Err(TableError::TooLarge));
    }

    #[test]
    fn entity_read_from_json_leaves_out_op_and_metadata() {
        let (entity, written_at) = Entity::read(json!({
            "odata.etag": "W/x", "PartitionKey": "p", "RowKey": "", "Timestamp": "2026-11-27T11:15:04.5528866Z",
            "until": "9007199254740993", "n": 7, "done": false, "text": "x", "missing": null, "op": "o1"
        }))
        .unwrap();
        assert_eq!(entity.key, Key::new("p", ""));
        assert_eq!(entity.int("until"), Some(9_007_199_254_740_993));
        assert_eq!(
            (entity.int("n"), entity.bool("done"), entity.str("text")),
            (Some(7), Some(false), Some("x"))
        );
        assert_eq!((entity.int("text"), entity.str("n"), entity.bool("missing")), (None, None, None));
        assert_eq!(entity.properties.len(), 4);
        assert_eq!(written_at.unwrap().timestamp_subsec_nanos(), 552_886_600);
        for broken in [json!(1), json!({"PartitionKey": "p"}), json!({"RowKey": "p", "PartitionKey": 1})] {
            assert!(matches!(Entity::read(broken), Err(TableError::Unreadable(_))));
        }
    }
}
