//! One storage call, and the authorization of its HTTP requests.

use bytes::Bytes;
use chrono::{DateTime, Utc};
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, PercentEncode, utf8_percent_encode};

use crate::account::{Account, Credential};
use crate::auth::ToSign;
use crate::date::rfc_1123;
use crate::error::Unusable;
use crate::service::{API_VERSION, Service};

// These names are constants, so the client need not parse them for each request.
const VERSION_HEADER: HeaderName = HeaderName::from_static("x-ms-version");
const DATE_HEADER: HeaderName = HeaderName::from_static("x-ms-date");

/// The characters that [`encoded`] encodes: all except RFC 3986's unreserved characters. For example, the pop
/// receipt of a queue message can contain `+`, and the service reads an unencoded `+` as a space.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Percent-encodes text for a part of a URL. Only RFC 3986's unreserved characters stay unencoded.
pub fn encoded(text: &str) -> PercentEncode<'_> {
    utf8_percent_encode(text, ENCODED)
}

/// A storage call: the HTTP request for one operation (such as Put Message), without an authorization.
/// [`Sender`](crate::Sender) can send this request several times. Before each attempt, the sender adds a new
/// authorization, because a signature covers the date.
#[derive(Debug, Clone)]
pub struct Call {
    method: Method,
    /// The path below the endpoint, encoded. The path begins with a slash.
    path: String,
    /// Query parameters, not encoded.
    query: Vec<(&'static str, String)>,
    headers: HeaderMap,
    body: Bytes,
    pub(crate) reads_response: bool,
}

impl Call {
    /// Makes a storage call without query, headers and body. The path must already be encoded, and must begin
    /// with a slash.
    pub fn new(method: Method, path: impl Into<String>) -> Self {
        Self {
            method,
            path: path.into(),
            query: Vec::new(),
            headers: HeaderMap::new(),
            body: Bytes::new(),
            reads_response: false,
        }
    }

    /// Adds a query parameter. The name must have only characters that need no encoding. The queue service
    /// computes the signature with names in lower case. So for this service, the name must be in lower case.
    #[must_use]
    pub fn query(mut self, name: &'static str, value: impl ToString) -> Self {
        self.query.push((name, value.to_string()));
        self
    }

    /// Adds a header.
    #[must_use]
    pub fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.insert(name, value);
        self
    }

    /// Sets the body and its type.
    #[must_use]
    pub fn body(mut self, content_type: HeaderValue, body: impl Into<Bytes>) -> Self {
        self.body = body.into();
        self.header(CONTENT_TYPE, content_type)
    }

    /// Marks this storage call. Use the mark if you need the body of the response. If the body does not
    /// arrive completely, a marked call fails. A call without the mark succeeds with every 2xx status, even
    /// if the body does not arrive.
    #[must_use]
    pub fn reading_the_response(mut self) -> Self {
        self.reads_response = true;
        self
    }

