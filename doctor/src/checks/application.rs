//! Checks the running application: health, the bot's endpoint, the poll route, and one alert route.

use std::time::Duration;

use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{Method, Request};
use platform::{Host, Timeouts, TransportError};
use serde_json::Value;
use url::Url;

use crate::report::Report;
use crate::variables::Variables;

/// The limits of one HTTP call. A call to the poll route (`/internal/poll`) starts a run of the poller. The
/// response comes when the run has ended, after at most 26 s.
const TIMEOUTS: Timeouts = Timeouts {
    connect: Duration::from_secs(5),
    first_byte: Duration::from_secs(35),
    between_bytes: Duration::from_secs(10),
    total: Duration::from_secs(45),
    max_response_bytes: 256 * 1024,
};

const ENDPOINT: &str = "/api/messages";

/// A response of the application, reduced to the parts that the checks use.
struct Response {
    /// The HTTP status.
    status: u16,
    /// The error code in the response, or the empty string.
    code: String,
    /// The code of the reason why a run of the poller did nothing, e.g. `noToken`, or the empty string.
    skipped: String,
}

pub(super) async fn check<H: Host>(host: &H, variables: Option<&Variables>, url: &str, report: &mut Report) {
    let Some(origin) = origin(url, report) else { return };
    let call = async |method: Method, path: &str, key: Option<&str>| {
        call(host, method, &format!("{origin}{path}"), key).await
    };
    match call(Method::GET, "/healthz", None).await {
        Err(error) => {
            report.problem(format!(
                "{origin}: cannot be reached ({error}); check the address, and whether the application is deployed"
            ));
            return;
        }
        Ok(Response { status: 200, .. }) => report.fine("/healthz: 200"),
        Ok(Response { status, .. }) => report.problem(format!(
            "/healthz: expected 200, found {status}; check that {origin} is the bot, and see the host's log"
        )),
    }
    match call(Method::POST, ENDPOINT, None).await {
        Err(error) => report.problem(format!("{ENDPOINT}: no response ({error}); see the host's log")),
        Ok(response) => report_endpoint(&response, report),
    }
    match call(Method::POST, "/internal/poll", None).await {
        Err(error) => report.problem(format!("/internal/poll: no response ({error}); see the host's log")),
        Ok(response) => report_poll_without_key(&response, report),
    }
    let key = variables.map(|variables| variables.trimmed("pollkey")).filter(|key| !key.is_empty());
    if let Some(key) = key {
        match call(Method::POST, "/internal/poll", Some(key)).await {
            Err(error) => report
                .problem(format!("/internal/poll: no response to the key ({error}); see the poller's log")),
            Ok(response) => report_poll_with_key(&response, report),
        }
    }
    match call(Method::POST, "/api/alerts", None).await {
        Ok(Response { status: 401, .. }) => report.fine("/api/alerts: 401 without a key, as it should be"),
        Ok(Response { status: 404, .. }) => {
            report.warn("/api/alerts: 404, so no program can send alerts; set alertkeys (cargo dev key) to open the route");
        }
        Ok(Response { status, code, .. }) => report.problem(format!(
            "/api/alerts: expected 401 without a key, found {status} {code}; see the bot's log"
        )),
        Err(error) => report.problem(format!("/api/alerts: no response ({error}); see the host's log")),
    }
}

/// Checks the address in `--url`. Returns the origin of the address (scheme, host and port), or `None` if the
/// text is no address.
fn origin(url: &str, report: &mut Report) -> Option<String> {
    let parsed = Url::parse(url).ok().filter(|url| url.has_host() && url.username().is_empty());
    let Some(parsed) = parsed else {
        report.problem("--url: expected an address such as https://bot.example.com; correct it");
        return None;
    };
    let host = parsed.host_str().unwrap_or_default();
    let is_local = host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback());
    if parsed.scheme() != "https" && !is_local {
        report.problem("--url: channels call https addresses only; put the application behind https");
    }
    let path = parsed.path().trim_end_matches('/');
    if path == ENDPOINT || path.is_empty() {
        report.fine(format!("the messaging endpoint is {}{ENDPOINT}", parsed.origin().ascii_serialization()));
    } else {
        report.problem(format!(
            "messaging endpoint: expected the path {ENDPOINT}, found {path}; correct the endpoint: az bot update \
             --endpoint {}{ENDPOINT}",
            parsed.origin().ascii_serialization()
        ));
    }
    Some(parsed.origin().ascii_serialization())
}

