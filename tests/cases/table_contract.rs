//! Tests of the project's table client with Azurite, the emulator of Azure Storage. In the unit tests of this
//! client, a fake sends the responses of the table service. The tests in this file check that Azurite sends
//! the same kinds of responses.

use chrono::TimeDelta;
use end_to_end::suite::World;
use end_to_end::table::Table;
use futures_util::future::join_all;
use storage_table::{
    Batch, Conditional, Deleted, ETag, Entity, Filter, Inserted, Key, Operation, Query, TableError,
};

mod queries;
mod rights;

use queries::{
    filter_selects_only_the_matching_rows, query_pages_show_each_row_once, stored_value_is_read_unchanged,
    table_key_with_special_characters_finds_the_row,
};
use rights::{
    sas_with_table_rights_is_enough,
    sas_without_table_rights_is_refused_and_the_error_names_the_needed_rights,
    wrong_account_key_is_not_authorized,
};

end_to_end::cases!(
    entity_is_inserted_changed_and_deleted,
    write_creates_the_missing_table,
    missing_table_counts_as_empty,
    transactions_do_all_or_nothing,
    query_pages_show_each_row_once,
    table_key_with_special_characters_finds_the_row,
    stored_value_is_read_unchanged,
    filter_selects_only_the_matching_rows,
    only_one_of_forty_inserts_with_the_same_table_key_succeeds,
    only_one_of_twenty_replaces_of_the_same_version_succeeds,
    wrong_account_key_is_not_authorized,
    sas_without_table_rights_is_refused_and_the_error_names_the_needed_rights,
    sas_with_table_rights_is_enough,
);

fn table(world: &World, name: &str) -> Table {
    Table::new(&world.azurite().connection_string(), name)
}

/// Expects that the write succeeded, and returns the new version (the ETag) of the entity.
#[track_caller]
fn written_version(done: Result<Conditional, TableError>) -> ETag {
    match done {
        Ok(Conditional::Done(etag)) => etag,
        other => panic!("expected a write that was done, found {other:?}"),
    }
}

fn everything() -> Query {
    Query { filter: Filter::everything(), top: 1000, select: Vec::new() }
}

fn entity_is_inserted_changed_and_deleted(world: &World) {
    let key = Key::new("p", "r");
    let entity = Entity::new(key.clone()).with("word", "first").with("kept", true).with_int64("at", 7);
    table(world, "contractlife").with(async |client| {
        client.create().await.unwrap();
        client.create().await.expect("success, because the table exists");
        assert_eq!(client.get(&key).await, Ok(None));
        let Ok(Inserted::New(first)) = client.insert(&entity).await else { panic!("expected a new entity") };
        assert_eq!(client.insert(&entity).await, Ok(Inserted::Exists));
        let found = client.get(&key).await.unwrap().unwrap();
        assert_eq!(found.etag, first);
        assert_eq!((found.entity.str("word"), found.entity.int("at")), (Some("first"), Some(7)));
        let age = found.answered_at - found.written_at;
        assert!(age > TimeDelta::seconds(-2) && age < TimeDelta::seconds(30), "{found:?}");

        let second = written_version(
            client.merge(&Entity::new(key.clone()).with("word", "second"), Some(&first)).await,
        );
        assert_ne!(second, first);
        let found = client.get(&key).await.unwrap().unwrap();
        assert_eq!((&found.etag, found.entity.str("word")), (&second, Some("second")));
        assert_eq!(
            (found.entity.bool("kept"), found.entity.int("at")),
            (Some(true), Some(7)),
            "expected that a merge keeps the properties that the merge does not name"
        );
        let third = Entity::new(key.clone()).with("word", "third");
        assert_eq!(client.replace(&third, &first).await, Ok(Conditional::Changed));
        assert_eq!(client.merge(&third, Some(&first)).await, Ok(Conditional::Changed));
        assert_eq!(client.delete(&key, Some(&first)).await, Ok(Deleted::Changed));
        assert_eq!(
            client.get(&key).await.unwrap().unwrap().etag,
            second,
            "expected that a refused write changes nothing"
        );
        let third_version = written_version(client.replace(&third, &second).await);
        let found = client.get(&key).await.unwrap().unwrap();
        assert_eq!(
            (&found.etag, &found.entity),
            (&third_version, &third),
            "expected that a replace keeps no old property"
        );
        written_version(client.merge(&entity, None).await);

        assert_eq!(client.delete(&key, None).await, Ok(Deleted::Done));
        assert_eq!(client.delete(&key, None).await, Ok(Deleted::Gone));
        assert_eq!(client.delete(&key, Some(&third_version)).await, Ok(Deleted::Gone));
        assert_eq!(client.replace(&third, &third_version).await, Ok(Conditional::Gone));
        assert_eq!(client.merge(&third, Some(&third_version)).await, Ok(Conditional::Gone));
        assert_eq!(client.merge(&third, None).await, Ok(Conditional::Gone));
        assert_eq!(
            client.get(&key).await,
            Ok(None),
            "expected that no refused write creates the entity again"
        );

        client.put(&entity).await.unwrap();
        let merged = client.put_merge(&Entity::new(key.clone()).with("word", "merged")).await.unwrap();
        let found = client.get(&key).await.unwrap().unwrap();
        assert_eq!((found.entity.str("word"), found.entity.bool("kept")), (Some("merged"), Some(true)));
        assert_eq!(found.etag, merged);
        client.put(&third).await.unwrap();
        assert_eq!(client.get(&key).await.unwrap().unwrap().entity, third);
        client.put_merge(&Entity::new(Key::new("p", "new")).with("word", "new")).await.unwrap();
        assert!(
            client.get(&Key::new("p", "new")).await.unwrap().is_some(),
            "expected that put_merge inserts a missing entity"
        );
        let last = client.get(&key).await.unwrap().unwrap().etag;
        assert_eq!(client.delete(&key, Some(&last)).await, Ok(Deleted::Done));
        assert_eq!(client.retries(), 0);
    });
}

