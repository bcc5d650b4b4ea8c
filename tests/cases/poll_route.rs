//! `/internal/poll`, the HTTP route that starts a *run* (one execution of the poller). Platforms without a
//! cron trigger call this route. Such a call is a *poll*. The caller sends the *poll key*, the secret in the
//! application's variable `pollkey`.

use std::time::Duration;

use dev::host::HostKind;
use end_to_end::activity::message;
use end_to_end::closed_port::ClosedPort;
use end_to_end::stage::{POLL_KEY, Script, Stage};
use end_to_end::suite::World;
use end_to_end::web;

use crate::draining::envelope;

end_to_end::cases!(
    poll_with_the_poll_key_is_accepted_and_poll_with_a_wrong_key_is_refused,
    poll_route_does_not_exist_without_a_poll_key,
    poll_with_an_unreachable_queue_gets_the_response_503,
    response_has_the_same_counts_as_the_log_line_of_the_run,
    run_that_uses_up_its_budget_while_it_reads_variables_sends_nothing,
);

fn call(stage: &Stage, method: &str, path: &str, authorization: Option<String>) -> web::WholeResponse {
    let mut request = http::Request::builder().method(method).uri(stage.url(path));
    if let Some(authorization) = authorization {
        request = request.header("authorization", authorization);
    }
    web::send(request.body(web::whole("")).unwrap())
}

fn poll_with_the_poll_key_is_accepted_and_poll_with_a_wrong_key_is_refused(world: &World) {
    let stage = Stage::start(world);
    let bearer = |key: &str| Some(format!("Bearer {key}"));
    let query = format!("/internal/poll?key={POLL_KEY}");
    for (method, path, authorization, status) in [
        ("POST", "/internal/poll", bearer(POLL_KEY), 200),
        ("POST", query.as_str(), None, 200),
        ("POST", "/internal/poll", None, 401),
        ("POST", "/internal/poll", bearer("wrong"), 401),
        ("POST", "/internal/poll", bearer(""), 401),
        ("POST", "/internal/poll?key=wrong", None, 401),
        ("POST", "/internal/poll?key=", None, 401),
        ("GET", query.as_str(), None, 200),
        ("GET", "/internal/poll?key=wrong", None, 401),
        ("GET", "/internal/poll", None, 401),
        ("HEAD", query.as_str(), None, 405),
        ("PUT", query.as_str(), None, 405),
    ] {
        let response = call(&stage, method, path, authorization.clone());
        assert_eq!(response.status, status, "{method} {path} {authorization:?}: {}", response.describe());
        assert_eq!(response.header("www-authenticate"), if status == 401 { "Bearer" } else { "" });
        assert_eq!(response.header("allow"), if status == 405 { "GET, POST" } else { "" });
        assert!(
            method == "HEAD" || response.header("cache-control") == "no-store",
            "{}",
            response.describe()
        );
    }
    assert!(!stage.host_log().contains(POLL_KEY), "the poll key is in the log");
}

fn poll_route_does_not_exist_without_a_poll_key(world: &World) {
    let stage = Script::new(world).variable("pollkey", "").start();
    for authorization in [None, Some("Bearer ".to_owned()), Some("Bearer x".to_owned())] {
        call(&stage, "POST", "/internal/poll", authorization).expect_status(404);
    }
    call(&stage, "POST", "/internal/poll?key=", None).expect_status(404);
}

fn poll_with_an_unreachable_queue_gets_the_response_503(world: &World) {
    let closed = ClosedPort::reserve();
    let stage = Script::new(world).unreachable_queue(&closed).start();
    stage.try_poll().expect_error(503, "QueueUnavailable");
    let run = stage.wait_for_events("drain", 1).remove(0);
    assert_eq!(run["level"], "error");
    assert!(run["error"].as_str().unwrap().contains("nothing was sent"), "{run}");
}

fn response_has_the_same_counts_as_the_log_line_of_the_run(world: &World) {
    let stage = Stage::start(world);
    stage.say(&message("a:1", "1", "hello"));
    let counts = stage.poll();
    let line = stage.wait_for_events("drain", 1).remove(0);
    assert_eq!(line["entryPoint"], "http");
    for (field, value) in counts.as_object().unwrap() {
        assert_eq!(&line[field], value, "{field}");
    }
    assert_eq!(counts["delivered"], 1);
}

/// When a run has lasted for 20 s (its *budget*), the run sends no more alerts, and *releases* its dequeued
/// messages (makes them visible again). Before a run dequeues messages, it reads two variables. In this test,
/// the two reads together take 21 s. So the budget is used up when the run dequeues the message.
fn run_that_uses_up_its_budget_while_it_reads_variables_sends_nothing(world: &World) {
    if world.host() == HostKind::Spin {
        // The *embedded host* is this repository's own program for running the components. Only the embedded
        // host can delay the reads of variables.
        return;
    }
    let slow = Duration::from_millis(10_500);
    let stage = Script::new(world).variable("unsealed", "allow").slow_variables(slow).start();
    stage.queue.put_json(&envelope(&stage, "late", "a:late", "hello"));
    let counts = stage.poll();
    assert_eq!(
        (&counts["received"], &counts["delivered"], &counts["released"], &counts["outOfBudget"]),
        (&1.into(), &0.into(), &1.into(), &true.into()),
        "{counts}"
    );
    stage.connector.expect_silence();
    assert_eq!(stage.queue.texts().len(), 1, "expected that the message is visible for the next run");
}
