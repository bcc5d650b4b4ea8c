//! The random faults of the *storm* (a load test), and the probability of each fault.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use end_to_end::connector::{Received, Reply};
use end_to_end::dice::Dice;
use end_to_end::faulty_queue::{Fault, Plan};
use http::Method;
use serde_json::json;

use super::Form;

/// The fake Connector's scripted reaction to one attempt to deliver an alert.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scripted {
    /// The alert is shown to the person.
    Shown,
    /// The alert is shown, and the connection breaks before the response.
    ShownAndCut,
    /// The connection breaks. The alert is not shown.
    Cut,
    /// The Connector refuses with this HTTP status and an error code.
    Refused(u16),
    /// A gateway in front of the Connector responds with this HTTP status and its own error page.
    Page(u16),
}

/// One attempt to deliver an alert: a request that the Connector received.
#[derive(Clone)]
pub(super) struct Attempt {
    pub(super) at: Instant,
    /// The alert's text. If the test itself put the alert on the queue, the text is also the id. If the
    /// fake program (`program.rs`) sent the alert, `with_ids` (`mod.rs`) later replaces the text by the id.
    /// The field is empty for a reply of the bot.
    pub(super) alert: String,
    pub(super) scripted: Scripted,
    /// Whether the person sees the alert if the test kills the host before the host has the response. Only
    /// used with [`Scripted::Shown`].
    pub(super) kept: bool,
    pub(super) received: Received,
}

impl fmt::Debug for Attempt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let answered = self.received.answered_at().map(|answered| answered - self.at);
        write!(f, "{:?} {:?}, answered after {answered:?}", self.at, self.scripted)
    }
}

impl Attempt {
    /// Whether the person saw the alert. `died` is the time of the host's first death after the attempt;
    /// `None` if the test did not kill the host after the attempt.
    pub(super) fn is_shown(&self, died: Option<Instant>) -> bool {
        match self.scripted {
            Scripted::Shown => self.kept || self.is_answered(died),
            Scripted::ShownAndCut => true,
            Scripted::Cut | Scripted::Refused(_) | Scripted::Page(_) => false,
        }
    }

    /// Whether the Connector began to send its response before the host died.
    pub(super) fn is_answered(&self, died: Option<Instant>) -> bool {
        self.received.answered_at().is_some_and(|answered| died.is_none_or(|died| answered < died))
    }
}

/// Every attempt so far. All clones of this value share the same list of attempts.
#[derive(Debug, Clone, Default)]
pub(super) struct AttemptLog(Arc<Mutex<Log>>);

#[derive(Debug, Default)]
struct Log {
    attempts: Vec<Attempt>,
    outage_began: Option<Instant>,
    by_alert: BTreeMap<String, u64>,
}

impl AttemptLog {
    pub(super) fn len(&self) -> usize {
        self.0.lock().unwrap().attempts.len()
    }

    pub(super) fn all(&self) -> Vec<Attempt> {
        self.0.lock().unwrap().attempts.clone()
    }
}

/// The region of the Connector that is down for a while. The region is the first part of the path in a
/// serviceUrl.
pub(super) const FAILING_REGION: &str = "emea";

/// Scripts the Connector's responses, and an outage of the region [`FAILING_REGION`]. The outage begins when
/// the number of attempts is a third of the number of alerts, and lasts for [`Form::outage`]. In the outage,
/// each attempt in this region gets a gateway's error page.
///
/// The first [`Form::failing_attempts`] attempts of each alert get these responses at random. In all other
/// cases, the alert is shown.
///
/// - 10 %: 429 (throttled)
/// - 5 %: 502, 503 or 504, most of them with a gateway's error page
/// - 3 %: the connection is cut before the alert is shown
/// - 3 %: the connection is cut after the alert is shown
/// - 2 %: 403 or 404, because the bot cannot reach the conversation
/// - 0.3 %: 404 with a gateway's error page
pub(super) fn connector(
    dice: Dice,
    form: Form,
    attempt_log: AttemptLog,
) -> impl Fn(&Received) -> Option<Reply> + Send + Sync {
    move |received| {
        let alert = received.text().strip_prefix("Alert: ").unwrap_or_default().to_owned();
        let mut log = attempt_log.0.lock().unwrap();
        let number = log.by_alert.entry(alert.clone()).or_default();
        *number += 1;
        let attempt = *number;
        let purpose = alert.clone();
        let roll = |what: &str, below| dice.roll((what, &purpose, attempt), below);
        let rolled = if attempt > form.failing_attempts { 99 } else { roll("mixture", 100) };
        if log.attempts.len() >= form.conversations * form.each / 3 {
            log.outage_began.get_or_insert(received.at);
        }
        let began = log.outage_began.filter(|_| received.path.starts_with(&format!("/{FAILING_REGION}/")));
        let is_out = began.is_some_and(|began| received.at < began + form.outage);
        let page = |status: u16| {
            (Scripted::Page(status), Reply::status(status, json!("<html>A gateway's page</html>")))
        };
        let (scripted, reply) = match rolled {
            _ if is_out => page([502, 503, 504][roll("outage", 3) as usize]),
            0..10 => {
                let seconds = 1 + roll("retry-after", form.longest_retry_after);
                let reply = Reply::error(429, "Throttled").header("retry-after", seconds.to_string());
                (Scripted::Refused(429), reply)
            }
            10..15 => {
                let status = [502, 503, 504][roll("status", 3) as usize];
                match roll("page", 3) {
                    0 => (Scripted::Refused(status), Reply::error(status, "ServiceUnavailable")),
                    _ => page(status),
                }
            }
            15..18 => (Scripted::Cut, Reply::cut_unseen()),
            18..21 => (Scripted::ShownAndCut, Reply::cut_without_response()),
            21 => (Scripted::Refused(403), Reply::error(403, "BotNotInConversationRoster")),
            22 => (Scripted::Refused(404), Reply::error(404, "ConversationNotFound")),
            23 if roll("page", 3) == 0 => page(404),
            _ => (Scripted::Shown, Reply::created(&alert)),
        };
        let kept = roll("kept", 2) == 0;
        log.attempts.push(Attempt { at: received.at, alert, scripted, kept, received: received.clone() });
        Some(reply.after(Duration::from_millis(roll("delay", 40))))
    }
}

/// Plans the faults of the queue service: 5 % of the calls fail. The proxy delays each Delete by up to 60 ms,
/// so that a kill interrupts many Deletes.
pub(super) fn queue(dice: Dice, form: Form) -> impl Fn(usize, &Method) -> Plan + Send + Sync {
    move |call, method| {
        let fault = match dice.roll(("queue", call), 1000) {
            0..10 => Some(Fault::Status(503)),
            10..17 => Some(Fault::Status(500)),
            17..34 => Some(Fault::CutBefore),
            // If the response to a Get Messages (the call that dequeues messages) is lost, the dequeued
            // messages stay hidden for 60 s, and the test takes longer. To keep the test short, no such
            // response is lost after the call number `last_lost_get`.
            34..50 if method == Method::GET && call > form.last_lost_get => None,
            34..50 => Some(Fault::CutAfter),
            _ => None,
        };
        let slowest = if method == Method::DELETE { 60 } else { 8 };
        Plan { fault, delay: Duration::from_millis(dice.roll(("delay", call), slowest)) }
    }
}
