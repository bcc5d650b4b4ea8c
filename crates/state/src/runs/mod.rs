//! The run lock of a queue, and the data that the runs of a queue share. A *run* is one execution of the
//! poller. In this module, a *message* is a queue message.
//!
//! The shared data are:
//!
//! - the messages that the current run has *in hand*: the run has dequeued them, but has not yet deleted
//!   them, hidden them until the next try, or made them visible again ([`InHand`])
//! - the waiting line of each conversation: a list of hidden messages ([`StoredLine`])
//! - the recent withdrawals: events that runs have to know, e.g. a cancellation ([`Withdrawal`])
//! - the dead letters: the messages that runs have moved to the poison queue ([`DeadLetter`])
//! - the figures: counts over all runs, e.g. of delivered alerts ([`Figures`])
//!
//! Only one run works on a queue at a time, because a run needs the lock. The lock is one record for each
//! queue. To take the lock, a run reads the record, and then writes the record with the ETag that it has
//! read. The write fails if another run has changed the record after the read.
//!
//! The run renews the lock while it works. A killed run does not renew its lock. Nine seconds after the last
//! renewal, another run can take the lock. That run makes the messages of the killed run visible again. The
//! age of a lock depends only on the clock of the table service: the age is the response's `Date` minus the
//! record's `Timestamp`.

mod dead;
mod figures;
mod in_hand;
mod lines;
mod overview;
mod withdrawals;

use std::time::Duration;

use chrono::{DateTime, Utc};
use platform::{Clock, Deadline, HttpClient, Randomness};
use storage_account::Account;
use storage_table::{Conditional, ETag, Entity, Found, Inserted, Key, TableClient, TableError, escape};

pub use dead::{DeadLetter, DeadLetterId, DeadLetters, DeadPage, digest_of};
pub use figures::{DELAY_BOUNDS_MILLISECONDS, Delays, Figures, LastRun, MAX_PAUSED, PausedConversation};
pub use in_hand::{EndedAlert, InHand};
pub use lines::StoredLine;
pub use overview::Overview;
pub use withdrawals::{RECENTLY, Withdrawal, Withdrawals};

use crate::Tables;
use crate::skipped::Skipped;

/// If a run could not renew its lock for this long, the run starts no more work.
const TERM: Duration = Duration::from_secs(7);
/// The run renews its lock this long after the last confirmed write.
const RENEW_AFTER: Duration = Duration::from_secs(2);
/// Another run can take the lock when the last renewal is older than [`TERM`] plus this time. This time is
/// necessary, because the table service reports its time in whole seconds, so the age of a lock is inexact.
const SLACK: Duration = Duration::from_secs(2);
/// The longest pause. A *pause* is a time in which no run of a queue works. A pause ends after this time even
/// if the record has a later end: the run that stored this end perhaps had a wrong clock.
const LONGEST_PAUSE: Duration = Duration::from_secs(60 * 60);
const VERSION: i64 = 1;

/// The reason of a pause. No run of the queue works during the pause.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PauseReason {
    /// The login host or the Connector refused the bot's credentials.
    CredentialsRefused,
    /// The bot has no access token for now. Either the login host returned no token, or Direct Line did not
    /// open a conversation (only if the variable `delivery` is `directline`).
    NoToken,
}

impl PauseReason {
    /// The word for this reason, in records and in HTTP responses.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::CredentialsRefused => "credentialsRefused",
            Self::NoToken => "noToken",
        }
    }

    fn from_word(word: &str) -> Option<Self> {
        [Self::CredentialsRefused, Self::NoToken].into_iter().find(|reason| reason.as_str() == word)
    }
}

/// The state of the run lock, as a run reads it before it begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LockState {
    /// No run holds the lock.
    Free(Box<FreeLock>),
    /// Another run holds the lock.
    Held,
    /// A newer version of this program wrote the record. This version cannot know whether a run holds the
    /// lock, so the lock counts as held.
    Newer,
    /// All runs are paused. No run works until the pause ends.
    Paused(PauseReason),
}

/// A free run lock, with the messages that the last run had in hand when it ended or was killed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FreeLock {
    etag: Option<ETag>,
    number: i64,
    /// The messages that the last run had in hand and did not make visible again.
    pub left: Vec<InHand>,
    /// The alerts that the last run had finished, but whose final status is perhaps not in the ledger (the
    /// table with a record for each alert).
    pub ended: Vec<EndedAlert>,
    /// The text of [`RunLock::set_hosts`], as the last run stored it.
    pub hosts: String,
    /// The counts of all runs so far, as the last run stored them.
    figures: String,
}

impl FreeLock {
    /// The counts of all runs so far.
    pub fn figures(&self, now: DateTime<Utc>) -> Figures {
        Figures::read(Some(&self.figures), now)
    }
}

