//! The open question of a conversation: a question that an alert has asked, and that a person can answer with
//! a text.
//!
//! In a personal chat, the person's next text is the answer. The properties `asked` and `askedUntil` of the
//! conversation's record hold the id of the alert and the time at which the question ends.
//!
//! The bot reads the record only if the conversation's [`Fingerprint`](super::Fingerprint) (hashes of the
//! record) is missing, or does not match an activity. So when the poller writes an open question into the
//! record, the poller deletes the fingerprint. Then the bot reads the record when the person's next message
//! arrives. Another replica (running instance) of the bot can still have the fingerprint in its own key-value
//! store. This replica learns from the ledger (the table with a record of each alert) that perhaps a question
//! is open ([`Unasked`](crate::ledger::Unasked)).
//!
//! In a channel of Teams, people answer in the thread of the chat message that asks the question. For this
//! chat message, the table has the row `<key>.r.<message id>`, where `<key>` is the key of the channel's
//! conversation. The row counts the replies in the thread, and holds the id of the alert that asks the
//! question.
//!
//! If no question is open, the bot makes no additional storage call to find this out. In a personal chat, the
//! fingerprint shows that the bot need not read the record. In a thread, the bot reads the row of the chat
//! message anyway, because the bot counts each reply.

use bot_framework::ConversationReference;
use chrono::{DateTime, Utc};
use platform::Host;
use storage_table::{Conditional, Entity};

use super::key::{ConversationKey, Row};
use super::message_number::MessageNumber;
use super::record::{Stored, key_of};
use super::rows::open_question::{ASKED_UNTIL, OpenQuestion};
use super::{ATTEMPTS, Conversations};
use crate::StateError;

