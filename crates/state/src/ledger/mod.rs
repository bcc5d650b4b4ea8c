//! The ledger: one record for each alert, from the moment it is accepted.
//!
//! The bot inserts a record before it puts the message on the queue; that the record is there already is how a repeated call
//! and an activity that a channel sends again are known. The poller says what became of it, many in one batch. Nobody reads a
//! record for an alert that goes well.

mod answers;
mod clean;
mod key;
mod record;
mod take;

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use platform::{Clock, Deadline, HttpClient, Randomness};
use storage_account::Account;
use storage_table::{
    Batch, Conditional, Continuation, Entity, Filter, Inserted, Operation, Query, TableClient, TableError,
};

pub use answers::{Allowance, Allowed};
pub use key::{AlertId, CallId, Period, RecordKey};
pub use record::{CallNote, KEPT, KEY_TERM, NewAlert, Record, Status, Transition};
pub use take::Taken;

use crate::Tables;

/// The most operations of one batch.
const MOST_OPERATIONS: usize = 100;

/// The ledger, for the time until a deadline.
#[derive(Debug)]
pub struct Ledger<'a, H> {
    host: &'a H,
    table: TableClient<'a, H>,
}

/// Whether an alert was accepted now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Accepted {
    /// It is new.
    New,
    /// It was accepted before, and this is what became of it.
    Known(Box<Record>),
}

/// What became of the wish to take an alert back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Withdrawn {
    /// Its record says so now, or said so before. A run drops the message when the queue hands it out.
    Yes,
    /// A run has dropped it, or the queue never took it.
    Done,
    /// Something else became of it before.
    TooLate(Status),
    /// Nobody knows such an alert.
    Unknown,
}

impl<'a, H: HttpClient + Clock + Randomness> Ledger<'a, H> {
    /// The ledger in these tables.
    pub fn new(host: &'a H, account: &'a Account, tables: &'a Tables, deadline: Deadline) -> Self {
        Self { host, table: TableClient::new(host, account, &tables.ledger, deadline) }
    }

    /// How many calls were repeated so far.
    pub fn retries(&self) -> u32 {
        self.table.retries()
    }

    /// Accepts one alert, unless it was accepted before.
    pub async fn accept(&self, alert: &NewAlert) -> Result<Accepted, TableError> {
        let key = self.key_of(&alert.id)?;
        match self.table.insert(&alert.entity(&key, self.host.now())).await? {
            Inserted::New(_) => Ok(Accepted::New),
            Inserted::Exists => self.accepted_before(&key).await,
        }
    }

    /// What became of an alert whose record was there already. One that is gone by now was over long ago.
    async fn accepted_before(&self, key: &RecordKey) -> Result<Accepted, TableError> {
        let record = self.read(key).await?;
        Ok(record.map_or(Accepted::New, |record| Accepted::Known(Box::new(record))))
    }

    /// Accepts the alerts of one call, all or none: at most 100. If its first one was accepted before, the answer is what
    /// became of that one.
    pub async fn accept_call(&self, alerts: &[NewAlert]) -> Result<Accepted, TableError> {
        let [first, rest @ ..] = alerts else { return Ok(Accepted::New) };
        if rest.is_empty() {
            return self.accept(first).await;
        }
        let now = self.host.now();
        let entities: Vec<Entity> = alerts
            .iter()
            .map(|alert| Ok(alert.entity(&self.key_of(&alert.id)?, now)))
            .collect::<Result<_, TableError>>()?;
        let operations: Vec<_> = entities.iter().map(Operation::Insert).collect();
        match self.table.batch(&operations).await? {
            Batch::Done => Ok(Accepted::New),
            Batch::Refused { status: 409, .. } => match self.read(&self.key_of(&first.id)?).await? {
                Some(record) => Ok(Accepted::Known(Box::new(record))),
                None => Err(TableError::Refused { status: 409, code: "EntityAlreadyExists".into() }),
            },
            Batch::Refused { status, code, .. } => Err(TableError::Refused { status, code }),
        }
    }

