//! The `Authorization` header.

use http::HeaderMap;
use http::header::AUTHORIZATION;
use platform::bearer;

use super::error::BrokenRule;

/// The longest token that is accepted. Tokens of channels have about 1 KiB, Entra's about 2 KiB.
const MAX_TOKEN_BYTES: usize = 8 * 1024;

/// Returns the token. There must be one header, of the form `Bearer <token>`, with one space. The case of the
/// scheme does not matter.
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
    let is_token = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    if token.is_empty() || !token.bytes().all(is_token) { Err(BrokenRule::NotBearer) } else { Ok(token) }
}
