//! Tests of repeated calls: when the client repeats a call, how long the client waits, and what the client
//! returns if the service refuses a repeated Delete or Update.

use std::cell::RefCell;
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode};
use platform::testing::{FakeHost, response, run};
use platform::{BodyProblem, Clock, Deadline, HttpClient, Randomness, Timeouts, TransportError};
use storage_queue::{Account, Created, Hidden, QueueClient, QueueError, QueueName};

use crate::{EMULATOR, error, message, put_options, with};

/// A fake Spin host that records the time-outs of each request. Its random bytes are all 0xFF, so each random
/// wait of the client is as long as possible. The host delays each DELETE, so that a concurrent request gets
/// its response before the DELETE.
#[derive(Default)]
struct RecordingHost {
    host: FakeHost,
    timeouts: RefCell<Vec<Timeouts>>,
}

impl HttpClient for RecordingHost {
    async fn send(
        &self,
        request: Request<Bytes>,
        timeouts: Timeouts,
    ) -> Result<Response<Bytes>, TransportError> {
        self.timeouts.borrow_mut().push(timeouts);
        if request.method() == "DELETE" {
            self.host.sleep(Duration::ZERO).await;
            self.host.sleep(Duration::ZERO).await;
        }
        self.host.send(request, timeouts).await
    }
}

impl Clock for RecordingHost {
    fn now(&self) -> DateTime<Utc> {
        self.host.now()
    }
    fn monotonic(&self) -> Duration {
        self.host.monotonic()
    }
    async fn sleep(&self, duration: Duration) {
        self.host.sleep(duration).await;
    }
}

impl Randomness for RecordingHost {
    fn fill(&self, buffer: &mut [u8]) {
        buffer.fill(0xFF);
    }
}

/// A response whose body was lost.
fn bodiless(status: u16, problem: BodyProblem) -> Result<Response<Bytes>, TransportError> {
    let headers = [("x-ms-popreceipt", "r+2"), ("x-ms-approximate-messages-count", "7")];
    let headers = headers.map(|(name, value)| (name.parse().unwrap(), HeaderValue::from_static(value)));
    let status = StatusCode::from_u16(status).unwrap();
    Err(TransportError::body_lost(status, HeaderMap::from_iter(headers), problem))
}

/// Runs two calls concurrently.
fn run_both<A, B>(first: impl Future<Output = A>, second: impl Future<Output = B>) -> (A, B) {
    let (mut first, mut second) = (pin!(first), pin!(second));
    let (mut a, mut b) = (None, None);
    run(std::future::poll_fn(|context| {
        if a.is_none()
            && let Poll::Ready(value) = first.as_mut().poll(context)
        {
            a = Some(value);
        }
        if b.is_none()
            && let Poll::Ready(value) = second.as_mut().poll(context)
        {
            b = Some(value);
        }
        if a.is_some() && b.is_some() { Poll::Ready(()) } else { Poll::Pending }
    }));
    (a.unwrap(), b.unwrap())
}

