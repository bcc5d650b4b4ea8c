//! The limit on the bot's replies to the messages of one conversation in a minute. Without this limit, the
//! bot and another program could reply to each other forever.
//!
//! For each minute, a conversation has a fixed number of row keys. For each reply, the bot chooses one of
//! these keys at random, and inserts a row with this key. A key is *free* as long as no row has this key. If
//! the chosen key is not free, the bot reads which keys are free, and chooses one of them.
//!
//! The rows are in a table, so all replicas (running instances) of the bot share one count. If the bot
//! makes an alert from a person's message, one transaction inserts the alert's record and the row of the
//! reply. So the row costs no additional storage call.
//!
//! If no key is free, the bot makes the conversation *silent*: the bot sends no reply until the end of the
//! next minute. The end of this minute would be too early, because the other program can react late to the
//! last reply. If the bot replied to this reaction, the two programs would go on.

use std::collections::BTreeMap;

use chrono::TimeDelta;
use platform::{Clock, HttpClient, Randomness, Settings, SettingsError, name_of};
use storage_table::{Batch, Entity, Filter, Inserted, Key, Operation, Query, TableError};

use super::key::partition;
use super::unasked::{Unasked, mark_of};
use super::{Accepted, Ledger, NewAlert, Period, batch_result, index};
use crate::ConversationKey;

/// The greatest value of the variable `repliesperminute`, which sets the limit. To make the next minute
/// silent, the bot inserts all rows of the next minute in one batch. The table service accepts at most 100
/// operations in a batch.
const MAX_REPLIES: u8 = 100;

const DEFAULT_REPLIES: u8 = 20;

/// The maximum number of attempts to insert a row for a reply. An attempt fails if another reply already has
/// the chosen row key.
const MAX_ATTEMPTS: usize = 10;

/// How long the ledger keeps the row `once.<hash>`. The hash stands for an activity of a conversation. The
/// row shows that the bot has already replied to this activity. If the channel sends the activity again, the
/// bot sends no further reply.
const ONCE_KEPT: TimeDelta = TimeDelta::days(1);

/// The property that marks the rows of a silent minute. These rows use up the keys of the minute, so no key
/// is free for a reply.
const SILENT: &str = "silent";

/// The most messages of one conversation that get a reply within a minute; 0 means no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Allowance(u8);

/// Whether the bot is allowed to reply to an activity, such as a person's message. `T` is a further result of
/// the method that counts the reply.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Allowed<T> {
    /// The bot is allowed to reply.
    Yes(T),
    /// The conversation has reached the limit, or is silent.
    No {
        /// Whether this message made the conversation silent.
        begins: bool,
    },
}

impl Allowance {
    /// The number of replies a minute; `None` if there is no limit.
    pub fn limit(self) -> Option<u8> {
        Some(self.0).filter(|replies| *replies > 0)
    }

    /// Reads the limit from the variable `repliesperminute`.
    pub fn read(settings: &impl Settings) -> Result<Self, SettingsError> {
        const NAME: &str = "repliesperminute";
        match settings.setting(NAME)?.trim() {
            "" => Ok(Self(DEFAULT_REPLIES)),
            text => text.parse().ok().filter(|replies| *replies <= MAX_REPLIES).map(Self).ok_or_else(|| {
                let problem = format!("expected a whole number from 0 (no limit) to {MAX_REPLIES}");
                SettingsError::new(NAME, problem)
            }),
        }
    }
}

/// The rows for a conversation's replies in one minute.
struct Minute<'m> {
    partition: &'m str,
    conversation: &'m str,
    /// The number of the minute, counted from 1970.
    number: i64,
    /// The limit: the number of row keys of the minute.
    rows: u8,
}

impl Minute<'_> {
    fn next(&self) -> Self {
        Self { number: self.number + 1, ..*self }
    }

    /// The prefix of the minute's row keys. The prefix begins with `answer`, because earlier versions of the
    /// bot use this word. So instances of old and new versions share one count.
    fn prefix(&self) -> String {
        format!("answer.{}.{:09}.", self.conversation, self.number)
    }

    fn row(&self, index: u8) -> Entity {
        let key = Key::new(self.partition, format!("{}{index:02}", self.prefix()));
        Entity::new(key).with_int64("endsAt", (self.number + 1) * 60_000)
    }
}

/// The result of counting a reply.
enum Counted {
    /// The reply is within the limit.
    Yes,
    /// The alert's record, or the row `once.<hash>`, exists already. Nothing was written.
    RecordExists,
    /// The ledger has no mark of the conversation. The *mark* is a row that shows that no earlier alert waits
    /// for the person's answer to a question (see [`Unasked`]). Nothing was written.
    NoMark,
    /// The conversation has reached the limit, or is silent. `begins` is explained at [`Allowed::No`].
    No { begins: bool },
}

