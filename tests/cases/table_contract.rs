//! The table client against the real Azurite. The unit tests script the service's answers; these cases check
//! that Azurite really gives them.

use std::collections::BTreeSet;

use chrono::TimeDelta;
use end_to_end::sas::{self, account_sas};
use end_to_end::suite::World;
use end_to_end::table::Table;
use futures_util::future::join_all;
use serde_json::Value;
use storage_table::{
    Batch, Conditional, Continuation, Deleted, ETag, Entity, Filter, Inserted, Key, Operation, Query,
    TableError, escape, unescape,
};

end_to_end::cases!(
    entity_is_inserted_changed_and_deleted,
    writes_create_their_table,
    missing_table_counts_as_empty,
    transactions_do_all_or_nothing,
    pages_show_each_row_once,
    key_with_special_characters_finds_its_row,
    value_is_read_as_it_was_stored,
    filter_selects_its_rows,
    forty_inserts_of_one_key_have_one_winner,
    twenty_replaces_of_one_version_have_one_winner,
    wrong_key_is_not_authorized,
    sas_without_table_rights_is_refused_with_the_needed_rights,
    sas_with_table_rights_is_enough,
);

fn table(world: &World, name: &str) -> Table {
    Table::new(&world.azurite().connection_string(), name)
}

/// Expects a write that was done, and returns the new version.
#[track_caller]
fn version(done: Result<Conditional, TableError>) -> ETag {
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
        client.create().await.expect("a table that exists is a success");
        assert_eq!(client.get(&key).await, Ok(None));
        let Ok(Inserted::New(first)) = client.insert(&entity).await else { panic!("expected a new entity") };
        assert_eq!(client.insert(&entity).await, Ok(Inserted::Exists));
        let found = client.get(&key).await.unwrap().unwrap();
        assert_eq!(found.etag, first);
        assert_eq!((found.entity.str("word"), found.entity.int("at")), (Some("first"), Some(7)));
        let age = found.answered_at - found.written_at;
        assert!(age > TimeDelta::seconds(-2) && age < TimeDelta::seconds(30), "{found:?}");

        let second =
            version(client.merge(&Entity::new(key.clone()).with("word", "second"), Some(&first)).await);
        assert_ne!(second, first);
        let found = client.get(&key).await.unwrap().unwrap();
        assert_eq!((&found.etag, found.entity.str("word")), (&second, Some("second")));
        assert_eq!(
            (found.entity.bool("kept"), found.entity.int("at")),
            (Some(true), Some(7)),
            "a merge keeps the properties that it does not name"
        );
        let third = Entity::new(key.clone()).with("word", "third");
        assert_eq!(client.replace(&third, &first).await, Ok(Conditional::Changed));
        assert_eq!(client.merge(&third, Some(&first)).await, Ok(Conditional::Changed));
        assert_eq!(client.delete(&key, Some(&first)).await, Ok(Deleted::Changed));
        assert_eq!(client.get(&key).await.unwrap().unwrap().etag, second, "a refused write changes nothing");
        let third_version = version(client.replace(&third, &second).await);
        let found = client.get(&key).await.unwrap().unwrap();
        assert_eq!((&found.etag, &found.entity), (&third_version, &third), "a replace keeps no old property");
        version(client.merge(&entity, None).await);

        assert_eq!(client.delete(&key, None).await, Ok(Deleted::Done));
        assert_eq!(client.delete(&key, None).await, Ok(Deleted::Gone));
        assert_eq!(client.delete(&key, Some(&third_version)).await, Ok(Deleted::Gone));
        assert_eq!(client.replace(&third, &third_version).await, Ok(Conditional::Gone));
        assert_eq!(client.merge(&third, Some(&third_version)).await, Ok(Conditional::Gone));
        assert_eq!(client.merge(&third, None).await, Ok(Conditional::Gone));
        assert_eq!(client.get(&key).await, Ok(None), "no refused write creates the entity again");

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
            "put_merge inserts a missing entity"
        );
        let last = client.get(&key).await.unwrap().unwrap().etag;
        assert_eq!(client.delete(&key, Some(&last)).await, Ok(Deleted::Done));
        assert_eq!(client.retries(), 0);
    });
}

