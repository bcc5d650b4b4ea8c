//! The answers of people to an alert: one row for each, in the partition of the alert's record.
//!
//! The row decides whose answer counts. Two presses insert the same row, and the service lets one insert
//! succeed.

use chrono::{DateTime, Utc};
use futures_util::{StreamExt, TryStreamExt, stream};
use platform::{Clock, HttpClient, Randomness};
use storage_table::{Conditional, Continuation, Entity, Filter, Inserted, Key, Query, TableError};

use super::key::CALL_DIGITS;
use super::record::{KEPT, Record};
use super::{AlertId, Ledger};

const PRESS: &str = "press";
const ANSWER: &str = "answer";
const ANSWERED_AT: &str = "answeredAt";
const DONE_AT: &str = "doneAt";

/// How many queries run at once.
const AT_ONCE: usize = 8;

/// An answer, as its row holds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// The id of the press.
    pub press: String,
    /// The answer, encrypted.
    pub answer: String,
    /// Whether the poller has finished its work on the answer.
    pub is_done: bool,
}

impl Reply {
    fn read(entity: &Entity) -> Self {
        let text = |name| entity.str(name).unwrap_or_default().to_owned();
        Self { press: text(PRESS), answer: text(ANSWER), is_done: entity.int(DONE_AT).is_some() }
    }
}

impl<H: HttpClient + Clock + Randomness> Ledger<'_, H> {
    /// The key of the row `row` of an alert's answers.
    fn reply_key(&self, alert: &AlertId, row: &str) -> Result<Key, TableError> {
        let key = self.key_of(alert)?;
        Ok(Key::new(key.partition(), format!("reply.{alert}.{row}")))
    }

    /// Inserts an answer. Returns the answer that is there already, if there is one.
    pub async fn insert_reply(
        &self,
        alert: &AlertId,
        row: &str,
        (press, answer): (&str, &str),
        until: DateTime<Utc>,
    ) -> Result<Option<Reply>, TableError> {
        let key = self.reply_key(alert, row)?;
        let ends_at = until.max(self.host.now()) + KEPT;
        let entity = Entity::new(key.clone()).with(PRESS, press).with(ANSWER, answer);
        let entity = entity.with_int64("endsAt", ends_at.timestamp_millis());
        match self.table.insert(&entity).await? {
            Inserted::New(_) => Ok(None),
            Inserted::Exists => Ok(self.table.get(&key).await?.map(|found| Reply::read(&found.entity))),
        }
    }

    /// Deletes an answer that does not count.
    pub async fn delete_reply(&self, alert: &AlertId, row: &str) -> Result<(), TableError> {
        self.table.delete(&self.reply_key(alert, row)?, None).await.map(drop)
    }

    /// Reads an answer.
    pub async fn reply(&self, alert: &AlertId, row: &str) -> Result<Option<Reply>, TableError> {
        let found = self.table.get(&self.reply_key(alert, row)?).await?;
        Ok(found.map(|found| Reply::read(&found.entity)))
    }

    /// Records that the poller has finished its work on an answer, so that a copy of its message does
    /// nothing.
    pub async fn finish_reply(&self, alert: &AlertId, row: &str) -> Result<(), TableError> {
        let entity = Entity::new(self.reply_key(alert, row)?);
        let entity = entity.with_int64(DONE_AT, self.host.now().timestamp_millis());
        self.table.merge(&entity, None).await.map(drop)
    }

    /// Records in the alert's record that it was answered. Returns whether the record exists.
    pub async fn record_answer(
        &self,
        alert: &AlertId,
        answer: &str,
        at: DateTime<Utc>,
    ) -> Result<bool, TableError> {
        let entity = Entity::new(self.key_of(alert)?.to_key()).with(ANSWER, answer);
        let entity = entity.with_int64(ANSWERED_AT, at.timestamp_millis());
        Ok(matches!(self.table.merge(&entity, None).await?, Conditional::Done(_)))
    }

    /// Whether one of these alerts was answered. It costs one query for the alerts of each call.
    pub async fn is_one_answered(&self, alerts: &[AlertId]) -> Result<bool, TableError> {
        let is_same_call = |a: &AlertId, b: &AlertId| a.as_str()[..CALL_DIGITS] == b.as_str()[..CALL_DIGITS];
        let read = async |call: &[AlertId]| {
            let (Some(first), Some(last)) = (call.iter().min(), call.iter().max()) else { return Ok(false) };
            // The character after `!` is `"`. No id contains either.
            let filter =
                Filter::partition(self.key_of(first)?.partition()).rows(first.as_str(), &format!("{last}!"));
            let query = Query { filter, top: 1000, select: vec![ANSWERED_AT, "status"] };
            let mut from: Option<Continuation> = None;
            loop {
                let page = self.table.query(&query, from.as_ref()).await?;
                let mut records = page.entities.iter().map(Record::read);
                if records.any(|record| record.answered_at.is_some()) {
                    return Ok(true);
                }
                match page.next {
                    Some(next) => from = Some(next),
                    None => return Ok::<_, TableError>(false),
                }
            }
        };
        let mut answers = stream::iter(alerts.chunk_by(is_same_call)).map(read).buffered(AT_ONCE);
        while let Some(is_answered) = answers.try_next().await? {
            if is_answered {
                return Ok(true);
            }
        }
        Ok(false)
    }
}
