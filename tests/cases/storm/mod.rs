//! The *storm*: a load test with random faults. Some calls to the queue service, to the table service and to
//! the Connector fail. The test also kills one of two Spin hosts, again and again. It checks these rules:
//!
//! - No alert is lost.
//! - An alert is delivered twice only for a known reason, e.g. because the Connector's response was lost.
//! - A younger alert of a conversation arrives before an older alert only for a known reason.
//!
//! A *run* is one execution of the poller. The test starts runs on both hosts all the time. So the runs
//! compete for the *run lock*, which lets only one run work at a time. In the middle of the storm, one host
//! loses its key-value store. Even then, no alert is lost, because the store is only a cache.
//!
//! The short form of the storm runs with the other tests. `cargo dev soak` runs the long form.
//!
//! The *script* of a storm contains the random decisions: how each call fails, and after how many attempts
//! the test kills a host. `SOAK_SEED=<n>` repeats the script of an earlier storm. The events in the two
//! storms still differ, because they also depend on the machine.

mod channel;
mod evidence;
mod ledger;
mod mixture;
mod program;
mod verdict;

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use end_to_end::activity::at_service;
use end_to_end::alerts::ALERT_KEY;
use end_to_end::dice::Dice;
use end_to_end::faulty_queue::FaultyQueue;
use end_to_end::faulty_tables::FaultyTables;
use end_to_end::stage::{POLL_KEY, Script, TENANT};
use end_to_end::suite::World;
use end_to_end::table::Table;
use end_to_end::web;
use serde_json::{Value, json};

use evidence::Evidence;
use mixture::{Attempt, AttemptLog};
use program::ProgramAlert;
use verdict::Verdict;

end_to_end::cases!(no_alert_is_lost_and_none_is_delivered_twice_without_a_known_reason);

/// The size of a storm.
#[derive(Debug, Clone, Copy)]
struct Form {
    conversations: usize,
    each: usize,
    kills: usize,
    /// How many messages of people the fake channel posts during the storm.
    messages: usize,
    /// How many alerts a program sends by API during the storm.
    calls: usize,
    /// How many attempts to deliver one alert can fail. Later attempts succeed, except in the outage.
    failing_attempts: u64,
    longest_retry_after: u64,
    /// How long one region of the Connector is down.
    outage: Duration,
    /// The proxy in front of the queue service numbers the calls. After the call with this number, no
    /// response to a Get Messages is lost.
    last_lost_get: usize,
    patience: Duration,
}

const SHORT: Form = Form {
    conversations: 100,
    each: 3,
    kills: 4,
    messages: 60,
    calls: 60,
    failing_attempts: 2,
    longest_retry_after: 1,
    outage: Duration::ZERO,
    last_lost_get: 300,
    patience: Duration::from_secs(5 * 60),
};

const LONG: Form = Form {
    conversations: 200,
    each: 10,
    kills: 20,
    messages: 300,
    calls: 100,
    failing_attempts: u64::MAX,
    longest_retry_after: 5,
    outage: Duration::from_secs(60),
    last_lost_get: usize::MAX,
    patience: Duration::from_secs(30 * 60),
};

/// The number of runs that the test starts on each host at the same moment, by `POST /internal/poll`.
const AT_ONCE: usize = 2;
const HOSTS: usize = 2;