impl<H: Host> Conversations<'_, H> {
    /// Records the open question of a personal chat: the person's next text answers the question of `alert`.
    /// The question ends at the time `until`. If the bot does not know the conversation, the method writes
    /// nothing.
    pub async fn open_question(
        &self,
        reference: &ConversationReference,
        alert: &str,
        until: DateTime<Utc>,
    ) -> Result<(), StateError> {
        let key = ConversationKey::of(reference);
        for _ in 0..ATTEMPTS {
            let (Stored::Record(_), Some(etag)) = self.record_of(&key).await? else { return Ok(()) };
            let entity = OpenQuestion::entity(key_of(&key, &Row::Record), alert, until);
            match self.table.merge(&entity, Some(&etag)).await? {
                Conditional::Done(_) => {}
                Conditional::Changed => continue,
                // The conversation was forgotten in the meantime, so the record is not written again.
                Conditional::Gone => return Ok(()),
            }
            self.delete_fingerprint(&key).await;
            return Ok(());
        }
        Err(StateError::Contended { attempts: ATTEMPTS })
    }

    /// Reads the record of a personal chat, and returns the alert whose question is open. If a question is
    /// open, the method also deletes the fingerprint, so that the bot reads the record at the person's next
    /// message.
    pub async fn asked(&self, key: &ConversationKey) -> Result<Option<String>, StateError> {
        let (Stored::Record(record), _) = self.record_of(key).await? else { return Ok(None) };
        let asked = record.asked.as_ref().and_then(|asked| asked.alert_if_open(self.host.now()));
        if asked.is_some() {
            self.delete_fingerprint(key).await;
        }
        Ok(asked.map(str::to_owned))
    }

    /// Records the open question of a thread: a reply in the thread of `message` answers the question of
    /// `alert`.
    pub async fn open_question_in_thread(
        &self,
        channel: &ConversationKey,
        message: MessageNumber,
        alert: &str,
        until: DateTime<Utc>,
    ) -> Result<(), StateError> {
        let entity = OpenQuestion::entity(key_of(channel, &Row::Responses(message)), alert, until);
        // The row expires when the question ends. A later reaction or reply sets `endsAt` again.
        self.table.put_merge(&entity.with_int64("endsAt", until.timestamp_millis())).await?;
        Ok(())
    }

    /// Ends the open question of a personal chat if `alert` asked this question.
    pub async fn close_question(&self, key: &ConversationKey, alert: &str) -> Result<(), StateError> {
        let row = key_of(key, &Row::Record);
        let Some(found) = self.table.get(&row).await? else { return Ok(()) };
        if OpenQuestion::of(&found.entity).is_none_or(|open| open.alert != alert) {
            return Ok(());
        }
        // The merge cannot remove a property, so zero ends the question.
        let entity = Entity::new(row).with_int64(ASKED_UNTIL, 0);
        // If another writer has changed the record in the meantime, the merge writes nothing, and the method
        // does not try again. The question then ends at the time `askedUntil`.
        self.table.merge(&entity, Some(&found.etag)).await?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;
    use platform::testing::run;
    use platform::{Clock, KeyValue};

    use super::super::testing::{Stage, key, with};
    use super::super::{Recorded, Response, Sign, fingerprint_key};
    use super::*;

    fn asked(alert: &str) -> Recorded {
        Recorded::Asked { alert: alert.into() }
    }

    #[test]
    fn open_question_is_found_by_each_message_until_the_question_ends() {
        let stage = Stage::new();
        stage.record_activity(&with(|_| {}), Sign::Message);
        run(stage.host.set(&fingerprint_key(&key()), b"x")).unwrap();
        let until = stage.host.now() + TimeDelta::seconds(60);
        run(stage.conversations().open_question(&with(|_| {}), "a", until)).unwrap();
        assert_eq!(run(stage.host.get(&fingerprint_key(&key()))), Ok(None));
        for _ in 0..2 {
            assert_eq!(stage.record_activity(&with(|_| {}), Sign::Message), asked("a"));
        }
        // The key-value store now stands for the store of another replica, which still has the fingerprint.
        run(stage.host.set(&fingerprint_key(&key()), b"x")).unwrap();
        assert_eq!(run(stage.conversations().asked(&key())), Ok(Some("a".into())));
        assert_eq!(run(stage.host.get(&fingerprint_key(&key()))), Ok(None));
        // A newer question replaces the older question. Closing the question of the older alert does not
        // close the newer question.
        run(stage.conversations().open_question(&with(|_| {}), "b", until)).unwrap();
        run(stage.conversations().close_question(&key(), "a")).unwrap();
        assert_eq!(stage.record_activity(&with(|_| {}), Sign::Message), asked("b"));
        run(stage.conversations().close_question(&key(), "b")).unwrap();
        let recorded = stage.record_activity(&with(|_| {}), Sign::Message);
        assert!(matches!(recorded, Recorded::Stored(_)), "{recorded:?}");
        assert_eq!(run(stage.conversations().asked(&key())), Ok(None));
        run(stage.conversations().open_question(&with(|_| {}), "c", until)).unwrap();
        stage.at(60);
        let recorded = stage.record_activity(&with(|_| {}), Sign::Message);
        assert!(matches!(recorded, Recorded::Stored(_)), "{recorded:?}");
    }

    #[test]
    fn question_in_an_unknown_conversation_writes_nothing() {
        let stage = Stage::new();
        let until = stage.host.now() + TimeDelta::seconds(60);
        run(stage.conversations().open_question(&with(|_| {}), "a", until)).unwrap();
        run(stage.conversations().close_question(&key(), "a")).unwrap();
        assert!(stage.rows().is_empty());
    }

    #[test]
    fn reply_in_a_thread_finds_the_open_question_of_the_thread() {
        let stage = Stage::new();
        stage.record_activity(&with(|_| {}), Sign::Message);
        let message = MessageNumber::parse("1795471200000").unwrap();
        let until = stage.host.now() + TimeDelta::seconds(60);
        run(stage.conversations().open_question_in_thread(&key(), message, "a", until)).unwrap();
        let reply = |cause| {
            let response = Response { message, reactions: 0, replies: 1, cause: Some(cause) };
            run(stage.conversations().record_response(&key(), response)).unwrap()
        };
        assert_eq!(reply("1").as_deref(), Some("a"));
        assert_eq!(reply("1").as_deref(), Some("a"), "Teams sends the activity again");
        stage.at(60);
        assert_eq!(reply("2"), None);
        let feedback = run(stage.conversations().feedback(&key())).unwrap();
        assert_eq!(feedback.of("1795471200000").replies, 2, "replies are counted, too");
    }
}
