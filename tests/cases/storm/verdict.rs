//! Evaluates the *storm* (a load test with random faults). For each alert, this module finds out whether the
//! alert was delivered, delivered twice, overtaken or lost, and why. An alert is *overtaken* if the person
//! saw a younger alert of the same conversation first.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Instant;

use end_to_end::faulty_queue::Effect;
use end_to_end::queue::envelope_of;
use end_to_end::stage::Stage;
use serde_json::Value;
use storage_table::Entity;

use super::channel::{Outcome, Sent};
use super::evidence::Evidence;
use super::mixture::{Attempt, Scripted};
use super::program::ProgramAlert;
use super::{Form, ledger};

/// Why an alert was delivered again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum DeliveredAgain {
    /// The response to the earlier attempt was cut off.
    ResponseCut,
    /// The host was killed before it had the response.
    KilledBeforeResponse,
    /// The host was killed after it had the response. Before the kill, the run had not deleted the queue
    /// message, and had not recorded the delivery in the ledger (the table of alerts).
    KilledBeforeDelete,
}

/// Why a younger alert of the conversation was delivered first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Overtaken {
    /// A Get Messages returned the older alert, but the response was lost.
    LostResponse,
    /// A run dequeued the older alert. The run's host was killed before the run had recorded that it had
    /// dequeued the alert.
    KilledBeforeNote,
}

/// The result of a storm.
#[derive(Debug, Default)]
pub(super) struct Verdict {
    alerts: usize,
    attempts: usize,
    shown: usize,
    poisoned: BTreeMap<String, usize>,
    poison_copies: usize,
    shown_and_poisoned: usize,
    cut_connections: usize,
    /// How many conversations are paused.
    paused: usize,
    delivered_again: BTreeMap<DeliveredAgain, usize>,
    overtaken: BTreeMap<Overtaken, usize>,
    /// The ids of the alerts in the poison queue.
    dead: BTreeSet<String>,
    /// For each status, the number of alerts that have this status at the end.
    states: BTreeMap<String, usize>,
    /// The figures of the bot (the counts that `GET /api/status` shows), as text.
    figures: String,
    /// The result of the messages that the fake channel posted to the bot, as if people had written them.
    channel: Outcome,
    /// How many alerts the program sent.
    calls: usize,
    /// How many of the program's calls got no response, or a response other than 202.
    calls_failed: usize,
    /// The number of alerts that the program sent to paused conversations. The bot puts no such alert on the
    /// queue.
    calls_to_paused: usize,
    /// A sentence for each event that must not happen.
    violations: Vec<String>,
}

impl Verdict {
    pub(super) fn of(form: Form, stage: &Stage, evidence: &Evidence, sent: &[Sent]) -> Self {
        let attempts = &evidence.attempts;
        let poisoned = Poisoned::read(stage, attempts);
        let mut verdict = Self {
            alerts: form.conversations * form.each + form.calls,
            attempts: attempts.len(),
            poisoned: poisoned.outcomes,
            poison_copies: poisoned.copies,
            violations: poisoned.violations,
            dead: poisoned.alerts.clone(),
            ..Self::default()
        };
        for conversation in 0..form.conversations {
            let alerts: Vec<String> = (0..form.each).map(|index| ledger::id(conversation, index)).collect();
            for alert in &alerts {
                let all: Vec<&Attempt> = attempts.iter().filter(|attempt| attempt.alert == *alert).collect();
                verdict.look_at(alert, &all, poisoned.alerts.contains(alert), evidence);
            }
            verdict.look_at_order(&alerts, evidence);
        }
        let is_shown =
            |text: &str| attempts.iter().any(|attempt| attempt.alert == text && evidence.is_shown(attempt));
        verdict.channel =
            Outcome::of(sent, &evidence.queue, |text| is_shown(text) || poisoned.texts.contains(text));
        verdict.violations.append(&mut verdict.channel.violations);
        verdict
    }

