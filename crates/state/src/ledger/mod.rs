//! The ledger: a table with one record for each alert. The bot inserts the record when it accepts the alert.
//! When the record has expired, a cleaning (`clean.rs`) deletes the record.
//!
//! In this module:
//!
//! - A *message* is a queue message. Other messages are called "chat message" or "person's message".
//! - A *Put* is the storage call that puts a message on the queue.
//! - A *call* is an API call. The *sender* is the program that made the call.
//! - A *run* is one execution of the poller.
//! - A *series* is a recurring alert: one alert after the other, at regular times.
//!
//! The bot inserts the record before the Put. If the record exists already, a sender has repeated a call, or
//! the channel (such as Teams) has sent an activity again. To save storage calls, the poller records the
//! status of many alerts in one batch. For the same reason, the poller usually delivers an alert at the first
//! attempt without reading the alert's record. (A run reads recent cancellations from a separate list.)

mod answers;
mod claim;
mod clean;
mod edit;
mod index;
mod key;
mod last_replay;
mod list;
mod missing;
mod record;
mod replay;
mod sent_replies;
mod series;
mod shown;
mod standing;
mod terms;
mod unasked;

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use platform::{Clock, Deadline, HttpClient, Randomness};
use storage_account::Account;
use storage_table::{
    Batch, Conditional, Continuation, Entity, Filter, Inserted, Key, Operation, Query, TableClient,
    TableError,
};

pub use answers::StoredAnswer;
pub use claim::Claim;
pub use edit::Edit;
pub use key::{AlertId, CallId, Period, RecordKey};
pub use last_replay::LastReplay;
pub use list::{Listed, MAX_CALLS, Position, Wanted};
pub use missing::Missed;
pub use record::{CallNote, NOT_INSTALLED, NewAlert, Record, Status, Transition};
pub use replay::{BeforeDeath, Origin, Reopened, Replay};
pub use sent_replies::{Allowance, Allowed};
pub use series::Following;
pub use shown::{DEQUEUED_WITHIN, SETTLED_WITHIN, Shown};
pub use standing::{KeyOrder, Standing, Stood};
pub use terms::{KEPT, KEY_TERM};
pub use unasked::Unasked;

use crate::Tables;
use crate::skipped::Skipped;

/// The most operations that the table service accepts in one batch.
const MAX_OPERATIONS: usize = 100;

/// A client for the ledger.
#[derive(Debug)]
pub struct Ledger<'a, H> {
    host: &'a H,
    table: TableClient<'a, H>,
    skipped: Skipped,
}

/// The result of accepting an alert.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Accepted {
    /// The alert is new, and its record was inserted. Rare exception: the alert was accepted before, but its
    /// record was deleted a moment ago. Then no record was inserted.
    New,
    /// The alert was accepted before. This is its record.
    Known(Box<Record>),
}

/// The result of cancelling an alert.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Withdrawn {
    /// The ledger has recorded the cancellation, now or earlier. When a run dequeues the message, the run
    /// drops the alert.
    Yes,
    /// The alert was cancelled and was due more than two hours ago ([`DEQUEUED_WITHIN`]), but no run has
    /// recorded a result. No run will send the alert, because a run drops a cancelled alert. But perhaps a
    /// run sent the alert before the cancellation, and could not record the delivery.
    Unseen,
    /// No run will send the alert, because a run has dropped the alert, or because the Put failed.
    Done,
    /// The alert already has this final status, which is not `cancelled`.
    TooLate(Status),
    /// The ledger has no alert with this id, or the alert belongs to another sender.
    Unknown,
    /// The alert belongs to a series, so nothing was recorded. The value is the id of the first alert of the
    /// series.
    PartOfSeries(AlertId),
}

impl<'a, H: HttpClient + Clock + Randomness> Ledger<'a, H> {
    /// Makes a client for the ledger in these tables. Each storage call ends by `deadline`.
    pub fn new(host: &'a H, account: &'a Account, tables: &'a Tables, deadline: Deadline) -> Self {
        let table = TableClient::new(host, account, &tables.ledger, deadline);
        Self { host, table, skipped: Skipped::default() }
    }

    /// The number of storage calls that the client has repeated so far.
    pub fn retries(&self) -> u32 {
        self.table.retries()
    }

