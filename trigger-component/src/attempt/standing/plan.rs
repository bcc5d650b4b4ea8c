//! The plan for an alert with a key, for a change, or for a job that takes an alert back.

use bot_framework::ConversationReference;
use envelope::Keyed;
use state::ConversationKey;
use state::ledger::Standing;

/// The call that an alert needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Way {
    /// A new message.
    New,
    /// A reply in the thread of this message.
    Reply(String),
    /// A change of this message.
    Change(String),
    /// The deletion of this message.
    Delete(String),
}

/// The plan for an alert.
#[derive(Debug)]
pub(in crate::attempt) struct Plan {
    pub(super) keyed: Keyed,
    pub(super) way: Way,
    /// The conversation to which the key belongs.
    pub(super) conversation: ConversationKey,
    /// The thread that has the message, if an alert to the channel started the thread.
    pub(super) thread: Option<ConversationReference>,
    /// The message that the conversation shows under the key so far.
    pub(super) standing: Option<Standing>,
    /// Whether the record of the key names this alert, or a newer one, as the newest alert.
    pub(super) is_noted: bool,
    /// The digest of the alert's content.
    pub(super) digest: String,
}
