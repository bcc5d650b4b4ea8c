//! Evidence about the *storm* (a load test with random faults), and conclusions from the evidence. The
//! evidence consists of the requests at the fake Connector, the log lines, and the notes of two proxies. One
//! proxy is in front of the queue service, and the other is in front of the table service. Each *note* of the
//! queue proxy describes what a successful call did with one queue message. So a Get Messages has one note
//! for each message that it returned. Each note of the table proxy describes one call.
//!
//! A *run* is one execution of the poller. An *attempt* is one request to the Connector that delivers an
//! alert. A *death* is the moment at which the test killed a Spin host. A run has a message *in hand* if it
//! has dequeued the message and has not finished it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use end_to_end::faulty_queue::{Effect, Note};
use end_to_end::faulty_tables;
use end_to_end::stage::{Death, Stage};
use serde_json::Value;

use super::HOSTS;
use super::mixture::{Attempt, Scripted};
use super::verdict::{DeliveredAgain, Overtaken};

/// The longest time from the Connector's response until the run has sent the Delete of the queue message, or
/// has recorded the delivery in the ledger (the table of alerts). The time is long enough for a busy machine.
const CERTAIN_AFTER: Duration = Duration::from_secs(2);

/// The time after which the poller has perhaps stopped waiting for a response of the queue service. The
/// poller waits for 5 s from the beginning of its call. The proxy measures the time from the arrival of the
/// call, which is a little later. So this constant is a little less than 5 s.
const PATIENCE: Duration = Duration::from_millis(4900);

/// The longest time after a death in which a last call of the killed host can still arrive. The restart of
/// the host takes longer than this time. So every later call comes from the restarted host.
const IN_FLIGHT: Duration = Duration::from_millis(150);

/// All evidence of a storm.
pub(super) struct Evidence {
    pub(super) attempts: Vec<Attempt>,
    /// Every note of the queue proxy.
    pub(super) queue: Vec<Note>,
    /// Every note of the table proxy.
    pub(super) tables: Vec<faulty_tables::Note>,
    pub(super) deaths: Vec<Death>,
    /// The times at which a host logged the delivery of an alert. The key has the host's number and the
    /// alert's id.
    delivered: BTreeMap<(usize, String), Vec<Instant>>,
    /// For each run that ended because the queue service did not respond in time: the number of the host, and
    /// the time of the log line.
    unanswered: Vec<(usize, Instant)>,
    /// The path of the record of the *run lock*, which lets only one run work at a time. In this record, the
    /// run also lists its messages in hand.
    run_record: String,
    ledger: String,
}

impl Evidence {
    pub(super) fn new(
        stage: &Stage,
        attempts: Vec<Attempt>,
        queue: Vec<Note>,
        tables: Vec<faulty_tables::Note>,
        deaths: Vec<Death>,
    ) -> Self {
        let (instant, wall) = (Instant::now(), Utc::now());
        let text = |line: &Value, field: &str| line[field].as_str().unwrap_or_default().to_owned();
        let time_of = |line: &Value| {
            let time = DateTime::parse_from_rfc3339(&text(line, "time")).expect("a log line has a time");
            instant - (wall - time.to_utc()).to_std().unwrap_or_default()
        };
        let mut delivered: BTreeMap<_, Vec<Instant>> = BTreeMap::new();
        let mut unanswered = Vec::new();
        for host in 0..HOSTS {
            for line in stage.events_of(host, "alert.delivered") {
                delivered.entry((host, text(&line, "envelope"))).or_default().push(time_of(&line));
            }
            let drains = stage.events_of(host, "drain");
            let is_unanswered = |line: &&Value| text(line, "error").starts_with("the queue cannot be read");
            unanswered.extend(drains.iter().filter(is_unanswered).map(|line| (host, time_of(line))));
        }
        let prefix = &stage.table_prefix;
        let run_record = format!("{prefix}runs(PartitionKey='{}',RowKey='run')", stage.queue.name());
        let ledger = format!("{prefix}ledger");
        Self { attempts, queue, tables, deaths, delivered, unanswered, run_record, ledger }
    }

    /// Counts the refused writes to the record of the run lock. The table service refuses such a write if
    /// another run has changed the record.
    pub(super) fn refused_by_etag(&self) -> usize {
        let of_run = self.tables.iter().filter(|note| note.path == self.run_record);
        of_run.filter(|note| note.status == Some(412)).count()
    }

