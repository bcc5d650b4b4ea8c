//! A table service in memory, for the tests of the crates above. It fails loudly on requests that it does not know, and on
//! those that only an emulator takes.
//!
//! ```
//! # use {platform::testing::FakeHost, platform::Clock, std::rc::Rc, std::cell::RefCell, storage_table::testing::FakeTables};
//! let host = FakeHost::default();
//! let tables = Rc::new(RefCell::new(FakeTables::default()));
//! let (service, now) = (tables.clone(), host.now());
//! host.answers(move |request| service.borrow_mut().answer(request, now).map(Ok));
//! ```
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod answers;
mod batch;
mod filter;
mod request;
mod service;
mod store;

use std::collections::BTreeMap;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use http::{Request, Response};
use serde_json::{Map, Value};

use request::Asked;
pub use store::Entities;
use store::Table;

/// A table service in memory. It checks no signature, but that there is one.
#[derive(Debug, Default)]
pub struct FakeTables {
    /// By name in lower case.
    tables: BTreeMap<String, Table>,
    /// The number of the last version.
    version: u64,
    empty_pages: usize,
}

impl FakeTables {
    /// The answer to a request for the table service at this moment; nothing if it is for another service: its path begins
    /// with `/devstoreaccount1/` on port 10002, or its host contains `.table.`.
    pub fn answer(&mut self, request: &Request<Bytes>, now: DateTime<Utc>) -> Option<Response<Bytes>> {
        let asked = Asked::read(request)?;
        let mut answer = self.serve(&asked, now);
        answers::finish(&mut answer, now);
        Some(answer)
    }

    /// Every entity of a table, as it is stored: with the `op` of its last write, and an Int64 as a string beside its
    /// `@odata.type`. Panics if there is no such table.
    pub fn entities(&self, table: &str) -> &Entities {
        match self.tables.get(&table.to_ascii_lowercase()) {
            Some(table) => &table.entities,
            None => panic!("there is no table {table}; there are {:?}", self.tables.keys()),
        }
    }

    /// Every entity of a table, to be changed. Creates the table if it is missing. An entity that is changed here keeps its
    /// version; one that is added here was written at 1970-01-01: use [`FakeTables::store`] for others.
    pub fn entities_mut(&mut self, table: &str) -> &mut Entities {
        &mut self.tables.entry(table.to_ascii_lowercase()).or_default().entities
    }

    /// Stores an entity as another client would: with a new version, written at this moment.
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

    /// The names of all tables, in lower case.
    pub fn table_names(&self) -> Vec<&str> {
        self.tables.keys().map(String::as_str).collect()
    }

    /// The next so many pages are empty, and say where the query goes on.
    pub fn answer_empty_pages(&mut self, pages: usize) {
        self.empty_pages = pages;
    }
}
