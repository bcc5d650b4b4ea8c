//! The client of one table. The crate's [front page](crate) explains *key*, *page*, *call* and *attempt*.
//!
//! Source of the calls: <https://learn.microsoft.com/rest/api/storageservices/operations-on-entities>.

use std::time::Duration;

use bytes::Bytes;
use http::header::{DATE, ETAG};
use http::{HeaderMap, Method, Response};
use platform::{Clock, Deadline, HttpClient, Randomness, Timeouts, value_of};
use storage_account::{Account, Call, Failed, Sender, Sent, Service, header, parse_rfc_1123};

use crate::batch::{Batch, Operation, Outcome, Transaction};
use crate::call::{self, JSON, entity_path};
use crate::entity::{Entity, Found};
use crate::error::TableError;
use crate::filter::Query;
use crate::key::Key;
use crate::names::{ETag, TableName};
use crate::op::{OP, new_op};
use crate::page::{Continuation, Page};

const TIMEOUTS: Timeouts = Timeouts {
    connect: Duration::from_secs(3),
    first_byte: Duration::from_secs(5),
    between_bytes: Duration::from_secs(5),
    total: Duration::from_secs(12),
    max_response_bytes: LONGEST_RESPONSE_BYTES,
};

/// The limit for the size of a response. If a page has 1000 entities, each entity can have about 16 KiB. A
/// query for larger entities must ask for fewer entities on a page.
const LONGEST_RESPONSE_BYTES: usize = 16 * 1024 * 1024;

/// A client of one table, with a deadline for its calls.
///
/// If an attempt fails because the service is busy or the connection fails, the client waits for a random
/// time. Then, the client makes the next attempt with a new signature. The client never begins a repeated
/// attempt after the deadline. Calls can run concurrently.
///
/// If the table is missing, `insert`, `put`, `put_merge` and `batch` create the table.
///
/// If the response to a write is lost, the client repeats the write. If the first attempt took effect, the
/// service refuses the repeated attempt of an insert, a replace, or a merge with an ETag. If another client
/// wrote the entity, the service refuses the repeated attempt in the same way. So the client then reads the
/// stored entity, and finds out whether an earlier attempt of the same call wrote the entity.
#[derive(Debug)]
pub struct TableClient<'a, H> {
    sender: Sender<'a, H>,
    table: &'a TableName,
}

/// The result of an insert.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Inserted {
    /// The call inserted the entity. The ETag is the entity's version.
    New(ETag),
    /// Another entity with this key exists. The call wrote nothing.
    Exists,
}

/// The result of a replace or a merge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Conditional {
    /// The call wrote the entity. The ETag is the entity's new version.
    Done(ETag),
    /// The entity has another version. The call wrote nothing.
    Changed,
    /// The entity does not exist. The call wrote nothing.
    Gone,
}

/// The result of a delete.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deleted {
    /// The call deleted the entity.
    Done,
    /// The entity has another version. The call deleted nothing.
    Changed,
    /// The entity did not exist.
    Gone,
}

impl<'a, H: HttpClient + Clock + Randomness> TableClient<'a, H> {
    /// Makes a client that repeats no call after `deadline`. The client shortens the time-outs of every
    /// attempt to the time that is left until `deadline`.
    pub fn new(host: &'a H, account: &'a Account, table: &'a TableName, deadline: Deadline) -> Self {
        Self { sender: Sender::new(host, account, Service::Table, TIMEOUTS, deadline), table }
    }

    /// Limits the attempts of each call to this number. The default is three.
    #[must_use]
    pub fn with_attempts(self, attempts: u32) -> Self {
        Self { sender: self.sender.with_attempts(attempts), ..self }
    }

    /// The number of repeated attempts that this client has made so far.
    pub fn retries(&self) -> u32 {
        self.sender.retries()
    }

    /// Creates the table (Create Table). If the table already exists, the call succeeds.
    pub async fn create(&self) -> Result<(), TableError> {
        match self.send(&call::create(self.table)).await {
            Err(Refusal { status: Some(409), error: TableError::Refused { .. }, .. }) => Ok(()),
            other => other.map(drop).map_err(|refusal| refusal.error),
        }
    }

    /// Inserts an entity (Insert Entity).
    pub async fn insert(&self, entity: &Entity) -> Result<Inserted, TableError> {
        let op = self.op();
        let call = call::insert(self.table, entity.body(&op, true)?);
        match self.send_creating_table_if_missing(&call).await {
            Ok(sent) => etag_of(sent.response.headers()).map(Inserted::New),
            Err(Refusal { status: Some(409), error: TableError::Refused { .. }, may_be_done }) => {
                let written = self.written_by(&op, &entity.key, may_be_done).await?;
                Ok(written.map_or(Inserted::Exists, Inserted::New))
            }
            Err(refusal) => Err(refusal.error),
        }
    }

