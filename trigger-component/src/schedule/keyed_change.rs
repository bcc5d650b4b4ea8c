//! The records that a run writes after it has sent an alert with a `key` (the name of a problem), has changed
//! an alert, or has taken an alert back (deleted its chat message).

use state::ConversationKey;
use state::ledger::{Edit, RecordKey, Standing};

/// The records that the run has to write for an alert that it has sent. The run writes them while it deletes
/// the queue message.
#[derive(Debug, Clone)]
pub(crate) struct KeyedChange {
    /// A reason that the run writes into the alert's record in the ledger, next to the status. For example,
    /// the reason says that the alert became a new chat message instead of a change.
    pub(crate) note: Option<&'static str>,
    /// Whether the queue message took an alert back.
    pub(crate) takes_back: bool,
    /// The record of a key: the conversation, the key, and the chat message in the conversation that belongs
    /// to the key now.
    pub(crate) standing: Option<(ConversationKey, String, Standing)>,
    /// The record of the alert that was changed, with the change.
    pub(crate) edit: Option<(RecordKey, Edit)>,
    /// The record of the alert that was taken back.
    pub(crate) taken_back: Option<RecordKey>,
}
