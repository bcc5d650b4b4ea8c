//! Tests of the client, with responses that each test chooses. The tests check the requests that the client
//! sends, the results that the client returns, and the repeated attempts.
//!
//! The signatures of the requests must equal the signatures of the *test vectors*. The test vectors are
//! requests with known signatures, numbered V1 to V10. The tests of `storage_account` check V4, V5 and V8.
//! The tests in this file check the other vectors.

#![allow(
    clippy::unwrap_used,
    reason = "the lint does not see that helper functions of tests belong to tests"
)]

mod repeats;

use std::time::Duration;

use http::Response;
use platform::testing::{FakeHost, response, run};
use platform::{Clock, Deadline, TransportError};
use storage_queue::{Account, Created, PutOptions, QueueClient, QueueError, QueueName, TimeToLive};

const EMULATOR: &str = "UseDevelopmentStorage=true";
/// The account of `EMULATOR`, with the account's name in the host part of the URL. With `EMULATOR`, the
/// account's name is in the path of the URL. The test vectors V9 and V10 have the name in the host part.
const HOST_STYLE: &str = "AccountName=devstoreaccount1;QueueEndpoint=http://devstoreaccount1.queue.localhost:10001;\
    AccountKey=Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==";
const SAS: &str = "AccountName=contoso;SharedAccessSignature=?sv=2021-12-02&sp=raup&sig=y%2BiKjadf%3D";

const PUT_RESPONSE: &str = "<QueueMessagesList><QueueMessage><MessageId>1</MessageId><PopReceipt>r+1</PopReceipt>\
    </QueueMessage></QueueMessagesList>";

fn error(status: u16, code: &str) -> Result<Response<bytes::Bytes>, TransportError> {
    let response = Response::builder().status(status).header("x-ms-error-code", code);
    Ok(response.body(bytes::Bytes::new()).unwrap())
}

