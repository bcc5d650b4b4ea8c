//! Checks RS256 signatures (RFC 7518 section 3.3) with the crates `rsa` and `sha2`.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rsa::pkcs1v15::{Signature, VerifyingKey};
use rsa::signature::Verifier;
use rsa::{BoxedUint, PublicKey};
use sha2::Sha256;

use super::error::BrokenRule;
use super::key_set::SigningKey;

/// The accepted sizes of a key's modulus, in bits. Smaller keys are weak, and larger keys only cost time. The
/// crate `rsa` itself requires an exponent that is odd, at least 3 and below 2^33.
const MODULUS_BITS: std::ops::RangeInclusive<usize> = 2048..=4096;

/// Checks that `signature` is the signature of the text `signed`, made with the private half of `key`.
pub(super) fn check(key: &SigningKey, signed: &str, signature: &[u8]) -> Result<(), BrokenRule> {
    let key = VerifyingKey::<Sha256>::new(public_key(key).ok_or(BrokenRule::UnusableKey)?);
    let signature = Signature::try_from(signature).map_err(|_| BrokenRule::Signature)?;
    key.verify(signed.as_bytes(), &signature).map_err(|_| BrokenRule::Signature)
}

fn public_key(key: &SigningKey) -> Option<PublicKey> {
    let number = |text: &str| {
        let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
        // A huge number would cost time, so the length is checked before any arithmetic.
        (bytes.len() <= MODULUS_BITS.end() / 8 + 1).then(|| BoxedUint::from_be_slice_vartime(&bytes))
    };
    let (modulus, exponent) = (number(&key.modulus)?, number(&key.exponent)?);
    PublicKey::new_with_size_limits(modulus, exponent, MODULUS_BITS).ok()
}
