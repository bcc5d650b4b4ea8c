//! Signing keys for tests, and functions that make tokens with these keys. The tests of this crate and of
//! other crates use this module. Anyone can read the private keys in this repository, so no real service
//! trusts these keys.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::fmt;
use std::sync::OnceLock;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rsa::pkcs1v15::SigningKey;
use rsa::pkcs8::DecodePrivateKey;
use rsa::signature::{SignatureEncoding, Signer};
use rsa::traits::PublicKeyParts;
use rsa::{PrivateKey, PublicKey};
use serde_json::{Value, json};
use sha2::Sha256;

/// An RSA key that signs tokens in tests.
pub struct TestKey {
    /// The key id, `kid` in JSON.
    pub id: &'static str,
    private: PrivateKey,
}

impl fmt::Debug for TestKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TestKey").field("id", &self.id).finish_non_exhaustive()
    }
}

impl TestKey {
    /// The key that the token issuers in the tests publish in their key sets.
    pub fn issuer() -> &'static Self {
        static KEY: OnceLock<TestKey> = OnceLock::new();
        KEY.get_or_init(|| Self::read("issuer-key", include_str!("test-only-issuer.pem")))
    }

    /// A second key. By default, no issuer publishes this key, so the bot does not know the key.
    pub fn stranger() -> &'static Self {
        static KEY: OnceLock<TestKey> = OnceLock::new();
        KEY.get_or_init(|| Self::read("stranger-key", include_str!("test-only-stranger.pem")))
    }

    fn read(id: &'static str, pem: &str) -> Self {
        Self { id, private: PrivateKey::from_pkcs8_pem(pem).unwrap() }
    }

    /// The public half of the key.
    pub fn public(&self) -> PublicKey {
        self.private.to_public_key()
    }

    /// The public half as a JWK.
    pub fn jwk(&self) -> Value {
        let public = self.public();
        json!({
            "kty": "RSA", "use": "sig", "kid": self.id, "alg": "RS256",
            "n": URL_SAFE_NO_PAD.encode(public.n_bytes()), "e": URL_SAFE_NO_PAD.encode(public.e_bytes()),
        })
    }

    /// The public half as a JWK with `endorsements`: the list of channels (services such as Teams) for which
    /// the key is allowed to sign.
    pub fn endorsed_jwk(&self, channels: &[&str]) -> Value {
        let mut jwk = self.jwk();
        jwk["endorsements"] = channels.into();
        jwk
    }

    /// The RS256 signature over `signed`.
    pub fn signature(&self, signed: &str) -> Vec<u8> {
        SigningKey::<Sha256>::new(self.private.clone()).sign(signed.as_bytes()).to_vec()
    }

    /// A token with exactly these bytes as header and claims, signed with this key.
    pub fn sign_text(&self, header: &str, claims: &str) -> String {
        let signed = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims));
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(self.signature(&signed)))
    }

    /// A token with these claims and the usual header of an issuer, signed with this key.
    pub fn sign(&self, claims: &Value) -> String {
        let header = json!({"typ": "JWT", "alg": "RS256", "kid": self.id});
        self.sign_text(&header.to_string(), &claims.to_string())
    }
}

/// The claims of a valid token from a channel (a service such as Teams). The token is valid from one minute
/// before `now` (Unix seconds) until one hour after `now`.
pub fn channel_claims(app_id: &str, service_url: &str, now: i64) -> Value {
    json!({
        "serviceurl": service_url, "nbf": now - 60, "exp": now + 3600,
        "iss": "https://api.botframework.com", "aud": app_id,
    })
}

/// The claims of a valid Entra token (version 2) that the application `caller` got for the application
/// `audience`.
pub fn entra_claims(audience: &str, caller: &str, tenant: &str, now: i64) -> Value {
    json!({
        "aud": audience, "iss": format!("https://login.microsoftonline.com/{tenant}/v2.0"), "iat": now - 60,
        "nbf": now - 60, "exp": now + 3600, "azp": caller, "azpacr": "1", "oid": caller, "sub": caller,
        "tid": tenant, "uti": "x", "ver": "2.0",
    })
}