    fn look_at(&mut self, alert: &str, attempts: &[&Attempt], is_poisoned: bool, evidence: &Evidence) {
        let shown: Vec<&&Attempt> = attempts.iter().filter(|attempt| evidence.is_shown(attempt)).collect();
        self.shown += usize::from(!shown.is_empty());
        self.shown_and_poisoned += usize::from(!shown.is_empty() && is_poisoned);
        let cut = [Scripted::Cut, Scripted::ShownAndCut];
        self.cut_connections += attempts.iter().filter(|attempt| cut.contains(&attempt.scripted)).count();
        if shown.is_empty() && !is_poisoned {
            let history = evidence.history(&[alert], Instant::now());
            self.violations.push(format!("{alert} is lost: {history:#?}"));
        }
        for pair in shown.windows(2) {
            match evidence.why_delivered_again(pair[0], pair[1]) {
                Some(why) => *self.delivered_again.entry(why).or_default() += 1,
                None => {
                    let history = evidence.history(&[alert], pair[1].at);
                    self.violations
                        .push(format!("{alert} was delivered again without a known reason: {history:#?}"));
                }
            }
        }
    }

    /// Checks that the bot gave each alert of the program exactly one id. Also checks that each alert was
    /// delivered or is in the poison queue. Skips the alerts that the bot did not put on the queue, because
    /// the conversation was paused.
    pub(super) fn look_at_calls(&mut self, called: &[ProgramAlert], evidence: &Evidence) {
        for ProgramAlert { text, ids, failed, is_paused } in called {
            self.calls += 1;
            self.calls_failed += failed;
            if *is_paused {
                self.calls_to_paused += 1;
                continue;
            }
            let mut ids = ids.iter();
            let (Some(id), None) = (ids.next(), ids.next()) else {
                self.violations.push(format!("expected one id for {text}, found none or several"));
                continue;
            };
            let all: Vec<&Attempt> =
                evidence.attempts.iter().filter(|attempt| attempt.alert == *id).collect();
            self.look_at(id, &all, self.dead.contains(id), evidence);
        }
    }

    /// Checks that a conversation is paused only if the Connector sent a 403 or 404 with an error code. The
    /// error page of a gateway must not pause a conversation.
    pub(super) fn look_at_pauses(&mut self, conversations: &[Entity], evidence: &Evidence) {
        for entity in conversations.iter().filter(|entity| entity.int("pausedUntil").unwrap_or_default() > 0)
        {
            let address: Value =
                serde_json::from_str(entity.str("address").unwrap_or_default()).unwrap_or_default();
            let is_pausing = |attempt: &&Attempt| {
                attempt.received.conversation().as_deref() == address["conversation"]["id"].as_str()
                    && matches!(attempt.scripted, Scripted::Refused(403 | 404))
            };
            self.paused += 1;
            if !evidence.attempts.iter().any(|attempt| is_pausing(&attempt)) {
                self.violations.push(format!(
                    "{address} is paused, but the Connector sent no error code that pauses a conversation"
                ));
            }
        }
    }

