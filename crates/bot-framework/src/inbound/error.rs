//! Every way to turn a caller away: one closed list, so that each has its status, its code, and a text that quotes
//! nothing of what the caller sent.

use thiserror::Error;

use super::key_source::KeysError;

/// Why a caller was turned away. The variants tell the status: 401, 403, 503.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum AuthError {
    /// 401: the token does not prove who calls.
    #[error("{0}")]
    Unauthorized(#[from] BrokenRule),
    /// 403: it does, and that caller may not.
    #[error("{0}")]
    Forbidden(#[from] NotAllowed),
    /// 503: nobody can tell, because there are no keys to check a token with. For the log: it says what was asked where.
    #[error("no keys to check tokens with: {0}")]
    KeysUnavailable(#[from] KeysError),
}

impl AuthError {
    /// A short name that never changes, for programs.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Unauthorized(rule) => rule.code(),
            Self::Forbidden(NotAllowed) => "CallerNotAllowed",
            Self::KeysUnavailable(_) => "KeysUnavailable",
        }
    }
}

/// The caller is known, and on no list of those who may call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error(
    "this caller may not call the bot ; only channels may, and the bot itself with emulatortokens=accept"
)]
pub struct NotAllowed;

/// The rule that a token breaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum BrokenRule {
    /// There is no `Authorization` header.
    #[error("a Bot Framework token is required")]
    Missing,
    /// The header is not exactly `Bearer <token>`, or is there twice.
    #[error("the Authorization header is not exactly `Bearer <token>`")]
    NotBearer,
    /// Longer than any token of a channel.
    #[error("the token is too long")]
    TooLong,
    /// Not three parts of base64url, or not JSON objects inside.
    #[error("the token is not a signed JWT in compact form")]
    Malformed,
    /// A member of the header or a claim stands there twice: two readers could see two tokens.
    #[error("the token names a member twice")]
    DuplicateMember,
    /// `alg` is something else than `RS256`.
    #[error("the token is not signed by RS256")]
    Algorithm,
    /// The header brings its own key, or demands an extension (`crit`).
    #[error("the token's header has a member that is not allowed")]
    HeaderMember,
    /// No `kid`, or one that no issuer would give a key.
    #[error("the token does not say which key signed it, in at most 128 printable characters")]
    KeyId,
    /// A claim is missing or of the wrong type.
    #[error("a claim is missing or of the wrong type")]
    Claim,
    /// Issued by somebody else than the channel, or a tenant that may not call.
    #[error("the token's issuer is not accepted")]
    Issuer,
    /// Meant for somebody else.
    #[error("the token is not meant for this bot (its audience is not microsoftappid)")]
    Audience,
    /// Over, by more than the tolerance.
    #[error("the token has expired")]
    Expired,
    /// Not begun, by more than the tolerance.
    #[error("the token is not valid yet")]
    NotYetValid,
    /// Entra's `ver` is unknown, or not the version of the issuer.
    #[error("the token's version is not accepted")]
    Version,
    /// Entra's `tid` is not the issuer's tenant.
    #[error("the token's tenant is not its issuer's")]
    Tenant,
    /// Entra issued it to a person, not to an application.
    #[error("the token was issued to a user, not to an application")]
    UserToken,
    /// No key of the issuer has this `kid`.
    #[error("the issuer has no key of the token's id")]
    UnknownKey,
    /// The key is no RSA key of 2048 to 4096 bits with a small odd exponent, or belongs to another issuer.
    #[error("the issuer's key of the token's id cannot be used")]
    UnusableKey,
    /// The signature is not that of the key.
    #[error("the token's signature is not valid")]
    Signature,
    /// The key is not endorsed for the activity's `channelId`.
    #[error("the token's key is not endorsed for the activity's channel")]
    Endorsement,
    /// The activity's `serviceUrl` is not the token's.
    #[error("the activity's serviceUrl is not the token's")]
    ServiceUrl,
}

impl BrokenRule {
    /// A short name that never changes, for programs.
    pub fn code(self) -> &'static str {
        match self {
            Self::Missing => "TokenMissing",
            Self::NotBearer => "NotBearer",
            Self::TooLong => "TokenTooLong",
            Self::Malformed => "TokenMalformed",
            Self::DuplicateMember => "DuplicateMember",
            Self::Algorithm => "WrongAlgorithm",
            Self::HeaderMember => "HeaderNotAllowed",
            Self::KeyId => "KeyIdMissing",
            Self::Claim => "ClaimMissing",
            Self::Issuer => "WrongIssuer",
            Self::Audience => "WrongAudience",
            Self::Expired => "TokenExpired",
            Self::NotYetValid => "TokenNotYetValid",
            Self::Version => "WrongVersion",
            Self::Tenant => "WrongTenant",
            Self::UserToken => "NotAnAppToken",
            Self::UnknownKey => "UnknownKey",
            Self::UnusableKey => "UnusableKey",
            Self::Signature => "BadSignature",
            Self::Endorsement => "NotEndorsed",
            Self::ServiceUrl => "ServiceUrlMismatch",
        }
    }
}
