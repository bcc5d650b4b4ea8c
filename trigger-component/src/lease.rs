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
    /// The record as this run wrote it last, and what that says without what this run holds: while it stands there, nobody
    /// has to read it.
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
mod tests {
    use platform::testing::{FakeHost, run};

    use super::*;
    use crate::hold::Age;

    fn lease(host: &FakeHost, run: &str) -> RunLease {
        RunLease::new("q", run.into(), host)
    }

    fn taken(id: &str) -> Taken {
        Taken { id: id.to_owned().into(), receipt: "r".to_owned().into(), lane: "x".into(), age: Age(0, 0) }
    }

    fn take(host: &FakeHost, lease: &mut RunLease, ids: &[&str]) {
        run(lease.take(host, ids.iter().map(|id| taken(id)).collect()));
    }

    /// Which messages other runs hold, as a new run reads it.
    fn told(host: &FakeHost) -> Vec<(String, Vec<String>)> {
        let mut new = lease(host, "new");
        run(new.holder(host));
        let ids = |custody: &Custody| custody.messages.iter().map(|taken| taken.id.to_string()).collect();
        new.others().iter().map(|custody| (custody.run.clone(), ids(custody))).collect()
    }

    #[test]
    fn it_keeps_others_out_until_it_lapses_or_is_released() {
        let host = FakeHost::default();
        let (mut ours, mut theirs) = (lease(&host, "a"), lease(&host, "b"));
        assert_eq!(run(theirs.holder(&host)), None);
        run(ours.renew(&host));
        run(ours.release(&host));
        assert!(host.store.borrow().is_empty(), "who holds nothing writes nothing");
        take(&host, &mut ours, &["m1"]);
        assert_eq!(run(ours.holder(&host)), None);
        assert_eq!(run(theirs.holder(&host)), Some(Busy::AnotherRun));
        host.elapsed.set(Duration::from_secs(4));
        run(ours.renew(&host));
        host.elapsed.set(Duration::from_secs(8));
        assert_eq!(run(theirs.holder(&host)), Some(Busy::AnotherRun), "it was renewed");
        host.elapsed.set(Duration::from_secs(10));
        assert_eq!(run(theirs.holder(&host)), None, "a killed run stops nobody for long");
        run(ours.renew(&host));
        run(ours.release(&host));
        assert!(host.store.borrow().is_empty());
    }

    #[test]
    fn of_runs_that_are_called_in_the_same_moment_one_has_the_lease() {
        let host = FakeHost::default();
        let (mut first, mut second) = (lease(&host, "a"), lease(&host, "b"));
        let nobody = host.store.borrow().clone();
        assert!(run(first.announce(&host)));
        assert!(!run(second.announce(&host)), "the other one has it");
        // One that had looked before that, and writes after it.
        let with_first = host.store.replace(nobody);
        let mut third = lease(&host, "c");
        assert!(run(third.announce(&host)));
        assert!(!run(first.announce(&host)), "the last one to write has it");
        assert_ne!(*host.store.borrow(), with_first);
    }

    #[test]
    fn lease_that_another_run_put_back_is_given_up_once_more() {
        let host = FakeHost::default();
        let (mut ours, mut theirs) = (lease(&host, "a"), lease(&host, "b"));
        take(&host, &mut ours, &["m1"]);
        let with_our_lease = host.store.borrow().clone();
        run(ours.release(&host));
        // The other run had read the record before.
        host.store.replace(with_our_lease);
        assert_eq!(run(theirs.holder(&host)), Some(Busy::AnotherRun));
        run(ours.make_sure_it_is_released(&host));
        assert_eq!(run(theirs.holder(&host)), None);
        assert!(host.store.borrow().is_empty());
    }

    #[test]
    fn it_is_renewed_when_that_is_due() {
        let host = FakeHost::default();
        let mut ours = lease(&host, "a");
        assert_eq!(ours.next_renewal(), None);
        take(&host, &mut ours, &["m1"]);
        let writes = host.writes.get();
        host.elapsed.set(Duration::from_millis(20));
        run(ours.renew(&host));
        assert_eq!(host.writes.get(), writes, "it stands there");
        host.elapsed.set(Duration::from_millis(1999));
        run(ours.renew(&host));
        assert_eq!((host.writes.get(), ours.next_renewal()), (writes, Some(Duration::from_secs(2))));
        host.elapsed.set(Duration::from_secs(2));
        run(ours.renew(&host));
        assert_eq!(host.writes.get(), writes + 1);
    }

