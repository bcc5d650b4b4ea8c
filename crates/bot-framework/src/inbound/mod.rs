//! Checks the token of an inbound request, and identifies the caller.
//!
//! A *channel* is a service that connects people with the bot, such as Teams or Web Chat. The rules for the
//! tokens of channels:
//! <https://learn.microsoft.com/azure/bot-service/rest-api/bot-framework-rest-connector-authentication>.
//!
//! If Microsoft's SDKs differ from each other in a rule, the module follows the strictest SDK. The rule for
//! *endorsements* is an exception. The endorsements of a signing key list the channels for which the key is
//! allowed to sign. The strictest SDK refuses a key without endorsements. This module accepts such a key for
//! Web Chat, Direct Line and Direct Line Speech. `docs/decisions/0005-inbound-tokens.md` gives the reason,
//! and lists the rules in which the module differs from all SDKs.
//!
//! The check has two steps. [`InboundAuth::verify`] applies the rules that need only the token.
//! [`VerifiedToken::admit`] applies the rules that also need the activity. The bot parses the activity only
//! after the first step. So the bot never parses the body of an unknown caller.

mod app_token;
mod bearer;
mod bucket;
mod error;
#[cfg(fuzzing)]
pub mod fuzzing;
mod issuers;
mod key_cache;
mod key_set;
mod key_source;
mod remembered;
mod rs256;
mod strict_json;
#[cfg(test)]
mod tests;
mod token;

use std::fmt;

use http::HeaderMap;
use platform::{Deadline, Host, Settings, SettingsError};

use crate::activity::Activity;
use crate::cloud::Cloud;
use crate::identity::{BotIdentity, endpoint_override, is_guid};
use crate::vouching::clients_choose_ids;
use issuers::{EntraPolicy, Issuer};
use key_cache::KeyCache;
use key_source::KeySource;
use remembered::{Checked, RecordKey};
use token::{Claims, UnverifiedToken};

pub use app_token::App;
pub use error::{AuthError, BrokenRule, NotAllowed};
pub use key_source::KeysError;

/// The accepted difference between the clocks of the issuer and of the bot.
const TOLERANCE_SECONDS: i64 = 5 * 60;

/// Checks the tokens of callers. The bot uses this type only if its variable `authmode` is `required`.
#[derive(Debug, Clone)]
pub struct InboundAuth {
    app_id: String,
    cloud: Cloud,
    channel_keys: KeySource,
    entra_keys: KeySource,
    entra: Option<EntraPolicy>,
    /// The id of the bot's own tenant. Applications of this tenant are allowed to call the bot's API with an
    /// *app token*: a token that Entra (Microsoft's identity service) issued to the application.
    own_tenant: Option<String>,
}

/// The kind of caller that a token proves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Caller {
    /// A channel, through Azure Bot Service. [`VerifiedToken::admit`] returns this value only if the
    /// activity's `serviceUrl` (the URL of the Connector) equals the URL in the token.
    Channel,
    /// A test client with the bot's own credentials: Microsoft's Emulator or Agents Playground. The token
    /// contains no `serviceUrl`.
    Itself,
}

impl Caller {
    /// Whether the token proves the activity's `serviceUrl`. Only the token of a channel contains a
    /// `serviceUrl`.
    pub fn vouches_for_service_url(self) -> bool {
        self == Self::Channel
    }
}

impl fmt::Display for Caller {
    /// Writes the caller as the log shows it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Channel => "channel",
            Self::Itself => "itself",
        })
    }
}

/// A token that passed all rules that need only the headers. [`VerifiedToken::admit`] applies the other
/// rules.
#[derive(Clone)]
pub struct VerifiedToken {
    caller: Caller,
    /// The claim `serviceurl`.
    service_url: Option<String>,
    record_key: RecordKey,
    checked: Checked,
    /// Whether an earlier request has stored the record `checked` in the key-value store.
    is_stored: bool,
}

impl fmt::Debug for VerifiedToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VerifiedToken").field("caller", &self.caller).finish_non_exhaustive()
    }
}

