//! Verifies the Entra tokens with which applications call the bot's API (`/api/alerts` and others). The
//! audience (the claim `aud`) of such a token is the bot's app id. The claim `roles` lists the permissions
//! that an administrator of the bot's tenant gave the application.
//!
//! Source:
//! <https://learn.microsoft.com/entra/identity-platform/scenario-protected-web-api-verification-scope-app-roles>

use std::fmt;

use http::HeaderMap;
use platform::{Deadline, Host};

use super::error::{AuthError, BrokenRule};
use super::issuers::{self, Issuer};
use super::key_cache::KeyCache;
use super::remembered::RecordKey;
use super::token::UnverifiedToken;
use super::{InboundAuth, bearer, check_time};

/// An application whose token was verified.
#[derive(Clone, PartialEq, Eq)]
pub struct App {
    /// The app id, in lower case.
    pub app_id: String,
    /// The claim `roles`: the permissions that an administrator gave the application. The list can be empty.
    pub roles: Vec<String>,
}

impl fmt::Debug for App {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("App").field("app_id", &self.app_id).finish_non_exhaustive()
    }
}

impl InboundAuth {
    /// Whether the bot accepts tokens of applications. The bot accepts these tokens if `microsoftapptenantid`
    /// holds the id of the bot's tenant. A domain name is not enough, because a token names its issuer by the
    /// tenant id.
    pub fn takes_app_tokens(&self) -> bool {
        self.own_tenant.is_some()
    }

    /// Verifies the token of an application in the bot's own tenant. The order of the rules is the same as in
    /// [`InboundAuth::verify`].
    pub async fn verify_app(
        &self,
        host: &impl Host,
        headers: &HeaderMap,
        deadline: Deadline,
    ) -> Result<App, AuthError> {
        let token = UnverifiedToken::parse(bearer::token_of(headers)?)?;
        let claims = &token.claims;
        let issuer =
            self.own_tenant.as_deref().and_then(|own| issuers::issuer_in(own, self.cloud, &claims.issuer));
        let Some(issuer @ Issuer::Entra { tenant, version }) = issuer else {
            return Err(BrokenRule::Issuer.into());
        };
        if !claims.audience.eq_ignore_ascii_case(&self.app_id) {
            return Err(BrokenRule::Audience.into());
        }
        check_time(claims, host.now().timestamp())?;
        let app_id = issuers::caller_of(claims, tenant, version)?.to_ascii_lowercase();
        let source = &self.entra_keys;
        let record_key = RecordKey::of(&self.app_id, &source.metadata_url, &token);
        if record_key.load(host).await.is_none() {
            let checked = self.check_signature(&token, issuer, KeyCache { host, source, deadline }).await?;
            record_key.store(host, &checked).await;
        }
        Ok(App { app_id, roles: token.claims.roles })
    }
}
