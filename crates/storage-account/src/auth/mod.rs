//! Signs requests with the account key. Azure Storage calls this authorization *Shared Key*
//! (<https://learn.microsoft.com/rest/api/storageservices/authorize-with-shared-key>). The *string to sign*
//! consists of parts of the request. Each service has its own rules for this text. The rules for the
//! signature of the text are the same for all services.
//!
//! The tests compare signatures with *test vectors*. A test vector is a request whose signature is known. The
//! vectors V1 to V10 are for queues, and T1 to T9 are for tables.

mod account_key;
mod queue;
mod table;
mod to_sign;

pub(crate) use account_key::AccountKey;
pub(crate) use to_sign::ToSign;

use crate::service::Service;

impl ToSign<'_> {
    /// Returns the string to sign for a service.
    pub(crate) fn text(&self, service: Service) -> String {
        match service {
            Service::Queue => queue::string_to_sign(self),
            Service::Table => table::string_to_sign(self),
        }
    }
}

#[cfg(test)]
pub(crate) const EMULATOR_KEY: &str =
    "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==";
#[cfg(test)]
fn sign(key: &[u8], text: &str) -> String {
    AccountKey::new(key).sign(text)
}
#[cfg(test)]
const DATE: &str = "Mon, 23 Nov 2026 22:00:00 GMT";