    #[test]
    fn what_stops_a_run_keeps_every_run_away_for_a_while() {
        let no_token = |seconds: Option<u64>| Stop::NoToken { retry_after: seconds.map(Duration::from_secs) };
        for (stop, busy, seconds) in [
            (Stop::CredentialsRefused, Busy::CredentialsRefused, 30),
            (no_token(None), Busy::NoToken, 10),
            (no_token(Some(3)), Busy::NoToken, 3),
            (no_token(Some(86_400)), Busy::NoToken, 30),
        ] {
            let host = FakeHost::default();
            let mut stopped = lease(&host, "a");
            take(&host, &mut stopped, &["m1"]);
            run(stopped.pause(&host, stop));
            take(&host, &mut stopped, &["m2"]);
            run(stopped.release(&host));
            host.elapsed.set(Duration::from_secs(seconds - 1));
            assert_eq!(run(lease(&host, "b").holder(&host)), Some(busy), "{stop:?}");
            host.elapsed.set(Duration::from_secs(seconds + 1));
            assert_eq!(run(lease(&host, "b").holder(&host)), None, "{stop:?}");
            assert_eq!(told(&host), [], "{stop:?}: it holds nothing any more");
        }
    }

    #[test]
    fn runs_tell_what_they_hold() {
        let host = FakeHost::default();
        let (mut a, mut b) = (lease(&host, "a"), lease(&host, "b"));
        take(&host, &mut a, &["m1", "m2"]);
        take(&host, &mut b, &["m3"]);
        let held =
            |run: &str, ids: &[&str]| (run.to_owned(), ids.iter().map(|id| (*id).to_owned()).collect());
        assert_eq!(told(&host), [held("a", &["m1", "m2"]), held("b", &["m3"])]);
        a.let_go(&"m1".to_owned().into());
        take(&host, &mut a, &["m4"]);
        assert_eq!(told(&host), [held("b", &["m3"]), held("a", &["m2", "m4"])]);
        run(b.release(&host));
        assert_eq!(told(&host), [held("a", &["m2", "m4"])], "and a's lease stands");
        assert_eq!(run(b.holder(&host)), Some(Busy::AnotherRun));
    }

    #[test]
    fn what_another_run_undid_is_told_again() {
        let host = FakeHost::default();
        let (mut a, mut b) = (lease(&host, "a"), lease(&host, "b"));
        let before = host.store.borrow().clone();
        take(&host, &mut a, &["m1"]);
        // It had read before that, and writes after it.
        host.store.replace(before);
        take(&host, &mut b, &["m2"]);
        host.elapsed.set(Duration::from_millis(20));
        run(a.renew(&host));
        run(b.renew(&host));
        assert_eq!(told(&host).into_iter().map(|(run, _)| run).collect::<Vec<_>>(), ["b", "a"]);
    }

    #[test]
    fn what_a_killed_run_held_is_handed_back_once() {
        let host = FakeHost::default();
        take(&host, &mut lease(&host, "killed"), &["m1"]);
        host.elapsed.set(Duration::from_secs(29));
        let mut next = lease(&host, "next");
        assert_eq!(run(next.holder(&host)), None);
        assert!(next.take_ended(&host).is_empty(), "it may live");
        host.elapsed.set(Duration::from_secs(30));
        let runs = |custodies: Vec<Custody>| custodies.into_iter().map(|one| one.run).collect::<Vec<_>>();
        assert_eq!(runs(next.take_ended(&host)), ["killed"]);
        assert!(next.take_ended(&host).is_empty(), "that goes on already");
        assert_eq!(next.others().len(), 1, "and its conversations wait until it is done");
        run(next.is_handed_back(&host, "killed".into()));
        assert!(next.others().is_empty() && host.store.borrow().is_empty());
    }

    #[test]
    fn a_record_that_makes_no_sense_stops_nobody() {
        let host = FakeHost::default();
        for record in ["", "{}", "[1]", r#"{"run":"x"}"#, r#"{"run":"x","untilMilliseconds":9999999999999}"#]
        {
            host.store.borrow_mut().insert("drain:q".into(), record.into());
            assert_eq!(run(lease(&host, "b").holder(&host)), None, "{record}");
        }
    }
}
