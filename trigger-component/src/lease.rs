//! A soft lease, so that overlapping runs do not pile up: cron starts a run every second, also while one is at work.
//!
//! Key-value has no compare-and-swap, so two runs can hold it at once. That costs speed, never correctness: what keeps
//! them apart is the queue's visibility time-out.

use std::time::Duration;

use platform::{Clock, Host, KeyValue};
use serde_json::{Value, json};

use crate::disposition::Stop;

/// A run that was killed stops the others for no longer than this.
const TERM: Duration = Duration::from_secs(5);
const RENEW_AFTER: Duration = Duration::from_secs(2);
/// After credentials were refused: trying every second would only fill the log.
const CREDENTIALS_PAUSE: Duration = Duration::from_secs(30);
/// After the login host gave no token, unless it says itself how long to wait.
const NO_TOKEN_PAUSE: Duration = Duration::from_secs(10);
/// No pause is longer.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// Why a run leaves the work to others, or for later.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Busy {
    /// Another run is at work.
    AnotherRun,
    /// The bot's credentials were refused a moment ago.
    CredentialsRefused,
    /// The login host gave no token a moment ago.
    NoToken,
}

impl Busy {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::AnotherRun => "anotherRun",
            Self::CredentialsRefused => "credentialsRefused",
            Self::NoToken => "noToken",
        }
    }
}

/// The lease of one run.
#[derive(Debug)]
pub(crate) struct RunLease {
    key: String,
    run: String,
    renewed_at: Option<Duration>,
}

impl RunLease {
    /// The lease on a queue's drain. Nothing is written before [`RunLease::hold`]: a tick that finds an empty queue
    /// costs one read.
    pub(crate) fn new(queue: &str, run: String) -> Self {
        Self { key: format!("drain:{queue}"), run, renewed_at: None }
    }

    /// Who holds it, if it is somebody else.
    pub(crate) async fn holder<H: KeyValue + Clock>(&self, host: &H) -> Option<Busy> {
        let record: Value = serde_json::from_slice(&host.get(&self.key).await.ok()??).ok()?;
        let until = record["untilMilliseconds"].as_i64()?;
        let now = host.now().timestamp_millis();
        // A record from a clock that was ahead must not stop us for longer than any record of ours could.
        let live = until > now && until - now <= i64::try_from(LONGEST_PAUSE.as_millis()).unwrap_or(i64::MAX);
        match record["run"].as_str()? {
            run if !live || run == self.run => None,
            "" if record["why"] == Busy::NoToken.as_str() => Some(Busy::NoToken),
            "" => Some(Busy::CredentialsRefused),
            _ => Some(Busy::AnotherRun),
        }
    }

    /// Takes it, or renews it when that is due.
    pub(crate) async fn hold(&mut self, host: &impl Host) {
        let now = host.monotonic();
        if self.renewed_at.is_none_or(|at| now.saturating_sub(at) >= RENEW_AFTER) {
            self.renewed_at = Some(now);
            self.write(host, json!({"run": self.run}), TERM).await;
        }
    }

    /// Gives it up, if it was taken.
    pub(crate) async fn release(&self, host: &impl Host) {
        // Another run that has taken it over meanwhile keeps it.
        if self.renewed_at.is_some() && self.holder(host).await.is_none() {
            _ = host.delete(&self.key).await;
        }
    }

    /// Keeps every run away for a while, because nothing can be sent.
    pub(crate) async fn pause(&self, host: &impl Host, stop: Stop) {
        let (why, term) = match stop {
            Stop::CredentialsRefused => (Busy::CredentialsRefused, CREDENTIALS_PAUSE),
            Stop::NoToken { retry_after } => {
                (Busy::NoToken, retry_after.unwrap_or(NO_TOKEN_PAUSE).min(LONGEST_PAUSE))
            }
        };
        self.write(host, json!({"run": "", "why": why.as_str()}), term).await;
    }

    async fn write(&self, host: &impl Host, mut record: Value, term: Duration) {
        record["untilMilliseconds"] = (host.now() + term).timestamp_millis().into();
        // Without a lease runs overlap, and stay safe.
        _ = host.set(&self.key, record.to_string().as_bytes()).await;
    }
}

#[cfg(test)]
mod tests {
    use platform::testing::{FakeHost, run};

    use super::*;

    fn lease(run: &str) -> RunLease {
        RunLease::new("q", run.into())
    }

    #[test]
    fn it_keeps_others_out_until_it_lapses_or_is_released() {
        let host = FakeHost::default();
        let (mut ours, theirs) = (lease("a"), lease("b"));
        assert_eq!(run(theirs.holder(&host)), None);
        assert!(host.store.borrow().is_empty(), "looking writes nothing");
        run(ours.hold(&host));
        assert_eq!(run(ours.holder(&host)), None);
        assert_eq!(run(theirs.holder(&host)), Some(Busy::AnotherRun));
        host.elapsed.set(Duration::from_secs(4));
        run(ours.hold(&host));
        host.elapsed.set(Duration::from_secs(8));
        assert_eq!(run(theirs.holder(&host)), Some(Busy::AnotherRun), "it was renewed");
        host.elapsed.set(Duration::from_secs(10));
        assert_eq!(run(theirs.holder(&host)), None, "a killed run stops nobody for long");
        run(ours.hold(&host));
        run(ours.release(&host));
        assert!(host.store.borrow().is_empty());
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
            run(lease("a").pause(&host, stop));
            host.elapsed.set(Duration::from_secs(seconds - 1));
            assert_eq!(run(lease("b").holder(&host)), Some(busy), "{stop:?}");
            host.elapsed.set(Duration::from_secs(seconds + 1));
            assert_eq!(run(lease("b").holder(&host)), None, "{stop:?}");
        }
    }

    #[test]
    fn a_record_that_makes_no_sense_stops_nobody() {
        let host = FakeHost::default();
        for record in ["", "{}", "[1]", r#"{"run":"x"}"#, r#"{"run":"x","untilMilliseconds":9999999999999}"#]
        {
            host.store.borrow_mut().insert("drain:q".into(), record.into());
            assert_eq!(run(lease("b").holder(&host)), None, "{record}");
        }
    }
}
