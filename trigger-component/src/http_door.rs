//! `POST /internal/poll`: everything that the cron trigger can do, for hosts without one. GET does the same: Akamai's scheduler
//! sends nothing else (<https://techdocs.akamai.com/akamai-functions/docs/schedule-tasks-with-cron-jobs-in-spin>).

use bytes::Bytes;
use http::header::{ALLOW, AUTHORIZATION, WWW_AUTHENTICATE};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use percent_encoding::percent_decode_str;
use platform::{Host, Level, Secret, answer};
use serde_json::json;

use crate::drain::{self, Door};
use crate::settings::poll_key;

/// Answers one request: 200 with the run's counts; 401, 404 (no key is set), 405, 500, 503.
pub async fn handle<H: Host, B>(host: &H, request: Request<B>) -> Response<Bytes> {
    if request.uri().path() != "/internal/poll" {
        return answer::error(StatusCode::NOT_FOUND, "NotFound", "there is nothing here");
    }
    let key = match poll_key(host) {
        Ok(Some(key)) => key,
        Ok(None) => return answer::error(StatusCode::NOT_FOUND, "NotFound", "there is nothing here"),
        Err(error) => {
            host.event(Level::Error, "poll.misconfigured", json!({"reason": error.to_string()}));
            return misconfigured();
        }
    };
    if ![Method::GET, Method::POST].contains(request.method()) {
        let mut response = answer::error(
            StatusCode::METHOD_NOT_ALLOWED,
            "MethodNotAllowed",
            "this method is not allowed here",
        );
        response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, POST"));
        return response;
    }
    if !is_authorized(&key, &request) {
        host.event(Level::Warn, "poll.unauthorized", json!({}));
        let mut response =
            answer::error(StatusCode::UNAUTHORIZED, "Unauthorized", "the poll key is missing or wrong");
        response.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        return response;
    }
    match drain::run(host, Door::Http).await {
        Ok(report) => answer::json(StatusCode::OK, &report.to_json()),
        Err(drain::RunError::Misconfigured(_)) => misconfigured(),
        Err(drain::RunError::Queue(_)) => answer::error(
            StatusCode::SERVICE_UNAVAILABLE,
            "QueueUnavailable",
            "the queue cannot be read; nothing is lost",
        ),
    }
}

fn misconfigured() -> Response<Bytes> {
    let message = "the poller is not configured correctly; its log says what is wrong";
    answer::error(StatusCode::INTERNAL_SERVER_ERROR, "Misconfigured", message)
}

/// `Authorization: Bearer <key>`, or `?key=<key>` for schedulers that can set no header (Akamai's cron).
fn is_authorized<B>(key: &Secret, request: &Request<B>) -> bool {
    let header = request.headers().get(AUTHORIZATION).and_then(|value| value.to_str().ok());
    if let Some(header) = header {
        return header.strip_prefix("Bearer ").is_some_and(|candidate| key.matches(candidate));
    }
    let query = request.uri().query().unwrap_or_default();
    let candidate = query.split('&').find_map(|pair| pair.strip_prefix("key=")).unwrap_or_default();
    percent_decode_str(candidate).decode_utf8().is_ok_and(|candidate| key.matches(&candidate))
}

#[cfg(test)]
mod tests {
    use platform::testing::{FakeHost, run};

    use super::*;

    const EMPTY_QUEUE: &str = "<QueueMessagesList/>";

    fn host(key: &str) -> FakeHost {
        FakeHost::with_settings([
            ("authmode", "anonymous"),
            ("storageconnection", "UseDevelopmentStorage=true"),
            ("queuename", "bot-queue"),
            ("pollkey", key),
        ])
    }

    fn request(method: &str, target: &str, authorization: Option<&str>) -> Request<()> {
        let builder = Request::builder().method(method).uri(target);
        match authorization {
            Some(value) => builder.header(AUTHORIZATION, value),
            None => builder,
        }
        .body(())
        .unwrap()
    }

    #[test]
    fn who_may_poll() {
        for (key, method, target, authorization, expected) in [
            ("k&1", "POST", "/internal/poll", Some("Bearer k&1"), 200),
            ("k&1", "POST", "/internal/poll?key=k%261", None, 200),
            ("k&1", "POST", "/internal/poll?x=1&key=k%261", None, 200),
            ("k&1", "POST", "/internal/poll", None, 401),
            ("k&1", "POST", "/internal/poll?key=", None, 401),
            ("k&1", "POST", "/internal/poll?key=k", None, 401),
            ("k&1", "POST", "/internal/poll?key=k%261", Some("Bearer wrong"), 401),
            ("k&1", "POST", "/internal/poll", Some("Basic k&1"), 401),
            ("k&1", "POST", "/internal/poll", Some("k&1"), 401),
            ("k&1", "GET", "/internal/poll?key=k%261", None, 200),
            ("k&1", "GET", "/internal/poll?key=k", None, 401),
            ("k&1", "GET", "/internal/poll?key=k%261", Some("Bearer wrong"), 401),
            ("k&1", "GET", "/internal/poll", None, 401),
            ("k&1", "HEAD", "/internal/poll?key=k%261", None, 405),
            ("k&1", "PUT", "/internal/poll?key=k%261", None, 405),
            ("k&1", "POST", "/internal", Some("Bearer k&1"), 404),
            ("", "POST", "/internal/poll", Some("Bearer "), 404),
            ("", "POST", "/internal/poll?key=", None, 404),
        ] {
            let host = host(key);
            host.answers(|_| Some(Ok(platform::testing::response(200, EMPTY_QUEUE))));
            let status = run(handle(&host, request(method, target, authorization))).status().as_u16();
            assert_eq!(status, expected, "{method} {target} {authorization:?} with pollkey {key:?}");
            assert_eq!(host.sent.borrow().is_empty(), expected != 200, "nothing is polled for a stranger");
        }
    }
}
