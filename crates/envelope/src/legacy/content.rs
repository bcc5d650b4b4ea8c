//! The content of a legacy message.

use bot_framework::ConversationReference;

/// The content of a legacy message.
pub(super) struct Content {
    pub(super) address: ConversationReference,
    pub(super) text: String,
}
