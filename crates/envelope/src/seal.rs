//! The seal of an *envelope* (an alert as JSON in a queue message). The seal is an HMAC-SHA256 over the
//! canonical bytes of all other fields of the envelope. The *canonical bytes* are JSON without white space,
//! with sorted JSON keys.
//!
//! Without seals, every program that can write to the queue could make the bot send any text to any
//! conversation.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use serde::Serialize;
use serde_json::{Map, Value};
use sha2::Sha256;

/// The key that makes and checks seals. While the operator replaces the key in the variable `sealkey`, the
/// struct also holds the earlier key.
#[derive(Clone)]
pub struct SealKey {
    current: Hmac<Sha256>,
    /// The earlier key, which checks the seals of older envelopes, and makes no seals.
    previous: Option<Hmac<Sha256>>,
}

impl SealKey {
    /// Makes a key from these bytes. The caller derives the bytes from a secret.
    pub fn new(bytes: [u8; 32]) -> Self {
        Self { current: keyed(bytes), previous: None }
    }

    /// Makes a `SealKey` from the bytes of one or two keys. The first key makes and checks seals, and the
    /// second key only checks seals. The function ignores further keys. `None` if `keys` is empty.
    pub fn of(keys: &[[u8; 32]]) -> Option<Self> {
        let current = keyed(*keys.first()?);
        Some(Self { current, previous: keys.get(1).copied().map(keyed) })
    }

    /// The JSON of an object, with the seal as the last member. The object must not be empty, because a comma
    /// precedes the seal.
    pub(crate) fn sealed_json(&self, object: &Map<String, Value>) -> Vec<u8> {
        // The canonical bytes are valid JSON of the object. So the function only inserts the seal before the
        // last brace.
        let mut json = canonical(object);
        let seal = self.seal(&json);
        json.pop();
        json.extend([r#","seal":""#, &seal, r#""}"#].concat().bytes());
        json
    }

    fn seal(&self, canonical: &[u8]) -> String {
        URL_SAFE_NO_PAD.encode(mac(&self.current, canonical).finalize().into_bytes())
    }

    pub(crate) fn check(&self, object: &Map<String, Value>, seal: &str) -> SealState {
        let claimed = URL_SAFE_NO_PAD.decode(seal).unwrap_or_default();
        let canonical = canonical(object);
        let is_made_with = |key: &Hmac<Sha256>| mac(key, &canonical).verify_slice(&claimed).is_ok();
        if is_made_with(&self.current) || self.previous.as_ref().is_some_and(is_made_with) {
            SealState::Valid
        } else {
            SealState::Broken
        }
    }
}

fn keyed(bytes: [u8; 32]) -> Hmac<Sha256> {
    #[allow(clippy::expect_used, reason = "HMAC takes keys of every length")]
    Hmac::new_from_slice(&bytes).expect("any length will do")
}

fn canonical(object: &Map<String, Value>) -> Vec<u8> {
    let mut canonical = Vec::with_capacity(1024);
    write_object(object, &mut canonical);
    canonical
}

fn mac(key: &Hmac<Sha256>, canonical: &[u8]) -> Hmac<Sha256> {
    // `key` already contains the hash of the key's bytes, so this function does not compute this hash again.
    let mut mac = key.clone();
    mac.update(canonical);
    mac
}

impl fmt::Debug for SealKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SealKey(***)")
    }
}

/// The result of checking an envelope's seal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SealState {
    /// A program with the seal key wrote the envelope, and the envelope is unchanged.
    Valid,
    /// The envelope has no seal. Usually, a program without a seal key wrote the envelope.
    Missing,
    /// The envelope was changed, or was sealed with another seal key.
    Broken,
    /// The envelope has a seal, but the reader has no seal key to check the seal.
    Unchecked,
}

/// The rule for envelopes without a seal. The variable `unsealed` sets the rule for envelopes on the queue,
/// which the poller reads. The variable `unsealedtriggers` sets the rule for envelopes in *triggers*, i.e. in
/// activities by which a program makes the bot send an alert at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unsealed {
    /// Send the envelope's alert to the chat, if the host in the envelope's `serviceUrl` is trusted.
    Allow,
    /// Refuse the envelope.
    Refuse,
}

