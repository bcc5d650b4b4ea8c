//! The routes for dead letters: `GET /api/dead`, `POST /api/dead/replay`, `POST /api/dead/drop` and
//! `DELETE /api/dead/{id}`.
//!
//! A *dead letter* is a message that the poller could not deliver, and moved to the poison queue. A table
//! lists the dead letters. The *row* of a dead letter is its entry in this table. To *replay* a dead letter
//! means to put its message on the main queue again. To *drop* a dead letter means to delete its message and
//! its row.

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

/// The longest time for the storage calls. This time is shorter than 30 s, because hosted platforms end a
/// request after 30 s.
const WITHIN: Duration = Duration::from_secs(18);

/// The longest time between two steps of a run (one execution of the poller). In the first step, the run
/// writes the row of a dead letter. In the second step, the run puts the message on the poison queue.
const PUT_WITHIN: TimeDelta = TimeDelta::minutes(1);

/// The beginning of the id of a dead letter without a row. The id of its message on the poison queue follows.
const OF_MESSAGE: &str = "m.";

/// The longest id of a queue message, in characters. The ids of Azure's queue service have 36 characters.
const MAX_MESSAGE_ID_CHARACTERS: usize = 64;

/// The id of a dead letter in API calls and in responses.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Named {
    /// The id of the dead letter's row.
    Row(DeadLetterId),
    /// The id of the message on the poison queue, if the message has no row. Examples are a message from an
    /// older version of the poller, a message from another program, and a message whose row a run could not
    /// write.
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
