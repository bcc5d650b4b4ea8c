//! Sends a storage call, and repeats a failed call. The sender stops when the call has succeeded, when the
//! call cannot succeed, or when the attempts or the time are used up.

use std::cell::Cell;
use std::time::Duration;

use bytes::Bytes;
use http::Response;
use platform::{Clock, Deadline, HttpClient, Randomness, Timeouts, TransportError};

use crate::account::Account;
use crate::call::Call;
use crate::error::{Failed, Failure};
use crate::service::Service;

/// The most attempts of one call, if [`Sender::with_attempts`] sets no other number. An *attempt* is one HTTP
/// request for a call. The wait before a repeated attempt is random: up to 200 ms before the second attempt,
/// and up to 400 ms before the third. If the response has a `Retry-After`, the sender adds this time to the
/// wait.
const ATTEMPTS: u32 = 3;
const FIRST_WAIT_MILLISECONDS: u64 = 200;

/// Sends calls to one service of an account.
///
/// After a failed attempt, the sender decides whether another attempt can succeed. If so, the sender waits
/// for a random time, and makes the next attempt with a new authorization. The sender never begins a repeated
/// attempt after its deadline. Calls can run concurrently.
#[derive(Debug)]
pub struct Sender<'a, H> {
    host: &'a H,
    account: &'a Account,
    service: Service,
    timeouts: Timeouts,
    deadline: Deadline,
    attempts: u32,
    retries: Cell<u32>,
}

/// A call that succeeded.
#[derive(Debug)]
pub struct Sent {
    /// The response. Its status is 2xx.
    pub response: Response<Bytes>,
    /// Whether an attempt before the last attempt perhaps reached the service. An attempt that
    /// the service refused (429, 503) also reached the service.
    pub may_be_done: bool,
    /// Whether the result of an attempt before the last attempt is unknown, e.g. because the response was
    /// lost. If `true`, the call has perhaps taken effect twice. A refusal (429, 503) is a known result: the
    /// attempt has taken no effect.
    pub is_doubtful: bool,
}

impl<'a, H: HttpClient + Clock + Randomness> Sender<'a, H> {
    /// Makes a sender that repeats no call after `deadline`. For every attempt, the sender limits the
    /// `timeouts` to the time that is left until `deadline`. If a call begins after `deadline`, the sender
    /// still makes the first attempt, with time-outs of about 1 ms.
    pub fn new(
        host: &'a H,
        account: &'a Account,
        service: Service,
        timeouts: Timeouts,
        deadline: Deadline,
    ) -> Self {
        Self { host, account, service, timeouts, deadline, attempts: ATTEMPTS, retries: Cell::new(0) }
    }

    /// Limits the attempts of each call to this number. The sender always makes at least one attempt.
    #[must_use]
    pub fn with_attempts(self, attempts: u32) -> Self {
        Self { attempts, ..self }
    }

    /// The Spin host (in tests: a fake host) through which the sender sends HTTP requests.
    pub fn host(&self) -> &'a H {
        self.host
    }

    /// The account to which the sender sends calls.
    pub fn account(&self) -> &'a Account {
        self.account
    }

    /// How many times this sender has repeated an attempt so far.
    pub fn retries(&self) -> u32 {
        self.retries.get()
    }

    /// Sends a call, and repeats the call if another attempt can succeed.
    pub async fn send(&self, call: &Call) -> Result<Sent, Failed> {
        self.send_noting_trouble(call, async || None).await
    }

    /// Does the same as [`Sender::send`]. If the first attempt fails, the sender also runs `on_trouble`,
    /// before it waits or makes the next attempt. If `on_trouble` returns a call, the next attempts send the
    /// returned call in place of `call`.
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
                Ok(response) if response.status().is_success() => {
                    return Ok(Sent { response, may_be_done, is_doubtful });
                }
                Ok(response) => Failure::Answered(response),
                Err(failure) => failure,
            };
            is_doubtful |= failure.is_doubtful();
            if let Some(note) = on_trouble.take() {
                repeated = note().await;
            }
            let longest = FIRST_WAIT_MILLISECONDS << (attempt - 1);
            let jittered = Duration::from_millis(self.host.up_to(longest));
            let retry_after = Duration::from_secs(failure.retry_after_seconds().unwrap_or_default());
            let wait = jittered.saturating_add(retry_after);
            if attempt >= self.attempts
                || !failure.is_retryable()
                || wait >= self.deadline.remaining(self.host)
            {
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
            // The body of the response is lost, but the HTTP status has arrived. The status shows whether the
            // call has succeeded. If the call has failed, or if its caller does not read the body, the
            // sender needs no body.
            Err(TransportError::BodyLost(lost)) if !(call.reads_response && lost.status.is_success()) => {
                Ok(lost.into_response())
            }
            response => response.map_err(Failure::Transport),
        }
    }
}
