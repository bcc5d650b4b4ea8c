//! Reads the token in the `Authorization` header.

use http::HeaderMap;
use http::header::AUTHORIZATION;
use platform::bearer;

use super::error::BrokenRule;

/// The maximum length of a token, in bytes. A token of a channel has about 1 KiB, and a token of Entra about
/// 2 KiB.
const MAX_TOKEN_BYTES: usize = 8 * 1024;

/// A table with an entry for each possible byte: whether a token is allowed to contain the byte. The allowed
/// bytes are letters, digits, `-`, `_` and `.`. A look-up in a table is cheap, and the bot checks each of the
/// one to two thousand bytes of a token.
static TOKEN_BYTES: [bool; 256] = {
    let mut allowed = [false; 256];
    let mut byte = 0;
    while byte < allowed.len() {
        allowed[byte] = matches!(byte as u8, b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.');
        byte += 1;
    }
    allowed
};

/// Returns the token. There must be exactly one header, of the form `Bearer <token>`, with one space.
/// `Bearer` can be in upper or lower case.
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
