//! The routes for dead letters, i.e. for the messages of the poison queue: `GET /api/dead`,
//! `POST /api/dead/replay`, `POST /api/dead/drop`, `DELETE /api/dead/{id}`.
//!
//! To *replay* a dead letter means to put its message on the queue again. To *drop* it means to delete its
//! message. The *row* of a dead letter is its entry in the table that lists the dead letters.

mod body;
mod drop;
mod letter;
mod list;
mod replay;
mod search;
mod why;

use std::time::Duration;

use chrono::TimeDelta;
use platform::{Deadline, Host, Level};
use serde_json::json;
use state::runs::{DeadLetterId, DeadLetters};
use storage_queue::QueueError;

use crate::rejection::AlertRejection;
use crate::settings::BotSettings;

pub(in super::super) use drop::{delete, post as drop};
pub(in super::super) use letter::Letter;
pub(in super::super) use list::get;
pub(in super::super) use replay::post as replay;

/// The longest time for the storage calls. Hosted platforms end a request after 30 s.
const WITHIN: Duration = Duration::from_secs(18);

/// The longest time from the moment when a run writes the row of a dead letter until the run puts the message
/// on the poison queue.
const PUT_WITHIN: TimeDelta = TimeDelta::minutes(1);

/// The prefix of a dead letter's id, if the message has no row. The rest of the id is the id of the message
/// on the poison queue.
const OF_MESSAGE: &str = "m.";

/// The longest id of a queue message, in characters. The service's ids have 36 characters.
const MAX_MESSAGE_ID_CHARACTERS: usize = 64;

/// The id of a dead letter in API calls and in responses.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Named {
    /// The id of the dead letter's row.
    Row(DeadLetterId),
    /// The id of the message on the poison queue, if the message has no row. An old poller or another program
    /// put such a message there.
    Message(String),
}

impl Named {
    fn parse(text: &str) -> Option<Self> {
        match text.strip_prefix(OF_MESSAGE) {
            Some(id) => {
                let is_id = (1..=MAX_MESSAGE_ID_CHARACTERS).contains(&id.len())
                    && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
                is_id.then(|| Self::Message(id.to_owned()))
            }
            None => DeadLetterId::parse(text).map(Self::Row),
        }
    }

    fn to_text(&self) -> String {
        match self {
            Self::Row(id) => id.as_str().to_owned(),
            Self::Message(id) => [OF_MESSAGE, id].concat(),
        }
    }
}

/// Opens the table of dead letters. Each storage call ends at `deadline` at the latest.
pub(in super::super) fn dead_letters<'a, H: Host>(
    host: &'a H,
    settings: &'a BotSettings,
    deadline: Deadline,
) -> DeadLetters<'a, H> {
    DeadLetters::new(host, &settings.queue.account, &settings.tables, settings.queue.name.as_str(), deadline)
}

/// Logs that the bot cannot use the poison queue, and returns the error for the caller.
fn not_reached(host: &impl Host, error: &QueueError) -> AlertRejection {
    host.event(Level::Error, "poison.not-reached", json!({"reason": error.to_string()}));
    AlertRejection::PoisonNotReached
}

#[cfg(test)]
mod tests;
