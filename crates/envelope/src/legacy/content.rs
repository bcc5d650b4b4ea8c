//! The common result of the readers of legacy messages.

use bot_framework::ConversationReference;

/// The address and the text of a legacy message.
pub(super) struct Content {
    pub(super) address: ConversationReference,
    pub(super) text: String,
}
