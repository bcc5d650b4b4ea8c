//! The HTTP route `/internal/poll`. A request to this route starts a *run* (one execution of the poller), as
//! a tick of the cron trigger does. The bot calls this route after it has put a message on the queue. The
//! bot's call is the *kick*. The schedulers of platforms without a cron trigger call this route, too. GET
//! works like POST, because Akamai's scheduler sends only GET
//! (<https://techdocs.akamai.com/akamai-functions/docs/schedule-tasks-with-cron-jobs-in-spin>).

use bot_framework::AuthMode;
use bytes::Bytes;
use http::header::AUTHORIZATION;
use http::{Method, Request, Response, StatusCode};
use percent_encoding::percent_decode_str;
use platform::{Host, Level, Reply, Secret, SettingsError, bearer, response};
use serde_json::json;

use crate::Limits;
use crate::poll_refusal::PollRefusal;
use crate::run::{self, Beginning, EntryPoint, RunError};
use crate::settings::{bot_key, poll_key};

/// Starts a run for a request to `/internal/poll`, and returns 200 with the run's report when the run has
/// ended. If the request has `Prefer: respond-async` (RFC 7240), this function returns 202 as soon as the run
/// has begun. If the run does no work ([`Beginning::Skipped`]), the status is 200 or 202, too.
///
/// This function refuses a request with one of these statuses:
///
/// - 401: the poll key is missing or wrong.
/// - 403: `authmode` is `anonymous`, and the header `Host` does not name this machine.
/// - 404: the path is not `/internal/poll`. Or `pollkey` is empty, and the request is not the bot's kick.
/// - 405: the method is neither GET nor POST.
/// - 500: a setting is wrong.
/// - 503: the storage account cannot be used.
pub async fn handle<H: Host, B>(host: &H, request: Request<B>) -> Reply<'_> {
    // The time limits of the run count from this moment. The code below reads settings, and the Spin host can
    // take seconds to read each of them.
    let called_at = host.monotonic();
    if let Err(refusal) = admit(host, &request) {
        return (*refusal).into();
    }
    if !responds_async(&request) {
        return match run::run(host, EntryPoint::Http, called_at).await {
            Ok(report) => response::json(StatusCode::OK, &report.to_json()).into(),
            Err(error) => failed(&error).into(),
        };
    }
    match run::begin(host, EntryPoint::Kick, called_at, Limits::default()).await {
        Ok(Beginning::Skipped(report)) => response::json(StatusCode::ACCEPTED, &report.to_json()).into(),
        Ok(Beginning::Begun(run)) => {
            let begun = response::json(StatusCode::ACCEPTED, &json!({"run": run.id()}));
            // The method `work` logs the result, so this code drops the result.
            Reply::then(begun, async move { drop(run.work(host).await) })
        }
        Err(error) => failed(&error).into(),
    }
}

/// Checks that the caller is allowed to start a run. The error is the response that refuses the request.
fn admit<B>(host: &impl Host, request: &Request<B>) -> Result<(), Box<Response<Bytes>>> {
    let no_such_route = || PollRefusal::NoSuchRoute.response();
    if request.uri().path() != "/internal/poll" {
        return Err(no_such_route().into());
    }
    let misconfigured = |error: SettingsError| {
        host.event(Level::Error, "poll.misconfigured", json!({"reason": error.to_string()}));
        Box::new(PollRefusal::Misconfigured.response())
    };
    let key = poll_key(host).map_err(misconfigured)?;
    let is_method_allowed = [Method::GET, Method::POST].contains(request.method());
    let expect_own_host = || {
        let mode = AuthMode::read(host).map_err(misconfigured)?;
        mode.check_host(request.headers()).map_err(|error| Box::new(PollRefusal::from(error).response()))
    };
    if is_method_allowed && key.as_ref().is_some_and(|key| is_authorized(key, request)) {
        return expect_own_host();
    }
    // The bot's kick has a key of its own. This key works even if `pollkey` is empty, but only in a request
    // with `Prefer: respond-async`.
    if is_method_allowed
        && responds_async(request)
        && is_authorized(&bot_key(host).map_err(misconfigured)?, request)
    {
        return expect_own_host();
    }
    if key.is_none() {
        return Err(no_such_route().into());
    }
    if !is_method_allowed {
        return Err(PollRefusal::MethodNotAllowed.response().into());
    }
    host.event(Level::Warn, "poll.unauthorized", json!({}));
    Err(PollRefusal::Unauthorized.response().into())
}

fn responds_async<B>(request: &Request<B>) -> bool {
    let wishes = request.headers().get_all("prefer").iter().filter_map(|value| value.to_str().ok());
    wishes.flat_map(|value| value.split(',')).any(|wish| wish.trim().eq_ignore_ascii_case("respond-async"))
}

