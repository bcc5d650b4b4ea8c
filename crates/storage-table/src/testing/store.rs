//! One table of the fake service.

use std::collections::BTreeMap;

use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::{Map, Value};

/// The entities of a table, by their partition keys and row keys.
pub type Entities = BTreeMap<(String, String), Map<String, Value>>;

#[derive(Debug, Default, Clone)]
pub(super) struct Table {
    pub(super) entities: Entities,
    stamps: BTreeMap<(String, String), Stamp>,
}

/// The version of an entity, and the time of its last write.
#[derive(Debug, Default, Clone, Copy)]
struct Stamp {
    version: u64,
    written_at: DateTime<Utc>,
}

impl Table {
    pub(super) fn write(
        &mut self,
        key: (String, String),
        properties: Map<String, Value>,
        version: u64,
        now: DateTime<Utc>,
    ) {
        self.stamps.insert(key.clone(), Stamp { version, written_at: now });
        self.entities.insert(key, properties);
    }

    pub(super) fn delete(&mut self, key: &(String, String)) {
        self.stamps.remove(key);
        self.entities.remove(key);
    }

    fn stamp(&self, key: &(String, String)) -> Stamp {
        self.stamps.get(key).copied().unwrap_or_default()
    }

    pub(super) fn etag(&self, key: &(String, String)) -> String {
        format!("W/\"datetime'2026-11-23T22%3A00%3A00.{:07}Z'\"", self.stamp(key).version)
    }

    /// Returns the JSON of the entity for a response. The JSON has no types (`@odata.type`).
    pub(super) fn plain(&self, key: &(String, String), select: Option<&str>) -> Value {
        let written_at = self.stamp(key).written_at.to_rfc3339_opts(SecondsFormat::Nanos, true);
        let mut all = self.entities[key].clone();
        all.retain(|name, _| !name.contains('@'));
        all.insert("PartitionKey".into(), key.0.as_str().into());
        all.insert("RowKey".into(), key.1.as_str().into());
        all.insert("Timestamp".into(), written_at.into());
        let Some(select) = select else { return Value::Object(all) };
        let selected =
            select.split(',').map(|name| (name.to_owned(), all.get(name).cloned().unwrap_or_default()));
        Value::Object(selected.collect())
    }
}
