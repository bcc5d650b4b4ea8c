//! The plan of a call to the Connector that sends, changes or deletes a chat message. Three kinds of queue
//! messages need a plan: an alert with a `key`, a change of an alert, and a job that takes an alert back.
//! [`super`] explains these words. In the comments below, a *message* is a chat message.

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
    /// The thread that contains the message in [`Self::way`]. `None` if the conversation is not a Teams
    /// channel, or if the thread is unknown.
    pub(super) thread: Option<ConversationReference>,
    /// The record of the key, as it was read before the call.
    pub(super) standing: Option<Standing>,
    /// Whether the note about the newest alert is up to date. The note is a part of the record of the key,
    /// and names the newest alert with the key. If the note names an alert that is older than this alert, the
    /// run has to correct the note before it changes a message.
    pub(super) is_noted: bool,
    /// The digest of the alert's content and state.
    pub(super) digest: String,
}
