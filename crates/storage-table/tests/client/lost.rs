//! Tests of calls whose response is lost. If the service refuses a repeated write, the client finds out
//! whether its own earlier attempt or another client wrote the entity.

use std::cell::Cell;

use storage_table::{Conditional, Deleted, Inserted, Key};

use crate::{
    EMULATOR, Outcome, entity, error, fake_service, fake_service_replacing_responses, lost, methods, with,
};
use platform::TransportError;

/// Returns a function for [`fake_service_replacing_responses`]. The fake service does every request. For the
/// first requests with this method, the client gets `responses`, in this order. For all other requests, the
/// client gets the service's own responses.
fn replace_first(
    method: &'static str,
    responses: Vec<Outcome>,
) -> impl FnMut(&http::Request<bytes::Bytes>) -> Option<Outcome> {
    let mut responses = responses.into_iter();
    move |request| if request.method() == method { responses.next() } else { None }
}

#[test]
fn insert_whose_response_was_lost_returns_new() {
    let (host, tables) = fake_service_replacing_responses(replace_first(
        "POST",
        vec![Ok(platform::testing::response(204, "")), lost()],
    ));
    with(&host, EMULATOR, async |table| {
        table.create().await.unwrap();
        let Inserted::New(etag) = table.insert(&entity("r", "own")).await.unwrap() else {
            panic!("the client's own insert is not reported as new")
        };
        assert_eq!(table.get(&Key::new("p", "r")).await.unwrap().unwrap().etag, etag);
        assert_eq!(table.retries(), 1);
    });
    assert_eq!(methods(&host), ["POST", "POST", "POST", "GET", "GET"]);
    let sent = host.sent.borrow();
    assert_eq!(sent[1].body(), sent[2].body(), "both attempts have the same op");
    assert_eq!(tables.borrow().entities("vectors1").len(), 1);
}

#[test]
fn insert_of_an_entity_that_another_client_wrote_returns_exists() {
    // The first attempt of the second insert does not reach the service. The client gets no response, so the
    // client does not know whether the attempt reached the service.
    let (host, _) = fake_service();
    with(&host, EMULATOR, async |table| {
        table.insert(&entity("r", "other")).await.unwrap();
        host.then(lost());
        assert_eq!(table.insert(&entity("r", "own")).await, Ok(Inserted::Exists));
        // The first attempt of the third insert fails with `NotSent`. So the client knows that this attempt
        // did not reach the service, and does not read the entity.
        host.sent.borrow_mut().clear();
        host.then(Err(TransportError::NotSent("refused".into())));
        assert_eq!(table.insert(&entity("r", "own")).await, Ok(Inserted::Exists));
    });
    assert_eq!(methods(&host), ["POST", "POST"]);
}

#[test]
fn insert_that_was_done_despite_a_response_with_status_500_returns_new() {
    let (host, _) = fake_service_replacing_responses(replace_first(
        "POST",
        vec![Ok(platform::testing::response(204, "")), error(500, "OperationTimedOut")],
    ));
    with(&host, EMULATOR, async |table| {
        table.create().await.unwrap();
        assert!(matches!(table.insert(&entity("r", "own")).await, Ok(Inserted::New(_))));
    });
}

#[test]
fn replace_whose_response_was_lost_returns_the_new_version() {
    let (host, tables) = fake_service_replacing_responses(replace_first("PUT", vec![lost()]));
    with(&host, EMULATOR, async |table| {
        let Ok(Inserted::New(old)) = table.insert(&entity("r", "old")).await else {
            panic!("the insert did not return New")
        };
        let Ok(Conditional::Done(new)) = table.replace(&entity("r", "own"), &old).await else {
            panic!("the client's own replace is not reported as done")
        };
        assert!(matches!(table.replace(&entity("r", "next"), &new).await, Ok(Conditional::Done(_))));
    });
    let key = ("p".to_owned(), "r".to_owned());
    assert_eq!(tables.borrow().entities("vectors1")[&key]["state"], "next");
}

#[test]
fn replace_after_a_write_of_another_client_returns_changed() {
    for other_client_merges in [false, true] {
        let rounds = Cell::new(0);
        let (host, tables) = fake_service();
        with(&host, EMULATOR, async |table| {
            let Ok(Inserted::New(old)) = table.insert(&entity("r", "old")).await else {
                panic!("the insert did not return New")
            };
            // `merge` and `put` both store a new `op` (the property that identifies the last write). So the
            // client can see that its own replace did not write the entity.
            if other_client_merges {
                table.merge(&entity("r", "other"), None).await.unwrap();
            } else {
                table.put(&entity("r", "other")).await.unwrap();
            }
            host.then(lost());
            assert_eq!(table.replace(&entity("r", "own"), &old).await, Ok(Conditional::Changed));
            assert_eq!(table.merge(&entity("r", "own"), Some(&old)).await, Ok(Conditional::Changed));
            rounds.set(rounds.get() + 1);
        });
        let key = ("p".to_owned(), "r".to_owned());
        assert_eq!(rounds.get(), 1, "rounds");
        assert_eq!(tables.borrow().entities("vectors1")[&key]["state"], "other");
    }
}

#[test]
fn delete_whose_response_was_lost_is_done() {
    let (host, _) = fake_service_replacing_responses(replace_first("DELETE", vec![lost()]));
    with(&host, EMULATOR, async |table| {
        table.insert(&entity("r", "x")).await.unwrap();
        assert_eq!(table.delete(&Key::new("p", "r"), None).await, Ok(Deleted::Done));
        assert_eq!(table.delete(&Key::new("p", "r"), None).await, Ok(Deleted::Gone));
    });
}

#[test]
fn create_whose_response_was_lost_is_done() {
    let (host, _) = fake_service_replacing_responses(replace_first("POST", vec![lost()]));
    with(&host, EMULATOR, async |table| assert_eq!(table.create().await, Ok(())));
    assert_eq!(methods(&host), ["POST", "POST"]);
}

#[test]
fn insert_is_an_error_if_the_entity_cannot_be_read_after_a_lost_response() {
    let (host, _) = fake_service_replacing_responses(replace_first("GET", vec![lost(), lost(), lost()]));
    with(&host, EMULATOR, async |table| {
        table.insert(&entity("r", "other")).await.unwrap();
        host.then(lost());
        let error = table.insert(&entity("r", "own")).await.unwrap_err();
        assert!(error.is_retryable(), "{error}");
    });
}
