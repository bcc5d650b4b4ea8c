//! The figures: counts of the queue's messages over all runs. Each message counts once, even if runs are
//! killed and storage calls fail. A *world* is one simulation (`sim.rs`).

use http::Method;

use crate::settled::{accept, killed_after, overview};
use crate::sim::{Fault, QUEUE, Reply, Sim};
use crate::{envelope, milliseconds, seconds};

/// The storage calls that fail in a world.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Trouble {
    None,
    /// The first attempt of every Delete fails with this fault.
    FirstDeletes(Fault),
    /// Every Delete fails with this fault, until the second run of the world ends.
    AllDeletes(Fault),
    /// Every write of the ledger fails, until the second run of the world ends.
    Ledger,
}

/// Makes a world with nine messages. Examples: messages that a run can deliver, the message of an expired
/// alert, a copy of a message, and a message that is no envelope. Returns the world and the number of
/// messages.
fn world(seed: u64, trouble: Trouble) -> (Sim, u64) {
    let sim = Sim::new(seed);
    let mut is_throttled = false;
    sim.connector(move |conversation, _| match conversation {
        "gone" => Reply::status(400),
        "slow" => Reply::status(201).after(milliseconds(300)),
        "throttled" if !std::mem::replace(&mut is_throttled, true) => Reply::retry_after(2),
        _ => Reply::status(201),
    });
    for (conversation, text) in
        [("a", "1"), ("a", "2"), ("b", "1"), ("gone", "1"), ("slow", "1"), ("throttled", "1")]
    {
        accept(&sim, conversation, text);
    }
    // The queue gets a copy of one message.
    let copy = sim.storage.borrow().messages(QUEUE)[2].text.clone();
    sim.storage.borrow_mut().put(QUEUE, &copy, sim.now(), None);
    let mut expired = envelope("c", "1");
    expired["expires"] = "2026-11-23T21:00:00Z".into();
    sim.put(&expired);
    sim.storage.borrow_mut().put(QUEUE, "no envelope", sim.now(), None);
    let mut deleted = std::collections::BTreeSet::new();
    match trouble {
        Trouble::FirstDeletes(fault) => sim.faults(move |request| {
            let is_first =
                request.method() == Method::DELETE && deleted.insert(request.uri().path().to_owned());
            is_first.then_some(fault)
        }),
        Trouble::AllDeletes(fault) => {
            sim.faults(move |request| (request.method() == Method::DELETE).then_some(fault));
        }
        Trouble::Ledger => sim.table_faults(|request| {
            let is_write = request.method() != Method::GET;
            (is_write && request.uri().path().contains("ledger")).then_some(Fault::Status(503))
        }),
        Trouble::None => {}
    }
    (sim, 9)
}

fn stop_faults(sim: &Sim) {
    sim.faults(|_| None);
    sim.table_faults(|_| None);
}

/// Runs until the queue is empty, and checks the figures after each run. If the figures are wrong, returns a
/// description of the error.
fn check_figures_until_empty(sim: &Sim, messages: u64) -> Option<String> {
    let last = sim.now() + seconds(900);
    // The run lock (a record that lets only one run work at a time) of a killed run ends within ten seconds.
    // After that, the next run can take the lock.
    sim.pass(seconds(10));
    loop {
        sim.run();
        let left = sim.storage.borrow().messages(QUEUE).len() as u64;
        let figures = overview(sim).figures;
        let counted = figures.gone_messages();
        // A killed run leaves messages that it has dequeued and not finished. The next run calls the queue
        // with the pop receipts of these messages. If a receipt is outdated, Azure returns 404, even if the
        // message is only hidden. The next run then assumes that the message was deleted, and counts the
        // message. So the figures can count a message that is still on the queue.
        let is_sure = left == 0 || !sim.storage.borrow().is_like_azure;
        let is_right = counted == messages - left || !is_sure && counted >= messages - left;
        // If a run is killed before it has recorded its dequeued messages, these messages do not count as
        // accepted at first. A later run corrects `accepted` when these messages leave the queue. Until then,
        // `accepted` can be smaller than `messages`.
        let is_accepted = (counted..=messages).contains(&figures.accepted);
        // Two messages hold the same alert, so usually at most one message counts as a copy. There is one
        // exception: a run does not find a message, and counts the message as deleted, but a later run
        // dequeues the message. Then the figures count this message twice, and `found_again` is not zero.
        let copies = figures.ended.get("copy").copied().unwrap_or_default();
        if !is_right || !is_accepted || copies > 1 && figures.found_again == 0 {
            return Some(format!(
                "{left} of {messages} are on the queue, {counted} are counted: {figures:?}"
            ));
        }
        if left == 0 {
            return None;
        }
        assert!(sim.now() < last, "{:?}", sim.storage.borrow().messages(QUEUE));
        sim.pass(seconds(4));
    }
}

const TROUBLES: [Trouble; 5] = [
    Trouble::None,
    Trouble::FirstDeletes(Fault::Status(503)),
    Trouble::AllDeletes(Fault::Status(503)),
    Trouble::AllDeletes(Fault::CutAfter),
    Trouble::Ledger,
];

#[test]
fn messages_of_runs_that_are_killed_at_any_moment_are_counted_once() {
    let mut all_wrong = Vec::new();
    for trouble in TROUBLES {
        for is_like_azure in [false, true] {
            for after in (1..130).step_by(3).chain((130..900).step_by(77)) {
                let (sim, messages) = world(after, trouble);
                sim.storage.borrow_mut().is_like_azure = is_like_azure;
                let context = format!("{trouble:?}, like Azure: {is_like_azure}, killed after {after} ms");
                let has_ended = killed_after(&sim, milliseconds(after));
                // The next run makes the messages of the killed run visible again. The test kills the next
                // run, too.
                sim.pass(seconds(10));
                killed_after(&sim, milliseconds(after % 50 + 1));
                stop_faults(&sim);
                let wrong = check_figures_until_empty(&sim, messages);
                all_wrong.extend(wrong.map(|wrong| format!("{context}: {wrong}")));
                if has_ended {
                    break;
                }
            }
        }
    }
    assert!(all_wrong.is_empty(), "the figures are wrong in {} worlds: {:#?}", all_wrong.len(), all_wrong);
}
