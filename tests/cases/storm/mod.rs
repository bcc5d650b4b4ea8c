//! Everything fails at once, on the built wasm: the queue service, the Connector, and the host itself, which is killed
//! again and again. Nothing is lost, nothing comes twice that could have been known, and each conversation keeps its order.
//!
//! The short form is a case like any other; the long one is `cargo dev soak`. `SOAK_SEED=<n>` repeats what is scripted:
//! which call fails how, and after how many attempts the host is killed. What the machine makes of it differs.

mod channel;
mod mixture;
mod verdict;

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use end_to_end::activity::at_service;
use end_to_end::dice::Dice;
use end_to_end::faulty_queue::FaultyQueue;
use end_to_end::stage::{POLL_KEY, Script};
use end_to_end::suite::World;
use end_to_end::web;
use serde_json::{Value, json};

use mixture::Connections;
use verdict::Verdict;

end_to_end::cases!(nothing_is_lost_and_nothing_doubled);

/// How much of it.
#[derive(Debug, Clone, Copy)]
struct Form {
    conversations: usize,
    each: usize,
    kills: usize,
    /// People's messages that come to the bot meanwhile.
    messages: usize,
    /// Attempts at one alert that may fail; later ones succeed.
    failing_attempts: u64,
    longest_retry_after: u64,
    /// The last call of the queue that may be a Get whose answer is lost.
    last_lost_get: usize,
    patience: Duration,
}

const SHORT: Form = Form {
    conversations: 100,
    each: 3,
    kills: 4,
    messages: 60,
    failing_attempts: 2,
    longest_retry_after: 1,
    last_lost_get: 300,
    patience: Duration::from_secs(5 * 60),
};

const LONG: Form = Form {
    conversations: 200,
    each: 10,
    kills: 20,
    messages: 300,
    failing_attempts: u64::MAX,
    longest_retry_after: 5,
    last_lost_get: usize::MAX,
    patience: Duration::from_secs(30 * 60),
};

/// Runs that are asked for at the same moment.
const AT_ONCE: usize = 4;

fn nothing_is_lost_and_nothing_doubled(world: &World) {
    let form = if std::env::var_os("SOAK").is_some() { LONG } else { SHORT };
    let seed = std::env::var("SOAK_SEED").ok().map_or_else(chosen_seed, |seed| {
        seed.parse().unwrap_or_else(|_| panic!("SOAK_SEED is {seed:?}; it takes a number"))
    });
    println!("storm: seed {seed} (SOAK_SEED={seed} scripts the same again)");
    let dice = Dice::new(seed);
    let begin = Instant::now();
    let queue = FaultyQueue::start(&world.azurite().queue_authority(), mixture::queue(dice, form));
    let mut stage = Script::new(world).queue_at(queue.authority()).variable("pace", "0").start();
    let connections = Connections::default();
    stage.connector.on(mixture::connector(dice, form, connections.clone()));

    let over = AtomicBool::new(false);
    let poll = format!("{}/internal/poll", stage.url(""));
    let alerts: Vec<(usize, usize)> = (0..form.each)
        .flat_map(|index| (0..form.conversations).map(move |conversation| (conversation, index)))
        .collect();
    // Each life of the host gets alerts of its own, and whatever comes back from earlier ones.
    let mut chunks = alerts.chunks(alerts.len().div_ceil(form.kills + 1));
    let mut kills = Vec::new();
    let (inbox, authority) = (stage.url("/api/messages"), stage.connector.authority().to_owned());
    let (runs, sent) = std::thread::scope(|scope| {
        let polling = scope.spawn(|| poll_until(&over, &poll));
        let sending = scope.spawn(|| channel::send(&inbox, &authority, form.messages, &over));
        // Whatever fails: the polling must end, or nobody hears of it.
        let _end = Finally(|| over.store(true, Ordering::SeqCst));
        let deadline = begin + form.patience;
        for life in 0..=form.kills {
            let chunk = chunks.next().unwrap_or_default();
            let before = connections.len();
            for (conversation, index) in chunk {
                stage.queue.put_json(&envelope(stage.connector.authority(), *conversation, *index));
            }
            if life == form.kills {
                break;
            }
            // Some die in the first rush, some in the middle of what comes back.
            let least = chunk.len() / 4;
            let enough = before + least + dice.roll(("kill", life), 2 * least as u64) as usize;
            wait_until(deadline, "enough attempts", || connections.len() >= enough);
            kills.push(stage.kill_and_restart());
        }
        wait_until(deadline, "the channel's messages", || sending.is_finished());
        wait_until(deadline, "an empty queue", || stage.queue.count() == 0);
        over.store(true, Ordering::SeqCst);
        (polling.join().expect("the polling ends"), sending.join().expect("the channel ends"))
    });

    let verdict = Verdict::of(form, &stage, &connections.all(), &queue.notes(), &kills, &sent);
    let (calls, faults) = queue.calls_and_faults();
    println!("{verdict}");
    println!(
        "  runs                  {} answered, {} of them with work; {} kills\n  queue calls           {calls}, {faults} of \
         them failed on purpose\n  wall time             {:.0} s",
        runs.answered,
        runs.with_work,
        kills.len(),
        begin.elapsed().as_secs_f64()
    );
    let log = dev::workspace::target().join(format!("storm-{seed}.log"));
    std::fs::write(&log, stage.lines().join("\n")).unwrap();
    println!("  the host's log        {}", log.display());
    let notes = dev::workspace::target().join(format!("storm-{seed}.queue"));
    let lines = queue.notes().iter().map(|note| note.line(begin)).collect::<Vec<_>>();
    std::fs::write(&notes, lines.join("\n")).unwrap();
    println!("  the queue's notes     {}", notes.display());
    // The Connector's own report of thousands of requests helps nobody.
    drop(stage);
    verdict.check();
}

