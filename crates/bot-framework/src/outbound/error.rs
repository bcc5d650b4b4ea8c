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
    #[error("the login host gives no token for now: {reason}")]
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
            reason: "the time for it is over".into(),
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
        "AADSTS700016: the tenant does not know the app: check microsoftappid and microsoftapptenantid; \
         only a bot registered as multi-tenant takes microsoftapptype=MultiTenant"
    )]
    UnknownApp,
    /// The client secret is another one.
    #[error(
        "AADSTS7000215: the client secret is wrong: microsoftapppassword must be the secret's value, not its id"
    )]
    WrongSecret,
    /// The client secret is too old.
    #[error(
        "AADSTS7000222: the client secret has expired: make a new one, and set microsoftapppassword to its value"
    )]
    ExpiredSecret,
    /// There is no such tenant.
    #[error(
        "AADSTS90002: there is no such tenant in this cloud: check microsoftapptenantid and channelservice"
    )]
    UnknownTenant,
    /// The assertion's times do not fit the login host's clock.
    #[error(
        "AADSTS700024: the client assertion is not valid now: set this machine's clock (certificate), \
         or renew federatedtoken, which has expired"
    )]
    ClockSkew,
    /// The certificate is not registered on the app.
    #[error(
        "AADSTS700027: the app does not have this certificate: upload it to the app registration, or correct certificate"
    )]
    UnknownCertificate,
    /// No federated credential of the app fits the assertion.
    #[error(
        "AADSTS70021: no federated credential of the app fits federatedtoken: compare issuer, subject and audience \
         (api://AzureADTokenExchange)"
    )]
    UnknownFederation,
    /// The key in `certificate` does not work.
    #[error("the private key in certificate cannot sign: its numbers do not belong together")]
    UnusableKey,
    /// The login host answers with a redirect: it is no login host.
    #[error("the login host answers {0}, a redirect, which is not followed: check loginendpoint")]
    Redirected(u16),
    /// Any other error with a number.
    #[error(
        "the login host refuses the bot: {status}, AADSTS{code}, see https://login.microsoftonline.com/error?code={code}"
    )]
    Numbered {
        /// The HTTP status.
        status: u16,
        /// The number after `AADSTS`.
        code: u32,
    },
    /// Any other answer.
    #[error(
        "the login host refuses the bot: {0}; check microsoftappid, microsoftapptenantid and loginendpoint"
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
