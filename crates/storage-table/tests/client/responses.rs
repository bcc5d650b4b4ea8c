//! Tests of signed requests, and of responses that each test chooses. The signatures must equal the
//! signatures of the *test vectors* T1 to T5. A test vector is a request with a known signature. The tests of
//! `storage_account` check the test vectors T1 to T9.

use bytes::Bytes;
use http::Response;
use platform::testing::{FakeHost, response};
use storage_table::{Account, ETag, Entity, Filter, Key, Query, TableError};

use crate::{BASE, EMULATOR, entity, error, with};

fn written() -> Result<Response<Bytes>, platform::TransportError> {
    Ok(Response::builder().status(204).header("etag", "W/\"x\"").body(Bytes::new()).unwrap())
}

fn sent(host: &FakeHost, method: &str, uri: &str, signature: &str) {
    let sent = host.sent.borrow();
    let request = sent.last().unwrap();
    assert_eq!((request.method().as_str(), request.uri().to_string().as_str()), (method, uri));
    assert_eq!(
        request.headers()["authorization"],
        format!("SharedKey devstoreaccount1:{signature}"),
        "{uri}"
    );
    assert_eq!(request.headers()["accept"], "application/json;odata=nometadata");
    assert_eq!(request.headers()["x-ms-date"], "Mon, 23 Nov 2026 22:00:00 GMT");
    assert!(request.headers().get("date").is_none());
}

#[test]
fn requests_have_the_signatures_of_the_vectors() {
    let host = FakeHost::default();
    with(&host, EMULATOR, async |table| {
        host.then_status(204, "");
        table.create().await.unwrap();
        sent(&host, "POST", &format!("{BASE}/Tables"), "K2jw7pKXMHep5BJuUnDIlB9cHAOIfA0KHPi4Adj1gXI=");
        host.then(written());
        table.insert(&entity("r", "x")).await.unwrap();
        sent(&host, "POST", &format!("{BASE}/vectors1"), "XuWR993ERsctrPFDPIxVnGRKHWB54585Rpe2MAN5WAo=");
        host.then(error(404, "ResourceNotFound"));
        assert_eq!(table.get(&Key::new("lease", "run")).await, Ok(None));
        let uri = format!("{BASE}/vectors1(PartitionKey='lease',RowKey='run')");
        sent(&host, "GET", &uri, "fOFxBRp5RL1bbXrGfjKkhyHxylBIcXmUYSsUq8UKcL8=");
        host.then(written());
        table.put(&Entity::new(Key::new("19:abc@thread.v2", "o'brien"))).await.unwrap();
        let uri = format!("{BASE}/vectors1(PartitionKey='19%3Aabc%40thread.v2',RowKey='o%27%27brien')");
        sent(&host, "PUT", &uri, "NnVzRlYwzYyzyGzym+oEcqQOSD+LyVTfNncIru+ecyw=");
        host.then_status(200, "{\"value\":[]}");
        let query = Query { filter: Filter::partition("lease"), top: 10, select: Vec::new() };
        table.query(&query, None).await.unwrap();
        let uri = format!("{BASE}/vectors1()?$filter=PartitionKey%20eq%20%27lease%27&$top=10");
        sent(&host, "GET", &uri, "lJW4ejjy7cQiiLq4LCfXfXlKbGMHx+VOUhW3Rx90IV4=");
    });
}

#[test]
fn etag_is_sent_back_byte_for_byte() {
    let host = FakeHost::default();
    let text = "W/\"datetime'2026-11-27T11%3A15%3A04.5528866Z'\"";
    host.then(written());
    with(&host, EMULATOR, async |table| {
        table.replace(&entity("r", "x"), &ETag::from(text.to_owned())).await.unwrap();
    });
    assert_eq!(host.sent.borrow()[0].headers()["if-match"], text);
}

#[test]
fn call_is_repeated_if_the_service_is_busy() {
    let host = FakeHost::default();
    host.then(error(503, "ServerBusy")).then(written());
    with(&host, EMULATOR, async |table| {
        table.put(&entity("r", "x")).await.unwrap();
        assert_eq!(table.retries(), 1);
    });
    host.then(error(503, "")).then(error(429, "")).then(error(500, ""));
    let failed = with(&host, EMULATOR, async |table| table.put(&entity("r", "x")).await).unwrap_err();
    assert!(matches!(failed, TableError::Busy { status: 500, .. }) && failed.is_retryable());
}

#[test]
fn unexpected_response_is_an_error_that_names_the_problem() {
    for (response, expected) in [
        (Ok(response(400, "")), "refused the request (400 )"),
        (Ok(response(403, "<Error><Code>AuthenticationFailed</Code></Error>")), "AuthenticationFailed"),
        (Ok(response(415, "<Error><Code>AtomFormatNotSupported</Code></Error>")), "AtomFormatNotSupported"),
        (Ok(response(200, "{}")), "PartitionKey is missing"),
        (Ok(response(200, "hello")), "the body is not JSON"),
        (
            Ok(response(
                200,
                "{\"PartitionKey\":\"p\",\"RowKey\":\"r\",\"Timestamp\":\"2026-11-23T22:00:00Z\"}",
            )),
            "ETag is missing",
        ),
        (error(409, "TableBeingDeleted"), "being deleted"),
    ] {
        let host = FakeHost::default();
        host.then(response);
        let error = with(&host, EMULATOR, async |table| table.get(&Key::new("p", "r")).await).unwrap_err();
        assert!(error.to_string().contains(expected), "{error}");
        assert!(!error.is_retryable());
    }
    let host = FakeHost::default();
    host.then(error(404, "TableNotFound")).then(error(409, "TableBeingDeleted"));
    let failed = with(&host, EMULATOR, async |table| table.insert(&entity("r", "x")).await);
    assert_eq!(failed, Err(TableError::TableBeingDeleted));
}

#[test]
fn error_for_an_unusable_account_names_the_reason() {
    let host = FakeHost::default();
    for (connection, expected) in [
        (
            "QueueEndpoint=https://contoso.queue.core.windows.net;SharedAccessSignature=sig=x",
            "TableEndpoint is missing",
        ),
        ("AccountName=contoso", "no usable token"),
    ] {
        let error = with(&host, connection, async |table| table.get(&Key::new("p", "r")).await).unwrap_err();
        assert!(error.to_string().contains(expected), "{error}");
    }
    assert!(host.sent.borrow().is_empty());
    let sas = "AccountName=contoso;SharedAccessSignature=?sv=2021-12-02&ss=q&sig=y%2B";
    host.then(error(403, "AuthorizationServiceMismatch"));
    let error = with(&host, sas, async |table| table.put(&entity("r", "x")).await).unwrap_err();
    assert!(error.to_string().contains("ss=qt, srt=co, sp=rdacup"), "{error}");
    let uri = host.sent.borrow()[0].uri().to_string();
    assert!(uri.ends_with("(PartitionKey='p',RowKey='r')?sv=2021-12-02&ss=q&sig=y%2B"), "{uri}");
    assert!(!Account::parse(sas).unwrap().needs_token());
}
