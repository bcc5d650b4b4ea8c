//! Alerts with a `key` in bad conditions: runs (executions of the poller) are killed, responses are lost, and
//! calls to the tables fail. The key names a problem. By default, a newer alert with the same key changes the
//! chat message of the older alert.

use std::collections::BTreeMap;

use proptest::prelude::*;
use serde_json::json;
use trigger_component::Limits;

use crate::keyed::{accept, keyed, texts};
use crate::script::{Fault, Reply};
use crate::sim::{Planned, QUEUE, Sim};
use crate::{milliseconds, seconds};

/// The failures and delays that a test simulates in two runs.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Trouble {
    /// The second run begins this many milliseconds after the first run.
    second_after: u64,
    /// The first run is killed this many milliseconds after its start.
    kill_after: Option<u64>,
    /// Each response of the Connector takes this many milliseconds.
    delay: u64,
    /// If this number is 3, every third response of the Connector is lost.
    lose_every: usize,
    /// If this number is 5, every fifth call to the tables fails with the status 503.
    fail_every: usize,
}

pub(crate) fn any_trouble() -> impl Strategy<Value = Trouble> {
    (0..12_000_u64, prop::option::of(0..9_000_u64), 0..1_500_u64, 2..9_usize, 5..60_usize).prop_map(
        |(second_after, kill_after, delay, lose_every, fail_every)| Trouble {
            second_after,
            kill_after,
            delay,
            lose_every,
            fail_every,
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 192, ..ProptestConfig::default() })]

    /// Six alerts have the same key. The queue hands the alerts out in any order. Two runs work on the
    /// alerts, with the failures and delays of `trouble`. No chat message changes back to the text of an
    /// older alert. In the end, the conversation shows the newest alert.
    ///
    /// For each alert, `rules` has the value of `again`: what the poller does if the conversation already
    /// shows an alert with the key. `noted` says whether the bot recorded the alert as the newest alert with
    /// the key.
    #[test]
    fn older_alert_never_replaces_a_newer_alert(
        order in Just((0..6_u32).collect::<Vec<_>>()).prop_shuffle(),
        rules in prop::collection::vec(prop::sample::select(vec!["update", "update", "new", "reply"]), 6),
        noted in prop::collection::vec(any::<bool>(), 6),
        trouble in any_trouble(),
        seed in 1_u64..1000,
    ) {
        let sim = Sim::new(seed);
        for number in order {
            let rule = rules[number as usize];
            accept(&sim, &keyed(&sim, number, number.into(), &json!({"again": rule})), noted[number as usize]);
        }
        run_in(&sim, trouble);
        expect_newest(&sim, &texts(&sim))?;
    }
}

/// Does two runs with `trouble`. Then does forty runs without failures, to finish the remaining alerts.
pub(crate) fn run_in(sim: &Sim, trouble: Trouble) {
    let (mut calls, mut table_calls) = (0, 0);
    sim.connector(move |_, _| {
        calls += 1;
        let reply = if calls % trouble.lose_every == 0 { Reply::cut() } else { Reply::status(200) };
        reply.after(milliseconds(trouble.delay))
    });
    sim.table_faults(move |_| {
        table_calls += 1;
        (table_calls % trouble.fail_every == 0).then_some(Fault::Status(503))
    });
    let start = sim.now();
    let limits = Limits { backoff: milliseconds(10), uncertain_pause: seconds(1), ..Limits::default() };
    let kill = trouble.kill_after.map(|after| start + milliseconds(after));
    sim.run_all(vec![
        Planned { start, kill, limits: limits.clone() },
        Planned { start: start + milliseconds(trouble.second_after), kill: None, limits: limits.clone() },
    ]);
    sim.table_faults(|_| None);
    sim.connector(|_, _| Reply::status(200));
    for _ in 0..40 {
        sim.pass(seconds(61));
        let planned = Planned { start: sim.now(), kill: None, limits: limits.clone() };
        sim.run_all(vec![planned]);
    }
}

/// Checks that the queue is empty, and that no chat message changed back to the text of an older alert. Also
/// checks that the newest of the six alerts is shown.
pub(crate) fn expect_newest(sim: &Sim, texts: &[String]) -> Result<(), TestCaseError> {
    prop_assert_eq!(sim.storage.borrow().messages(QUEUE).len(), 0, "the queue is empty");
    let mut shown: BTreeMap<String, u32> = BTreeMap::new();
    for attempt in sim.attempts.borrow().iter().filter(|attempt| attempt.shown) {
        let number: u32 = attempt.text.split(' ').next().unwrap().parse().unwrap();
        let before = shown.entry(attempt.activity.clone()).or_default();
        prop_assert!(*before <= number, "{number} replaced {before}: {:#?}", sim.attempts.borrow());
        *before = number;
    }
    // The six alerts have the numbers 0 to 5, and alert 5 is the newest.
    let newest = texts.iter().filter_map(|text| text.split(' ').next()?.parse::<u32>().ok()).max();
    prop_assert_eq!(newest, Some(5), "{:#?}", sim.attempts.borrow());
    Ok(())
}
