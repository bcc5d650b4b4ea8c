//! Tests of the files for SpinKube (Spin on Kubernetes). Two tests run the script of the Kubernetes CronJob,
//! which starts the poller by HTTP. Another test runs two bots on one storage account.

use std::process::Command;

use dev::workspace::root;
use end_to_end::activity::message;
use end_to_end::alerts::{self, alert, known, queued, targets, to_conversation};
use end_to_end::closed_port::ClosedPort;
use end_to_end::stage::{POLL_KEY, Script, Stage};
use end_to_end::suite::World;
use serde_json::{Value, json};

end_to_end::cases!(
    script_polls_until_poll_seconds_have_passed,
    script_fails_with_the_reason_if_the_poll_fails,
    bots_on_one_storage_account_never_see_each_others_data,
);

/// If this machine has no `curl` or no `sh`, the test program skips all tests of this file, and shows this
/// reason.
pub(crate) const MISSING: &str = "curl or sh: not found; install them";

/// Checks whether this machine has the programs `curl` and `sh`, which the tests need.
pub(crate) fn can_run() -> bool {
    let works = |program: &str, argument: &[&str]| {
        Command::new(program).args(argument).output().is_ok_and(|output| output.status.success())
    };
    works("curl", &["--version"]) && works("sh", &["-c", "true"])
}

/// Runs `poll.sh` with the variables that the CronJob sets. Returns whether the script succeeds, and the
/// output of the script.
fn run_script(url: &str, key: &str, seconds: u32) -> (bool, String) {
    let output = Command::new("sh")
        .arg(root().join("deploy/spinkube/base/poll.sh"))
        .env("POLL_URL", url)
        .env("POLLKEY", key)
        .env("POLL_SECONDS", seconds.to_string())
        .env("PAUSE_SECONDS", "1")
        .env("no_proxy", "*")
        .output()
        .unwrap();
    let text = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8(text).unwrap())
}

fn script_polls_until_poll_seconds_have_passed(world: &World) {
    let stage = Stage::start(world);
    stage.say(&message("a:1", "1", "hello"));
    let (is_success, text) = run_script(&stage.url("/internal/poll"), POLL_KEY, 6);
    assert!(is_success, "{text}");
    let polls: Vec<Value> = text
        .lines()
        .map(|line| serde_json::from_str(line.strip_prefix("poll: ").unwrap()).unwrap())
        .collect();
    // The script pauses for one second after each poll, so at most 6 polls fit into 6 s. On a slow machine,
    // fewer polls fit.
    assert!((2..=6).contains(&polls.len()), "expected 2 to 6 polls, found {text}");
    assert_eq!(polls[0]["delivered"], 1, "{text}");
    assert_eq!(stage.wait_for_events("drain", polls.len()).len(), polls.len());

    // With KEDA (an autoscaler for Kubernetes), `POLL_SECONDS` is 0. The script then polls only once.
    let (is_success, text) = run_script(&stage.url("/internal/poll"), POLL_KEY, 0);
    assert!(is_success, "{text}");
    assert_eq!(text.lines().count(), 1, "{text}");
}

fn script_fails_with_the_reason_if_the_poll_fails(world: &World) {
    let stage = Stage::start(world);
    let without_key = Script::new(world).variable("pollkey", "").start();
    let closed = ClosedPort::reserve();
    let without_queue = Script::new(world).unreachable_queue(&closed).start();
    let nobody = format!("http://{}/internal/poll", closed.authority());
    let (poll, wrong) = ("/internal/poll", "a-wrong-key-for-tests");
    for (url, key, expected) in [
        (stage.url(poll), wrong, "poll: 401, the bot refuses the key"),
        (without_key.url(poll), POLL_KEY, "poll: 404, the bot has no pollkey"),
        (without_queue.url(poll), POLL_KEY, "poll: 503; the log of the bot's pods has the reason"),
        (nobody, POLL_KEY, "poll: no response from"),
    ] {
        let (is_success, text) = run_script(&url, key, 0);
        assert!(!is_success && text.contains(expected), "expected {expected:?}, found {text}");
        assert!(!text.contains(key), "the poll key is printed: {text}");
    }
}

fn bots_on_one_storage_account_never_see_each_others_data(world: &World) {
    // Both bots use the same storage account. Each bot has its own queue and its own table prefix.
    let start = || alerts::script(world).variable("pace", "0").start();
    let (orders, pizza) = (start(), start());
    assert_ne!(orders.queue.name(), pizza.queue.name());
    assert_ne!(orders.table_prefix, pizza.table_prefix);
    let key = known(&orders, "a:1", "subscribe news");
    let user = message("a:1", "1", "")["from"]["aadObjectId"].clone();
    assert_eq!(
        targets(&pizza),
        Vec::<Value>::new(),
        "expected that `pizza` lists no conversation of `orders`"
    );

    // `pizza` does not find the conversation of `orders` by the conversation key, the tag or the person.
    for to in [json!({"conversation": key}), json!({"tag": "news"}), json!({"user": user})] {
        alert(&pizza, &json!({"to": to, "text": "x"})).expect_error(404, "TargetNotFound");
    }
    // A run of `pizza` gets no queue message of `orders`.
    let id = queued(&orders, &to_conversation(&key, "for orders"));
    let counts = pizza.poll();
    assert_eq!((&counts["received"], &counts["delivered"]), (&0.into(), &0.into()), "{counts}");
    assert_eq!(orders.queue.count(), 1);
    // The id of an alert of `orders` is unknown to `pizza`.
    alerts::call(&pizza, "DELETE", &format!("/api/alerts/{id}"), &Value::Null)
        .expect_error(404, "AlertNotFound");
    // A program sends the same idempotency key to both bots. Each bot accepts an alert of its own.
    let key_at_pizza = known(&pizza, "a:1", "hello");
    for (bot, key) in [(&orders, &key), (&pizza, &key_at_pizza)] {
        let mut body = to_conversation(key, &format!("of {}", bot.queue.name()));
        body["idempotencyKey"] = "order 42".into();
        queued(bot, &body);
    }
    assert_eq!((orders.poll()["delivered"].clone(), pizza.poll()["delivered"].clone()), (2.into(), 1.into()));
    // Both bots have stored the conversation `a:1`. `stop` at `pizza` does not stop the alerts of `orders`.
    pizza.say(&message("a:1", "2", "stop"));
    queued(&orders, &to_conversation(&key, "after the stop at pizza"));
    let response = alert(&pizza, &to_conversation(&key_at_pizza, "x")).expect_status(202).json();
    assert_eq!(response["alerts"][0]["status"], "stopped", "{response}");
    pizza.connector.forget();
    assert_eq!(orders.poll()["delivered"], 1);
    pizza.connector.expect_silence();
}
