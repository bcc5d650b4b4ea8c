//! The records that a run writes after it has sent an alert with a key, changed an alert, or taken one back.

use state::ConversationKey;
use state::ledger::{Edit, RecordKey, Standing};

/// The records that the run has to write for an alert that it has sent. It writes them together with the
/// Delete of the message.
#[derive(Debug, Clone)]
pub(crate) struct KeyedChange {
    /// The reason that the ledger shows for the delivery.
    pub(crate) note: Option<&'static str>,
    /// Whether the alert was a job that took another alert back.
    pub(crate) takes_back: bool,
    /// The message that a conversation shows under a key.
    pub(crate) standing: Option<(ConversationKey, String, Standing)>,
    pub(crate) edit: Option<(RecordKey, Edit)>,
    pub(crate) taken_back: Option<RecordKey>,
}
