//! Tables, entities, and the operations that change them.

use std::collections::{BTreeMap, HashMap};

use chrono::Utc;
use serde_json::{Map, Value, json};

/// PartitionKey and RowKey.
pub(super) type Key = (String, String);

/// Every table, by its name in lower case.
#[derive(Debug, Default)]
pub(super) struct Tables {
    tables: HashMap<String, BTreeMap<Key, Entity>>,
    writes: u64,
}

#[derive(Debug, Clone)]
pub(super) struct Entity {
    /// The properties, without PartitionKey, RowKey and Timestamp.
    properties: Map<String, Value>,
    timestamp: String,
    pub(super) etag: String,
}

/// The metadata that a response contains in addition to the properties.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Metadata {
    /// `odata=nometadata`
    None,
    /// `odata=minimalmetadata`: types and ETags.
    Minimal,
}

/// The HTTP status and the error code with which the stub refuses an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) status: u16,
    pub(super) code: &'static str,
}

impl Refusal {
    const TABLE_EXISTS: Self = Self { status: 409, code: "TableAlreadyExists" };
    const TABLE_MISSING: Self = Self { status: 404, code: "TableNotFound" };
    const EXISTS: Self = Self { status: 409, code: "EntityAlreadyExists" };
    const MISSING: Self = Self { status: 404, code: "ResourceNotFound" };
    const CHANGED: Self = Self { status: 412, code: "UpdateConditionNotSatisfied" };
    const NO_CONDITION: Self = Self { status: 400, code: "MissingRequiredHeader" };

    /// The body of the response. `index` is the index of the operation in its batch.
    pub(super) fn body(self, index: Option<usize>) -> Value {
        let index = index.map(|index| format!("{index}:")).unwrap_or_default();
        let message = format!("{index}The stub refused the operation.");
        json!({"odata.error": {"code": self.code, "message": {"lang": "en-US", "value": message}}})
    }
}

/// One change of one entity.
#[derive(Debug)]
pub(super) struct Operation<'a> {
    kind: Kind,
    pub(super) table: String,
    pub(super) key: Key,
    if_match: Option<&'a str>,
    properties: Map<String, Value>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Insert,
    Replace,
    Merge,
    Delete,
}

impl<'a> Operation<'a> {
    /// Reads a request that changes an entity. Returns `None` for every other request, and for a request with
    /// a key or a body that Azure refuses. `path` is already percent-decoded.
    pub(super) fn parse(method: &str, path: &str, if_match: Option<&'a str>, body: &[u8]) -> Option<Self> {
        let kind = match method {
            "POST" => Kind::Insert,
            "PUT" => Kind::Replace,
            "PATCH" | "MERGE" => Kind::Merge,
            "DELETE" => Kind::Delete,
            _ => return None,
        };
        let mut properties = match kind {
            Kind::Delete => Map::new(),
            _ => serde_json::from_slice::<Map<String, Value>>(body).ok()?,
        };
        properties.retain(|_, value| !value.is_null());
        let (partition, row) = (properties.remove("PartitionKey"), properties.remove("RowKey"));
        properties.remove("Timestamp");
        // Azure refuses properties that are objects or lists.
        if properties.values().any(|value| value.is_object() || value.is_array()) {
            return None;
        }
        let (table, key) = if kind == Kind::Insert {
            let key = (partition?.as_str()?.to_owned(), row?.as_str()?.to_owned());
            (path.strip_suffix("()").unwrap_or(path).to_owned(), key)
        } else {
            key_of(path)?
        };
        let is_key = |key: &str| {
            key.encode_utf16().count() <= 512
                && !key.contains(['/', '\\', '#', '?'])
                && !key.chars().any(char::is_control)
        };
        (is_key(&key.0) && is_key(&key.1)).then_some(Self { kind, table, key, if_match, properties })
    }
}

/// The table and the key in a path such as `table(PartitionKey='p',RowKey='r')`. `path` is already
/// percent-decoded.
pub(super) fn key_of(path: &str) -> Option<(String, Key)> {
    let (table, keys) = path.split_once("(PartitionKey=")?;
    let (partition, rest) = literal(keys)?;
    let (row, rest) = literal(rest.strip_prefix(",RowKey=")?)?;
    (rest == ")").then(|| (table.to_owned(), (partition, row)))
}

/// Reads a string in single quotes. In the string, `''` means one quote. Returns the string, and the text
/// after the string.
pub(super) fn literal(text: &str) -> Option<(String, &str)> {
    let mut rest = text.strip_prefix('\'')?;
    let mut value = String::new();
    loop {
        let (part, behind) = rest.split_once('\'')?;
        value.push_str(part);
        match behind.strip_prefix('\'') {
            Some(more) => {
                value.push('\'');
                rest = more;
            }
            None => return Some((value, behind)),
        }
    }
}

impl Tables {
    pub(super) fn len(&self) -> usize {
        self.tables.values().map(BTreeMap::len).sum()
    }

    pub(super) fn create(&mut self, table: &str) -> Result<(), Refusal> {
        let name = table.to_ascii_lowercase();
        if self.tables.contains_key(&name) {
            return Err(Refusal::TABLE_EXISTS);
        }
        self.tables.insert(name, BTreeMap::new());
        Ok(())
    }

    pub(super) fn table(&self, name: &str) -> Result<&BTreeMap<Key, Entity>, Refusal> {
        self.tables.get(&name.to_ascii_lowercase()).ok_or(Refusal::TABLE_MISSING)
    }