    /// Accepts one alert. If the alert was accepted before, the result is the alert's record.
    pub async fn accept(&self, alert: &NewAlert) -> Result<Accepted, TableError> {
        let (key, now) = (self.key_of(&alert.id)?, self.host.now());
        let record = alert.entity(&key, now);
        let Some(row) = index::row_for(std::slice::from_ref(alert), &key, now) else {
            return match self.table.insert(&record).await? {
                Inserted::New(_) => Ok(Accepted::New),
                Inserted::Exists => self.accepted_before(&key).await,
            };
        };
        // The first operation inserts the record. If the service refuses this operation with 409, the record
        // exists, so the alert was accepted before. The second operation inserts the *index row*, which
        // brings the alert into the list of alerts.
        match self.table.batch(&[Operation::Insert(&record), Operation::Insert(&row)]).await? {
            Batch::Refused { index: 0, status: 409, .. } => self.accepted_before(&key).await,
            batch => batch_result(batch).map(|()| Accepted::New),
        }
    }

    /// Reads the record of an alert that was accepted before. Returns [`Accepted::New`] if the record no
    /// longer exists: the record had expired, and a cleaning has deleted the record a moment ago.
    async fn accepted_before(&self, key: &RecordKey) -> Result<Accepted, TableError> {
        let record = self.read(key).await?;
        Ok(record.map_or(Accepted::New, |record| Accepted::Known(Box::new(record))))
    }

    /// Accepts all of these alerts of a call, or none of them. The bot divides a call with more than 100
    /// alerts into *pages* of at most 100 alerts, and runs this method for each page. So `alerts` has at most
    /// 100 alerts. If the first alert was accepted before, the result is the record of the first alert.
    pub async fn accept_call(&self, alerts: &[NewAlert]) -> Result<Accepted, TableError> {
        let [first, rest @ ..] = alerts else { return Ok(Accepted::New) };
        if rest.is_empty() {
            return self.accept(first).await;
        }
        let now = self.host.now();
        let mut entities: Vec<Entity> = alerts
            .iter()
            .map(|alert| Ok(alert.entity(&self.key_of(&alert.id)?, now)))
            .collect::<Result<_, TableError>>()?;
        let row = index::row_for(alerts, &self.key_of(&first.id)?, now);
        // The records of 100 alerts fill a batch, so a separate storage call inserts the index row. This
        // storage call comes before the batch. So the list has every accepted alert, even if the bot is
        // killed between the two storage calls.
        let first_row = row.clone().filter(|_| entities.len() >= MAX_OPERATIONS);
        match &first_row {
            Some(row) => match self.table.insert(row).await? {
                Inserted::New(_) | Inserted::Exists => {}
            },
            None => entities.extend(row),
        }
        let operations: Vec<_> = entities.iter().map(Operation::Insert).collect();
        match self.table.batch(&operations).await? {
            Batch::Done => Ok(Accepted::New),
            Batch::Refused { status: 409, .. } => match self.read(&self.key_of(&first.id)?).await? {
                Some(record) => {
                    self.remove_superfluous_row(first_row.as_ref(), &record).await;
                    Ok(Accepted::Known(Box::new(record)))
                }
                None => Err(TableError::Refused { status: 409, code: "EntityAlreadyExists".into() }),
            },
            Batch::Refused { status, code, .. } => Err(TableError::Refused { status, code }),
        }
    }

    /// Deletes the index row that a repeated call has inserted. The first call has accepted the alerts
    /// already, and has inserted its own index row, so the row of the repeated call is superfluous. `row` is
    /// the row of the repeated call; `None` if the batch contained the row, and was refused. `first` is the
    /// record of the first alert.
    ///
    /// If both calls came in the same millisecond, they share one row, and this method does not delete the
    /// row. If the deletion fails, the list skips the superfluous row, but needs one more storage call.
    async fn remove_superfluous_row(&self, row: Option<&Entity>, first: &Record) {
        if let Some(row) = row
            && !index::is_row_of(row, first)
        {
            _ = self.table.delete(&row.key, None).await;
        }
    }

    /// Reads the records of a call's alerts, in the order of the call. `alerts` is the number of alerts.
    pub async fn of_call(&self, call: &CallId, alerts: u32) -> Result<Vec<Record>, TableError> {
        let first = self.key_of(&call.alert(0))?;
        let last = self.key_of(&call.alert(u8::try_from(alerts).unwrap_or(u8::MAX)))?;
        let query = Query {
            filter: Filter::partition(first.partition()).rows(&first.to_key().row, &last.to_key().row),
            top: 1000,
            select: Vec::new(),
        };
        let mut records = Vec::new();
        let mut from: Option<Continuation> = None;
        loop {
            let page = self.table.query(&query, from.as_ref()).await?;
            records.extend(page.entities.iter().map(Record::read));
            match page.next {
                Some(next) if records.len() < MAX_OPERATIONS => from = Some(next),
                _ => return Ok(records),
            }
        }
    }

