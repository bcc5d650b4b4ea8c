//! A fake of the Bot Connector, for tests.
//!
//! By default, the fake responds like the real Connector. A test can add *rules*, which choose other
//! responses. The fake records every request, except a request for which a rule chooses
//! [`Reply::cut_unseen`].
//!
//! If the bot sends a request that it must never send, the fake keeps a *complaint*: a text with the reason
//! and the whole request. The response to such a request has the status 500, and contains the complaint. A
//! fake with a complaint fails the test when the fake is dropped.

mod chats;
mod drip;
mod received;
mod reply;
mod rule;
mod server;
mod teams;

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};

use serde_json::Value;

pub use drip::EndlessBody;
pub use received::Received;
pub use reply::Reply;
pub use teams::Teams;

use crate::failure;
use crate::login::Login;
use crate::loopback_server::LoopbackServer;
use crate::waiting::eventually;
use server::Shared;

/// The fake Connector. The server stops when this value is dropped.
#[derive(Debug)]
pub struct Connector {
    server: LoopbackServer,
    shared: Arc<Shared>,
}

impl Connector {
    /// Starts the fake on a free loopback port.
    pub fn start() -> Self {
        let shared = Arc::new(Shared::default());
        let answering = Arc::clone(&shared);
        let server = LoopbackServer::start(move |request| server::exchange(request, Arc::clone(&answering)));
        Self { server, shared }
    }

    /// The address of the fake: `127.0.0.1:<port>`.
    pub fn authority(&self) -> &str {
        self.server.authority()
    }

    /// Makes the fake expect a token of `login` in every later request. `login` is a fake of the host that
    /// gives tokens to the bot. By default, a request must not have a token.
    pub fn expect_tokens_of(&self, login: &Login) {
        *self.shared.tokens.lock().unwrap() = Some(login.tokens());
    }

    /// Adds a rule. The fake tries the newest rule first. If a rule returns `None`, the fake tries the next
    /// older rule.
    pub fn on(&self, rule: impl Fn(&Received) -> Option<Reply> + Send + Sync + 'static) {
        self.shared.rules.lock().unwrap().insert(0, Box::new(rule));
    }

    /// Changes the people, teams and channels that the fake knows.
    pub fn teams(&self, change: impl FnOnce(&mut Teams)) {
        change(&mut self.shared.teams.lock().unwrap());
    }

    /// Every request so far that creates a conversation or reads the members of a conversation, in the order
    /// of arrival.
    pub fn conversation_calls(&self) -> Vec<Received> {
        self.shared.conversation_calls.lock().unwrap().clone()
    }

    /// Every request so far that posts, changes or deletes an activity, in the order of arrival.
    pub fn received(&self) -> Vec<Received> {
        self.shared.received.lock().unwrap().clone()
    }

    /// The bot's chat messages that a conversation shows now, oldest first. Deleted messages are left out.
    pub fn shown(&self, conversation: &str) -> Vec<Value> {
        self.shared.chats.lock().unwrap().shown(conversation)
    }

    /// Deletes every message in every conversation, as if people had deleted them.
    pub fn forget_chats(&self) {
        *self.shared.chats.lock().unwrap() = chats::Chats::default();
    }

    /// Clears the record of received requests. The conversations keep their messages.
    pub fn forget(&self) {
        self.shared.received.lock().unwrap().clear();
        self.shared.conversation_calls.lock().unwrap().clear();
    }

    /// Waits until the fake has received `count` requests that post, change or delete an activity. Fails the
    /// test if the fake has received more of these requests.
    #[track_caller]
    pub fn wait_for(&self, count: usize) -> Vec<Received> {
        let awaited = format!("{count} requests at the Connector");
        let all = eventually(&awaited, || Some(self.received()).filter(|all| all.len() >= count));
        assert_eq!(all.len(), count, "expected {count} requests at the Connector, found {all:#?}");
        all
    }

    /// Fails the test if the fake has received a request that posts, changes or deletes an activity.
    #[track_caller]
    pub fn expect_silence(&self) {
        let all = self.received();
        assert!(all.is_empty(), "expected no request at the Connector, found {all:#?}");
    }

    /// The highest number of requests that waited for a response at the same moment, from the start of the
    /// fake until now.
    pub fn most_at_once(&self) -> usize {
        self.shared.most_at_once.load(Ordering::SeqCst)
    }

    /// Points the activity's serviceUrl to this fake, and keeps the path of the serviceUrl.
    pub fn host(&self, activity: &Value) -> Value {
        crate::activity::at_service(activity, self.authority())
    }

    /// Returns the complaints and clears them. A test that provokes a complaint calls this function.
    /// Otherwise, the fake would fail the test.
    pub fn take_complaints(&self) -> Vec<String> {
        std::mem::take(&mut *lock_anyway(&self.shared.complaints))
    }
}

impl Drop for Connector {
    fn drop(&mut self) {
        let complaints = self.take_complaints();
        if std::thread::panicking() {
            failure::note(format!("The Connector received: {:#?}", *lock_anyway(&self.shared.received)));
            failure::note(format!("The Connector did not expect: {complaints:#?}"));
        } else {
            assert!(complaints.is_empty(), "the Connector did not expect: {complaints:#?}");
        }
    }
}

/// Locks the mutex, even if a thread panicked while the thread had the lock. The report of a failed test
/// needs the content of the mutex.
fn lock_anyway<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}
