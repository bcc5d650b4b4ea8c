//! How many messages of a conversation are answered in a minute: two programs that answer each other never stop.
//!
//! Each answer takes one of so many rows of its conversation and minute, in the partition of the alert's record and in the
//! same transaction. So every replica counts the same answers, and counting costs no call of its own. Only a message that
//! finds its row taken asks which ones are free. If none is, the conversation hears nothing for the rest of the minute and
//! in the next one: an answer that is on its way then meets silence too, and the other side's last word is the last word.

use std::collections::BTreeMap;

use chrono::TimeDelta;
use platform::{Clock, HttpClient, Randomness, Settings, SettingsError, name_of};
use storage_table::{Batch, Entity, Filter, Inserted, Key, Operation, Query, TableError};

use super::key::partition;
use super::{Accepted, Ledger, NewAlert, Period, done};
use crate::ConversationKey;

/// The most answers of a minute that can be counted: one batch takes the next minute's rows.
const MOST: u8 = 100;

const DEFAULT: u8 = 20;

/// How often a row is looked for that nobody else takes at the same time.
const ATTEMPTS: usize = 10;

/// How long it is known that something was answered that no record speaks of.
const KNOWN_FOR: TimeDelta = TimeDelta::days(1);

/// In a row that stands for silence.
const SILENT: &str = "silent";

/// How many messages of one conversation are answered in a minute; 0 is no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Allowance(u8);

/// Whether a message is answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Allowed<T> {
    /// It is.
    Yes(T),
    /// The conversation has had its answers.
    No {
        /// Whether this message is the one that began the silence.
        begins: bool,
    },
}

impl Allowance {
    /// How many; `None` if there is no limit.
    pub fn limit(self) -> Option<u8> {
        Some(self.0).filter(|answers| *answers > 0)
    }

    /// The variable `answersperminute`.
    pub fn read(settings: &impl Settings) -> Result<Self, SettingsError> {
        const NAME: &str = "answersperminute";
        match settings.setting(NAME)?.trim() {
            "" => Ok(Self(DEFAULT)),
            text => text.parse().ok().filter(|answers| *answers <= MOST).map(Self).ok_or_else(|| {
                let problem = format!("must be a whole number up to {MOST}; 0 is no limit");
                SettingsError::new(NAME, problem)
            }),
        }
    }
}

/// The rows of a conversation's answers in one minute.
struct Minute<'m> {
    partition: &'m str,
    conversation: &'m str,
    /// Since 1970.
    number: i64,
    rows: u8,
}

impl Minute<'_> {
    fn next(&self) -> Self {
        Self { number: self.number + 1, ..*self }
    }

    /// How the names of its rows begin.
    fn prefix(&self) -> String {
        format!("answer.{}.{:09}.", self.conversation, self.number)
    }

    fn row(&self, index: u8) -> Entity {
        let key = Key::new(self.partition, format!("{}{index:02}", self.prefix()));
        Entity::new(key).with_int64("endsAt", (self.number + 1) * 60_000)
    }
}

/// What became of an attempt to take a row.
enum Counted {
    Yes,
    /// The record was there already, and nothing was written.
    RecordExists,
    No {
        begins: bool,
    },
}

