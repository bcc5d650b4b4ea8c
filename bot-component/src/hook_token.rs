//! The tokens in webhook addresses. A *webhook address* is a URL of the bot: if a program posts to this URL,
//! one conversation gets the post as an alert. The token in the URL names the conversation and a
//! *generation*. The first webhook address of a conversation has the generation 1, and each new address gets
//! the next number.
//!
//! The HMAC in the token proves that the bot made the token. So the bot stores no tokens. The bot refuses a
//! forged token without a call to the table service.
//!
//! A token is 35 bytes in base64url (47 characters): the version 1, the conversation's key (16 bytes), the
//! generation (2 bytes), and the first 16 bytes of an HMAC-SHA256 over a label and these three values. Each
//! bot has its own keys for the HMAC ([`hook_keys`]).

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bot_framework::BotCredentials;
use bot_framework::outbound::hook_keys;
use hmac::{Hmac, KeyInit, Mac};
use platform::{Settings, SettingsError, hex};
use sha2::Sha256;
use state::ConversationKey;

const VERSION: u8 = 1;
const NAMED_BYTES: usize = 1 + 16 + 2;
const MAC_BYTES: usize = 16;
const TOKEN_BYTES: usize = NAMED_BYTES + MAC_BYTES;
const TOKEN_CHARACTERS: usize = 47;

/// The first bytes of the input from which the HMAC in a token is computed. The bot computes a second HMAC
/// with the same key: the secret that belongs to the token ([`VerifiedHookToken::secret`]). The input of the
/// second HMAC begins with [`SECRET_LABEL`], so that the two inputs always differ.
const TOKEN_LABEL: &[u8] = b"token/";
const SECRET_LABEL: &[u8] = b"secret/";

/// How many characters of a token a log line shows. These characters show which log lines belong to the same
/// conversation. They are too few to call a webhook address.
const SHOWN_CHARACTERS: usize = 6;

/// The decoded bytes of a text that looks like a token: the text has 47 characters, and the first byte is
/// [`VERSION`]. The bot has not checked the HMAC yet.
#[derive(Clone, Copy)]
pub(crate) struct TokenForm([u8; TOKEN_BYTES]);

/// The content of a token with a valid HMAC.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct VerifiedHookToken {
    pub(crate) conversation: ConversationKey,
    pub(crate) generation: u16,
    /// The secret with which senders such as GitHub sign their posts.
    pub(crate) secret: String,
}

/// A new token, and its secret.
pub(crate) struct Issued {
    pub(crate) token: String,
    /// The secret with which senders such as GitHub sign their posts.
    pub(crate) secret: String,
}

/// Makes and checks tokens.
pub(crate) struct HookKeys {
    /// The first key makes new tokens. A token is valid if any of the keys made the token.
    keys: Vec<[u8; 32]>,
}

impl TokenForm {
    /// Decodes the text of a token. Returns `None` if the text does not look like a token. This check needs
    /// no HMAC key. So the bot makes this check before it reads the Spin variables that give the HMAC keys.
    pub(crate) fn read(text: &str) -> Option<Self> {
        let bytes = (text.len() == TOKEN_CHARACTERS).then(|| URL_SAFE_NO_PAD.decode(text).ok()).flatten()?;
        let bytes: [u8; TOKEN_BYTES] = bytes.try_into().ok()?;
        (bytes[0] == VERSION).then_some(Self(bytes))
    }
}

/// The beginning of a token, for a log line.
pub(crate) fn beginning_of(token: &str) -> &str {
    token.get(..SHOWN_CHARACTERS).unwrap_or_default()
}

impl HookKeys {
    /// Reads the HMAC keys (see [`hook_keys`]).
    pub(crate) fn read(
        settings: &impl Settings,
        bot: Option<&BotCredentials>,
    ) -> Result<Self, SettingsError> {
        Ok(Self { keys: hook_keys(settings, bot)? })
    }

    /// Makes the token for a conversation and a generation. Returns `None` if there is no HMAC key.
    pub(crate) fn issue(&self, conversation: &ConversationKey, generation: u16) -> Option<Issued> {
        let key = self.keys.first()?;
        let mut token = [0; TOKEN_BYTES];
        token[0] = VERSION;
        for (byte, digits) in token[1..17].iter_mut().zip(conversation.as_str().as_bytes().chunks(2)) {
            *byte = u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?;
        }
        token[17..NAMED_BYTES].copy_from_slice(&generation.to_be_bytes());
        let mac = mac(key, TOKEN_LABEL, &token[..NAMED_BYTES]).finalize().into_bytes();
        token[NAMED_BYTES..].copy_from_slice(&mac[..MAC_BYTES]);
        Some(Issued { token: URL_SAFE_NO_PAD.encode(token), secret: secret_of(key, &token) })
    }