    /// Reads an entity (Get Entity). Returns `None` if the entity or the table does not exist.
    pub async fn get(&self, key: &Key) -> Result<Option<Found>, TableError> {
        let Some(response) = self.read(key).await? else { return Ok(None) };
        let (entity, written_at) = Entity::read(json(response.body())?)?;
        let missing = |name: &str| TableError::Unreadable(format!("{name} is missing"));
        Ok(Some(Found {
            entity,
            etag: etag_of(response.headers())?,
            written_at: written_at.ok_or_else(|| missing("Timestamp"))?,
            answered_at: header(response.headers(), DATE.as_str())
                .and_then(parse_rfc_1123)
                .ok_or_else(|| missing("Date"))?,
        }))
    }

    /// Replaces all properties of the stored entity, if the stored version is `etag` (Update Entity).
    pub async fn replace(&self, entity: &Entity, etag: &ETag) -> Result<Conditional, TableError> {
        self.update(Method::PUT, entity, Some(etag)).await
    }

    /// Sets the properties of `entity` in the stored entity, if the stored version is `etag` (Merge Entity).
    /// The stored entity keeps its other properties. Without `etag`, the version does not matter.
    pub async fn merge(&self, entity: &Entity, etag: Option<&ETag>) -> Result<Conditional, TableError> {
        self.update(Method::PATCH, entity, etag).await
    }

    async fn update(
        &self,
        method: Method,
        entity: &Entity,
        etag: Option<&ETag>,
    ) -> Result<Conditional, TableError> {
        let op = self.op();
        let call = call::matching(self.write_call(method, entity, &op)?, etag)?;
        let refusal = match self.send(&call).await {
            Ok(sent) => return etag_of(sent.response.headers()).map(Conditional::Done),
            Err(refusal) => refusal,
        };
        match refusal.status {
            Some(412) => {
                let written = self.written_by(&op, &entity.key, refusal.may_be_done).await?;
                Ok(written.map_or(Conditional::Changed, Conditional::Done))
            }
            // The entity or the table is missing, so there is nothing to change.
            Some(404) => Ok(Conditional::Gone),
            _ => Err(refusal.error),
        }
    }

    /// Inserts the entity, or replaces all properties of the stored entity (Insert Or Replace Entity). The
    /// stored version does not matter.
    pub async fn put(&self, entity: &Entity) -> Result<ETag, TableError> {
        self.upsert(Method::PUT, entity).await
    }

    /// Inserts the entity, or sets its properties in the stored entity (Insert Or Merge Entity). The stored
    /// entity keeps its other properties. The stored version does not matter.
    pub async fn put_merge(&self, entity: &Entity) -> Result<ETag, TableError> {
        self.upsert(Method::PATCH, entity).await
    }

    async fn upsert(&self, method: Method, entity: &Entity) -> Result<ETag, TableError> {
        let call = self.write_call(method, entity, &self.op())?;
        let sent = self.send_creating_table_if_missing(&call).await.map_err(|refusal| refusal.error)?;
        etag_of(sent.response.headers())
    }

    /// Deletes the entity, if its version is `etag` (Delete Entity). Without `etag`, the version does not
    /// matter. If a repeated attempt finds no entity, and an earlier attempt perhaps reached the service, the
    /// result is [`Deleted::Done`].
    pub async fn delete(&self, key: &Key, etag: Option<&ETag>) -> Result<Deleted, TableError> {
        key.check()?;
        let call = call::matching(call::new(Method::DELETE, entity_path(self.table, key)), etag)?;
        let Err(refusal) = self.send(&call).await else { return Ok(Deleted::Done) };
        match refusal.status {
            Some(412) => Ok(Deleted::Changed),
            Some(404) if refusal.may_be_done => Ok(Deleted::Done),
            Some(404) => Ok(Deleted::Gone),
            _ => Err(refusal.error),
        }
    }

    /// Returns one page of a query (Query Entities). To get the first page, pass `None` as `from`. To get a
    /// later page, pass the [`Page::next`] of the page before. If the table is missing, the page is empty.
    pub async fn query(&self, query: &Query, from: Option<&Continuation>) -> Result<Page, TableError> {
        match self.send(&call::query(self.table, query, from)?).await {
            Ok(Sent { response, .. }) => Page::read(response.headers(), response.body()),
            Err(Refusal { status: Some(404), .. }) => Ok(Page { entities: Vec::new(), next: None }),
            Err(refusal) => Err(refusal.error),
        }
    }

