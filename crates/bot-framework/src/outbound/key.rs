//! Derives the bot's keys from its secrets by HKDF-SHA256 (RFC 5869). Each purpose has its own key.

use std::sync::LazyLock;

use hkdf::HkdfExtract;
use platform::{Settings, SettingsError};
use sha2::Sha256;

use super::credential::BotCredentials;

/// The state of HKDF before HKDF has read a secret. No key has a salt, so this state is the same for every
/// key. The program computes the state once.
static EXTRACT: LazyLock<HkdfExtract<Sha256>> = LazyLock::new(|| HkdfExtract::new(None));

/// The purpose of a key. Each purpose has its own key. So a value that was made for one purpose (such as a
/// tag code) is not valid for another purpose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum KeyPurpose {
    /// The seals of envelopes. An *envelope* is an alert as a message on the queue. Its *seal* is an HMAC.
    EnvelopeSeal,
    /// The encryption of the bot's access token in the host's key-value store.
    TokenCache,
    /// The proof that a *kick* comes from the bot. With a kick (an HTTP request to the poller), the bot
    /// starts a run of the poller.
    Kick,
    /// The codes with which people subscribe to tags. A *tag* is a topic. An alert to a tag goes to all
    /// subscribers of the tag.
    TagCode,
    /// The proof that the bot made a button of a *question*. A question is an alert that a person answers by
    /// a button.
    Button,
    /// The encryption of questions and people's answers in the *ledger* (the table with a record for each
    /// alert).
    StoredQuestion,
    /// The webhook addresses. A program calls such a URL of the bot to send an alert to one conversation.
    Hook,
}

impl KeyPurpose {
    /// The first part of HKDF's `info`. Each text ends with a version. A developer who changes the derivation
    /// of a key must also change the version. After such a change, everything that was made with the old key
    /// is invalid, e.g. the seals of the messages on the queue.
    fn info(self) -> &'static [u8] {
        match self {
            Self::EnvelopeSeal => b"proactive-bot/envelope-seal/v2",
            Self::TokenCache => b"proactive-bot/token-cache/v2",
            Self::Kick => b"proactive-bot/kick/v2",
            Self::TagCode => b"proactive-bot/tag-code/v1",
            Self::Button => b"proactive-bot/button/v1",
            Self::StoredQuestion => b"proactive-bot/stored-question/v1",
            Self::Hook => b"proactive-bot/hook/v1",
        }
    }
}

/// Derives a key from a secret by HKDF-SHA256 (RFC 5869). There is no salt, because the secret is random. A
/// derivation costs two HMACs.
///
/// The key depends on the secret, on the purpose, and on the texts in `bound_to` (such as the app id and the
/// name of the queue). So the same secret gives other keys for another bot or another queue.
pub(super) fn derive_key(secret: &[u8], purpose: KeyPurpose, bound_to: &[&str]) -> [u8; 32] {
    let mut info = purpose.info().to_vec();
    for part in bound_to {
        // Without the length, ("ab", "c") and ("a", "bc") would give the same bytes.
        info.extend((part.len() as u64).to_le_bytes());
        info.extend(part.as_bytes());
    }
    let mut extract = EXTRACT.clone();
    extract.input_ikm(secret);
    let (_, hkdf) = extract.finalize();
    let mut key = [0; 32];
    #[allow(clippy::expect_used, reason = "HKDF-SHA256 returns up to 8160 bytes")]
    hkdf.expand(&info, &mut key).expect("32 bytes are within the limit");
    key
}

/// The app id to which keys are bound. The app id is in lower case, because the operator can write a GUID in
/// upper or lower case. In anonymous mode (`authmode=anonymous`), the app id is empty if `microsoftappid` is
/// not set.
pub(super) fn app_id_of(
    settings: &impl Settings,
    bot: Option<&BotCredentials>,
) -> Result<String, SettingsError> {
    Ok(match bot {
        Some(bot) => bot.identity.app_id.to_ascii_lowercase(),
        None => settings.setting("microsoftappid")?.trim().to_ascii_lowercase(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn derived_keys_equal_the_recorded_values() {
        // The values were computed with Python's hmac: prk = HMAC(32 zero bytes, b"secret"), key = HMAC(prk,
        // info + b"\x01"). `info` begins with the text of the purpose. Then each part follows: the length of
        // the part in 8 bytes (little endian), and the bytes of the part.
        let hex = |key: [u8; 32]| -> String { key.iter().map(|byte| format!("{byte:02x}")).collect() };
        assert_eq!(
            hex(derive_key(b"secret", KeyPurpose::EnvelopeSeal, &["app", "bot-queue"])),
            "a687aa91596a923485162c7f6cdfb7583490880fe3ccdae284aba7ca83c6aa3b"
        );
        assert_eq!(
            hex(derive_key(b"secret", KeyPurpose::TokenCache, &["app"])),
            "49544c60e827005f9157ed59de7244793d95502687ea2235f80a44cfa38d023a"
        );
        assert_eq!(
            hex(derive_key(b"secret", KeyPurpose::Kick, &["app", "bot-queue"])),
            "d851928424efa0b74bafa8614624ef70f1f6150617965610e7064f5202f4d6a8"
        );
        assert_eq!(
            hex(derive_key(b"secret", KeyPurpose::TagCode, &["app"])),
            "c1f167bbcde90991b5628a5a180d60c31c9466f8bf5797f9444ece3c06a6955d"
        );
    }

    #[test]
    fn derived_key_differs_by_secret_purpose_and_parts() {
        let key = |secret: &str, purpose, parts: &[&str]| derive_key(secret.as_bytes(), purpose, parts);
        let this = key("secret", KeyPurpose::EnvelopeSeal, &["app", "queue"]);
        for other in [
            key("Secret", KeyPurpose::EnvelopeSeal, &["app", "queue"]),
            key("secret", KeyPurpose::Kick, &["app", "queue"]),
            key("secret", KeyPurpose::EnvelopeSeal, &["appq", "ueue"]),
            key("secret", KeyPurpose::EnvelopeSeal, &["app", "queue", ""]),
            key("secret", KeyPurpose::EnvelopeSeal, &["queue", "app"]),
            key("secret", KeyPurpose::EnvelopeSeal, &[]),
        ] {
            assert_ne!(this, other);
        }
    }
}
