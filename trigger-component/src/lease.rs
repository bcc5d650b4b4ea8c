//! A soft lease, so that overlapping runs do not pile up: cron starts a run every second, also while one is at work. Its
//! record tells as well what each run holds.
//!
//! Key-value has no compare-and-swap, so two runs can hold it at once. That costs speed, never correctness: what keeps
//! them apart is the queue's visibility time-out.

use std::time::Duration;

use envelope::{LONGEST_HOLD, run_record_key};
use platform::{Clock, Host, Level};
use serde_json::json;
use storage_queue::MessageId;

use crate::custody::{Custody, Taken};
use crate::disposition::Stop;
use crate::run_record::{Busy, Record};

/// A run that was killed stops the others for no longer than this.
const TERM: Duration = Duration::from_secs(5);
const RENEW_AFTER: Duration = Duration::from_secs(2);
/// Runs that begin in the same moment undo what one another tell: a look after that time finds out, and one at once.
const CONFIRM_AFTER: Duration = Duration::from_millis(20);
/// By so much at most a look is later, so that those runs do not look in the same moment again.
const CONFIRM_LATER_MILLISECONDS: u64 = 20;
/// No more often: a store that shows late what was written would be written to without end.
const TELL_AT_MOST: u32 = 2;
/// After credentials were refused: trying every second would only fill the log.
const CREDENTIALS_PAUSE: Duration = Duration::from_secs(30);
/// After the login host gave no token, unless it says itself how long to wait.
const NO_TOKEN_PAUSE: Duration = Duration::from_secs(10);

/// The lease of one run, and what it and others hold.
#[derive(Debug)]
pub(crate) struct RunLease {
    key: String,
    run: String,
    since_milliseconds: i64,
    renewed_at: Option<Duration>,
    /// When it has to be looked whether what was told last stands there; not any more, once it was seen.
    confirm_at: Option<Duration>,
    /// How often this run has told what it holds.
    edition: u64,
    /// Whether the log knows that the store does not take it.
    has_complained: bool,
    /// Whether another run has taken the lease meanwhile, or this one has given it up for a pause.
    lost: bool,
    /// The record as this run wrote it last, as bytes and as read, without this run's own messages. If the store still holds
    /// these bytes, the run does not parse them again.
    written: Option<(Vec<u8>, Record)>,
    /// What this run holds.
    held: Vec<Taken>,
    /// What others hold, as they had told when the record was read last.
    others: Vec<Custody>,
    /// Runs whose messages are handed back, or are being handed back.
    handing_back: Vec<String>,
    handed_back: Vec<String>,
}

impl RunLease {
    /// The lease on a queue's drain. Nothing is written before [`RunLease::take`] or [`RunLease::announce`]: a tick that
    /// finds an empty queue costs one read.
    pub(crate) fn new(queue: &str, run: String, clock: &impl Clock) -> Self {
        Self {
            key: run_record_key(queue),
            run,
            since_milliseconds: clock.now().timestamp_millis(),
            renewed_at: None,
            confirm_at: None,
            edition: 0,
            has_complained: false,
            lost: false,
            written: None,
            held: Vec::new(),
            others: Vec::new(),
            handing_back: Vec::new(),
            handed_back: Vec::new(),
        }
    }

    /// Who holds it, if it is somebody else.
    pub(crate) async fn holder(&mut self, host: &impl Host) -> Option<Busy> {
        let record = self.read(host).await;
        if record.until_milliseconds <= host.now().timestamp_millis() || record.run == self.run {
            return None;
        }
        if record.run.is_empty() { record.why } else { Some(Busy::AnotherRun) }
    }

    /// Takes the lease, and tells that this run holds these messages.
    pub(crate) async fn take(&mut self, host: &impl Host, messages: Vec<Taken>) {
        self.held.extend(messages);
        for _ in 0..TELL_AT_MOST {
            self.tell(host).await;
            if self.held.is_empty() || self.stands_there(host).await {
                break;
            }
        }
        let later = Duration::from_millis(host.up_to(CONFIRM_LATER_MILLISECONDS));
        self.confirm_at = Some(host.monotonic() + CONFIRM_AFTER + later);
    }

    /// Takes the lease before anything was handed out: a run that was called because there is something to do keeps away
    /// those that are called for the same. Says whether it has the lease now: of runs that begin in the same moment, the last
    /// one to write has it. Where the store fails, every run goes on.
    pub(crate) async fn announce(&mut self, host: &impl Host) -> bool {
        self.tell(host).await;
        let record = self.read(host).await;
        record.run.is_empty() || record.run == self.run
    }

    /// Whether this run has taken the lease and not given it up again.
    pub(crate) fn is_taken(&self) -> bool {
        self.renewed_at.is_some()
    }

    /// Whether this run has no lease any more: it fetches nothing more, so that there is one at a time.
    pub(crate) fn is_lost(&self) -> bool {
        self.lost
    }

    /// This run has dealt with the message, or hidden it. Told when the lease is renewed.
    pub(crate) fn let_go(&mut self, message: &MessageId) {
        self.held.retain(|taken| taken.id != *message);
    }

    /// Takes the new receipt of a message that this run holds on to. Told when the lease is renewed.
    pub(crate) fn keep(&mut self, taken: Taken) {
        self.let_go(&taken.id);
        self.held.push(taken);
    }

    /// Renews the lease, if that is due, or tells again what others have undone.
    pub(crate) async fn renew(&mut self, host: &impl Host) {
        if self.is_due(host) && self.confirm_at.take().is_some() && !self.stands_there(host).await {
            self.tell(host).await;
        }
        if self.is_due(host) {
            self.tell(host).await;
        }
    }