#[test]
fn call_is_repeated_only_if_another_attempt_can_succeed() {
    let lost = || Err(TransportError::ResponseLost("cut".into()));
    let not_sent = || Err(TransportError::NotSent("refused".into()));
    let ok = || Ok(response(200, "<QueueMessagesList/>"));
    for (responses, attempts, success) in [
        (vec![error(503, "ServerBusy"), ok()], 2, true),
        (vec![error(500, "InternalError"), lost(), ok()], 3, true),
        (vec![not_sent(), not_sent(), not_sent()], 3, false),
        (vec![error(503, ""), error(503, ""), error(503, "")], 3, false),
        (vec![error(403, "AuthenticationFailed")], 1, false),
        (vec![error(400, "")], 1, false),
        (vec![Err(TransportError::Denied)], 1, false),
        // In the rows below, the client receives the status, but not the whole body. If the status is 200,
        // the client repeats the Get, because the client needs the messages in the body. But if the body is
        // too long, the client does not repeat the Get, because the next body would be too long, too. If the
        // status is not 2xx, the client needs no body, because the status shows whether another attempt can
        // succeed.
        (vec![bodiless(200, BodyProblem::Broken), ok()], 2, true),
        (vec![bodiless(200, BodyProblem::OutOfTime), ok()], 2, true),
        (vec![bodiless(200, BodyProblem::TooLong { limit_bytes: 1 })], 1, false),
        (vec![bodiless(503, BodyProblem::TooLong { limit_bytes: 1 }), ok()], 2, true),
        (vec![bodiless(403, BodyProblem::Broken)], 1, false),
    ] {
        let host = FakeHost::default();
        for response in responses {
            host.then(response);
        }
        let (result, retries) =
            with(&host, EMULATOR, async |queue| (queue.get(1, 60).await, queue.retries()));
        assert_eq!(result.is_ok(), success, "{result:?}");
        assert_eq!(host.sent.borrow().len(), attempts, "requests");
        assert_eq!(retries as usize, attempts - 1, "retries");
    }
}

#[test]
fn with_attempts_limits_the_attempts_of_a_call() {
    for (attempts, expected) in [(0, 1), (1, 1), (2, 2), (3, 3)] {
        let host = FakeHost::default();
        host.answers(|_| Some(error(503, "ServerBusy")));
        let result =
            with(&host, EMULATOR, async |queue| queue.with_attempts(attempts).approximate_count().await);
        assert!(result.is_err());
        assert_eq!(host.sent.borrow().len(), expected, "{attempts}");
    }
}

#[test]
fn attempt_near_the_deadline_has_shorter_timeouts_and_no_attempt_begins_after_the_deadline() {
    let (account, queue) = (Account::parse(EMULATOR).unwrap(), QueueName::parse("test-vectors").unwrap());
    for (deadline_seconds, retry_after, attempts) in
        [(20, "9", 3), (18, "9", 2), (9, "9", 1), (20, "18446744073709551615", 1)]
    {
        let recording = RecordingHost::default();
        for _ in 0..attempts {
            let busy = Response::builder().status(503).header("retry-after", retry_after);
            recording.host.then(Ok(busy.body(Bytes::new()).unwrap()));
        }
        let deadline = Deadline::after(&recording, Duration::from_secs(deadline_seconds));
        assert!(run(QueueClient::new(&recording, &account, &queue, deadline).get(1, 60)).is_err());
        assert_eq!(recording.timeouts.borrow().len(), attempts, "{deadline_seconds} s, {retry_after}");
    }
    let recording = RecordingHost::default();
    let busy = || Ok(Response::builder().status(503).header("retry-after", "3").body(Bytes::new()).unwrap());
    recording.host.then(busy()).then(busy()).then_status(200, "<QueueMessagesList/>");
    let deadline = Deadline::after(&recording, Duration::from_secs(10));
    run(QueueClient::new(&recording, &account, &queue, deadline).get(1, 60)).unwrap();
    let timeouts = recording.timeouts.borrow();
    let seconds = Duration::from_secs;
    let Timeouts { connect, first_byte, between_bytes, total, .. } = timeouts[0];
    assert_eq!(
        [
            ("connect", connect),
            ("first_byte", first_byte),
            ("between_bytes", between_bytes),
            ("total", total)
        ],
        [
            ("connect", seconds(3)),
            ("first_byte", seconds(5)),
            ("between_bytes", seconds(5)),
            ("total", seconds(10))
        ]
    );
    // A response can hold 32 texts of 64 KiB. The XML can use six bytes for one byte of a text, such as
    // `&quot;` for a quotation mark.
    assert!(timeouts[0].max_response_bytes > 32 * (6 << 16), "{timeouts:?}");
    // The deadline is at 10 s. Before the third attempt, the client waits twice, each time for 3 s and a
    // random time. So less than 4 s are left.
    assert_eq!(timeouts[2].connect, seconds(3));
    assert!(timeouts[2].first_byte < seconds(4) && timeouts[2].between_bytes < seconds(4), "{timeouts:?}");
    assert!(timeouts[2].total < seconds(4), "{timeouts:?}");
}

