//! Evidence about a storm: the notes of the two proxies, the requests at the Connector, the log lines, and
//! conclusions from this evidence. A *death* is the moment at which the case killed a Spin host. An *attempt*
//! is one request to the Connector that delivers an alert.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use end_to_end::faulty_queue::{Note, What};
use end_to_end::faulty_tables;
use end_to_end::stage::{Death, Stage};
use serde_json::Value;

use super::HOSTS;
use super::mixture::{Attempt, Scripted};
use super::verdict::{DeliveredAgain, Overtaken};

/// Within this time after the Connector's response, the run certainly sends the Delete of the queue message,
/// or records the delivery in the ledger. The time is long enough for a busy machine.
const CERTAIN_AFTER: Duration = Duration::from_secs(2);

/// If the response of the queue service takes longer than this, the poller has perhaps stopped waiting. The
/// poller waits 5 s. But the poller starts its clock when it begins the call, and the proxy starts its clock
/// only when the call arrives. So this constant is a little less than 5 s.
const PATIENCE: Duration = Duration::from_millis(4900);

/// The killed host's last calls can arrive up to this long after its death. The host needs more time than
/// this to start again. So every call that arrives later comes from the restarted host.
const IN_FLIGHT: Duration = Duration::from_millis(150);

/// All records of a storm.
pub(super) struct Evidence {
    pub(super) attempts: Vec<Attempt>,
    /// Every note of the queue proxy.
    pub(super) queue: Vec<Note>,
    /// Every note of the table proxy.
    pub(super) tables: Vec<faulty_tables::Note>,
    pub(super) deaths: Vec<Death>,
    /// The times at which a host logged that an alert was delivered, by the host's number and the envelope's
    /// id.
    delivered: BTreeMap<(usize, String), Vec<Instant>>,
    /// For each run that ended because the queue service did not answer in time: the number of the host, and
    /// the time of the log line.
    unanswered: Vec<(usize, Instant)>,
    /// The path of the record in which a run notes its messages in hand.
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

    /// Finds the latest Get Messages that returned the alert, at the moment `before` or earlier. A Get whose
    /// response was lost does not count.
    fn handed_out(&self, alert: &str, before: Instant) -> Option<&Note> {
        let answered = |note: &&Note| matches!(note.what, What::HandedOut { lost: false, .. });
        self.queue.iter().rev().filter(answered).find(|note| note.envelope == alert && note.at <= before)
    }

    /// Finds the host that made this attempt, and returns the first death of this host after the attempt.
    pub(super) fn death_after(&self, attempt: &Attempt) -> Option<&Death> {
        self.death(self.handed_out(&attempt.alert, attempt.at)?.caller, attempt.at)
    }

    /// The first death of a host after a moment. A death just before the moment counts, too, because the last
    /// calls of the host can arrive after the death.
    fn death(&self, host: usize, moment: Instant) -> Option<&Death> {
        self.deaths.iter().find(|death| death.host == host && death.at + IN_FLIGHT >= moment)
    }

    pub(super) fn is_shown(&self, attempt: &Attempt) -> bool {
        attempt.is_shown(self.death_after(attempt).map(|death| death.at))
    }

    /// The reason why the poller made the attempt `later`, although the attempt `earlier` had shown the alert
    /// to the person. `None` if the poller could have known that the alert was shown.
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

    /// Whether the host logged the delivery before it died. A run writes the log line `alert.delivered` after
    /// the Delete, or after the ledger has recorded the delivery.
    fn is_delivered_logged(&self, death: &Death, attempt: &Attempt) -> bool {
        // Log lines have whole milliseconds, so the time of a line can be a little earlier than the event.
        let lived =
            attempt.at.checked_sub(Duration::from_millis(2)).unwrap_or(attempt.at)..death.at + CERTAIN_AFTER;
        let logged = self.delivered.get(&(death.host, attempt.alert.clone()));
        logged.is_some_and(|times| times.iter().any(|time| lived.contains(time)))
    }

    /// Whether the ledger had recorded the delivery of the alert at the moment `before`.
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

    /// Whether the record of the run lock had listed the message as in hand at the moment `before`. A run
    /// writes this list before it works on the message.
    fn is_noted(&self, handed_out: &Note, before: Instant) -> bool {
        self.tables.iter().any(|note| {
            note.path == self.run_record
                && note.is_done()
                && handed_out.at <= note.asked
                && note.at <= before
                && note.body.contains(&handed_out.message)
        })
    }

