//! Secrets, and hashes of secrets. `Debug` output never shows them.

use std::fmt;

use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

/// A password, an API key or another secret text. `Debug` masks the text, and `Display` is not implemented.
/// A comparison takes the same time for all texts of the same length. So the time does not tell an attacker
/// where two texts differ.
#[derive(Clone)]
pub struct Secret(String);

impl Secret {
    /// Returns the secret, or `None` if `text` is empty. An empty secret would protect nothing.
    pub fn new(text: impl Into<String>) -> Option<Self> {
        Some(text.into()).filter(|text| !text.is_empty()).map(Self)
    }

    /// Whether `candidate` is this secret.
    pub fn matches(&self, candidate: &str) -> bool {
        self.0.as_bytes().ct_eq(candidate.as_bytes()).into()
    }

    /// Returns the secret's text. Call this function only to send the text, or to derive a key from the text.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(***)")
    }
}

/// The SHA-256 of a long, random secret. A program that stores only the hash can recognise the secret.
/// `Debug` masks the hash. Every comparison takes the same time, so the time does not tell an attacker where
/// two hashes differ.
#[derive(Clone)]
pub struct SecretHash([u64; 4]);

impl SecretHash {
    /// The hash of a secret.
    pub fn of(secret: &str) -> Self {
        let mut words = [0; 4];
        for (word, bytes) in words.iter_mut().zip(Sha256::digest(secret).chunks_exact(8)) {
            *word = bytes.iter().fold(0, |word, byte| word << 8 | u64::from(*byte));
        }
        Self(words)
    }

    /// Reads a hash of 64 hexadecimal digits. Returns `None` for any other text.
    pub fn parse(text: &str) -> Option<Self> {
        let mut words = [0; 4];
        if text.len() != 64 || !text.bytes().all(|digit| digit.is_ascii_hexdigit()) {
            return None;
        }
        for (word, digits) in words.iter_mut().zip(text.as_bytes().chunks_exact(16)) {
            // In ASCII, the low four bits of `0` to `9` are the value of the digit. The low four bits of `a`
            // to `f`, and of `A` to `F`, are 1 to 6, but the value of these letters is 10 to 15. So this code
            // adds 9 for a letter: `digit >> 6` is 1 for a letter, and 0 for `0` to `9`.
            *word =
                digits.iter().fold(0, |word, digit| word << 4 | u64::from((digit & 15) + 9 * (digit >> 6)));
        }
        Some(Self(words))
    }

    /// Whether `self` and `other` are hashes of the same secret.
    pub fn matches(&self, other: &Self) -> bool {
        let difference =
            self.0.iter().zip(&other.0).fold(0, |difference, (own, other)| difference | (own ^ other));
        difference.ct_eq(&0).into()
    }
}

impl fmt::Debug for SecretHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretHash(***)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hash_of_64_hexadecimal_digits_matches_only_the_hashed_secret() {
        // The output of `printf hunter2 | sha256sum`.
        const HASH: &str = "f52fbd32b2b3b86ff88ef6c490628285f482af15ddcb29541f94bcf526a3f6c7";
        for text in [HASH, &HASH.to_uppercase()] {
            let hash = SecretHash::parse(text).unwrap();
            assert!(hash.matches(&SecretHash::of("hunter2")), "{text}");
            assert!(!hash.matches(&SecretHash::of("hunter3")), "{text}");
        }
        for index in 0..HASH.len() {
            let mut other = HASH.to_owned();
            other.replace_range(index..=index, if &HASH[index..=index] == "0" { "1" } else { "0" });
            assert!(!SecretHash::parse(&other).unwrap().matches(&SecretHash::of("hunter2")), "{other}");
        }
        for text in
            ["", &HASH[1..], &format!("{HASH}0"), &HASH.replace('f', "g"), &format!("+{}", &HASH[1..])]
        {
            assert!(SecretHash::parse(text).is_none(), "{text}");
        }
        assert_eq!(format!("{:?}", SecretHash::of("hunter2")), "SecretHash(***)");
    }

    #[test]
    fn secret_matches_only_the_same_text_and_debug_masks_the_text() {
        let secret = Secret::new("hunter2").unwrap();
        for (candidate, expected) in [
            ("hunter2", true),
            ("hunter3", false),
            ("hunter", false),
            ("hunter22", false),
            ("", false),
            ("HUNTER2", false),
        ] {
            assert_eq!(secret.matches(candidate), expected, "{candidate}");
        }
        assert_eq!(format!("{secret:?}"), "Secret(***)");
        assert!(Secret::new("").is_none());
    }
}
