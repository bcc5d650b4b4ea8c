//! Tokens that were checked before: a channel uses one token for many activities, and the signature is most of the work
//! of checking it.
//!
//! One record for each token, so that an activity with a token that is known costs one read: that its signature was
//! checked, what its key is endorsed for, and beside it, sealed as always, the bot's own token that answered last. Every
//! rule that the claims alone tell, the time included, is applied at each use.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use platform::{Host, Level};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::token::UnverifiedToken;

/// The store holds at most so many records: each token has its slot, and the next one there takes its place.
const SLOTS: u8 = 64;

/// One token, for one bot, by the keys of one issuer.
#[derive(Debug, Clone)]
pub(super) struct Remembered {
    slot: String,
    digest: String,
}

/// What the record of a token says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Checked {
    /// What its key is endorsed for.
    pub(super) endorsements: Vec<String>,
    /// When its signature has to be checked again, in seconds since 1970.
    pub(super) until: i64,
    /// The bot's own token, sealed.
    pub(super) sealed_token: Option<Vec<u8>>,
}

impl Remembered {
    /// The place of `token`. The digest covers the bot and where its issuer's keys come from, so that neither another bot
    /// with the same store nor the same token with other keys ever finds it. Only a hash of the token is stored.
    pub(super) fn of(app_id: &str, keys_from: &str, token: &UnverifiedToken<'_>) -> Self {
        let mut hash = Sha256::new();
        for part in [app_id, keys_from, token.compact] {
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part);
        }
        let digest = hash.finalize();
        let slot = digest.first().copied().unwrap_or_default() % SLOTS;
        Self { slot: name_of_slot(slot), digest: URL_SAFE_NO_PAD.encode(digest) }
    }

    /// The record of this token, if its signature was found valid before; `None` if the store does not answer.
    pub(super) async fn load(&self, host: &impl Host) -> Option<Checked> {
        let stored = host.get(&self.slot).await.ok()??;
        let stored: Value = serde_json::from_slice(&stored).ok()?;
        let until = stored["until"].as_i64().filter(|until| host.now().timestamp() < *until)?;
        if stored["digest"] != self.digest.as_str() {
            return None;
        }
        let endorsements = stored["endorsements"].as_array()?.iter().filter_map(Value::as_str);
        let sealed = stored["token"].as_str().and_then(|text| URL_SAFE_NO_PAD.decode(text).ok());
        Some(Checked { endorsements: endorsements.map(str::to_owned).collect(), until, sealed_token: sealed })
    }

    /// Remembers it. A store that does not take it costs the next use another check.
    pub(super) async fn store(&self, host: &impl Host, checked: &Checked) {
        let mut record =
            json!({"digest": self.digest, "until": checked.until, "endorsements": checked.endorsements});
        if let Some(sealed) = &checked.sealed_token {
            record["token"] = URL_SAFE_NO_PAD.encode(sealed).into();
        }
        _ = host.set(&self.slot, record.to_string().as_bytes()).await;
    }
}

/// Forgets every token: a key that signed some of them is its issuer's no longer.
pub(super) async fn forget_all(host: &impl Host) {
    for slot in 0..SLOTS {
        // A record that stays ends with its token, or a day after its keys were fetched.
        if let Err(error) = host.delete(&name_of_slot(slot)).await {
            host.event(Level::Warn, "auth.tokens.not.forgotten", json!({"reason": error.to_string()}));
            return;
        }
    }
}

fn name_of_slot(slot: u8) -> String {
    format!("caller:{slot}")
}