impl InboundAuth {
    /// Reads the variables `openidmetadata` and `emulatortokens`.
    pub fn read(settings: &impl Settings, identity: &BotIdentity) -> Result<Self, SettingsError> {
        let cloud = identity.cloud;
        let channel_metadata = endpoint_override(settings, "openidmetadata")?;
        Ok(Self {
            app_id: identity.app_id.clone(),
            cloud,
            channel_keys: KeySource {
                metadata_url: channel_metadata.unwrap_or_else(|| cloud.channel_metadata().to_owned()),
                cloud,
            },
            entra_keys: KeySource {
                metadata_url: [&identity.login_endpoint, cloud.entra_metadata_path()].concat(),
                cloud,
            },
            entra: EntraPolicy::read(settings, identity)?,
            own_tenant: identity.tenant_id.clone().filter(|tenant| is_guid(tenant)),
        })
    }

    /// Applies the rules that need only the headers. The function checks the claims before the signature. So
    /// a token with a wrong claim, such as a wrong audience, causes no HTTP call to fetch signing keys. One
    /// rule for claims is an exception: another application than the bot gets [`NotAllowed`] only after the
    /// check of the signature, because this error is for verified callers.
    pub async fn verify(
        &self,
        host: &impl Host,
        headers: &HeaderMap,
        deadline: Deadline,
    ) -> Result<VerifiedToken, AuthError> {
        let token = UnverifiedToken::parse(bearer::token_of(headers)?)?;
        let claims = &token.claims;
        let issuer = self.issuer_of(claims)?;
        if !claims.audience.eq_ignore_ascii_case(&self.app_id) {
            return Err(BrokenRule::Audience.into());
        }
        check_time(claims, host.now().timestamp())?;
        let entra_caller = match issuer {
            Issuer::Channel => None,
            Issuer::Entra { tenant, version } => Some(issuers::caller_of(claims, tenant, version)?),
        };

        let source = match issuer {
            Issuer::Channel => &self.channel_keys,
            Issuer::Entra { .. } => &self.entra_keys,
        };
        let record_key = RecordKey::of(&self.app_id, &source.metadata_url, &token);
        let known = record_key.load(host).await;
        let is_stored = known.is_some();
        let checked = match known {
            Some(checked) => checked,
            None => self.check_signature(&token, issuer, KeyCache { host, source, deadline }).await?,
        };
        let caller = match entra_caller {
            None => Caller::Channel,
            Some(app_id) if app_id.eq_ignore_ascii_case(&self.app_id) => Caller::Itself,
            Some(_) => return Err(NotAllowed.into()),
        };
        Ok(VerifiedToken { caller, service_url: token.claims.service_url, record_key, checked, is_stored })
    }

    /// Finds the signing key that the token names, and checks the signature with this key.
    async fn check_signature<H: Host>(
        &self,
        token: &UnverifiedToken<'_>,
        issuer: Issuer<'_>,
        keys: KeyCache<'_, H>,
    ) -> Result<Checked, AuthError> {
        let Some(found) = keys.find(&token.key_id).await? else { return Err(BrokenRule::UnknownKey.into()) };
        if let Issuer::Entra { tenant, .. } = issuer
            && !issuers::may_sign_for(&found.key, self.cloud, tenant)
        {
            return Err(BrokenRule::UnusableKey.into());
        }
        rs256::check(&found.key, token.signed, &token.signature)?;
        let until = token.claims.expires.min(found.good_until);
        Ok(Checked { endorsements: found.key.endorsements, until, sealed_token: None })
    }

    fn issuer_of(&self, claims: &Claims) -> Result<Issuer<'_>, BrokenRule> {
        if claims.issuer == self.cloud.channel_issuer() {
            return Ok(Issuer::Channel);
        }
        let entra = self.entra.as_ref().and_then(|entra| entra.find(self.cloud, &claims.issuer));
        entra.ok_or(BrokenRule::Issuer)
    }
}