#[test]
fn wait_before_the_third_attempt_is_longer_than_before_the_second() {
    let (account, queue) = (Account::parse(EMULATOR).unwrap(), QueueName::parse("test-vectors").unwrap());
    let recording = RecordingHost::default();
    recording.host.then(error(503, "")).then(error(503, "")).then(error(503, ""));
    let deadline = Deadline::after(&recording, Duration::from_secs(20));
    assert!(run(QueueClient::new(&recording, &account, &queue, deadline).get(1, 60)).is_err());
    assert_eq!(recording.monotonic(), Duration::from_millis(200 + 400));
}

#[test]
fn each_attempt_of_a_call_has_a_new_date_and_signature() {
    let host = FakeHost::default();
    let busy = || {
        let response = Response::builder()
            .status(503)
            .header("retry-after", "9")
            .header("x-ms-error-code", "ServerBusy");
        Ok(response.body(bytes::Bytes::new()).unwrap())
    };
    host.then(busy()).then(busy()).then(busy());
    let result = with(&host, EMULATOR, async |queue| queue.get(1, 60).await);
    assert!(matches!(result, Err(QueueError::Busy { retry_after_seconds: Some(9), .. })));
    let sent = host.sent.borrow();
    assert_eq!(sent.len(), 3);
    let dates: Vec<_> = sent.iter().map(|request| request.headers()["x-ms-date"].to_str().unwrap()).collect();
    assert!(dates[0] < dates[1] && dates[1] < dates[2], "{dates:?}");
    assert!(sent[0].headers()["authorization"] != sent[1].headers()["authorization"]);
}

/// Get Messages needs the body of the response. The other calls in this test need the status and the headers,
/// but not the body. If the body is lost, the client does not repeat these other calls.
#[test]
fn call_that_needs_no_body_succeeds_when_the_body_is_lost() {
    let problems = [BodyProblem::Broken, BodyProblem::TooLong { limit_bytes: 1 }, BodyProblem::OutOfTime];
    for problem in problems {
        let host = FakeHost::default();
        host.then_status(200, &message("m", "r"));
        for status in [201, 201, 204, 204, 200, 204] {
            host.then(bodiless(status, problem));
        }
        with(&host, EMULATOR, async |queue| {
            let leased = queue.get(1, 60).await.unwrap().remove(0);
            let (id, receipt) = (&leased.id, &leased.pop_receipt);
            assert_eq!(queue.create().await, Ok(Created::New));
            assert_eq!(queue.put("x", put_options()).await, Ok(()));
            assert_eq!(queue.update(id, receipt, 5, None).await.unwrap().pop_receipt.as_str(), "r+2");
            assert_eq!(queue.hide(id, receipt, 5, None).await, Ok(Hidden::Surely));
            assert_eq!(queue.approximate_count().await, Ok(7));
            assert_eq!(queue.delete(id, receipt).await, Ok(()));
        });
        assert_eq!(host.sent.borrow().len(), 7, "{problem}");
    }
}

