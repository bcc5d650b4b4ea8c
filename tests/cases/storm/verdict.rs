//! What became of every alert, from the records of the Connector, of the queue's proxy, and of the host's log.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use end_to_end::faulty_queue::{Note, What};
use end_to_end::queue::envelope_of;
use end_to_end::stage::{Death, Stage};
use serde_json::Value;

use super::channel::{Outcome, Sent};
use super::mixture::{Attempt, Scripted};
use super::{Form, name};

/// How long after the Connector's answer the Delete is surely out, or the mark written: for a machine that is busy.
const SURELY: Duration = Duration::from_secs(2);

/// How long the poller waits for an answer of the queue; not quite, because it counts from earlier on.
const PATIENCE: Duration = Duration::from_millis(4900);

/// How the keys of the marks begin that tell what was sent, and the key of what runs know of each other.
const SENT: &str = "sent:";
const DRAIN: &str = "drain:";

/// Two runs that are handed something within that time may not have read what the other one noted.
const RACE: Duration = Duration::from_millis(250);

/// How long after its death something may arrive that the host had sent. It is not back so soon.
const IN_FLIGHT: Duration = Duration::from_millis(150);

/// Why an alert was shown once more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Doubled {
    /// The answer to the earlier attempt was cut.
    AnswerCut,
    /// The host was killed before it had the answer.
    KilledBeforeAnswer,
    /// The host was killed when it had the answer, before its Delete was out; or that Delete had failed, and the host was
    /// killed before it could mark the alert as sent.
    KilledBeforeDelete,
}

/// Why an alert was overtaken by a younger one of its conversation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Overtaken {
    /// It had been handed out in an answer that was lost.
    LostAnswer,
    /// A run that had just been handed it was killed before it could note that.
    KilledBeforeNote,
    /// Two runs were handed one of them each, in the same moment.
    OtherRun,
    /// A run that was killed had it, and another one that had begun in the same moment had undone its note.
    NoteUndone,
    /// A run had handed it back.
    HandedBack,
}

/// What became of everything.
#[derive(Debug, Default)]
pub(super) struct Verdict {
    alerts: usize,
    attempts: usize,
    shown: usize,
    poisoned: BTreeMap<String, usize>,
    poison_copies: usize,
    shown_and_poisoned: usize,
    uncertain: usize,
    doubled: BTreeMap<Doubled, usize>,
    overtaken: BTreeMap<Overtaken, usize>,
    /// Marks in the stores of killed hosts: alerts that were sent, and whose Delete had failed.
    marks_at_death: usize,
    /// Messages that the notes in those stores name: what runs had in hand.
    noted_at_death: usize,
    /// People's own messages.
    channel: Outcome,
    /// What must not happen, for people.
    violations: Vec<String>,
}

impl Verdict {
    pub(super) fn of(
        form: Form,
        stage: &Stage,
        attempts: &[Attempt],
        notes: &[Note],
        deaths: &[Death],
        sent: &[Sent],
    ) -> Self {
        let poisoned = Poisoned::read(stage);
        let evidence = Evidence::new(stage, attempts, notes, deaths);
        let mut verdict = Self {
            alerts: form.conversations * form.each,
            attempts: attempts.len(),
            poisoned: poisoned.outcomes,
            poison_copies: poisoned.copies,
            marks_at_death: deaths
                .iter()
                .filter_map(|death| Some(marks(death.store.as_ref()?).count()))
                .sum(),
            noted_at_death: deaths.iter().filter_map(|death| Some(noted(death.store.as_ref()?).len())).sum(),
            violations: poisoned.violations,
            ..Self::default()
        };
        for conversation in 0..form.conversations {
            let alerts: Vec<String> = (0..form.each).map(|index| name(conversation, index)).collect();
            for alert in &alerts {
                let all: Vec<&Attempt> = attempts.iter().filter(|attempt| attempt.alert == *alert).collect();
                verdict.look_at(alert, &all, poisoned.alerts.contains(alert), &evidence);
            }
            verdict.look_at_order(&alerts, attempts, &evidence);
        }
        let is_shown =
            |text: &str| attempts.iter().any(|attempt| attempt.alert == text && evidence.is_shown(attempt));
        verdict.channel = Outcome::of(sent, notes, |text| is_shown(text) || poisoned.texts.contains(text));
        verdict.violations.append(&mut verdict.channel.violations);
        // Marks are rare, since the Delete comes first. But runs note whatever they have in hand.
        if verdict.noted_at_death == 0 {
            verdict.violations.push("no killed host's store held a note of what a run had in hand".into());
        }
        verdict
    }