impl VerifiedToken {
    /// Applies the rules that need the activity. Only the tokens of channels have such rules. The signing key
    /// must be allowed to sign for `channelId`, and `serviceUrl` must equal the URL in the token. Both fields
    /// are required, although the SDKs accept an activity without them.
    pub fn admit(&self, activity: &Activity) -> Result<Caller, AuthError> {
        if self.caller.vouches_for_service_url() {
            let channel = activity.channel_id.as_deref().unwrap_or_default();
            if !may_sign_for_channel(&self.checked.endorsements, channel) {
                return Err(BrokenRule::Endorsement.into());
            }
            let claimed = self.service_url.as_deref().unwrap_or_default();
            let sent = activity.service_url.as_deref().unwrap_or_default();
            if claimed.is_empty() || comparable(claimed) != comparable(sent) {
                return Err(BrokenRule::ServiceUrl.into());
            }
        }
        Ok(self.caller)
    }

    /// Returns the bot's own access token in encrypted form, from the record of this inbound token. The bot
    /// needs the access token for its calls to the Connector.
    ///
    /// [`VerifiedToken::remember`] stored the access token in the record, in an earlier request with the same
    /// inbound token. In this request, [`InboundAuth::verify`] has already read the record. The bot passes
    /// the result to [`Tokens::with_sealed`](crate::Tokens::with_sealed). If the access token is still valid,
    /// the bot does not read the key-value store a second time.
    pub fn sealed_token(&self) -> Option<&[u8]> {
        self.checked.sealed_token.as_deref()
    }

    /// Stores a record of this inbound token. If the bot receives the token again, the bot finds the record,
    /// and does not check the signature again. The record also holds `sealed_token`, the encrypted access
    /// token that the bot sends with its own calls. If the store already has the same record, the function
    /// writes nothing.
    pub async fn remember(&self, host: &impl Host, sealed_token: Option<Vec<u8>>) {
        let is_another = sealed_token.is_some() && sealed_token != self.checked.sealed_token;
        if self.is_stored && !is_another {
            return;
        }
        let sealed_token = sealed_token.or_else(|| self.checked.sealed_token.clone());
        self.record_key.store(host, &Checked { sealed_token, ..self.checked.clone() }).await;
    }
}

/// Whether a signing key with these endorsements is allowed to sign for a channel. In 2023, Microsoft's key
/// for Web Chat and Direct Line lost its endorsements. So the bot accepts a key without endorsements, but
/// only for a channel whose clients choose their own ids: Web Chat, Direct Line and Direct Line Speech. On
/// such a channel, the bot ignores the tenant and the object id of a person. So even if an attacker makes one
/// of Microsoft's services sign a forged activity, the activity can do little harm.
fn may_sign_for_channel(endorsements: &[String], channel_id: &str) -> bool {
    match endorsements {
        [] => clients_choose_ids(channel_id),
        endorsements => {
            !channel_id.is_empty() && endorsements.iter().any(|endorsement| endorsement == channel_id)
        }
    }
}

fn check_time(claims: &Claims, now: i64) -> Result<(), BrokenRule> {
    if now >= claims.expires.saturating_add(TOLERANCE_SECONDS) {
        return Err(BrokenRule::Expired);
    }
    if claims.not_before.is_some_and(|begin| now < begin.saturating_sub(TOLERANCE_SECONDS)) {
        return Err(BrokenRule::NotYetValid);
    }
    Ok(())
}

/// Converts a `serviceUrl` to the form in which two URLs are compared. The function changes scheme and host
/// to lower case, and removes one slash at the end. All other differences count, even differences that a URL
/// parser would remove (`/../`).
fn comparable(service_url: &str) -> String {
    let text = service_url.strip_suffix('/').unwrap_or(service_url);
    let host_at = text.find("://").map_or(0, |at| at + 3);
    let path_at = text[host_at..].find('/').map_or(text.len(), |at| host_at + at);
    let (origin, path) = text.split_at(path_at);
    format!("{}{path}", origin.to_ascii_lowercase())
}
