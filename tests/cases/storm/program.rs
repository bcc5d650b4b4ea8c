//! The fake program of the *storm* (a load test with random faults). The program sends alerts by API calls.
//! Each alert has its own idempotency key. The program calls the two Spin hosts in turn, until one host
//! accepts the alert. Then the program sends the same call once more, to the next host.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use end_to_end::alerts::{ALERT_KEY, key_of, to_conversation};
use end_to_end::web;

use super::channel;

/// The pause after each API call.
const PAUSE: Duration = Duration::from_millis(30);

/// An alert of the program.
#[derive(Debug)]
pub(super) struct ProgramAlert {
    pub(super) text: String,
    /// The ids in the bot's responses. All calls for one alert have the same idempotency key, so the bot must
    /// always return the same id.
    pub(super) ids: BTreeSet<String>,
    /// How many calls failed before the bot accepted the alert. A call fails if it gets no response, or a
    /// response other than 202.
    pub(super) failed: usize,
    /// Whether the conversation was paused, so the bot put no alert on the queue. The poller pauses a
    /// conversation if the Connector reports that the bot cannot reach the conversation.
    pub(super) is_paused: bool,
}

/// Sends `count` alerts to the hosts at `urls`. When `over` is true, the program sends nothing more. The
/// first call for the first alert goes to the first host, the first call for the second alert goes to the
/// second host, and so on in turn.
pub(super) fn send(urls: &[String], count: usize, over: &AtomicBool) -> Vec<ProgramAlert> {
    (0..count).take_while(|_| !over.load(Ordering::SeqCst)).map(|index| send_one(urls, index, over)).collect()
}

fn send_one(urls: &[String], index: usize, over: &AtomicBool) -> ProgramAlert {
    let mut called = ProgramAlert { text: text(index), ids: BTreeSet::new(), failed: 0, is_paused: false };
    let mut hosts = urls.iter().cycle().skip(index);
    let mut call = |text: &str| {
        let response = hosts.next().map_or(Response::Failed, |url| post(url, text, index));
        std::thread::sleep(PAUSE);
        response
    };
    while !over.load(Ordering::SeqCst) {
        match call(&called.text) {
            Response::Failed => called.failed += 1,
            Response::Paused => {
                called.is_paused = true;
                break;
            }
            Response::Accepted(id) => {
                called.ids.insert(id);
                // This repeated call is allowed to fail, because the bot has already accepted the alert.
                if let Response::Accepted(again) = call(&called.text) {
                    called.ids.insert(again);
                }
                break;
            }
        }
    }
    called
}

fn text(index: usize) -> String {
    format!("by-api-{index:03}")
}

/// The bot's response to a call.
enum Response {
    /// The bot accepted the alert with this id.
    Accepted(String),
    /// The bot queued nothing, because the conversation is paused.
    Paused,
    Failed,
}

/// Calls `POST /api/alerts`. Until the bot has stored the conversation, the response is 404, and this
/// function returns [`Response::Failed`].
fn post(url: &str, text: &str, index: usize) -> Response {
    let mut body = to_conversation(&key_of("msteams", &channel::conversation(index)), text);
    body["idempotencyKey"] = text.into();
    let request = http::Request::post(url)
        .header("authorization", format!("Bearer {ALERT_KEY}"))
        .header("content-type", "application/json");
    let request = request.body(web::whole(body.to_string())).expect("a well-formed request");
    let Ok(response) = web::try_send(request) else { return Response::Failed };
    assert!([202, 404, 503].contains(&response.status), "{}", response.describe());
    if response.status != 202 {
        return Response::Failed;
    }
    let alert = response.json()["alerts"][0].take();
    match (alert["id"].as_str(), alert["status"].as_str()) {
        (Some(id), _) => Response::Accepted(id.to_owned()),
        (None, Some("paused")) => Response::Paused,
        (None, _) => panic!("expected an id, or a paused conversation, found {alert}"),
    }
}
