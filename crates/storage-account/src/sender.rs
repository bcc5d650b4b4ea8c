//! Sending one call until it succeeds, fails for good, or runs out of time.

use std::cell::Cell;
use std::time::Duration;

use bytes::Bytes;
use http::Response;
use platform::{Clock, Deadline, HttpClient, Randomness, Timeouts, TransportError};

use crate::account::{Account, Service};
use crate::call::Call;
use crate::error::{Failed, Failure};

/// Attempts of one call; the waits between them grow from nothing to 200 ms, then to 400 ms.
const ATTEMPTS: u32 = 3;
const FIRST_WAIT_MILLISECONDS: u64 = 200;

/// Sends calls to one service of an account, for the time until a deadline. Calls are repeated where that makes sense:
/// authorized anew, after a random wait, and never past the deadline. Calls may go on side by side.
#[derive(Debug)]
pub struct Sender<'a, H> {
    host: &'a H,
    account: &'a Account,
    service: Service,
    timeouts: Timeouts,
    deadline: Deadline,
    retries: Cell<u32>,
}

/// A call that succeeded.
#[derive(Debug)]
pub struct Sent {
    /// The answer, of a status of 2xx.
    pub answer: Response<Bytes>,
    /// Whether an attempt before the last one may have had its effect.
    pub may_be_done: bool,
    /// Whether an attempt before the last one has a result that nobody knows.
    pub is_doubtful: bool,
}

impl<'a, H: HttpClient + Clock + Randomness> Sender<'a, H> {
    /// A sender that repeats no call past `deadline`, and shortens `timeouts` of every attempt to what is left of it. A
    /// call that begins too late is still made, with next to no time.
    pub fn new(
        host: &'a H,
        account: &'a Account,
        service: Service,
        timeouts: Timeouts,
        deadline: Deadline,
    ) -> Self {
        Self { host, account, service, timeouts, deadline, retries: Cell::new(0) }
    }

    /// The host that calls are sent through.
    pub fn host(&self) -> &'a H {
        self.host
    }

    /// The account that is called.
    pub fn account(&self) -> &'a Account {
        self.account
    }

    /// How many calls were repeated so far.
    pub fn retries(&self) -> u32 {
        self.retries.get()
    }

    /// Sends a call.
    pub async fn send(&self, call: &Call) -> Result<Sent, Failed> {
        self.send_noting_trouble(call, async || None).await
    }

    /// [`Sender::send`], with something to be done as soon as the first attempt has failed: before another one, and before
    /// the failure is returned. If it returns a call, the next attempts send that one.
    pub async fn send_noting_trouble(
        &self,
        call: &Call,
        on_trouble: impl AsyncFnOnce() -> Option<Call>,
    ) -> Result<Sent, Failed> {
        let mut on_trouble = Some(on_trouble);
        let mut repeated = None;
        let mut attempt = 1;
        let (mut may_be_done, mut is_doubtful) = (false, false);
        loop {
            let failure = match self.attempt(repeated.as_ref().unwrap_or(call)).await {
                Ok(answer) if answer.status().is_success() => {
                    return Ok(Sent { answer, may_be_done, is_doubtful });
                }
                Ok(answer) => Failure::Answered(answer),
                Err(failure) => failure,
            };
            is_doubtful |= failure.is_doubtful();
            if let Some(note) = on_trouble.take() {
                repeated = note().await;
            }
            let longest = FIRST_WAIT_MILLISECONDS << (attempt - 1);
            let jittered = Duration::from_millis(self.host.up_to(longest));
            let asked = Duration::from_secs(failure.retry_after_seconds().unwrap_or_default());
            let wait = jittered.saturating_add(asked);
            if attempt == ATTEMPTS || !failure.is_retryable() || wait >= self.deadline.remaining(self.host) {
                return Err(Failed { failure, may_be_done, is_doubtful });
            }
            may_be_done |= failure.may_have_arrived();
            self.host.sleep(wait).await;
            attempt += 1;
            self.retries.set(self.retries.get() + 1);
        }
    }

    async fn attempt(&self, call: &Call) -> Result<Response<Bytes>, Failure> {
        let request =
            call.authorize(self.account, self.service, self.host.now()).map_err(Failure::Unusable)?;
        match self.host.send(request, self.timeouts.within(self.deadline.remaining(self.host))).await {
            // It was done, or refused, whatever became of the rest of the answer.
            Err(TransportError::BodyLost(lost)) if !(call.reads_answer && lost.status.is_success()) => {
                Ok(lost.into_answer())
            }
            answer => answer.map_err(Failure::Transport),
        }
    }
}
