//! The errors of a request to Entra for an access token of the bot.

use std::time::Duration;

use thiserror::Error;

/// The reason why the bot got no token from the login host (the host of Entra that issues tokens). The error
/// text never quotes the body of the response, because the body can contain parts of the request.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum TokenError {
    /// The login host refuses the bot. The refusal stays until the operator corrects the configuration.
    #[error("{0}")]
    Refused(#[from] TokenRefusal),
    /// The login host gave no token this time. A later try can succeed.
    #[error("login host: no token ({reason}); try again later")]
    Unavailable {
        /// The HTTP status of the response, or the fault of the connection.
        reason: String,
        /// The pause that the login host asked for (`Retry-After`).
        retry_after: Option<Duration>,
        /// Whether the bot sends a second request without a pause. The value is true for a fault that is
        /// often short, such as a lost response, or status 500 without `Retry-After`.
        again_at_once: bool,
    },
}

impl TokenError {
    /// Makes the error for a call to the Connector that ran out of time. The time limit of the call passed
    /// before the token arrived.
    pub(crate) fn too_late() -> Self {
        Self::Unavailable {
            reason: "the time limit has passed".into(),
            // The bot now has a token, so the next run of the poller does not have to wait for the login
            // host.
            retry_after: Some(Duration::ZERO),
            again_at_once: false,
        }
    }
}

/// The reason why the login host refuses the bot, with advice for the operator. No error text repeats a text
/// of the login host. In most cases, Entra's error number selects the variant. For example, `AADSTS700016`
/// selects [`TokenRefusal::UnknownApp`].
///
/// Source of the numbers: <https://learn.microsoft.com/entra/identity-platform/reference-error-codes>.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum TokenRefusal {
    /// The tenant does not know the app.
    #[error(
        "AADSTS700016: the tenant does not know the app; check microsoftappid and microsoftapptenantid, \
         and set microsoftapptype=MultiTenant only for a bot that is registered as multi-tenant"
    )]
    UnknownApp,
    /// The client secret is wrong.
    #[error(
        "AADSTS7000215: the client secret is wrong; set microsoftapppassword to the secret's value, not to its id"
    )]
    WrongSecret,
    /// The client secret has expired.
    #[error(
        "AADSTS7000222: the client secret has expired; create a new one and set microsoftapppassword to its value"
    )]
    ExpiredSecret,
    /// The tenant does not exist in this cloud (public, US Government or China).
    #[error("AADSTS90002: this cloud has no such tenant; check microsoftapptenantid and channelservice")]
    UnknownTenant,
    /// By the clock of the login host, the client assertion has expired or is not valid yet. The client
    /// assertion is the token by which the bot proves its identity.
    #[error(
        "AADSTS700024: the client assertion is not valid at this time; if the variable certificate is set, \
         correct this machine's clock; if federatedtoken is set, renew that token"
    )]
    AssertionNotValidNow,
    /// The certificate is not registered on the app.
    #[error(
        "AADSTS700027: the app registration does not have the bot's certificate; upload the certificate there, \
         or correct the variable certificate"
    )]
    UnknownCertificate,
    /// No federated credential of the app matches `federatedtoken`. A federated credential names a token
    /// issuer that Entra accepts for the app.
    #[error(
        "AADSTS70021: no federated credential of the app matches federatedtoken; compare issuer, subject and audience \
         (api://AzureADTokenExchange)"
    )]
    UnknownFederation,
    /// The tenant knows the app, but has no service principal (an account in the tenant) for the app.
    #[error(
        "AADSTS7000229: the app has no service principal in its tenant; create it: az ad sp create --id <microsoftappid>"
    )]
    NoServicePrincipal,
    /// An administrator has disabled the app.
    #[error("AADSTS7000112: the app is disabled in its tenant; enable it under Enterprise applications")]
    Disabled,
    /// A Conditional Access policy refuses the app.
    #[error(
        "AADSTS53003: a Conditional Access policy blocks the app; exclude the app (a workload identity) from the \
         policy, or allow the addresses that it calls from"
    )]
    BlockedByPolicy,
    /// The private key in `certificate` cannot sign, because its numbers (such as modulus and exponents) do
    /// not match.
    #[error("certificate: the private key is damaged and cannot sign; export the key again")]
    UnusableKey,
    /// The response is a redirect, so the server is not a login host.
    #[error("login host: status {0} is a redirect, which is not followed; check loginendpoint")]
    Redirected(u16),
    /// Any other refusal with an error number.
    #[error(
        "login host: the bot is refused with status {status} and AADSTS{code}; see https://login.microsoftonline.com/error?code={code}"
    )]
    Numbered {
        /// The HTTP status.
        status: u16,
        /// The number after `AADSTS`.
        code: u32,
    },
    /// Any other refusal, without an error number. The value is the HTTP status.
    #[error(
        "login host: the bot is refused with status {0}; check microsoftappid, microsoftapptenantid and loginendpoint"
    )]
    Unexplained(u16),
}

impl TokenRefusal {
    /// The refusal for an error number of Entra.
    pub(super) fn of_code(code: u32) -> Option<Self> {
        Some(match code {
            700_016 => Self::UnknownApp,
            7_000_215 => Self::WrongSecret,
            7_000_222 => Self::ExpiredSecret,
            // 900023 means that the tenant's name is not well-formed. The advice is the same as for 90002.
            90_002 | 900_023 => Self::UnknownTenant,
            700_024 => Self::AssertionNotValidNow,
            700_027 => Self::UnknownCertificate,
            70_021 | 700_211..=700_213 => Self::UnknownFederation,
            7_000_229 => Self::NoServicePrincipal,
            7_000_112 => Self::Disabled,
            53_003 => Self::BlockedByPolicy,
            _ => return None,
        })
    }
}
