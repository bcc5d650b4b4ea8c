//! Tests of the calls for single entities, with the fake service.

use storage_table::{Conditional, Deleted, ETag, Entity, Inserted, Key, TableError};

use crate::{EMULATOR, entity, fake_service, methods, with};

fn etag_of_new(inserted: Inserted) -> ETag {
    match inserted {
        Inserted::New(etag) => etag,
        Inserted::Exists => panic!("the entity already exists"),
    }
}

#[test]
fn entity_can_be_inserted_read_changed_and_deleted() {
    let (host, tables) = fake_service();
    with(&host, EMULATOR, async |table| {
        table.create().await.unwrap();
        table.create().await.unwrap();
        let first = etag_of_new(table.insert(&entity("r", "new").with("n", 1)).await.unwrap());
        assert_eq!(table.insert(&entity("r", "other")).await, Ok(Inserted::Exists));
        let found = table.get(&Key::new("p", "r")).await.unwrap().unwrap();
        assert_eq!((found.entity.str("state"), found.entity.int("n")), (Some("new"), Some(1)));
        assert_eq!(found.etag, first);
        assert_eq!(found.written_at, found.answered_at);
        assert_eq!(found.entity.properties.len(), 2, "the client hides the property op");

        let Conditional::Done(second) = table.replace(&entity("r", "sent"), &first).await.unwrap() else {
            panic!("the entity was not replaced")
        };
        assert_eq!(table.replace(&entity("r", "late"), &first).await, Ok(Conditional::Changed));
        assert_eq!(table.merge(&entity("r", "late"), Some(&first)).await, Ok(Conditional::Changed));
        assert_eq!(table.delete(&Key::new("p", "r"), Some(&first)).await, Ok(Deleted::Changed));
        let merged = Entity::new(Key::new("p", "r")).with_int64("until", 1 << 60);
        assert!(matches!(table.merge(&merged, Some(&second)).await, Ok(Conditional::Done(_))));
        let found = table.get(&Key::new("p", "r")).await.unwrap().unwrap().entity;
        assert_eq!(
            (found.str("state"), found.int("n"), found.int("until")),
            (Some("sent"), None, Some(1 << 60))
        );

        table.put_merge(&entity("r", "again")).await.unwrap();
        assert!(matches!(table.merge(&entity("r", "any"), None).await, Ok(Conditional::Done(_))));
        let found = table.get(&Key::new("p", "r")).await.unwrap().unwrap();
        assert_eq!((found.entity.str("state"), found.entity.int("until")), (Some("any"), Some(1 << 60)));
        table.put(&entity("r", "whole")).await.unwrap();
        let found = table.get(&Key::new("p", "r")).await.unwrap().unwrap();
        assert_eq!(found.entity, entity("r", "whole"));
        assert_eq!(table.delete(&Key::new("p", "r"), Some(&found.etag)).await, Ok(Deleted::Done));
        assert_eq!(table.delete(&Key::new("p", "r"), None).await, Ok(Deleted::Gone));
        assert_eq!(table.replace(&entity("r", "late"), &found.etag).await, Ok(Conditional::Gone));
        assert_eq!(table.merge(&entity("r", "late"), None).await, Ok(Conditional::Gone));
        assert_eq!(table.get(&Key::new("p", "r")).await, Ok(None));
        assert_eq!(table.retries(), 0);
    });
    assert!(tables.borrow().entities("vectors1").is_empty());
}

#[test]
fn key_with_special_characters_is_stored_and_read_back() {
    let (host, _) = fake_service();
    with(&host, EMULATOR, async |table| {
        for text in [
            "",
            "o'brien",
            "''",
            "',RowKey='",
            "a b+c%25&=:@;|(),",
            "söhne 🦀",
            "19:abc@thread.v2;messageid=1",
        ] {
            let stored = Entity::new(Key::new(text, text)).with("n", 1);
            etag_of_new(table.insert(&stored).await.unwrap());
            table.put(&stored).await.unwrap();
            assert_eq!(table.get(&stored.key).await.unwrap().unwrap().entity, stored, "{text}");
            assert_eq!(table.delete(&stored.key, None).await, Ok(Deleted::Done), "{text}");
        }
    });
}

#[test]
fn write_to_a_missing_table_creates_the_table_if_the_write_can_insert() {
    let (host, tables) = fake_service();
    with(&host, EMULATOR, async |table| {
        assert_eq!(table.get(&Key::new("p", "r")).await, Ok(None));
        assert_eq!(table.merge(&entity("r", "x"), None).await, Ok(Conditional::Gone));
        assert_eq!(table.delete(&Key::new("p", "r"), None).await, Ok(Deleted::Gone));
        assert_eq!(tables.borrow().table_names(), [""; 0]);
        table.insert(&entity("r", "x")).await.unwrap();
        table.insert(&entity("s", "x")).await.unwrap();
    });
    assert_eq!(methods(&host), ["GET", "PATCH", "DELETE", "POST", "POST", "POST", "POST"]);
    let (host, _) = fake_service();
    with(&host, EMULATOR, async |table| table.put(&entity("r", "x")).await.unwrap());
    assert_eq!(methods(&host), ["PUT", "POST", "PUT"]);
    let (host, _) = fake_service();
    with(&host, EMULATOR, async |table| table.put_merge(&entity("r", "x")).await.unwrap());
    assert_eq!(methods(&host), ["PATCH", "POST", "PATCH"]);
}

#[test]
fn invalid_request_is_an_error_and_is_not_sent() {
    let (host, _) = fake_service();
    with(&host, EMULATOR, async |table| {
        let bad = Entity::new(Key::new("a/b", "r"));
        let etag = ETag::from("W/\"x\"\r\n".to_owned());
        let invalid = |error: TableError| assert!(matches!(error, TableError::Invalid(_)), "{error}");
        invalid(table.insert(&bad).await.unwrap_err());
        invalid(table.put(&bad).await.unwrap_err());
        invalid(table.get(&bad.key).await.unwrap_err());
        invalid(table.delete(&bad.key, None).await.unwrap_err());
        invalid(table.replace(&entity("r", "x"), &etag).await.unwrap_err());
        invalid(table.insert(&entity("r", "x").with("gone", serde_json::Value::Null)).await.unwrap_err());
    });
    assert!(host.sent.borrow().is_empty());
}

/// A `replace` sends the same request as a `put`, with the additional header `If-Match`. Without the header,
/// a `replace` could insert an entity. With the header, a `put` could not insert an entity.
#[test]
fn if_match_is_sent_only_with_writes_that_cannot_insert() {
    let (host, _) = fake_service();
    with(&host, EMULATOR, async |table| {
        let etag = etag_of_new(table.insert(&entity("r", "x")).await.unwrap());
        host.sent.borrow_mut().clear();
        table.replace(&entity("r", "x"), &etag).await.unwrap();
        table.merge(&entity("r", "x"), Some(&etag)).await.unwrap();
        table.merge(&entity("r", "x"), None).await.unwrap();
        table.put(&entity("r", "x")).await.unwrap();
        table.put_merge(&entity("r", "x")).await.unwrap();
        table.delete(&Key::new("p", "r"), None).await.unwrap();
        let sent = host.sent.borrow();
        let found: Vec<_> = sent
            .iter()
            .map(|request| request.headers().get("if-match").map(|value| value.to_str().unwrap()))
            .collect();
        let etag = Some(etag.as_str());
        assert_eq!(found, [etag, etag, Some("*"), None, None, Some("*")]);
    });
}
