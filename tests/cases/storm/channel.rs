//! The channel in the storm (a case in which all services fail again and again). The channel sends people's
//! messages to the bot. If the bot does not answer 202, the channel sends the message again. In this file, a
//! *message* is a person's message.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use end_to_end::activity::{at_service, message};
use end_to_end::faulty_queue::{Note, What};
use end_to_end::web;

/// The pause between two messages, and before a message is sent again.
const PAUSE: Duration = Duration::from_millis(60);

/// The number of conversations from which the messages come.
const CONVERSATIONS: usize = 20;

/// A message that the channel sent, at least once.
#[derive(Debug)]
pub(super) struct Sent {
    pub(super) text: String,
    /// How often the channel sent the message and got no 202. Each time, the bot has perhaps queued the
    /// message nevertheless.
    pub(super) not_accepted: usize,
}

/// Sends `count` messages. The channel repeats a message until a Spin host answers 202. Each repetition goes
/// to the next host. If the case sets `over`, the channel stops.
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
    /// How many messages were queued more than once, because the channel sent the message again or because
    /// the bot repeated a Put.
    pub(super) queued_twice: usize,
    pub(super) violations: Vec<String>,
}

impl Outcome {
    /// Evaluates the messages. `is_done` gets the text of a message. It tells whether the alert with this
    /// text was shown or moved to the poison queue.
    pub(super) fn of(all: &[Sent], notes: &[Note], is_done: impl Fn(&str) -> bool) -> Self {
        let mut puts: BTreeMap<&str, (usize, usize)> = BTreeMap::new();
        for note in notes {
            if let What::Put { lost } = note.what {
                let (whole, cut) = puts.entry(note.text.as_str()).or_default();
                if lost { *cut += 1 } else { *whole += 1 }
            }
        }
        let mut outcome = Self { sent: all.len(), ..Self::default() };
        for Sent { text, not_accepted } in all {
            let (whole, cut) = puts.get(text.as_str()).copied().unwrap_or_default();
            outcome.sent_again += usize::from(*not_accepted > 0);
            outcome.queued_twice += usize::from(whole + cut > 1);
            // After a Put with a response, the bot does not repeat the Put. So each time that the channel
            // sends the message, at most one Put gets a response. If the proxy cuts the response off, the bot
            // can repeat the Put, so any number of Puts without a response is allowed.
            if whole + cut > 1 + not_accepted + cut {
                outcome.violations.push(format!(
                    "{text} was sent {} times, but {whole} Puts got a response; {cut} Puts got none",
                    not_accepted + 1
                ));
            }
            if !is_done(text) {
                outcome.violations.push(format!("{text} was accepted, and is lost"));
            }
        }
        outcome
    }
}