    /// Checks a token. Returns `None` if none of the HMAC keys made the token. The check takes the same time
    /// for every wrong token, so an attacker learns nothing from the time.
    pub(crate) fn verify(&self, TokenForm(token): &TokenForm) -> Option<VerifiedHookToken> {
        let (named, claimed) = token.split_at(NAMED_BYTES);
        let fitting = self.keys.iter().fold(None, |fitting, key| {
            let fits = mac(key, TOKEN_LABEL, named).verify_truncated_left(claimed).is_ok();
            if fits { Some(key) } else { fitting }
        })?;
        let conversation = ConversationKey::parse(&hex(&named[1..17]))?;
        let generation = u16::from_be_bytes([named[17], named[18]]);
        Some(VerifiedHookToken { conversation, generation, secret: secret_of(fitting, token) })
    }
}

fn mac(key: &[u8; 32], label: &[u8], data: &[u8]) -> Hmac<Sha256> {
    #[allow(clippy::expect_used, reason = "HMAC takes keys of every length")]
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("a key of any length");
    mac.update(label);
    mac.update(data);
    mac
}

fn secret_of(key: &[u8; 32], token: &[u8; TOKEN_BYTES]) -> String {
    URL_SAFE_NO_PAD.encode(mac(key, SECRET_LABEL, token).finalize().into_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(bytes: &[u8]) -> HookKeys {
        HookKeys { keys: bytes.iter().map(|byte| [*byte; 32]).collect() }
    }

    fn conversation(text: &str) -> ConversationKey {
        ConversationKey::parse(&text.repeat(32 / text.len())).unwrap()
    }

    fn verify(keys: &HookKeys, text: &str) -> Option<VerifiedHookToken> {
        keys.verify(&TokenForm::read(text)?)
    }

    #[test]
    fn token_made_with_any_current_key_names_conversation_and_generation() {
        for (text, generation) in [("0123456789abcdef", 1), ("f0", 0), ("9", 65_535)] {
            let conversation = conversation(text);
            let Issued { token, secret } = keys(&[1]).issue(&conversation, generation).unwrap();
            assert_eq!((token.len(), secret.len()), (47, 43));
            let hook = Some(VerifiedHookToken { conversation, generation, secret });
            assert_eq!(verify(&keys(&[1]), &token), hook);
            assert_eq!(verify(&keys(&[2, 1]), &token), hook, "while the operator replaces the key");
            assert_eq!(verify(&keys(&[1, 2]), &token), hook);
            assert_eq!(verify(&keys(&[2]), &token), None);
            assert_eq!(verify(&keys(&[]), &token), None);
        }
    }

    #[test]
    fn token_with_any_changed_character_is_refused() {
        let issued = keys(&[1]).issue(&conversation("0123456789abcdef"), 7).unwrap();
        let alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
        for (at, known) in issued.token.char_indices() {
            for other in alphabet.chars().filter(|other| *other != known) {
                let mut changed = issued.token.clone();
                changed.replace_range(at..=at, &other.to_string());
                assert_eq!(verify(&keys(&[1]), &changed), None, "{changed}");
            }
        }
        let other = keys(&[1]).issue(&conversation("0123456789abcdef"), 8).unwrap();
        assert_ne!(issued.secret, other.secret);
        // The HMAC of one generation does not fit another generation.
        let mixed = format!("{}{}", &other.token[..26], &issued.token[26..]);
        assert_eq!(verify(&keys(&[1]), &mixed), None);
    }

    #[test]
    fn text_without_the_form_of_a_token_is_refused() {
        let token = keys(&[1]).issue(&conversation("0"), 1).unwrap().token;
        let long = format!("{token}A");
        let standard = token.replace(['-', '_'], "/");
        for text in ["", "x", &token[1..], &long, &format!("{}=", &token[..46]), &"ü".repeat(24)] {
            assert!(TokenForm::read(text).is_none(), "{text}");
        }
        assert!(standard == token || TokenForm::read(&standard).is_none());
        assert!(TokenForm::read(&format!("B{}", &token[1..])).is_none(), "another version");
        assert_eq!((beginning_of(&token), beginning_of("x")), (&token[..6], ""));
    }
}
