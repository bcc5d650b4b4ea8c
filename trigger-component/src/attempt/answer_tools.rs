//! The data and clients for answers of people.

use std::cell::OnceCell;

use bot_framework::BotCredentials;
use callbacks::{CallbackHosts, CallbackSecrets};
use envelope::QuestionKeys;
use platform::Deadline;
use state::runs::Withdrawals;
use storage_queue::QueueClient;

/// The data and clients that jobs need in addition to [`Attempts`](super::Attempts).
#[derive(Debug)]
pub(crate) struct AnswerTools<'a, H> {
    pub(crate) bot: Option<&'a BotCredentials>,
    pub(crate) queue: &'a str,
    pub(crate) hosts: &'a CallbackHosts,
    pub(crate) secrets: Option<&'a CallbackSecrets>,
    /// The queue of replies.
    pub(crate) replies: QueueClient<'a, H>,
    pub(crate) withdrawals: Withdrawals<'a, H>,
    /// The keys of questions. They are derived at the first question of a run.
    pub(crate) keys: OnceCell<Option<QuestionKeys>>,
    /// Every callback ends at this time.
    pub(crate) deadline: Deadline,
}
