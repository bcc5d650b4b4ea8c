//! Reads and writes the recorded figures (`docs/performance.json`), compares measured values with them, and
//! makes the table for `docs/performance.md`.

use std::fmt::Write;
use std::path::PathBuf;

use anyhow::Context;

use crate::exact::Exact;

/// The largest allowed difference between a measured value and the recorded value, in percent. The values are
/// numbers of instructions or bytes.
const TOLERANCE_PERCENT: u64 = 5;

/// The most outbound calls that are allowed for an alert from a person's message. Five calls belong to one
/// alert only: the insertion of the alert's record in the ledger (a table), Put Message, the bot's reply to
/// the person, the call that sends the alert, and Delete Message. The other 0.5 is the alert's share of calls
/// for many alerts, such as Get Messages.
pub const MOST_CALLS_PER_ALERT: f64 = 5.5;

/// The most outbound calls that are allowed for one alert by API (`POST /api/alerts`). The first number is
/// for an API call with one target (conversation). The second number is for an API call with 100 targets.
pub const MOST_CALLS_PER_API_ALERT: [f64; 2] = [5.5, 3.6];

/// The largest allowed size of a component's file, in bytes.
pub const MOST_COMPONENT_BYTES: u64 = 3 * 1024 * 1024;

/// The path of the recorded figures.
pub fn path() -> PathBuf {
    dev::workspace::root().join("docs/performance.json")
}

/// Reads the recorded figures.
pub fn read() -> anyhow::Result<Exact> {
    let path = path();
    let text = std::fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    serde_json::from_str(&text).with_context(|| format!("{}: not a valid record", path.display()))
}

/// Writes the recorded figures.
pub fn write(exact: &Exact) -> anyhow::Result<()> {
    let path = path();
    let text = serde_json::to_string_pretty(exact)? + "\n";
    std::fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))
}

/// The table of the figures, in Markdown. A test checks that `docs/performance.md` has the table of the
/// recorded figures.
pub fn table(exact: &Exact) -> String {
    let mut table = String::from("| figure | value |\n|---|---|\n");
    let instructions = &exact.instructions;
    // Writing into a string does not fail.
    for (name, value) in [
        ("no-op component", instructions.noop),
        ("activity", instructions.activity),
        ("activity in a new conversation", instructions.first_activity),
        ("activity with a new token", instructions.activity_with_new_token),
        ("run on an empty queue", instructions.empty_run),
        ("delivery", instructions.delivery),
    ] {
        _ = writeln!(table, "| instructions: {name} | {} |", grouped(value));
    }
    let calls = &exact.host_calls;
    for (name, calls) in [
        ("activity", calls.activity),
        ("activity without a token", calls.stranger),
        ("run on an empty queue", calls.empty_run),
        ("run that delivers 320", calls.full_run),
    ] {
        _ = writeln!(
            table,
            "| host calls: {name} | variables {}, key-value reads {}, key-value writes {}, outbound {} |",
            calls.variables, calls.key_value_reads, calls.key_value_writes, calls.outbound_calls
        );
    }
    _ = writeln!(table, "| outbound calls per alert | {} |", exact.calls_per_alert);
    let by_api = &exact.calls_per_api_alert;
    _ = writeln!(table, "| outbound calls per alert by API, one target | {} |", by_api.one_target);
    _ = writeln!(
        table,
        "| outbound calls per alert by API, 100 targets in a call | {} |",
        by_api.hundred_targets
    );
    for (backlog, bytes) in &exact.poller_memory_bytes {
        _ = writeln!(table, "| peak memory, {} waiting | {} KiB |", grouped(*backlog as u64), bytes / 1024);
    }
    for (size, listing) in &exact.listing {
        let size = grouped(*size as u64);
        let (all, tenant, tag) =
            (listing.calls_per_page, listing.calls_per_indexed_page, listing.calls_per_tagged_page);
        _ = writeln!(
            table,
            "| table calls for a page of 100, if the bot knows {size} conversations: list of all, of one tenant, of one tag | {all:.2}, {tenant:.2}, {tag:.2} |"
        );
        _ = writeln!(
            table,
            "| the bot's peak memory over these pages | {} KiB |",
            listing.bot_memory_bytes / 1024
        );
    }
    for (name, bytes) in &exact.component_bytes {
        _ = writeln!(table, "| `{name}.wasm` | {} bytes |", grouped(*bytes));
    }
    table
}

/// Returns a message if a measured value differs from the recorded value by more than 5 %.
pub fn difference(what: &str, measured: u64, recorded: u64) -> Option<String> {
    let change = measured as f64 / recorded as f64 - 1.0;
    // A difference of exactly 5 % is allowed. A rounded float could be slightly above 5 %, so the comparison
    // uses integers.
    (measured.abs_diff(recorded) * 100 > recorded * TOLERANCE_PERCENT).then(|| {
        format!(
            "{what}: {} differs by {:+.1} % from the recorded {}; if that is intended, record it: cargo dev bench -- \
             --exact --record",
            grouped(measured),
            change * 100.0,
            grouped(recorded)
        )
    })
}

/// Writes a number with spaces between groups of three digits: 1234567 as `1 234 567`.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut grouped = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            grouped.push(' ');
        }
        grouped.push(digit);
    }
    grouped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn difference_above_five_percent_is_reported() {
        for (measured, recorded, is_fine) in [
            (100, 100, true),
            (105, 100, true),
            (95, 100, true),
            (106, 100, false),
            (94, 100, false),
            (1, 0, false),
        ] {
            assert_eq!(difference("x", measured, recorded).is_none(), is_fine, "{measured} {recorded}");
        }
        let text = difference("activity", 1_100_000, 1_000_000).unwrap();
        assert!(text.contains("1 100 000") && text.contains("+10.0 %"), "{text}");
    }
}