fn report_endpoint(response: &Response, report: &mut Report) {
    let Response { status, code, .. } = response;
    let problem = match status {
        // This status is right: the bot has to refuse a caller without a token.
        401 => {
            report.fine(format!("{ENDPOINT}: 401 without a token, as it should be"));
            return;
        }
        404 => "404; check that the address is the bot's, and that the manifest has the route".to_owned(),
        500 => "500, because a variable is wrong; the bot's log names it".to_owned(),
        403 if code == "HostNotAllowed" => {
            "403, because the bot runs with authmode=anonymous; set authmode=required".to_owned()
        }
        300..=399 => {
            format!(
                "{status}, a redirect, which channels do not follow; register the address that it leads to"
            )
        }
        200..=299 | 400 | 415 => {
            format!("{status} without a token, so everybody can call the bot; set authmode=required")
        }
        _ => format!("expected 401 without a token, found {status} {code}; see the bot's log"),
    };
    report.problem(format!("{ENDPOINT}: {problem}"));
}

fn report_poll_without_key(response: &Response, report: &mut Report) {
    let problem = match response.status {
        401 => {
            report.fine("/internal/poll: 401 without a key, as it should be");
            return;
        }
        404 => "404, so no scheduler can poll; set pollkey, and deploy again".to_owned(),
        500 => "500, because a variable is wrong; the poller's log names it".to_owned(),
        200..=299 => "starts a run without a key; set pollkey, and deploy again".to_owned(),
        status => format!("expected 401 without a key, found {status}; see the poller's log"),
    };
    report.problem(format!("/internal/poll: {problem}"));
}

fn report_poll_with_key(response: &Response, report: &mut Report) {
    let Response { status, code, skipped } = response;
    let problem = match status {
        200 | 202 if skipped == "credentialsRefused" => {
            "the poller sends nothing, because the bot's credentials were refused a moment ago; the poller's log \
             names the reason"
                .to_owned()
        }
        200 | 202 if skipped == "noToken" => {
            "the poller sends nothing, because it got no token a moment ago; the poller's log names the reason"
                .to_owned()
        }
        200 | 202 => {
            report.fine("/internal/poll: the key works, and the poller can run");
            return;
        }
        // The check without a key has already reported the missing route.
        404 => return,
        401 => {
            "401 with pollkey, so the application has another pollkey; deploy again with all variables".to_owned()
        }
        500 => "500, because a variable is wrong; the poller's log names it".to_owned(),
        503 => format!("503 {code}, so the poller cannot use the storage account; see the poller's log"),
        _ => format!("expected 200 with pollkey, found {status} {code}; see the poller's log"),
    };
    report.problem(format!("/internal/poll: {problem}"));
}

async fn call<H: Host>(
    host: &H,
    method: Method,
    url: &str,
    key: Option<&str>,
) -> Result<Response, TransportError> {
    let mut request = Request::builder().method(method).uri(url).header(CONTENT_TYPE, "application/json");
    if let Some(key) = key {
        request = request.header(AUTHORIZATION, format!("Bearer {key}"));
    }
    // The error of the crate `http` could repeat the poll key, so the report does not show this error.
    let invalid = |_| TransportError::NotSent("the address or the key cannot be sent".into());
    let response = match host.send(request.body(Bytes::new()).map_err(invalid)?, TIMEOUTS).await {
        Err(TransportError::BodyLost(lost)) => lost.into_response(),
        response => response?,
    };
    let body: Value = serde_json::from_slice(response.body()).unwrap_or_default();
    // The server's text could repeat the poll key. So the report shows a text of the server only if the text
    // has no characters except letters and digits.
    let word = |value: &Value| {
        let text = value.as_str().unwrap_or_default();
        if text.bytes().all(|byte| byte.is_ascii_alphanumeric()) { text.to_owned() } else { String::new() }
    };
    Ok(Response {
        status: response.status().as_u16(),
        code: word(&body["error"]["code"]),
        skipped: word(&body["skipped"]),
    })
}
