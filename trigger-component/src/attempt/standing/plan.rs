//! The plan of a call to the Connector. The call sends, changes or deletes a chat message. Three kinds of
//! queue messages need a plan: an alert with a `key`, a change of an alert, and a job that takes an alert
//! back. [`super`] explains keys and jobs. In the comments below, a *message* is a chat message.

use bot_framework::ConversationReference;
use envelope::Keyed;
use state::ConversationKey;
use state::ledger::Standing;

/// The kind of call to the Connector.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum ConnectorCall {
    /// Sends a new message.
    New,
    /// Sends a reply in the thread of the message with this id.
    Reply(String),
    /// Changes the message with this id.
    Change(String),
    /// Deletes the message with this id.
    Delete(String),
}

/// The call for an alert or a job, with the data for the records that the run writes.
#[derive(Debug)]
pub(in crate::attempt) struct Plan {
    pub(super) keyed: Keyed,
    pub(super) call: ConnectorCall,
    /// The conversation to which the alert goes. If the alert has a key, the key belongs to this
    /// conversation.
    pub(super) conversation: ConversationKey,
    /// The thread that contains the message in [`Self::call`]. `None` if the conversation is not a Teams
    /// channel, or if the thread is unknown.
    pub(super) thread: Option<ConversationReference>,
    /// The record of the key, as the run read it before the call. `None` if the alert has no key.
    pub(super) standing: Option<Standing>,
    /// Whether the record of the key already notes this alert, or a newer alert, as the newest alert with the
    /// key. If the value is `false`, the run has to note this alert before it changes a message.
    pub(super) is_newest_noted: bool,
    /// The digest (a hash) of the alert's content and state.
    pub(super) digest: String,
}