    /// Reads the record of the alert with this id.
    pub async fn find(&self, id: &AlertId) -> Result<Option<Record>, TableError> {
        match RecordKey::of(id, self.host.now()) {
            Some(key) => self.read(&key).await,
            None => Ok(None),
        }
    }

    /// Reads the record with this key.
    pub async fn read(&self, key: &RecordKey) -> Result<Option<Record>, TableError> {
        let Some(found) = self.table.get(&key.to_key()).await? else { return Ok(None) };
        self.skipped.check_types(&found.entity, &Record::TEXTS, &Record::NUMBERS);
        Ok(Some(Record::read(&found.entity)))
    }

    /// The table key of the first record in which this client found a property of an unexpected type. `None`
    /// if the client has found no such record.
    pub fn skipped(&self) -> Option<Key> {
        self.skipped.key()
    }

    /// Records that an alert is cancelled. `sender` is the name of an API key: if an alert of another sender
    /// has this id, the result is [`Withdrawn::Unknown`]. With `None`, the alert can have any sender.
    pub async fn withdraw(&self, id: &AlertId, sender: Option<&str>) -> Result<Withdrawn, TableError> {
        self.cancel(id, sender, None, false).await
    }

    /// Records that an alert is cancelled, even if the alert belongs to a series. The bot calls this method
    /// after a sender has ended a series, for the newest alert of the series.
    pub async fn withdraw_of_series(&self, id: &AlertId) -> Result<Withdrawn, TableError> {
        self.cancel(id, None, None, true).await
    }

    /// Records that an alert is cancelled, because the alert `other` takes the place of this alert.
    pub async fn withdraw_for(&self, id: &AlertId, other: &AlertId) -> Result<Withdrawn, TableError> {
        self.cancel(id, None, Some(other), true).await
    }

    async fn cancel(
        &self,
        id: &AlertId,
        sender: Option<&str>,
        replaced_by: Option<&AlertId>,
        also_of_series: bool,
    ) -> Result<Withdrawn, TableError> {
        let now = self.host.now();
        let Some(key) = RecordKey::of(id, now) else { return Ok(Withdrawn::Unknown) };
        // If another writer changes the record between the read and the write, the record is read again.
        for _ in 0..3 {
            let Some(found) = self.table.get(&key.to_key()).await? else { return Ok(Withdrawn::Unknown) };
            let record = Record::read(&found.entity);
            if sender.is_some() && record.key.as_deref() != sender {
                return Ok(Withdrawn::Unknown);
            }
            if let Some(first) = record.series.as_deref().and_then(AlertId::parse).filter(|_| !also_of_series)
            {
                return Ok(Withdrawn::PartOfSeries(first));
            }
            if record.is_delivered_unseen(now) {
                return Ok(Withdrawn::TooLate(Status::Delivered));
            }
            let withdrawn = match record.shown_status() {
                Status::Cancelled if record.status == Status::Cancelled => return Ok(Withdrawn::Done),
                Status::Cancelled if record.shown(now) == Shown::CancelledUnseen => {
                    return Ok(Withdrawn::Unseen);
                }
                Status::Cancelled => return Ok(Withdrawn::Yes),
                status if status.is_final() => return Ok(Withdrawn::TooLate(status)),
                Status::Failed => Withdrawn::Done,
                _ => Withdrawn::Yes,
            };
            let mut change = Entity::new(key.to_key());
            change.int64("cancelledAt", now.timestamp_millis());
            if let Some(other) = replaced_by {
                change.properties.insert("replacedBy".into(), other.as_str().into());
            }
            if let Conditional::Done(_) = self.table.merge(&change, Some(&found.etag)).await? {
                return Ok(withdrawn);
            }
        }
        Err(contended())
    }

    /// Records that these alerts of one call (at most 100) are on the queue. A repeated call then does not
    /// put the alerts on the queue again.
    pub async fn record_put(&self, ids: impl Iterator<Item = &AlertId>) -> Result<(), TableError> {
        self.record_time("putAt", ids).await
    }

    /// Records that the Puts of these alerts of one call (at most 100) failed. Perhaps a second Put of an
    /// alert succeeds, e.g. because the sender has repeated the call. If a run then records a status of the
    /// alert, this status takes precedence over the failure.
    pub async fn record_failed_put(&self, ids: impl Iterator<Item = &AlertId>) -> Result<(), TableError> {
        self.record_time("failedAt", ids).await
    }

