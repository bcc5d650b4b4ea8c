//! Makes signatures with the key of an account.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// The key of an account, as the start state of an HMAC-SHA256. Each signature begins with a copy of this
/// state. So the key is hashed only when the struct is made, and not for each request.
#[derive(Clone)]
pub(crate) struct AccountKey(Hmac<Sha256>);

impl AccountKey {
    pub(crate) fn new(bytes: &[u8]) -> Self {
        #[allow(clippy::expect_used, reason = "HMAC takes keys of every length")]
        Self(Hmac::new_from_slice(bytes).expect("HMAC takes keys of every length"))
    }

    /// Returns the value of the `authorization` header. `text` is the [string to sign](super).
    pub(crate) fn authorization(&self, account: &str, text: &str) -> String {
        ["SharedKey ", account, ":", &self.sign(text)].concat()
    }

    pub(super) fn sign(&self, text: &str) -> String {
        let mut mac = self.0.clone();
        mac.update(text.as_bytes());
        STANDARD.encode(mac.finalize().into_bytes())
    }
}

/// Two keys are equal if they make the same signature of an empty text.
impl PartialEq for AccountKey {
    fn eq(&self, other: &Self) -> bool {
        self.sign("") == other.sign("")
    }
}

impl Eq for AccountKey {}
