//! How fast the poller sends chat messages. There is a minimum time between two messages into one
//! conversation, and another minimum time between two messages to one tenant on one channel (a chat service,
//! e.g. Teams). The variable `pace` sets the minimum time for a tenant, as a number of messages a second. A
//! *gap* is the time between two messages.

use std::time::Duration;

use crate::sim::{Reply, Sim};
use crate::{counts, envelope_of, milliseconds, seconds};

/// Returns the time between each moment and the next moment.
fn gaps(mut moments: Vec<Duration>) -> Vec<Duration> {
    moments.sort();
    moments.windows(2).map(|pair| pair[1] - pair[0]).collect()
}

fn moments(sim: &Sim, conversation: &str) -> Vec<Duration> {
    let attempts = sim.attempts.borrow();
    attempts
        .iter()
        .filter(|attempt| attempt.conversation.starts_with(conversation))
        .map(|attempt| attempt.at)
        .collect()
}

#[test]
fn conversation_with_many_alerts_gets_at_most_seven_alerts_a_second() {
    let sim = Sim::new(1);
    for text in 0..30 {
        sim.put(&envelope_of("t", "a", &text.to_string()));
        sim.put(&envelope_of("t", "b", &text.to_string()));
    }
    assert_eq!(counts(&sim.run(), ["delivered"]), [60]);
    for conversation in ["a", "b"] {
        let gaps = gaps(moments(&sim, conversation));
        assert!(gaps.iter().all(|gap| *gap >= milliseconds(143) && *gap < milliseconds(150)), "{gaps:?}");
    }
    assert!(sim.now() < seconds(6), "the two conversations must not wait for each other");
}

#[test]
fn tenant_with_many_alerts_keeps_the_pace_and_delays_no_other_tenant() {
    for (pace, gap) in [("30", milliseconds(33)), ("5", milliseconds(200)), ("0", milliseconds(0))] {
        let sim = Sim::new(2);
        sim.settings.borrow_mut().insert("pace".into(), pace.into());
        for index in 0..20 {
            for tenant in ["x", "y"] {
                sim.put(&envelope_of(tenant, &format!("{tenant}{index}"), "hello"));
            }
        }
        let begin = sim.now();
        assert_eq!(counts(&sim.run(), ["delivered"]), [40]);
        for tenant in ["x", "y"] {
            let gaps = gaps(moments(&sim, tenant));
            // The test needs no tolerance, because the simulation has one clock and every call takes 2 ms to
            // arrive.
            assert!(gaps.iter().all(|found| *found >= gap), "pace={pace}: {gaps:?}");
        }
        let took = sim.now() - begin;
        assert!(
            took < gap * 20 + milliseconds(150),
            "pace={pace}: the tenants must not wait for each other, took {took:?}"
        );
    }
}

/// The messages wait until the run has a token for the Connector. When the run gets the token, it must not
/// send all these messages at once.
#[test]
fn messages_that_waited_for_the_token_keep_the_pace() {
    let sim = Sim::with_login(4);
    sim.settings.borrow_mut().insert("pace".into(), "30".into());
    for index in 0..60 {
        sim.put(&envelope_of("t", &format!("c{index}"), "hello"));
    }
    assert_eq!(counts(&sim.run(), ["delivered"]), [60]);
    let gaps = gaps(moments(&sim, "c"));
    assert!(gaps.iter().all(|gap| *gap >= milliseconds(33)), "{gaps:?}");
}

#[test]
fn messages_of_one_conversation_are_sent_one_at_a_time() {
    let sim = Sim::new(3);
    sim.connector(|_, _| Reply::status(201).after(milliseconds(400)));
    for text in 0..5 {
        sim.put(&envelope_of("t", "a", &text.to_string()));
    }
    sim.run();
    assert_eq!(sim.most_at_once.get(), 1);
    assert!(gaps(moments(&sim, "a")).iter().all(|gap| *gap > milliseconds(400)));
}
