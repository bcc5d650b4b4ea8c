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
    #[error("no keys to check the token with: {0}")]
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
#[error("caller: not allowed; only channels may call the bot, and the bot itself with emulatortokens=accept")]
pub struct NotAllowed;

/// The rule that a token breaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum BrokenRule {
    /// There is no `Authorization` header.
    #[error("Authorization: the header is missing; send `Bearer <token>` with a Bot Framework token")]
    Missing,
    /// The header is not exactly `Bearer <token>`, or is there twice.
    #[error("Authorization: expected exactly one header `Bearer <token>`")]
    NotBearer,
    /// Longer than any token of a channel.
    #[error("token: too long; at most 8192 bytes are accepted")]
    TooLong,
    /// Not three parts of base64url, or not JSON objects inside.
    #[error("token: expected a signed JWT in compact form")]
    Malformed,
    /// A member of the header or a claim stands there twice: two readers could see two tokens.
    #[error("token: a member is set twice; keep one")]
    DuplicateMember,
    /// `alg` is something else than `RS256`.
    #[error("token: expected `alg` to be RS256")]
    Algorithm,
    /// The header brings its own key, or demands an extension (`crit`).
    #[error("token: the header has a member that is not allowed; leave it out")]
    HeaderMember,
    /// No `kid`, or one that no issuer would give a key.
    #[error("token: expected a `kid` of 1 to 128 printable characters")]
    KeyId,
    /// A claim is missing or of the wrong type.
    #[error("token: a claim is missing or has the wrong type")]
    Claim,
    /// Issued by somebody else than the channel, or a tenant that may not call.
    #[error("token: the issuer is not accepted")]
    Issuer,
    /// Meant for somebody else.
    #[error("token: expected this bot as the audience (microsoftappid)")]
    Audience,
    /// Over, by more than the tolerance.
    #[error("token: has expired; get a new token")]
    Expired,
    /// Not begun, by more than the tolerance.
    #[error("token: not valid yet; compare the clocks of issuer and bot")]
    NotYetValid,
    /// Entra's `ver` is unknown, or not the version of the issuer.
    #[error("token: `ver` is missing, unknown or not the version of the issuer")]
    Version,
    /// Entra's `tid` is not the issuer's tenant.
    #[error("token: `tid` is not the tenant of the issuer")]
    Tenant,
    /// Entra issued it to a person, not to an application.
    #[error("token: issued to a user; use a token that was issued to an application")]
    UserToken,
    /// No key of the issuer has this `kid`.
    #[error("token: the issuer has no key with this `kid`")]
    UnknownKey,
    /// The key is no RSA key of 2048 to 4096 bits with a small odd exponent, or belongs to another issuer.
    #[error("token: the issuer's key with this `kid` cannot be used")]
    UnusableKey,
    /// The signature is not that of the key.
    #[error("token: the signature is not valid")]
    Signature,
    /// The key is not endorsed for the activity's `channelId`.
    #[error("channelId: the token's key is not endorsed for this channel")]
    Endorsement,
    /// The activity's `serviceUrl` is not the token's.
    #[error("serviceUrl: expected the URL that the token names")]
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
