//! The clients and keys that only jobs need. A job is a queue message that sends no alert, but passes a
//! person's answer or message on to a program (`answer.rs`).

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
    pub(crate) queue: &'a str,
    pub(crate) hosts: &'a CallbackHosts,
    pub(crate) secrets: Option<&'a CallbackSecrets>,
    /// The queue on which programs find people's answers and messages.
    pub(crate) replies: QueueClient<'a, H>,
    pub(crate) withdrawals: Withdrawals<'a, H>,
    /// The keys that encrypt and decrypt questions. The run derives these keys when it needs them for the
    /// first time.
    pub(crate) keys: OnceCell<Option<QuestionKeys>>,
    /// The deadline of every callback (the call that brings an answer to the sender's program).
    pub(crate) deadline: Deadline,
}
