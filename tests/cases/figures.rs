//! The components held to their figures: instructions, memory, calls and sizes come out the same on every machine, and
//! `docs/performance.json` records them. Times are for `cargo dev bench`, never for a test.

use bench::exact::{self, Exact, SHORT_BACKLOGS};
use bench::record::{self, MOST_CALLS_PER_ALERT, MOST_COMPONENT_BYTES};
use bench::stubs::Stubs;
use bench::workload::Workload;
use end_to_end::suite::World;

end_to_end::cases!(
    instructions_are_as_recorded,
    an_alert_costs_four_calls,
    memory_does_not_grow_with_the_backlog,
    sizes_are_as_recorded,
    the_document_shows_the_record,
);

/// A poller may take so much more for the longer backlog: an allocator's grain, and not a list of what waits.
const MOST_GROWTH_BYTES: u64 = 256 * 1024;

fn recorded() -> Exact {
    record::read().unwrap_or_else(|error| panic!("{error:#}"))
}

fn world() -> (Stubs, Workload) {
    let stubs = Stubs::start();
    let workload = Workload::new(&stubs);
    (stubs, workload)
}

fn instructions_are_as_recorded(_: &World) {
    let (stubs, workload) = world();
    let measured = exact::instructions(&stubs, &workload, None).unwrap();
    let recorded = recorded().instructions;
    let pairs = [
        ("an activity", measured.activity, recorded.activity),
        ("an activity with a new token", measured.activity_with_new_token, recorded.activity_with_new_token),
        ("a run on an empty queue", measured.empty_run, recorded.empty_run),
        ("a delivery", measured.delivery, recorded.delivery),
    ];
    let differences: Vec<_> = pairs
        .iter()
        .filter_map(|(what, measured, recorded)| {
            record::difference(&format!("instructions of {what}"), *measured, *recorded)
        })
        .collect();
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}

fn an_alert_costs_four_calls(_: &World) {
    let (stubs, workload) = world();
    let calls = exact::calls_per_alert(&stubs, &workload).unwrap();
    assert!(calls <= MOST_CALLS_PER_ALERT, "{calls} calls per alert, {MOST_CALLS_PER_ALERT} at most");
    assert_eq!(calls, recorded().calls_per_alert, "record it: cargo dev bench -- --exact --record");
}

fn memory_does_not_grow_with_the_backlog(_: &World) {
    let (stubs, workload) = world();
    let memory = exact::poller_memory(&stubs, &workload, &SHORT_BACKLOGS).unwrap();
    let (short, long) = (memory[&SHORT_BACKLOGS[0]], memory[&SHORT_BACKLOGS[1]]);
    assert!(long <= short + MOST_GROWTH_BYTES, "peak memory by backlog, in bytes: {memory:?}");
}

fn sizes_are_as_recorded(_: &World) {
    let recorded = recorded().component_bytes;
    for (component, bytes) in exact::component_bytes().unwrap() {
        assert!(bytes <= MOST_COMPONENT_BYTES, "{component} has {bytes} bytes");
        let difference = record::difference(&format!("bytes of {component}"), bytes, recorded[&component]);
        assert_eq!(difference, None);
    }
}

fn the_document_shows_the_record(_: &World) {
    let path = dev::workspace::root().join("docs/performance.md");
    let document = std::fs::read_to_string(&path).unwrap();
    let table = record::table(&recorded());
    assert!(document.contains(&table), "{} has to hold this table:\n{table}", path.display());
}
