//! A program in the storm. It sends alerts by API, each with an idempotency key. It repeats each call until
//! the bot accepts the alert. Then it sends the same call to the other host.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use end_to_end::alerts::{ALERT_KEY, key_of, to_conversation};
use end_to_end::web;
use serde_json::Value;

use super::channel;

/// The pause after each call.
const PAUSE: Duration = Duration::from_millis(30);

/// An alert of the program.
#[derive(Debug)]
pub(super) struct Called {
    pub(super) text: String,
    /// The ids in the answers of the bot. There must be only one, because the calls have the same idempotency
    /// key.
    pub(super) ids: BTreeSet<String>,
    /// How many calls the bot did not answer 202. Some of these calls have stored or queued the alert
    /// nevertheless.
    pub(super) failed: usize,
}

/// Sends `count` alerts, or fewer if `over` is set earlier. The hosts take turns.
pub(super) fn send(urls: &[String], count: usize, over: &AtomicBool) -> Vec<Called> {
    let mut all = Vec::new();
    for index in 0..count {
        let mut called = Called { text: text(index), ids: BTreeSet::new(), failed: 0 };
        let mut to_repeat = 1;
        for turn in index.. {
            if over.load(Ordering::SeqCst) {
                break;
            }
            let id = post(&urls[turn % urls.len()], &called.text, index);
            std::thread::sleep(PAUSE);
            match id {
                None if called.ids.is_empty() => called.failed += 1,
                // The bot has accepted the alert, so the repeated call may fail.
                None => break,
                Some(id) => {
                    called.ids.insert(id);
                    if to_repeat == 0 {
                        break;
                    }
                    to_repeat -= 1;
                }
            }
        }
        all.push(called);
    }
    all
}

fn text(index: usize) -> String {
    format!("by-api-{index:03}")
}

/// Sends the alert, and returns its id if the bot accepts it. At first the bot does not know the
/// conversation, and answers 404.
fn post(url: &str, text: &str, index: usize) -> Option<String> {
    let mut body = to_conversation(&key_of("msteams", &channel::conversation(index)), text);
    body["idempotencyKey"] = text.into();
    let request = http::Request::post(url)
        .header("authorization", format!("Bearer {ALERT_KEY}"))
        .header("content-type", "application/json");
    let answer = web::try_send(request.body(web::whole(body.to_string())).unwrap()).ok()?;
    assert!([202, 404, 503].contains(&answer.status), "{}", answer.describe());
    let alerts: Value = if answer.status == 202 { answer.json()["alerts"].take() } else { Value::Null };
    alerts[0]["id"].as_str().map(str::to_owned)
}
