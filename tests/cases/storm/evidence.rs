//! What the proxies, the Connector and the logs recorded, and what follows from it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use end_to_end::faulty_queue::{Note, What};
use end_to_end::faulty_tables;
use end_to_end::stage::{Death, Stage};

use super::HOSTS;
use super::mixture::{Attempt, Scripted};
use super::verdict::{Doubled, Overtaken};

/// How long after the Connector's answer the Delete is surely out, or the ledger told: for a machine that is busy.
const SURELY: Duration = Duration::from_secs(2);

/// How long the poller waits for an answer of the queue; not quite, because it counts from earlier on.
const PATIENCE: Duration = Duration::from_millis(4900);

/// How long after its death something may arrive that the host had sent. The host is not back so soon.
const IN_FLIGHT: Duration = Duration::from_millis(150);

/// All records of a storm.
pub(super) struct Evidence {
    pub(super) attempts: Vec<Attempt>,
    /// What happened to messages.
    pub(super) queue: Vec<Note>,
    /// Every call of the table service.
    pub(super) tables: Vec<faulty_tables::Note>,
    pub(super) deaths: Vec<Death>,
    /// When a host's log said that an alert was delivered.
    delivered: BTreeMap<(usize, String), Vec<Instant>>,
    /// The path of the record in which a run notes what it has in hand.
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
        let mut delivered: BTreeMap<_, Vec<Instant>> = BTreeMap::new();
        for host in 0..HOSTS {
            for line in stage.events_of(host, "alert.delivered") {
                let text = |field: &str| line[field].as_str().unwrap_or_default().to_owned();
                let time = DateTime::parse_from_rfc3339(&text("time")).expect("a log line has a time");
                let ago = (wall - time.to_utc()).to_std().unwrap_or_default();
                delivered.entry((host, text("envelope"))).or_default().push(instant - ago);
            }
        }
        let prefix = &stage.table_prefix;
        let run_record = format!("{prefix}runs(PartitionKey='{}',RowKey='run')", stage.queue.name());
        let ledger = format!("{prefix}ledger");
        Self { attempts, queue, tables, deaths, delivered, run_record, ledger }
    }

    /// Writes of the run's record that came too late: another run had changed it.
    pub(super) fn refused_by_etag(&self) -> usize {
        let of_run = self.tables.iter().filter(|note| note.path == self.run_record);
        of_run.filter(|note| note.status == Some(412)).count()
    }

    /// The last hand-out of an alert before a moment that somebody heard of.
    fn handed_out(&self, alert: &str, before: Instant) -> Option<&Note> {
        let heard = |note: &&Note| matches!(note.what, What::HandedOut { lost: false, .. });
        self.queue.iter().rev().filter(heard).find(|note| note.envelope == alert && note.at <= before)
    }

    /// The death of the host that made an attempt.
    fn death_after(&self, attempt: &Attempt) -> Option<&Death> {
        self.death(self.handed_out(&attempt.alert, attempt.at)?.caller, attempt.at)
    }

    /// The first death of a host after a moment; or just before it, because something may arrive that it had sent.
    fn death(&self, host: usize, moment: Instant) -> Option<&Death> {
        self.deaths.iter().find(|death| death.host == host && death.at + IN_FLIGHT >= moment)
    }

    pub(super) fn is_shown(&self, attempt: &Attempt) -> bool {
        attempt.is_shown(self.death_after(attempt).map(|death| death.at))
    }

    /// Why the poller could not know of an attempt that was shown, when `later` was made. `None`: it could.
    pub(super) fn why_doubled(&self, earlier: &Attempt, later: &Attempt) -> Option<Doubled> {
        if earlier.scripted == Scripted::ShownAndCut {
            return Some(Doubled::AnswerCut);
        }
        let death = self.death_after(earlier)?;
        if !earlier.is_answered(Some(death.at)) {
            return Some(Doubled::KilledBeforeAnswer);
        }
        let knew = self.is_delivered_logged(death, earlier) || self.is_ledger_told(earlier, later.at);
        let in_time = earlier.received.answered_at().is_some_and(|answered| death.at < answered + SURELY);
        (!knew && in_time).then_some(Doubled::KilledBeforeDelete)
    }

    /// Whether the host logged the delivery before it died. It does so after the Delete, or when the ledger was told.
    fn is_delivered_logged(&self, death: &Death, attempt: &Attempt) -> bool {
        // The log's clock counts milliseconds.
        let lived = attempt.at.checked_sub(Duration::from_millis(2)).unwrap_or(attempt.at)..death.at + SURELY;
        let logged = self.delivered.get(&(death.host, attempt.alert.clone()));
        logged.is_some_and(|times| times.iter().any(|time| lived.contains(time)))
    }

    /// Whether the ledger had been told by then that the alert was delivered.
    fn is_ledger_told(&self, attempt: &Attempt, before: Instant) -> bool {
        let row = format!("other.{}", attempt.alert);
        let tells = |note: &faulty_tables::Note| match note.path.as_str() {
            "$batch" => note.body.split("--changeset").any(|part| {
                part.contains(&self.ledger) && part.contains(&row) && part.contains(r#""delivered""#)
            }),
            path => {
                path.starts_with(&self.ledger) && path.contains(&row) && note.body.contains(r#""delivered""#)
            }
        };
        let since = self.tables.iter().filter(|note| note.asked >= attempt.at && note.at <= before);
        since.filter(|note| note.is_done()).any(tells)
    }

    /// Whether the table knew by then that a message was in hand: a run writes that before it works on the message.
    fn is_noted(&self, handed_out: &Note, before: Instant) -> bool {
        self.tables.iter().any(|note| {
            note.path == self.run_record
                && note.is_done()
                && handed_out.at <= note.asked
                && note.at <= before
                && note.body.contains(&handed_out.message)
        })
    }

    /// Whether a run sent anything of what one Get handed out before its host died.
    fn is_worked_on(&self, handed_out: &Note, death: &Death) -> bool {
        let of_get = |note: &&Note| note.what.call() == handed_out.what.call();
        let batch: BTreeSet<&str> = self.queue.iter().filter(of_get).map(|note| &*note.envelope).collect();
        let lived = |at: Instant| handed_out.at < at && at <= death.at + IN_FLIGHT;
        self.attempts.iter().any(|attempt| lived(attempt.at) && batch.contains(&*attempt.alert))
    }

    /// Why `younger` was shown while `older` was not, at that moment. `None`: no reason holds.
    pub(super) fn why_overtaken(&self, older: &str, younger: &str, when: Instant) -> Option<Overtaken> {
        let before = |alert: &str, moment: Instant| -> Vec<&Note> {
            self.queue.iter().filter(|note| note.envelope == alert && note.at <= moment).collect()
        };
        let taken = self.handed_out(younger, when)?;
        let of_older = before(older, when);
        // In one Get means in one run.
        let same_get = of_older.iter().position(|note| note.what.call() == taken.what.call());
        if same_get.is_some_and(|index| index + 1 < of_older.len()) {
            // The older one had to wait, and the younger one was sent.
            return None;
        }
        let index = match same_get {
            Some(index) => index.checked_sub(1)?,
            None => of_older.iter().rposition(|note| note.at <= taken.at)?,
        };
        let then = of_older[index];
        match then.what {
            What::HandedOut { lost: true, .. } => Some(Overtaken::LostAnswer),
            What::HandedOut { .. } if then.at - then.asked > PATIENCE => Some(Overtaken::LostAnswer),
            What::HandedOut { .. } => {
                // A run that lives tells the table at once, or works on none of the messages.
                let soon = then.at + PATIENCE;
                let is_reason = |death: &&Death| death.at < when && death.at < soon;
                let death = self.death(then.caller, then.asked).filter(is_reason)?;
                // A write that the host had sent may be done after its death.
                let is_noted = self.is_noted(then, death.at + PATIENCE);
                (!is_noted && !self.is_worked_on(then, death)).then_some(Overtaken::KilledBeforeNote)
            }
            What::Hidden { .. } | What::Deleted | What::Put { .. } => None,
        }
    }

    /// Everything about these alerts and the run's record, for people: in seconds before and after a moment.
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
            // A line tells who waits; the other bodies are long.
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
