//! Makes the request to the token endpoint of Entra, which issues the bot's access tokens.

use bytes::Bytes;
use chrono::{DateTime, Utc};
use http::header::{ACCEPT, CONTENT_TYPE};
use platform::Randomness;
use url::form_urlencoded;

use super::assertion::client_assertion;
use super::credential::{BotCredentials, Credential};
use super::error::TokenRefusal;
use crate::identity::BotIdentity;

/// The value of the form field `client_assertion_type` (RFC 7523 section 2.2). A client assertion is a token
/// by which the bot proves its identity.
const ASSERTION_TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// The URL of the endpoint that issues the bot's tokens.
pub(super) fn token_endpoint(identity: &BotIdentity) -> String {
    format!("{}/{}/oauth2/v2.0/token", identity.login_endpoint, identity.token_tenant)
}

/// Makes the request for a token (RFC 6749 section 4.4.2). Secrets are only in the body, never in the URL.
pub(super) fn token_request(
    bot: &BotCredentials,
    scope: &str,
    now: DateTime<Utc>,
    random: &impl Randomness,
) -> Result<http::Request<Bytes>, TokenRefusal> {
    let BotCredentials { identity, credential } = bot;
    let endpoint = token_endpoint(identity);
    let mut form = form_urlencoded::Serializer::new(String::new());
    form.append_pair("grant_type", "client_credentials")
        .append_pair("client_id", &identity.app_id)
        .append_pair("scope", scope);
    match credential {
        Credential::Password(secret) => form.append_pair("client_secret", secret.expose()),
        Credential::FederatedToken(assertion) => form
            .append_pair("client_assertion_type", ASSERTION_TYPE)
            .append_pair("client_assertion", assertion.expose()),
        Credential::Certificate(certificate) => {
            let assertion = client_assertion(certificate, &identity.app_id, &endpoint, now, random)?;
            form.append_pair("client_assertion_type", ASSERTION_TYPE)
                .append_pair("client_assertion", &assertion)
        }
    };
    http::Request::post(endpoint)
        .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
        .header(ACCEPT, "application/json")
        .body(Bytes::from(form.finish()))
        // This error should not occur, because `BotIdentity::read` checked the parts of the endpoint.
        .map_err(|_| TokenRefusal::Unexplained(0))
}