    /// Does all operations of a transaction, or none (an entity group transaction). A transaction has 1 to
    /// 100 operations on different entities of one partition, in a request of at most 4 MiB.
    ///
    /// If the service refuses a repeated attempt, an earlier attempt has perhaps taken effect. The client
    /// then reads the first entity that the transaction writes. If the property `op` of the stored entity
    /// shows that this transaction wrote the entity, the result is [`Batch::Done`].
    ///
    /// If all operations are deletes, the transaction writes no entity. The client then cannot find out
    /// whether an earlier attempt took effect. For example, the first attempt deletes the entities, but the
    /// response is lost. The service refuses the second attempt with 404, and the result is
    /// [`Batch::Refused`]. The caller must find out whether the entities are deleted.
    pub async fn batch(&self, operations: &[Operation<'_>]) -> Result<Batch, TableError> {
        let op = self.op();
        let account = self.sender.account();
        let base = account.endpoint(Service::Table)?;
        let transaction = Transaction::new(base, self.table, operations, &op)?;
        let mut may_be_done = false;
        let mut may_create = true;
        loop {
            let (outcome, earlier) = match self.send(transaction.call()).await {
                Ok(Sent { response, may_be_done, .. }) => {
                    (Outcome::read(&response, operations.len(), account.needs_token())?, may_be_done)
                }
                Err(Refusal { status: Some(404), error: TableError::Refused { code, .. }, may_be_done }) => {
                    (Outcome::Refused { index: 0, status: 404, code }, may_be_done)
                }
                Err(refusal) => return Err(refusal.error),
            };
            may_be_done |= earlier;
            match outcome {
                Outcome::Done => return Ok(Batch::Done),
                Outcome::Refused { code, .. } if code == "TableNotFound" && may_create => {
                    may_create = false;
                    self.create().await?;
                }
                Outcome::Refused { index, status, code } => {
                    if let Some(key) = transaction.first_written()
                        && self.written_by(&op, key, may_be_done).await?.is_some()
                    {
                        return Ok(Batch::Done);
                    }
                    return Ok(Batch::Refused { index, status, code });
                }
            }
        }
    }

    fn op(&self) -> String {
        new_op(self.sender.host())
    }

    fn write_call(&self, method: Method, entity: &Entity, op: &str) -> Result<Call, TableError> {
        let body = entity.body(op, false)?;
        Ok(call::new(method, entity_path(self.table, &entity.key)).body(JSON, body))
    }

    /// Returns the response to Get Entity. `None` if the entity or the table does not exist.
    async fn read(&self, key: &Key) -> Result<Option<Response<Bytes>>, TableError> {
        key.check()?;
        let call = call::new(Method::GET, entity_path(self.table, key)).reading_the_response();
        match self.send(&call).await {
            Ok(Sent { response, .. }) => Ok(Some(response)),
            Err(Refusal { status: Some(404), .. }) => Ok(None),
            Err(refusal) => Err(refusal.error),
        }
    }

    /// Finds out whether an earlier attempt of the same call wrote the entity. The method reads the stored
    /// entity. If the stored property [`op`](crate::op) equals the parameter `op`, the method returns the
    /// version of the stored entity. Otherwise, the method returns `None`. If `may_be_done` is `false`, no
    /// earlier attempt reached the service, so the method reads nothing and returns `None`.
    async fn written_by(&self, op: &str, key: &Key, may_be_done: bool) -> Result<Option<ETag>, TableError> {
        if !may_be_done {
            return Ok(None);
        }
        let Some(response) = self.read(key).await? else { return Ok(None) };
        let has_op = json(response.body())?.get(OP).is_some_and(|stored| stored == op);
        if has_op { etag_of(response.headers()).map(Some) } else { Ok(None) }
    }

    async fn send_creating_table_if_missing(&self, call: &Call) -> Result<Sent, Refusal> {
        match self.send(call).await {
            // The service refuses an insert, a `put` or a `put_merge` with 404 only if the table is missing.
            Err(Refusal { status: Some(404), may_be_done, .. }) => {
                let refused = |error| Refusal { status: None, error, may_be_done };
                self.create().await.map_err(refused)?;
                self.send(call)
                    .await
                    .map_err(|refusal| Refusal { may_be_done: refusal.may_be_done || may_be_done, ..refusal })
            }
            other => other,
        }
    }

    async fn send(&self, call: &Call) -> Result<Sent, Refusal> {
        self.sender.send(call).await.map_err(|failed| {
            let status = failed.status();
            let Failed { failure, may_be_done, .. } = failed;
            let error = TableError::from_failure(failure, self.sender.account());
            Refusal { status, error, may_be_done }
        })
    }
}

/// A failed call. The service refused the call, no response came, or the client could not send the request.
struct Refusal {
    /// The HTTP status of the response to the last attempt. `None` if the last attempt got no response, or if
    /// the client could not create the missing table.
    status: Option<u16>,
    error: TableError,
    /// Whether an attempt before the last attempt perhaps reached the service.
    may_be_done: bool,
}

fn json(body: &[u8]) -> Result<serde_json::Value, TableError> {
    value_of(body).ok_or_else(|| TableError::Unreadable("the body is not JSON".to_owned()))
}

fn etag_of(headers: &HeaderMap) -> Result<ETag, TableError> {
    let etag = header(headers, ETAG.as_str()).map(|etag| ETag(etag.to_owned()));
    etag.ok_or_else(|| TableError::Unreadable("ETag is missing".to_owned()))
}
