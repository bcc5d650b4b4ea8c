//! If a Connector host fails, the poller stops calling this host. Then the poller probes the host with one
//! alert at a time, until the host accepts an alert.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use end_to_end::connector::Reply;
use end_to_end::stage::Stage;
use end_to_end::suite::World;
use end_to_end::waiting::eventually;
use serde_json::{Value, json};

use crate::draining::envelope;

end_to_end::cases!(failing_host_gets_no_alert_until_a_probe_is_due_and_then_recovers);

/// Makes an envelope (an alert as JSON) for one region of the Connector. Each serviceUrl leads to the same
/// fake Connector, and the path of the serviceUrl names the region. The poller treats each region as a
/// separate Connector host.
fn in_region(stage: &Stage, id: &str, region: &str) -> Value {
    let mut envelope = envelope(stage, id, &format!("a:{id}"), id);
    let service_url = envelope["address"]["serviceUrl"].as_str().unwrap();
    let (origin, _) = service_url.trim_end_matches('/').rsplit_once('/').unwrap();
    envelope["address"]["serviceUrl"] = format!("{origin}/{region}/").into();
    envelope
}

fn failing_host_gets_no_alert_until_a_probe_is_due_and_then_recovers(world: &World) {
    let stage = Stage::start(world);
    let is_out = Arc::new(AtomicBool::new(true));
    let fails = Arc::clone(&is_out);
    stage.connector.on(move |received| {
        let is_refused = fails.load(Ordering::SeqCst) && received.path.starts_with("/amer/");
        is_refused.then(|| Reply::status(503, json!("<html>Unavailable</html>")))
    });
    for id in ["1", "2", "3"] {
        stage.queue.put_json(&in_region(&stage, id, "amer"));
    }
    assert_eq!(stage.poll()["retried"], 3);
    let went_out_at = Instant::now();
    let failed = stage.wait_for_events("host.failed", 1);
    assert_eq!(failed[0]["status"], 503, "{failed:?}");
    // The first run has recorded that the host fails, so the next run does not call this host. The next run
    // still delivers to another region.
    for (id, region) in [("4", "amer"), ("5", "emea")] {
        stage.queue.put_json(&in_region(&stage, id, region));
    }
    let counts = stage.poll();
    assert_eq!((&counts["hostOut"], &counts["delivered"]), (&1.into(), &1.into()), "{counts}");
    assert!(
        went_out_at.elapsed() < Duration::from_secs(5),
        "expected that the second run ends before the first probe is due, but this machine was too slow"
    );
    let asked = stage.connector.received().iter().filter(|one| one.path.starts_with("/amer/")).count();
    assert_eq!(asked, 3, "expected one attempt for each of the first three alerts");
    // The host works again. When the first probe is due, a run sends one alert to the host as the probe.
    is_out.store(false, Ordering::SeqCst);
    let mut number = 5;
    eventually("a successful probe", || {
        number += 1;
        stage.queue.put_json(&in_region(&stage, &number.to_string(), "amer"));
        stage.poll();
        Some(stage.events("host.recovered")).filter(|events| !events.is_empty())
    });
    assert_eq!(stage.queue.poison().count(), 0);
}
