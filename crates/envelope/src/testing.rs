//! For tests: the encodings that producers (programs that write to the queue) put around the JSON of a
//! message.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD};

/// The name of an encoding, and the function that puts the encoding around a JSON text.
pub type Wrapping = (&'static str, fn(&str) -> String);

/// The encodings that the poller decodes. Microsoft's 2017 bot templates read the queue with Azure Functions,
/// and the list has every encoding that these functions read. The list also has some encodings that producers
/// write by mistake.
pub const WRAPPINGS: [Wrapping; 18] = [
    ("JSON", str::to_owned),
    ("JSON with a BOM and white space", |json| format!(" \u{FEFF}{json}\r\n")),
    ("base64", |json| STANDARD.encode(json)),
    ("base64 in lines of 60, as Ruby writes it", |json| in_lines(&STANDARD.encode(json), 60, "\n")),
    ("base64 in lines of 76, as MIME has it", |json| in_lines(&STANDARD.encode(json), 76, "\r\n")),
    ("base64 with white space", |json| format!("\t {} ", in_lines(&STANDARD.encode(json), 4, " "))),
    ("base64 without padding", |json| STANDARD_NO_PAD.encode(json)),
    ("base64url", |json| URL_SAFE.encode(json)),
    ("base64url without padding", |json| URL_SAFE_NO_PAD.encode(json)),
    ("base64 twice", |json| STANDARD.encode(STANDARD.encode(json))),
    ("base64 twice, in lines", |json| STANDARD.encode(in_lines(&STANDARD.encode(json), 60, "\n"))),
    ("UTF-8 with a BOM", |json| STANDARD.encode(format!("\u{FEFF}{json}"))),
    ("UTF-16, little endian, with a BOM", |json| in_utf16(&format!("\u{FEFF}{json}"), u16::to_le_bytes)),
    ("UTF-16, big endian, with a BOM", |json| in_utf16(&format!("\u{FEFF}{json}"), u16::to_be_bytes)),
    ("UTF-16, little endian, as .NET's Encoding.Unicode", |json| in_utf16(json, u16::to_le_bytes)),
    ("JSON in a JSON string", |json| serde_json::Value::from(json).to_string()),
    ("base64 in a JSON string", |json| format!("\"{}\"", in_lines(&STANDARD.encode(json), 60, "\\r\\n"))),
    ("base64 as Python's str() of bytes", |json| format!("b'{}'", STANDARD.encode(json))),
];

fn in_lines(text: &str, length: usize, end: &str) -> String {
    text.as_bytes().chunks(length).map(|line| String::from_utf8_lossy(line) + end).collect()
}

fn in_utf16(text: &str, bytes: fn(u16) -> [u8; 2]) -> String {
    STANDARD.encode(text.encode_utf16().flat_map(bytes).collect::<Vec<_>>())
}
