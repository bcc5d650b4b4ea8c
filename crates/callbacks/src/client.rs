//! Sends a callback: a signed HTTP call to the back end of an alert's sender. The callback tells the sender
//! how a person has answered the alert.

use std::time::Duration;

use bot_framework::retry_after_of;
use bytes::Bytes;
use http::header::{CONTENT_TYPE, USER_AGENT};
use http::{HeaderMap, Request};
use platform::{Clock, Deadline, HttpClient, Randomness, Timeouts, Traceparent, TransportError};

use crate::hosts::CallbackUrl;
use crate::signature::CallbackSecrets;

const TIMEOUTS: Timeouts = Timeouts {
    connect: Duration::from_secs(3),
    first_byte: Duration::from_secs(8),
    between_bytes: Duration::from_secs(3),
    total: Duration::from_secs(12),
    max_response_bytes: 64 * 1024,
};

/// One callback: the report of one answer.
#[derive(Debug, Clone)]
pub struct Callback<'a> {
    /// The URL to call.
    pub url: &'a CallbackUrl,
    /// The id of the report (`webhook-id`). Each attempt to send the report has the same id.
    pub id: &'a str,
    /// The body, as JSON.
    pub body: Bytes,
    /// The W3C trace (`traceparent`) to which the call belongs.
    pub trace: Option<&'a Traceparent>,
}

/// The result of a callback.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Called {
    /// The back end accepted the report: it returned 2xx.
    Accepted,
    /// The back end wants no more reports at this URL: it returned 410.
    Gone,
    /// The back end returned 429, because it limits the rate of calls. The value is the pause that the
    /// response asks for (`Retry-After`).
    Throttled(Option<Duration>),
    /// The back end returned any other status, or there was no response. A later attempt can succeed.
    Failed {
        /// The HTTP status, if there was a response.
        status: Option<u16>,
        /// The HTTP status as text, or the error of the connection. The reason never contains the body of the
        /// response.
        reason: String,
        /// The pause that the response asks for (`Retry-After`).
        retry_after: Option<Duration>,
    },
}

/// Sends a callback once, signed with the current time.
pub async fn call<H: HttpClient + Clock + Randomness>(
    host: &H,
    secrets: &CallbackSecrets,
    callback: &Callback<'_>,
    deadline: Deadline,
) -> Called {
    let Callback { url, id, body, trace } = callback;
    let timestamp = host.now().timestamp();
    let mut request = Request::post(url.as_str())
        .header(CONTENT_TYPE, "application/json")
        .header(USER_AGENT, concat!("proactive-bot/", env!("CARGO_PKG_VERSION")))
        .header("webhook-id", *id)
        .header("webhook-timestamp", timestamp)
        .header("webhook-signature", secrets.sign(id, timestamp, body));
    if let Some(trace) = trace {
        request = request.header(Traceparent::HEADER, trace.child(host).to_string());
    }
    let response = match request.body(body.clone()) {
        Ok(request) => host.send(request, TIMEOUTS.within(deadline.remaining(host))).await,
        Err(_) => Err(TransportError::NotSent("the address is not valid".into())),
    };
    let (status, headers) = match &response {
        Ok(response) => (response.status().as_u16(), response.headers()),
        // The back end has responded, but the body was lost. The result depends only on the status and the
        // headers.
        Err(TransportError::BodyLost(lost)) => (lost.status.as_u16(), &lost.headers),
        Err(error) => {
            return Called::Failed { status: None, reason: error.to_string(), retry_after: None };
        }
    };
    let pause = |headers: &HeaderMap| retry_after_of(headers, host.now());
    match status {
        200..=299 => Called::Accepted,
        410 => Called::Gone,
        429 => Called::Throttled(pause(headers)),
        _ => Called::Failed { status: Some(status), reason: status.to_string(), retry_after: pause(headers) },
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use bot_framework::AuthMode;
    use platform::testing::{FakeHost, response, run};

    use super::*;
    use crate::hosts::CallbackHosts;

    const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

    fn called(host: &FakeHost) -> Called {
        host.settings.borrow_mut().insert("callbacksecret".into(), SECRET.into());
        let secrets = CallbackSecrets::read(host).unwrap().unwrap();
        let url =
            CallbackHosts::read(host, AuthMode::Anonymous).unwrap().check("http://127.0.0.1:1/x").unwrap();
        let body = Bytes::from_static(b"{}");
        let callback = Callback { url: &url, id: "a", body, trace: None };
        run(call(host, &secrets, &callback, Deadline::after(host, Duration::from_secs(20))))
    }

    #[test]
    fn callback_has_the_headers_of_standard_webhooks() {
        let host = FakeHost::default();
        host.then_status(204, "");
        assert_eq!(called(&host), Called::Accepted);
        let sent = host.sent.borrow();
        let header = |name: &str| sent[0].headers()[name].to_str().unwrap().to_owned();
        assert_eq!(header("webhook-id"), "a");
        assert_eq!(header("webhook-timestamp"), FakeHost::START_SECONDS.to_string());
        assert!(header("webhook-signature").starts_with("v1,"));
        assert_eq!(header("content-type"), "application/json");
    }

    #[test]
    fn result_of_a_callback_follows_from_the_status() {
        let failed =
            |status| Called::Failed { status: Some(status), reason: status.to_string(), retry_after: None };
        for (status, expected) in [
            (200, Called::Accepted),
            (202, Called::Accepted),
            // The client follows no redirect, because a redirect could lead to a host that is not in the
            // variable `callbackhosts`.
            (302, failed(302)),
            (400, failed(400)),
            (404, failed(404)),
            (410, Called::Gone),
            (429, Called::Throttled(None)),
            (500, failed(500)),
        ] {
            let host = FakeHost::default();
            host.then(Ok(response(status, "")));
            assert_eq!(called(&host), expected, "{status}");
            assert_eq!(host.sent.borrow().len(), 1, "{status}: one call");
        }
        let host = FakeHost::default();
        host.then(Err(TransportError::ResponseLost("no response in time".into())));
        assert!(matches!(called(&host), Called::Failed { status: None, .. }));
    }
}
