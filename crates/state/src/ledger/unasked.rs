//! The marks of conversations that have no open question. An alert can ask a question. The question is *open*
//! if the person's next text would answer the question. The *mark* of a conversation is a row of the ledger
//! (the table with the records of alerts and of persons' messages). The mark says that the conversation has
//! no open question. Its row key is `unasked.<key>`, where `<key>` is the conversation's key.
//!
//! The open question itself is not in the ledger. It is in the conversation's record, which is in another
//! table. This record also stores the conversation's address.
//!
//! Each *replica* (running instance) of the bot has a key-value store. There, the replica keeps a
//! *fingerprint* of each conversation: hashes of the parts of the address, and the day of the last activity.
//! When a person's message arrives, the replica compares the address in the message, and the day, with the
//! fingerprint. If they match, the message would not change the conversation's record. So the replica does
//! not read this record.
//!
//! But the replica has to find an open question in the record. When the poller delivers a question that a
//! text can answer, the poller writes the question into the conversation's record. Then the poller deletes
//! the fingerprint in its own key-value store. A replica without a fingerprint reads the record. But a
//! replica can use another key-value store than the poller. Such a replica still has its fingerprint, so it
//! would not read the record.
//!
//! With the mark, such a replica also finds the question. If the mark exists, a message costs no additional
//! storage call:
//!
//! 1. When the poller delivers a question that a text can answer, the poller deletes the mark.
//! 2. When a person's message arrives, the replica inserts a record of the message into the ledger. If the
//!    message matches the fingerprint, the same transaction renews the mark. The transaction fails if the
//!    mark is missing.
//! 3. If the transaction has failed, the replica reads the conversation's record, and finds the question.
//!
//! The first message of each day never matches the fingerprint, because the fingerprint contains the day. So
//! the replica reads the conversation's record. If this record has no open question, the replica writes the
//! mark in the same transaction as the record of the message.
//!
//! Some milliseconds pass between this read and this transaction. If the poller delivers a question in this
//! time, the message is not an answer, because no person answers so fast. But the transaction writes the mark
//! although a question is open now. Then the replica finds the question on the next day, when it reads the
//! conversation's record again.

use std::collections::BTreeSet;

use chrono::{DateTime, TimeDelta, Utc};
use futures_util::future::try_join_all;
use platform::{Clock, HttpClient, Randomness};
use storage_table::{Entity, Key, Operation, TableError};

use super::key::partition;
use super::terms::KEPT;
use super::{Ledger, Period};
use crate::ConversationKey;

/// The limit for the difference between the time in a person's activity and the bot's clock. If the
/// difference is less, the bot uses the time in the activity for the message's record. Otherwise, the bot
/// uses its own time.
///
/// The time that the bot uses determines the *period* (eight days) of the message's record. Each period has
/// its own partitions, and the mark is in the partition of the message's record. So
/// [`Ledger::delete_unasked_mark`] deletes the mark in the period of every time within the limit.
const MAX_AWAY: TimeDelta = TimeDelta::days(2);

/// Whether the bot knows that a conversation has no open question. The bot passes this value to
/// [`Ledger::accept_message`]. That method inserts the record of a person's message with a transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unasked {
    /// The bot has not read the conversation's record, e.g. because the message matches the fingerprint. So
    /// perhaps a question is open, and the transaction succeeds only if the mark exists.
    Perhaps,
    /// The bot has read the conversation's record, and the record has no open question. The transaction
    /// writes the mark.
    Surely,
    /// The message cannot be the answer to an open question, e.g. because it is in a group. The transaction
    /// neither needs nor writes the mark.
    Ignored,
}

/// Makes the row of a conversation's mark, but does not write the row.
pub(super) fn mark_of(partition: &str, conversation: &str, now: DateTime<Utc>) -> Entity {
    let entity = Entity::new(Key::new(partition, format!("unasked.{conversation}")));
    entity.with_int64("endsAt", (now + KEPT).timestamp_millis())
}