fn chosen_seed() -> u64 {
    let since_epoch = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    u64::from(since_epoch.subsec_nanos()) / 1000
}

/// The id of an alert, which is its text too.
fn name(conversation: usize, index: usize) -> String {
    format!("c{conversation:03}-{index:02}")
}

fn envelope(authority: &str, conversation: usize, index: usize) -> Value {
    let address = json!({
        "id": "1", "channelId": "msteams", "serviceUrl": "http://127.0.0.1:1/amer/", "user": {"id": "29:u"},
        "bot": {"id": "28:b"}, "conversation": {"id": format!("a:{conversation:03}"), "tenantId": "t"},
    });
    let name = name(conversation, index);
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

/// Asks for several runs at the same moment, again and again: all of them pass the soft lease.
fn poll_until(over: &AtomicBool, url: &str) -> Runs {
    let mut runs = Runs::default();
    while !over.load(Ordering::SeqCst) {
        let answers: Vec<Option<Value>> = std::thread::scope(|scope| {
            let all: Vec<_> = (0..AT_ONCE).map(|_| scope.spawn(|| poll(url))).collect();
            all.into_iter().map(|one| one.join().expect("a poll does not panic")).collect()
        });
        for counts in answers.into_iter().flatten() {
            runs.answered += 1;
            runs.with_work += usize::from(counts["received"] != 0);
        }
        // As often as cron would, about.
        std::thread::sleep(Duration::from_millis(300));
    }
    runs
}

/// `None` if the host was killed, or could not reach its queue.
fn poll(url: &str) -> Option<Value> {
    let request = http::Request::post(url).header("authorization", format!("Bearer {POLL_KEY}"));
    let answer = web::try_send(request.body(web::whole("")).unwrap()).ok()?;
    assert!([200, 503].contains(&answer.status), "{}", answer.describe());
    (answer.status == 200).then(|| answer.json())
}

#[track_caller]
fn wait_until(deadline: Instant, awaited: &str, mut is_there: impl FnMut() -> bool) {
    while !is_there() {
        assert!(Instant::now() < deadline, "waited in vain for {awaited}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

struct Finally<F: Fn()>(F);

impl<F: Fn()> Drop for Finally<F> {
    fn drop(&mut self) {
        (self.0)();
    }
}