fn no_alert_is_lost_and_none_is_delivered_twice_without_a_known_reason(world: &World) {
    let form = if std::env::var_os("SOAK").is_some() { LONG } else { SHORT };
    let seed = std::env::var("SOAK_SEED").ok().map_or_else(chosen_seed, |seed| {
        seed.parse().unwrap_or_else(|_| panic!("SOAK_SEED: expected a number, found {seed:?}"))
    });
    println!("storm: seed {seed} (SOAK_SEED={seed} repeats the script)");
    let dice = Dice::new(seed);
    let begin = Instant::now();
    let queue = FaultyQueue::start(&world.azurite().queue_authority(), mixture::queue(dice, form));
    let tables = FaultyTables::start_with_dice(&world.azurite().table_authority(), dice);
    let ([queue_of_first, queue_of_second], [tables_of_first, tables_of_second]) =
        (queue.authorities(), tables.authorities());
    let mut stage = Script::new(world)
        .queue_at(queue_of_first)
        .tables_at(tables_of_first)
        .second_host(queue_of_second, tables_of_second)
        .variable("pace", "0")
        .variable("alertkey", ALERT_KEY)
        // The bot replies to each message of a person. The default limit (20 replies in a minute in one
        // conversation) is too low for the storm. The value 0 means no limit.
        .variable("repliesperminute", "0")
        .start();
    let attempt_log = AttemptLog::default();
    stage.connector.on(mixture::connector(dice, form, attempt_log.clone()));

    let over = AtomicBool::new(false);
    let polls = stage.urls("/internal/poll");
    let alerts: Vec<(usize, usize)> = (0..form.each)
        .flat_map(|index| (0..form.conversations).map(move |conversation| (conversation, index)))
        .collect();
    let ledger_table =
        Table::new(&world.azurite().connection_string(), &format!("{}ledger", stage.table_prefix));
    ledger_table.with(async |client| client.create().await).unwrap();
    ledger::insert_records(
        &ledger_table,
        alerts.iter().map(|(conversation, index)| ledger::id(*conversation, *index)),
    );
    // The test puts one chunk of alerts on the queue at the start, and one chunk after each restart of a
    // host. After a restart, a run also makes older queue messages visible again: the messages that the
    // killed run had dequeued and had not finished. So the queue can hold old and new alerts together.
    let mut chunks = alerts.chunks(alerts.len().div_ceil(form.kills + 1));
    let mut kills = Vec::new();
    let (inboxes, authority) = (stage.urls("/api/messages"), stage.connector.authority().to_owned());
    let alert_routes = stage.urls("/api/alerts");
    let (runs, sent, called) = std::thread::scope(|scope| {
        let polling: Vec<_> = polls.iter().map(|url| scope.spawn(|| poll_until(&over, url))).collect();
        let sending = scope.spawn(|| channel::send(&inboxes, &authority, form.messages, &over));
        let calling = scope.spawn(|| program::send(&alert_routes, form.calls, &over));
        // If a step below fails, `_end` tells the threads to end. Otherwise the scope would wait for the
        // threads for ever.
        let _end = Finally(|| over.store(true, Ordering::SeqCst));
        let deadline = begin + form.patience;
        for life in 0..=form.kills {
            let chunk = chunks.next().unwrap_or_default();
            let before = attempt_log.len();
            for (conversation, index) in chunk {
                stage.queue.put_json(&envelope(stage.connector.authority(), *conversation, *index));
            }
            if life == form.kills {
                break;
            }
            // The number of attempts before the kill is random. So some kills interrupt the new alerts. Other
            // kills interrupt older alerts, which a run sends again.
            let least = chunk.len() / 4;
            let enough = before + least + dice.roll(("kill", life), 2 * least as u64) as usize;
            wait_until(deadline, "enough attempts at the Connector", || attempt_log.len() >= enough);
            let victim = dice.roll(("victim", life), HOSTS as u64) as usize;
            kills.push(match life == form.kills / 2 {
                false => stage.kill_and_restart(victim),
                true => stage.kill_and_restart_empty(victim),
            });
        }
        wait_until(deadline, "the channel's messages", || sending.is_finished());
        wait_until(deadline, "the program's alerts", || calling.is_finished());
        wait_until(deadline, "an empty queue", || stage.queue.count() == 0);
        over.store(true, Ordering::SeqCst);
        let runs: Vec<Runs> = polling.into_iter().map(|one| one.join().expect("the polling ends")).collect();
        let called = calling.join().expect("the program ends");
        (runs, sending.join().expect("the channel ends"), called)
    });

    let attempts = with_ids(attempt_log.all(), &called);
    let evidence = Evidence::new(&stage, attempts, queue.notes(), tables.notes(), kills);
    let save = |name: &str, lines: &[String]| {
        let file = dev::workspace::target().join(format!("storm-{seed}.{name}"));
        std::fs::write(&file, lines.join("\n")).unwrap();
        println!("  {name:<21} {}", file.display());
    };
    save("log", &stage.lines());
    save("queue", &evidence.queue.iter().map(|note| note.line(begin)).collect::<Vec<_>>());
    save("tables", &evidence.tables.iter().map(|note| note.line(begin)).collect::<Vec<_>>());
    let mut verdict = Verdict::of(form, &stage, &evidence, &sent);
    let conversations = format!("{}conversations", stage.table_prefix);
    let conversations = Table::new(&world.azurite().connection_string(), &conversations).entities();
    verdict.look_at_pauses(&conversations, &evidence);
    verdict.look_at_calls(&called, &evidence);
    verdict.look_at_states(form, &stage, &evidence, &called);
    println!("{verdict}");
    for (host, Runs { answered, with_work }) in runs.iter().enumerate() {
        let kills = evidence.deaths.iter().filter(|death| death.host == host).count();
        println!(
            "  runs of host {host}        {answered} answered, {with_work} of them with work; {kills} kills"
        );
    }
    for (service, (calls, faults)) in
        [("queue", queue.calls_and_faults()), ("table", tables.calls_and_faults())]
    {
        println!("  {service} calls           {calls}, {faults} of them failed on purpose");
    }
    let refused_by_etag = evidence.refused_by_etag();
    println!("  refused by ETag       {refused_by_etag}");
    println!("  wall time             {:.0} s", begin.elapsed().as_secs_f64());
    // If a test fails before its stage is dropped, the report of the test contains all requests to the fake
    // Connector. The storm has thousands of such requests. So the test drops the stage before the checks.
    drop(stage);
    verdict.check();
    assert!(
        refused_by_etag > 0,
        "expected that runs compete for the run lock, but the table service refused no write of the lock"
    );
}

