//! Measures the instructions, the memory, the outbound calls and the sizes of the components. The cases
//! compare the results with the figures in `docs/performance.json`. These figures are the same on every
//! machine. Times differ between machines, so only `cargo dev bench` measures times. In this file, a *call*
//! is an outbound call of a component, e.g. to the table service.

use bench::exact::{self, Exact, HostCallsByWork, PerApiAlert, SHORT_BACKLOGS};
use bench::host_calls::HostCalls;
use bench::listing::{self, SHORT_BOOKS};
use bench::record::{self, MOST_CALLS_PER_ALERT, MOST_CALLS_PER_API_ALERT, MOST_COMPONENT_BYTES};
use bench::stubs::Stubs;
use bench::workload::Workload;
use end_to_end::suite::World;

end_to_end::cases!(
    instructions_are_as_recorded,
    alert_costs_fewer_than_six_outbound_calls,
    alert_of_a_request_with_100_targets_costs_fewer_than_four_outbound_calls,
    memory_does_not_grow_with_the_backlog,
    page_of_listed_conversations_costs_few_calls_with_any_number_of_conversations,
    sizes_are_as_recorded,
    performance_document_has_the_recorded_figures,
);

/// The maximum growth of a component's memory for a longer queue or a longer list of conversations. The
/// allocator requests memory in large pieces, so the memory can grow a little. If a component kept all queue
/// messages or all conversations in memory, the memory would grow by more than this maximum.
const MOST_GROWTH_BYTES: u64 = 256 * 1024;

/// The maximum number of calls per page (an average) if the bot lists all conversations. The conversations
/// are divided into shards (partitions of the table). If a page begins in the middle of a shard, the bot
/// makes two calls: one for the rest of this shard, and one for the later shards.
const MOST_CALLS_PER_PAGE: f64 = 2.5;
/// The maximum number of calls per page (an average) if the bot lists the conversations of one tenant. The
/// bot first reads the index of the tenant, and then the rows of the conversations that the index names. In
/// this test, these rows are adjacent, so the bot can read them with few calls.
const MOST_CALLS_PER_INDEXED_PAGE: f64 = 4.0;
/// The maximum number of calls per page (an average) if the bot lists the conversations of one tag. The index
/// of a tag has two partitions: one for conversations in the bot's own tenant, and one for conversations
/// without a tenant. So the bot makes one more call than for a tenant.
const MOST_CALLS_PER_TAGGED_PAGE: f64 = 5.0;

fn recorded() -> Exact {
    record::read().unwrap_or_else(|error| panic!("{error:#}"))
}

fn stubs_and_workload() -> (Stubs, Workload) {
    let stubs = Stubs::start();
    let workload = Workload::new(&stubs);
    (stubs, workload)
}