/// The run lock, held by this run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunLock {
    run: String,
    number: i64,
    etag: ETag,
    /// When the last confirmed write began, on the monotonic clock.
    confirmed_at: Duration,
    ended: Vec<EndedAlert>,
    hosts: String,
    figures: String,
}

/// A prepared write of the run lock's record. [`RunLock::renewal`], [`RunLock::release`] and
/// [`RunLock::release_and_pause`] prepare the write, and [`Runs::write`] makes the write.
#[derive(Debug)]
pub struct LockWrite {
    entity: Entity,
    etag: ETag,
    /// The run that writes, and its number ([`RunLock::number`]).
    owner: (String, i64),
}

/// The result of a successful [`LockWrite`], for [`RunLock::confirm`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    etag: ETag,
    begun_at: Duration,
}

impl RunLock {
    /// Whether it is certain that this run still holds the lock. If `false`, this run must start no work.
    pub fn is_valid(&self, clock: &impl Clock) -> bool {
        clock.monotonic() < self.valid_until()
    }

    /// The time, on the monotonic clock, until which the lock is valid. No other run can take the lock before
    /// this time. Each renewal makes this time later.
    pub fn valid_until(&self) -> Duration {
        self.confirmed_at + TERM
    }

    /// The time, on the monotonic clock, at which the run has to renew the lock.
    pub fn renewal_due(&self) -> Duration {
        self.confirmed_at + RENEW_AFTER
    }

    /// The number of this run: each run that takes the lock has a greater number than the previous run.
    pub fn number(&self) -> i64 {
        self.number
    }

    /// Sets the text that tells the next run which Connector hosts fail. The text must have at most 32 KiB,
    /// because the table service limits the length of a property. Every later write stores the text.
    pub fn set_hosts(&mut self, hosts: String) {
        self.hosts = hosts;
    }

    /// Sets the alerts that this run has finished, and whose final status the ledger has not recorded. Every
    /// later write stores them.
    pub fn set_ended(&mut self, ended: &[EndedAlert]) {
        self.ended = ended.to_vec();
    }

    /// Sets the counts of all runs. Every later write stores them.
    pub fn set_figures(&mut self, figures: &Figures) {
        self.figures = figures.to_json();
    }

    /// Prepares a write that renews the lock and stores the messages that this run has in hand. Each write
    /// needs the ETag of the previous write, so a run must wait for the end of a write before it begins the
    /// next write.
    pub fn renewal(&self, in_hand: &[InHand]) -> LockWrite {
        self.record(&self.run, in_hand, None)
    }

    /// Prepares a write that releases the lock. `left` are the messages that this run could not make visible
    /// again. The next run recovers them.
    pub fn release(&self, left: &[InHand]) -> LockWrite {
        self.record("", left, None)
    }

    /// Prepares a write that releases the lock, and lets no run begin before `until`.
    pub fn release_and_pause(&self, left: &[InHand], reason: PauseReason, until: DateTime<Utc>) -> LockWrite {
        self.record("", left, Some((reason, until)))
    }

    /// Keeps the ETag of a successful write for the next write. The lock is then valid for seven seconds,
    /// counted from the time at which the successful write began.
    pub fn confirm(&mut self, written: Written) {
        (self.etag, self.confirmed_at) = (written.etag, written.begun_at);
    }

    fn record(
        &self,
        run: &str,
        in_hand: &[InHand],
        pause: Option<(PauseReason, DateTime<Utc>)>,
    ) -> LockWrite {
        let mut entity = Entity::new(Key::new("", ""));
        fill(&mut entity, (run, self.number), in_hand, &self.ended, &self.hosts, &self.figures);
        if let Some((reason, until)) = pause {
            entity.properties.insert("why".into(), reason.as_str().into());
            entity.int64("pausedUntil", until.timestamp_millis());
        }
        LockWrite { entity, etag: self.etag.clone(), owner: (self.run.clone(), self.number) }
    }
}

fn fill(
    entity: &mut Entity,
    (run, number): (&str, i64),
    in_hand: &[InHand],
    ended: &[EndedAlert],
    hosts: &str,
    figures: &str,
) {
    entity.properties.insert("version".into(), VERSION.into());
    entity.properties.insert("run".into(), run.into());
    entity.int64("fence", number);
    in_hand::write(entity, in_hand);
    in_hand::write_ended(entity, ended);
    for (name, text) in [("hosts", hosts), ("figures", figures)] {
        if !text.is_empty() {
            entity.properties.insert(name.into(), text.into());
        }
    }
}

/// A client for the run lock and the shared data of one queue. Each storage call ends by a deadline.
#[derive(Debug)]
pub struct Runs<'a, H> {
    host: &'a H,
    table: TableClient<'a, H>,
    queue: String,
    skipped: Skipped,
}

