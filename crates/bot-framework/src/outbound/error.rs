//! Why there is no token.

use std::time::Duration;

use thiserror::Error;

/// Why there is no token. What the login host wrote is never repeated: it may quote what was sent.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum TokenError {
    /// It will stay so until somebody mends the configuration.
    #[error("{0}")]
    Refused(#[from] TokenRefusal),
    /// It may work in a while.
    #[error("login host: no token ({reason}); try again later")]
    Unavailable {
        /// What it answered, or what broke.
        reason: String,
        /// How long it asked to be left alone.
        retry_after: Option<Duration>,
        /// Whether asking again at once is polite, and may help.
        again_at_once: bool,
    },
}

impl TokenError {
    /// There was no time left to send anything with the token.
    pub(crate) fn too_late() -> Self {
        Self::Unavailable {
            reason: "the time limit has passed".into(),
            // The login host is not to blame: the next run may begin at once.
            retry_after: Some(Duration::ZERO),
            again_at_once: false,
        }
    }
}

/// Why the login host refuses, and what to do about it: a closed list, made of the error's number only.
///
/// The numbers: <https://learn.microsoft.com/entra/identity-platform/reference-error-codes>.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum TokenRefusal {
    /// The tenant does not know the app.
    #[error(
        "AADSTS700016: the tenant does not know the app; check microsoftappid and microsoftapptenantid, \
         and set microsoftapptype=MultiTenant only for a bot that is registered as multi-tenant"
    )]
    UnknownApp,
    /// The client secret is another one.
    #[error(
        "AADSTS7000215: the client secret is wrong; set microsoftapppassword to the secret's value, not to its id"
    )]
    WrongSecret,
    /// The client secret is too old.
    #[error(
        "AADSTS7000222: the client secret has expired; create a new one and set microsoftapppassword to its value"
    )]
    ExpiredSecret,
    /// There is no such tenant.
    #[error("AADSTS90002: this cloud has no such tenant; check microsoftapptenantid and channelservice")]
    UnknownTenant,
    /// The assertion's times do not fit the login host's clock.
    #[error(
        "AADSTS700024: the client assertion is not valid at this time; with certificate, correct this machine's \
         clock; with federatedtoken, renew the token"
    )]
    ClockSkew,
    /// The certificate is not registered on the app.
    #[error(
        "AADSTS700027: the app registration has no such certificate; upload the certificate there, or \
         correct certificate"
    )]
    UnknownCertificate,
    /// No federated credential of the app fits the assertion.
    #[error(
        "AADSTS70021: no federated credential of the app matches federatedtoken; compare issuer, subject and audience \
         (api://AzureADTokenExchange)"
    )]
    UnknownFederation,
    /// The key in `certificate` does not work.
    #[error(
        "certificate: the private key cannot sign, because its numbers do not belong together; export the key again"
    )]
    UnusableKey,
    /// The login host answers with a redirect: it is no login host.
    #[error("login host: status {0} is a redirect, which is not followed; check loginendpoint")]
    Redirected(u16),
    /// Any other error with a number.
    #[error(
        "login host: the bot is refused with status {status} and AADSTS{code}; see https://login.microsoftonline.com/error?code={code}"
    )]
    Numbered {
        /// The HTTP status.
        status: u16,
        /// The number after `AADSTS`.
        code: u32,
    },
    /// Any other answer.
    #[error(
        "login host: the bot is refused with status {0}; check microsoftappid, microsoftapptenantid and loginendpoint"
    )]
    Unexplained(u16),
}

impl TokenRefusal {
    /// The refusal that a number of Entra's stands for.
    pub(super) fn of_code(code: u32) -> Option<Self> {
        Some(match code {
            700_016 => Self::UnknownApp,
            7_000_215 => Self::WrongSecret,
            7_000_222 => Self::ExpiredSecret,
            // 900023: the tenant's name is not even well-formed.
            90_002 | 900_023 => Self::UnknownTenant,
            700_024 => Self::ClockSkew,
            700_027 => Self::UnknownCertificate,
            70_021 | 700_211..=700_213 => Self::UnknownFederation,
            _ => return None,
        })
    }
}
