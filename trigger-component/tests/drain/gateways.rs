//! Responses that a gateway (a proxy in front of the Connector) sends instead of the Connector, and unusual
//! values of `Retry-After`.

use serde_json::json;

use crate::sim::{POISON, QUEUE, Reply, Sim};
use crate::{counts, envelope, seconds};

/// A gateway can fail after the Connector has accepted the alert, so the poller does not know whether the
/// person got the alert. The alert's member `onUncertain` decides whether the poller sends the alert again.
#[test]
fn alert_with_on_uncertain_drop_is_not_sent_again_after_a_gateway_failure() {
    for status in [408, 502, 504] {
        let sim = Sim::new(1);
        sim.connector(move |_, _| Reply::status(status));
        let mut dropping = envelope("a", "1");
        dropping["onUncertain"] = json!("drop");
        sim.put(&dropping);
        sim.put(&envelope("b", "1"));
        assert_eq!(counts(&sim.run(), ["droppedUncertain", "retried"]), [1, 1], "{status}");
        sim.connector(|_, _| Reply::status(201));
        sim.pass(seconds(30));
        sim.run();
        assert_eq!(
            sim.shown("a").len(),
            0,
            "{status}: the only try failed, and `onUncertain: drop` allows no second try"
        );
        assert_eq!(sim.shown("b").len(), 1, "{status}: the other alert is sent again");
        assert!(sim.storage.borrow().queues[QUEUE].is_empty());
    }
}

/// Even if a response asks for no pause, the poller makes a pause before the next try. Without this pause,
/// the alert would use up all its tries within half a minute.
#[test]
fn retry_after_of_zero_still_causes_a_pause() {
    let sim = Sim::new(2);
    sim.connector(|_, _| Reply { retry_after: Some(0), ..Reply::status(503) });
    sim.put(&envelope("a", "1"));
    while !sim.storage.borrow().queues[QUEUE].is_empty() && sim.now() < seconds(3600) {
        sim.run();
        sim.pass(seconds(1));
    }
    assert_eq!(sim.storage.borrow().messages(POISON).len(), 1);
    assert!(sim.now() > seconds(60), "{:?}", sim.now());
}

#[test]
fn retry_after_of_days_hides_the_message_for_an_hour() {
    let sim = Sim::new(3);
    sim.connector(|_, _| Reply::retry_after(1_000_000));
    sim.put(&envelope("a", "1"));
    sim.run();
    let hidden = sim.storage.borrow().messages(QUEUE)[0].visible_at;
    assert!(hidden > seconds(3590) && hidden < seconds(3610), "{hidden:?}");
}
