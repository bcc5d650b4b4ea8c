//! Writes whose answer was lost: done or not, and by whom.

use std::cell::Cell;

use storage_table::{Conditional, Deleted, Inserted, Key};

use crate::{Answer, EMULATOR, entity, error, honest, lost, methods, served, with};
use platform::TransportError;

/// The first answers to requests of this method are replaced, after the service has served them.
fn first(
    method: &'static str,
    answers: Vec<Answer>,
) -> impl FnMut(&http::Request<bytes::Bytes>) -> Option<Answer> {
    let mut answers = answers.into_iter();
    move |request| if request.method() == method { answers.next() } else { None }
}

#[test]
fn an_insert_that_was_done_is_new() {
    let (host, tables) = served(first("POST", vec![error(204, ""), lost()]));
    with(&host, EMULATOR, async |table| {
        table.create().await.unwrap();
        let Inserted::New(etag) = table.insert(&entity("r", "mine")).await.unwrap() else {
            panic!("it is mine")
        };
        assert_eq!(table.get(&Key::new("p", "r")).await.unwrap().unwrap().etag, etag);
        assert_eq!(table.retries(), 1);
    });
    assert_eq!(methods(&host), ["POST", "POST", "POST", "GET", "GET"]);
    let sent = host.sent.borrow();
    assert_eq!(sent[1].body(), sent[2].body(), "both attempts carry one op");
    assert_eq!(tables.borrow().entities("vectors1").len(), 1);
}

#[test]
fn an_insert_that_a_rival_did_exists() {
    // The first attempt does not arrive at the service, but nobody knows.
    let (host, _) = honest();
    with(&host, EMULATOR, async |table| {
        table.insert(&entity("r", "rival")).await.unwrap();
        host.then(lost());
        assert_eq!(table.insert(&entity("r", "mine")).await, Ok(Inserted::Exists));
        // Without a lost answer nothing is read.
        host.sent.borrow_mut().clear();
        host.then(Err(TransportError::NotSent("refused".into())));
        assert_eq!(table.insert(&entity("r", "mine")).await, Ok(Inserted::Exists));
    });
    assert_eq!(methods(&host), ["POST", "POST"]);
}

#[test]
fn an_insert_after_a_busy_service_is_looked_at() {
    let (host, _) = served(first("POST", vec![error(204, ""), error(500, "OperationTimedOut")]));
    with(&host, EMULATOR, async |table| {
        table.create().await.unwrap();
        assert!(matches!(table.insert(&entity("r", "mine")).await, Ok(Inserted::New(_))));
    });
}

#[test]
fn a_replace_that_was_done_has_its_new_version() {
    let (host, tables) = served(first("PUT", vec![lost()]));
    with(&host, EMULATOR, async |table| {
        let Ok(Inserted::New(old)) = table.insert(&entity("r", "old")).await else { panic!("it is new") };
        let Ok(Conditional::Done(new)) = table.replace(&entity("r", "mine"), &old).await else {
            panic!("it is mine")
        };
        assert!(matches!(table.replace(&entity("r", "next"), &new).await, Ok(Conditional::Done(_))));
    });
    let key = ("p".to_owned(), "r".to_owned());
    assert_eq!(tables.borrow().entities("vectors1")[&key]["state"], "next");
}

#[test]
fn a_replace_that_a_rival_overtook_is_changed() {
    for rival_merges in [false, true] {
        let rounds = Cell::new(0);
        let (host, tables) = served(|_| None);
        with(&host, EMULATOR, async |table| {
            let Ok(Inserted::New(old)) = table.insert(&entity("r", "old")).await else { panic!("it is new") };
            // The rival's merge leaves no op of an earlier writer behind.
            if rival_merges {
                table.merge(&entity("r", "rival"), None).await.unwrap();
            } else {
                table.put(&entity("r", "rival")).await.unwrap();
            }
            host.then(lost());
            assert_eq!(table.replace(&entity("r", "mine"), &old).await, Ok(Conditional::Changed));
            assert_eq!(table.merge(&entity("r", "mine"), Some(&old)).await, Ok(Conditional::Changed));
            rounds.set(rounds.get() + 1);
        });
        let key = ("p".to_owned(), "r".to_owned());
        assert_eq!(
            (rounds.get(), &tables.borrow().entities("vectors1")[&key]["state"]),
            (1, &"rival".into())
        );
    }
}

#[test]
fn a_delete_that_was_done_is_done() {
    let (host, _) = served(first("DELETE", vec![lost()]));
    with(&host, EMULATOR, async |table| {
        table.insert(&entity("r", "x")).await.unwrap();
        assert_eq!(table.delete(&Key::new("p", "r"), None).await, Ok(Deleted::Done));
        assert_eq!(table.delete(&Key::new("p", "r"), None).await, Ok(Deleted::Gone));
    });
}

#[test]
fn a_create_whose_answer_was_lost_is_done() {
    let (host, _) = served(first("POST", vec![lost()]));
    with(&host, EMULATOR, async |table| assert_eq!(table.create().await, Ok(())));
    assert_eq!(methods(&host), ["POST", "POST"]);
}

#[test]
fn a_write_that_nobody_can_settle_is_an_error() {
    let (host, _) = served(first("GET", vec![lost(), lost(), lost()]));
    with(&host, EMULATOR, async |table| {
        table.insert(&entity("r", "rival")).await.unwrap();
        host.then(lost());
        let error = table.insert(&entity("r", "mine")).await.unwrap_err();
        assert!(error.is_retryable(), "{error}");
    });
}
