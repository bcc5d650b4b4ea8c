//! A Bot Connector that a test scripts.
//!
//! It records every request and gives the answers of the real one, unless a rule of the test says otherwise. A request
//! that the bot has no business sending is answered with 500 and what arrived, is remembered, and fails the test when
//! the connector goes away.

mod drip;
mod received;
mod reply;
mod server;

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};

use serde_json::Value;

pub use drip::Drip;
pub use received::Received;
pub use reply::Reply;

use crate::failure;
use crate::login::Login;
use crate::loopback_server::LoopbackServer;
use crate::waiting::eventually;
use server::Shared;

/// A rule: what to answer, or `None` to leave the request to the next rule.
pub(crate) type Rule = Box<dyn Fn(&Received) -> Option<Reply> + Send + Sync>;

/// The fake Connector; it stops when it is dropped.
#[derive(Debug)]
pub struct Connector {
    server: LoopbackServer,
    shared: Arc<Shared>,
}

impl Connector {
    /// Starts one on a free loopback port.
    pub fn start() -> Self {
        let shared = Arc::new(Shared::default());
        let answering = Arc::clone(&shared);
        let server = LoopbackServer::start(move |request| server::exchange(request, Arc::clone(&answering)));
        Self { server, shared }
    }

    /// `127.0.0.1:<port>`
    pub fn authority(&self) -> &str {
        self.server.authority()
    }

    /// From now on every request must carry a token that this login host has given, and before that none may.
    pub fn expect_tokens_of(&self, login: &Login) {
        *self.shared.tokens.lock().unwrap() = Some(login.tokens());
    }

    /// Adds a rule; the newest is asked first.
    pub fn on(&self, rule: impl Fn(&Received) -> Option<Reply> + Send + Sync + 'static) {
        self.shared.rules.lock().unwrap().insert(0, Box::new(rule));
    }

    /// Everything that was received so far, in order.
    pub fn received(&self) -> Vec<Received> {
        self.shared.received.lock().unwrap().clone()
    }

    /// Forgets what was received so far.
    pub fn forget(&self) {
        self.shared.received.lock().unwrap().clear();
    }

    /// Waits until `count` requests have come, and fails if it is not exactly so many.
    #[track_caller]
    pub fn wait_for(&self, count: usize) -> Vec<Received> {
        let awaited = format!("{count} requests at the Connector");
        let all = eventually(&awaited, || Some(self.received()).filter(|all| all.len() >= count));
        assert_eq!(all.len(), count, "expected {count} requests at the Connector, got {all:#?}");
        all
    }

    /// Fails the test if anything came.
    #[track_caller]
    pub fn expect_silence(&self) {
        let all = self.received();
        assert!(all.is_empty(), "expected no request at the Connector, got {all:#?}");
    }

    /// The most requests that were waiting for an answer at one time.
    pub fn most_at_once(&self) -> usize {
        self.shared.most_at_once.load(Ordering::SeqCst)
    }

    /// The same activity with a serviceUrl that leads here; its path stays.
    pub fn host(&self, activity: &Value) -> Value {
        crate::activity::at_service(activity, self.authority())
    }

    /// Takes the complaints out: for the test of this very feature.
    pub fn take_unexpected(&self) -> Vec<String> {
        std::mem::take(&mut *lock_anyway(&self.shared.unexpected))
    }
}

impl Drop for Connector {
    fn drop(&mut self) {
        let unexpected = self.take_unexpected();
        if std::thread::panicking() {
            failure::note(format!("The Connector received: {:#?}", *lock_anyway(&self.shared.received)));
            failure::note(format!("The Connector did not expect: {unexpected:#?}"));
        } else {
            assert!(unexpected.is_empty(), "the Connector did not expect: {unexpected:#?}");
        }
    }
}

/// A poisoned lock is no reason to lose the evidence.
fn lock_anyway<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}