    fn look_at(&mut self, alert: &str, attempts: &[&Attempt], is_poisoned: bool, evidence: &Evidence<'_>) {
        let shown: Vec<&&Attempt> = attempts.iter().filter(|attempt| evidence.is_shown(attempt)).collect();
        self.shown += usize::from(!shown.is_empty());
        self.shown_and_poisoned += usize::from(!shown.is_empty() && is_poisoned);
        let cut = [Scripted::Cut, Scripted::ShownAndCut];
        self.uncertain += attempts.iter().filter(|attempt| cut.contains(&attempt.scripted)).count();
        if shown.is_empty() && !is_poisoned {
            self.violations.push(format!("{alert} is lost: {attempts:#?}"));
        }
        for earlier in shown.iter().rev().skip(1) {
            match evidence.why_doubled(earlier) {
                Some(why) => *self.doubled.entry(why).or_default() += 1,
                None => self.violations.push(format!("{alert} is doubled: {attempts:#?}")),
            }
        }
    }

    fn look_at_order(&mut self, alerts: &[String], attempts: &[Attempt], evidence: &Evidence<'_>) {
        let first_shown = |alert: &String| {
            attempts
                .iter()
                .find(|attempt| attempt.alert == *alert && evidence.is_shown(attempt))
                .map(|attempt| attempt.at)
        };
        let shown: Vec<(&String, Instant)> =
            alerts.iter().filter_map(|alert| Some((alert, first_shown(alert)?))).collect();
        for (index, (older, at)) in shown.iter().enumerate() {
            // The first that overtook it is enough.
            let overtaking =
                shown[index + 1..].iter().filter(|(_, other)| other < at).min_by_key(|(_, at)| *at);
            let Some((younger, when)) = overtaking else { continue };
            match evidence.why_overtaken(older, younger, *when) {
                Some(why) => *self.overtaken.entry(why).or_default() += 1,
                None => self.violations.push(format!(
                    "{younger} overtook {older}: {:#?}",
                    evidence.history(&[older, younger], *when)
                )),
            }
        }
    }

    /// Fails the case if anything happened that must not.
    pub(super) fn check(&self) {
        let shown = self.violations.iter().take(5).cloned().collect::<Vec<_>>().join("\n");
        assert!(self.violations.is_empty(), "{} violations, among them:\n{shown}", self.violations.len());
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "  alerts                {} ({} attempts)", self.alerts, self.attempts)?;
        writeln!(f, "  delivered             {}", self.shown)?;
        writeln!(
            f,
            "  poisoned              {:?}; copies beyond the first {}; shown nevertheless {}",
            self.poisoned, self.poison_copies, self.shown_and_poisoned
        )?;
        writeln!(f, "  attempts cut          {}", self.uncertain)?;
        writeln!(f, "  doubled               {:?}", self.doubled)?;
        let Outcome { sent, sent_again, queued_twice, .. } = &self.channel;
        writeln!(
            f,
            "  people's messages     {sent}; sent again by the channel {sent_again}; queued more than once {queued_twice}"
        )?;
        writeln!(f, "  in stores at death    {} marks, {} notes", self.marks_at_death, self.noted_at_death)?;
        writeln!(f, "  overtaken             {:?}", self.overtaken)?;
        write!(f, "  violations            {}", self.violations.len())
    }
}

type Store = BTreeMap<String, Vec<u8>>;

/// The marks of what was sent.
fn marks(store: &Store) -> impl Iterator<Item = &String> {
    store.keys().filter(|key| key.starts_with(SENT))
}