impl<'a, H: HttpClient + Clock + Randomness> Runs<'a, H> {
    /// Makes a client for the run lock and the shared data of `queue` in these tables. Each storage call ends
    /// by `deadline`.
    pub fn new(
        host: &'a H,
        account: &'a Account,
        tables: &'a Tables,
        queue: &str,
        deadline: Deadline,
    ) -> Self {
        let table = TableClient::new(host, account, &tables.runs, deadline);
        Self { host, table, queue: escape(queue), skipped: Skipped::default() }
    }

    /// The key of the first entity with unexpected content, e.g. a text in place of a number; `None` if there
    /// was no such entity so far.
    pub fn skipped(&self) -> Option<Key> {
        self.skipped.key()
    }

    /// Sets the greatest number of times that the client sends each storage call.
    #[must_use]
    pub fn with_attempts(self, attempts: u32) -> Self {
        Self { table: self.table.with_attempts(attempts), ..self }
    }

    /// The number of storage calls that the client has repeated so far.
    pub fn retries(&self) -> u32 {
        self.table.retries()
    }

    fn key(&self) -> Key {
        Key::new(&self.queue, "run")
    }

    /// Reads the state of the run lock, with one storage call.
    pub async fn read_lock(&self) -> Result<LockState, TableError> {
        let Some(found) = self.table.get(&self.key()).await? else {
            return Ok(LockState::Free(Box::default()));
        };
        let entity = &found.entity;
        self.skipped.check_types(
            entity,
            &["run", "why", "hosts", "figures"],
            &["version", "fence", "pausedUntil"],
        );
        if entity.int("version").is_some_and(|version| version > VERSION) {
            return Ok(LockState::Newer);
        }
        let number = entity.int("fence").unwrap_or_default();
        if !entity.str("run").unwrap_or_default().is_empty() && age(&found) < TERM + SLACK {
            return Ok(LockState::Held);
        }
        if let Some(reason) = active_pause(&found) {
            return Ok(LockState::Paused(reason));
        }
        let hosts = entity.str("hosts").unwrap_or_default().to_owned();
        let figures = entity.str("figures").unwrap_or_default().to_owned();
        let (left, ended) = (in_hand::read(entity), in_hand::read_ended(entity));
        let free = FreeLock { left, ended, hosts, figures, etag: Some(found.etag), number };
        Ok(LockState::Free(Box::new(free)))
    }

    /// Takes the lock; `None` if another run has taken the lock since [`Runs::read_lock`]. The messages in
    /// `free.left` stay in the record, because this run has them in hand now.
    pub async fn take_lock(&self, run: &str, free: &FreeLock) -> Result<Option<RunLock>, TableError> {
        let begun_at = self.host.monotonic();
        let number = free.number.saturating_add(1);
        let mut entity = Entity::new(self.key());
        fill(&mut entity, (run, number), &free.left, &free.ended, &free.hosts, &free.figures);
        let etag = match &free.etag {
            None => match self.table.insert(&entity).await? {
                Inserted::New(etag) => etag,
                Inserted::Exists => return Ok(None),
            },
            Some(etag) => match self.table.replace(&entity, etag).await? {
                Conditional::Done(etag) => etag,
                Conditional::Changed | Conditional::Gone => return Ok(None),
            },
        };
        let (ended, hosts, figures) = (free.ended.clone(), free.hosts.clone(), free.figures.clone());
        Ok(Some(RunLock { run: run.to_owned(), number, etag, confirmed_at: begun_at, ended, hosts, figures }))
    }

    /// Makes a prepared write; `None` if another run has taken the lock.
    pub async fn write(&self, write: LockWrite) -> Result<Option<Written>, TableError> {
        let begun_at = self.host.monotonic();
        let LockWrite { entity, etag, owner: (run, number) } = write;
        let entity = Entity { key: self.key(), ..entity };
        let mut written = self.table.replace(&entity, &etag).await?;
        // Perhaps the table service has done an earlier write of this run, but every response to that write
        // was lost. In this case, the ETag is outdated, but the record still names this run. So the code
        // writes again, with the record's ETag.
        if written == Conditional::Changed
            && let Some(found) = self.table.get(&entity.key).await?
            && found.entity.str("run") == Some(&run)
            && found.entity.int("fence") == Some(number)
        {
            written = self.table.replace(&entity, &found.etag).await?;
        }
        Ok(match written {
            Conditional::Done(etag) => Some(Written { etag, begun_at }),
            Conditional::Changed | Conditional::Gone => None,
        })
    }
}

/// The time since the record was written, by the service's clock.
fn age(found: &Found) -> Duration {
    (found.answered_at - found.written_at).to_std().unwrap_or_default()
}

/// The reason of the pause; `None` if the runs are not paused.
fn active_pause(found: &Found) -> Option<PauseReason> {
    let reason = PauseReason::from_word(found.entity.str("why")?)?;
    let until = DateTime::from_timestamp_millis(found.entity.int("pausedUntil")?)?;
    (until > found.answered_at && age(found) < LONGEST_PAUSE).then_some(reason)
}

#[cfg(test)]
mod tests;