    /// Whether the run sent at least one alert before the run's host died. Only alerts that this Get Messages
    /// returned count.
    fn is_worked_on(&self, handed_out: &Note, death: &Death) -> bool {
        let of_get = |note: &&Note| note.what.call() == handed_out.what.call();
        let batch: BTreeSet<&str> = self.queue.iter().filter(of_get).map(|note| &*note.envelope).collect();
        let lived = |at: Instant| handed_out.at < at && at <= death.at + IN_FLIGHT;
        self.attempts.iter().any(|attempt| lived(attempt.at) && batch.contains(&*attempt.alert))
    }

    /// The reason why the person saw the alert `younger` at the moment `when`, although the person had not
    /// seen the alert `older` of the same conversation. `None` if the reason is not known.
    pub(super) fn why_overtaken(&self, older: &str, younger: &str, when: Instant) -> Option<Overtaken> {
        let before = |alert: &str, moment: Instant| -> Vec<&Note> {
            self.queue.iter().filter(|note| note.envelope == alert && note.at <= moment).collect()
        };
        let leased = self.handed_out(younger, when)?;
        let of_older = before(older, when);
        // One run handles all messages of one Get Messages.
        let same_get = of_older.iter().position(|note| note.what.call() == leased.what.call());
        if same_get.is_some_and(|index| index + 1 < of_older.len()) {
            // The run knew both alerts, and sent the younger alert while the older alert had to wait.
            return None;
        }
        let index = match same_get {
            Some(index) => index.checked_sub(1)?,
            None => of_older.iter().rposition(|note| note.at <= leased.at)?,
        };
        let then = of_older[index];
        match then.what {
            What::HandedOut { lost: true, .. } => Some(Overtaken::LostResponse),
            What::HandedOut { .. } if then.at - then.asked > PATIENCE => Some(Overtaken::LostResponse),
            What::HandedOut { .. } if !self.is_noted(then, when) && self.is_abandoned(then) => {
                Some(Overtaken::LostResponse)
            }
            What::HandedOut { .. } => {
                // Right after a Get, the run records the messages in hand. Then the run works on them. A
                // death can prevent this record only if the host died soon after the Get. So a later death
                // does not explain why the younger alert came first.
                let soon = then.at + PATIENCE;
                let is_reason = |death: &&Death| death.at < when && death.at < soon;
                let death = self.death(then.caller, then.asked).filter(is_reason)?;
                // Azurite can carry out a write after the death of the host that sent the write.
                let is_noted = self.is_noted(then, death.at + PATIENCE);
                (!is_noted && !self.is_worked_on(then, death)).then_some(Overtaken::KilledBeforeNote)
            }
            What::Hidden { .. } | What::Deleted | What::Put { .. } => None,
        }
    }

    /// Whether a run ended soon after this Get Messages, because the run had waited too long for a response.
    /// On a busy machine, this can happen although the proxy has sent the response.
    fn is_abandoned(&self, handed_out: &Note) -> bool {
        let soon = handed_out.at..handed_out.at + PATIENCE;
        self.unanswered.iter().any(|(host, at)| *host == handed_out.caller && soon.contains(at))
    }

    /// All evidence that names these alerts or the queue messages of these alerts, as lines for people. Each
    /// line begins with the seconds since the moment `when`; earlier lines have a negative number.
    pub(super) fn history(&self, alerts: &[&str], when: Instant) -> Vec<String> {
        let seconds = |at: Instant| match at >= when {
            true => (at - when).as_secs_f64(),
            false => -(when - at).as_secs_f64(),
        };
        let mut lines: Vec<(Instant, String)> = Vec::new();
        let of_them = self.queue.iter().filter(|note| alerts.contains(&note.envelope.as_str()));
        let messages: Vec<&str> = of_them.clone().map(|note| note.message.as_str()).collect();
        for Note { at, caller, envelope, message, what, .. } in of_them {
            lines.push((*at, format!("host {caller} {envelope} {message} {what:?}")));
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
            // The record of a waiting line shows which alerts wait. The other bodies are left out, because
            // they are long.
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
