//! The fake channel of the *storm* (a load test with random faults). The channel posts people's messages to
//! the bot. If the bot's response to a message is not 202, the channel posts the same message again. In this
//! file, a *message* is a person's message.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use end_to_end::activity::{at_service, message};
use end_to_end::faulty_queue::{Effect, Note};
use end_to_end::web;

/// The pause after each post of a message.
const PAUSE: Duration = Duration::from_millis(60);

/// The number of conversations in which people write the messages.
const CONVERSATIONS: usize = 20;

/// A message of the channel.
#[derive(Debug)]
pub(super) struct Sent {
    pub(super) text: String,
    /// How many posts of the message did not get the response 202. At each of these posts, the bot has
    /// perhaps put an alert with the message's text on the queue.
    pub(super) not_accepted: usize,
}

/// Posts `count` messages. The channel repeats a message until a Spin host responds with 202. Each repetition
/// goes to the next URL in `urls`. When `over` is true, the channel posts nothing more.
pub(super) fn send(urls: &[String], authority: &str, count: usize, over: &AtomicBool) -> Vec<Sent> {
    let mut all = Vec::new();
    for index in 0..count {
        let text = format!("w{index:03}");
        let activity = message(&conversation(index), &text, &text);
        let activity = at_service(&activity, authority).to_string();
        let mut sent = Sent { text, not_accepted: 0 };
        while !over.load(Ordering::SeqCst) {
            let url = &urls[(index + sent.not_accepted) % urls.len()];
            let request = http::Request::post(url).header("content-type", "application/json");
            let response = web::try_send(request.body(web::whole(activity.clone())).unwrap());
            std::thread::sleep(PAUSE);
            if response.is_ok_and(|response| response.status == 202) {
                break;
            }
            sent.not_accepted += 1;
        }
        all.push(sent);
    }
    all
}

/// The conversation of a message.
pub(super) fn conversation(index: usize) -> String {
    format!("w:{:02}", index % CONVERSATIONS)
}

/// Counts of the channel's messages, and a sentence for each event that must not happen.
#[derive(Debug, Default)]
pub(super) struct Outcome {
    pub(super) sent: usize,
    pub(super) sent_again: usize,
    /// How many messages the bot put on the queue more than once. There are two reasons: the channel posted
    /// the message again, or the bot repeated a Put Message.
    pub(super) queued_twice: usize,
    pub(super) violations: Vec<String>,
}

impl Outcome {
    /// Checks the messages. Each note describes what a successful call to the queue service did with one
    /// queue message. The notes come from the proxy in front of the queue service. `is_done` gets the text of
    /// a message, and tells whether the alert with this text was shown to the person or moved to the poison
    /// queue.
    pub(super) fn of(all: &[Sent], notes: &[Note], is_done: impl Fn(&str) -> bool) -> Self {
        let mut puts: BTreeMap<&str, (usize, usize)> = BTreeMap::new();
        for note in notes {
            if let Effect::Put { lost } = note.effect {
                let (whole, cut) = puts.entry(note.text.as_str()).or_default();
                if lost { *cut += 1 } else { *whole += 1 }
            }
        }
        let mut outcome = Self { sent: all.len(), ..Self::default() };
        for Sent { text, not_accepted } in all {
            let (whole, cut) = puts.get(text.as_str()).copied().unwrap_or_default();
            outcome.sent_again += usize::from(*not_accepted > 0);
            outcome.queued_twice += usize::from(whole + cut > 1);
            // The bot does not repeat a Put that got a response. So for each post of the message, at most one
            // Put gets a response. But the proxy cuts off some responses. The bot can repeat a Put without a
            // response, so the number of these Puts (`cut`) has no limit.
            if whole + cut > 1 + not_accepted + cut {
                outcome.violations.push(format!(
                    "{text} was sent {} times, but {whole} Puts got a response; {cut} Puts got none",
                    not_accepted + 1
                ));
            }
            if !is_done(text) {
                outcome.violations.push(format!("{text} was neither shown nor moved to the poison queue"));
            }
        }
        outcome
    }
}