fn writes_create_their_table(world: &World) {
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
        assert!(page.entities.is_empty(), "reads and refused writes do not create the table");
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
        let fresh = version(client.merge(&entity("001", "second"), Some(&stale)).await);
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
            assert_eq!(words().await, before, "a refused transaction changes nothing");
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
        assert_eq!(merged.entity.int("at"), Some(0), "a merge keeps what it does not name");
        assert_eq!(client.get(&key("001")).await.unwrap().unwrap().entity, changed);
    });
}

fn pages_show_each_row_once(world: &World) {
    let rows: Vec<Entity> = (0..1100)
        .map(|row| Entity::new(Key::new(format!("p{}", row / 100), format!("r ü {row:04}"))).with("n", row))
        .collect();
    table(world, "contractpages").with(async |client| {
        for partition in rows.chunks(100) {
            let inserts: Vec<_> = partition.iter().map(Operation::Insert).collect();
            assert_eq!(client.batch(&inserts).await, Ok(Batch::Done));
        }
        // A page of one row is tested in one partition. The other pages end in another partition than they
        // begin in.
        for (top, from, to, pages) in [(1, "p3", "p4", 100), (7, "p1", "p3", 43), (1000, "p", "q", 2)] {
            let filter = Filter::partitions(from, to);
            let expected: BTreeSet<_> = rows
                .iter()
                .map(|row| row.key.clone())
                .filter(|key| key.partition.as_str() >= from && key.partition.as_str() < to)
                .collect();
            let query = Query { filter, top, select: vec!["n"] };
            let (mut seen, mut next, mut count) = (Vec::new(), None, 0);
            loop {
                let page = client.query(&query, next.as_ref()).await.unwrap();
                assert!(page.entities.len() <= usize::from(top), "{} rows", page.entities.len());
                assert!(page.entities.iter().all(|entity| entity.int("n").is_some()));
                seen.extend(page.entities.into_iter().map(|entity| entity.key));
                count += 1;
                assert!(count <= pages + 1, "{top}: expected at most {pages} pages");
                match page.next {
                    // The continuation is converted to text and back, as an API does with it.
                    Some(at) => next = Some(Continuation::from_text(&at.to_text()).unwrap()),
                    None => break,
                }
            }
            assert!(seen.is_sorted(), "{top}");
            assert_eq!(seen.len(), expected.len(), "{top}: each row once");
            assert_eq!(BTreeSet::from_iter(seen), expected, "{top}");
        }
    });
}