    /// Checks that the bot shows the right final status of every alert. Also compares the bot's figures (its
    /// counts of queue messages) with the notes of the proxy in front of the queue service.
    pub(super) fn look_at_states(
        &mut self,
        form: Form,
        stage: &Stage,
        evidence: &Evidence,
        called: &[ProgramAlert],
    ) {
        let planted = (0..form.conversations)
            .flat_map(|conversation| (0..form.each).map(move |index| ledger::id(conversation, index)));
        let by_api = called.iter().flat_map(|called| called.ids.iter().cloned());
        let ids: Vec<String> = planted.chain(by_api).collect();
        // The queue can hold several messages of one alert. If a run moves one message to the poison queue, a
        // later run can still deliver the alert from another message.
        let is_sent_by_a_copy = |id: &str| {
            let notes = evidence.queue.iter().filter(|note| note.envelope == id && !note.message.is_empty());
            let messages: BTreeSet<&str> = notes.map(|note| &*note.message).collect();
            let last = evidence.attempts.iter().rev().find(|attempt| attempt.alert == id);
            messages.len() > 1 && last.is_some_and(|last| last.scripted == Scripted::Shown)
        };
        // To move a message to the poison queue, a run first puts a new message into the poison queue, and
        // then deletes the old message. If the run is killed between these two steps, the next run tries to
        // deliver the alert again.
        let is_sent_after_a_kill = |id: &str| {
            let attempts: Vec<_> = evidence.attempts.iter().filter(|attempt| attempt.alert == id).collect();
            let Some((last, earlier)) = attempts.split_last() else { return false };
            let mut deaths = earlier.iter().filter_map(|attempt| evidence.death_after(attempt));
            last.scripted == Scripted::Shown && deaths.any(|death| death.at <= last.at)
        };
        let dead = &self.dead;
        let is_sent = |id: &str| is_sent_by_a_copy(id) || is_sent_after_a_kill(id);
        let expected = |id: &str| match dead.contains(id) && !is_sent(id) {
            true => "dead",
            false => "delivered",
        };
        let (states, mut violations) = ledger::states(stage, &ids, expected);
        self.states = states;
        self.violations.append(&mut violations);
        // The figures must have exactly one count for each message that has left the queue, even if hosts
        // were killed. If the queue held several messages of an alert, usually one of them is counted under
        // the alert's outcome, and each other message as a *copy*. So there are never more copies than
        // messages beyond the first.
        let deleted: Vec<_> = evidence.queue.iter().filter(|note| note.effect == Effect::Deleted).collect();
        let messages = deleted.iter().map(|note| &note.message).collect::<BTreeSet<_>>().len() as u64;
        let alerts = deleted.iter().map(|note| &note.envelope).collect::<BTreeSet<_>>().len() as u64;
        let ledger::Figures { gone, copies, accepted, text } = ledger::figures(stage);
        self.figures = format!(
            "the bot counts {gone} messages that left the queue ({copies} of them copies), and {accepted} accepted \
             messages; the proxy counts {messages} messages of {alerts} alerts that left the queue; {text}"
        );
        if (gone, accepted) != (messages, messages) || copies > messages - alerts {
            self.violations.push(format!("the figures are wrong: {}", self.figures));
        }
    }

    /// Counts the alerts in the poison queue that should not be there, because the Connector would have
    /// accepted them. The poller moves an alert rightly to the poison queue after two kinds of responses: an
    /// error page of a gateway (counted as `gatewayPage`), and a refusal that names the conversation as gone.
    fn needlessly_poisoned(&self) -> usize {
        let of = |outcome| self.poisoned.get(outcome).copied().unwrap_or_default();
        of("retriesExhausted") + of("permanent") + of("abandoned") + of("outOfTime")
    }

    fn look_at_order(&mut self, alerts: &[String], evidence: &Evidence) {
        let first_shown = |alert: &String| {
            let mut attempts = evidence.attempts.iter();
            attempts
                .find(|attempt| attempt.alert == *alert && evidence.is_shown(attempt))
                .map(|attempt| attempt.at)
        };
        let shown: Vec<(&String, Instant)> =
            alerts.iter().filter_map(|alert| Some((alert, first_shown(alert)?))).collect();
        for (index, (older, at)) in shown.iter().enumerate() {
            // If several younger alerts overtook the older alert, the loop evaluates only one of them: the
            // alert that the person saw first.
            let overtaking =
                shown[index + 1..].iter().filter(|(_, other)| other < at).min_by_key(|(_, at)| *at);
            let Some((younger, when)) = overtaking else { continue };
            match evidence.why_overtaken(older, younger, *when) {
                Some(why) => *self.overtaken.entry(why).or_default() += 1,
                None => self.violations.push(format!(
                    "{younger} was delivered before {older} without a known reason: {:#?}",
                    evidence.history(&[older, younger], *when)
                )),
            }
        }
    }

