//! Stores a record of each inbound token whose signature was checked. The check of the signature is the most
//! expensive part of the check of a token, and a channel (e.g. Teams) uses one token for many activities. So
//! if there is a record, the bot does not check the signature again.
//!
//! A record means only that the signature of the token is valid. At each use of the token, the bot still
//! applies all rules for the claims, such as the expiry time.
//!
//! One record holds everything that the bot stores about an inbound token. So the bot needs only one read of
//! the key-value store for an activity with a recorded token. The record contains:
//!
//! - the digest that shows to which token the record belongs, and the time at which the record expires
//! - the endorsements of the signing key (the channels for which the key is allowed to sign)
//! - the *sealed token*: the bot's own access token for its calls to the Connector, in encrypted form. The
//!   bot reads this record in each request anyway, so the sealed token costs no extra read

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use platform::{Host, Level, value_of};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::token::UnverifiedToken;

/// The number of slots in the store. Each slot holds at most one record. The hash of a token selects the slot
/// of the token's record. If a later token has the same slot, the later token's record replaces the earlier
/// record.
const SLOTS: u8 = 64;

/// The slot and the digest of a token's record. The digest shows whether the slot holds the record of this
/// token, or of another token.
#[derive(Debug, Clone)]
pub(super) struct RecordKey {
    slot: String,
    digest: String,
}

/// The record of a token whose signature was checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Checked {
    /// The endorsements of the key that signed the token.
    pub(super) endorsements: Vec<String>,
    /// When the signature must be checked again, in seconds since 1970.
    pub(super) until: i64,
    /// The bot's own access token, encrypted.
    pub(super) sealed_token: Option<Vec<u8>>,
}

impl RecordKey {
    /// Computes the slot and the digest of the record of `token`. The digest is a hash of the app id, the URL
    /// of the issuer's metadata (`keys_from`), and the token. Another bot with the same store has another app
    /// id, so this other bot does not find the record. After a change of the URL, the bot itself does not
    /// find the record, either. The token itself is not stored.
    pub(super) fn of(app_id: &str, keys_from: &str, token: &UnverifiedToken<'_>) -> Self {
        let mut hash = Sha256::new();
        let [header, claims] = &token.json;
        for part in [app_id.as_bytes(), keys_from.as_bytes(), header, claims, &token.signature] {
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part);
        }
        let digest = hash.finalize();
        let slot = digest.first().copied().unwrap_or_default() % SLOTS;
        Self { slot: name_of_slot(slot), digest: URL_SAFE_NO_PAD.encode(digest) }
    }

    /// Loads the record of this token. Returns `None` if the store has no record of this token, if the record
    /// has expired, or if the store fails.
    pub(super) async fn load(&self, host: &impl Host) -> Option<Checked> {
        let stored = host.get(&self.slot).await.ok()??;
        let stored = value_of(&stored)?;
        let until = stored["until"].as_i64().filter(|until| host.now().timestamp() < *until)?;
        if stored["digest"] != self.digest.as_str() {
            return None;
        }
        let endorsements = stored["endorsements"].as_array()?.iter().filter_map(Value::as_str);
        let sealed = stored["token"].as_str().and_then(|text| URL_SAFE_NO_PAD.decode(text).ok());
        Some(Checked { endorsements: endorsements.map(str::to_owned).collect(), until, sealed_token: sealed })
    }

    /// Stores the record. If the store fails, the next use of the token checks the signature again.
    pub(super) async fn store(&self, host: &impl Host, checked: &Checked) {
        let mut record =
            json!({"digest": self.digest, "until": checked.until, "endorsements": checked.endorsements});
        if let Some(sealed) = &checked.sealed_token {
            record["token"] = URL_SAFE_NO_PAD.encode(sealed).into();
        }
        _ = host.set(&self.slot, record.to_string().as_bytes()).await;
    }
}

/// Deletes all records. This is necessary if the issuer has withdrawn or changed a signing key. Otherwise,
/// the bot would still accept the recorded tokens that this key signed.
pub(super) async fn delete_all(host: &impl Host) {
    for slot in 0..SLOTS {
        // If the store fails, the function leaves the remaining records. This is acceptable, because each
        // record expires at most a day after the check of the token's signature.
        if let Err(error) = host.delete(&name_of_slot(slot)).await {
            host.event(Level::Warn, "auth.tokens.not.forgotten", json!({"reason": error.to_string()}));
            return;
        }
    }
}

fn name_of_slot(slot: u8) -> String {
    format!("caller:{slot}")
}