fn write_creates_the_missing_table(world: &World) {
    let entity = Entity::new(Key::new("p", "r")).with("n", 1);
    table(world, "contractinsert").with(async |client| {
        assert!(matches!(client.insert(&entity).await, Ok(Inserted::New(_))));
    });
    table(world, "contractput").with(async |client| client.put(&entity).await.unwrap());
    table(world, "contractputmerge").with(async |client| client.put_merge(&entity).await.unwrap());
    table(world, "contractbatch").with(async |client| {
        assert_eq!(client.batch(&[Operation::Insert(&entity)]).await, Ok(Batch::Done));
        assert_eq!(client.get(&entity.key).await.unwrap().unwrap().entity, entity);
    });
}

fn missing_table_counts_as_empty(world: &World) {
    let key = Key::new("p", "r");
    table(world, "contractmissing").with(async |client| {
        assert_eq!(client.get(&key).await, Ok(None));
        let page = client.query(&everything(), None).await.unwrap();
        assert!(page.entities.is_empty() && page.next.is_none());
        assert_eq!(client.delete(&key, None).await, Ok(Deleted::Gone));
        let etag = ETag::from("W/\"datetime'2026-11-27T11%3A15%3A04.5528866Z'\"".to_owned());
        assert_eq!(client.replace(&Entity::new(key.clone()), &etag).await, Ok(Conditional::Gone));
        let page = client.query(&everything(), None).await.unwrap();
        assert!(page.entities.is_empty(), "expected that reads and refused writes do not create the table");
    });
}