fn failed(error: &RunError) -> Response<Bytes> {
    let refusal = match error {
        RunError::Misconfigured(_) => PollRefusal::Misconfigured,
        RunError::Queue(_) => PollRefusal::QueueUnavailable,
        RunError::State(_) | RunError::NoStorageToken(_) => PollRefusal::StateUnavailable,
    };
    refusal.response()
}

/// Whether the request has this key in the header `Authorization: Bearer <key>`. If the request has no header
/// `Authorization`, this function looks for the key in the URL (`?key=<key>`), because some schedulers cannot
/// set a header (e.g. Akamai's cron).
fn is_authorized<B>(key: &Secret, request: &Request<B>) -> bool {
    let header = request.headers().get(AUTHORIZATION).and_then(|value| value.to_str().ok());
    if let Some(header) = header {
        return bearer(header).is_some_and(|candidate| key.matches(candidate));
    }
    let query = request.uri().query().unwrap_or_default();
    let candidate = query.split('&').find_map(|pair| pair.strip_prefix("key=")).unwrap_or_default();
    percent_decode_str(candidate).decode_utf8().is_ok_and(|candidate| key.matches(&candidate))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use http::HeaderValue;
    use platform::testing::{FakeHost, run};
    use storage_table::testing::FakeTables;

    use super::*;

    const EMPTY_QUEUE: &str = "<QueueMessagesList/>";
    const KEY: &str = "a-key-of-16-or-so";

    /// Makes a fake Spin host with a storage account that has an empty queue and tables. `key` is the value
    /// of `pollkey`.
    fn host(key: &str) -> FakeHost {
        let host = FakeHost::with_settings([
            ("authmode", "anonymous"),
            ("storageconnection", "UseDevelopmentStorage=true"),
            ("queuename", "bot-queue"),
            ("pollkey", key),
        ]);
        let mut tables = FakeTables::default();
        host.answers(move |request| {
            let from_table = tables.response(request, chrono::DateTime::UNIX_EPOCH);
            Some(Ok(from_table.unwrap_or_else(|| platform::testing::response(200, EMPTY_QUEUE))))
        });
        host
    }

    fn queue_calls(host: &FakeHost) -> usize {
        host.sent.borrow().iter().filter(|request| request.uri().port_u16() == Some(10001)).count()
    }

    fn request(method: &str, target: &str, authorization: Option<&str>) -> Request<()> {
        let builder = Request::builder().method(method).uri(target).header("host", "localhost:3000");
        match authorization {
            Some(value) => builder.header(AUTHORIZATION, value),
            None => builder,
        }
        .body(())
        .unwrap()
    }

    #[test]
    fn poll_without_the_right_key_path_or_method_is_refused_without_a_storage_call() {
        for (key, method, target, authorization, expected) in [
            ("a-key&of-16-chars", "POST", "/internal/poll", Some("Bearer a-key&of-16-chars"), 200),
            ("a-key&of-16-chars", "POST", "/internal/poll?key=a-key%26of-16-chars", None, 200),
            ("a-key&of-16-chars", "POST", "/internal/poll?x=1&key=a-key%26of-16-chars", None, 200),
            ("a-key&of-16-chars", "POST", "/internal/poll", None, 401),
            ("a-key&of-16-chars", "POST", "/internal/poll?key=", None, 401),
            ("a-key&of-16-chars", "POST", "/internal/poll?key=a-key", None, 401),
            (
                "a-key&of-16-chars",
                "POST",
                "/internal/poll?key=a-key%26of-16-chars",
                Some("Bearer wrong"),
                401,
            ),
            ("a-key&of-16-chars", "POST", "/internal/poll", Some("Basic a-key&of-16-chars"), 401),
            ("a-key&of-16-chars", "POST", "/internal/poll", Some("a-key&of-16-chars"), 401),
            ("a-key&of-16-chars", "GET", "/internal/poll?key=a-key%26of-16-chars", None, 200),
            ("a-key&of-16-chars", "GET", "/internal/poll?key=a-key", None, 401),
            ("a-key&of-16-chars", "GET", "/internal/poll?key=a-key%26of-16-chars", Some("Bearer wrong"), 401),
            ("a-key&of-16-chars", "GET", "/internal/poll", None, 401),
            ("a-key&of-16-chars", "HEAD", "/internal/poll?key=a-key%26of-16-chars", None, 405),
            ("a-key&of-16-chars", "PUT", "/internal/poll?key=a-key%26of-16-chars", None, 405),
            ("a-key&of-16-chars", "POST", "/internal", Some("Bearer a-key&of-16-chars"), 404),
            ("", "POST", "/internal/poll", Some("Bearer "), 404),
            ("", "POST", "/internal/poll?key=", None, 404),
        ] {
            let host = host(key);
            let status =
                run(handle(&host, request(method, target, authorization))).response.status().as_u16();
            assert_eq!(status, expected, "{method} {target} {authorization:?} with pollkey {key:?}");
            assert_eq!(
                host.sent.borrow().is_empty(),
                expected != 200,
                "a refused request causes no storage call"
            );
        }
    }

    #[test]
    fn elapsed_time_of_a_run_includes_the_delay_of_a_slow_setting() {
        for takes_seconds in [0, 4, 21] {
            let host = host(KEY);
            host.slow_setting.replace(Some(("pollkey".into(), Duration::from_secs(takes_seconds))));
            let bearer = format!("Bearer {KEY}");
            let reply = run(handle(&host, request("POST", "/internal/poll", Some(&bearer))));
            let report: serde_json::Value = serde_json::from_slice(reply.response.body()).unwrap();
            assert_eq!(report["elapsedMilliseconds"], takes_seconds * 1000);
        }
    }

    #[test]
    fn poll_with_a_foreign_host_header_in_anonymous_mode_is_refused() {
        let host = host(KEY);
        for authorization in [KEY, bot_key(&host).unwrap().expose()] {
            let mut request = request("POST", "/internal/poll", Some(&format!("Bearer {authorization}")));
            request.headers_mut().insert("prefer", HeaderValue::from_static("respond-async"));
            request.headers_mut().insert("host", HeaderValue::from_static("evil.example:3000"));
            assert_eq!(run(handle(&host, request)).response.status(), StatusCode::FORBIDDEN);
        }
        assert!(host.sent.borrow().is_empty());
    }

    #[test]
    fn poll_key_with_white_space_is_trimmed_and_a_short_key_is_refused() {
        for (key, expected) in [
            ("a-key-of-16-char", 200),
            (" a-key-of-16-char\r\n", 200),
            ("a-key-of-15-cha", 500),
            ("a-key-of-15-cha ", 500),
            ("k", 500),
            (" ", 404),
            ("\n", 404),
        ] {
            let host = host(key);
            let bearer = format!("Bearer {}", key.trim());
            let reply = run(handle(&host, request("POST", "/internal/poll", Some(&bearer))));
            assert_eq!(reply.response.status().as_u16(), expected, "{key:?}");
            let events = host.events("poll.misconfigured");
            assert_eq!(events.len(), usize::from(expected == 500), "{key:?}");
            if let Some(event) = events.first() {
                let reason = event["reason"].as_str().unwrap();
                assert!(reason.contains("pollkey") && !reason.contains("a-key"), "{reason}");
            }
        }
    }

    #[test]
    fn poll_with_respond_async_gets_a_response_before_the_run_works() {
        for (poll_key, authorization, prefer, expected) in [
            ("", "bot", Some("respond-async"), 202),
            (KEY, "bot", Some("wait=5, Respond-Async"), 202),
            (KEY, KEY, Some("respond-async"), 202),
            // Without `respond-async` the bot's key is refused.
            ("", "bot", None, 404),
            (KEY, "bot", None, 401),
            ("", "wrong", Some("respond-async"), 404),
            (KEY, "wrong", Some("respond-async"), 401),
        ] {
            let host = host(poll_key);
            let key = match authorization {
                "bot" => bot_key(&host).unwrap().expose().to_owned(),
                other => other.to_owned(),
            };
            let mut request = request("POST", "/internal/poll", Some(&format!("Bearer {key}")));
            if let Some(prefer) = prefer {
                request.headers_mut().insert("prefer", prefer.parse().unwrap());
            }
            let reply = run(handle(&host, request));
            let row = format!("pollkey {poll_key:?}, {authorization} {prefer:?}");
            assert_eq!(reply.response.status().as_u16(), expected, "{row}");
            assert_eq!(queue_calls(&host), 0, "{row}: the response is returned before the run works");
            run(reply.finish());
            // The run makes one Get Messages call. After the release of the run lock, the run makes one Peek
            // Messages call.
            assert_eq!(queue_calls(&host), if expected == 202 { 2 } else { 0 }, "{row}");
            assert!(host.store.borrow().is_empty(), "{row}");
        }
    }

    #[test]
    fn poll_with_respond_async_while_another_run_holds_the_lock_is_skipped() {
        let host = host(KEY);
        let kick = || {
            let mut request = request("POST", "/internal/poll", Some(&format!("Bearer {KEY}")));
            request.headers_mut().insert("prefer", HeaderValue::from_static("respond-async"));
            request
        };
        // The first run takes the run lock and keeps it, because the test does not execute the run's work
        // (`first.then`).
        let first = run(handle(&host, kick()));
        assert!(first.then.is_some());
        let reply = run(handle(&host, kick()));
        assert_eq!(reply.response.status(), StatusCode::ACCEPTED);
        let body: serde_json::Value = serde_json::from_slice(reply.response.body()).unwrap();
        assert_eq!(body["skipped"], "anotherRun");
        assert!(reply.then.is_none(), "the second request begins no run");
        assert_eq!(queue_calls(&host), 0);
    }
}