    /// Finds the latest Get Messages that returned the alert, at the moment `before` or earlier. Returns the
    /// note about the alert. Ignores a Get Messages whose response was lost.
    fn latest_get(&self, alert: &str, before: Instant) -> Option<&Note> {
        let answered = |note: &&Note| matches!(note.effect, Effect::Dequeued { lost: false, .. });
        self.queue.iter().rev().filter(answered).find(|note| note.envelope == alert && note.at <= before)
    }

    /// Finds the host that made this attempt, and returns the first death of this host after the attempt.
    pub(super) fn death_after(&self, attempt: &Attempt) -> Option<&Death> {
        self.death(self.latest_get(&attempt.alert, attempt.at)?.caller, attempt.at)
    }

    /// Returns the first death of a host after `moment`. A death that is up to [`IN_FLIGHT`] earlier also
    /// counts, because the last calls of a host can arrive after its death.
    fn death(&self, host: usize, moment: Instant) -> Option<&Death> {
        self.deaths.iter().find(|death| death.host == host && death.at + IN_FLIGHT >= moment)
    }

    pub(super) fn is_shown(&self, attempt: &Attempt) -> bool {
        attempt.is_shown(self.death_after(attempt).map(|death| death.at))
    }

    /// Returns the reason why the poller made the attempt `later`, although the person had already seen the
    /// alert through the attempt `earlier`. `None` if the evidence shows no reason.
    pub(super) fn why_delivered_again(&self, earlier: &Attempt, later: &Attempt) -> Option<DeliveredAgain> {
        if earlier.scripted == Scripted::ShownAndCut {
            return Some(DeliveredAgain::ResponseCut);
        }
        let death = self.death_after(earlier)?;
        if !earlier.is_answered(Some(death.at)) {
            return Some(DeliveredAgain::KilledBeforeResponse);
        }
        let knew = self.is_delivered_logged(death, earlier) || self.is_in_ledger(earlier, later.at);
        let in_time =
            earlier.received.answered_at().is_some_and(|answered| death.at < answered + CERTAIN_AFTER);
        (!knew && in_time).then_some(DeliveredAgain::KilledBeforeDelete)
    }

    /// Whether the host logged the delivery before the host died. A run writes the log line `alert.delivered`
    /// after the Delete, or after the ledger has recorded the delivery.
    fn is_delivered_logged(&self, death: &Death, attempt: &Attempt) -> bool {
        // A log line gives its time in whole milliseconds. So this time can be a little earlier than the
        // event.
        let lived =
            attempt.at.checked_sub(Duration::from_millis(2)).unwrap_or(attempt.at)..death.at + CERTAIN_AFTER;
        let logged = self.delivered.get(&(death.host, attempt.alert.clone()));
        logged.is_some_and(|times| times.iter().any(|time| lived.contains(time)))
    }

