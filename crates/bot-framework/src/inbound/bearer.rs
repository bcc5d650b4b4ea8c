//! Reads the token in the `Authorization` header.

use http::HeaderMap;
use http::header::AUTHORIZATION;
use platform::bearer;

use super::error::BrokenRule;

/// The maximum length of a token, in bytes. A token that a channel (a chat service such as Teams) sends has
/// about 1 KiB. A token that Entra issued has about 2 KiB.
const MAX_TOKEN_BYTES: usize = 8 * 1024;

/// For each possible byte, whether a token is allowed to contain this byte. The allowed bytes are letters,
/// digits, `-`, `_` and `.`. A table makes the check of a byte cheap, and a token has one to two thousand
/// bytes.
static TOKEN_BYTES: [bool; 256] = {
    let mut allowed = [false; 256];
    let mut byte = 0;
    while byte < allowed.len() {
        allowed[byte] = matches!(byte as u8, b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.');
        byte += 1;
    }
    allowed
};

/// Returns the token. The request must have exactly one header `Authorization`, of the form `Bearer <token>`,
/// with one space. `Bearer` can be in upper or lower case.
pub(super) fn token_of(headers: &HeaderMap) -> Result<&str, BrokenRule> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let value = values.next().ok_or(BrokenRule::Missing)?;
    if values.next().is_some() {
        return Err(BrokenRule::NotBearer);
    }
    let token = value.to_str().ok().and_then(bearer).ok_or(BrokenRule::NotBearer)?;
    if token.len() > MAX_TOKEN_BYTES {
        return Err(BrokenRule::TooLong);
    }
    let is_token = |byte: u8| TOKEN_BYTES[usize::from(byte)];
    if token.is_empty() || !token.bytes().all(is_token) { Err(BrokenRule::NotBearer) } else { Ok(token) }
}
