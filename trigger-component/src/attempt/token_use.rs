//! Whom a refusal of the bot's token concerns: one conversation, or everybody.

use std::cell::{Cell, RefCell};
use std::time::Duration;

use bot_framework::{Class, Verdict};
use platform::Host;

use crate::schedule::LaneKey;

/// So long a refused conversation waits for another one to show that the token is good. Those that were begun with it have
/// their answer by then.
const WAIT_FOR_OTHERS: Duration = Duration::from_secs(1);
const CHECK_EVERY: Duration = Duration::from_millis(50);

/// What became of the bot's token in a run.
#[derive(Debug, Default)]
pub(crate) struct TokenUse {
    /// A Connector has taken something, and with it the token.
    is_good: Cell<bool>,
    /// Conversations that refused it.
    refused: RefCell<Vec<LaneKey>>,
}

impl TokenUse {
    pub(super) fn delivered(&self) {
        self.is_good.set(true);
    }

    /// Whether a refusal is the conversation's own: others took the token, or no other one refused it. Waits a moment for the
    /// others if nobody has taken it yet.
    pub(super) async fn refused_alone(&self, host: &impl Host, verdict: &Verdict, lane: LaneKey) -> bool {
        // Without a status it was the login host that refused.
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
