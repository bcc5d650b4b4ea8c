//! What the runs of one queue tell each other: which of them is at work and what it has in hand, and which messages other
//! messages wait for.
//!
//! One run at a time: it takes the record of the queue on the condition that nobody else has changed it meanwhile (its ETag),
//! and renews it while it works. A run that is killed renews no more; after nine seconds the next one takes over, and reads
//! what that one had. Whose time it is, is told by the service's clock alone: the `Date` of the answer, and the `Timestamp`
//! of the record.

mod in_hand;
mod lines;
mod withdrawals;

use std::time::Duration;

use chrono::{DateTime, Utc};
use platform::{Clock, Deadline, HttpClient, Randomness};
use storage_account::Account;
use storage_table::{Conditional, ETag, Entity, Found, Inserted, Key, TableClient, TableError, escape};

pub use in_hand::InHand;
pub use lines::StoredLine;
pub use withdrawals::{RECENTLY, Withdrawal, Withdrawals};

use crate::Tables;

/// A run that has not renewed its hold for that long starts nothing more.
const TERM: Duration = Duration::from_secs(7);
/// The hold is renewed after that long.
const RENEW_AFTER: Duration = Duration::from_secs(2);
/// Another run waits for so much longer, because the service tells its time in whole seconds.
const SLACK: Duration = Duration::from_secs(2);
/// A pause that somebody with a wrong clock has written ends all the same.
const LONGEST_PAUSE: Duration = Duration::from_secs(60 * 60);
const VERSION: i64 = 1;

/// Why nothing can be sent for now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    /// The bot's credentials are not taken.
    CredentialsRefused,
    /// The login host gave no token.
    NoToken,
}

impl Why {
    fn as_str(self) -> &'static str {
        match self {
            Self::CredentialsRefused => "credentialsRefused",
            Self::NoToken => "noToken",
        }
    }

    fn from_word(word: &str) -> Option<Self> {
        [Self::CredentialsRefused, Self::NoToken].into_iter().find(|why| why.as_str() == word)
    }
}

/// What a run finds that wants to begin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Look {
    /// Nobody is at work.
    Vacant(Vacancy),
    /// Another run is at work.
    Taken,
    /// Nobody may work for a while.
    Paused(Why),
}

/// That nobody was at work, and what the last run had in hand if it was killed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Vacancy {
    etag: Option<ETag>,
    fence: i64,
    /// What the last run had in hand and did not hand back.
    pub left: Vec<InHand>,
    /// The text that the last run stored with [`Hold::set_hosts`].
    pub hosts: String,
}

/// That this run is the one at work.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hold {
    run: String,
    fence: i64,
    etag: ETag,
    /// When the write was begun that confirmed it last, on the monotonic clock.
    confirmed_at: Duration,
    hosts: String,
}

/// What a run writes about itself. Made by [`Hold::telling`], and sent by [`Runs::write`].
#[derive(Debug)]
pub struct Telling {
    entity: Entity,
    etag: ETag,
    /// The hold of the run that writes.
    of: (String, i64),
}

/// That a [`Telling`] was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    etag: ETag,
    begun_at: Duration,
}

impl Hold {
    /// Whether no other run can be at work: nothing may be started otherwise.
    pub fn is_sure(&self, clock: &impl Clock) -> bool {
        clock.monotonic() < self.sure_until()
    }

    /// Until when no other run can be at work, on the monotonic clock, unless the hold is renewed.
    pub fn sure_until(&self) -> Duration {
        self.confirmed_at + TERM
    }

    /// When it has to be renewed, on the monotonic clock.
    pub fn renewal_due(&self) -> Duration {
        self.confirmed_at + RENEW_AFTER
    }

    /// Sets the text that every later write stores for the next run: which Connector hosts fail. At most 32 KiB.
    pub fn set_hosts(&mut self, hosts: String) {
        self.hosts = hosts;
    }

    /// Says what this run has in hand, and renews the hold. One at a time: each needs the ETag of the one before.
    pub fn telling(&self, in_hand: &[InHand]) -> Telling {
        self.state(&self.run, in_hand, None)
    }

    /// Gives the hold up. What could not be handed back is left to the next run.
    pub fn giving_up(&self, left: &[InHand]) -> Telling {
        self.state("", left, None)
    }

    /// Gives the hold up, and keeps every run away for a while.
    pub fn pausing(&self, left: &[InHand], why: Why, until: DateTime<Utc>) -> Telling {
        self.state("", left, Some((why, until)))
    }

    /// It was written.
    pub fn told(&mut self, told: Told) {
        (self.etag, self.confirmed_at) = (told.etag, told.begun_at);
    }

