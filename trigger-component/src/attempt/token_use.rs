//! Decides whether a refusal of the bot's token concerns one conversation or all conversations. If the
//! refusal concerns all conversations, the run (one execution of the poller) stops.
//!
//! Each conversation names the URL of its Connector (the HTTP API for chat messages). So one run can call
//! several Connectors.

use std::cell::{Cell, RefCell};
use std::time::Duration;

use bot_framework::{Class, Verdict};
use platform::Host;

use crate::schedule::LaneKey;

/// The longest wait after a Connector has refused the token for one conversation. During the wait, a
/// Connector perhaps accepts the token for another conversation. Calls that began at the same moment usually
/// get their responses within this time.
const WAIT_FOR_OTHERS: Duration = Duration::from_secs(1);
const CHECK_EVERY: Duration = Duration::from_millis(50);

/// The facts about the bot's token that the responses of Connectors have shown in a run.
#[derive(Debug, Default)]
pub(crate) struct TokenUse {
    /// Whether a Connector has accepted an alert. If so, the token is good.
    is_good: Cell<bool>,
    /// The conversations for which a Connector has refused the token.
    refused: RefCell<Vec<LaneKey>>,
}

impl TokenUse {
    pub(super) fn record_accepted(&self) {
        self.is_good.set(true);
    }

    /// Returns whether a refusal of the token concerns this conversation alone. The result is `true` in two
    /// cases:
    ///
    /// - In this run, a Connector has accepted an alert with the token.
    /// - In this run, no Connector has refused the token for another conversation.
    ///
    /// If no Connector has accepted an alert yet, this function waits for an acceptance before it returns,
    /// for at most [`WAIT_FOR_OTHERS`].
    pub(super) async fn refused_alone(&self, host: &impl Host, verdict: &Verdict, lane: LaneKey) -> bool {
        // The caller uses the result only for a refusal of the token (`Unauthorized`) with an HTTP status. So
        // the value that this `return` gives has no effect. (A refusal without an HTTP status comes from the
        // login host. The caller then always stops the run.)
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
