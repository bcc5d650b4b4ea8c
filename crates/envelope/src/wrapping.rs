//! Finds the JSON in the text of a queue message. Producers (programs that write to the queue) put different
//! encodings around the JSON.
//!
//! Bots that were made with Microsoft's 2017 templates let Azure Functions read the queue. The queue trigger
//! of Azure Functions calls .NET's `Convert.FromBase64String`, which skips blanks and line ends
//! (<https://learn.microsoft.com/dotnet/api/system.convert.frombase64string>). A function in Node.js can
//! decode base64 with `Buffer.from`, which also accepts base64url (base64 with another alphabet), and needs
//! no padding (<https://nodejs.org/api/buffer.html#buffers-and-character-encodings>). This module accepts all
//! these forms of base64, so that the poller can read all messages that the old functions could read.
//!
//! A *seal* (the HMAC of a message) covers the members of the parsed JSON, and not the encoding around the
//! JSON. So no encoding makes a broken seal valid.

use std::borrow::Cow;

use base64::Engine;
use base64::alphabet;
use base64::engine::general_purpose::GeneralPurpose;
use base64::engine::{DecodePaddingMode, GeneralPurposeConfig};
use bot_framework::json::value_of;
use serde_json::Value;

use crate::decode_error::{COMPRESSED_COOKIE, DecodeError};

/// The most layers of base64 that this module decodes. Some clients encode a text that their caller has
/// already encoded.
const MAX_LAYERS: usize = 2;

/// The base64 decoder. Like Node's decoder, it needs no padding and ignores surplus bits at the end.
const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_allow_trailing_bits(true)
        .with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Returns the JSON object in the text of a queue message, unparsed.
///
/// The text can be plain JSON, base64 of JSON, or base64 of that base64. The base64 can have blanks and line
/// ends, the alphabet of base64url, or no padding. In base64, the JSON can be UTF-8 or UTF-16, with or
/// without a byte order mark. The JSON or the base64 can be quoted: as a JSON string (`"..."`), or as Python
/// prints bytes (`b'...'`).
///
/// Every reader of messages calls this function, so that all readers decode a message in the same way.
pub fn json_of(text: &str) -> Result<Cow<'_, str>, DecodeError> {
    let mut text = bare(text);
    for _ in 0..MAX_LAYERS {
        // The first character tells JSON from base64, because no base64 begins with a brace.
        if text.starts_with('{') {
            return Ok(text);
        }
        text = Cow::Owned(bare(&decoded(&text)?).into_owned());
    }
    if text.starts_with('{') { Ok(text) } else { Err(DecodeError::NotJson) }
}

/// Removes white space and byte order marks around the text. Then removes Python's `b'` and `'`, or decodes a
/// JSON string.
fn bare(text: &str) -> Cow<'_, str> {
    let text = trimmed(text);
    if let Some(inner) = text.strip_prefix("b'").and_then(|text| text.strip_suffix('\'')) {
        return inner.into();
    }
    if text.starts_with('"')
        && let Some(Value::String(inner)) = value_of(text.as_bytes())
    {
        return Cow::Owned(trimmed(&inner).to_owned());
    }
    text.into()
}

fn trimmed(text: &str) -> &str {
    text.trim_matches(|c: char| c.is_ascii_whitespace() || c == '\u{FEFF}')
}

fn decoded(text: &str) -> Result<String, DecodeError> {
    // Most texts contain only characters of standard base64, so the function first decodes the text as it is.
    // If this fails, the function decodes a copy without white space, and with the standard alphabet.
    let bytes = LENIENT.decode(text).or_else(|_| {
        let plain = text.bytes().filter(|byte| !byte.is_ascii_whitespace()).map(|byte| match byte {
            b'-' => b'+',
            b'_' => b'/',
            other => other,
        });
        LENIENT.decode(plain.collect::<Vec<_>>()).map_err(|_| DecodeError::NotJson)
    })?;
    // The first bytes of gzip (RFC 1952). Some old C# bots compressed the address of a message (the
    // `ResumptionCookie`) with gzip.
    if bytes.starts_with(&[0x1f, 0x8b]) {
        return Err(COMPRESSED_COOKIE);
    }
    characters(bytes).ok_or(DecodeError::NotJson)
}

/// Decodes UTF-8 or UTF-16. The function detects UTF-16 by its byte order mark. Without the mark, it detects
/// UTF-16 by a zero byte beside the first brace, because .NET's `Encoding.Unicode.GetBytes` writes no mark.
/// If one half of a surrogate pair is missing, the other half becomes the replacement character.
fn characters(bytes: Vec<u8>) -> Option<String> {
    let unit: fn([u8; 2]) -> u16 = match *bytes {
        [0xFF, 0xFE, ..] | [b'{', 0, ..] => u16::from_le_bytes,
        [0xFE, 0xFF, ..] | [0, b'{', ..] => u16::from_be_bytes,
        _ => return String::from_utf8(bytes).ok(),
    };
    let (units, rest) = bytes.as_chunks();
    let characters = char::decode_utf16(units.iter().map(|bytes| unit(*bytes)));
    rest.is_empty().then(|| characters.map(|read| read.unwrap_or(char::REPLACEMENT_CHARACTER)).collect())
}