/// The *marked text* shows that a message is perhaps a copy. The client puts the marked text in every attempt
/// after the first. If the result of an attempt is unknown, `is_doubtful` is `true`. The queue then perhaps
/// holds one message more than the result says.
#[test]
fn put_marking_copies_repeats_with_the_marked_text_and_reports_a_possible_copy() {
    let lost = || Err(TransportError::ResponseLost("cut".into()));
    let not_sent = || Err(TransportError::NotSent("refused".into()));
    let status = |status| Ok(response(status, ""));
    for (responses, is_ok, is_doubtful, marks) in [
        (vec![status(201)], true, false, vec![false]),
        (vec![lost(), status(201)], true, true, vec![false, true]),
        (vec![not_sent(), lost(), status(201)], true, true, vec![false, true, true]),
        (vec![not_sent(), status(201)], true, false, vec![false, true]),
        (vec![status(503), status(429), status(503)], false, false, vec![false, true, true]),
        (vec![status(503), status(503), lost()], false, true, vec![false, true, true]),
        (vec![error(500, "OperationTimedOut"), status(403)], false, true, vec![false, true]),
        (vec![error(403, "AuthenticationFailed")], false, false, vec![false]),
        // The first Put finds no queue. So the client creates the queue and begins a new Put.
        (
            vec![error(404, "QueueNotFound"), status(201), lost(), status(201)],
            true,
            true,
            vec![false, false, true],
        ),
        (vec![error(404, "QueueNotFound"), status(403)], false, false, vec![false]),
    ] {
        let host = FakeHost::default();
        let shown = format!("{responses:?}");
        responses.into_iter().for_each(|response| _ = host.then(response));
        let put = with(&host, EMULATOR, async |queue| {
            queue.put_marking_copies("plain", put_options(), || Some("marked".into())).await
        });
        assert_eq!((put.result.is_ok(), put.is_doubtful), (is_ok, is_doubtful), "{shown}");
        let sent = host.sent.borrow();
        let puts = sent.iter().filter(|request| request.method() == "POST");
        let texts = puts.map(|request| String::from_utf8_lossy(request.body()).contains("marked"));
        assert_eq!(texts.collect::<Vec<_>>(), marks, "{shown}");
    }
}

#[test]
fn repeated_delete_of_a_missing_message_succeeds_if_a_response_was_lost() {
    let host = FakeHost::default();
    host.then_status(200, &message("m", "r"));
    host.then(Err(TransportError::ResponseLost("cut".into()))).then(error(404, "MessageNotFound"));
    host.then(error(404, "MessageNotFound"));
    with(&host, EMULATOR, async |queue| {
        let message = queue.get(1, 60).await.unwrap().remove(0);
        assert_eq!(queue.delete(&message.id, &message.pop_receipt).await, Ok(()));
        assert_eq!(
            queue.delete(&message.id, &message.pop_receipt).await,
            Err(QueueError::LeaseLost { is_on_queue: false })
        );
    });
}

#[test]
fn delete_of_a_missing_message_fails_unless_an_earlier_attempt_may_have_arrived() {
    let lost = || Err(TransportError::ResponseLost("cut".into()));
    let not_sent = || Err(TransportError::NotSent("refused".into()));
    let missing = || error(404, "MessageNotFound");
    for (responses, expected) in [
        (vec![lost(), missing()], Ok(())),
        (vec![error(500, "OperationTimedOut"), missing()], Ok(())),
        (vec![lost(), not_sent(), missing()], Ok(())),
        (vec![not_sent(), missing()], Err(QueueError::LeaseLost { is_on_queue: false })),
        (vec![not_sent(), not_sent(), missing()], Err(QueueError::LeaseLost { is_on_queue: false })),
        (vec![lost(), error(400, "PopReceiptMismatch")], Err(QueueError::LeaseLost { is_on_queue: true })),
        (vec![lost(), error(404, "QueueNotFound")], Err(QueueError::QueueMissing)),
    ] {
        let host = FakeHost::default();
        host.then_status(200, &message("m", "r"));
        let shown = format!("{responses:?}");
        for response in responses {
            host.then(response);
        }
        let deleted = with(&host, EMULATOR, async |queue| {
            let message = queue.get(1, 60).await.unwrap().remove(0);
            queue.delete(&message.id, &message.pop_receipt).await
        });
        assert_eq!(deleted, expected, "{shown}");
    }
}

