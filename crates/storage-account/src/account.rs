//! A storage account, as a connection string describes it.

use std::fmt;

use platform::Secret;

use crate::auth::AccountKey;
use crate::error::{ConnectionStringError, Unusable, wrong};
use crate::service::Service;

/// The scope of an Entra ID token for Azure Storage. Requests need such a token if the connection string has
/// no account key and no SAS (shared access signature). One token is valid for the queue service and the
/// table service.
pub const STORAGE_SCOPE: &str = "https://storage.azure.com/.default";

/// A storage account: the URLs of its services, and the credential for them.
#[derive(Clone)]
pub struct Account {
    /// The URL of the queue service, without a trailing slash: scheme and host, and for an emulator a path.
    /// `None` if the connection string does not show this URL.
    pub(crate) queue_endpoint: Option<String>,
    /// The URL of the table service, in the same form.
    pub(crate) table_endpoint: Option<String>,
    pub(crate) credential: Credential,
}

/// The credential that authorizes requests.
#[derive(Clone)]
pub(crate) enum Credential {
    /// The client signs every request with the account's key.
    SharedKey { account: String, key: AccountKey },
    /// A SAS that the owner of the account has made. The text consists of query parameters, already
    /// percent-encoded.
    Sas(String),
    /// Every request carries this token of Entra ID. With `None`, the client can send no request.
    Entra(Option<Secret>),
}

impl Account {
    /// Returns the URL of a service, without a trailing slash. If the account has no URL of this service, the
    /// error names the missing setting of the connection string.
    pub fn endpoint(&self, service: Service) -> Result<&str, Unusable> {
        let endpoint = match service {
            Service::Queue => &self.queue_endpoint,
            Service::Table => &self.table_endpoint,
        };
        endpoint.as_deref().ok_or(Unusable::NoEndpoint { setting: service.endpoint_setting() })
    }

    /// Whether the account works with tokens of Entra ID: it has no account key and no SAS. If `true`, the
    /// caller has to set a token with [`Account::with_token`] before the first storage call. The result stays
    /// `true` after that, because the token expires and the caller has to set a new token.
    pub fn needs_token(&self) -> bool {
        matches!(self.credential, Credential::Entra(_))
    }

    /// Returns the account with a token for [`STORAGE_SCOPE`]. Every request then carries this token. A later
    /// token replaces an earlier token.
    ///
    /// The method fails if the account has an account key or a SAS. The method also fails if an endpoint on
    /// another machine uses plain HTTP, because an attacker on the network could read the token.
    pub fn with_token(mut self, token: Secret) -> Result<Self, ConnectionStringError> {
        if !self.needs_token() {
            return wrong(
                "a token cannot be combined with AccountKey or SharedAccessSignature; leave both out",
            );
        }
        for (setting, endpoint) in
            [("QueueEndpoint", &self.queue_endpoint), ("TableEndpoint", &self.table_endpoint)]
        {
            if endpoint.as_deref().is_some_and(|endpoint| !is_safe_for_a_token(endpoint)) {
                return wrong(format!(
                    "{setting} or DefaultEndpointsProtocol: others could read a token that is sent without https; use https"
                ));
            }
        }
        self.credential = Credential::Entra(Some(token));
        Ok(self)
    }
}

/// Whether the client is allowed to send a token to this endpoint. The endpoint must use HTTPS or be on this
/// machine.
fn is_safe_for_a_token(endpoint: &str) -> bool {
    let Ok(uri) = endpoint.parse::<http::Uri>() else { return false };
    let host = uri.host().unwrap_or_default();
    let address = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    uri.scheme_str() == Some("https")
        || host.eq_ignore_ascii_case("localhost")
        || address.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

impl PartialEq for Account {
    fn eq(&self, other: &Self) -> bool {
        self.queue_endpoint == other.queue_endpoint
            && self.table_endpoint == other.table_endpoint
            && self.credential == other.credential
    }
}

impl Eq for Account {}

impl PartialEq for Credential {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (
                Self::SharedKey { account, key },
                Self::SharedKey { account: other_account, key: other_key },
            ) => account == other_account && key == other_key,
            (Self::Sas(sas), Self::Sas(other)) => sas == other,
            (Self::Entra(None), Self::Entra(None)) => true,
            (Self::Entra(Some(token)), Self::Entra(Some(other))) => token.matches(other.expose()),
            _ => false,
        }
    }
}

impl Eq for Credential {}

impl fmt::Debug for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let credential = match &self.credential {
            Credential::SharedKey { .. } => "SharedKey(***)",
            Credential::Sas(_) => "Sas(***)",
            Credential::Entra(_) => "Entra(***)",
        };
        f.debug_struct("Account")
            .field("queue_endpoint", &self.queue_endpoint)
            .field("table_endpoint", &self.table_endpoint)
            .field("credential", &credential)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with_token(connection_string: &str) -> Result<Account, String> {
        let token = Secret::new("hunter2").unwrap();
        Account::parse(connection_string).unwrap().with_token(token).map_err(|error| error.to_string())
    }

    #[test]
    fn token_for_an_endpoint_of_plain_http_on_another_machine_is_refused() {
        for (text, expected) in [
            ("AccountName=contoso", true),
            ("QueueEndpoint=https://contoso.queue.core.windows.net", true),
            ("TableEndpoint=https://contoso.table.core.windows.net", true),
            ("QueueEndpoint=http://127.0.0.1:10001/a;TableEndpoint=http://[::1]:10002/a", true),
            ("QueueEndpoint=http://localhost:10001/a", true),
            ("AccountName=contoso;DefaultEndpointsProtocol=http", false),
            (
                "QueueEndpoint=https://contoso.queue.core.windows.net;TableEndpoint=http://contoso.table.example",
                false,
            ),
            ("QueueEndpoint=http://localhost.example/a", false),
            ("QueueEndpoint=http://127.0.0.1.example/a", false),
        ] {
            assert_eq!(with_token(text).is_ok(), expected, "{text}");
            assert!(!format!("{:?}", with_token(text)).contains("hunter2"), "{text}");
        }
    }

    #[test]
    fn account_without_account_key_or_sas_takes_tokens_and_other_accounts_refuse_tokens() {
        for (text, needs_token) in [
            ("AccountName=contoso", true),
            ("AccountName=contoso;AccountKey=c2VjcmV0LWtleQ==", false),
            ("AccountName=contoso;SharedAccessSignature=sig=x", false),
            ("UseDevelopmentStorage=true", false),
        ] {
            assert_eq!(Account::parse(text).unwrap().needs_token(), needs_token, "{text}");
            assert_eq!(with_token(text).is_ok(), needs_token, "{text}");
        }
        let renewed = with_token("AccountName=contoso").unwrap();
        let renewed = renewed.with_token(Secret::new("hunter3").unwrap()).unwrap();
        assert!(renewed.needs_token() && renewed != with_token("AccountName=contoso").unwrap());
    }
}
