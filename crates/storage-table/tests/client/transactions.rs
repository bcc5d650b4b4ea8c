//! Tests of transactions.

use storage_table::{Batch, ETag, Entity, Inserted, Key, Operation, TableError};

use crate::{EMULATOR, entity, error, fake_service, fake_service_replacing_responses, lost, methods, with};

#[test]
fn transaction_with_one_refused_operation_changes_nothing() {
    let (host, tables) = fake_service();
    with(&host, EMULATOR, async |table| {
        let (a, b, c) = (entity("a", "1"), entity("o'b", "1").with_int64("n", 7), entity("c", "1"));
        let first = [Operation::Insert(&a), Operation::Put(&b), Operation::PutMerge(&c)];
        assert_eq!(table.batch(&first).await, Ok(Batch::Done), "the client creates the table");
        assert_eq!(methods(&host), ["POST", "POST", "POST"]);
        let before = tables.borrow().entities("vectors1").clone();
        assert_eq!(before.len(), 3);

        let stale = ETag::from("W/\"stale\"".to_owned());
        let (changed, d, missing) = (entity("a", "2"), entity("d", "1"), entity("missing", "1"));
        let put = Operation::Put(&changed);
        for (last, status, code) in [
            (Operation::Insert(&b), 409, "EntityAlreadyExists"),
            (Operation::Replace(&b, &stale), 412, "UpdateConditionNotSatisfied"),
            (Operation::Merge(&b, Some(&stale)), 412, "UpdateConditionNotSatisfied"),
            (Operation::Merge(&missing, None), 404, "ResourceNotFound"),
            (Operation::Delete(&missing.key, None), 404, "ResourceNotFound"),
        ] {
            let refused =
                table.batch(&[put, Operation::Insert(&d), Operation::Delete(&c.key, None), last]).await;
            assert_eq!(refused, Ok(Batch::Refused { index: 3, status, code: code.to_owned() }));
            assert_eq!(*tables.borrow().entities("vectors1"), before, "{code}");
        }
        let etag = table.get(&b.key).await.unwrap().unwrap().etag;
        let replaced = entity("o'b", "2");
        let last = [
            Operation::Merge(&changed, None),
            Operation::Replace(&replaced, &etag),
            Operation::Delete(&c.key, None),
        ];
        assert_eq!(table.batch(&last).await, Ok(Batch::Done));
        assert_eq!(table.get(&b.key).await.unwrap().unwrap().entity, replaced);
        assert_eq!(table.get(&c.key).await, Ok(None));
    });
}

#[test]
fn transaction_that_breaks_a_limit_is_an_error_and_is_not_sent() {
    let (host, _) = fake_service();
    with(&host, EMULATOR, async |table| {
        let entities: Vec<Entity> = (0..101).map(|index| entity(&format!("r{index}"), "x")).collect();
        let elsewhere = Entity::new(Key::new("q", "r"));
        let (one, two) = (entity("a", "1"), entity("a", "2"));
        let puts: Vec<_> = entities.iter().map(Operation::Put).collect();
        for operations in [
            vec![],
            puts.clone(),
            vec![Operation::Put(&one), Operation::Put(&elsewhere)],
            vec![Operation::Put(&one), Operation::Insert(&two)],
        ] {
            let error = table.batch(&operations).await.unwrap_err();
            assert!(matches!(error, TableError::Invalid(_)), "{error}");
        }
        let large = |row: &str| {
            (0..10)
                .fold(entity(row, "x"), |entity, index| entity.with(&format!("p{index}"), "x".repeat(32_000)))
        };
        let entities: Vec<_> = (0..14).map(|index| large(&format!("r{index}"))).collect();
        let operations: Vec<_> = entities.iter().map(Operation::Put).collect();
        assert_eq!(table.batch(&operations).await, Err(TableError::TooLarge));
        assert!(host.sent.borrow().is_empty());
        assert_eq!(table.batch(&puts[..100]).await, Ok(Batch::Done));
    });
}

#[test]
fn transaction_whose_response_was_lost_is_done() {
    let mut batches = 0;
    let (host, _) = fake_service_replacing_responses(move |request| {
        batches += usize::from(request.uri().path().ends_with("$batch"));
        (batches == 2).then(|| {
            batches += 1;
            lost()
        })
    });
    with(&host, EMULATOR, async |table| {
        let (old, a, b) = (entity("old", "1"), entity("a", "1"), entity("b", "1"));
        assert_eq!(table.batch(&[Operation::Insert(&old)]).await, Ok(Batch::Done));
        // The response to this transaction is lost, and the service refuses the repeated attempt. The client
        // then reads `a`, because `a` is the first entity that the transaction writes. The delete writes no
        // entity.
        let operations = [Operation::Delete(&old.key, None), Operation::Insert(&a), Operation::Insert(&b)];
        assert_eq!(table.batch(&operations).await, Ok(Batch::Done));
    });
}

#[test]
fn transaction_after_a_write_of_another_client_is_refused() {
    let (host, _) = fake_service();
    with(&host, EMULATOR, async |table| {
        let a = entity("a", "1");
        assert!(matches!(table.insert(&a).await, Ok(Inserted::New(_))));
        host.then(lost());
        let refused = table.batch(&[Operation::Insert(&a)]).await;
        assert!(matches!(refused, Ok(Batch::Refused { index: 0, status: 409, .. })), "{refused:?}");
    });
}

#[test]
fn transaction_whose_response_shows_no_success_is_an_error() {
    for (response, readable) in [
        (Ok(platform::testing::response(202, "")), false),
        (Ok(platform::testing::response(202, "--b\r\n\r\nHTTP/1.1 20")), false),
        (error(403, "AuthorizationPermissionMismatch"), true),
        (error(413, ""), true),
    ] {
        let (host, _) = fake_service();
        host.then(response);
        let result =
            with(&host, EMULATOR, async |table| table.batch(&[Operation::Put(&entity("a", "1"))]).await);
        assert_eq!(!matches!(result, Err(TableError::Unreadable(_))), readable, "{result:?}");
        assert!(result.is_err());
    }
}
