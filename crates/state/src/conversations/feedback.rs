//! The feedback of people to the bot's chat messages on Teams: which message a person has read last, and how
//! many reactions and replies each message has.
//!
//! A chat message on Teams has a number as its id, and a later message has a greater number. A read receipt
//! names one message, and covers this message and all messages with smaller numbers:
//! <https://learn.microsoft.com/microsoftteams/platform/bots/how-to/conversations/conversation-messages>.

use bot_framework::vouches_for_identity;
use chrono::{DateTime, Utc};
use platform::{Host, name_of};
use storage_table::{Conditional, Entity, Inserted};

use super::key::{ConversationKey, Row};
use super::message_number::MessageNumber;
use super::record::{Rows, Stored, key_of};
use super::rows::open_question::OpenQuestion;
use super::rows::responses::{CAUSE, ENDS_AT, LastRead, REACTIONS, READ_AT, READ_ID, REPLIES, Responses};
use super::{ATTEMPTS, Conversations};
use crate::StateError;
use crate::ledger::KEPT;

/// The bot keeps the counts of reactions and replies for at most this many messages of one conversation: for
/// the messages with the newest reactions or replies.
const MAX_MESSAGES: usize = 20;

/// A response of people to a chat message: new reactions, reactions that were taken back, or a reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Response<'a> {
    /// The message to which people respond.
    pub message: MessageNumber,
    /// The number of added reactions minus the number of removed reactions.
    pub reactions: i32,
    /// The number of replies: 0 or 1.
    pub replies: i32,
    /// The id of the activity that reports the response; `None` if the activity has no id. For each message,
    /// the bot records the last activity that the bot has counted. If the channel sends this activity again,
    /// the bot does not count the response again.
    pub cause: Option<&'a str>,
}

/// The feedback in one conversation.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Feedback {
    last_read: Option<LastRead>,
    responses: Vec<Responses>,
}

/// The feedback to one message.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Reception {
    /// The time at which the newest read receipt arrived. Perhaps the person has read the message earlier.
    /// `None` if no receipt covers the message, e.g. because the bot's Teams app has no permission for
    /// receipts. Teams sends receipts only for personal chats.
    pub seen_at: Option<DateTime<Utc>>,
    /// The number of reactions that the message has.
    pub reactions: u32,
    /// The number of replies that reached the bot: presses of a button, and messages to the bot in the
    /// message's thread.
    pub replies: u32,
}

impl Feedback {
    fn of_rows(rows: Rows, now: DateTime<Utc>) -> Self {
        let is_personal = match &rows.stored {
            Stored::Record(record) => {
                vouches_for_identity(&record.address.channel_id)
                    && record.address.conversation.conversation_type() == Some("personal")
            }
            Stored::Nothing | Stored::Newer | Stored::Broken => false,
        };
        let responses = rows.responses.into_iter().filter(|of| !of.is_over(now)).collect();
        Self { last_read: rows.last_read.filter(|_| is_personal), responses }
    }

    /// Returns the feedback to the message with this activity id.
    pub fn of(&self, activity_id: &str) -> Reception {
        let Some(message) = MessageNumber::parse(activity_id) else { return Reception::default() };
        let seen = self.last_read.filter(|last_read| message <= last_read.message);
        let responses = self.responses.iter().find(|of| of.message == message);
        Reception {
            seen_at: seen.map(|last_read| last_read.at),
            reactions: responses.map_or(0, |of| of.reactions),
            replies: responses.map_or(0, |of| of.replies),
        }
    }
}

