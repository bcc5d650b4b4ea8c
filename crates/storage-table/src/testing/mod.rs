//! A fake table service in memory, for tests. The service panics on a request that it does not know. The
//! service also panics on a request that Azure refuses, even if Azurite (the storage emulator) accepts the
//! request.
//!
//! ```
//! # use {platform::testing::FakeHost, platform::Clock, storage_table::testing::FakeTables};
//! # use {std::rc::Rc, std::cell::RefCell};
//! let host = FakeHost::default();
//! let tables = Rc::new(RefCell::new(FakeTables::default()));
//! let (service, now) = (tables.clone(), host.now());
//! host.answers(move |request| service.borrow_mut().response(request, now).map(Ok));
//! ```
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod batch;
mod filter;
mod request;
mod responses;
mod service;
mod store;

use std::collections::BTreeMap;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use http::{Request, Response};
use serde_json::{Map, Value};

use request::ParsedRequest;
pub use store::Entities;
use store::Table;

/// A fake table service in memory. The service panics if a request has no signature, but does not check
/// whether the signature is right.
#[derive(Debug, Default)]
pub struct FakeTables {
    /// The tables by their names in lower case.
    tables: BTreeMap<String, Table>,
    /// The last version that the service gave to an entity. Each insert or change of an entity adds 1.
    version: u64,
    /// The number of empty pages that the service will return next.
    empty_pages: usize,
    /// Whether each page has entities of only one partition.
    one_partition_a_page: bool,
}

impl FakeTables {
    /// Returns the response to a request for the table service. The service's clock shows `now`. `None` if
    /// the request is for another service.
    ///
    /// A request is for the table service if its path begins with `/devstoreaccount1/` on port 10002, or if
    /// its host contains `.table.`.
    pub fn response(&mut self, request: &Request<Bytes>, now: DateTime<Utc>) -> Option<Response<Bytes>> {
        let parsed = ParsedRequest::read(request)?;
        let mut response = self.serve(&parsed, now);
        responses::finish(&mut response, now);
        Some(response)
    }

    /// Returns every entity of a table as the service stores it. Each entity that the client wrote has the
    /// property `op`, which identifies the last write. The service stores an Int64 as a string, and its type
    /// in `<name>@odata.type`. Panics if the table does not exist.
    pub fn entities(&self, table: &str) -> &Entities {
        match self.tables.get(&table.to_ascii_lowercase()) {
            Some(table) => &table.entities,
            None => panic!("table {table} does not exist; found {:?}", self.tables.keys()),
        }
    }

    /// Returns every entity of a table, so that a test can change the entities. Creates the table if it is
    /// missing.
    ///
    /// A changed entity keeps its version and the time of its last write. For a new entity, this time is
    /// 1970-01-01. To set another time or version, use [`FakeTables::store`].
    pub fn entities_mut(&mut self, table: &str) -> &mut Entities {
        &mut self.tables.entry(table.to_ascii_lowercase()).or_default().entities
    }

    /// Stores an entity with a new version and the time `now`, like a write of another client.
    pub fn store(
        &mut self,
        table: &str,
        partition: &str,
        row: &str,
        properties: Map<String, Value>,
        now: DateTime<Utc>,
    ) {
        self.version += 1;
        let version = self.version;
        let table = self.tables.entry(table.to_ascii_lowercase()).or_default();
        table.write((partition.to_owned(), row.to_owned()), properties, version, now);
    }

    /// Returns the names of all tables, in lower case.
    pub fn table_names(&self) -> Vec<&str> {
        self.tables.keys().map(String::as_str).collect()
    }

    /// Makes the next `pages` pages empty. Each empty page has a continuation, so the query is not at its
    /// end.
    pub fn respond_with_empty_pages(&mut self, pages: usize) {
        self.empty_pages = pages;
    }

    /// Ends each page at the end of a partition, as the real service can do. If no entity of the partition
    /// matches the query, the page is empty.
    pub fn end_pages_with_their_partitions(&mut self) {
        self.one_partition_a_page = true;
    }
}
