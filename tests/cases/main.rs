//! The cases (tests) of the end-to-end suite. Each module has the cases of one theme.
//! `cargo test -p end-to-end -- <text>` runs the cases whose names contain `<text>`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod alert_times;
mod alertmanager;
mod alerts;
mod asking;
mod asking_changes;
mod asking_people;
mod asking_shared;
mod broken_responses;
mod browser;
mod components;
mod cron;
mod dead_letters;
mod direct_line;
mod doctor;
mod documents;
mod draining;
mod entry_points;
mod fakes;
mod faulty_tables;
mod field_in;
mod field_out;
mod figures;
mod hook_calls;
mod hook_load;
mod hook_page;
mod hook_posts;
mod hooks;
mod host_spans;
mod inbound;
mod joining;
mod keyed;
mod keyed_elsewhere;
mod kick;
mod killed_replay;
mod legacy;
mod looks;
mod lost_puts;
mod lost_store;
mod malformed;
mod manifests;
mod misuse_inbound;
mod misuse_keys;
mod misuse_loops;
mod misuse_seals;
mod misuse_tags;
mod misuse_tenants;
mod openapi;
mod openmetrics;
mod operating;
mod operators_page;
mod outages;
mod outbound;
mod people;
mod playground;
mod poll_route;
mod queue_contract;
mod queueing;
mod responses;
mod round_trip;
mod run_warnings;
mod sandbox;
mod seals;
mod seen;
mod shared_state;
mod spinkube;
mod storm;
mod table_contract;
mod tables;
mod targets;
mod tracing;
mod trust;
mod versions;
mod what_became;
mod words;

use dev::browser::Browser;
use end_to_end::alertmanager::Programs;
use end_to_end::suite::{Case, Skipped};

fn main() {
    let alertmanager = Programs::find().is_none() || Browser::find().is_none();
    let skipped = [
        Skipped { group: "alertmanager", reason: alertmanager::MISSING, skip: alertmanager },
        Skipped { group: "browser", reason: dev::browser::MISSING, skip: Browser::find().is_none() },
        Skipped { group: "operators_page", reason: dev::browser::MISSING, skip: Browser::find().is_none() },
        Skipped { group: "hook_calls", reason: hook_calls::MISSING, skip: !hook_calls::can_run() },
        Skipped { group: "host_spans", reason: host_spans::MISSING, skip: !host_spans::can_run() },
        Skipped { group: "openapi", reason: openapi::MISSING, skip: openapi::schemathesis().is_none() },
        Skipped { group: "openmetrics", reason: openmetrics::MISSING, skip: openmetrics::python().is_none() },
        Skipped { group: "spinkube", reason: spinkube::MISSING, skip: !spinkube::can_run() },
    ];
    end_to_end::suite::run(GROUPS, &skipped, &["hook_load", "storm"]);
}

/// Every group of cases: the group's name, and the cases of the module with the same name.
const GROUPS: &[(&str, &[Case])] = &[
    ("alerts", alerts::CASES),
    ("alert_times", alert_times::CASES),
    ("alertmanager", alertmanager::CASES),
    ("asking", asking::CASES),
    ("asking_changes", asking_changes::CASES),
    ("asking_people", asking_people::CASES),
    ("asking_shared", asking_shared::CASES),
    ("broken_responses", broken_responses::CASES),
    ("browser", browser::CASES),
    ("components", components::CASES),
    ("cron", cron::CASES),
    ("dead_letters", dead_letters::CASES),
    ("direct_line", direct_line::CASES),
    ("doctor", doctor::CASES),
    ("documents", documents::CASES),
    ("entry_points", entry_points::CASES),
    ("draining", draining::CASES),
    ("fakes", fakes::CASES),
    ("faulty_tables", faulty_tables::CASES),
    ("field_in", field_in::CASES),
    ("field_out", field_out::CASES),
    ("figures", figures::CASES),
    ("hook_page", hook_page::CASES),
    ("hook_calls", hook_calls::CASES),
    ("hook_load", hook_load::CASES),
    ("hook_posts", hook_posts::CASES),
    ("hooks", hooks::CASES),
    ("host_spans", host_spans::CASES),
    ("inbound", inbound::CASES),
    ("joining", joining::CASES),
    ("keyed", keyed::CASES),
    ("keyed_elsewhere", keyed_elsewhere::CASES),
    ("kick", kick::CASES),
    ("killed_replay", killed_replay::CASES),
    ("legacy", legacy::CASES),
    ("looks", looks::CASES),
    ("lost_puts", lost_puts::CASES),
    ("lost_store", lost_store::CASES),
    ("malformed", malformed::CASES),
    ("manifests", manifests::CASES),
    ("misuse_inbound", misuse_inbound::CASES),
    ("misuse_keys", misuse_keys::CASES),
    ("misuse_loops", misuse_loops::CASES),
    ("misuse_seals", misuse_seals::CASES),
    ("misuse_tags", misuse_tags::CASES),
    ("misuse_tenants", misuse_tenants::CASES),
    ("openapi", openapi::CASES),
    ("openmetrics", openmetrics::CASES),
    ("operating", operating::CASES),
    ("operators_page", operators_page::CASES),
    ("outages", outages::CASES),
    ("outbound", outbound::CASES),
    ("people", people::CASES),
    ("playground", playground::CASES),
    ("poll_route", poll_route::CASES),
    ("queue_contract", queue_contract::CASES),
    ("queueing", queueing::CASES),
    ("responses", responses::CASES),
    ("round_trip", round_trip::CASES),
    ("run_warnings", run_warnings::CASES),
    ("sandbox", sandbox::CASES),
    ("seals", seals::CASES),
    ("seen", seen::CASES),
    ("shared_state", shared_state::CASES),
    ("spinkube", spinkube::CASES),
    ("storm", storm::CASES),
    ("table_contract", table_contract::CASES),
    ("tables", tables::CASES),
    ("targets", targets::CASES),
    ("tracing", tracing::CASES),
    ("trust", trust::CASES),
    ("versions", versions::CASES),
    ("what_became", what_became::CASES),
    ("words", words::CASES),
];