fn key_with_special_characters_finds_its_row(world: &World) {
    let awkward = [
        "",
        "'",
        "''",
        "o'brien",
        "\"",
        "a b",
        "100%",
        "%27",
        "%2F",
        "%252F",
        "a+b",
        "a&b=c",
        "ü",
        "e\u{301}",
        "🍕",
        "19:abc@thread.v2;messageid=1",
        "(x)",
        "a,b",
        "$",
        "~",
        "-",
        ".",
        "|",
        "<a>",
        "[x]",
        "{x}",
        "`",
        "^",
        "PartitionKey eq 'x'",
        " ",
        " x ",
        "\u{a0}",
        "é'🍕%+",
    ];
    let escaped: Vec<String> =
        ["/", "\\", "#", "?", "a/b\\c#d?e", "!", "!2f", "\u{7f}\u{1}\n\u{85}", "%2F"].map(escape).into();
    let long = ["x".repeat(512), "🍕".repeat(256)];
    let parts: Vec<&str> = awkward
        .into_iter()
        .chain(escaped.iter().map(String::as_str))
        .chain(long.iter().map(String::as_str))
        .collect();
    for (text, key) in ["/", "\\", "#", "?", "a/b\\c#d?e", "!", "!2f"].iter().zip(&escaped) {
        assert_eq!(unescape(key).as_deref(), Some(*text));
    }
    table(world, "contractkeys").with(async |client| {
        client.create().await.unwrap();
        for part in &parts {
            for (other, key) in [("partition", Key::new(*part, "row")), ("row", Key::new("partition", *part))]
            {
                let entity = Entity::new(key.clone()).with("part", *part);
                let inserted = client.insert(&entity).await;
                assert!(matches!(inserted, Ok(Inserted::New(_))), "{key:?}: {inserted:?}");
                assert_eq!(client.insert(&entity).await, Ok(Inserted::Exists), "{key:?}");
                let found = client.get(&key).await.unwrap().unwrap_or_else(|| panic!("{key:?} is lost"));
                assert_eq!(found.entity, entity);
                version(client.replace(&entity, &found.etag).await);
                client.put_merge(&entity).await.unwrap();
                // Azurite takes an empty key in a transaction for a missing key.
                if !part.is_empty() {
                    let merged = client.batch(&[Operation::Merge(&entity, None)]).await;
                    assert_eq!(merged, Ok(Batch::Done), "{key:?}");
                }
                let filter = match other {
                    "partition" => Filter::partition(part),
                    _ => Filter::partition("partition").rows(part, &format!("{part}\u{1}x")),
                };
                let page = client.query(&Query { filter, ..everything() }, None).await;
                let keys: Vec<_> = page.unwrap().entities.into_iter().map(|entity| entity.key).collect();
                assert_eq!(keys, std::slice::from_ref(&key), "{key:?}");
            }
        }
        let mut stored = Vec::new();
        let query = Query { top: 3, ..everything() };
        let mut next = None;
        loop {
            let page = client.query(&query, next.as_ref()).await.unwrap();
            stored.extend(page.entities.into_iter().map(|entity| entity.key));
            next = page.next;
            if next.is_none() {
                break;
            }
        }
        let distinct: BTreeSet<_> = parts.iter().collect();
        assert_eq!(
            BTreeSet::from_iter(&stored).len(),
            2 * distinct.len(),
            "a page may end at each of the keys"
        );
        assert_eq!(stored.len(), 2 * distinct.len());
        for key in stored {
            assert_eq!(client.delete(&key, None).await, Ok(Deleted::Done), "{key:?}");
        }
        assert!(client.query(&everything(), None).await.unwrap().entities.is_empty());
    });
}

fn value_is_read_as_it_was_stored(world: &World) {
    let numbers = [0, -1, 1 << 31, (1 << 53) + 1, -(1 << 53) - 1, i64::MAX, i64::MIN];
    let texts = ["", " ", "a\r\nb\tc\u{1}", "\"quoted\" \\ 'x'", "ü🍕", "null", "7", &"ü".repeat(32_768)];
    table(world, "contractvalues").with(async |client| {
        for (index, number) in numbers.into_iter().enumerate() {
            let entity = Entity::new(Key::new("numbers", index.to_string())).with_int64("n", number);
            assert!(matches!(client.insert(&entity).await, Ok(Inserted::New(_))), "{number}");
            let found = client.get(&entity.key).await.unwrap().unwrap().entity;
            assert_eq!(found.int("n"), Some(number));
            let query = Query { filter: Filter::int64("n", number), ..everything() };
            let page = client.query(&query, None).await.unwrap();
            assert_eq!(page.entities.len(), 1, "{number} is found as a number");
        }
        for (index, text) in texts.into_iter().enumerate() {
            let entity = Entity::new(Key::new("texts", index.to_string())).with("text", text);
            client.put(&entity).await.unwrap_or_else(|error| panic!("text {index}: {error}"));
            assert_eq!(client.batch(&[Operation::PutMerge(&entity)]).await, Ok(Batch::Done), "{index}");
            assert_eq!(client.get(&entity.key).await.unwrap().unwrap().entity, entity, "{index}");
        }
        let plain = Entity::new(Key::new("plain", ""))
            .with("yes", true)
            .with("no", false)
            .with("small", i32::MIN)
            .with("large", i32::MAX)
            .with("_1", "x");
        client.put(&plain).await.unwrap();
        assert_eq!(client.get(&plain.key).await.unwrap().unwrap().entity, plain);
        let query = Query { filter: Filter::partition("plain"), top: 1, select: vec!["small", "absent"] };
        let page = client.query(&query, None).await.unwrap().entities.remove(0);
        assert_eq!((page.int("small"), page.properties.len()), (Some(i32::MIN.into()), 1), "{page:?}");
        assert_eq!(page.key, plain.key);

        // Runs write records with strings of 30 000 characters.
        let mut large = Entity::new(Key::new("large", ""));
        for index in 0..12 {
            large.properties.insert(format!("hand{index}"), Value::from("x".repeat(30_000)));
        }
        client.put(&large).await.unwrap();
        assert_eq!(client.get(&large.key).await.unwrap().unwrap().entity, large);
    });
}

