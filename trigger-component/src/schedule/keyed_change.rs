//! The records that a run writes to the ledger in three cases. The ledger is a table. It has one record for
//! each alert, and one record for each key in a conversation. The cases are:
//!
//! - The run has sent an alert with a `key` (the sender's name for a problem).
//! - The run has changed an alert.
//! - The run has taken an alert back: it has deleted the alert's chat message.

use state::ConversationKey;
use state::ledger::{Edit, RecordKey, Standing};

/// The records that the run has to write after the call to the Connector. The run writes these records and
/// deletes the queue message at the same time.
#[derive(Debug, Clone)]
pub(crate) struct KeyedChange {
    /// A reason that the run writes into the alert's record. For example, the reason says why the run has
    /// sent a new chat message, and has not changed the earlier chat message.
    pub(crate) ledger_reason: Option<&'static str>,
    /// Whether the run has taken an alert back.
    pub(crate) takes_back: bool,
    /// The record of the key: the conversation, the key, and the chat message that the conversation now shows
    /// for the key.
    pub(crate) standing: Option<(ConversationKey, String, Standing)>,
    /// The table key of the changed alert's record, and the change.
    pub(crate) edit: Option<(RecordKey, Edit)>,
    /// The table key of the record of the alert that the run has taken back.
    pub(crate) taken_back: Option<RecordKey>,
}
