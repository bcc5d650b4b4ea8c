//! Tests of whole runs of the poller in a simulated world (`sim.rs`). A *run* is one execution of the poller.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod answers;
mod changed;
mod chat;
mod counted;
mod duplicates;
mod ends;
mod faults;
mod gateways;
mod isolation;
mod keyed;
mod keyed_elsewhere;
mod killed;
mod killed_sends;
mod order;
mod outage;
mod pace;
mod people;
mod queue;
mod quiet;
mod replayed;
mod script;
mod series;
mod settled;
mod sim;
mod token;
mod tried;
mod trouble;
mod upkeep;

use std::time::Duration;

use serde_json::{Value, json};
use trigger_component::Report;

/// Makes an envelope (an alert as JSON) for `conversation`, in the tenant `t`.
fn envelope(conversation: &str, text: &str) -> Value {
    envelope_of("t", conversation, text)
}

fn envelope_of(tenant: &str, conversation: &str, text: &str) -> Value {
    // If the text is a number, the bot accepted the alert this number of milliseconds after 22:00. So the
    // alert with the greater number is newer. Tests of the order need these times.
    let milliseconds = text.parse().unwrap_or(0) % 1000;
    json!({
        "version": 1, "id": format!("{conversation}-{text}"), "text": text,
        "enqueuedAt": format!("2026-11-23T22:00:00.{milliseconds:03}Z"),
        "address": {
            "id": "1", "channelId": "msteams", "serviceUrl": "http://127.0.0.1:9200/amer/", "user": {"id": "29:u"},
            "bot": {"id": "28:b"}, "conversation": {"id": conversation, "tenantId": tenant},
        },
    })
}

/// Returns the counts with these names from a run's report.
fn counts<const N: usize>(report: &Report, fields: [&str; N]) -> [u64; N] {
    let report = report.to_json();
    fields.map(|field| report[field].as_u64().unwrap_or_default())
}

const fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

const fn milliseconds(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}