    /// Whether what this run told last is still told.
    async fn stands_there(&mut self, host: &impl Host) -> bool {
        let told = host.get(&self.key).await.ok().flatten();
        if told.is_some() && told.as_ref() == self.written.as_ref().map(|(bytes, _)| bytes) {
            return true;
        }
        let record = self.understand(host, told);
        record.custodies.iter().any(|custody| custody.run == self.run && custody.edition == self.edition)
    }

    fn is_due(&self, clock: &impl Clock) -> bool {
        self.next_renewal().is_some_and(|due| due <= clock.monotonic())
    }

    /// When that is due, on the monotonic clock: as long as something is held.
    pub(crate) fn next_renewal(&self) -> Option<Duration> {
        let renewed_at = self.renewed_at.filter(|_| !self.held.is_empty())?;
        Some(self.confirm_at.unwrap_or(renewed_at + RENEW_AFTER))
    }

    /// Gives it up, if it was taken.
    pub(crate) async fn release(&mut self, host: &impl Host) {
        if self.renewed_at.is_some() {
            self.held.clear();
            let mut record = self.read(host).await;
            // Another run that has taken it over meanwhile keeps it.
            if record.run == self.run {
                record = Record { custodies: record.custodies, ..Record::default() };
            }
            self.write(host, record).await;
            (self.renewed_at, self.confirm_at) = (None, None);
        }
    }

    /// Gives it up once more, if another run has put it back: that one had read the record before this run gave it up, and
    /// written it afterwards. Left so, it would keep everybody away for as long as a killed run's.
    pub(crate) async fn make_sure_it_is_released(&mut self, host: &impl Host) {
        let record = self.read(host).await;
        if record.run == self.run {
            self.write(host, Record { custodies: record.custodies, ..Record::default() }).await;
        }
    }

    /// Keeps every run away for a while, because nothing can be sent.
    pub(crate) async fn pause(&mut self, host: &impl Host, stop: Stop) {
        let (why, term) = match stop {
            Stop::CredentialsRefused => (Busy::CredentialsRefused, CREDENTIALS_PAUSE),
            Stop::NoToken { retry_after } => {
                (Busy::NoToken, retry_after.unwrap_or(NO_TOKEN_PAUSE).min(LONGEST_HOLD))
            }
        };
        let until_milliseconds = (host.now() + term).timestamp_millis();
        // What a Get under way still hands out is held without it.
        self.lost = true;
        let custodies = self.read(host).await.custodies;
        self.write(host, Record { run: String::new(), until_milliseconds, why: Some(why), custodies }).await;
    }

    /// What other runs hold.
    pub(crate) fn others(&self) -> &[Custody] {
        &self.others
    }

    /// What runs held that must be over. Each is given out once, to be handed back.
    pub(crate) fn take_ended(&mut self, clock: &impl Clock) -> Vec<Custody> {
        let over = self.others.iter().filter(|custody| custody.is_over(clock));
        let over: Vec<Custody> =
            over.filter(|custody| !self.handing_back.contains(&custody.run)).cloned().collect();
        self.handing_back.extend(over.iter().map(|custody| custody.run.clone()));
        over
    }

    /// Everything that a run held is on the queue again, or was dealt with: nobody needs to know any more.
    pub(crate) async fn is_handed_back(&mut self, host: &impl Host, run: String) {
        self.handed_back.push(run);
        let record = self.read(host).await;
        self.write(host, record).await;
    }

    async fn tell(&mut self, host: &impl Host) {
        self.renewed_at = Some(host.monotonic());
        self.edition += 1;
        let mut record = self.read(host).await;
        if !self.lost {
            let until_milliseconds = (host.now() + TERM).timestamp_millis();
            record = Record { run: self.run.clone(), until_milliseconds, why: None, ..record };
        }
        self.write(host, record).await;
    }

    /// What is told now. Two that change it in the same moment undo one another: without a lease runs overlap, and stay safe.
    async fn read(&mut self, host: &impl Host) -> Record {
        let told = host.get(&self.key).await.ok().flatten();
        self.understand(host, told)
    }

    fn understand(&mut self, clock: &impl Clock, told: Option<Vec<u8>>) -> Record {
        let mut record = match (&self.written, told) {
            (Some((bytes, record)), Some(told)) if *bytes == told => record.clone(),
            (_, told) => {
                let value = told.and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default();
                Record::from_json(&value, clock)
            }
        };
        record.custodies.retain(|custody| !self.handed_back.contains(&custody.run));
        let others = record.custodies.iter().filter(|custody| custody.run != self.run);
        self.others = others.cloned().collect();
        let is_live = record.until_milliseconds > clock.now().timestamp_millis();
        self.lost |= self.renewed_at.is_some() && is_live && !record.run.is_empty() && record.run != self.run;
        record
    }

    /// Tells it, with what this run holds.
    async fn write(&mut self, host: &impl Host, mut record: Record) {
        record.custodies.retain(|custody| custody.run != self.run);
        let of_others = record.clone();
        if !self.held.is_empty() {
            record.custodies.push(Custody {
                run: self.run.clone(),
                edition: self.edition,
                since_milliseconds: self.since_milliseconds,
                messages: self.held.clone(),
            });
        }
        let is_over = record.until_milliseconds <= host.now().timestamp_millis();
        self.written = None;
        let result = if is_over && record.custodies.is_empty() {
            host.delete(&self.key).await
        } else {
            let bytes = record.to_bytes();
            let result = host.set(&self.key, &bytes).await;
            self.written = Some((bytes, of_others));
            result
        };
        if let Err(error) = result
            && !std::mem::replace(&mut self.has_complained, true)
        {
            // Order then holds within this run only, and others may work beside it.
            let fields = json!({"run": self.run, "reason": error.to_string()});
            host.event(Level::Warn, "run.not-noted", fields);
        }
    }
}

#[cfg(test)]
mod tests;
