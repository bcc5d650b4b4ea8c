//! Tests of the table client with Azurite, the emulator of Azure Storage: pages of query results, special
//! characters in partition keys and row keys, stored values, and filters.

use std::collections::BTreeSet;

use end_to_end::suite::World;
use serde_json::Value;
use storage_table::{
    Batch, Continuation, Deleted, Entity, Filter, Inserted, Key, Operation, Query, escape, unescape,
};

use super::{everything, table, written_version};

pub(super) fn query_pages_show_each_row_once(world: &World) {
    let rows: Vec<Entity> = (0..1100)
        .map(|row| Entity::new(Key::new(format!("p{}", row / 100), format!("r ü {row:04}"))).with("n", row))
        .collect();
    table(world, "contractpages").with(async |client| {
        for partition in rows.chunks(100) {
            let inserts: Vec<_> = partition.iter().map(Operation::Insert).collect();
            assert_eq!(client.batch(&inserts).await, Ok(Batch::Done));
        }
        // With one row on a page, the test makes one call for each row. So the test reads only the 100 rows
        // of one partition in this way. A larger page can begin in one partition and end in the next.
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
                    // The *continuation* says where the next page begins. The bot's API sends the
                    // continuation as a text. So the test converts the continuation to a text and back.
                    Some(at) => next = Some(Continuation::from_text(&at.to_text()).unwrap()),
                    None => break,
                }
            }
            assert!(seen.is_sorted(), "{top}");
            assert_eq!(seen.len(), expected.len(), "{top}: expected each row once");
            assert_eq!(BTreeSet::from_iter(seen), expected, "{top}");
        }
    });
}

pub(super) fn table_key_with_special_characters_finds_the_row(world: &World) {
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
            for (part_kind, key) in
                [("partition", Key::new(*part, "row")), ("row", Key::new("partition", *part))]
            {
                let entity = Entity::new(key.clone()).with("part", *part);
                let inserted = client.insert(&entity).await;
                assert!(matches!(inserted, Ok(Inserted::New(_))), "{key:?}: {inserted:?}");
                assert_eq!(client.insert(&entity).await, Ok(Inserted::Exists), "{key:?}");
                let found = client.get(&key).await.unwrap().unwrap_or_else(|| panic!("{key:?} is lost"));
                assert_eq!(found.entity, entity);
                written_version(client.replace(&entity, &found.etag).await);
                client.put_merge(&entity).await.unwrap();
                // In a transaction, Azurite treats an empty partition key or row key as a missing key. So the
                // test makes no transaction with an empty key.
                if !part.is_empty() {
                    let merged = client.batch(&[Operation::Merge(&entity, None)]).await;
                    assert_eq!(merged, Ok(Batch::Done), "{key:?}");
                }
                let filter = match part_kind {
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
            "expected each key once, although a page can end at any key"
        );
        assert_eq!(stored.len(), 2 * distinct.len());
        for key in stored {
            assert_eq!(client.delete(&key, None).await, Ok(Deleted::Done), "{key:?}");
        }
        assert!(client.query(&everything(), None).await.unwrap().entities.is_empty());
    });
}

pub(super) fn stored_value_is_read_unchanged(world: &World) {
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
            assert_eq!(page.entities.len(), 1, "expected that {number} is found as a number");
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

        // A run of the poller writes strings of up to 30 000 characters into the record of its dequeued
        // messages. This entity has twelve such strings.
        let mut large = Entity::new(Key::new("large", ""));
        for index in 0..12 {
            large.properties.insert(format!("hand{index}"), Value::from("x".repeat(30_000)));
        }
        client.put(&large).await.unwrap();
        assert_eq!(client.get(&large.key).await.unwrap().unwrap().entity, large);
    });
}

pub(super) fn filter_selects_only_the_matching_rows(world: &World) {
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
