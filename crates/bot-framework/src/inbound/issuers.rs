//! Who may issue tokens, and what of each is read how.

use platform::{Settings, SettingsError};

use super::Caller;
use super::error::{AuthError, BrokenRule, NotAllowed};
use super::key_set::SigningKey;
use super::token::Claims;
use crate::cloud::Cloud;
use crate::identity::{BotIdentity, is_guid};

/// Who issued a token, by its `iss` alone: nothing in the body has a say in that.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Issuer<'a> {
    /// Azure Bot Service.
    Channel,
    /// Entra, for one of its tenants.
    Entra { tenant: &'a str, version: EntraVersion },
}

/// Entra's two kinds of tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum EntraVersion {
    V1,
    V2,
}

/// Tokens that do not come from a channel: off, unless `emulatortokens` or `skillcallers` turn them on.
#[derive(Debug, Clone)]
pub(super) struct EntraPolicy {
    /// Whose tokens count: the bot's own tenant, and for a multi-tenant bot those that issue its tokens.
    tenants: Vec<String>,
    /// `emulatortokens=accept`: the bot's own tokens (Emulator, Playground with credentials).
    accepts_own: bool,
    /// `skillcallers`: app ids of other bots.
    callers: Vec<String>,
}

impl EntraPolicy {
    /// Reads the variables `emulatortokens` and `skillcallers`; `None` if no such token is accepted.
    pub(super) fn read(
        settings: &impl Settings,
        identity: &BotIdentity,
    ) -> Result<Option<Self>, SettingsError> {
        let accepts_own = match settings.setting("emulatortokens")?.trim() {
            "" | "refuse" => false,
            "accept" => true,
            _ => return Err(SettingsError::new("emulatortokens", "must be `refuse` or `accept`")),
        };
        let callers = settings.setting("skillcallers")?;
        let callers: Vec<_> =
            callers.split(',').map(str::trim).filter(|id| !id.is_empty()).map(str::to_owned).collect();
        if !callers.iter().all(|id| is_guid(id)) {
            let problem = "must be app ids separated by commas, such as 00000000-0000-0000-0000-000000000001";
            return Err(SettingsError::new("skillcallers", problem));
        }
        if !accepts_own && callers.is_empty() {
            return Ok(None);
        }
        let mut tenants: Vec<_> = identity.tenant_id.iter().cloned().collect();
        if !tenants.iter().all(|tenant| is_guid(tenant)) {
            let problem = "must be the tenant's id, not a domain name, because issuers are compared with it";
            return Err(SettingsError::new("microsoftapptenantid", problem));
        }
        if identity.is_multi_tenant() {
            tenants.extend(identity.cloud.multi_tenant_issuers().map(str::to_owned));
        }
        Ok(Some(Self { tenants, accepts_own, callers }))
    }

    /// The tenant and version of an issuer that counts.
    pub(super) fn find(&self, cloud: Cloud, issuer: &str) -> Option<Issuer<'_>> {
        self.tenants.iter().find_map(|tenant| {
            let is = |expected: String| issuer.eq_ignore_ascii_case(&expected);
            let version = match () {
                () if is(cloud.entra_issuer_v1(tenant)) => EntraVersion::V1,
                () if is(cloud.entra_issuer_v2(tenant)) => EntraVersion::V2,
                () => return None,
            };
            Some(Issuer::Entra { tenant, version })
        })
    }

    /// Whether the application with this id may call.
    pub(super) fn admit(&self, own_app_id: &str, caller: &str) -> Result<Caller, AuthError> {
        if caller.eq_ignore_ascii_case(own_app_id) {
            return if self.accepts_own { Ok(Caller::Itself) } else { Err(NotAllowed.into()) };
        }
        let is_listed = self.callers.iter().any(|id| id.eq_ignore_ascii_case(caller));
        if is_listed { Ok(Caller::Bot { app_id: caller.to_owned() }) } else { Err(NotAllowed.into()) }
    }
}

/// The application that a token of Entra was issued to.
pub(super) fn caller_of<'c>(
    claims: &'c Claims,
    tenant: &str,
    version: EntraVersion,
) -> Result<&'c str, BrokenRule> {
    // `ver` decides which claim names the caller, so it has to be the issuer's.
    let caller = match (version, claims.version.as_deref()) {
        (EntraVersion::V1, Some("" | "1.0")) => &claims.app_id,
        (EntraVersion::V2, Some("2.0")) => &claims.authorized_party,
        _ => return Err(BrokenRule::Version),
    };
    if !claims.tenant_id.as_deref().is_some_and(|claimed| claimed.eq_ignore_ascii_case(tenant)) {
        return Err(BrokenRule::Tenant);
    }
    // A person who signed in to the bot's own registration holds a token with the same audience and caller.
    if claims.has_scopes {
        return Err(BrokenRule::UserToken);
    }
    caller.as_deref().filter(|id| !id.is_empty()).ok_or(BrokenRule::Claim)
}

/// Whether a key of Entra's common set may sign for a tenant: some belong to one other tenant only
/// (<https://learn.microsoft.com/entra/identity-platform/access-tokens#validate-the-issuer>).
pub(super) fn may_sign_for(key: &SigningKey, cloud: Cloud, tenant: &str) -> bool {
    key.issuer.as_deref().is_none_or(|issuer| {
        let issuer = issuer.replace("{tenantid}", tenant);
        [cloud.entra_issuer_v1(tenant), cloud.entra_issuer_v2(tenant)]
            .iter()
            .any(|expected| issuer.eq_ignore_ascii_case(expected))
    })
}