    pub(super) fn get(&self, table: &str, key: &Key) -> Result<&Entity, Refusal> {
        self.table(table)?.get(key).ok_or(Refusal::MISSING)
    }

    /// Executes an operation. Returns the new ETag of the entity; for a deletion, `None`.
    pub(super) fn write(&mut self, operation: &Operation<'_>) -> Result<Option<String>, Refusal> {
        let Operation { kind, table, key, if_match, properties } = operation;
        let table = self.tables.get_mut(&table.to_ascii_lowercase()).ok_or(Refusal::TABLE_MISSING)?;
        let stored = table.get_mut(key);
        match (kind, &stored, if_match) {
            (Kind::Insert, Some(_), _) => return Err(Refusal::EXISTS),
            (Kind::Insert, None, _) => {}
            (Kind::Delete, _, None) => return Err(Refusal::NO_CONDITION),
            (_, None, Some(_)) => return Err(Refusal::MISSING),
            (_, Some(stored), Some(etag)) if *etag != "*" && *etag != stored.etag => {
                return Err(Refusal::CHANGED);
            }
            _ => {}
        }
        if *kind == Kind::Delete {
            table.remove(key);
            return Ok(None);
        }
        self.writes += 1;
        let etag = format!("W/\"datetime'{:016X}'\"", self.writes);
        let timestamp = Utc::now().format("%Y-%m-%dT%H:%M:%S%.6f0Z").to_string();
        let mut entity = Entity { properties: properties.clone(), timestamp, etag: etag.clone() };
        match stored {
            Some(stored) => {
                if *kind == Kind::Merge {
                    let mut merged = std::mem::take(&mut stored.properties);
                    merged.append(&mut entity.properties);
                    entity.properties = merged;
                }
                *stored = entity;
            }
            None => _ = table.insert(key.clone(), entity),
        }
        Ok(Some(etag))
    }

    /// Executes all operations, or none if one operation is refused. The error contains the index of the
    /// refused operation.
    pub(super) fn write_all(
        &mut self,
        operations: &[Operation<'_>],
    ) -> Result<Vec<Option<String>>, (usize, Refusal)> {
        let mut before = Vec::with_capacity(operations.len());
        let mut etags = Vec::with_capacity(operations.len());
        for (index, operation) in operations.iter().enumerate() {
            let stored = self.get(&operation.table, &operation.key).ok().cloned();
            match self.write(operation) {
                Ok(etag) => {
                    before.push((operation, stored));
                    etags.push(etag);
                }
                Err(refusal) => {
                    for (operation, stored) in before.into_iter().rev() {
                        self.put_back(operation, stored);
                    }
                    return Err((index, refusal));
                }
            }
        }
        Ok(etags)
    }

    /// Copies all rows (entities) of a conversation, once for each conversation key in `keys`. `of` is the
    /// conversation key of the original, and `keys` has the conversation keys of the copies. The row key of
    /// each row begins with the conversation key.
    ///
    /// Example: the conversation key in `of` begins with `3a`, and a key in `keys` begins with `7b`. Some
    /// rows of the conversation are in the partition `c3`, because the conversation key begins with the digit
    /// 3. The copies of these rows are in the partition `c7`. Other rows of the conversation are in
    /// other partitions, e.g. in the partition that lists all conversations of a tenant. The copy of such a
    /// row is in the same partition as the original row.
    pub(super) fn copy_rows(&mut self, of: &str, keys: impl Iterator<Item = String> + Clone) {
        let shard = |key: &str| format!("c{}", &key[..1]);
        for table in self.tables.values_mut() {
            let rows: Vec<_> = table
                .iter()
                .filter(|((_, row), _)| row.starts_with(of))
                .map(|(key, entity)| (key.clone(), entity.clone()))
                .collect();
            for ((partition, row), entity) in rows {
                for key in keys.clone() {
                    let partition = if partition == shard(of) { shard(&key) } else { partition.clone() };
                    table.insert((partition, row.replacen(of, &key, 1)), entity.clone());
                }
            }
        }
    }

    fn put_back(&mut self, Operation { table, key, .. }: &Operation<'_>, stored: Option<Entity>) {
        let Some(table) = self.tables.get_mut(&table.to_ascii_lowercase()) else { return };
        match stored {
            Some(stored) => _ = table.insert(key.clone(), stored),
            None => _ = table.remove(key),
        }
    }
}

impl Entity {
    /// The JSON of the entity in a response. The JSON has the properties that `selected` names. If `selected`
    /// is empty, the JSON has all properties.
    pub(super) fn show(&self, key: &Key, metadata: Metadata, selected: &[String]) -> Map<String, Value> {
        let mut shown = self.properties.clone();
        shown.insert("PartitionKey".to_owned(), key.0.as_str().into());
        shown.insert("RowKey".to_owned(), key.1.as_str().into());
        shown.insert("Timestamp".to_owned(), self.timestamp.as_str().into());
        let type_of = |name: &str| name.strip_suffix("@odata.type").map(str::to_owned);
        shown.retain(|name, _| {
            let property = type_of(name);
            let is_shown = metadata == Metadata::Minimal || property.is_none();
            let property = property.as_deref().unwrap_or(name);
            is_shown && (selected.is_empty() || selected.iter().any(|selected| selected == property))
        });
        if metadata == Metadata::Minimal {
            shown.insert("odata.etag".to_owned(), self.etag.as_str().into());
        }
        shown
    }
}