fn filter_selects_its_rows(world: &World) {
    table(world, "contractfilters").with(async |client| {
        for (row, at, word, is_on) in [
            ("a", 1, "one", true),
            ("b", 2, "o'two", false),
            ("b.x", 9_007_199_254_740_993, "ü", true),
            ("b/".replace('/', "!2f").as_str(), 9_007_199_254_740_994, "a and b", true),
            ("c", -5, "", false),
        ] {
            let entity =
                Entity::new(Key::new("p", row)).with_int64("at", at).with("word", word).with("isOn", is_on);
            client.put(&entity).await.unwrap();
        }
        client.put(&Entity::new(Key::new("q", "a")).with("word", 1)).await.unwrap();
        for (filter, expected) in [
            (Filter::everything(), "a b b!2f b.x c a"),
            (Filter::partition("p"), "a b b!2f b.x c"),
            (Filter::partitions("p", "q"), "a b b!2f b.x c"),
            (Filter::partitions("", "p"), ""),
            (Filter::partitions("p ", "z"), "a"),
            (Filter::partition("p").rows("b", "c"), "b b!2f b.x"),
            (Filter::partition("p").rows("b.", "b/"), "b.x"),
            (Filter::partition("p").rows_starting_with("b"), "b b!2f b.x"),
            (Filter::partition("p").rows_starting_with(""), "a b b!2f b.x c"),
            (Filter::before("at", 2), "a c"),
            (Filter::before("at", 9_007_199_254_740_994), "a b b.x c"),
            (Filter::at_least("at", 9_007_199_254_740_993), "b!2f b.x"),
            (Filter::int64("at", 9_007_199_254_740_993), "b.x"),
            (Filter::int64("at", -5), "c"),
            (Filter::text("word", "o'two"), "b"),
            (Filter::text("word", "ü"), "b.x"),
            (Filter::text("word", "a and b"), "b!2f"),
            (Filter::text("word", ""), "c"),
            (Filter::text("word", "' or '' eq '"), ""),
            (Filter::partition("p").and(Filter::text_before("word", "b")), "b!2f c"),
            (Filter::text_at_least("word", "ö"), "b.x"),
            (Filter::flag("isOn", true), "a b!2f b.x"),
            (Filter::partition("p").and(Filter::flag("isOn", false)).and(Filter::before("at", 0)), "c"),
            (Filter::text("absent", "x"), ""),
            (Filter::before("absent", 7), ""),
        ] {
            let page = client.query(&Query { filter: filter.clone(), ..everything() }, None).await;
            let page = page.unwrap_or_else(|error| panic!("{filter:?}: {error}"));
            let rows: Vec<_> = page.entities.iter().map(|entity| entity.key.row.as_str()).collect();
            assert_eq!(rows.join(" "), expected, "{filter:?}");
        }
    });
}

fn forty_inserts_of_one_key_have_one_winner(world: &World) {
    table(world, "contractrace").with(async |client| {
        let entities: Vec<_> = (0..40).map(|n| Entity::new(Key::new("p", "r")).with("n", n)).collect();
        // The table is missing, so the inserts also race to create it.
        let inserted = join_all(entities.iter().map(|entity| client.insert(entity))).await;
        let new: Vec<_> = (0..40).filter(|n| matches!(inserted[*n], Ok(Inserted::New(_)))).collect();
        assert_eq!(new.len(), 1, "{inserted:?}");
        let exist = inserted.iter().filter(|result| **result == Ok(Inserted::Exists)).count();
        assert_eq!(exist, 39, "{inserted:?}");
        let stored = client.get(&Key::new("p", "r")).await.unwrap().unwrap().entity;
        assert_eq!(stored.int("n"), Some(new[0] as i64));
    });
}

