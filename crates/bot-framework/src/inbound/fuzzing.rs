//! The functions that the fuzz targets in `fuzz/` call. Only builds with `--cfg fuzzing` contain these
//! functions.

use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderValue};

use super::key_set::KeySet;
use super::token::UnverifiedToken;
use super::{bearer, rs256};

/// Reads the token of an `Authorization` header, and checks the result.
pub fn read_token(authorization: &[u8]) {
    let Ok(value) = HeaderValue::from_bytes(authorization) else { return };
    let headers = HeaderMap::from_iter([(AUTHORIZATION, value)]);
    if let Ok(token) = bearer::token_of(&headers).and_then(UnverifiedToken::parse) {
        assert!(
            !token.key_id.is_empty() && !token.claims.issuer.is_empty() && !token.claims.audience.is_empty()
        );
        assert_eq!(token.signed.split('.').count(), 2);
    }
}

/// Reads a JWK set (a list of keys in JSON). Checks that writing and reading the set changes nothing, and
/// that each key refuses a wrong signature.
pub fn use_key_set(set: &[u8]) {
    let keys = KeySet::read(&serde_json::from_slice(set).unwrap_or_default());
    assert_eq!(KeySet::read(&serde_json::json!({"keys": keys.to_json()})), keys);
    for key in keys.iter() {
        assert!(rs256::check(key, "a.b", &[1; 256]).is_err(), "a signature of ones must not be valid");
    }
}