fn instructions_are_as_recorded(_: &World) {
    let (stubs, workload) = stubs_and_workload();
    let (measured, calls) = exact::metered(&stubs, &workload, None).unwrap();
    let record = recorded();
    let HostCallsByWork { activity, stranger, empty_run, full_run } = calls;
    // In each `assert_eq!` of this case, the four numbers are: reads of variables, reads from the key-value
    // store, writes to the key-value store, and outbound calls. The bot has already stored the conversation
    // of `activity`. `stranger` is an activity without a token.
    //
    // The kick (the bot's call to the poller, which starts a run) is off. With the kick, the bot would make
    // one more read from the key-value store, to find out whether a run is active.
    let read_and_written =
        |calls: HostCalls| (calls.variables, calls.key_value_reads, calls.key_value_writes);
    assert_eq!((read_and_written(activity), activity.outbound_calls), ((2, 2, 0), 3), "an activity");
    assert_eq!(
        (read_and_written(stranger), stranger.outbound_calls),
        ((1, 0, 0), 0),
        "an activity without a token"
    );
    assert_eq!(
        (read_and_written(empty_run), empty_run.outbound_calls),
        ((2, 1, 0), 2),
        "a run on an empty queue"
    );
    // A long run writes a hint to the key-value store, which says that the run is active. After some time,
    // the run writes the hint again. The delivery of an alert writes nothing to the key-value store.
    assert!(full_run.key_value_writes <= 2, "a run that delivers: {full_run:?}");
    let recorded = record.instructions;
    let pairs = [
        ("an activity", measured.activity, recorded.activity),
        ("a conversation's first activity", measured.first_activity, recorded.first_activity),
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

fn alert_costs_fewer_than_six_outbound_calls(_: &World) {
    let (stubs, workload) = stubs_and_workload();
    let calls = exact::calls_per_alert(&stubs, &workload).unwrap();
    assert!(
        calls <= MOST_CALLS_PER_ALERT,
        "expected at most {MOST_CALLS_PER_ALERT} calls per alert, found {calls}"
    );
    // A run calls Get Messages repeatedly until the run ends. So a run that takes longer makes more calls,
    // and the number of calls per alert varies a little.
    let recorded = recorded().calls_per_alert;
    assert!(
        (calls - recorded).abs() < 0.02,
        "calls per alert: expected {recorded} as recorded, found {calls}; record this number with cargo dev bench -- --exact --record"
    );
}

fn alert_of_a_request_with_100_targets_costs_fewer_than_four_outbound_calls(_: &World) {
    let (stubs, workload) = stubs_and_workload();
    let PerApiAlert { one_target, hundred_targets } = exact::calls_per_api_alert(&stubs, &workload).unwrap();
    let recorded = recorded().calls_per_api_alert;
    let pairs = [(one_target, recorded.one_target), (hundred_targets, recorded.hundred_targets)];
    for ((calls, recorded), most) in pairs.into_iter().zip(MOST_CALLS_PER_API_ALERT) {
        assert!(calls <= most, "expected at most {most} calls per alert, found {calls}");
        assert!(
            (calls - recorded).abs() < 0.02,
            "calls per alert: expected {recorded} as recorded, found {calls}; record this number with cargo dev bench -- --exact --record"
        );
    }
}

fn memory_does_not_grow_with_the_backlog(_: &World) {
    let (stubs, workload) = stubs_and_workload();
    let memory = exact::poller_memory(&stubs, &workload, &SHORT_BACKLOGS).unwrap();
    let (short, long) = (memory[&SHORT_BACKLOGS[0]], memory[&SHORT_BACKLOGS[1]]);
    assert!(
        long <= short + MOST_GROWTH_BYTES,
        "peak memory in bytes, by the length of the backlog: {memory:?}"
    );
}

fn page_of_listed_conversations_costs_few_calls_with_any_number_of_conversations(_: &World) {
    let (stubs, workload) = stubs_and_workload();
    let listing = listing::measure(&stubs, &workload, &SHORT_BOOKS).unwrap();
    let (small, large) = (listing[&SHORT_BOOKS[0]], listing[&SHORT_BOOKS[1]]);
    for calls in [small.calls_per_page, large.calls_per_page] {
        assert!(calls <= MOST_CALLS_PER_PAGE, "{listing:?}");
    }
    for of in [small, large] {
        assert!(of.calls_per_indexed_page <= MOST_CALLS_PER_INDEXED_PAGE, "{listing:?}");
        assert!(of.calls_per_tagged_page <= MOST_CALLS_PER_TAGGED_PAGE, "{listing:?}");
    }
    assert!(large.bot_memory_bytes <= small.bot_memory_bytes + MOST_GROWTH_BYTES, "{listing:?}");
}

fn sizes_are_as_recorded(_: &World) {
    let recorded = recorded().component_bytes;
    for (component, bytes) in exact::component_bytes().unwrap() {
        assert!(bytes <= MOST_COMPONENT_BYTES, "{component} has {bytes} bytes");
        let difference = record::difference(&format!("bytes of {component}"), bytes, recorded[&component]);
        assert_eq!(difference, None);
    }
}

fn performance_document_has_the_recorded_figures(_: &World) {
    let path = dev::workspace::root().join("docs/performance.md");
    let document = std::fs::read_to_string(&path).unwrap();
    let table = record::table(&recorded());
    assert!(
        document.contains(&table),
        "{}: expected this table; copy the table into the document\n{table}",
        path.display()
    );
}