    fn state(&self, run: &str, in_hand: &[InHand], pause: Option<(Why, DateTime<Utc>)>) -> Telling {
        let mut entity = Entity::new(Key::new("", ""));
        fill(&mut entity, run, self.fence, in_hand, &self.hosts);
        if let Some((why, until)) = pause {
            entity.properties.insert("why".into(), why.as_str().into());
            entity.int64("pausedUntil", until.timestamp_millis());
        }
        Telling { entity, etag: self.etag.clone(), of: (self.run.clone(), self.fence) }
    }
}

fn fill(entity: &mut Entity, run: &str, fence: i64, in_hand: &[InHand], hosts: &str) {
    entity.properties.insert("version".into(), VERSION.into());
    entity.properties.insert("run".into(), run.into());
    entity.int64("fence", fence);
    in_hand::write(entity, in_hand);
    if !hosts.is_empty() {
        entity.properties.insert("hosts".into(), hosts.into());
    }
}

/// The records of one queue's runs, for the time until a deadline.
#[derive(Debug)]
pub struct Runs<'a, H> {
    host: &'a H,
    table: TableClient<'a, H>,
    queue: String,
}

impl<'a, H: HttpClient + Clock + Randomness> Runs<'a, H> {
    /// What the runs of this queue tell in these tables.
    pub fn new(
        host: &'a H,
        account: &'a Account,
        tables: &'a Tables,
        queue: &str,
        deadline: Deadline,
    ) -> Self {
        Self { host, table: TableClient::new(host, account, &tables.runs, deadline), queue: escape(queue) }
    }

    /// How many calls were repeated so far.
    pub fn retries(&self) -> u32 {
        self.table.retries()
    }

    fn key(&self) -> Key {
        Key::new(&self.queue, "run")
    }

    /// Looks whether anybody is at work. One call.
    pub async fn look(&self) -> Result<Look, TableError> {
        let Some(found) = self.table.get(&self.key()).await? else {
            return Ok(Look::Vacant(Vacancy::default()));
        };
        let entity = &found.entity;
        let fence = entity.int("fence").unwrap_or_default();
        if !entity.str("run").unwrap_or_default().is_empty() && age(&found) < TERM + SLACK {
            return Ok(Look::Taken);
        }
        if let Some(why) = pause(&found) {
            return Ok(Look::Paused(why));
        }
        let hosts = entity.str("hosts").unwrap_or_default().to_owned();
        Ok(Look::Vacant(Vacancy { left: in_hand::read(entity), hosts, etag: Some(found.etag), fence }))
    }

    /// Takes the hold, unless another run was quicker. What is left stays in the record: this run has it in hand now.
    pub async fn take(&self, run: &str, vacancy: &Vacancy) -> Result<Option<Hold>, TableError> {
        let begun_at = self.host.monotonic();
        let fence = vacancy.fence.saturating_add(1);
        let mut entity = Entity::new(self.key());
        fill(&mut entity, run, fence, &vacancy.left, &vacancy.hosts);
        let etag = match &vacancy.etag {
            None => match self.table.insert(&entity).await? {
                Inserted::New(etag) => etag,
                Inserted::Exists => return Ok(None),
            },
            Some(etag) => match self.table.replace(&entity, etag).await? {
                Conditional::Done(etag) => etag,
                Conditional::Changed | Conditional::Gone => return Ok(None),
            },
        };
        let hosts = vacancy.hosts.clone();
        Ok(Some(Hold { run: run.to_owned(), fence, etag, confirmed_at: begun_at, hosts }))
    }

    /// Writes what a run says of itself. `None`: another run has taken over.
    pub async fn write(&self, telling: Telling) -> Result<Option<Told>, TableError> {
        let begun_at = self.host.monotonic();
        let Telling { entity, etag, of: (run, fence) } = telling;
        let entity = Entity { key: self.key(), ..entity };
        let mut written = self.table.replace(&entity, &etag).await?;
        // An earlier write of this run may have been done although all its answers were lost: then the record is newer than
        // the run knows, and still the run's own.
        if written == Conditional::Changed
            && let Some(found) = self.table.get(&entity.key).await?
            && found.entity.str("run") == Some(&run)
            && found.entity.int("fence") == Some(fence)
        {
            written = self.table.replace(&entity, &found.etag).await?;
        }
        Ok(match written {
            Conditional::Done(etag) => Some(Told { etag, begun_at }),
            Conditional::Changed | Conditional::Gone => None,
        })
    }
}

/// How old the record is, by the service's clock.
fn age(found: &Found) -> Duration {
    (found.answered_at - found.written_at).to_std().unwrap_or_default()
}

/// The pause that is not over.
fn pause(found: &Found) -> Option<Why> {
    let why = Why::from_word(found.entity.str("why")?)?;
    let until = DateTime::from_timestamp_millis(found.entity.int("pausedUntil")?)?;
    (until > found.answered_at && age(found) < LONGEST_PAUSE).then_some(why)
}

#[cfg(test)]
mod tests;