/// The messages that runs had noted as held.
fn noted(store: &Store) -> BTreeSet<String> {
    let records = store.iter().filter(|(key, _)| key.starts_with(DRAIN));
    let records = records.filter_map(|(_, value)| serde_json::from_slice::<Value>(value).ok());
    let text = |message: &Value| message[0].as_str().map(str::to_owned);
    records
        .flat_map(|record| record["held"].as_array().cloned().unwrap_or_default())
        .flat_map(|run| run["messages"].as_array().cloned().unwrap_or_default())
        .filter_map(|message| text(&message))
        .collect()
}

/// The poison queue.
#[derive(Debug, Default)]
struct Poisoned {
    alerts: BTreeSet<String>,
    texts: BTreeSet<String>,
    outcomes: BTreeMap<String, usize>,
    copies: usize,
    violations: Vec<String>,
}

impl Poisoned {
    fn read(stage: &Stage) -> Self {
        let mut poisoned = Self::default();
        for text in stage.queue.poison().take_all() {
            let envelope = envelope_of(&text).unwrap_or_default();
            poisoned.texts.insert(envelope["text"].as_str().unwrap_or_default().to_owned());
            let failure = &envelope["failure"];
            match (envelope["id"].as_str(), failure["outcome"].as_str(), failure["reason"].as_str()) {
                (Some(id), Some(outcome), Some(_)) => {
                    if poisoned.alerts.insert(id.into()) {
                        *poisoned.outcomes.entry(outcome.into()).or_default() += 1;
                    } else {
                        poisoned.copies += 1;
                    }
                }
                _ => poisoned.violations.push(format!("this is in poison without a reason: {text}")),
            }
        }
        poisoned
    }
}

/// What tells why something happened.
struct Evidence<'a> {
    attempts: &'a [Attempt],
    notes: &'a [Note],
    deaths: &'a [Death],
    /// When the log said that an alert was delivered.
    delivered: BTreeMap<String, Vec<Instant>>,
}

impl<'a> Evidence<'a> {
    fn new(stage: &Stage, attempts: &'a [Attempt], notes: &'a [Note], deaths: &'a [Death]) -> Self {
        let (instant, wall) = (Instant::now(), Utc::now());
        let mut delivered: BTreeMap<String, Vec<Instant>> = BTreeMap::new();
        for line in stage.events("alert.delivered") {
            let text = |field: &str| line[field].as_str().unwrap_or_default().to_owned();
            let time = DateTime::parse_from_rfc3339(&text("time")).expect("a log line has a time");
            let ago = (wall - time.to_utc()).to_std().unwrap_or_default();
            delivered.entry(text("envelope")).or_default().push(instant - ago);
        }
        Self { attempts, notes, deaths, delivered }
    }

    /// The first line of the log that says so after an attempt.
    fn delivered_after(&self, alert: &str, at: Instant) -> Option<Instant> {
        // The log's clock counts milliseconds.
        let from = at - Duration::from_millis(2);
        self.delivered.get(alert)?.iter().copied().filter(|time| *time >= from).min()
    }

    /// Why the poller could not know of an attempt that was shown. `None`: it could.
    fn why_doubled(&self, earlier: &Attempt) -> Option<Doubled> {
        if earlier.scripted == Scripted::ShownAndCut {
            return Some(Doubled::AnswerCut);
        }
        let death = self.death_after(earlier.at)?;
        if !earlier.is_answered(Some(death.at)) {
            return Some(Doubled::KilledBeforeAnswer);
        }
        let is_marked = |store: &Store| marks(store).any(|mark| mark.ends_with(&*earlier.alert));
        // The log's line is written after the Delete, or after the mark if the Delete failed.
        let said = self.delivered_after(&earlier.alert, earlier.at);
        let knew =
            death.store.as_ref().is_some_and(is_marked) || said.is_some_and(|time| time < death.at + SURELY);
        let in_time = earlier.received.answered_at().is_some_and(|answered| death.at < answered + SURELY);
        (!knew && in_time).then_some(Doubled::KilledBeforeDelete)
    }