fn twenty_replaces_of_one_version_have_one_winner(world: &World) {
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

/// Expects that every operation is refused, with the same code and the same text.
#[track_caller]
fn expect_not_authorized(table: &Table, expected_code: &str, expected_text: &str) {
    let entity = Entity::new(Key::new("p", "r")).with("n", 1);
    let etag = ETag::from("W/\"datetime'2026-11-27T11%3A15%3A04.5528866Z'\"".to_owned());
    let errors = table.with(async |client| {
        [
            ("create", client.create().await.err()),
            ("insert", client.insert(&entity).await.err()),
            ("get", client.get(&entity.key).await.err()),
            ("replace", client.replace(&entity, &etag).await.err()),
            ("merge", client.merge(&entity, None).await.err()),
            ("put", client.put(&entity).await.err()),
            ("delete", client.delete(&entity.key, None).await.err()),
            ("query", client.query(&everything(), None).await.err()),
            ("batch", client.batch(&[Operation::Insert(&entity)]).await.err()),
        ]
    });
    for (name, error) in errors {
        let Some(error) = error else { panic!("{name}: expected a refusal, found success") };
        let TableError::NotAuthorized { status, code, .. } = &error else { panic!("{name}: {error:?}") };
        assert_eq!((*status, code.as_str()), (403, expected_code), "{name}: {error}");
        assert!(error.to_string().contains(expected_text), "{name}: {error}");
    }
}

fn wrong_key_is_not_authorized(world: &World) {
    let connection = world.azurite().connection_string();
    let (before, after) = connection.split_once("AccountKey=").unwrap();
    let rest = after.split_once(';').unwrap().1;
    let wrong = format!("{before}AccountKey=d3Jvbmc=;{rest}");
    expect_not_authorized(&Table::new(&wrong, "contractkey"), "AuthorizationFailure", "storageconnection");
}

fn with_sas(world: &World, services: &str, resource_types: &str, permissions: &str, name: &str) -> Table {
    let azurite = world.azurite();
    let sas = account_sas(services, resource_types, permissions);
    let connection = sas::connection_string(&azurite.queue_authority(), &azurite.table_authority(), &sas);
    Table::new(&connection, name)
}

fn sas_without_table_rights_is_refused_with_the_needed_rights(world: &World) {
    let needs = "ss=qt, srt=co, sp=rdacup";
    for (services, resource_types, permissions, code) in [
        ("q", "sco", "rwdlacup", "AuthorizationServiceMismatch"),
        ("qt", "s", "rwdlacup", "AuthorizationResourceTypeMismatch"),
        ("qt", "sco", "p", "AuthorizationPermissionMismatch"),
    ] {
        let table = with_sas(world, services, resource_types, permissions, "contractsas");
        expect_not_authorized(&table, code, needs);
    }
}

/// The error text names these rights, so they must be enough.
fn sas_with_table_rights_is_enough(world: &World) {
    let table = with_sas(world, "qt", "co", "rdacup", "contractsasenough");
    let entity = Entity::new(Key::new("p", "r'ü")).with("n", 1);
    table.with(async |client| {
        let Ok(Inserted::New(etag)) = client.insert(&entity).await else { panic!("expected a new entity") };
        let etag = version(client.replace(&entity, &etag).await);
        version(client.merge(&entity, Some(&etag)).await);
        client.put(&entity).await.unwrap();
        client.put_merge(&entity).await.unwrap();
        assert_eq!(client.batch(&[Operation::Put(&entity)]).await, Ok(Batch::Done));
        assert_eq!(client.query(&everything(), None).await.unwrap().entities, std::slice::from_ref(&entity));
        assert_eq!(client.delete(&entity.key, None).await, Ok(Deleted::Done));
    });
}
