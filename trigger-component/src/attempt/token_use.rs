//! Decides whether a refusal of the bot's token concerns one conversation or all conversations.

use std::cell::{Cell, RefCell};
use std::time::Duration;

use bot_framework::{Class, Verdict};
use platform::Host;

use crate::schedule::LaneKey;

/// The longest time that an attempt with a refused token waits for another conversation to accept the token.
/// Calls that began at the same moment usually get their responses within this time.
const WAIT_FOR_OTHERS: Duration = Duration::from_secs(1);
const CHECK_EVERY: Duration = Duration::from_millis(50);

/// The conversations that accepted or refused the bot's token in a run.
#[derive(Debug, Default)]
pub(crate) struct TokenUse {
    /// Whether a Connector has accepted an alert, which shows that the token is good.
    is_good: Cell<bool>,
    /// The conversations that refused the token.
    refused: RefCell<Vec<LaneKey>>,
}

impl TokenUse {
    pub(super) fn delivered(&self) {
        self.is_good.set(true);
    }

    /// Returns whether a refusal of the token concerns this conversation alone. This is true if another
    /// conversation has accepted the token, or if no other conversation has refused the token. If no
    /// conversation has accepted the token yet, this function first waits up to [`WAIT_FOR_OTHERS`].
    pub(super) async fn refused_alone(&self, host: &impl Host, verdict: &Verdict, lane: LaneKey) -> bool {
        // In these cases, the caller does not use the result. For example, a refusal without an HTTP status
        // comes from the login host, and always stops the run.
        if verdict.class != Class::Unauthorized || verdict.status.is_none() {
            return self.is_good.get();
        }
        if !self.refused.borrow().contains(&lane) {
            self.refused.borrow_mut().push(lane);
        }
        let until = host.monotonic() + WAIT_FOR_OTHERS;
        while !self.is_good.get() && host.monotonic() < until {
            host.sleep(CHECK_EVERY).await;
        }
        self.is_good.get() || self.refused.borrow().len() == 1
    }
}