impl<H: HttpClient + Clock + Randomness> Ledger<'_, H> {
    /// Accepts a person's message: inserts the record of the alert that the bot makes from the message, and
    /// counts the reply. If the message was accepted before, writes nothing, and returns [`Accepted::Known`].
    /// If the conversation has reached its limit or is silent, returns [`Allowed::No`].
    ///
    /// A question is *open* if an earlier alert waits for the person's answer to the question. If the caller
    /// does not know whether a question is open in the conversation, the caller passes [`Unasked::Perhaps`].
    /// Then this method looks for the *mark* of the conversation: a row of the ledger that shows that no
    /// question is open. If the ledger has no mark, this method writes nothing and returns `None`. The caller
    /// then has to read the conversation's record, and look for an open question.
    pub async fn accept_message(
        &self,
        alert: &NewAlert,
        allowance: Allowance,
        unasked: Unasked,
    ) -> Result<Option<Allowed<Accepted>>, TableError> {
        let key = self.key_of(&alert.id)?;
        let now = self.host.now();
        let record = alert.entity(&key, now);
        let row = index::row_for(std::slice::from_ref(alert), &key, now);
        let mark = mark_of(key.partition(), &alert.conversation, now);
        let mut with = vec![Operation::Insert(&record)];
        with.extend(row.as_ref().map(Operation::Insert));
        with.extend(unasked.operation(&mark));
        Ok(Some(match self.count(&with, key.partition(), &alert.conversation, allowance).await? {
            Counted::Yes => Allowed::Yes(Accepted::New),
            Counted::RecordExists => Allowed::Yes(self.accepted_before(&key).await?),
            Counted::NoMark => return Ok(None),
            Counted::No { begins } => Allowed::No { begins },
        }))
    }

    /// Counts the reply to an activity that does not become an alert.
    pub async fn count_reply(
        &self,
        conversation: &ConversationKey,
        allowance: Allowance,
    ) -> Result<Allowed<()>, TableError> {
        if allowance.0 == 0 {
            return Ok(Allowed::Yes(()));
        }
        let partition = partition(Period::of(self.host.now()), conversation.digit());
        match self.count(&[], &partition, conversation.as_str(), allowance).await? {
            Counted::Yes | Counted::RecordExists | Counted::NoMark => Ok(Allowed::Yes(())),
            Counted::No { begins } => Ok(Allowed::No { begins }),
        }
    }

    /// Counts the reply to an activity that does not become an alert. The bot must reply only once, even if
    /// the channel sends the activity again. `what` identifies the activity in its conversation. The value in
    /// [`Allowed::Yes`] says whether the reply is new: `false` if the reply was counted before.
    pub async fn count_reply_once(
        &self,
        conversation: &ConversationKey,
        what: &str,
        allowance: Allowance,
    ) -> Result<Allowed<bool>, TableError> {
        let now = self.host.now();
        let partition = partition(Period::of(now), conversation.digit());
        let key = Key::new(&partition, format!("once.{}", name_of(&[conversation.as_str(), what])));
        let once_row = Entity::new(key).with_int64("endsAt", (now + ONCE_KEPT).timestamp_millis());
        let with = [Operation::Insert(&once_row)];
        Ok(match self.count(&with, &partition, conversation.as_str(), allowance).await? {
            Counted::Yes => Allowed::Yes(true),
            Counted::RecordExists | Counted::NoMark => Allowed::Yes(false),
            Counted::No { begins } => Allowed::No { begins },
        })
    }

    /// Inserts a row of the current minute, and performs the operations `with`, in one transaction. If there
    /// is no limit, performs only the operations `with`. The first of these operations inserts the alert's
    /// record, or the row `once.<hash>`. If `with` is empty, inserts only the row of the minute.
    async fn count(
        &self,
        with: &[Operation<'_>],
        partition: &str,
        conversation: &str,
        Allowance(rows): Allowance,
    ) -> Result<Counted, TableError> {
        let number = self.host.now().timestamp() / 60;
        let minute = Minute { partition, conversation, number, rows };
        let mut index = self.random_below(rows);
        for _ in 0..MAX_ATTEMPTS {
            let row = minute.row(index);
            let row_exists = match with {
                [] => self.table.insert(&row).await? == Inserted::Exists,
                with => {
                    let mut operations = with.to_vec();
                    if rows > 0 {
                        operations.push(Operation::Insert(&row));
                    }
                    match self.table.batch(&operations).await? {
                        Batch::Refused { index: 0, status: 409, .. } => return Ok(Counted::RecordExists),
                        Batch::Refused { status: 409, .. } => true,
                        Batch::Refused { index: 1.., status: 404, .. } => return Ok(Counted::NoMark),
                        batch => {
                            batch_result(batch)?;
                            false
                        }
                    }
                }
            };
            if !row_exists {
                return Ok(Counted::Yes);
            }
            let known = self.rows_of(&minute).await?;
            let is_free = |index: &u8| !known.contains_key(&minute.row(*index).key.row);
            let free: Vec<u8> = (0..rows).filter(is_free).collect();
            let count = u8::try_from(free.len()).unwrap_or(rows);
            match free.get(usize::from(self.random_below(count))) {
                Some(free) => index = *free,
                None => return Ok(Counted::No { begins: self.silence(&minute, &known).await }),
            }
        }
        Err(TableError::Busy { status: 409, code: "EntityAlreadyExists".into(), retry_after_seconds: None })
    }

    /// Reads the rows of this minute and of the next minute. Returns for each row key whether the row has
    /// [`SILENT`].
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

    /// Makes the next minute silent: for each free key of the next minute, inserts a row with [`SILENT`].
    /// Inserts nothing in two cases:
    ///
    /// - The next minute already has silent rows.
    /// - All rows of this minute are silent. The silence began in the previous minute, and ends with this
    ///   minute.
    ///
    /// Returns whether the silence begins now. In the two cases above, the result is `false`. The result is
    /// also `false` if the table service refuses the rows, e.g. because another replica has just inserted
    /// them. If the storage call fails, the bot does not know whether the next minute is silent. Then the
    /// result is `true`.
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

    /// Returns a random number from 0 to `count` - 1.
    fn random_below(&self, count: u8) -> u8 {
        u8::try_from(self.host.up_to(count.saturating_sub(1).into())).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests;
