//! Changes the records of dead alerts. An alert is *dead* if a *run* (one execution of the poller) has moved
//! the alert's message to the poison queue. Then an operator can *replay* the alert, i.e. send the alert
//! again. Or an operator can *drop* the alert, i.e. delete the message from the poison queue.

use chrono::{DateTime, TimeDelta, Utc};
use platform::{Clock, HttpClient, Randomness};
use storage_table::{Batch, Conditional, ETag, Entity, Inserted, Operation, TableError};

use super::last_replay::LastReplay;
use super::record::{VERSION, ends_at};
use super::{Ledger, Record, RecordKey, Status, Transition, batch_result, contended, index};

/// The most attempts to change a record. An attempt fails if another writer changes the record between the
/// read and the write.
const ATTEMPTS: usize = 3;
/// The first words of the `reason` in the record of a dropped alert.
const DROPPED: &str = "dropped by ";

/// The alert that an operator replays.
#[derive(Debug, Clone, Copy)]
pub struct Replay<'a> {
    /// The key of the conversation.
    pub conversation: &'a str,
    /// When the alert was accepted.
    pub accepted_at: DateTime<Utc>,
    /// The later of two times: when the alert is due, and when the alert expires. `None` if the alert has
    /// neither time.
    pub until: Option<DateTime<Utc>>,
    /// The name of the operator's API key.
    pub by: &'a str,
    /// The id of the queue message that a run moved to the poison queue, if the id is known.
    pub message: Option<&'a str>,
}

/// The sender of an alert, and the tag that the sender's call named as a target.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Origin {
    /// The name of the sender's API key. `None` if the alert is a person's message, or if the sender is
    /// unknown.
    pub sender: Option<String>,
    /// The tag; `None` if the call named no tag, or if the tag is unknown.
    pub tag: Option<String>,
}

/// The parts of an alert's record that a run reads before the run moves the alert's message to the poison
/// queue.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BeforeDeath {
    /// The sender and the tag.
    pub origin: Origin,
    /// The last replay of the alert.
    pub last_replay: LastReplay,
    etag: Option<ETag>,
}

/// The result of [`Ledger::reopen`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reopened {
    /// The caller has to put a new message of the alert on the queue. Usually, the record now has the status
    /// `queued`.
    ///
    /// But perhaps the bot was killed during an earlier replay, after it had put a message on the queue. If a
    /// run has recorded another status after that replay, such as `waiting`, this status stays. After the new
    /// replay, the queue has two messages of the alert. So the caller always sets `once` in the envelope (the
    /// content of the message). With `once`, a run delivers only one of the two messages.
    Yes,
    /// The alert has this final status, so the caller must not send the alert again.
    Ended(Status),
    /// A newer version of this program wrote the record.
    Newer,
    /// The ledger has no record of the alert, because the record had expired. The caller has to find out the
    /// alert's [`Origin`], and then calls [`Ledger::remake`].
    Missing,
}

impl BeforeDeath {
    /// Makes the value for a record that could not be read.
    pub fn unknown() -> Self {
        Self { last_replay: LastReplay::UNKNOWN, ..Self::default() }
    }
}

/// Whether an operator has replayed the alert after the replay `last`, which the run found in the record. If
/// so, the ledger must not record the transition, because the transition belongs to an older queue message.
/// If the run could not read the record, `last` is [`LastReplay::UNKNOWN`]. Then the result is true if the
/// operator has replayed the queue message of the transition.
fn is_outdated(transition: &Transition, record: &Record, last: LastReplay) -> bool {
    match last {
        LastReplay::UNKNOWN => record.replayed_from.is_some() && record.replayed_from == transition.message,
        last => LastReplay::at(record.replayed_at) != last,
    }
}

