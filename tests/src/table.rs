//! Reads and fills a table in Azurite (Microsoft's emulator of Azure Storage), with the project's own client.

use std::time::Duration;

use platform::Deadline;
use storage_table::{Account, Entity, Filter, Key, Query, TableClient, TableName};

use crate::ports::Machine;
use crate::runtime::runtime;

/// The time limit for all requests to Azurite within one call of [`Table::with`].
const WITHIN: Duration = Duration::from_secs(60);

/// A table in Azurite.
#[derive(Debug)]
pub struct Table {
    account: Account,
    name: TableName,
    machine: Machine,
}

impl Table {
    /// Makes a value for the table with this name. Does not create the table.
    pub fn new(connection_string: &str, name: &str) -> Self {
        Self {
            account: Account::parse(connection_string).unwrap(),
            name: TableName::parse(name).unwrap(),
            machine: Machine::default(),
        }
    }

    /// Runs `calls` with a client for this table. Blocks until `calls` ends, and returns the result.
    pub fn with<T>(&self, calls: impl AsyncFnOnce(TableClient<'_, Machine>) -> T) -> T {
        let deadline = Deadline::after(&self.machine, WITHIN);
        let client = TableClient::new(&self.machine, &self.account, &self.name, deadline);
        runtime().block_on(calls(client))
    }

    /// Stores an entity. If the table has an entity with the same key, replaces the old entity.
    #[track_caller]
    pub fn put(&self, entity: &Entity) {
        self.with(async |client| client.put(entity).await).unwrap();
    }

    /// Reads an entity; `None` if the table has no such entity.
    #[track_caller]
    pub fn get(&self, partition: &str, row: &str) -> Option<Entity> {
        let key = Key::new(partition, row);
        self.with(async |client| client.get(&key).await).unwrap().map(|found| found.entity)
    }

    /// Reads every entity. If the table is missing, the list is empty.
    #[track_caller]
    pub fn entities(&self) -> Vec<Entity> {
        let query = Query { filter: Filter::everything(), top: 1000, select: Vec::new() };
        self.with(async |client| {
            let (mut entities, mut from) = (Vec::new(), None);
            loop {
                let page = client.query(&query, from.as_ref()).await.unwrap();
                entities.extend(page.entities);
                from = page.next;
                if from.is_none() {
                    return entities;
                }
            }
        })
    }
}
