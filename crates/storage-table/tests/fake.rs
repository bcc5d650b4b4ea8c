//! Tests of the fake table service. The service panics on a request that Azure refuses, and on a request that
//! the service does not know.

#![allow(
    clippy::unwrap_used,
    reason = "the lint does not see that helper functions of tests belong to tests"
)]

use std::panic::{AssertUnwindSafe, catch_unwind};

use bytes::Bytes;
use chrono::{DateTime, Utc};
use http::{Request, Response};
use storage_table::testing::FakeTables;

const BASE: &str = "http://127.0.0.1:10002/devstoreaccount1";
const ENTITY: &str = "vectors1(PartitionKey='p',RowKey='r')";

fn request(method: &str, url: &str, headers: &[(&str, &str)], body: &str) -> Request<Bytes> {
    let mut request = Request::builder().method(method).uri(url);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(Bytes::copy_from_slice(body.as_bytes())).unwrap()
}

const SIGNED: (&str, &str) = ("authorization", "SharedKey devstoreaccount1:x");
const VERSION: (&str, &str) = ("x-ms-version", "2021-12-02");
const ACCEPT: (&str, &str) = ("accept", "application/json;odata=nometadata");
const JSON: (&str, &str) = ("content-type", "application/json");
const MATCH: (&str, &str) = ("if-match", "*");

fn response(request: &Request<Bytes>) -> Option<Response<Bytes>> {
    let mut tables = FakeTables::default();
    let now = DateTime::<Utc>::default();
    let seed = serde_json::json!({"text": "x", "n": "7", "n@odata.type": "Edm.Int64"});
    tables.store("vectors1", "p", "r", seed.as_object().unwrap().clone(), now);
    tables.response(request, now)
}

#[test]
fn fake_service_gives_no_response_to_a_request_for_another_service_or_account() {
    for url in [
        "http://127.0.0.1:10001/devstoreaccount1/queue/messages",
        "http://127.0.0.1:10002/other/vectors1()",
        "https://contoso.queue.core.windows.net/queue",
        "https://login.microsoftonline.com/x",
    ] {
        assert!(response(&request("GET", url, &[], "")).is_none(), "{url}");
    }
    for url in [format!("{BASE}/{ENTITY}"), format!("https://contoso.table.core.windows.net/{ENTITY}")] {
        let response = response(&request("GET", &url, &[SIGNED, VERSION, ACCEPT], "")).unwrap();
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["date"], "Thu, 01 Jan 1970 00:00:00 GMT");
    }
}

#[test]
fn fake_service_panics_on_an_unknown_request_and_on_a_request_that_azure_refuses() {
    let all = [SIGNED, VERSION, ACCEPT, JSON, MATCH];
    let without = |name: &str| all.into_iter().filter(|(header, _)| *header != name).collect::<Vec<_>>();
    let filter = |filter: &str| format!("vectors1()?$filter={filter}");
    for (method, path, headers, body) in [
        ("GET", ENTITY.to_owned(), without("accept"), ""),
        ("GET", ENTITY.to_owned(), without("authorization"), ""),
        ("GET", ENTITY.to_owned(), without("x-ms-version"), ""),
        ("DELETE", ENTITY.to_owned(), without("if-match"), ""),
        ("PUT", ENTITY.to_owned(), without("content-type"), "{}"),
        ("PUT", ENTITY.to_owned(), all.to_vec(), ""),
        ("PUT", ENTITY.to_owned(), all.to_vec(), "{\"a\":null}"),
        ("PUT", ENTITY.to_owned(), all.to_vec(), "{\"a\":2147483648}"),
        ("PUT", "vectors1(PartitionKey='a%2Fb',RowKey='r')".to_owned(), all.to_vec(), "{}"),
        ("PUT", "vectors1(PartitionKey='a%27b',RowKey='r')".to_owned(), all.to_vec(), "{}"),
        ("PUT", "vectors1(RowKey='r',PartitionKey='p')".to_owned(), all.to_vec(), "{}"),
        ("POST", "vectors1".to_owned(), all.to_vec(), "{\"PartitionKey\":\"p\"}"),
        ("POST", "Tables".to_owned(), all.to_vec(), "{\"TableName\":\"a-b\"}"),
        ("GET", filter("text%20ne%20%27x%27"), all.to_vec(), ""),
        ("GET", filter("text%20eq%20%27x%27%20or%20n%20lt%205L"), all.to_vec(), ""),
        ("GET", filter("n%20lt%205"), all.to_vec(), ""),
        ("GET", filter("text%20lt%205L"), all.to_vec(), ""),
        ("GET", "vectors1()?$top=0".to_owned(), all.to_vec(), ""),
        ("GET", "vectors1()?$skip=1".to_owned(), all.to_vec(), ""),
        ("GET", "vectors1()?NextPartitionKey=p".to_owned(), all.to_vec(), ""),
        ("MERGE", ENTITY.to_owned(), all.to_vec(), "{}"),
    ] {
        let request = request(method, &format!("{BASE}/{path}"), &headers, body);
        let response = catch_unwind(AssertUnwindSafe(|| response(&request)));
        assert!(response.is_err(), "{method} {path} {headers:?} {body}");
    }
}

#[test]
fn fake_service_panics_only_on_a_transaction_that_azure_refuses() {
    let insert = |partition: &str, row: usize| {
        format!(
            "--c\r\nContent-Type: application/http\r\nContent-Transfer-Encoding: binary\r\n\r\n\
             POST {BASE}/vectors1 HTTP/1.1\r\nContent-Type: application/json\r\nAccept: {}\r\n\r\n\
             {{\"PartitionKey\":\"{partition}\",\"RowKey\":\"{row}\"}}\r\n",
            ACCEPT.1
        )
    };
    let headers = [SIGNED, VERSION, ACCEPT, ("content-type", "multipart/mixed; boundary=b")];
    let send = |parts: String| {
        let body =
            format!("--b\r\nContent-Type: multipart/mixed; boundary=c\r\n\r\n{parts}--c--\r\n--b--\r\n");
        let request = request("POST", &format!("{BASE}/$batch"), &headers, &body);
        catch_unwind(AssertUnwindSafe(|| response(&request).unwrap().status().as_u16()))
    };
    assert_eq!(send((0..100).map(|row| insert("q", row)).collect()).unwrap(), 202);
    assert!(send((0..101).map(|row| insert("q", row)).collect()).is_err());
    assert!(send(insert("q", 1) + &insert("s", 2)).is_err());
    assert!(send(insert("q", 1) + &insert("q", 1)).is_err());
    assert!(send(insert("q", 1).replace(BASE, "")).is_err());
    assert!(send(String::new()).is_err());
}