    /// Returns the request with its authorization. If the account has an account key, the signature covers
    /// the time `now`.
    pub(crate) fn authorize(
        &self,
        account: &Account,
        service: Service,
        now: DateTime<Utc>,
    ) -> Result<Request<Bytes>, Unusable> {
        let mut uri = [account.endpoint(service)?, &self.path].concat();
        let mut separator = '?';
        for (name, value) in &self.query {
            uri.push(separator);
            uri.push_str(name);
            uri.push('=');
            uri.extend(encoded(value));
            separator = '&';
        }
        if let Credential::Sas(sas) = &account.credential {
            // The SAS is already encoded. Encoding it again would change its `sig`.
            uri.push(separator);
            uri.push_str(sas);
        }
        let mut request = Request::new(self.body.clone());
        *request.method_mut() = self.method.clone();
        *request.uri_mut() = uri.parse().map_err(|_| Unusable::NoUrl)?;
        *request.headers_mut() = self.headers.clone();
        let date = rfc_1123(now);
        let authorization = match &account.credential {
            Credential::Sas(_) => None,
            Credential::Entra(None) => return Err(Unusable::NoToken),
            Credential::Entra(Some(token)) => Some(format!("Bearer {}", token.expose())),
            Credential::SharedKey { account, key } => {
                let content_type = self.headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
                let to_sign = ToSign {
                    method: self.method.as_str(),
                    account,
                    path: request.uri().path(),
                    query: &self.query,
                    body_bytes: self.body.len(),
                    content_type: content_type.unwrap_or_default(),
                    date: &date,
                };
                Some(key.authorization(account, &to_sign.text(service)))
            }
        };
        let headers = request.headers_mut();
        headers.insert(VERSION_HEADER, HeaderValue::from_static(API_VERSION));
        if let Some(authorization) = authorization {
            let date = HeaderValue::try_from(date).map_err(|_| Unusable::NoUrl)?;
            headers.insert(DATE_HEADER, date);
            // The error says nothing about the value, because the value is a secret.
            let mut value = HeaderValue::try_from(authorization).map_err(|_| Unusable::NoToken)?;
            value.set_sensitive(true);
            headers.insert(AUTHORIZATION, value);
        }
        Ok(request)
    }
}

#[cfg(test)]
mod tests {
    use chrono::TimeZone;
    use platform::Secret;

    use super::*;

    fn request(account: &Account, service: Service) -> Result<Request<Bytes>, Unusable> {
        let call = Call::new(Method::GET, "/state()").query("$filter", "a eq 'b c'");
        call.authorize(account, service, Utc.timestamp_opt(1_795_471_200, 0).unwrap())
    }

    #[test]
    fn request_with_a_token_has_an_authorization_header_and_request_with_a_sas_has_the_sas_in_its_url() {
        const FILTER: &str = "$filter=a%20eq%20%27b%20c%27";
        let entra = Account::parse("AccountName=contoso").unwrap();
        assert_eq!(request(&entra, Service::Table).unwrap_err(), Unusable::NoToken);
        let entra = entra.with_token(Secret::new("hunter2").unwrap()).unwrap();
        let sent = request(&entra, Service::Table).unwrap();
        assert_eq!(
            sent.uri().to_string(),
            format!("https://contoso.table.core.windows.net/state()?{FILTER}")
        );
        assert_eq!(sent.headers()["authorization"], "Bearer hunter2");
        assert_eq!(sent.headers()["x-ms-version"], "2021-12-02");
        assert_eq!(sent.headers()["x-ms-date"], "Mon, 23 Nov 2026 22:00:00 GMT");
        assert!(!format!("{sent:?}").contains("hunter2"));
        let sent = request(&entra, Service::Queue).unwrap();
        assert!(sent.uri().to_string().starts_with("https://contoso.queue.core.windows.net/"));

        let sas = Account::parse("AccountName=contoso;SharedAccessSignature=?ss=qt&sig=a%2Bb").unwrap();
        let sent = request(&sas, Service::Table).unwrap();
        let expected = format!("https://contoso.table.core.windows.net/state()?{FILTER}&ss=qt&sig=a%2Bb");
        assert_eq!(sent.uri().to_string(), expected);
        assert!(!sent.headers().contains_key("authorization"));

        let broken = Account::parse("AccountName=contoso").unwrap();
        let broken = broken.with_token(Secret::new("two\nlines").unwrap()).unwrap();
        assert_eq!(request(&broken, Service::Table).unwrap_err(), Unusable::NoToken);
    }

    #[test]
    fn error_for_a_missing_endpoint_names_the_setting() {
        let text = "QueueEndpoint=https://contoso.queue.core.windows.net;SharedAccessSignature=sig=x";
        let account = Account::parse(text).unwrap();
        let error = request(&account, Service::Table).unwrap_err().to_string();
        assert!(error.contains("TableEndpoint"), "{error}");
        let account = Account::parse(&text.replace("Queue", "Table")).unwrap();
        let error = request(&account, Service::Queue).unwrap_err().to_string();
        assert!(error.contains("QueueEndpoint"), "{error}");
    }
}
