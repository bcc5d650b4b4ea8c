//! Shared Key (<https://learn.microsoft.com/rest/api/storageservices/authorize-with-shared-key>). The string
//! to sign differs between the services. The signature is computed in the same way for all services.

mod queue;
mod table;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use crate::account::Service;

/// The parts of a request that the string to sign may contain.
pub(crate) struct ToSign<'a> {
    pub(crate) method: &'a str,
    pub(crate) account: &'a str,
    /// The path of the URL as it is sent, encoded.
    pub(crate) path: &'a str,
    /// Query parameters, *decoded*.
    pub(crate) query: &'a [(&'a str, String)],
    pub(crate) body_bytes: usize,
    pub(crate) content_type: &'a str,
    /// The value of `x-ms-date`.
    pub(crate) date: &'a str,
}

impl ToSign<'_> {
    /// Returns the service's string to sign.
    pub(crate) fn text(&self, service: Service) -> String {
        match service {
            Service::Queue => queue::string_to_sign(self),
            Service::Table => table::string_to_sign(self),
        }
    }
}

/// The key of an account. It holds the state of HMAC-SHA256 after the key, so that this state is computed
/// only once.
#[derive(Clone)]
pub(crate) struct AccountKey(Hmac<Sha256>);

impl AccountKey {
    pub(crate) fn new(bytes: &[u8]) -> Self {
        #[allow(clippy::expect_used, reason = "HMAC takes keys of every length")]
        Self(Hmac::new_from_slice(bytes).expect("any length will do"))
    }

    /// Returns the value of the `authorization` header for a string to sign.
    pub(crate) fn authorization(&self, account: &str, text: &str) -> String {
        ["SharedKey ", account, ":", &self.sign(text)].concat()
    }

    fn sign(&self, text: &str) -> String {
        let mut mac = self.0.clone();
        mac.update(text.as_bytes());
        STANDARD.encode(mac.finalize().into_bytes())
    }
}

/// Two keys are equal if they make the same signature.
impl PartialEq for AccountKey {
    fn eq(&self, other: &Self) -> bool {
        self.sign("") == other.sign("")
    }
}

impl Eq for AccountKey {}

#[cfg(test)]
pub(crate) const EMULATOR_KEY: &str =
    "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==";
#[cfg(test)]
fn sign(key: &[u8], text: &str) -> String {
    AccountKey::new(key).sign(text)
}
#[cfg(test)]
const DATE: &str = "Mon, 23 Nov 2026 22:00:00 GMT";
