//! Reads JSON, and refuses an object that contains a member twice. RFC 7515 section 4 lets a reader either
//! refuse such an object, or use the last of the two members. This module refuses the object. Otherwise, a
//! program that uses the first member and a program that uses the last member would read the same signed
//! token differently.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::map::Entry;
use serde_json::{Map, Value};

use super::error::BrokenRule;

/// Reads the JSON object in `bytes`.
pub(super) fn object(bytes: &[u8]) -> Result<Map<String, Value>, BrokenRule> {
    let mut has_duplicate = false;
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    let value = Strict { has_duplicate: &mut has_duplicate }.deserialize(&mut reader);
    match (value, reader.end()) {
        _ if has_duplicate => Err(BrokenRule::DuplicateMember),
        (Ok(Value::Object(object)), Ok(())) => Ok(object),
        _ => Err(BrokenRule::Malformed),
    }
}

/// Reads a value of any type, and records whether a member was set twice.
struct Strict<'a> {
    has_duplicate: &'a mut bool,
}

impl<'de> DeserializeSeed<'de> for Strict<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let mut object = Map::new();
        while let Some(name) = access.next_key::<String>()? {
            let Entry::Vacant(member) = object.entry(name) else {
                *self.has_duplicate = true;
                return Err(A::Error::custom("a member is set twice"));
            };
            member.insert(access.next_value_seed(Strict { has_duplicate: self.has_duplicate })?);
        }
        Ok(object.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let mut values = Vec::new();
        while let Some(value) = access.next_element_seed(Strict { has_duplicate: self.has_duplicate })? {
            values.push(value);
        }
        Ok(values.into())
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }
}
