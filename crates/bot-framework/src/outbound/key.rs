//! Keys made of secrets.

use hkdf::Hkdf;
use sha2::Sha256;

/// What a key is for. Each purpose has a key of its own, so that nothing made with one of them means anything to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum KeyPurpose {
    /// Seals envelopes.
    EnvelopeSeal,
    /// Seals the token in key-value.
    TokenCache,
    /// Tells the poller that the bot calls it.
    Kick,
    /// Makes the codes by which people subscribe to tags.
    TagCode,
}

impl KeyPurpose {
    /// HKDF's `info`. Never changes: what stands on queues was sealed with it.
    fn info(self) -> &'static [u8] {
        match self {
            Self::EnvelopeSeal => b"proactive-bot/envelope-seal/v1",
            Self::TokenCache => b"proactive-bot/token-cache/v1",
            Self::Kick => b"proactive-bot/kick/v1",
            Self::TagCode => b"proactive-bot/tag-code/v1",
        }
    }
}

/// Derives a key from a secret by HKDF-SHA256 (RFC 5869) without a salt: the secret is random already.
pub(super) fn derive_key(secret: &[u8], purpose: KeyPurpose) -> [u8; 32] {
    let mut key = [0; 32];
    #[allow(clippy::expect_used, reason = "HKDF-SHA256 gives up to 8160 bytes")]
    Hkdf::<Sha256>::new(None, secret).expand(purpose.info(), &mut key).expect("32 bytes are few");
    key
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_keys_never_change() {
        // Computed with Python's hmac: prk = HMAC(32 zero bytes, b"secret"), key = HMAC(prk, info + b"\x01").
        let hex = |key: [u8; 32]| -> String { key.iter().map(|byte| format!("{byte:02x}")).collect() };
        assert_eq!(
            hex(derive_key(b"secret", KeyPurpose::EnvelopeSeal)),
            "0891ace245e27f101d57163bab31d960274bb7169eefd82601c9afb71dc0c02f"
        );
        assert_eq!(
            hex(derive_key(b"secret", KeyPurpose::TokenCache)),
            "00d822a267721dcc266539eaf77680ff49b2dec189a4d35ea358591c1be16cb8"
        );
        assert_eq!(
            hex(derive_key(b"secret", KeyPurpose::TagCode)),
            "75767980b21759b2d7f0113917d9191b18b5253b3058c3b31665b92afb728d48"
        );
    }
}
