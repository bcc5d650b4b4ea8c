//! The keys for questions. A *question* is an alert that people answer with buttons or a text.
//!
//! The keys come in pairs. The first key of a pair makes the MACs of buttons. A MAC proves that the bot made
//! the button. The second key encrypts questions and answers in the *ledger* (the table with one record for
//! each alert).

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use chacha20poly1305::aead::{Aead, Payload};
use chacha20poly1305::{KeyInit as _, XChaCha20Poly1305, XNonce};
use hmac::{Hmac, Mac};
use platform::Randomness;
use serde_json::Value;
use sha2::Sha256;

const VERSION: u8 = 1;
/// The length of XChaCha20's nonce. Random nonces of this length practically never repeat.
const NONCE_BYTES: usize = 24;

/// The keys for questions, in pairs. The bot and the poller derive a pair from a secret. The secret is
/// usually in the variable `sealkey`. While the operator replaces the secret, `sealkey` holds two secrets.
/// The struct then holds two pairs: first the pair of the new secret, then the pair of the earlier secret.
#[derive(Clone)]
pub struct QuestionKeys(Vec<Pair>);

#[derive(Clone)]
struct Pair {
    mac: Hmac<Sha256>,
    cipher: XChaCha20Poly1305,
}

impl QuestionKeys {
    /// Makes the keys from the bytes of each pair: first the key for MACs, then the key for encryption. The
    /// first pair makes MACs and encrypts. Every pair checks MACs and decrypts.
    pub fn new(pairs: &[[[u8; 32]; 2]]) -> Self {
        let pair = |[mac, cipher]: &[[u8; 32]; 2]| {
            #[allow(clippy::expect_used, reason = "HMAC takes keys of every length")]
            let mac = Hmac::new_from_slice(mac).expect("any length will do");
            Pair { mac, cipher: XChaCha20Poly1305::new(&(*cipher).into()) }
        };
        Self(pairs.iter().map(pair).collect())
    }

    /// The MAC of a new button, made with the first pair. `None` if there are no keys.
    pub(super) fn mac(&self, bytes: &[u8]) -> Option<Hmac<Sha256>> {
        self.0.first().map(|pair| over(&pair.mac, bytes))
    }

    /// Whether one of the keys made this MAC. The function also accepts the first bytes of a valid MAC, so
    /// the caller must check the length. Every comparison of the same length takes the same time. So an
    /// attacker cannot find a valid MAC by measuring the time.
    pub(super) fn is_made(&self, bytes: &[u8], mac: &[u8]) -> bool {
        self.0
            .iter()
            .fold(false, |is_made, pair| over(&pair.mac, bytes).verify_truncated_left(mac).is_ok() | is_made)
    }

    /// Encrypts JSON for one place in the ledger. `place` names the place, for example `question <alert id>`.
    /// [`QuestionKeys::open`] decrypts the text only with the same `place`. `None` if there are no keys.
    pub fn seal(&self, host: &impl Randomness, place: &str, json: &Value) -> Option<String> {
        let mut nonce = [0; NONCE_BYTES];
        host.fill(&mut nonce);
        let opened = serde_json::to_vec(json).ok()?;
        let payload = Payload { msg: opened.as_slice(), aad: place.as_bytes() };
        let sealed = self.0.first()?.cipher.encrypt(&nonce.into(), payload).ok()?;
        Some(STANDARD_NO_PAD.encode([&[VERSION][..], &nonce, &sealed].concat()))
    }

    /// Decrypts a text that [`QuestionKeys::seal`] made. `None` if the text was made for another place or
    /// with another key, or was changed.
    pub fn open(&self, place: &str, sealed: &str) -> Option<Value> {
        let bytes = STANDARD_NO_PAD.decode(sealed).ok()?;
        let (version, rest) = bytes.split_first()?;
        let (nonce, sealed) = rest.split_at_checked(NONCE_BYTES)?;
        if *version != VERSION {
            return None;
        }
        let nonce = XNonce::try_from(nonce).ok()?;
        let opened = self.0.iter().find_map(|pair| {
            pair.cipher.decrypt(&nonce, Payload { msg: sealed, aad: place.as_bytes() }).ok()
        })?;
        serde_json::from_slice(&opened).ok()
    }
}

fn over(mac: &Hmac<Sha256>, bytes: &[u8]) -> Hmac<Sha256> {
    let mut mac = mac.clone();
    mac.update(bytes);
    mac
}

impl fmt::Debug for QuestionKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("QuestionKeys(***)")
    }
}

#[cfg(test)]
mod tests {
    use platform::testing::FakeHost;
    use serde_json::json;

    use super::*;

    #[test]
    fn sealed_json_that_was_changed_or_is_for_another_place_or_key_does_not_open() {
        let host = FakeHost::default();
        let (old, new) = ([[1; 32], [2; 32]], [[3; 32], [4; 32]]);
        let keys = QuestionKeys::new(&[old]);
        let json = json!({"text": "Deploy?"});
        let sealed = keys.seal(&host, "question a", &json).unwrap();
        assert!(!sealed.contains("Deploy") && !format!("{keys:?}").contains('1'));
        assert_eq!(keys.open("question a", &sealed), Some(json.clone()));
        assert_eq!(QuestionKeys::new(&[new, old]).open("question a", &sealed), Some(json));
        assert_eq!(QuestionKeys::new(&[new]).open("question a", &sealed), None);
        assert_eq!(keys.open("question b", &sealed), None);
        for index in 0..sealed.len() {
            let mut changed = sealed.clone().into_bytes();
            changed[index] = if changed[index] == b'A' { b'B' } else { b'A' };
            let changed = String::from_utf8(changed).unwrap();
            assert_eq!(keys.open("question a", &changed), None, "{index}");
        }
        for length in [0, 1, 10, 33, 40] {
            assert_eq!(keys.open("question a", &sealed[..length]), None, "{length}");
        }
        assert_eq!(QuestionKeys::new(&[]).seal(&host, "a", &json!({})), None);
    }
}
