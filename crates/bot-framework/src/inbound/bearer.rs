//! The `Authorization` header.

use http::HeaderMap;
use http::header::AUTHORIZATION;

use super::error::BrokenRule;

/// Channels' tokens have about 1 KiB, Entra's about 2.
const MAX_TOKEN_BYTES: usize = 8 * 1024;

/// The token of exactly one header that is exactly `Bearer <token>`: one space, and the scheme in this case, as the
/// channels send it (botbuilder-js: `jwtTokenExtractor.ts`).
pub(super) fn token_of(headers: &HeaderMap) -> Result<&str, BrokenRule> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let value = values.next().ok_or(BrokenRule::Missing)?;
    if values.next().is_some() {
        return Err(BrokenRule::NotBearer);
    }
    let token = value.as_bytes().strip_prefix(b"Bearer ").ok_or(BrokenRule::NotBearer)?;
    if token.len() > MAX_TOKEN_BYTES {
        return Err(BrokenRule::TooLong);
    }
    let is_token = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    if token.is_empty() || !token.iter().all(is_token) {
        return Err(BrokenRule::NotBearer);
    }
    std::str::from_utf8(token).map_err(|_| BrokenRule::NotBearer)
}
