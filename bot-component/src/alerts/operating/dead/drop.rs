//! `DELETE /api/dead/{id}`: drops a dead letter. Its alert stays `dead` in the ledger.

use std::time::Duration;

use chrono::TimeDelta;
use http::StatusCode;
use platform::{Deadline, Host, Level, answer};
use serde_json::json;
use state::ledger::{AlertId, Ledger, RecordKey};
use state::runs::{DeadLetter, DeadLetters};
use storage_queue::QueueMessage;

use super::letter::Letter;
use super::{Named, WITHIN, dead_letters, not_reached};
use crate::alerts::caller::Caller;
use crate::alerts::grant::Scope;
use crate::alerts::poison_walk::PoisonWalk;
use crate::answered::Answered;
use crate::rejection::{AlertRejection, Rejection};
use crate::settings::{BotSettings, CallerSettings};

/// The search begins no Get after this time.
const SEARCH_WITHIN: Duration = Duration::from_secs(12);

/// A run writes the row before it puts the message on the poison queue. After this time it has done so.
pub(super) const PUT_WITHIN: TimeDelta = TimeDelta::minutes(1);

pub(in crate::alerts) async fn delete<H: Host>(
    host: &H,
    id: &str,
    caller: &Caller,
) -> Result<Answered, Rejection> {
    caller.require(Scope::Operate)?;
    let named = Named::parse(id).ok_or(AlertRejection::NoSuchDeadLetter)?;
    let settings = BotSettings::open(host, CallerSettings::read(host)?).await?;
    let deadline = Deadline::after(host, WITHIN);
    let dead = dead_letters(host, &settings, deadline);
    let row = match &named {
        Named::Row(id) => {
            Some(dead.read(id).await.map_err(AlertRejection::from)?.ok_or(AlertRejection::NoSuchDeadLetter)?)
        }
        Named::Message(_) => None,
    };
    let ledger = Ledger::new(host, &settings.queue.account, &settings.tables, deadline);
    let dropping = Dropping { host, settings: &settings, caller, ledger, dead, named, row };
    let poison = settings.queue.name.poison();
    let search_until = Deadline::after(host, SEARCH_WITHIN);
    let mut walk = PoisonWalk::new(host, &settings, &poison, deadline, search_until);
    let dropped = dropping.search(&mut walk).await;
    walk.end().await;
    match dropped? {
        Dropped::Yes => {
            caller.event(host, Level::Info, "dead.dropped", json!({"dead": dropping.named.to_text()}));
            Ok(answer::empty(StatusCode::NO_CONTENT).into())
        }
        Dropped::NotYet => Ok(answer::json(StatusCode::ACCEPTED, &json!({"more": true})).into()),
    }
}

/// Whether the dead letter was deleted.
enum Dropped {
    Yes,
    /// The search did not reach the message, or another call has hidden it.
    NotYet,
}

struct Dropping<'a, H> {
    host: &'a H,
    settings: &'a BotSettings,
    caller: &'a Caller,
    ledger: Ledger<'a, H>,
    dead: DeadLetters<'a, H>,
    named: Named,
    row: Option<DeadLetter>,
}

impl<H: Host> Dropping<'_, H> {
    async fn search(&self, walk: &mut PoisonWalk<'_, H>) -> Result<Dropped, AlertRejection> {
        let mut is_found = false;
        while let Some(messages) = walk.next().await.map_err(|error| not_reached(self.host, &error))? {
            let mut is_last = false;
            for message in messages {
                let seal_key = self.settings.seal_key.as_ref();
                let letter = Letter::open(&message.id, message.insertion_time, &message.text, seal_key);
                let is_exact = match (&self.named, &self.row) {
                    (Named::Message(id), _) => letter.is_message(id),
                    (Named::Row(_), row) => row.as_ref().is_some_and(|row| row.digest == letter.digest),
                };
                // A message that was changed on the poison queue has another digest.
                let is_named =
                    self.row.as_ref().is_some_and(|row| letter.named_row().as_ref() == Some(&row.id));
                if is_exact || is_named {
                    self.delete(walk, &message, &letter).await?;
                    is_found = true;
                    is_last |= is_exact;
                } else {
                    walk.leave(&message);
                }
            }
            if is_last {
                break;
            }
        }
        if !is_found && !self.is_gone(walk).await? {
            return Ok(Dropped::NotYet);
        }
        match (&self.row, is_found) {
            (None, false) => Err(AlertRejection::NoSuchDeadLetter),
            (None, true) => Ok(Dropped::Yes),
            (Some(row), _) => {
                if !is_found {
                    self.note(of_row(row)).await?;
                }
                self.dead.remove(&row.id).await?;
                Ok(Dropped::Yes)
            }
        }
    }

    /// Records the drop in the ledger, and then deletes the message. If the bot is killed in between, the
    /// next call continues.
    async fn delete(
        &self,
        walk: &PoisonWalk<'_, H>,
        message: &QueueMessage,
        letter: &Letter,
    ) -> Result<(), AlertRejection> {
        let row = self.row.as_ref().map(|row| row.id.clone()).or_else(|| letter.row());
        self.note(letter.record(row.as_ref())).await?;
        walk.delete(message).await.map_err(|error| not_reached(self.host, &error))
    }

    async fn note(&self, record: Option<RecordKey>) -> Result<(), AlertRejection> {
        match record {
            Some(record) => Ok(self.ledger.note_dropped(&record, &self.caller.key).await?),
            None => Ok(()),
        }
    }

    /// Whether the poison queue certainly no longer holds the message.
    async fn is_gone(&self, walk: &PoisonWalk<'_, H>) -> Result<bool, AlertRejection> {
        if self.row.as_ref().is_some_and(|row| self.host.now() - row.died_at < PUT_WITHIN) {
            return Ok(false);
        }
        walk.has_seen_all(0).await.map_err(|error| not_reached(self.host, &error))
    }
}

/// The alert's record, by a row without a message.
fn of_row(row: &DeadLetter) -> Option<RecordKey> {
    let is_ours = row.is_genuine && AlertId::parse(&row.alert).is_some();
    is_ours.then(|| RecordKey::of_message(&row.alert, true, row.id.inserted_at()))
}
