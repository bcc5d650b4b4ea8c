//! Reads `GET /metrics` of the running bot with Prometheus' own parser. Many metrics come from *figures*
//! (counts of alerts), which the poller stores in Azure Tables.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::Write;
use std::process::{Command, Stdio};

use dev::workspace::root;
use end_to_end::alerts::{self, call};
use end_to_end::stage::Stage;
use end_to_end::suite::World;
use serde_json::{Value, json};

use crate::operating::store_figures;

end_to_end::cases!(
    metrics_are_read_by_the_parser_of_prometheus,
    hostile_text_in_the_stored_figures_stays_inside_a_label,
);

/// The reason that the test run shows if it skips these cases. `cargo dev test` installs the parser, and sets
/// the environment variable `OPENMETRICS_PYTHON`. If the installation fails, the summary of `cargo dev test`
/// names the reason.
pub(crate) const MISSING: &str = "OPENMETRICS_PYTHON: is not set; run `cargo dev test`";

/// The path of the Python that has the parser: the value of `OPENMETRICS_PYTHON`.
pub(crate) fn python() -> Option<OsString> {
    std::env::var_os("OPENMETRICS_PYTHON").filter(|path| !path.is_empty())
}

/// A metric family in the output of the parser.
#[derive(Debug)]
struct Family {
    /// The type and the unit.
    kind: (String, String),
    /// The value of each sample. The map key is the sample's name and labels.
    samples: BTreeMap<(String, String), f64>,
}

/// Reads the metrics. The map key is the name of the family.
#[track_caller]
fn families(stage: &Stage) -> BTreeMap<String, Family> {
    let response = call(stage, "GET", "/metrics", &Value::Null).expect_status(200);
    let content_type = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    assert_eq!(response.header("content-type"), content_type);
    let mut parser = Command::new(python().expect(MISSING))
        .arg(root().join("dev/openmetrics.py"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    parser.stdin.take().unwrap().write_all(&response.body).unwrap();
    let output = parser.wait_with_output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}\n{}", String::from_utf8_lossy(&response.body));
    let families: Vec<Value> = serde_json::from_slice(&output.stdout).unwrap();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let read = |family: &Value| {
        let samples = family["samples"].as_array().unwrap().iter();
        let samples = samples
            .map(|one| ((text(&one["name"]), one["labels"].to_string()), one["value"].as_f64().unwrap()))
            .collect();
        assert!(family["help"].as_str().is_some_and(|help| help.ends_with('.')), "{family}");
        (text(&family["name"]), Family { kind: (text(&family["type"]), text(&family["unit"])), samples })
    };
    families.iter().map(read).collect()
}

impl Family {
    #[track_caller]
    fn value(&self, name: &str, labels: &Value) -> f64 {
        let key = (name.to_owned(), labels.to_string());
        *self
            .samples
            .get(&key)
            .unwrap_or_else(|| panic!("expected {name} {labels}, found {:?}", self.samples))
    }
}

fn metrics_are_read_by_the_parser_of_prometheus(world: &World) {
    let stage = alerts::stage(world);
    stage.queue.put("a");
    stage.queue.put("b");
    stage.queue.poison().put("c");
    let without_figures = families(&stage);
    store_figures(
        world,
        &stage,
        &json!({
            "since": 1_700_000_000_500_i64, "accepted": 12, "ended": {"delivered": 9, "expired": 1},
            "dead": {"permanent": 2}, "waits": {"throttled": 4}, "deliveredAt": 1_700_000_100_250_i64,
            "delays": {"buckets": [3, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1], "count": 9, "sumMilliseconds": 4_500},
        }),
    );
    let families = families(&stage);
    let names = |families: &BTreeMap<String, Family>| families.keys().cloned().collect::<Vec<_>>();
    let missing: Vec<_> =
        names(&families).into_iter().filter(|name| !without_figures.contains_key(name)).collect();
    assert_eq!(
        missing,
        ["proactivebot_last_delivery_timestamp_seconds"],
        "expected that all other families exist before the first run"
    );
    for (name, kind, unit) in [
        ("build", "info", ""),
        ("storage_up", "gauge", ""),
        ("alerts_accepted", "counter", ""),
        ("alerts_ended", "counter", ""),
        ("alert_waits", "counter", ""),
        ("delivery_delay_seconds", "histogram", "seconds"),
        ("queue_oldest_message_age_seconds", "gauge", "seconds"),
        ("last_delivery_timestamp_seconds", "gauge", "seconds"),
    ] {
        assert_eq!(families[&format!("proactivebot_{name}")].kind, (kind.into(), unit.into()), "{name}");
    }
    let none = json!({});
    for (family, sample, labels, expected) in [
        ("alerts_accepted", "_total", none.clone(), 12.0),
        ("alerts_accepted", "_created", none.clone(), 1_700_000_000.5),
        ("alerts_delivered", "_total", none.clone(), 9.0),
        ("alerts_ended", "_total", json!({"status": "expired"}), 1.0),
        ("alerts_ended", "_total", json!({"status": "dead"}), 2.0),
        ("alerts_ended", "_total", json!({"status": "cancelled"}), 0.0),
        ("alerts_dead", "_total", json!({"reason": "permanent"}), 2.0),
        ("alert_waits", "_total", json!({"reason": "throttled"}), 4.0),
        ("delivery_delay_seconds", "_bucket", json!({"le": "0.25"}), 5.0),
        ("delivery_delay_seconds", "_bucket", json!({"le": "3600.0"}), 6.0),
        ("delivery_delay_seconds", "_bucket", json!({"le": "+Inf"}), 9.0),
        ("delivery_delay_seconds", "_sum", none.clone(), 4.5),
        ("queue_messages", "", json!({"queue": "main"}), 2.0),
        ("queue_messages", "", json!({"queue": "poison"}), 1.0),
        ("storage_up", "", json!({"service": "table"}), 1.0),
        ("last_delivery_timestamp_seconds", "", none.clone(), 1_700_000_100.25),
    ] {
        let name = format!("proactivebot_{family}");
        let found = families[&name].value(&format!("{name}{sample}"), &labels);
        assert_eq!(found, expected, "{name}{sample} {labels}");
    }
}

fn hostile_text_in_the_stored_figures_stays_inside_a_label(world: &World) {
    let stage = alerts::stage(world);
    let hostile = "\"} 1\n# EOF\nproactivebot_build_info{x=\"\\";
    store_figures(world, &stage, &json!({"accepted": 1, "dead": {hostile: 7}, "ended": {"ü {,}=": 3}}));
    let families = families(&stage);
    let dead = &families["proactivebot_alerts_dead"];
    assert_eq!(dead.value("proactivebot_alerts_dead_total", &json!({"reason": hostile})), 7.0);
    let ended = &families["proactivebot_alerts_ended"];
    assert_eq!(ended.value("proactivebot_alerts_ended_total", &json!({"status": "ü {,}="})), 3.0);
    assert_eq!(families["proactivebot_build"].samples.len(), 1);
}
