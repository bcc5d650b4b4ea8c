//! Fetches the signing keys of an issuer of tokens: Azure Bot Service, or Entra (Microsoft's identity
//! service). The OpenID metadata of the issuer (a JSON document) contains the URL of the keys in its member
//! `jwks_uri`.

use std::time::Duration;

use bytes::Bytes;
use http::StatusCode;
use http::header::{ACCEPT, USER_AGENT};
use platform::{Deadline, Host, Timeouts, TransportError, value_of};
use serde_json::Value;
use thiserror::Error;
use url::Url;

use super::key_set::KeySet;
use crate::cloud::Cloud;
use crate::connector;

/// The limits of one HTTP call. A fetch makes two calls. Both calls together must take less than 15 s,
/// because a channel (a chat service such as Teams) waits 15 s for the bot's response.
const TIMEOUTS: Timeouts = Timeouts {
    connect: Duration::from_secs(2),
    first_byte: Duration::from_secs(3),
    between_bytes: Duration::from_secs(2),
    total: Duration::from_secs(6),
    // The key set of Azure Bot Service has about 30 KiB, including certificates.
    max_response_bytes: 256 * 1024,
};

/// The reason why the bot has no signing keys. The error text is for the log, and contains no text from the
/// issuer's response.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum KeysError {
    /// An HTTP call to the issuer had no complete response.
    #[error("{what} could not be read: {error}")]
    NotReached {
        /// The document: the metadata or the key set.
        what: &'static str,
        /// How the call failed.
        error: TransportError,
    },
    /// The HTTP status of a response is not 200. A redirect is also an error.
    #[error("{what}: the response has the status {status}")]
    Status {
        /// The document: the metadata or the key set.
        what: &'static str,
        /// The HTTP status of the response.
        status: u16,
    },
    /// The metadata has no `jwks_uri`.
    #[error("the OpenID metadata has no jwks_uri")]
    NoKeysUrl,
    /// The `jwks_uri` is on a host that is not trusted.
    #[error(
        "the jwks_uri of the OpenID metadata is neither on the host of the metadata nor on a login host of this cloud"
    )]
    UntrustedKeysUrl,
    /// The key set has no usable key.
    #[error("the key set has no RSA key for signatures")]
    NoUsableKey,
    /// The last attempt to fetch the keys failed a few seconds ago, and it is too early for another attempt.
    #[error("the last attempt to fetch the keys failed a moment ago; try again in a few seconds")]
    FetchFailedJustNow,
    /// The key is not in the last fetched set, and it is too early to fetch the set again.
    #[error(
        "the last fetched keys do not include this key, and it is too early to fetch them again; try again later"
    )]
    TooEarlyForUnknownKey,
}

/// The URL of an issuer's metadata, and the cloud (e.g. the public cloud, or US Government) of the bot. The
/// signing keys are allowed to be on a login host of this cloud.
#[derive(Debug, Clone)]
pub(super) struct KeySource {
    /// The https URL of the metadata. If the variable `openidmetadata` or `loginendpoint` sets the URL, http
    /// to loopback is allowed, too.
    pub(super) metadata_url: String,
    pub(super) cloud: Cloud,
}

impl KeySource {
    /// Fetches the keys, in two calls.
    pub(super) async fn fetch(&self, host: &impl Host, deadline: Deadline) -> Result<KeySet, KeysError> {
        let metadata = get(host, deadline, "the OpenID metadata", &self.metadata_url).await?;
        let named = metadata["jwks_uri"].as_str().ok_or(KeysError::NoKeysUrl)?;
        let set = get(host, deadline, "the key set", &self.keys_url(named)?).await?;
        Some(KeySet::read(&set)).filter(|keys| !keys.is_empty()).ok_or(KeysError::NoUsableKey)
    }

