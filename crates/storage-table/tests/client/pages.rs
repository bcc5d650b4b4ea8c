//! Tests of queries and their pages.

use bytes::Bytes;
use http::Response;
use platform::testing::FakeHost;
use storage_table::{Continuation, Entity, Filter, Key, Query, TableError};

use crate::{BASE, EMULATOR, entity, fake_service, with};

fn query_of(filter: Filter, top: u16) -> Query {
    Query { filter, top, select: Vec::new() }
}

#[test]
fn query_with_each_page_size_finds_every_entity_once() {
    let (host, tables) = fake_service();
    let now = platform::Clock::now(&host);
    for index in 0..25 {
        let (partition, row) = (["a", "b", "é", "🦀", ""][index % 5], format!("r{index:02}"));
        tables.borrow_mut().store("vectors1", partition, &row, Default::default(), now);
    }
    for (top, empty_pages) in [(1, 0), (2, 3), (3, 1), (7, 0), (24, 2), (25, 1), (26, 0), (1000, 2)] {
        tables.borrow_mut().respond_with_empty_pages(empty_pages);
        let mut keys = Vec::new();
        with(&host, EMULATOR, async |table| {
            let mut from: Option<Continuation> = None;
            for _ in 0..40 {
                let page = table.query(&query_of(Filter::everything(), top), from.as_ref()).await.unwrap();
                assert!(page.entities.len() <= usize::from(top));
                keys.extend(page.entities.into_iter().map(|entity| entity.key));
                from = page.next.map(|next| Continuation::from_text(&next.to_text()).unwrap());
                if from.is_none() {
                    return;
                }
            }
            panic!("the query does not end");
        });
        let stored: Vec<_> = tables.borrow().entities("vectors1").keys().cloned().collect();
        assert_eq!(keys, stored.into_iter().map(|(p, r)| Key::new(p, r)).collect::<Vec<_>>(), "{top}");
    }
}

#[test]
fn query_with_each_filter_finds_the_matching_entities() {
    let (host, _) = fake_service();
    with(&host, EMULATOR, async |table| {
        for (partition, row, until) in
            [("a", "run-1", 5), ("a", "run-2", i64::MAX), ("a", "sum", 1), ("b'b", "run-1", 0)]
        {
            let stored = Entity::new(Key::new(partition, row)).with("text", row).with_int64("until", until);
            table.insert(&stored).await.unwrap();
        }
        for (filter, expected) in [
            (Filter::everything(), 4),
            (Filter::partition("a"), 3),
            (Filter::partition("b'b"), 1),
            (Filter::partition("a and x"), 0),
            (Filter::partition("a").rows("run-2", "sum"), 1),
            (Filter::partition("a").rows_starting_with("run-"), 2),
            (Filter::partitions("a", "b"), 3),
            (Filter::partitions("b", "c").rows_starting_with("r"), 1),
            (Filter::partition("a").and(Filter::before("until", 6)), 2),
            (Filter::at_least("until", i64::MAX), 1),
            (Filter::int64("until", 0), 1),
            (Filter::text("text", "sum"), 1),
            (Filter::text_before("text", "run-2"), 2),
            (Filter::text_at_least("text", "run-2"), 2),
        ] {
            let page = table.query(&query_of(filter.clone(), 100), None).await.unwrap();
            assert_eq!(page.entities.len(), expected, "{filter:?}");
        }
        let select = Query { select: vec!["until", "missing"], ..query_of(Filter::partition("b'b"), 1) };
        let page = table.query(&select, None).await.unwrap();
        assert_eq!(page.entities[0].properties.len(), 1);
        assert_eq!(page.entities[0].int("until"), Some(0));
    });
}

#[test]
fn continuation_without_a_row_is_sent_with_all_options_of_the_query() {
    let host = FakeHost::default();
    let page = |body: &str, next: &[(&str, &str)]| {
        let mut response = Response::builder().status(200);
        for (name, value) in next {
            response = response.header(*name, *value);
        }
        Ok(response.body(Bytes::copy_from_slice(body.as_bytes())).unwrap())
    };
    const PARTITION: &str = "x-ms-continuation-NextPartitionKey";
    host.then(page("{\"value\":[]}", &[(PARTITION, "1!4!YQ=="), ("x-ms-continuation-NextRowKey", "")]));
    host.then(page("{\"value\":[{\"PartitionKey\":\"p\",\"RowKey\":\"r\"}]}", &[]));
    with(&host, EMULATOR, async |table| {
        let query = Query { filter: Filter::partition("o'b"), top: 10, select: vec!["n"] };
        let page = table.query(&query, None).await.unwrap();
        assert!(page.entities.is_empty());
        let page = table.query(&query, page.next.as_ref()).await.unwrap();
        assert_eq!(page.entities.len(), 1);
        assert_eq!(page.next, None);
    });
    let options = "$filter=PartitionKey%20eq%20%27o%27%27b%27&$top=10&$select=PartitionKey%2CRowKey%2Cn";
    let sent = host.sent.borrow();
    assert_eq!(sent[0].uri().to_string(), format!("{BASE}/vectors1()?{options}"));
    assert_eq!(
        sent[1].uri().to_string(),
        format!("{BASE}/vectors1()?{options}&NextPartitionKey=1%214%21YQ%3D%3D")
    );
}

#[test]
fn query_of_a_missing_table_gives_an_empty_page_and_an_invalid_top_gives_an_error() {
    let (host, _) = fake_service();
    with(&host, EMULATOR, async |table| {
        let page = table.query(&query_of(Filter::everything(), 5), None).await.unwrap();
        assert!(page.entities.is_empty() && page.next.is_none(), "a query of a missing table finds nothing");
        table.insert(&entity("r", "x")).await.unwrap();
        for top in [0, 1001] {
            let error = table.query(&query_of(Filter::everything(), top), None).await.unwrap_err();
            assert!(matches!(error, TableError::Invalid(_)), "{error}");
        }
    });
}