fn with<T>(host: &FakeHost, connection: &str, call: impl AsyncFnOnce(QueueClient<'_, FakeHost>) -> T) -> T {
    let account = Account::parse(connection).unwrap();
    let queue = QueueName::parse("test-vectors").unwrap();
    run(call(QueueClient::new(host, &account, &queue, Deadline::after(host, Duration::from_secs(20)))))
}

fn put_options() -> PutOptions {
    PutOptions { time_to_live: TimeToLive::Never, ..PutOptions::default() }
}

/// Returns a response to Get Messages. The response has one message, with the given id and receipt.
fn message(id: &str, receipt: &str) -> String {
    format!(
        "<QueueMessagesList><QueueMessage><MessageId>{id}</MessageId><InsertionTime>Mon, 23 Nov 2026 22:00:00 GMT</InsertionTime>\
         <ExpirationTime>Mon, 30 Nov 2026 22:00:00 GMT</ExpirationTime><PopReceipt>{receipt}</PopReceipt>\
         <TimeNextVisible>Mon, 23 Nov 2026 22:01:00 GMT</TimeNextVisible><DequeueCount>1</DequeueCount>\
         <MessageText>aGVsbG8=</MessageText></QueueMessage></QueueMessagesList>"
    )
}

/// Checks the method, the URL and the headers of the last request. If the request has a body, the function
/// also checks the body.
fn sent(host: &FakeHost, method: &str, uri: &str, signature: &str) {
    let sent = host.sent.borrow();
    let request = sent.last().unwrap();
    assert_eq!((request.method().as_str(), request.uri().to_string().as_str()), (method, uri));
    assert_eq!(
        request.headers()["authorization"],
        format!("SharedKey devstoreaccount1:{signature}"),
        "{uri}"
    );
    assert_eq!(request.headers()["x-ms-date"], "Mon, 23 Nov 2026 22:00:00 GMT");
    assert_eq!(request.headers()["x-ms-version"], "2021-12-02");
    let has_body = !request.body().is_empty();
    assert_eq!(request.headers().get("content-type").is_some(), has_body);
    if has_body {
        assert_eq!(request.body(), "<QueueMessage><MessageText>aGVsbG8=</MessageText></QueueMessage>");
    }
}

const BASE: &str = "http://127.0.0.1:10001/devstoreaccount1/test-vectors";

#[test]
fn requests_to_the_queue_have_the_signatures_of_the_vectors() {
    let host = FakeHost::default();
    host.then_status(201, "").then_status(201, PUT_RESPONSE).then_status(200, "<QueueMessagesList/>");
    with(&host, EMULATOR, async |queue| {
        assert_eq!(queue.create().await, Ok(Created::New));
        sent(&host, "PUT", BASE, "/GR4irGinc6tUjf4gPHKLwVVqPunTtH++A3VLVF5Tjo=");
        queue.put("aGVsbG8=", put_options()).await.unwrap();
        let uri = format!("{BASE}/messages?visibilitytimeout=0&messagettl=-1");
        sent(&host, "POST", &uri, "WBNHUSxjdt91E/b6VDrqPDn7Ob+lixSDnjD3f0y4wIA=");
        assert_eq!(queue.get(16, 600).await, Ok(vec![]));
        let uri = format!("{BASE}/messages?numofmessages=16&visibilitytimeout=600");
        sent(&host, "GET", &uri, "FcBOPTxIg4q0k7q2XqXumNHyPILa3mmMA1srSIA/V7I=");
    });
}

#[test]
fn requests_with_an_encoded_receipt_have_the_signatures_of_the_vectors() {
    let host = FakeHost::default();
    let id = "00000000-0000-0000-0000-000000000000";
    host.then_status(200, &message(id, "AgAAAAMAAAAAAAAA+b/cZ1nS2gE="));
    host.then(error(404, "MessageNotFound")).then(error(404, "MessageNotFound"));
    with(&host, EMULATOR, async |queue| {
        let message = queue.get(1, 60).await.unwrap().remove(0);
        assert_eq!(
            queue.delete(&message.id, &message.pop_receipt).await,
            Err(QueueError::LeaseLost { is_on_queue: false })
        );
        let uri = format!("{BASE}/messages/{id}?popreceipt=AgAAAAMAAAAAAAAA%2Bb%2FcZ1nS2gE%3D");
        sent(&host, "DELETE", &uri, "XecewO2kVjZ7kIlHR+Td4uQk9jwC1YUNuL8pLLQGu7M=");
        let updated = queue.update(&message.id, &message.pop_receipt, 30, None).await;
        assert_eq!(updated, Err(QueueError::LeaseLost { is_on_queue: false }));
        sent(
            &host,
            "PUT",
            &format!("{uri}&visibilitytimeout=30"),
            "T1SMwWKKbMXx/RrTZaQfdlWy8P5RcpyZUu5mCCpCpD4=",
        );
    });
}

#[test]
fn requests_with_the_account_in_the_host_part_of_the_url_have_the_signatures_of_the_vectors() {
    let host = FakeHost::default();
    host.then_status(201, PUT_RESPONSE).then_status(201, "");
    with(&host, HOST_STYLE, async |queue| {
        queue.put("aGVsbG8=", put_options()).await.unwrap();
        let base = "http://devstoreaccount1.queue.localhost:10001/test-vectors";
        let uri = format!("{base}/messages?visibilitytimeout=0&messagettl=-1");
        sent(&host, "POST", &uri, "Mbk9Lxh4FKrMAGd+NE/0jopbfXC7Gr5KQeXcduCK/7E=");
        queue.create().await.unwrap();
        sent(&host, "PUT", base, "Royd15028+vAmk3TskMiMfHSvyT1AMewrTKLjm4sIL0=");
    });
}

#[test]
fn request_to_the_public_cloud_has_the_signature_of_the_vector() {
    let host = FakeHost::default();
    host.then_status(201, PUT_RESPONSE);
    // The account key consists of the bytes 0 to 63.
    let account = Account::parse(
        "AccountName=contoso;AccountKey=\
         AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8gISIjJCUmJygpKissLS4vMDEyMzQ1Njc4OTo7PD0+Pw==",
    );
    let (account, queue) = (account.unwrap(), QueueName::parse("bot-outbox").unwrap());
    let client = QueueClient::new(&host, &account, &queue, Deadline::after(&host, Duration::from_secs(20)));
    run(client.put("aGVsbG8=", put_options())).unwrap();
    let sent = host.sent.borrow();
    let uri = "https://contoso.queue.core.windows.net/bot-outbox/messages?visibilitytimeout=0&messagettl=-1";
    assert_eq!(sent[0].uri().to_string(), uri);
    let signature = "waghMJKyl5UePz/BzFXkGkBEonY3vcJAcf6jI9fuIdU=";
    assert_eq!(sent[0].headers()["authorization"], format!("SharedKey contoso:{signature}"));
    assert!(!format!("{:?}", sent[0]).contains(signature), "the debug output masks the signature");
}

#[test]
fn sas_is_added_to_the_query_without_a_second_encoding() {
    let host = FakeHost::default();
    host.then_status(200, "<QueueMessagesList/>").then_status(201, "");
    with(&host, SAS, async |queue| {
        queue.get(1, 60).await.unwrap();
        queue.create().await.unwrap();
    });
    let sent = host.sent.borrow();
    let base = "https://contoso.queue.core.windows.net/test-vectors";
    let sas = "sv=2021-12-02&sp=raup&sig=y%2BiKjadf%3D";
    assert_eq!(
        sent[0].uri().to_string(),
        format!("{base}/messages?numofmessages=1&visibilitytimeout=60&{sas}")
    );
    assert_eq!(sent[1].uri().to_string(), format!("{base}?{sas}"));
    assert!(sent.iter().all(|request| request.headers().get("authorization").is_none()));
}

#[test]
fn response_of_each_call_is_read() {
    let host = FakeHost::default();
    let updated = Response::builder()
        .status(204)
        .header("x-ms-popreceipt", "new")
        .header("x-ms-time-next-visible", "Mon, 23 Nov 2026 22:00:30 GMT");
    let counted = Response::builder().status(200).header("x-ms-approximate-messages-count", "7");
    host.then_status(200, &message("m", "r"))
        .then(Ok(updated.body(bytes::Bytes::new()).unwrap()))
        .then_status(204, "")
        .then(Ok(counted.body(bytes::Bytes::new()).unwrap()))
        .then_status(200, "<QueueMessagesList><QueueMessage><MessageText>x</MessageText></QueueMessage></QueueMessagesList>")
        .then_status(204, "")
        .then(error(409, "QueueAlreadyExists"));
    with(&host, EMULATOR, async |queue| {
        let message = queue.get(1, 60).await.unwrap().remove(0);
        assert_eq!((message.text.as_str(), message.dequeue_count), ("aGVsbG8=", 1));
        let updated = queue.update(&message.id, &message.pop_receipt, 30, Some("aGVsbG8=")).await.unwrap();
        assert_eq!(updated.pop_receipt.as_str(), "new");
        assert_eq!(updated.time_next_visible, Some(host.now() + Duration::from_secs(30)));
        queue.delete(&message.id, &updated.pop_receipt).await.unwrap();
        assert_eq!(queue.approximate_count().await, Ok(7));
        assert_eq!(queue.peek(1).await, Ok(vec!["x".to_owned()]));
        assert_eq!(queue.create().await, Ok(Created::Existed));
        assert_eq!(queue.create().await, Ok(Created::Existed));
    });
}

#[test]
fn oldest_insertion_is_the_earliest_of_the_peeked_messages() {
    let host = FakeHost::default();
    // The service does not sort the peeked messages by age: an old message that was hidden for some time can
    // come after newer messages. The peeked messages have no receipt, because Peek Messages returns
    // no receipts.
    let peeked = |hour: &str| {
        let time = format!("<InsertionTime>Mon, 23 Nov 2026 {hour}:00:00 GMT</InsertionTime>");
        format!("<QueueMessage><MessageId>m</MessageId>{time}<MessageText>x</MessageText></QueueMessage>")
    };
    let list = |messages: &str| format!("<QueueMessagesList>{messages}</QueueMessagesList>");
    host.then_status(200, &list(&[peeked("21"), peeked("19"), peeked("20")].concat()))
        .then_status(200, &list(""))
        .then_status(200, &list("<QueueMessage><MessageText>x</MessageText></QueueMessage>"))
        .then(error(404, "QueueNotFound"));
    with(&host, EMULATOR, async |queue| {
        assert_eq!(queue.oldest_insertion().await, Ok(Some(host.now() - Duration::from_secs(3 * 60 * 60))));
        assert_eq!(queue.oldest_insertion().await, Ok(None));
        assert!(matches!(queue.oldest_insertion().await, Err(QueueError::Unreadable(_))));
        assert_eq!(queue.oldest_insertion().await, Err(QueueError::QueueMissing));
    });
    let uri = host.sent.borrow()[0].uri().to_string();
    assert_eq!(uri, format!("{BASE}/messages?numofmessages=32&peekonly=true"));
}

#[test]
fn put_to_a_missing_queue_creates_the_queue_once() {
    let host = FakeHost::default();
    host.then(error(404, "QueueNotFound")).then_status(201, "").then_status(201, PUT_RESPONSE);
    with(&host, EMULATOR, async |queue| {
        queue.put_creating_queue_if_missing("x", put_options()).await.unwrap()
    });
    let methods: Vec<_> = host.sent.borrow().iter().map(|request| request.method().to_string()).collect();
    assert_eq!(methods, ["POST", "PUT", "POST"]);
    host.then(error(404, "QueueNotFound")).then_status(201, "").then(error(404, "QueueNotFound"));
    let again =
        with(&host, EMULATOR, async |queue| queue.put_creating_queue_if_missing("x", put_options()).await);
    assert_eq!(again, Err(QueueError::QueueMissing), "the client does not create the queue a second time");
}

#[test]
fn response_with_32_escaped_messages_of_64_kib_is_read() {
    let host = FakeHost::default();
    let one = message("m", "r");
    let begin = one.strip_suffix("</QueueMessagesList>").unwrap();
    let (list, begin) = begin.split_once("<QueueMessage>").unwrap();
    let long = format!("<QueueMessage>{}", begin.replace("aGVsbG8=", &"&quot;".repeat(64 * 1024)));
    let body = format!("{list}{}</QueueMessagesList>", long.repeat(32));
    host.answers(move |_| Some(Ok(response(200, &body))));
    let messages = with(&host, EMULATOR, async |queue| queue.get(32, 60).await.unwrap());
    assert_eq!(messages.len(), 32);
    assert!(messages.iter().all(|message| message.text == "\"".repeat(64 * 1024)));
}

#[test]
fn errors_and_debug_output_of_a_client_with_a_sas_contain_no_secret() {
    let host = FakeHost::default();
    host.then(error(403, "AuthenticationFailed")).then(Err(TransportError::ResponseLost("cut".into())));
    let account = Account::parse(SAS).unwrap();
    let queue = QueueName::parse("test-vectors").unwrap();
    let client = QueueClient::new(&host, &account, &queue, Deadline::after(&host, Duration::from_millis(1)));
    for _ in 0..2 {
        let error = run(client.get(1, 60)).expect_err("the call fails");
        for shown in
            [error.to_string(), format!("{error:?}"), format!("{client:?}").replace(&format!("{host:?}"), "")]
        {
            assert!(!shown.contains("sig") && !shown.contains("y%2BiKjadf"), "{shown}");
        }
    }
}
