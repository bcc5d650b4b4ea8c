//! Reads a token: a JWS in compact form (RFC 7515 section 7.1). This module does not check the signature.

use std::fmt;

use base64::Engine;
// This engine refuses padding, white space, and a last character whose unused bits are not zero. So each
// signature has only one spelling.
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::error::BrokenRule;
use super::strict_json;
use crate::json::{FieldError, Fields};

/// Header members that carry a key, or that change how a program reads the token. RFC 7515 allows a program
/// to ignore some of these members. But the bot refuses every token that has one or more of these members.
/// No channel writes these members, so a token with such a member is probably an attack.
const FORBIDDEN: [&str; 8] = ["crit", "b64", "jwk", "jku", "x5u", "x5c", "enc", "zip"];

/// The maximum length of a `kid` (key id), in bytes. Issuers use hashes of about 30 characters.
const MAX_KEY_ID_BYTES: usize = 128;

/// A token whose signature has not been checked yet. No part of the token can be trusted before
/// [`super::rs256`] has checked the signature.
pub(super) struct UnverifiedToken<'a> {
    pub(super) key_id: String,
    pub(super) claims: Claims,
    /// Header and claims in the form that was signed.
    pub(super) signed: &'a str,
    pub(super) signature: Vec<u8>,
    /// The decoded JSON of the header and of the claims. The digest of the token's record
    /// ([`super::remembered`]) is a hash of this JSON, the signature and other values. Two different tokens
    /// never have the same JSON and the same signature, because each part has only one spelling in base64url.
    pub(super) json: [Vec<u8>; 2],
}

impl fmt::Debug for UnverifiedToken<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("UnverifiedToken(***)")
    }
}

/// The claims that the rules need.
pub(super) struct Claims {
    pub(super) issuer: String,
    /// `aud`, as one text. A list is refused, because neither channels nor Entra write a list.
    pub(super) audience: String,
    /// `exp`, which is required.
    pub(super) expires: i64,
    /// `nbf`, which can be missing.
    pub(super) not_before: Option<i64>,
    /// `serviceurl`, which only the tokens of channels contain. The claim's name is in lower case, unlike the
    /// activity's `serviceUrl`.
    pub(super) service_url: Option<String>,
    /// `ver`: the version of the token. Only Entra's tokens contain this claim and the claims below.
    pub(super) version: Option<String>,
    /// `tid`: the id of the tenant.
    pub(super) tenant_id: Option<String>,
    /// `appid`: the calling application, in a token of version 1.
    pub(super) app_id: Option<String>,
    /// `azp`: the calling application, in a token of version 2.
    pub(super) authorized_party: Option<String>,
    /// Whether the token has the claim `scp`. This claim lists the permissions that a user gave the
    /// application. If the application got the token without a user, the token has no `scp`.
    pub(super) has_scopes: bool,
    /// `roles`: the permissions that an administrator gave the application.
    pub(super) roles: Vec<String>,
}

impl<'a> UnverifiedToken<'a> {
    /// Reads a token.
    pub(super) fn parse(compact: &'a str) -> Result<Self, BrokenRule> {
        let (signed, signature) = compact.rsplit_once('.').ok_or(BrokenRule::Malformed)?;
        let (header, claims) = signed.split_once('.').ok_or(BrokenRule::Malformed)?;
        let header_json = decode(header)?;
        let key_id = read_header(Fields::new(strict_json::object(&header_json)?, ""))?;
        let claims_json = decode(claims)?;
        let claims = Claims::read(Fields::new(strict_json::object(&claims_json)?, ""))
            .map_err(|_| BrokenRule::Claim)?;
        Ok(Self { key_id, claims, signed, signature: decode(signature)?, json: [header_json, claims_json] })
    }
}

fn decode(part: &str) -> Result<Vec<u8>, BrokenRule> {
    URL_SAFE_NO_PAD.decode(part).map_err(|_| BrokenRule::Malformed)
}

/// Checks the header, and returns the key id. `typ` and unknown members are ignored.
fn read_header(mut header: Fields) -> Result<String, BrokenRule> {
    if FORBIDDEN.iter().any(|name| header.as_object().contains_key(*name)) {
        return Err(BrokenRule::HeaderMember);
    }
    match header.string("alg") {
        Ok(Some(algorithm)) if algorithm == "RS256" => {}
        _ => return Err(BrokenRule::Algorithm),
    }
    let key_id = header.required_string("kid").map_err(|_| BrokenRule::KeyId)?;
    let is_key_id = key_id.len() <= MAX_KEY_ID_BYTES && key_id.bytes().all(|byte| byte.is_ascii_graphic());
    if is_key_id { Ok(key_id) } else { Err(BrokenRule::KeyId) }
}

impl Claims {
    fn read(mut claims: Fields) -> Result<Self, FieldError> {
        // No rule needs the value of `iat` (the time of issue), so the code checks only the type.
        seconds(&mut claims, "iat")?;
        Ok(Self {
            issuer: claims.required_string("iss")?,
            audience: claims.required_string("aud")?,
            expires: seconds(&mut claims, "exp")?.ok_or_else(|| claims.error("exp", "a number"))?,
            not_before: seconds(&mut claims, "nbf")?,
            service_url: claims.string("serviceurl")?,
            version: claims.string("ver")?,
            tenant_id: claims.string("tid")?,
            app_id: claims.string("appid")?,
            authorized_party: claims.string("azp")?,
            has_scopes: claims.take("scp").is_some(),
            roles: texts(&mut claims, "roles")?,
        })
    }
}

/// Takes a list of strings. A missing list is empty.
fn texts(claims: &mut Fields, name: &str) -> Result<Vec<String>, FieldError> {
    let Some(value) = claims.take(name) else { return Ok(Vec::new()) };
    let texts = value.as_array().and_then(|values| {
        values.iter().map(|value| value.as_str().map(str::to_owned)).collect::<Option<Vec<_>>>()
    });
    texts.ok_or_else(|| claims.error(name, "an array of strings"))
}

/// Takes a time in seconds since 1970 (a NumericDate of RFC 7519). The time must be a whole number, because
/// channels and Entra write whole seconds.
fn seconds(claims: &mut Fields, name: &str) -> Result<Option<i64>, FieldError> {
    match claims.take(name) {
        None => Ok(None),
        Some(value) => value.as_i64().map(Some).ok_or_else(|| claims.error(name, "a whole number")),
    }
}
