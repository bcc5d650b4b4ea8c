//! The answers of people to the question of an alert. The ledger (a table) has one row for each answer, in
//! the partition of the alert's record.
//!
//! If an alert accepts only one answer, the row key is the same for every answer. So if two people answer at
//! once, only one of the two inserts succeeds. The other answer does not count.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use futures_util::{StreamExt, TryStreamExt, stream};
use platform::{Clock, HttpClient, Randomness};
use storage_table::{Conditional, Continuation, Entity, Filter, Inserted, Key, Query, TableError};

use super::record::Record;
use super::terms::KEPT;
use super::{AlertId, Ledger};

const PRESS: &str = "press";
const ANSWER: &str = "answer";
const ANSWERED_AT: &str = "answeredAt";
const DONE_AT: &str = "doneAt";

/// The most queries that run at once.
const AT_ONCE: usize = 8;

/// A person's answer, as its row stores it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredAnswer {
    /// The id of the *press*: the button press or the text message with which the person answered. The id is
    /// a hash of the alert's id, the last part of the row key, the person's id, and the answer.
    pub press: String,
    /// The answer, encrypted.
    pub answer: String,
    /// Whether the poller has processed the answer. If so, the poller has sent the answer to the sender's
    /// program. The card with the question shows the answer, or all tries to change the card have failed.
    pub is_done: bool,
}

impl StoredAnswer {
    fn read(entity: &Entity) -> Self {
        let text = |name| entity.str(name).unwrap_or_default().to_owned();
        Self { press: text(PRESS), answer: text(ANSWER), is_done: entity.int(DONE_AT).is_some() }
    }
}

