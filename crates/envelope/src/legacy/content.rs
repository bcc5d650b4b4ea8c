//! The result of `read` in each module that reads one shape of message, such as the module `node`.

use bot_framework::ConversationReference;

/// The address and the text in a message of an older bot.
pub(super) struct Content {
    pub(super) address: ConversationReference,
    pub(super) text: String,
}
