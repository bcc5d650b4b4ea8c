//! Signatures that were checked before: a channel uses one token for many activities, and RSA is most of the work of
//! checking it.
//!
//! Only the signature is remembered. Every other rule, the one about the time included, is applied at each use.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use platform::Host;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::key_set::SigningKey;
use super::token::UnverifiedToken;

/// The store holds at most so many: each token has its slot, and the next one there takes its place.
const SLOTS: u8 = 64;

/// One token, under one key, for one bot.
pub(super) struct Remembered<'a, H> {
    host: &'a H,
    slot: String,
    digest: String,
}

impl<'a, H: Host> Remembered<'a, H> {
    /// The place of `token`. The digest covers the bot and the key itself, so that neither another bot with the same
    /// store nor another key under the same id ever finds it. Only a hash of the token is stored.
    pub(super) fn of(host: &'a H, app_id: &str, key: &SigningKey, token: &UnverifiedToken<'_>) -> Self {
        let mut hash = Sha256::new();
        for part in [app_id, &key.modulus, &key.exponent, token.compact] {
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part);
        }
        let digest = hash.finalize();
        let slot = digest.first().copied().unwrap_or_default() % SLOTS;
        Self { host, slot: format!("verified:{slot}"), digest: URL_SAFE_NO_PAD.encode(digest) }
    }

    /// Whether this token's signature was found valid before. A store that does not answer says no.
    pub(super) async fn is_known(&self) -> bool {
        let stored = self.host.get(&self.slot).await.ok().flatten().unwrap_or_default();
        let stored: Value = serde_json::from_slice(&stored).unwrap_or_default();
        stored["digest"] == self.digest.as_str()
            && stored["until"].as_i64().is_some_and(|until| self.host.now().timestamp() < until)
    }

    /// Remembers it until the token's `exp`.
    pub(super) async fn remember(&self, expires: i64) {
        let value = json!({"digest": self.digest, "until": expires});
        // Without it the next use checks the signature again.
        _ = self.host.set(&self.slot, value.to_string().as_bytes()).await;
    }
}
