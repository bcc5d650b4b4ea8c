//! Replays of *dead letters* (messages in the poison queue). A *replay* is an API call that puts dead letters
//! on the queue again. The case kills the Spin host in the middle of a replay, and then repeats the replay.

use std::sync::Arc;
use std::sync::atomic::{AtomicU16, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use end_to_end::alerts::{self, ALERT_KEY, call, known, queued, to_conversation};
use end_to_end::connector::Reply;
use end_to_end::faulty_tables::{Call, FaultyTables, Plan};
use end_to_end::stage::Stage;
use end_to_end::suite::World;
use end_to_end::waiting::eventually;
use end_to_end::web;
use http::{Method, Request};
use serde_json::json;

end_to_end::cases!(replay_that_is_repeated_after_a_kill_delivers_each_alert_once);

/// How long a replay *leases* (hides) a dead letter. After a kill, the dead letter stays hidden until this
/// time has passed.
const LEASE: Duration = Duration::from_secs(30);
/// How long the proxy in front of the table service delays one call. The case kills the host during this
/// time.
const HANG: Duration = Duration::from_secs(4);

/// A call that a replay makes to the table service. The case kills the host during this call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Moment {
    /// The call sets the status in an alert's record to `queued`.
    Record,
    /// The call deletes the row that describes a dead letter.
    Row,
}

impl Moment {
    fn of(call: &Call<'_>) -> Option<Self> {
        match *call.method {
            Method::PATCH if call.table().ends_with("ledger") => Some(Self::Record),
            Method::DELETE if call.path.contains(".dead'") => Some(Self::Row),
            _ => None,
        }
    }
}

fn replay_that_is_repeated_after_a_kill_delivers_each_alert_once(world: &World) {
    const ALERTS: usize = 9;
    // Each `Moment` has a counter. Every call of this `Moment` reduces the counter by 1, down to 0. The call
    // that reduces the counter from 1 to 0 hangs. All other calls do not hang.
    let left = [Moment::Record, Moment::Row].map(|moment| (moment, Arc::new(AtomicU64::new(0))));
    let hanging = left.clone();
    let tables = FaultyTables::start_with(&world.azurite().table_authority(), move |call, _| {
        let moment = Moment::of(call);
        let left = hanging.iter().find(|(of, _)| Some(*of) == moment).map(|(_, left)| left);
        let is_meant = left.is_some_and(|left| {
            let before = left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1));
            before == Ok(1)
        });
        Plan { delay: if is_meant { HANG } else { Duration::ZERO }, ..Plan::default() }
    });
    let script = alerts::script(world).variable("sealkey", "a seal key for tests").variable("pace", "0");
    let mut stage = script.tables_at(tables.authority()).start();
    let status = Arc::new(AtomicU16::new(400));
    let answering = Arc::clone(&status);
    stage.connector.on(move |received| {
        let status = answering.load(Ordering::SeqCst);
        (received.is_alert() && status != 201).then(|| Reply::error(status, "BadSyntax"))
    });
    let keys = ["a:1", "a:2"].map(|conversation| known(&stage, conversation, "hello"));
    let texts: Vec<String> = (0..ALERTS).map(|number| number.to_string()).collect();
    for (text, key) in texts.iter().zip(keys.iter().cycle()) {
        queued(&stage, &to_conversation(key, text));
    }
    assert_eq!(stage.poll()["poisoned"], ALERTS);
    status.store(201, Ordering::SeqCst);
    stage.connector.forget();

    for (moment, count) in [(Moment::Record, 3), (Moment::Row, 2)] {
        let (_, left) = left.iter().find(|(of, _)| *of == moment).unwrap();
        left.store(count, Ordering::SeqCst);
        kill_during_a_replay(&mut stage, || left.load(Ordering::SeqCst) == 0);
        let since = Instant::now();
        // The poller delivers the alerts that the killed replay had put on the queue.
        while stage.poll()["received"] != 0 {}
        let begun = alerted(&stage).len();
        assert!(
            (1..ALERTS).contains(&begun),
            "killed during {moment:?}: {begun} of {ALERTS} alerts replayed"
        );
        // The remaining dead letters become visible when the leases of the killed replay have ended.
        std::thread::sleep(LEASE.saturating_sub(since.elapsed()) + Duration::from_secs(1));
    }
    eventually("the end of the replay", || {
        let response =
            call(&stage, "POST", "/api/dead/replay", &json!({"all": true})).expect_status(200).json();
        (response["more"] == false && response["refused"] == json!([])).then_some(())
    });
    while stage.poll()["received"] != 0 {}
    let mut delivered = alerted(&stage);
    delivered.sort();
    assert_eq!(delivered, texts.iter().map(|text| format!("Alert: {text}")).collect::<Vec<_>>());
    assert_eq!((stage.queue.count(), stage.queue.poison().count()), (0, 0), "expected empty queues");
    // A killed replay can leave rows of dead letters behind. The API call `drop` deletes these rows.
    let rows = call(&stage, "POST", "/api/dead/drop", &json!({"all": true})).expect_status(200).json();
    assert_eq!(rows["more"], false, "{rows}");
}

/// Begins a replay, waits until `is_hanging` returns true, kills the host, and starts the host again.
fn kill_during_a_replay(stage: &mut Stage, is_hanging: impl Fn() -> bool) {
    let request = Request::post(stage.url("/api/dead/replay"))
        .header("authorization", format!("Bearer {ALERT_KEY}"))
        .header("content-type", "application/json");
    let request = request.body(web::whole(json!({"all": true}).to_string())).unwrap();
    let replay = std::thread::spawn(move || web::try_send(request).is_err());
    eventually("a call that hangs", || is_hanging().then_some(()));
    stage.kill_and_restart(0);
    assert!(replay.join().unwrap(), "expected no response, because the host was killed");
}

/// The texts of the alerts that the Connector received.
fn alerted(stage: &Stage) -> Vec<String> {
    let received = stage.connector.received();
    received.iter().filter(|received| received.is_alert()).map(|alert| alert.text().to_owned()).collect()
}
