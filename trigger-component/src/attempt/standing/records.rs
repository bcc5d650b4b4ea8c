//! Writes the records after a call to the Connector. The call has sent, changed or deleted a chat message.
//! There are three kinds of records ([`super`] explains the words):
//!
//! - The record of the key names the chat message that the conversation shows for the key.
//! - The record of a changed alert describes the last change.
//! - The record of an alert that was taken back gets the status `withdrawn`.

use bot_framework::Verdict;
use envelope::{CreationOf, Envelope, KeyState};
use platform::{Host, Level};
use serde_json::json;
use state::ledger::{AlertId, Edit, RecordKey, Status, Stood, Transition};

use super::plan::{ConnectorCall, Plan};
use crate::attempt::Attempts;
use crate::schedule::{KeyedChange, Leased};

impl<H: Host> Attempts<'_, H> {
    /// Sets `leased.change`: the records that the run has to write. The call has succeeded, or no call was
    /// needed.
    pub(super) fn set_change(
        &self,
        leased: &mut Leased,
        plan: &Plan,
        verdict: &Verdict,
        ledger_reason: Option<&'static str>,
    ) {
        let Plan { keyed, call, conversation, standing, digest, .. } = plan;
        let envelope = &leased.envelope;
        let thread = thread_to_record(leased);
        let record_of =
            |id: &Option<String>| RecordKey::of(&AlertId::parse(id.as_deref()?)?, self.host.now());
        let standing = standing.clone().map(|mut standing| {
            match call {
                ConnectorCall::New | ConnectorCall::Change(_) => {
                    standing.activity_id.clone_from(&verdict.activity_id);
                    standing.digest.clone_from(digest);
                    standing.thread.clone_from(&thread);
                }
                ConnectorCall::Reply(_) => {}
                ConnectorCall::Delete(_) => (standing.activity_id, standing.digest) = (None, String::new()),
            }
            standing.at = keyed.at;
            keyed.subject(envelope.id.as_str()).clone_into(&mut standing.alert);
            standing.is_firing = keyed.state == KeyState::Firing && keyed.takes_back.is_none();
            standing
        });
        let edit = Edit { thread, ..edit_of(envelope, verdict.activity_id.clone()) };
        leased.change = Some(Box::new(KeyedChange {
            ledger_reason,
            takes_back: keyed.takes_back.is_some(),
            standing: keyed.key.clone().zip(standing).map(|(key, it)| (conversation.clone(), key, it)),
            edit: record_of(&keyed.edits).map(|key| (key, edit)),
            taken_back: record_of(&keyed.takes_back),
        }));
    }

    /// Writes the records in `leased.change`. If a write fails, this function only logs the failure. Without
    /// the record of the key, the next alert with the key perhaps becomes a new chat message instead of a
    /// change of the old chat message.
    pub(crate) async fn record_change(&self, leased: &Leased) {
        let Some(change) = &leased.change else { return };
        let warn = |event: &str, reason: String| {
            let fields = json!({"run": self.run, "envelope": leased.envelope.id.excerpt(), "reason": reason});
            self.host.event(Level::Warn, event, leased.traced(fields));
        };
        if let Some((conversation, key, standing)) = &change.standing {
            match self.ledger.record_standing(conversation, key, standing).await {
                Ok(Stood::Recorded) => {}
                Ok(Stood::Overtaken) => {
                    warn("key.overtaken", "another run has sent a newer alert with the key".into());
                }
                Err(error) => warn("key.not-recorded", error.to_string()),
            }
        }
        let edited = match &change.edit {
            Some((key, edit)) => self.ledger.record_edit(key, edit).await,
            None => Ok(()),
        };
        let taken_back = match &change.taken_back {
            Some(key) => self.ledger.record(&Transition::to(key.clone(), Status::Withdrawn)).await,
            None => Ok(()),
        };
        for error in [edited.err(), taken_back.err()].into_iter().flatten() {
            warn("ledger.not-noted", error.to_string());
        }
    }
}

/// Makes the note about a change, for the record of the changed alert. `envelope` is the envelope of the
/// change. `activity_id` is the id of the changed chat message, if the id is known.
pub(super) fn edit_of(envelope: &Envelope, activity_id: Option<String>) -> Edit {
    let (at, by) = (envelope.enqueued_at.timestamp_millis(), envelope.id.as_str().to_owned());
    Edit { at, by, activity_id, thread: None }
}

/// Returns the address of the thread with the alert, as JSON for the ledger. Returns `None` if the alert was
/// not sent to a Teams channel.
pub(crate) fn thread_to_record(leased: &Leased) -> Option<String> {
    let creation = leased.envelope.creation.as_ref();
    let is_in_thread = creation.is_some_and(|creation| creation.of == CreationOf::Thread);
    leased.sent_to.as_ref().filter(|_| is_in_thread).map(|thread| thread.to_json().to_string())
}