impl<H: Host> Conversations<'_, H> {
    /// Reads the feedback in a conversation, with one query.
    pub async fn feedback(&self, key: &ConversationKey) -> Result<Feedback, StateError> {
        Ok(Feedback::of_rows(self.rows_of(key).await?, self.host.now()))
    }

    /// Records that the person has read a message and all messages before it. The method writes nothing if
    /// the bot does not know the conversation, or if an earlier receipt covers the message. So the stored
    /// message number never decreases.
    pub async fn record_read(&self, key: &ConversationKey, message: MessageNumber) -> Result<(), StateError> {
        let row = key_of(key, &Row::Record);
        for _ in 0..ATTEMPTS {
            let Some(found) = self.table.get(&row).await? else { return Ok(()) };
            let is_readable = matches!(Stored::read(&found.entity, self.host), Stored::Record(_));
            let is_known = LastRead::of(&found.entity).is_some_and(|known| message <= known.message);
            if !is_readable || is_known {
                return Ok(());
            }
            let entity = Entity::new(row.clone()).with_int64(READ_ID, message.0);
            let entity = entity.with_int64(READ_AT, self.host.now().timestamp_millis());
            match self.table.merge(&entity, Some(&found.etag)).await? {
                Conditional::Changed => {}
                // `Gone`: the bot has forgotten the conversation in the meantime. So the record is not
                // written again.
                Conditional::Done(_) | Conditional::Gone => return Ok(()),
            }
        }
        Err(StateError::Contended { attempts: ATTEMPTS })
    }

    /// Counts a response. If the message asks a question that is still open, the method returns the id of the
    /// alert that asks this question.
    ///
    /// The counts of a message are in a row of the message. If the table does not have this row yet, the
    /// method inserts the row only if the bot knows the conversation, and if a count is greater than zero.
    pub async fn record_response(
        &self,
        key: &ConversationKey,
        response: Response<'_>,
    ) -> Result<Option<String>, StateError> {
        let row = key_of(key, &Row::Responses(response.message));
        let cause = response.cause.map(|cause| name_of(&[cause]));
        for _ in 0..ATTEMPTS {
            let now = self.host.now();
            let found = self.table.get(&row).await?;
            let asked = found.as_ref().and_then(|found| OpenQuestion::of(&found.entity));
            let asked = asked.and_then(|asked| asked.alert_if_open(now).map(str::to_owned));
            if let Some(found) = &found
                && cause.is_some()
                && found.entity.str(CAUSE) == cause.as_deref()
            {
                return Ok(asked);
            }
            let known = found.as_ref().map(|found| Responses::of(response.message, &found.entity));
            let known = known.filter(|known| !known.is_over(now));
            let count = |known: Option<u32>, change: i32| {
                i32::try_from(known.unwrap_or_default().saturating_add_signed(change)).unwrap_or(i32::MAX)
            };
            let reactions = count(known.as_ref().map(|known| known.reactions), response.reactions);
            let replies = count(known.as_ref().map(|known| known.replies), response.replies);
            if found.is_none() && (reactions == 0 && replies == 0 || !self.make_room(key, now).await?) {
                return Ok(None);
            }
            let entity = Entity::new(row.clone()).with(REACTIONS, reactions).with(REPLIES, replies);
            let entity = entity.with(CAUSE, cause.as_deref().unwrap_or_default());
            // The row of a question is kept at least until the question ends.
            let ends_at =
                (now + KEPT).max(known.as_ref().and_then(|known| known.asked_until).unwrap_or_default());
            let entity = entity.with_int64(ENDS_AT, ends_at.timestamp_millis());
            let is_written = match &found {
                None => matches!(self.table.insert(&entity).await?, Inserted::New(_)),
                Some(found) => {
                    matches!(self.table.merge(&entity, Some(&found.etag)).await?, Conditional::Done(_))
                }
            };
            if is_written {
                return Ok(asked);
            }
        }
        Err(StateError::Contended { attempts: ATTEMPTS })
    }

    /// Makes room for the row of one more message. Deletes the conversation's expired rows of responses. If
    /// too many rows remain, the method also deletes the rows that expire first. It deletes no row of a
    /// question that is still open. If the bot does not know the conversation, the method deletes nothing and
    /// returns false.
    async fn make_room(&self, key: &ConversationKey, now: DateTime<Utc>) -> Result<bool, StateError> {
        let mut rows = self.rows_of(key).await?;
        if !matches!(rows.stored, Stored::Record(_)) {
            return Ok(false);
        }
        rows.responses.sort_unstable_by_key(|of| of.ends_at);
        let too_many = (rows.responses.len() + 1).saturating_sub(MAX_MESSAGES);
        let old = rows.responses.iter().enumerate();
        let old = old.filter(|(index, of)| !of.is_asking(now) && (*index < too_many || of.is_over(now)));
        self.delete_all(old.map(|(_, of)| key_of(key, &Row::Responses(of.message)))).await?;
        Ok(true)
    }
}

#[cfg(test)]
mod tests;