    /// Checks a `jwks_uri`. The URL must be on the origin of the metadata, or on a login host of the cloud.
    /// Otherwise, the owner of another host could choose the signing keys that the bot accepts.
    fn keys_url(&self, named: &str) -> Result<String, KeysError> {
        let untrusted = || KeysError::UntrustedKeysUrl;
        let url = Url::parse(named).map_err(|_| untrusted())?;
        let metadata = Url::parse(&self.metadata_url).map_err(|_| untrusted())?;
        let is_plain = url.username().is_empty()
            && url.password().is_none()
            && url.fragment().is_none()
            && url.has_host();
        let is_own = url.origin() == metadata.origin();
        let is_login_host = url.scheme() == "https"
            && url.port().is_none()
            && url.host_str().is_some_and(|host| self.cloud.has_login_host(host));
        // The result is the parsed URL, and not the text `named`, because only the parsed URL was checked.
        if is_plain && (is_own || is_login_host) { Ok(url.into()) } else { Err(untrusted()) }
    }
}

/// Fetches a JSON document. A body that is not JSON counts as `null`.
async fn get(
    host: &impl Host,
    deadline: Deadline,
    what: &'static str,
    url: &str,
) -> Result<Value, KeysError> {
    let request = http::Request::get(url)
        .header(ACCEPT, "application/json")
        .header(USER_AGENT, connector::USER_AGENT)
        .body(Bytes::new());
    let response = match request {
        Ok(request) => host.send(request, TIMEOUTS.within(deadline.remaining(host))).await,
        Err(_) => Err(TransportError::NotSent("the address is not valid".into())),
    };
    let response = response.map_err(|error| KeysError::NotReached { what, error })?;
    if response.status() != StatusCode::OK {
        return Err(KeysError::Status { what, status: response.status().as_u16() });
    }
    Ok(value_of(response.body()).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn untrusted_jwks_uri_is_refused() {
        let public = "https://login.botframework.com/v1/.well-known/openidconfiguration";
        let local = "http://127.0.0.1:9000/v1/.well-known/openidconfiguration";
        for (metadata_url, named, expected) in [
            (public, "https://login.botframework.com/v1/.well-known/keys", true),
            (public, "https://login.botframework.com:443/keys", true),
            (public, "https://login.microsoftonline.com/common/discovery/v2.0/keys?appid=1", true),
            (public, "https://login.microsoftonline.us/common/discovery/v2.0/keys", false),
            (public, "http://login.botframework.com/v1/.well-known/keys", false),
            (public, "https://login.botframework.com:8443/v1/.well-known/keys", false),
            (public, "https://login.botframework.com.evil.example/keys", false),
            (public, "https://login.botframework.com./keys", false),
            (public, "https://x.login.botframework.com/keys", false),
            (public, "https://evil.example/login.botframework.com", false),
            (public, "https://login.botframework.com@evil.example/keys", false),
            (public, "https://user@login.botframework.com/keys", false),
            (public, "https://login.botframework.com\\.evil.example/keys", true),
            (public, "https://evil.example\\@login.botframework.com/keys", false),
            (public, "https://login.botframework.com/keys#fragment", false),
            (public, "http://127.0.0.1:9000/keys", false),
            (public, "http://169.254.169.254/latest", false),
            (public, "/v1/.well-known/keys", false),
            (public, "file:///etc/passwd", false),
            (public, "data:application/json,{}", false),
            (public, "", false),
            (local, "http://127.0.0.1:9000/v1/.well-known/keys", true),
            (local, "http://127.0.0.1:9001/v1/.well-known/keys", false),
            (local, "http://localhost:9000/v1/.well-known/keys", false),
            (local, "https://127.0.0.1:9000/v1/.well-known/keys", false),
            (local, "http://evil.example/keys", false),
        ] {
            let source = KeySource { metadata_url: metadata_url.into(), cloud: Cloud::Public };
            assert_eq!(source.keys_url(named).is_ok(), expected, "{named}");
        }
        // The parser reads a backslash as a slash, and the bot fetches the keys from the parsed URL.
        let source = KeySource { metadata_url: public.into(), cloud: Cloud::Public };
        assert_eq!(
            source.keys_url("https://login.botframework.com\\.evil.example/keys").unwrap(),
            "https://login.botframework.com/.evil.example/keys"
        );
    }
}
