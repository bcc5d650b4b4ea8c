//! Tests of the client, with a fake service or with responses that the test chooses.

#![allow(
    clippy::panic,
    clippy::unwrap_used,
    reason = "the lints do not see that helper functions of tests belong to tests"
)]

mod lost;
mod pages;
mod responses;
mod service;
mod transactions;

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use http::Response;
use platform::testing::{FakeHost, run};
use platform::{Clock, Deadline, TransportError};
use storage_table::testing::FakeTables;
use storage_table::{Account, Entity, Key, TableClient, TableName};

const EMULATOR: &str = "UseDevelopmentStorage=true";
const BASE: &str = "http://127.0.0.1:10002/devstoreaccount1";

type Outcome = Result<Response<Bytes>, TransportError>;

fn with<T>(host: &FakeHost, connection: &str, call: impl AsyncFnOnce(TableClient<'_, FakeHost>) -> T) -> T {
    let account = Account::parse(connection).unwrap();
    let table = TableName::parse("vectors1").unwrap();
    run(call(TableClient::new(host, &account, &table, Deadline::after(host, Duration::from_secs(20)))))
}

/// Returns a fake Spin host with a fake table service. The service does every request. If `replace` returns a
/// response, the client gets this response instead of the service's response.
fn fake_service_replacing_responses(
    replace: impl FnMut(&http::Request<Bytes>) -> Option<Outcome> + 'static,
) -> (FakeHost, Rc<RefCell<FakeTables>>) {
    let host = FakeHost::default();
    let tables = Rc::new(RefCell::new(FakeTables::default()));
    let (service, now, mut replace) = (tables.clone(), host.now(), replace);
    host.answers(move |request| {
        let response = service.borrow_mut().response(request, now).map(Ok);
        replace(request).or(response)
    });
    (host, tables)
}

fn fake_service() -> (FakeHost, Rc<RefCell<FakeTables>>) {
    fake_service_replacing_responses(|_| None)
}

fn lost() -> Outcome {
    Err(TransportError::ResponseLost("cut".into()))
}

fn error(status: u16, code: &str) -> Outcome {
    let response = Response::builder().status(status).header("x-ms-error-code", code);
    Ok(response.body(Bytes::new()).unwrap())
}

fn entity(row: &str, state: &str) -> Entity {
    Entity::new(Key::new("p", row)).with("state", state)
}

fn methods(host: &FakeHost) -> Vec<String> {
    host.sent.borrow().iter().map(|request| request.method().to_string()).collect()
}