/// Replaces the text by the alert's id in the attempts to deliver the program's alerts. The Connector
/// receives only the text of an alert. The id comes from the bot's responses to the program.
fn with_ids(mut attempts: Vec<Attempt>, called: &[ProgramAlert]) -> Vec<Attempt> {
    for attempt in &mut attempts {
        let ids = called.iter().find(|called| called.text == attempt.alert).map(|called| &called.ids);
        if let Some(id) = ids.and_then(|ids| ids.first()) {
            attempt.alert.clone_from(id);
        }
    }
    attempts
}

fn chosen_seed() -> u64 {
    let since_epoch = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    u64::from(since_epoch.subsec_nanos()) / 1000
}

fn envelope(authority: &str, conversation: usize, index: usize) -> Value {
    let region = if conversation.is_multiple_of(3) { mixture::FAILING_REGION } else { "amer" };
    let address = json!({
        "id": "1", "channelId": "msteams", "serviceUrl": format!("http://127.0.0.1:1/{region}/"), "user": {"id": "29:u"},
        "bot": {"id": "28:b"}, "conversation": {"id": format!("a:{conversation:03}"), "tenantId": TENANT},
    });
    let name = ledger::id(conversation, index);
    json!({
        "version": 1, "id": name, "text": name, "enqueuedAt": format!("2026-11-23T22:00:00.{index:03}Z"),
        "address": at_service(&address, authority),
    })
}

#[derive(Debug, Default)]
struct Runs {
    answered: usize,
    with_work: usize,
}

/// Starts [`AT_ONCE`] runs on one host at the same moment, again and again, until `over` is true. Counts the
/// runs.
fn poll_until(over: &AtomicBool, url: &str) -> Runs {
    let mut runs = Runs::default();
    while !over.load(Ordering::SeqCst) {
        let responses: Vec<Option<Value>> = std::thread::scope(|scope| {
            let all: Vec<_> = (0..AT_ONCE).map(|_| scope.spawn(|| poll(url))).collect();
            all.into_iter().map(|one| one.join().expect("a poll does not panic")).collect()
        });
        for counts in responses.into_iter().flatten() {
            runs.answered += 1;
            runs.with_work += usize::from(counts["received"] != 0);
        }
        // Outside of the tests, a timer (cron) starts one run a second. This pause limits how many more runs
        // this test starts.
        std::thread::sleep(Duration::from_millis(300));
    }
    runs
}

/// Starts a run, and returns the run's counts. Returns `None` if the host was killed, or if the run could not
/// use the queue or the tables.
fn poll(url: &str) -> Option<Value> {
    let request = http::Request::post(url).header("authorization", format!("Bearer {POLL_KEY}"));
    let response = web::try_send(request.body(web::whole("")).unwrap()).ok()?;
    assert!([200, 503].contains(&response.status), "{}", response.describe());
    (response.status == 200).then(|| response.json())
}

#[track_caller]
fn wait_until(deadline: Instant, awaited: &str, mut is_there: impl FnMut() -> bool) {
    while !is_there() {
        assert!(Instant::now() < deadline, "expected {awaited} before the deadline, found nothing");
        std::thread::sleep(Duration::from_millis(10));
    }
}

struct Finally<F: Fn()>(F);

impl<F: Fn()> Drop for Finally<F> {
    fn drop(&mut self) {
        (self.0)();
    }
}