    /// Whether the ledger recorded the delivery of the alert, at the moment `before` or earlier.
    fn is_in_ledger(&self, attempt: &Attempt, before: Instant) -> bool {
        let row = &attempt.alert;
        let records_delivery = |note: &faulty_tables::Note| match note.path.as_str() {
            "$batch" => note.body.split("--changeset").any(|part| {
                part.contains(&self.ledger) && part.contains(row) && part.contains(r#""delivered""#)
            }),
            path => {
                path.starts_with(&self.ledger) && path.contains(row) && note.body.contains(r#""delivered""#)
            }
        };
        let since = self.tables.iter().filter(|note| note.asked >= attempt.at && note.at <= before);
        since.filter(|note| note.is_done()).any(records_delivery)
    }

    /// Whether the run recorded the message as in hand, at the moment `before` or earlier. A run writes this
    /// record before it works on the message.
    fn is_noted(&self, get: &Note, before: Instant) -> bool {
        self.tables.iter().any(|note| {
            note.path == self.run_record
                && note.is_done()
                && get.at <= note.asked
                && note.at <= before
                && note.body.contains(&get.message)
        })
    }

    /// Whether the run sent at least one alert of this Get Messages before the run's host died.
    fn is_worked_on(&self, get: &Note, death: &Death) -> bool {
        let of_get = |note: &&Note| note.effect.call() == get.effect.call();
        let batch: BTreeSet<&str> = self.queue.iter().filter(of_get).map(|note| &*note.envelope).collect();
        let lived = |at: Instant| get.at < at && at <= death.at + IN_FLIGHT;
        self.attempts.iter().any(|attempt| lived(attempt.at) && batch.contains(&*attempt.alert))
    }

    /// Returns the reason why the person saw the alert `younger` at the moment `when`, before the alert
    /// `older` of the same conversation. `None` if the evidence shows no reason.
    pub(super) fn why_overtaken(&self, older: &str, younger: &str, when: Instant) -> Option<Overtaken> {
        let before = |alert: &str, moment: Instant| -> Vec<&Note> {
            self.queue.iter().filter(|note| note.envelope == alert && note.at <= moment).collect()
        };
        let younger_get = self.latest_get(younger, when)?;
        let of_older = before(older, when);
        // One run handles all messages of one Get Messages.
        let same_get = of_older.iter().position(|note| note.effect.call() == younger_get.effect.call());
        if same_get.is_some_and(|index| index + 1 < of_older.len()) {
            // One Get Messages returned both alerts. Between this call and `when`, another call concerned the
            // older alert. For example, the run hid the older alert, because this alert had to wait. While
            // the older alert waits, a run must not send the younger alert.
            return None;
        }
        let index = match same_get {
            Some(index) => index.checked_sub(1)?,
            None => of_older.iter().rposition(|note| note.at <= younger_get.at)?,
        };
        let then = of_older[index];
        match then.effect {
            Effect::Dequeued { lost: true, .. } => Some(Overtaken::LostResponse),
            Effect::Dequeued { .. } if then.at - then.asked > PATIENCE => Some(Overtaken::LostResponse),
            Effect::Dequeued { .. } if !self.is_noted(then, when) && self.is_abandoned(then) => {
                Some(Overtaken::LostResponse)
            }
            Effect::Dequeued { .. } => {
                // After a Get Messages, a run first records the messages in hand, and then works on them. A
                // death can prevent this record only if the host dies soon after the Get Messages. So this
                // function ignores a later death.
                let soon = then.at + PATIENCE;
                let is_reason = |death: &&Death| death.at < when && death.at < soon;
                let death = self.death(then.caller, then.asked).filter(is_reason)?;
                // Azurite can carry out a write after the death of the host that sent the write.
                let is_noted = self.is_noted(then, death.at + PATIENCE);
                (!is_noted && !self.is_worked_on(then, death)).then_some(Overtaken::KilledBeforeNote)
            }
            Effect::Hidden { .. } | Effect::Deleted | Effect::Put { .. } => None,
        }
    }

    /// Whether a run ended soon after this Get Messages, because the run had waited too long for a response.
    /// On a busy machine, the wait can be too long even if the proxy has sent the response.
    fn is_abandoned(&self, get: &Note) -> bool {
        let soon = get.at..get.at + PATIENCE;
        self.unanswered.iter().any(|(host, at)| *host == get.caller && soon.contains(at))
    }

    /// Returns all evidence that names these alerts or their queue messages, and all deaths. Each line begins
    /// with the seconds since the moment `when`. The number is negative if the event was earlier.
    pub(super) fn history(&self, alerts: &[&str], when: Instant) -> Vec<String> {
        let seconds = |at: Instant| match at >= when {
            true => (at - when).as_secs_f64(),
            false => -(when - at).as_secs_f64(),
        };
        let mut lines: Vec<(Instant, String)> = Vec::new();
        let of_them = self.queue.iter().filter(|note| alerts.contains(&note.envelope.as_str()));
        let messages: Vec<&str> = of_them.clone().map(|note| note.message.as_str()).collect();
        for Note { at, caller, envelope, message, effect, .. } in of_them {
            lines.push((*at, format!("host {caller} {envelope} {message} {effect:?}")));
        }
        for attempt in self.attempts.iter().filter(|attempt| alerts.contains(&attempt.alert.as_str())) {
            lines.push((attempt.at, format!("Connector {} {:?}", attempt.alert, attempt.scripted)));
        }
        for death in &self.deaths {
            lines.push((death.at, format!("host {} is dead", death.host)));
        }
        let ids: Vec<&str> = messages.iter().chain(alerts).copied().filter(|id| !id.is_empty()).collect();
        let named = |note: &&faulty_tables::Note| ids.iter().any(|id| note.body.contains(id));
        for note in self.tables.iter().filter(named) {
            // If runs hide messages of a conversation on the queue, the record of the conversation's *waiting
            // line* lists these messages. The history shows only this record completely, because the bodies
            // of other calls are long.
            let what = if note.path.contains("'line.") { note.body.as_str() } else { "" };
            let (lost, status) = (if note.lost { ", lost" } else { "" }, note.status);
            lines.push((
                note.at,
                format!("host {} {} {} {status:?}{lost} {what}", note.caller, note.method, note.path),
            ));
        }
        lines.sort();
        lines.into_iter().map(|(at, text)| format!("{:+.3} s {text}", seconds(at))).collect()
    }
}