impl Unasked {
    /// Returns the operation that the transaction of [`Ledger::accept_message`] performs on the mark; `None`
    /// if there is no such operation.
    pub(super) fn operation(self, mark: &Entity) -> Option<Operation<'_>> {
        match self {
            Self::Perhaps => Some(Operation::Merge(mark, None)),
            Self::Surely => Some(Operation::Put(mark)),
            Self::Ignored => None,
        }
    }
}

impl<H: HttpClient + Clock + Randomness> Ledger<'_, H> {
    /// Deletes the mark of a conversation, so that every replica reads the conversation's record when the
    /// person's next message arrives.
    pub async fn delete_unasked_mark(&self, conversation: &ConversationKey) -> Result<(), TableError> {
        let now = self.host.now();
        let periods: BTreeSet<_> = [now - MAX_AWAY, now + MAX_AWAY].map(Period::of).into();
        let delete = async |period: Period| {
            let partition = partition(period, conversation.digit());
            let mark = mark_of(&partition, conversation.as_str(), now);
            self.table.delete(&mark.key, None).await
        };
        try_join_all(periods.into_iter().map(delete)).await.map(drop)
    }
}

#[cfg(test)]
mod tests {
    use platform::testing::run;
    use platform::{Clock, name_of};

    use super::super::{Accepted, AlertId, Allowance, Allowed, NewAlert};
    use super::*;
    use crate::world::World;

    const NEW: Option<Allowed<Accepted>> = Some(Allowed::Yes(Accepted::New));

    fn key() -> ConversationKey {
        ConversationKey::parse(&name_of(&["msteams", "a:1"])).unwrap()
    }

    fn message(sent_at: DateTime<Utc>, activity: &str) -> NewAlert {
        NewAlert::queued(AlertId::of_activity(sent_at, &key(), activity), key().as_str())
    }

    #[test]
    fn message_with_unasked_perhaps_is_accepted_only_while_the_mark_exists() {
        for allowance in ["", "0"] {
            let world = World::new();
            world.host.settings.borrow_mut().insert("repliesperminute".into(), allowance.into());
            let allowance = Allowance::read(&*world.host).unwrap();
            let message = |activity: &str| message(world.host.now(), activity);
            let accept = |activity: &str, unasked| {
                run(world.ledger().accept_message(&message(activity), allowance, unasked)).unwrap()
            };
            assert_eq!(accept("1", Unasked::Perhaps), None, "there is no mark yet");
            assert_eq!(accept("1", Unasked::Surely), NEW, "the refused transaction wrote nothing");
            let calls = world.host.sent.borrow().len();
            assert_eq!(accept("2", Unasked::Perhaps), NEW);
            assert_eq!(world.host.sent.borrow().len(), calls + 1, "the mark costs no additional call");
            run(world.ledger().delete_unasked_mark(&key())).unwrap();
            run(world.ledger().delete_unasked_mark(&key())).unwrap();
            assert_eq!(accept("3", Unasked::Perhaps), None);
            assert_eq!(accept("3", Unasked::Ignored), NEW);
            assert_eq!(accept("4", Unasked::Perhaps), None);
        }
    }

    #[test]
    fn mark_is_deleted_in_each_period_in_which_the_bot_can_accept_a_message() {
        let world = World::new();
        let allowance = Allowance::read(&*world.host).unwrap();
        let (begin, day) = (world.host.now(), TimeDelta::days(1));
        for days in 0..9 {
            world.host.elapsed.set((day * days).to_std().unwrap());
            let times = [-2, -1, 0, 1, 2].map(|away| begin + day * (days + away));
            for time in times {
                let message = message(time, &format!("{days}"));
                run(world.ledger().accept_message(&message, allowance, Unasked::Surely)).unwrap();
            }
            run(world.ledger().delete_unasked_mark(&key())).unwrap();
            for time in times {
                let message = message(time, &format!("later {days}"));
                assert_eq!(
                    run(world.ledger().accept_message(&message, allowance, Unasked::Perhaps)),
                    Ok(None),
                    "{time}"
                );
            }
        }
    }
}
