//! The reasons for which the bot refuses a caller. Each reason has an HTTP status, an error code and an error
//! text. The error text repeats nothing that the caller sent.

use thiserror::Error;

use super::key_source::KeysError;

/// The reason why the bot refused a caller. Each variant has its own HTTP status: 401, 403 or 503.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum AuthError {
    /// 401: the token does not prove the identity of the caller.
    #[error("{0}")]
    Unauthorized(#[from] BrokenRule),
    /// 403: the caller has proved its identity, but is not allowed to call.
    #[error("{0}")]
    Forbidden(#[from] NotAllowed),
    /// 503: the bot cannot check the token, because it has no signing keys of the issuer. The error text
    /// names the bot's failed request to the issuer. So the text goes to the log, and never to the caller.
    #[error("no keys to check the token with: {0}")]
    KeysUnavailable(#[from] KeysError),
}

impl AuthError {
    /// The error code, which programs read and which never changes.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Unauthorized(rule) => rule.code(),
            Self::Forbidden(NotAllowed) => "CallerNotAllowed",
            Self::KeysUnavailable(_) => "KeysUnavailable",
        }
    }
}

/// The caller is verified, but not allowed to call the bot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("caller: not allowed; expected a channel, or the bot itself if emulatortokens=accept")]
pub struct NotAllowed;

/// The rule that a token breaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum BrokenRule {
    /// There is no `Authorization` header.
    #[error("Authorization: the header is missing; send `Bearer <token>` with a Bot Framework token")]
    Missing,
    /// The header is not of the form `Bearer <token>`, or occurs twice.
    #[error("Authorization: expected exactly one header `Bearer <token>`")]
    NotBearer,
    /// The token has more than 8 KiB. The tokens of channels are much shorter.
    #[error("token: too long; at most 8192 bytes are accepted")]
    TooLong,
    /// The token does not have three parts in base64url, or the first or second part is not a JSON object.
    #[error("token: expected a signed JWT in compact form")]
    Malformed,
    /// A claim, or a member of the token's header, is set twice. Two JSON parsers could then read different
    /// values.
    #[error("token: a member is set twice; keep one")]
    DuplicateMember,
    /// `alg` is not `RS256`.
    #[error("token: expected `alg` to be RS256")]
    Algorithm,
    /// The token's header has a member that carries a key, names the URL of a key, or changes how a reader
    /// must read the token (e.g. `crit`).
    #[error("token: the header has a member that is not allowed; leave it out")]
    HeaderMember,
    /// `kid` is missing, or has a form that no issuer uses.
    #[error("token: expected a `kid` of 1 to 128 printable characters")]
    KeyId,
    /// A claim is missing or has the wrong type.
    #[error("token: a claim is missing or has the wrong type")]
    Claim,
    /// The bot does not accept the issuer. In a request with an activity, the bot accepts Azure Bot Service
    /// (which issues the tokens of channels) and, if `emulatortokens=accept`, certain tenants of Entra. In a
    /// call to the API (`/api/alerts` and others), the bot accepts only the tenant in `microsoftapptenantid`.
    #[error("token: the issuer is not accepted")]
    Issuer,
    /// The audience is not this bot.
    #[error("token: expected this bot as the audience (microsoftappid)")]
    Audience,
    /// The token expired five minutes ago or earlier. (Clocks can differ, so the bot accepts a token for five
    /// minutes longer.)
    #[error("token: has expired; get a new token")]
    Expired,
    /// The token becomes valid in more than five minutes. (Clocks can differ, so the bot accepts a token five
    /// minutes early.)
    #[error("token: not valid yet; compare the clocks of issuer and bot")]
    NotYetValid,
    /// The claim `ver` of Entra's token is missing or unknown, or differs from the version in the claim
    /// `iss`.
    #[error("token: `ver` is missing, unknown or not the version of the issuer")]
    Version,
    /// The claim `tid` of Entra's token differs from the tenant in the claim `iss`.
    #[error("token: `tid` is not the tenant of the issuer")]
    Tenant,
    /// Entra issued the token to a person, not to an application.
    #[error("token: issued to a user; use a token that was issued to an application")]
    UserToken,
    /// No key of the issuer has this `kid`.
    #[error("token: the issuer has no key with this `kid`")]
    UnknownKey,
    /// The signing key is not an RSA key of 2048 to 4096 bits with a small odd exponent. Or the key is a key
    /// of Entra that signs only for another tenant.
    #[error("token: the issuer's key with this `kid` cannot be used")]
    UnusableKey,
    /// The token's signature was not made with the signing key.
    #[error("token: the signature is not valid")]
    Signature,
    /// The signing key is not allowed to sign for the channel in the activity's `channelId`. The
    /// `endorsements` of a key list its channels.
    #[error("channelId: the token's key is not endorsed for this channel")]
    Endorsement,
    /// The activity's `serviceUrl` differs from the URL in the token.
    #[error("serviceUrl: expected the URL that the token names")]
    ServiceUrl,
}

impl BrokenRule {
    /// The error code, which programs read and which never changes.
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