#[test]
fn failed_delete_is_doubtful_only_if_the_result_of_an_attempt_is_unknown() {
    let lost = || Err(TransportError::ResponseLost("cut".into()));
    let busy = || error(503, "ServerBusy");
    for (responses, is_doubtful) in [
        (vec![busy(), busy(), busy()], false),
        (vec![error(404, "MessageNotFound")], false),
        (vec![lost(), busy(), busy()], true),
        (vec![busy(), busy(), lost()], true),
        (vec![error(500, "OperationTimedOut"), busy(), busy()], true),
    ] {
        let host = FakeHost::default();
        host.then_status(200, &message("m", "r"));
        let shown = format!("{responses:?}");
        for response in responses {
            host.then(response);
        }
        let deleted = with(&host, EMULATOR, async |queue| {
            let message = queue.get(1, 60).await.unwrap().remove(0);
            queue.delete_noting_trouble(&message.id, &message.pop_receipt, async || {}).await
        });
        assert_eq!(deleted.unwrap_err().is_doubtful, is_doubtful, "{shown}");
    }
}

/// If a response is lost, the client does not learn the new receipt of the message. A caller of `hide` does
/// not need this receipt. So `hide` returns `Ok`, and [`Hidden`] shows how sure the client is.
#[test]
fn hide_succeeds_if_an_earlier_attempt_may_have_hidden_the_message() {
    let lost = || Err(TransportError::ResponseLost("cut".into()));
    let not_sent = || Err(TransportError::NotSent("refused".into()));
    for (responses, expected) in [
        (vec![lost(), error(404, "MessageNotFound")], Ok(Hidden::NotFound)),
        (vec![lost(), error(400, "PopReceiptMismatch")], Ok(Hidden::Perhaps)),
        (vec![error(500, "OperationTimedOut"), error(404, "MessageNotFound")], Ok(Hidden::NotFound)),
        (vec![not_sent(), error(404, "MessageNotFound")], Err(QueueError::LeaseLost { is_on_queue: false })),
        (vec![error(404, "MessageNotFound")], Err(QueueError::LeaseLost { is_on_queue: false })),
        (vec![lost(), Ok(response(204, ""))], Ok(Hidden::Surely)),
    ] {
        let host = FakeHost::default();
        host.then_status(200, &message("m", "r"));
        let shown = format!("{responses:?}");
        for response in responses {
            host.then(response);
        }
        let hidden = with(&host, EMULATOR, async |queue| {
            let message = queue.get(1, 60).await.unwrap().remove(0);
            queue.hide(&message.id, &message.pop_receipt, 5, None).await
        });
        assert_eq!(hidden, expected, "{shown}");
    }
}

/// The poller's concurrent calls share one client. If the client repeats one call, the results of the other
/// calls must not change.
#[test]
fn delete_of_a_missing_message_fails_even_if_a_concurrent_get_is_repeated() {
    let (account, queue) = (Account::parse(EMULATOR).unwrap(), QueueName::parse("test-vectors").unwrap());
    let recording = RecordingHost::default();
    let client =
        QueueClient::new(&recording, &account, &queue, Deadline::after(&recording, Duration::from_secs(20)));
    recording.host.then_status(200, &message("m", "r"));
    let leased = run(client.get(1, 60)).unwrap().remove(0);
    let mut busy = true;
    recording.host.answers(move |request| match request.method().as_str() {
        "DELETE" => Some(error(404, "MessageNotFound")),
        _ if std::mem::take(&mut busy) => Some(error(503, "ServerBusy")),
        _ => Some(Ok(response(200, "<QueueMessagesList/>"))),
    });
    let (deleted, got) = run_both(client.delete(&leased.id, &leased.pop_receipt), client.get(1, 60));
    assert_eq!(got, Ok(vec![]));
    assert_eq!(client.retries(), 1, "the client repeats the Get once");
    assert_eq!(deleted, Err(QueueError::LeaseLost { is_on_queue: false }));
}
