//! The plan of the call to the Connector for an alert with a `key`, for a change of an alert, or for a job
//! that takes an alert back. [`super`] explains these words. A *message* here is a chat message.

use bot_framework::ConversationReference;
use envelope::Keyed;
use state::ConversationKey;
use state::ledger::Standing;

/// The call that a plan makes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Way {
    /// Sends a new message.
    New,
    /// Sends a reply in the thread of the message with this id.
    Reply(String),
    /// Changes the message with this id.
    Change(String),
    /// Deletes the message with this id.
    Delete(String),
}

/// The call for an alert, with the data that the run records after the call.
#[derive(Debug)]
pub(in crate::attempt) struct Plan {
    pub(super) keyed: Keyed,
    pub(super) way: Way,
    /// The conversation to which the key belongs.
    pub(super) conversation: ConversationKey,
    /// The thread with the message that the call changes or deletes, or replies to. `None` if the
    /// conversation is not a Teams channel, or if the thread is unknown.
    pub(super) thread: Option<ConversationReference>,
    /// The record of the key, as it was read before the call.
    pub(super) standing: Option<Standing>,
    /// Whether the record of the key names this alert, or a newer alert, as the newest alert with the key.
    pub(super) is_noted: bool,
    /// The digest of the alert's content and state.
    pub(super) digest: String,
}