impl<H: HttpClient + Clock + Randomness> Ledger<'_, H> {
    /// Accepts what a person said, unless it was accepted before, or the conversation has had its answers.
    pub async fn accept_message(
        &self,
        alert: &NewAlert,
        allowance: Allowance,
    ) -> Result<Allowed<Accepted>, TableError> {
        if allowance.0 == 0 {
            return self.accept(alert).await.map(Allowed::Yes);
        }
        let key = self.key_of(&alert.id)?;
        let record = alert.entity(&key, self.host.now());
        match self.take_row(Some(&record), key.partition(), &alert.conversation, allowance).await? {
            Counted::Yes => Ok(Allowed::Yes(Accepted::New)),
            Counted::RecordExists => self.accepted_before(&key).await.map(Allowed::Yes),
            Counted::No { begins } => Ok(Allowed::No { begins }),
        }
    }

    /// Counts an answer to something that is no alert.
    pub async fn count_answer(
        &self,
        conversation: &ConversationKey,
        allowance: Allowance,
    ) -> Result<Allowed<()>, TableError> {
        if allowance.0 == 0 {
            return Ok(Allowed::Yes(()));
        }
        let partition = partition(Period::of(self.host.now()), conversation.digit());
        match self.take_row(None, &partition, conversation.as_str(), allowance).await? {
            Counted::Yes | Counted::RecordExists => Ok(Allowed::Yes(())),
            Counted::No { begins } => Ok(Allowed::No { begins }),
        }
    }

    /// Counts the answer to something that is no alert and is answered once, however often it comes: `what` names it in its
    /// conversation. Whether it is answered now.
    pub async fn count_answer_once(
        &self,
        conversation: &ConversationKey,
        what: &str,
        allowance: Allowance,
    ) -> Result<Allowed<bool>, TableError> {
        let now = self.host.now();
        let partition = partition(Period::of(now), conversation.digit());
        let mark = Key::new(&partition, format!("once.{}", name_of(&[conversation.as_str(), what])));
        let mark = Entity::new(mark).with_int64("endsAt", (now + KNOWN_FOR).timestamp_millis());
        if allowance.0 == 0 {
            let is_new = matches!(self.table.insert(&mark).await?, Inserted::New(_));
            return Ok(Allowed::Yes(is_new));
        }
        Ok(match self.take_row(Some(&mark), &partition, conversation.as_str(), allowance).await? {
            Counted::Yes => Allowed::Yes(true),
            Counted::RecordExists => Allowed::Yes(false),
            Counted::No { begins } => Allowed::No { begins },
        })
    }

    /// Takes a row of this minute, together with the record.
    async fn take_row(
        &self,
        record: Option<&Entity>,
        partition: &str,
        conversation: &str,
        Allowance(rows): Allowance,
    ) -> Result<Counted, TableError> {
        let number = self.host.now().timestamp() / 60;
        let minute = Minute { partition, conversation, number, rows };
        let mut index = self.any(rows);
        for _ in 0..ATTEMPTS {
            let row = minute.row(index);
            let is_taken = match record {
                None => self.table.insert(&row).await? == Inserted::Exists,
                Some(record) => {
                    match self.table.batch(&[Operation::Insert(record), Operation::Insert(&row)]).await? {
                        Batch::Refused { index: 0, status: 409, .. } => return Ok(Counted::RecordExists),
                        Batch::Refused { status: 409, .. } => true,
                        batch => {
                            done(batch)?;
                            false
                        }
                    }
                }
            };
            if !is_taken {
                return Ok(Counted::Yes);
            }
            let known = self.rows_of(&minute).await?;
            let is_free = |index: &u8| !known.contains_key(&minute.row(*index).key.row);
            let free: Vec<u8> = (0..rows).filter(is_free).collect();
            let count = u8::try_from(free.len()).unwrap_or(rows);
            match free.get(usize::from(self.any(count))) {
                Some(another) => index = *another,
                None => return Ok(Counted::No { begins: self.silence(&minute, &known).await }),
            }
        }
        Err(TableError::Busy { status: 409, code: "EntityAlreadyExists".into(), retry_after_seconds: None })
    }

    /// The rows of this minute and the next one, and whether each stands for silence.
    async fn rows_of(&self, minute: &Minute<'_>) -> Result<BTreeMap<String, bool>, TableError> {
        let (from, to) = (minute.prefix(), minute.next().next().prefix());
        let filter = Filter::partition(minute.partition).rows(&from, &to);
        let query = Query { filter, top: 1000, select: vec![SILENT] };
        let (mut known, mut next) = (BTreeMap::new(), None);
        loop {
            let page = self.table.query(&query, next.as_ref()).await?;
            known.extend(page.entities.into_iter().map(|row| {
                let is_silent = row.bool(SILENT) == Some(true);
                (row.key.row, is_silent)
            }));
            match page.next {
                Some(page) => next = Some(page),
                None => return Ok(known),
            }
        }
    }

    /// Takes the free rows of the next minute, unless that was done before, or this minute is silent itself: then the silence
    /// ends with it. Whether this call did it. If the call fails, the next minute stays as it is.
    async fn silence(&self, minute: &Minute<'_>, known: &BTreeMap<String, bool>) -> bool {
        let next = minute.next();
        let has = |minute: &Minute<'_>, silent: bool| {
            known.iter().any(|(row, is_silent)| row.starts_with(&minute.prefix()) && *is_silent == silent)
        };
        if !has(minute, false) || has(&next, true) {
            return false;
        }
        let rows = (0..next.rows).map(|index| next.row(index).with(SILENT, true));
        let rows: Vec<Entity> = rows.filter(|row| !known.contains_key(&row.key.row)).collect();
        let operations: Vec<_> = rows.iter().map(Operation::Insert).collect();
        !matches!(self.table.batch(&operations).await, Ok(Batch::Refused { .. }))
    }

    /// A random one of so many.
    fn any(&self, count: u8) -> u8 {
        u8::try_from(self.host.up_to(count.saturating_sub(1).into())).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests;