impl<H: HttpClient + Clock + Randomness> Ledger<'_, H> {
    /// Reads the record of an alert. A run calls this method before the run moves the alert's message to the
    /// poison queue.
    pub async fn read_before_death(&self, key: &RecordKey) -> Result<BeforeDeath, TableError> {
        let Some(found) = self.table.get(&key.to_key()).await? else { return Ok(BeforeDeath::default()) };
        let record = Record::read(&found.entity);
        let last_replay = LastReplay::at(record.replayed_at);
        let origin = Origin { sender: record.key, tag: record.tag };
        Ok(BeforeDeath { origin, last_replay, etag: Some(found.etag) })
    }

    /// Records that an alert is in the poison queue. `before` is the result of
    /// [`Ledger::read_before_death`]. If an operator has replayed the alert after that, this method records
    /// nothing.
    pub async fn record_death(&self, dead: &Transition, before: &BeforeDeath) -> Result<(), TableError> {
        if let Some(etag) = &before.etag
            && let Conditional::Done(_) = self.table.merge(&dead.entity(self.host.now()), Some(etag)).await?
        {
            return Ok(());
        }
        self.record_unless_replayed(dead, before.last_replay).await
    }

    /// Records a transition, unless an operator has replayed the alert after the replay `last`.
    pub(super) async fn record_unless_replayed(
        &self,
        transition: &Transition,
        last: LastReplay,
    ) -> Result<(), TableError> {
        let change = transition.entity(self.host.now());
        for _ in 0..ATTEMPTS {
            let is_done = match self.table.get(&change.key).await? {
                None => matches!(self.table.insert(&change).await?, Inserted::New(_)),
                Some(found) if is_outdated(transition, &Record::read(&found.entity), last) => true,
                Some(found) => {
                    matches!(self.table.merge(&change, Some(&found.etag)).await?, Conditional::Done(_))
                }
            };
            if is_done {
                return Ok(());
            }
        }
        Err(contended())
    }

    /// Records a transition, unless the record has a final status. Without this check, an older status could
    /// replace the final status:
    ///
    /// 1. A run collects transitions for up to half a second, and then writes these transitions together.
    /// 2. During this write, the run records the final status of one of the alerts in a separate write.
    /// 3. The separate write reaches the table first. Then the older transition replaces the final status.
    /// 4. The run writes the final status once more. But if the run is killed before step 4, the record keeps
    ///    the older status.
    pub(super) async fn record_unless_ended(&self, transition: &Transition) -> Result<(), TableError> {
        let change = transition.entity(self.host.now());
        for _ in 0..ATTEMPTS {
            let is_done = match self.table.get(&change.key).await? {
                None => matches!(self.table.insert(&change).await?, Inserted::New(_)),
                Some(found) if Record::read(&found.entity).status.is_final() => true,
                Some(found) => {
                    matches!(self.table.merge(&change, Some(&found.etag)).await?, Conditional::Done(_))
                }
            };
            if is_done {
                return Ok(());
            }
        }
        Err(contended())
    }

    /// Gives a dead alert the status `queued`, and removes the counts of the earlier tries from the record.
    /// The caller then puts a new message on the queue. If the bot is killed between the two steps, an
    /// operator can replay the alert once more.
    pub async fn reopen(&self, key: &RecordKey, replay: &Replay<'_>) -> Result<Reopened, TableError> {
        for _ in 0..ATTEMPTS {
            let Some(found) = self.table.get(&key.to_key()).await? else { return Ok(Reopened::Missing) };
            let record = Record::read(&found.entity);
            if record.is_newer {
                return Ok(Reopened::Newer);
            }
            match record.status {
                _ if record.cancelled_at.is_some() => return Ok(Reopened::Ended(Status::Cancelled)),
                Status::Dead => {}
                status if status.is_final() => return Ok(Reopened::Ended(status)),
                _ if record.replayed_at.is_some() => return Ok(Reopened::Yes),
                // The message is in the poison queue, but the run that moved the message could not record the
                // status `dead`.
                _ => {}
            }
            let change = self.reopened_entity(key, replay, Some(&record));
            if let Conditional::Done(_) = self.table.merge(&change, Some(&found.etag)).await? {
                return Ok(Reopened::Yes);
            }
        }
        Err(contended())
    }

    /// Inserts a new record for a dead alert whose record has been deleted. If the bot accepted the alert,
    /// this method also inserts an index row, which brings the alert into the list of alerts.
    pub async fn remake(
        &self,
        key: &RecordKey,
        replay: &Replay<'_>,
        origin: &Origin,
    ) -> Result<Reopened, TableError> {
        let mut entity = self.reopened_entity(key, replay, None);
        entity.properties.insert("conversation".into(), replay.conversation.into());
        entity.int64("acceptedAt", replay.accepted_at.timestamp_millis());
        for (name, value) in [("key", &origin.sender), ("tag", &origin.tag)] {
            if let Some(value) = value {
                entity.properties.insert(name.into(), value.as_str().into());
            }
        }
        // The list has only the alerts that the bot accepted. If a program other than the bot put the alert
        // on the queue, the bot did not accept the alert. So the alert gets no index row.
        let row = key.alert_id().and_then(|id| {
            let ends_at = ends_at(self.host.now(), replay.until);
            index::row_for_remade(&id, key, origin.sender.as_deref(), replay.accepted_at, ends_at)
        });
        let is_new = match &row {
            None => matches!(self.table.insert(&entity).await?, Inserted::New(_)),
            Some(row) => {
                match self.table.batch(&[Operation::Insert(&entity), Operation::PutMerge(row)]).await? {
                    Batch::Refused { index: 0, status: 409, .. } => false,
                    batch => batch_result(batch).map(|()| true)?,
                }
            }
        };
        // If the record exists now, another replay has inserted the record.
        if is_new { Ok(Reopened::Yes) } else { self.reopen(key, replay).await }
    }

    /// Records that an operator has dropped a dead alert. The status stays `dead`.
    pub async fn note_dropped(&self, key: &RecordKey, by: &str) -> Result<(), TableError> {
        for _ in 0..ATTEMPTS {
            let Some(found) = self.table.get(&key.to_key()).await? else { return Ok(()) };
            let record = Record::read(&found.entity);
            let reason = found.entity.str("reason").unwrap_or_default();
            if record.is_newer || record.status != Status::Dead || reason.starts_with(DROPPED) {
                return Ok(());
            }
            let reason = format!("{DROPPED}{by}; {reason}");
            let change =
                Entity::new(key.to_key()).with("reason", reason.chars().take(1000).collect::<String>());
            match self.table.merge(&change, Some(&found.etag)).await? {
                Conditional::Done(_) | Conditional::Gone => return Ok(()),
                Conditional::Changed => {}
            }
        }
        Err(contended())
    }

    fn reopened_entity(&self, key: &RecordKey, replay: &Replay<'_>, record: Option<&Record>) -> Entity {
        let now = self.host.now();
        let mut entity = Entity::new(key.to_key())
            .with("version", VERSION)
            .with("status", Status::Queued.as_str())
            .with("reason", format!("replayed by {}", replay.by));
        // The properties `message` and `tried` belong to the message in the poison queue. The new message has
        // another id, and begins without earlier tries.
        for (name, is_set) in [
            ("message", record.is_some_and(|record| record.message.is_some())),
            ("tried", record.is_some_and(|record| record.tried.is_some())),
        ] {
            if is_set {
                entity.properties.insert(name.to_owned(), "".into());
            }
        }
        // The property `replayedFrom` is the id of the old message, i.e. of the message that a run moved to
        // the poison queue. In two cases, a run still tries to record a fact about the old message after the
        // replay. Then the ledger finds the id of the old message in `replayedFrom`, and does not record the
        // fact:
        //
        // - The run that moved the old message tries to record that the alert is dead. Usually, this run has
        //   read the time of the last replay before the move, and the ledger compares this time. The ledger
        //   needs `replayedFrom` only if the run could not read the record.
        // - The run that moved the old message was killed before it could record that the alert is dead. The
        //   next run does not find the old message on the queue, and tries to record that the old message is
        //   missing.
        if let Some(message) = replay.message {
            entity.properties.insert("replayedFrom".into(), message.into());
        }
        // These properties say that a Put (the call that puts a message on the queue) failed, or had no clear
        // response. The message was on the queue, so these properties no longer matter.
        for (name, is_set) in [
            ("failedAt", record.is_some_and(|record| record.failed_at.is_some())),
            ("unconfirmedAt", record.is_some_and(|record| record.unconfirmed_at.is_some())),
        ] {
            if is_set {
                entity.int64(name, 0);
            }
        }
        entity.int64("changedAt", now.timestamp_millis());
        let last = record.and_then(|record| record.replayed_at).map(|at| at + TimeDelta::milliseconds(1));
        entity.int64("replayedAt", last.map_or(now, |last| last.max(now)).timestamp_millis());
        entity.int64("endsAt", ends_at(now, replay.until));
        entity
    }
}