/// Writes JSON without white space. At each level, the JSON keys are sorted by their bytes. The function
/// sorts the keys itself, because the order of keys in a map depends on the features of serde_json.
fn write_value(value: &Value, out: &mut Vec<u8>) {
    match value {
        Value::Object(object) => write_object(object, out),
        Value::Array(values) => {
            out.push(b'[');
            for (index, value) in values.iter().enumerate() {
                if index > 0 {
                    out.push(b',');
                }
                write_value(value, out);
            }
            out.push(b']');
        }
        scalar => write_scalar(scalar, out),
    }
}

fn write_scalar(scalar: &(impl Serialize + ?Sized), out: &mut Vec<u8>) {
    // Writing into memory does not fail.
    _ = serde_json::to_writer(out, scalar);
}

fn write_object(object: &Map<String, Value>, out: &mut Vec<u8>) {
    let mut entries: Vec<_> = object.iter().collect();
    entries.sort_unstable_by_key(|(key, _)| key.as_bytes());
    out.push(b'{');
    for (index, (key, value)) in entries.into_iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        write_scalar(key.as_str(), out);
        out.push(b':');
        write_value(value, out);
    }
    out.push(b'}');
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn seal(key: &SealKey, object: &Map<String, Value>) -> String {
        key.seal(&canonical(object))
    }

    #[test]
    fn canonical_bytes_are_sorted_and_compact() {
        let value = json!({"b": [1, {"z": null, "a": "ü\n"}], "a": 1.5, "A": true});
        let mut canonical = Vec::new();
        write_value(&value, &mut canonical);
        assert_eq!(
            String::from_utf8(canonical).unwrap(),
            r#"{"A":true,"a":1.5,"b":[1,{"a":"ü\n","z":null}]}"#
        );
    }

    #[test]
    fn seal_of_an_object_never_changes() {
        // Computed with Python: hmac.new(bytes(range(32)), b'{"a":1}', sha256), base64url without padding.
        let key = SealKey::new(std::array::from_fn(|index| index as u8));
        let Value::Object(object) = json!({"a": 1}) else { unreachable!() };
        assert_eq!(seal(&key, &object), "tM694wmCRD7DbBj6ma0Qpw5wW7p3n1fDfoTey2SuUPs");
        assert_eq!(key.check(&object, &seal(&key, &object)), SealState::Valid);
    }

    #[test]
    fn second_seal_key_checks_seals_but_makes_no_seal() {
        let (old, new) = ([7; 32], [8; 32]);
        let Value::Object(object) = json!({"a": 1}) else { unreachable!() };
        let both = SealKey::of(&[new, old]).unwrap();
        assert_eq!(seal(&both, &object), seal(&SealKey::new(new), &object));
        for (key, expected) in
            [(new, SealState::Valid), (old, SealState::Valid), ([9; 32], SealState::Broken)]
        {
            assert_eq!(both.check(&object, &seal(&SealKey::new(key), &object)), expected, "{key:?}");
        }
        assert_eq!(
            SealKey::of(&[new]).unwrap().check(&object, &seal(&SealKey::new(old), &object)),
            SealState::Broken
        );
        assert!(SealKey::of(&[]).is_none());
    }

    #[test]
    fn seal_is_broken_if_a_field_or_the_seal_or_the_key_was_changed() {
        let key = SealKey::new([7; 32]);
        let Value::Object(object) = json!({"a": 1, "b": {"c": "x"}}) else { unreachable!() };
        let seal = seal(&key, &object);
        for changed in [
            json!({"a": 2, "b": {"c": "x"}}),
            json!({"a": 1, "b": {"c": "y"}}),
            json!({"a": 1}),
            json!({"a": 1, "b": {"c": "x"}, "d": 0}),
        ] {
            let Value::Object(changed) = changed else { unreachable!() };
            assert_eq!(key.check(&changed, &seal), SealState::Broken);
        }
        for other in
            ["", "AAAA", "not base64!", &seal[..seal.len() - 1], &format!("{seal}="), &seal.to_uppercase()]
        {
            assert_eq!(key.check(&object, other), SealState::Broken, "{other}");
        }
        assert_eq!(SealKey::new([8; 32]).check(&object, &seal), SealState::Broken);
        assert_eq!(format!("{key:?}"), "SealKey(***)");
    }
}