    /// The death of the host that lived at that moment; or just before it, if something arrives that it had sent.
    fn death_after(&self, moment: Instant) -> Option<&Death> {
        self.deaths.iter().find(|death| death.at + IN_FLIGHT >= moment)
    }

    /// Whether a run was killed before it could note what it was handed: nothing was done about any of it. The call may
    /// have been on its way when the host died.
    fn killed_before_note(&self, call: usize, Note { asked, at: handed_out, .. }: &Note) -> bool {
        let Some(death) = self.death_after(*asked) else { return false };
        let batch = self.notes.iter().filter(|note| note.what.call() == Some(call));
        let batch: BTreeSet<&str> = batch.map(|note| note.envelope.as_str()).collect();
        let lived = |at: Instant| *handed_out < at && at <= death.at + IN_FLIGHT;
        let sent = self.attempts.iter().any(|attempt| lived(attempt.at) && batch.contains(&*attempt.alert));
        let changed = self.notes.iter().any(|note| lived(note.at) && batch.contains(&*note.envelope));
        !sent && !changed
    }

    /// Whether the host died before that moment, and its store had notes of runs, but none of this.
    fn is_note_undone(&self, handed_out: &Note, when: Instant) -> bool {
        let Some(death) = self.death_after(handed_out.asked).filter(|death| death.at < when) else {
            return false;
        };
        let Some(noted) = death.store.as_ref().map(noted) else { return false };
        !noted.is_empty() && !noted.contains(&handed_out.message)
    }

    fn is_shown(&self, attempt: &Attempt) -> bool {
        attempt.is_shown(self.death_after(attempt.at).map(|death| death.at))
    }

    /// Why `younger` was shown while `older` was not, at that moment. `None`: no reason holds.
    fn why_overtaken(&self, older: &str, younger: &str, when: Instant) -> Option<Overtaken> {
        let before = |alert: &str, before: Instant| {
            let notes: Vec<&Note> =
                self.notes.iter().filter(|note| note.envelope == alert && note.at <= before).collect();
            notes
        };
        let taken = *before(younger, when).iter().rev().find(|note| note.what.call().is_some())?;
        let of_older = before(older, when);
        // In one Get means in one run.
        let same_get = of_older.iter().position(|note| note.what.call() == taken.what.call());
        if same_get.is_some_and(|index| index + 1 < of_older.len()) {
            // It had to wait, and the younger one was sent.
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
            What::HandedOut { call, .. } if self.killed_before_note(call, then) => {
                Some(Overtaken::KilledBeforeNote)
            }
            What::HandedOut { .. } if self.is_note_undone(then, when) => Some(Overtaken::NoteUndone),
            What::HandedOut { .. } => {
                let apart = taken.at.saturating_duration_since(then.at);
                (apart < RACE && same_get.is_none()).then_some(Overtaken::OtherRun)
            }
            What::Hidden { seconds: 0 } => Some(Overtaken::HandedBack),
            // Whoever takes something after that has been told, give or take the time for telling.
            What::Hidden { .. } if taken.at < then.at + Duration::from_millis(200) => {
                Some(Overtaken::OtherRun)
            }
            What::Hidden { .. } => {
                // Two runs pushed them behind another at the same time: each put the one that it had at the end of the line.
                let from = of_older[..index].last()?;
                let hands = before(younger, taken.at);
                let elsewhere = hands.windows(2).any(|hand| {
                    hand[0].what.call().is_some_and(|call| from.what.call() != Some(call))
                        && hand[0].at <= then.at
                        && hand[1].at >= from.at
                });
                elsewhere.then_some(Overtaken::OtherRun)
            }
            What::Deleted | What::Put { .. } => None,
        }
    }

    fn history(&self, alerts: &[&str], when: Instant) -> Vec<String> {
        let of_them = self.notes.iter().filter(|note| alerts.contains(&note.envelope.as_str()));
        let moment = |at: Instant| {
            if at >= when {
                format!("+{:.3}", (at - when).as_secs_f64())
            } else {
                format!("-{:.3}", (when - at).as_secs_f64())
            }
        };
        of_them.map(|note| format!("{} s {} {:?}", moment(note.at), note.envelope, note.what)).collect()
    }
}