    /// Records that the Puts of these alerts of one call (at most 100) had no clear response, so perhaps the
    /// alerts are on the queue. If a run records a status of an alert, this status takes precedence.
    pub async fn record_unconfirmed_put(
        &self,
        ids: impl Iterator<Item = &AlertId>,
    ) -> Result<(), TableError> {
        self.record_time("unconfirmedAt", ids).await
    }

    async fn record_time(
        &self,
        property: &str,
        ids: impl Iterator<Item = &AlertId>,
    ) -> Result<(), TableError> {
        let now = self.host.now();
        let entity = |id| {
            let mut entity = Entity::new(self.key_of(id)?.to_key());
            entity.int64(property, now.timestamp_millis());
            Ok(entity)
        };
        let entities: Vec<Entity> = ids.map(entity).collect::<Result<_, TableError>>()?;
        match entities.as_slice() {
            [] => Ok(()),
            [only] => self.table.put_merge(only).await.map(drop),
            all => {
                let operations: Vec<_> = all.iter().map(Operation::PutMerge).collect();
                batch_result(self.table.batch(&operations).await?)
            }
        }
    }

    /// Records the new status of one alert.
    pub async fn record(&self, transition: &Transition) -> Result<(), TableError> {
        if let Some(last) = transition.known_replay {
            return self.record_unless_replayed(transition, last).await;
        }
        if transition.unless_ended {
            return self.record_unless_ended(transition).await;
        }
        self.table.put_merge(&transition.entity(self.host.now())).await.map(drop)
    }

    /// Records the new status of many alerts. A transition with `known_replay` or `unless_ended` takes
    /// separate storage calls, because the ledger first reads the record. For the other transitions, one
    /// storage call records up to 100 alerts of the same partition. If `transitions` has several transitions
    /// of one alert, the ledger records only the last of them. The error holds the transitions that were not
    /// recorded, and the last failure.
    pub async fn record_all(
        &self,
        transitions: Vec<Transition>,
    ) -> Result<(), (Vec<Transition>, TableError)> {
        let now = self.host.now();
        let mut partitions: BTreeMap<String, BTreeMap<RecordKey, Transition>> = BTreeMap::new();
        for transition in transitions {
            let partition = partitions.entry(transition.key.partition().to_owned()).or_default();
            partition.insert(transition.key.clone(), transition);
        }
        let (mut not_recorded, mut failure) = (Vec::new(), None);
        for partition in partitions.into_values() {
            let (conditional, all): (Vec<Transition>, Vec<Transition>) =
                partition.into_values().partition(Transition::is_conditional);
            for transition in conditional {
                if let Err(error) = self.record(&transition).await {
                    not_recorded.push(transition);
                    failure = Some(error);
                }
            }
            for chunk in all.chunks(MAX_OPERATIONS) {
                if let Err(error) = self.record_batch(chunk, now).await {
                    not_recorded.extend_from_slice(chunk);
                    failure = Some(error);
                }
            }
        }
        match failure {
            None => Ok(()),
            Some(error) => Err((not_recorded, error)),
        }
    }

    async fn record_batch(&self, transitions: &[Transition], now: DateTime<Utc>) -> Result<(), TableError> {
        if let [only] = transitions {
            return self.record(only).await;
        }
        let entities: Vec<Entity> = transitions.iter().map(|transition| transition.entity(now)).collect();
        let operations: Vec<_> = entities.iter().map(Operation::PutMerge).collect();
        batch_result(self.table.batch(&operations).await?)
    }

    fn key_of(&self, id: &AlertId) -> Result<RecordKey, TableError> {
        RecordKey::of(id, self.host.now()).ok_or_else(|| {
            TableError::Invalid("the alert's id contains a period that is too far away".into())
        })
    }
}

/// Makes the error for a change that was not written: in each attempt, another writer changed the record
/// between the read and the write.
fn contended() -> TableError {
    TableError::Busy { status: 412, code: "UpdateConditionNotSatisfied".into(), retry_after_seconds: None }
}

/// Turns a refused batch into an error. If a caller expects a refusal, the caller handles this refusal before
/// it calls this function.
fn batch_result(batch: Batch) -> Result<(), TableError> {
    match batch {
        Batch::Done => Ok(()),
        Batch::Refused { status, code, .. } => Err(TableError::Refused { status, code }),
    }
}

#[cfg(test)]
mod tests;