impl<H: HttpClient + Clock + Randomness> Ledger<'_, H> {
    /// The partition key and the row key of one answer. `row` is the last part of the row key. The row key
    /// begins with `reply`. Earlier versions used the same word, so this version finds their rows.
    fn answer_key(&self, alert: &AlertId, row: &str) -> Result<Key, TableError> {
        let key = self.key_of(alert)?;
        Ok(Key::new(key.partition(), format!("reply.{alert}.{row}")))
    }

    /// Inserts an answer, and returns `None`. If the row exists already, writes nothing, and returns the
    /// answer in the row. `row` is the last part of the row key. At the time `until`, the question ends. The
    /// row is kept for [`KEPT`] after `until`, or after now if the question has already ended.
    pub async fn insert_answer(
        &self,
        alert: &AlertId,
        row: &str,
        (press, answer): (&str, &str),
        until: DateTime<Utc>,
    ) -> Result<Option<StoredAnswer>, TableError> {
        let key = self.answer_key(alert, row)?;
        let ends_at = until.max(self.host.now()) + KEPT;
        let entity = Entity::new(key.clone()).with(PRESS, press).with(ANSWER, answer);
        let entity = entity.with_int64("endsAt", ends_at.timestamp_millis());
        match self.table.insert(&entity).await? {
            Inserted::New(_) => Ok(None),
            Inserted::Exists => {
                Ok(self.table.get(&key).await?.map(|found| StoredAnswer::read(&found.entity)))
            }
        }
    }

    /// Deletes the answer with the press id `press`. If the row holds the answer of another press, or if the
    /// poller has already processed the answer, deletes nothing.
    pub async fn delete_answer(&self, alert: &AlertId, row: &str, press: &str) -> Result<(), TableError> {
        let key = self.answer_key(alert, row)?;
        let Some(found) = self.table.get(&key).await? else { return Ok(()) };
        let known = StoredAnswer::read(&found.entity);
        if known.press != press || known.is_done {
            return Ok(());
        }
        self.table.delete(&key, Some(&found.etag)).await.map(drop)
    }

    /// Reads an answer to an alert. `row` is the last part of the row key.
    pub async fn answer(&self, alert: &AlertId, row: &str) -> Result<Option<StoredAnswer>, TableError> {
        let found = self.table.get(&self.answer_key(alert, row)?).await?;
        Ok(found.map(|found| StoredAnswer::read(&found.entity)))
    }

    /// Records that the poller has processed an answer. Each answer comes to the poller in a queue message.
    /// If the queue holds a second message with this answer, the poller ignores the second message.
    pub async fn finish_answer(&self, alert: &AlertId, row: &str) -> Result<(), TableError> {
        let entity = Entity::new(self.answer_key(alert, row)?);
        let entity = entity.with_int64(DONE_AT, self.host.now().timestamp_millis());
        self.table.merge(&entity, None).await.map(drop)
    }

    /// Writes an encrypted answer, and the time of the answer, into the alert's record. The answer also has a
    /// row of its own ([`Self::insert_answer`]). If an alert has several answers, the record holds only the
    /// answer that was recorded last. Returns false if the alert has no record.
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

    /// Replaces the encrypted question in an alert's record, after the sender has changed the alert's
    /// content.
    pub async fn change_question(&self, alert: &AlertId, question: &str) -> Result<(), TableError> {
        let entity = Entity::new(self.key_of(alert)?.to_key()).with("question", question);
        self.table.merge(&entity, None).await.map(drop)
    }

    /// Reads whether a person has answered at least one of these alerts. The ids of the alerts of one API
    /// call begin with the same call id ([`CallId`](super::CallId)). This method makes one query for each
    /// call id.
    pub async fn is_one_answered(&self, alerts: &[AlertId]) -> Result<bool, TableError> {
        let records = self.of_calls(alerts, vec![ANSWERED_AT, "status"]).await?;
        Ok(records.iter().any(|record| {
            record.answered_at.is_some() && alerts.iter().any(|alert| alert.as_str() == record.id)
        }))
    }

    /// Reads the records of all alerts that have the same [`CallId`](super::CallId) as one of these alerts.
    /// If a newer alert has replaced one of the alerts, also reads the record of the newer alert.
    ///
    /// This method makes one query for each call id, and one read for each replaced alert. The query leaves
    /// out the properties that do not affect the state of an alert, such as `question`.
    pub async fn alerts_of_calls(&self, alerts: &[AlertId]) -> Result<Vec<Record>, TableError> {
        let select = vec![
            "status",
            "conversation",
            "acceptedAt",
            "dueAt",
            "changedAt",
            "cancelledAt",
            "replacedBy",
            "endsAt",
            "missedAt",
            "missingFrom",
            "reason",
            "replayedAt",
            ANSWERED_AT,
        ];
        let mut records = self.of_calls(alerts, select).await?;
        for index in 0..records.len() {
            let replaced_by = records[index].replaced_by.as_deref().and_then(AlertId::parse);
            if let Some(id) = replaced_by {
                records.extend(self.find(&id).await?);
            }
        }
        Ok(records)
    }

    async fn of_calls(
        &self,
        alerts: &[AlertId],
        select: Vec<&'static str>,
    ) -> Result<Vec<Record>, TableError> {
        let calls: BTreeMap<&str, &AlertId> = alerts.iter().map(|alert| (alert.call(), alert)).collect();
        let select = &select;
        let read = async |(call, alert): (&str, &AlertId)| {
            let filter = Filter::partition(self.key_of(alert)?.partition()).rows_starting_with(call);
            let query = Query { filter, top: 1000, select: select.clone() };
            let (mut records, mut from): (Vec<Record>, Option<Continuation>) = (Vec::new(), None);
            loop {
                let page = self.table.query(&query, from.as_ref()).await?;
                records.extend(page.entities.iter().map(Record::read));
                match page.next {
                    Some(next) => from = Some(next),
                    None => return Ok::<_, TableError>(records),
                }
            }
        };
        let records: Vec<Vec<Record>> = stream::iter(calls).map(read).buffered(AT_ONCE).try_collect().await?;
        Ok(records.concat())
    }
}
