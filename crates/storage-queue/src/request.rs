//! One signed request.

use bytes::Bytes;
use chrono::{DateTime, Datelike, Timelike, Utc};
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderValue, Method, Request};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::auth::{ToSign, shared_key};
use crate::connection::{Account, Credential};
use crate::error::QueueError;

/// The version of the service's API: the first with everything that is used here, and known to every emulator.
pub const API_VERSION: &str = "2021-12-02";

/// RFC 3986's unreserved characters. A pop receipt has `+`, `/` and `=`: unencoded, the first is read as a space.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// A request before it is signed. It is signed anew for each attempt, because its date is signed too.
#[derive(Debug, Clone)]
pub(crate) struct Call {
    pub(crate) method: Method,
    /// Path segments below the endpoint.
    pub(crate) path: Vec<String>,
    /// Query parameters, not encoded yet; names in lower case.
    pub(crate) query: Vec<(&'static str, String)>,
    pub(crate) body: Option<String>,
    /// Whether success is worth nothing without the answer's body.
    pub(crate) reads_answer: bool,
}

impl Call {
    pub(crate) fn new<const N: usize>(method: Method, path: [&str; N]) -> Self {
        Self {
            method,
            path: path.map(str::to_owned).into(),
            query: Vec::new(),
            body: None,
            reads_answer: false,
        }
    }

    pub(crate) fn query(mut self, name: &'static str, value: impl ToString) -> Self {
        self.query.push((name, value.to_string()));
        self
    }

    pub(crate) fn body(mut self, body: String) -> Self {
        self.body = Some(body);
        self
    }

    pub(crate) fn reading_the_answer(mut self) -> Self {
        self.reads_answer = true;
        self
    }

    /// The request, signed for this moment.
    pub(crate) fn sign(&self, account: &Account, now: DateTime<Utc>) -> Result<Request<Bytes>, QueueError> {
        let invalid = || QueueError::Unreadable("storageconnection or queuename do not make a URL".into());
        let mut uri = account.endpoint.clone();
        for segment in &self.path {
            uri.push('/');
            uri.extend(utf8_percent_encode(segment, ENCODED));
        }
        let mut separator = '?';
        for (name, value) in &self.query {
            uri.push(separator);
            uri.push_str(name);
            uri.push('=');
            uri.extend(utf8_percent_encode(value, ENCODED));
            separator = '&';
        }
        let content_type = if self.body.is_some() { "application/xml" } else { "" };
        let body = Bytes::from(self.body.clone().unwrap_or_default());
        let mut request = Request::new(body);
        *request.method_mut() = self.method.clone();
        match &account.credential {
            // Already encoded, and encoded once: its `sig` would not survive a second time.
            Credential::Sas(sas) => {
                uri.push(separator);
                uri.push_str(sas);
                *request.uri_mut() = uri.parse().map_err(|_| invalid())?;
                request.headers_mut().insert("x-ms-version", HeaderValue::from_static(API_VERSION));
            }
            Credential::SharedKey { account, key } => {
                *request.uri_mut() = uri.parse().map_err(|_| invalid())?;
                let date = rfc_1123(now);
                let ms_headers = [("x-ms-date", date), ("x-ms-version", API_VERSION.to_owned())];
                let to_sign = ToSign {
                    method: self.method.as_str(),
                    account,
                    path: request.uri().path(),
                    query: &self.query,
                    body_bytes: request.body().len(),
                    content_type,
                    ms_headers: &ms_headers,
                };
                let authorization = shared_key(account, key, &to_sign.text());
                let mut authorization = HeaderValue::try_from(authorization).map_err(|_| invalid())?;
                authorization.set_sensitive(true);
                request.headers_mut().insert(AUTHORIZATION, authorization);
                for (name, value) in ms_headers {
                    let value = HeaderValue::try_from(value).map_err(|_| invalid())?;
                    request.headers_mut().insert(name, value);
                }
            }
        }
        if !content_type.is_empty() {
            request.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
        }
        Ok(request)
    }
}

/// The date as the service wants it: RFC 1123, always GMT (`Mon, 23 Nov 2026 22:00:00 GMT`). By hand, because chrono reads a
/// format at run time, which costs the guest 10 KB.
fn rfc_1123(time: DateTime<Utc>) -> String {
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let month = MONTHS.get(time.month0() as usize).copied().unwrap_or_default();
    let (weekday, day, year) = (time.weekday(), time.day(), time.year());
    let (hour, minute, second) = (time.hour(), time.minute(), time.second());
    format!("{weekday}, {day:02} {month} {year:04} {hour:02}:{minute:02}:{second:02} GMT")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_of_rfc_1123() {
        for (time, expected) in [
            ("2026-11-23T22:00:00Z", "Mon, 23 Nov 2026 22:00:00 GMT"),
            ("2027-01-02T03:04:05.999Z", "Sat, 02 Jan 2027 03:04:05 GMT"),
            ("2028-02-29T23:59:59+02:00", "Tue, 29 Feb 2028 21:59:59 GMT"),
            ("2026-12-31T00:00:00Z", "Thu, 31 Dec 2026 00:00:00 GMT"),
        ] {
            let time: DateTime<chrono::FixedOffset> = time.parse().unwrap();
            assert_eq!(rfc_1123(time.to_utc()), expected);
        }
    }
}
