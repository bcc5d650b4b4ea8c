//! The issuers whose tokens the bot accepts, and the rules that apply only to Entra's tokens.

use platform::{Settings, SettingsError};

use super::error::BrokenRule;
use super::key_set::SigningKey;
use super::token::Claims;
use crate::cloud::Cloud;
use crate::identity::{BotIdentity, is_guid};

/// The issuer of a token. The bot reads the issuer from the claim `iss` of the token, and never from the
/// request's body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Issuer<'a> {
    /// Azure Bot Service, which issues the tokens that channels send.
    Channel,
    /// Entra, for one of its tenants.
    Entra { tenant: &'a str, version: EntraVersion },
}

/// The two versions of Entra's tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum EntraVersion {
    V1,
    V2,
}

/// The rules for tokens that Entra issued to the bot itself. No channel sends such a token. Two test clients
/// of Microsoft, the Emulator and the Agents Playground, send such a token if they have the bot's
/// credentials.
#[derive(Debug, Clone)]
pub(super) struct EntraPolicy {
    /// The ids of the accepted tenants: the bot's own tenant and, for a multi-tenant bot, the tenants of the
    /// Bot Framework. A token that Entra issues to a multi-tenant bot names one of the Bot Framework's
    /// tenants as its issuer.
    tenants: Vec<String>,
}

impl EntraPolicy {
    /// Reads the variable `emulatortokens`. Returns `None` if the bot refuses tokens that Entra issued to the
    /// bot itself.
    pub(super) fn read(
        settings: &impl Settings,
        identity: &BotIdentity,
    ) -> Result<Option<Self>, SettingsError> {
        if !settings.choice("emulatortokens", &[("refuse", false), ("accept", true)])? {
            return Ok(None);
        }
        let mut tenants: Vec<_> = identity.tenant_id.iter().cloned().collect();
        if !tenants.iter().all(|tenant| is_guid(tenant)) {
            let problem =
                "must be the tenant id, not a domain name, because a token names its issuer by the tenant id";
            return Err(SettingsError::new("microsoftapptenantid", problem));
        }
        if identity.is_multi_tenant() {
            tenants.extend(identity.cloud.multi_tenant_issuers().map(str::to_owned));
        }
        Ok(Some(Self { tenants }))
    }

    /// Returns the tenant and the version of a token if the bot accepts `issuer` (the claim `iss` of the
    /// token).
    pub(super) fn find(&self, cloud: Cloud, issuer: &str) -> Option<Issuer<'_>> {
        self.tenants.iter().find_map(|tenant| issuer_in(tenant, cloud, issuer))
    }
}

/// Returns the tenant and the version of a token if `issuer` (the claim `iss` of the token) is an issuer of
/// `tenant`. For each tenant, Entra uses two issuers: one in tokens of version 1, and one in tokens of
/// version 2. Returns `None` for any other issuer.
pub(super) fn issuer_in<'t>(tenant: &'t str, cloud: Cloud, issuer: &str) -> Option<Issuer<'t>> {
    let is = |expected: String| issuer.eq_ignore_ascii_case(&expected);
    let version = match () {
        () if is(cloud.entra_issuer_v1(tenant)) => EntraVersion::V1,
        () if is(cloud.entra_issuer_v2(tenant)) => EntraVersion::V2,
        () => return None,
    };
    Some(Issuer::Entra { tenant, version })
}

/// Returns the id of the application to which Entra issued a token.
pub(super) fn caller_of<'c>(
    claims: &'c Claims,
    tenant: &str,
    version: EntraVersion,
) -> Result<&'c str, BrokenRule> {
    // The version of the token decides which claim names the caller. Both `iss` and `ver` show the version,
    // and they must show the same version.
    let caller = match (version, claims.version.as_deref()) {
        (EntraVersion::V1, Some("" | "1.0")) => &claims.app_id,
        (EntraVersion::V2, Some("2.0")) => &claims.authorized_party,
        _ => return Err(BrokenRule::Version),
    };
    if !claims.tenant_id.as_deref().is_some_and(|claimed| claimed.eq_ignore_ascii_case(tenant)) {
        return Err(BrokenRule::Tenant);
    }
    // If a person signs in to the bot's own application in Entra, Entra issues a token to this person. This
    // token has the same audience and the same app id as a token that Entra issues to the bot itself. Only
    // the scopes (the claim `scp`) show that the token belongs to a person.
    if claims.has_scopes {
        return Err(BrokenRule::UserToken);
    }
    caller.as_deref().filter(|id| !id.is_empty()).ok_or(BrokenRule::Claim)
}

/// Whether a signing key of Entra is allowed to sign tokens of `tenant`. Entra publishes one set of keys for
/// all tenants, but some keys belong to one tenant only
/// (<https://learn.microsoft.com/entra/identity-platform/access-tokens#validate-the-issuer>).
pub(super) fn may_sign_for(key: &SigningKey, cloud: Cloud, tenant: &str) -> bool {
    key.issuer.as_deref().is_none_or(|issuer| {
        let issuer = issuer.replace("{tenantid}", tenant);
        [cloud.entra_issuer_v1(tenant), cloud.entra_issuer_v2(tenant)]
            .iter()
            .any(|expected| issuer.eq_ignore_ascii_case(expected))
    })
}
