//! What is scripted in a simulated world, and what comes of it.

use std::time::Duration;

/// What happens to a call on its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// It is answered with this status, and nothing is done.
    Status(u16),
    /// The connection breaks before anything is done.
    CutBefore,
    /// It is done, and the answer is lost.
    CutAfter,
}

/// What the Connector answers.
#[derive(Debug, Clone)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) retry_after: Option<u64>,
    pub(crate) delay: Duration,
    /// The message counts as shown to the person, and the answer is lost.
    pub(crate) cut: bool,
}

impl Reply {
    pub(crate) fn status(status: u16) -> Self {
        Self { status, retry_after: None, delay: Duration::from_millis(10), cut: false }
    }
    pub(crate) fn retry_after(seconds: u64) -> Self {
        Self { retry_after: Some(seconds), ..Self::status(429) }
    }
    pub(crate) fn cut() -> Self {
        Self { cut: true, ..Self::status(201) }
    }
    pub(crate) fn after(mut self, delay: Duration) -> Self {
        self.delay = delay;
        self
    }
}

/// One request at the Connector.
#[derive(Debug, Clone)]
pub(crate) struct Attempt {
    pub(crate) at: Duration,
    pub(crate) conversation: String,
    /// The alert's text, without the word in front.
    pub(crate) text: String,
    /// The person saw it.
    pub(crate) shown: bool,
    /// The poller got the answer, and was not killed before.
    pub(crate) answered: bool,
}
