//! Counts the outbound calls that the bot makes for a post to a webhook address. Only the *embedded host*
//! (the project's replacement for Spin) counts outbound calls.

use dev::host::HostKind;
use end_to_end::alerts;
use end_to_end::hooks::{Hook, hook};
use end_to_end::stage::Stage;
use end_to_end::suite::{World, chosen_host};
use end_to_end::waiting::eventually;
use serde_json::{Value, json};

end_to_end::cases!(post_of_a_text_costs_three_calls_and_post_of_alertmanager_costs_four);

/// The reason that the test run shows if it skips this case.
pub(crate) const MISSING: &str = "only the embedded host counts calls: set E2E_HOST=embedded";

/// Whether the host of this test run counts calls.
pub(crate) fn can_run() -> bool {
    chosen_host() == HostKind::Embedded
}

/// Several senders post at once. Half of the posts are texts. The other half have Alertmanager's form, and
/// the same `groupKey`.
fn post_of_a_text_costs_three_calls_and_post_of_alertmanager_costs_four(world: &World) {
    const SENDERS: usize = 20;
    const EACH: usize = 10;
    const POSTS: usize = SENDERS * EACH;
    // This case switches the kick (the bot's call to the poller) off. With the kick on, the number of calls
    // would vary, because the bot sends a kick only if no run is at work.
    let stage = alerts::script(world).variable("kick", "off").metered().start();
    let hook = &hook(&stage);
    // The first post creates the queue.
    post(hook, SENDERS, 0);
    let before = eventually("a report on the first post", || {
        let reports = reports_of_the_bot(&stage).len();
        (reports > 1).then_some(reports)
    });
    std::thread::scope(|scope| {
        for sender in 0..SENDERS {
            scope.spawn(move || (0..EACH).for_each(|number| post(hook, sender, number)));
        }
    });
    // Each request has its own instance of the component. When an instance ends, the host writes a report (a
    // line that begins with `Meter`).
    let reports = eventually("a report on each post", || {
        let reports = reports_of_the_bot(&stage).split_off(before);
        (reports.len() >= POSTS).then_some(reports)
    });
    let calls: u64 = reports.iter().filter_map(|report| report["outboundCalls"].as_u64()).sum();
    // A text costs three calls. A post in Alertmanager's form costs a fourth call. The bot makes the alert's
    // `key` from the `groupKey`. With the fourth call, the bot records which alert is the newest alert with
    // this `key`.
    assert_eq!(
        calls,
        (3 + 4) * POSTS as u64 / 2,
        "expected 3 calls for each text, and 4 for each post of Alertmanager, in {POSTS} posts"
    );

    fn post(hook: &Hook, sender: usize, number: usize) {
        let text = json!({"text": format!("{sender} {number}")});
        let group = json!({
            "version": "4", "groupKey": "{}:{}", "status": "firing", "receiver": "bot", "truncatedAlerts": 0,
            "externalURL": "", "groupLabels": {}, "commonLabels": {"alertname": "Down"}, "commonAnnotations": {},
            "alerts": [{"status": "firing", "labels": {"alertname": "Down", "sender": sender.to_string()},
                "annotations": {}, "startsAt": "2026-11-29T20:00:00Z", "endsAt": "0001-01-01T00:00:00Z",
                "generatorURL": "", "fingerprint": "a"}],
        });
        hook.post(if number.is_multiple_of(2) { &text } else { &group }).expect_status(202);
    }

    fn reports_of_the_bot(stage: &Stage) -> Vec<Value> {
        let lines = stage.lines();
        let read = |line: &String| serde_json::from_str(line.strip_prefix("Meter ")?).ok();
        lines.iter().filter_map(read).filter(|report: &Value| report["component"] == "bot").collect()
    }
}
