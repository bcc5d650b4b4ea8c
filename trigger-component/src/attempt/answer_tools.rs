//! The settings, clients and keys that only jobs need. A *job* is a queue message that passes a person's
//! answer or message on to a program, and sends no alert (`answer.rs`).

use std::cell::OnceCell;

use bot_framework::BotCredentials;
use callbacks::{CallbackHosts, CallbackSecrets};
use envelope::QuestionKeys;
use platform::Deadline;
use state::runs::Withdrawals;
use storage_queue::QueueClient;

/// The settings, clients and keys that jobs need in addition to [`Attempts`](super::Attempts).
#[derive(Debug)]
pub(crate) struct AnswerTools<'a, H> {
    pub(crate) bot: Option<&'a BotCredentials>,
    /// The name of the main queue.
    pub(crate) queue_name: &'a str,
    pub(crate) callback_hosts: &'a CallbackHosts,
    pub(crate) secrets: Option<&'a CallbackSecrets>,
    /// The *queue of replies*, on which programs find people's answers and messages.
    pub(crate) replies: QueueClient<'a, H>,
    pub(crate) withdrawals: Withdrawals<'a, H>,
    /// The keys that encrypt and decrypt questions. The poller derives the keys when it first needs them.
    /// The inner value is `None` if the poller cannot derive the keys from its settings.
    pub(crate) keys: OnceCell<Option<QuestionKeys>>,
    /// The deadline of every *callback* (the call that passes an answer on to the program that asked).
    pub(crate) deadline: Deadline,
}
