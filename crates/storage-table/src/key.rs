//! The key of an entity (its partition key and its row key), and [`escape`], which makes a valid partition
//! key or row key from any text.

use platform::hex;
use sha2::{Digest, Sha256};

use crate::error::TableError;

/// The longest partition key or row key, in UTF-16 units. Every implementation of the service (Azure or an
/// emulator) accepts this length.
const LONGEST_UNITS: usize = 512;

/// The key of an entity. Both parts are texts of at most 512 UTF-16 units, without `/`, `\`, `#`, `?` and
/// control characters. [`escape`] makes such a text from any text. The client quotes the parts and encodes
/// them for the URL, so the caller must do neither.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    /// The partition key. All entities of a transaction must have the same partition key. A query of one
    /// partition is cheap.
    pub partition: String,
    /// The row key, unique within its partition.
    pub row: String,
}

impl Key {
    /// Makes a key of these two texts. The client checks the texts when a call uses the key.
    pub fn new(partition: impl Into<String>, row: impl Into<String>) -> Self {
        Self { partition: partition.into(), row: row.into() }
    }

    pub(crate) fn check(&self) -> Result<(), TableError> {
        check_part("PartitionKey", &self.partition)?;
        check_part("RowKey", &self.row)
    }
}

fn check_part(part: &str, text: &str) -> Result<(), TableError> {
    if utf16_units(text) > LONGEST_UNITS {
        return Err(TableError::Invalid(format!(
            "{part}: expected at most {LONGEST_UNITS} UTF-16 units; use escape()"
        )));
    }
    if text.chars().any(is_forbidden) {
        return Err(TableError::Invalid(format!(
            "{part}: expected no control characters, `/`, `\\`, `#` or `?`; use escape()"
        )));
    }
    Ok(())
}

/// The length of a text in UTF-16.
pub(crate) fn utf16_units(text: &str) -> usize {
    // Nearly every text is ASCII, and an ASCII text has as many UTF-16 units as bytes. So this check usually
    // saves the slower count.
    if text.is_ascii() { text.len() } else { text.encode_utf16().count() }
}

pub(crate) fn is_forbidden(character: char) -> bool {
    matches!(character, '/' | '\\' | '#' | '?') || character.is_control()
}

/// Escapes any text, so that the text can be a partition key or a row key, alone or joined with other texts.
/// The function escapes `!`, `%`, and the characters that these keys must not contain. Each UTF-8 byte of an
/// escaped character becomes `!` and two hexadecimal digits.
///
/// The function escapes `%` because a proxy can decode the URL twice. For example, a key contains `%2F`, and
/// the client encodes the key as `%252F`. After the second decoding, the key would contain `/`, which keys
/// must not contain.
///
/// If the escaped text is longer than 512 UTF-16 units, the function returns `!h` and the SHA-256 of `text`
/// in hexadecimal instead. No other text has the same result: another long text has another hash, and an
/// escaped character never begins with `!h`, because `h` is not a hexadecimal digit. [`unescape`] cannot
/// restore a hashed text, so store the text in a property if you need it.
pub fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        if is_forbidden(character) || matches!(character, '!' | '%') {
            for byte in character.encode_utf8(&mut [0; 4]).bytes() {
                escaped.push('!');
                escaped.push_str(&hex(&[byte]));
            }
        } else {
            escaped.push(character);
        }
    }
    if utf16_units(&escaped) <= LONGEST_UNITS {
        return escaped;
    }
    format!("!h{}", hex(&Sha256::digest(text)))
}

/// Returns the text that [`escape`] escaped. `None` if `text` is a hash. Also `None` if two hexadecimal
/// digits do not follow every `!`, or if the result is not UTF-8.
pub fn unescape(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((plain, escaped)) = rest.split_once('!') {
        bytes.extend_from_slice(plain.as_bytes());
        let digits = escaped.get(..2).filter(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit()))?;
        bytes.push(u8::from_str_radix(digits, 16).ok()?);
        rest = escaped.get(2..)?;
    }
    bytes.extend_from_slice(rest.as_bytes());
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn text_with_each_kind_of_character_is_escaped_and_unescaped_as_documented() {
        for (text, expected) in [
            ("", ""),
            ("19:abc@thread.v2;messageid=1", "19:abc@thread.v2;messageid=1"),
            ("https://smba.example/amer/?a#b", "https:!2f!2fsmba.example!2famer!2f!3fa!23b"),
            ("o'brien & söhne 🦀", "o'brien & söhne 🦀"),
            ("50%!", "50!25!21"),
            ("\t\u{7F}\u{9F}", "!09!7f!c2!9f"),
            ("\\", "!5c"),
        ] {
            assert_eq!(escape(text), expected);
            assert_eq!(unescape(expected).as_deref(), Some(text));
        }
        for text in ["!", "!4", "!zz", "!+1", "a!ff", "!h12"] {
            assert_eq!(unescape(text), None, "{text}");
        }
    }

    #[test]
    fn escaped_text_of_more_than_512_units_becomes_a_hash() {
        for (text, escaped_units) in [
            ("a".repeat(512), 512),
            ("ü".repeat(512), 512),
            ("🦀".repeat(256), 512),
            ("a".repeat(513), 66),
            ("🦀".repeat(257), 66),
            ("/".repeat(170), 510),
            ("/".repeat(171), 66),
        ] {
            let escaped = escape(&text);
            assert_eq!(escaped.encode_utf16().count(), escaped_units);
            assert_eq!(unescape(&escaped), (escaped_units > 66).then_some(text));
        }
        assert_ne!(escape(&"a".repeat(513)), escape(&"b".repeat(513)));
    }

    #[test]
    fn key_with_a_forbidden_character_or_more_than_512_units_is_an_error() {
        for (text, valid) in [
            ("", true),
            ("a b:c@d;e=f%g", true),
            ("a/b", false),
            ("a\\b", false),
            ("a#b", false),
            ("a?b", false),
            ("a\nb", false),
            ("a\u{85}b", false),
            (&"ü".repeat(512), true),
            (&"ü".repeat(513), false),
        ] {
            assert_eq!(Key::new(text, "r").check().is_ok(), valid, "{text:?}");
            assert_eq!(Key::new("p", text).check().is_ok(), valid, "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn escaped_text_is_a_valid_key_and_can_be_unescaped_unless_hashed(text in any::<String>()) {
            let escaped = escape(&text);
            prop_assert!(Key::new(&*escaped, "r").check().is_ok());
            if !escaped.starts_with("!h") {
                prop_assert_eq!(unescape(&escaped), Some(text));
            }
        }

        #[test]
        fn unescape_of_any_text_never_panics(text in "[!0-9a-fü/]{0,20}") {
            _ = unescape(&text);
        }
    }
}