fn transactions_do_all_or_nothing(world: &World) {
    let key = |row: &str| Key::new("o'brien ü", row);
    let entity = |row: &str, word: &str| Entity::new(key(row)).with("word", word);
    let rows: Vec<Entity> =
        (0..100).map(|row| entity(&format!("{row:03}"), "first").with_int64("at", row)).collect();
    table(world, "contracttransactions").with(async |client| {
        let words = async || {
            let page = client.query(&everything(), None).await.unwrap();
            let word = |entity: &Entity| format!("{}={}", entity.key.row, entity.str("word").unwrap());
            page.entities.iter().map(word).collect::<Vec<_>>()
        };
        let inserts: Vec<_> = rows.iter().map(Operation::Insert).collect();
        assert_eq!(client.batch(&inserts).await, Ok(Batch::Done));
        let before = words().await;
        assert_eq!(before.len(), 100);

        let refused = |index, status, code: &str| Ok(Batch::Refused { index, status, code: code.into() });
        let (new, newer, exists) = (entity("new", "x"), entity("newer", "x"), entity("007", "x"));
        let inserts = [&new, &newer, &exists].map(Operation::Insert);
        assert_eq!(client.batch(&inserts).await, refused(2, 409, "EntityAlreadyExists"));
        assert_eq!(client.batch(&inserts[2..]).await, refused(0, 409, "EntityAlreadyExists"));

        let stale = client.get(&key("001")).await.unwrap().unwrap().etag;
        let fresh = written_version(client.merge(&entity("001", "second"), Some(&stale)).await);
        let before: Vec<_> = before.into_iter().map(|row| row.replace("001=first", "001=second")).collect();
        let (first, changed, absent) = (entity("000", "x"), entity("001", "third"), entity("none", "x"));
        let (second, third) = (key("002"), key("003"));
        for (operations, expected) in [
            (
                vec![Operation::Merge(&first, None), Operation::Replace(&changed, &stale)],
                refused(1, 412, "UpdateConditionNotSatisfied"),
            ),
            (
                vec![
                    Operation::Put(&first),
                    Operation::Delete(&second, None),
                    Operation::Merge(&absent, None),
                ],
                refused(2, 404, "ResourceNotFound"),
            ),
            (
                vec![Operation::Delete(&second, None), Operation::PutMerge(&new), Operation::Insert(&exists)],
                refused(2, 409, "EntityAlreadyExists"),
            ),
        ] {
            assert_eq!(client.batch(&operations).await, expected);
            assert_eq!(words().await, before, "expected that a refused transaction changes nothing");
        }

        let operations = [
            Operation::Merge(&first, None),
            Operation::Replace(&changed, &fresh),
            Operation::Delete(&second, None),
            Operation::Delete(&third, Some(&client.get(&third).await.unwrap().unwrap().etag)),
            Operation::Put(&new),
            Operation::PutMerge(&newer),
        ];
        assert_eq!(client.batch(&operations).await, Ok(Batch::Done));
        let after = words().await;
        assert_eq!(after[..3], ["000=x", "001=third", "004=first"]);
        assert_eq!(after[98..], ["new=x", "newer=x"]);
        let merged = client.get(&key("000")).await.unwrap().unwrap();
        assert_eq!(
            merged.entity.int("at"),
            Some(0),
            "expected that a merge keeps the properties that the merge does not name"
        );
        assert_eq!(client.get(&key("001")).await.unwrap().unwrap().entity, changed);
    });
}

fn only_one_of_forty_inserts_with_the_same_table_key_succeeds(world: &World) {
    table(world, "contractrace").with(async |client| {
        let entities: Vec<_> = (0..40).map(|n| Entity::new(Key::new("p", "r")).with("n", n)).collect();
        // The table is missing. So each insert also tries to create the table.
        let inserted = join_all(entities.iter().map(|entity| client.insert(entity))).await;
        let new: Vec<_> = (0..40).filter(|n| matches!(inserted[*n], Ok(Inserted::New(_)))).collect();
        assert_eq!(new.len(), 1, "{inserted:?}");
        let exist = inserted.iter().filter(|result| **result == Ok(Inserted::Exists)).count();
        assert_eq!(exist, 39, "{inserted:?}");
        let stored = client.get(&Key::new("p", "r")).await.unwrap().unwrap().entity;
        assert_eq!(stored.int("n"), Some(new[0] as i64));
    });
}

fn only_one_of_twenty_replaces_of_the_same_version_succeeds(world: &World) {
    table(world, "contractcompare").with(async |client| {
        let entities: Vec<_> = (0..20).map(|n| Entity::new(Key::new("p", "r")).with("n", n)).collect();
        client.put(&entities[0]).await.unwrap();
        let etag = client.get(&entities[0].key).await.unwrap().unwrap().etag;
        let replaced = join_all(entities.iter().map(|entity| client.replace(entity, &etag))).await;
        let done: Vec<_> = (0..20).filter(|n| matches!(replaced[*n], Ok(Conditional::Done(_)))).collect();
        assert_eq!(done.len(), 1, "{replaced:?}");
        let changed = replaced.iter().filter(|result| **result == Ok(Conditional::Changed)).count();
        assert_eq!(changed, 19, "{replaced:?}");
        let stored = client.get(&entities[0].key).await.unwrap().unwrap();
        assert_eq!(stored.entity, entities[done[0]]);
        assert_eq!(replaced[done[0]], Ok(Conditional::Done(stored.etag)));
    });
}
