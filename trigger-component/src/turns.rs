//! Turns: locks inside one run (one execution of the poller). Each turn belongs to one conversation and one
//! alert key (the `key` of an alert, which names a problem). Before the run sends an alert with a key, the
//! *attempt* (the work on this alert) takes the turn. So the run never sends two alerts with the same key at
//! the same time.
//!
//! A *lane* lists the queue messages that the run has dequeued for one address. (An address names a
//! conversation, or a person whose conversation the bot does not know yet.) The run sends the messages of one
//! lane one after the other, but works on several lanes at once. Without turns, the run could send two alerts
//! with the same key at once, because the alerts can be in different lanes. For example, the bot accepts an
//! alert to a person before it knows the conversation with the person. Then the bot learns the conversation,
//! and accepts a second alert. The two alerts go to the same conversation. But they have different addresses,
//! so they are in different lanes.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Poll, Waker};

type TakenTurns = Rc<RefCell<BTreeMap<String, Vec<Waker>>>>;

/// The turns that attempts of this run have taken, by name. The name contains the conversation and the alert
/// key. Each entry lists the wakers of the attempts that wait for the turn.
#[derive(Debug, Default)]
pub(crate) struct Turns(TakenTurns);

/// A turn that an attempt has taken. The turn ends when this value is dropped.
#[derive(Debug)]
pub(crate) struct Turn {
    name: String,
    taken: TakenTurns,
}

impl Turns {
    /// Takes the turn with this name. If another attempt has this turn, waits until the other attempt drops
    /// it.
    pub(crate) async fn take(&self, name: String) -> Turn {
        poll_fn(|context| {
            let mut turns = self.0.borrow_mut();
            match turns.get_mut(&name) {
                Some(waiting) => {
                    waiting.push(context.waker().clone());
                    Poll::Pending
                }
                None => {
                    turns.insert(name.clone(), Vec::new());
                    Poll::Ready(())
                }
            }
        })
        .await;
        Turn { name, taken: Rc::clone(&self.0) }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let waiting = self.taken.borrow_mut().remove(&self.name);
        waiting.into_iter().flatten().for_each(Waker::wake);
    }
}

#[cfg(test)]
mod tests {
    use std::task::Context;

    use super::*;

    #[test]
    fn turn_is_given_to_one_attempt_at_a_time() {
        let turns = Turns::default();
        let context = &mut Context::from_waker(Waker::noop());
        let take = |name: &str| Box::pin(turns.take(name.to_owned()));
        let (mut first, mut second, mut other) = (take("a"), take("a"), take("b"));
        let Poll::Ready(turn) = first.as_mut().poll(context) else { panic!("the turn is free") };
        assert!(second.as_mut().poll(context).is_pending(), "the first attempt has the turn");
        assert!(other.as_mut().poll(context).is_ready(), "a turn with another name is free");
        drop(turn);
        assert!(second.as_mut().poll(context).is_ready());
    }
}