    /// Fails the case if there is a violation, or if more than 1 % of the alerts are in the poison queue and
    /// should not be there. By chance, failures can use up all tries of a few alerts.
    pub(super) fn check(&self) {
        let shown = self.violations.iter().take(5).cloned().collect::<Vec<_>>().join("\n");
        assert!(
            self.needlessly_poisoned() * 100 <= self.alerts,
            "{} of {} alerts are in the poison queue although they could be delivered: {:?}",
            self.needlessly_poisoned(),
            self.alerts,
            self.poisoned
        );
        assert!(self.violations.is_empty(), "{} violations, among them:\n{shown}", self.violations.len());
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "  alerts                {} ({} attempts)", self.alerts, self.attempts)?;
        writeln!(f, "  delivered             {}", self.shown)?;
        writeln!(
            f,
            "  poisoned              {:?}; further copies {}; also delivered {}",
            self.poisoned, self.poison_copies, self.shown_and_poisoned
        )?;
        writeln!(f, "  shown by the bot      {:?}", self.states)?;
        writeln!(f, "  figures               {}", self.figures)?;
        writeln!(f, "  cut connections       {}", self.cut_connections)?;
        writeln!(f, "  paused                {}", self.paused)?;
        writeln!(f, "  delivered again       {:?}", self.delivered_again)?;
        let Outcome { sent, sent_again, queued_twice, .. } = &self.channel;
        writeln!(
            f,
            "  people's messages     {sent}; sent again by the channel {sent_again}; queued more than once {queued_twice}"
        )?;
        writeln!(
            f,
            "  alerts by API         {}; calls that were not answered 202 {}; to paused conversations {}",
            self.calls, self.calls_failed, self.calls_to_paused
        )?;
        writeln!(f, "  overtaken             {:?}", self.overtaken)?;
        write!(f, "  violations            {}", self.violations.len())
    }
}

/// The content of the poison queue.
#[derive(Debug, Default)]
struct Poisoned {
    alerts: BTreeSet<String>,
    texts: BTreeSet<String>,
    outcomes: BTreeMap<String, usize>,
    copies: usize,
    violations: Vec<String>,
}

impl Poisoned {
    /// Reads the poison queue. If a gateway responds with 404 and its own error page, the poller must move
    /// the alert to the poison queue, with the outcome `permanent`. This function counts such alerts as
    /// `gatewayPage`. So they are not part of [`Verdict::needlessly_poisoned`].
    fn read(stage: &Stage, attempts: &[Attempt]) -> Self {
        let has_page = |names: [&str; 2]| {
            attempts
                .iter()
                .any(|attempt| names.contains(&&*attempt.alert) && attempt.scripted == Scripted::Page(404))
        };
        let mut poisoned = Self::default();
        for text in stage.queue.poison().take_all() {
            let envelope = envelope_of(&text).unwrap_or_default();
            let said = envelope["text"].as_str().unwrap_or_default();
            poisoned.texts.insert(said.to_owned());
            let failure = &envelope["failure"];
            let outcome = match failure["outcome"].as_str() {
                Some("permanent") if has_page([said, envelope["id"].as_str().unwrap_or_default()]) => {
                    Some("gatewayPage")
                }
                outcome => outcome,
            };
            match (envelope["id"].as_str(), outcome, failure["reason"].as_str()) {
                (Some(id), Some(outcome), Some(_)) => {
                    if poisoned.alerts.insert(id.into()) {
                        *poisoned.outcomes.entry(outcome.into()).or_default() += 1;
                    } else {
                        poisoned.copies += 1;
                    }
                }
                _ => {
                    poisoned.violations.push(format!("message in the poison queue without a reason: {text}"))
                }
            }
        }
        poisoned
    }
}
