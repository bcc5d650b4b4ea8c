//! The result of each `read` function in this folder.

use bot_framework::ConversationReference;

/// The address and the text in a message of an older bot.
pub(super) struct Content {
    pub(super) address: ConversationReference,
    pub(super) text: String,
}