    /// The records of a call's alerts, in order.
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
                Some(next) if records.len() < MOST_OPERATIONS => from = Some(next),
                _ => return Ok(records),
            }
        }
    }

    /// What is known of an alert.
    pub async fn find(&self, id: &AlertId) -> Result<Option<Record>, TableError> {
        match RecordKey::of(id, self.host.now()) {
            Some(key) => self.read(&key).await,
            None => Ok(None),
        }
    }

    /// One record.
    pub async fn read(&self, key: &RecordKey) -> Result<Option<Record>, TableError> {
        Ok(self.table.get(&key.to_key()).await?.map(|found| Record::read(&found.entity)))
    }

    /// Notes that its sender takes an alert back. Of other senders than `sender` no alert is known; `None` may take back any.
    pub async fn withdraw(&self, id: &AlertId, sender: Option<&str>) -> Result<Withdrawn, TableError> {
        let now = self.host.now();
        let Some(key) = RecordKey::of(id, now) else { return Ok(Withdrawn::Unknown) };
        // Another write may come between: then it is looked at once more.
        for _ in 0..3 {
            let Some(found) = self.table.get(&key.to_key()).await? else { return Ok(Withdrawn::Unknown) };
            let record = Record::read(&found.entity);
            if sender.is_some() && record.key.as_deref() != sender {
                return Ok(Withdrawn::Unknown);
            }
            let withdrawn = match record.shown_status() {
                Status::Cancelled if record.status == Status::Cancelled => return Ok(Withdrawn::Done),
                Status::Cancelled => return Ok(Withdrawn::Yes),
                status if status.is_final() => return Ok(Withdrawn::TooLate(status)),
                Status::Failed => Withdrawn::Done,
                _ => Withdrawn::Yes,
            };
            let mut change = Entity::new(key.to_key());
            change.int64("cancelledAt", now.timestamp_millis());
            if let Conditional::Done(_) = self.table.merge(&change, Some(&found.etag)).await? {
                return Ok(withdrawn);
            }
        }
        Err(contended())
    }

    /// Notes that these alerts of one call are on the queue: at most 100. A repeated call then puts none of them there again.
    pub async fn note_put(&self, ids: impl Iterator<Item = &AlertId>) -> Result<(), TableError> {
        self.note_time("putAt", ids).await
    }

    /// Notes that the queue did not take these alerts of one call: at most 100. The poller may know better.
    pub async fn note_failed(&self, ids: impl Iterator<Item = &AlertId>) -> Result<(), TableError> {
        self.note_time("failedAt", ids).await
    }

    /// Notes that the queue did not say whether it took these alerts of one call: at most 100. The poller may know better.
    pub async fn note_unconfirmed(&self, ids: impl Iterator<Item = &AlertId>) -> Result<(), TableError> {
        self.note_time("unconfirmedAt", ids).await
    }

    async fn note_time(&self, property: &str, ids: impl Iterator<Item = &AlertId>) -> Result<(), TableError> {
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
                done(self.table.batch(&operations).await?)
            }
        }
    }

    /// Notes what became of one alert.
    pub async fn note(&self, transition: &Transition) -> Result<(), TableError> {
        self.table.put_merge(&transition.entity(self.host.now())).await.map(drop)
    }

    /// Notes what became of many: one call for each partition and hundred. Of the same alert the last one counts. Returns
    /// those that could not be noted, with the reason of the last failure.
    pub async fn note_all(&self, transitions: Vec<Transition>) -> Result<(), (Vec<Transition>, TableError)> {
        let now = self.host.now();
        let mut partitions: BTreeMap<String, BTreeMap<RecordKey, Transition>> = BTreeMap::new();
        for transition in transitions {
            let partition = partitions.entry(transition.key.partition().to_owned()).or_default();
            partition.insert(transition.key.clone(), transition);
        }
        let (mut left, mut failure) = (Vec::new(), None);
        for partition in partitions.into_values() {
            let all: Vec<Transition> = partition.into_values().collect();
            for some in all.chunks(MOST_OPERATIONS) {
                if let Err(error) = self.note_batch(some, now).await {
                    left.extend_from_slice(some);
                    failure = Some(error);
                }
            }
        }
        match failure {
            None => Ok(()),
            Some(error) => Err((left, error)),
        }
    }

    async fn note_batch(&self, some: &[Transition], now: DateTime<Utc>) -> Result<(), TableError> {
        if let [only] = some {
            return self.note(only).await;
        }
        let entities: Vec<Entity> = some.iter().map(|transition| transition.entity(now)).collect();
        let operations: Vec<_> = entities.iter().map(Operation::PutMerge).collect();
        done(self.table.batch(&operations).await?)
    }

    fn key_of(&self, id: &AlertId) -> Result<RecordKey, TableError> {
        RecordKey::of(id, self.host.now())
            .ok_or_else(|| TableError::Invalid("the alert's id names no period of ours".into()))
    }
}

/// Others wrote the record each time between the read and the write.
fn contended() -> TableError {
    TableError::Busy { status: 412, code: "UpdateConditionNotSatisfied".into(), retry_after_seconds: None }
}

/// Writes without a condition are refused by mistakes only.
fn done(batch: Batch) -> Result<(), TableError> {
    match batch {
        Batch::Done => Ok(()),
        Batch::Refused { status, code, .. } => Err(TableError::Refused { status, code }),
    }
}

#[cfg(test)]
mod tests;
