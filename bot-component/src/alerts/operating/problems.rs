//! Makes the member `problems` of the response to `GET /api/status`. The member has one sentence for each
//! problem that an operator has to know. The sentences are for people. Programs read the other members of the
//! response.

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use state::runs::{MAX_PAUSED, Overview, PauseReason};

use super::snapshot::{Snapshot, time};

/// If messages are on the queue, and the last run (execution of the poller) was longer ago than this, the bot
/// reports a problem. The scheduler starts a run at least every five minutes, and the bot usually starts a
/// run after each alert.
const SIGN_OF_LIFE_EVERY: TimeDelta = TimeDelta::minutes(5);
/// If the clocks of the bot's host and of the storage account differ by more than this, the bot reports a
/// problem. Azure refuses every signed request at a difference of 15 minutes. So the operator has to know of
/// a smaller difference, too.
const MAX_CLOCK_SKEW: TimeDelta = TimeDelta::minutes(5);

/// Returns one sentence for each problem, the most urgent one first, in the form
/// `<where>: <what is wrong>; <what to do>`.
pub(super) fn problems(snapshot: &Snapshot) -> Vec<String> {
    let mut problems = Vec::new();
    if let Err(reason) = &snapshot.queue {
        problems.push(format!("queue: cannot be read, so the backlog is unknown; {reason}"));
    }
    if let Err(reason) = &snapshot.dead_messages {
        problems.push(format!("poison queue: cannot be read; {reason}"));
    }
    match &snapshot.runs {
        Err(reason) => {
            problems
                .push(format!("tables: cannot be read, so no run works and figures are missing; {reason}"));
        }
        Ok(overview) => of_runs(snapshot, overview, &mut problems),
    }
    if let Ok(messages @ 1..) = snapshot.dead_messages {
        problems.push(format!(
            "poison queue: holds {}, which could not be delivered; look for the reasons with GET /api/dead",
            counted(messages, "message")
        ));
    }
    problems
}

fn of_runs(snapshot: &Snapshot, overview: &Overview, problems: &mut Vec<String>) {
    let now = snapshot.now;
    match overview.pause {
        Some((PauseReason::CredentialsRefused, until)) => problems.push(format!(
            "credentials: the login host or the Connector refused the bot, so no run works until {}; check \
             microsoftappid, microsoftapptenantid and the credential, for example with cargo dev doctor",
            shown(until)
        )),
        Some((PauseReason::NoToken, until)) => problems.push(format!(
            "token: the login host issued no token, or Direct Line opened no conversation, so no run works until \
             {}; wait, and look at the reason in the poller's log if the problem stays",
            shown(until)
        )),
        None => problems.extend(silent_poller(snapshot, overview)),
    }
    let last_run = &overview.figures.last_run;
    // `last_run` is the last run that had something to do. If a later run has found nothing to do, the bot
    // does not report the failure of `last_run`. The later run has used the queue and the tables, so both
    // work again.
    if !last_run.failure.is_empty() && overview.idle_at <= time(last_run.ended_at) {
        problems.push(format!(
            "last run: failed ({}); look for its line with \"run\":\"{}\" in the poller's log",
            last_run.failure, last_run.id
        ));
    }
    for host in &overview.figures.hosts_out {
        problems.push(format!(
            "Connector: {host} did not answer the last run, so its alerts are late; do nothing, because the poller \
             probes the host, and sends the alerts as soon as the host answers"
        ));
    }
    let skew = overview.clock_skew;
    if skew.abs() > MAX_CLOCK_SKEW {
        let direction = if skew > TimeDelta::zero() { "ahead of" } else { "behind" };
        problems.push(format!(
            "clock: this host is {} {direction} the storage account; set the clock, because Azure refuses \
             requests at a difference of 15 minutes",
            counted(skew.num_minutes().unsigned_abs(), "minute")
        ));
    }
    let paused = overview.figures.paused.iter().filter(|paused| time(paused.until) > Some(now)).count();
    if paused > 0 {
        problems.push(format!(
            "conversations: {}{} could not be reached by the last alert, because the people have removed or blocked the \
             bot; ask them to write to the bot, or wait, because the poller tries again after a day",
            if paused >= MAX_PAUSED { "at least " } else { "" },
            counted(paused as u64, "conversation")
        ));
    }
}

/// If no message is on the queue, or if a run is active now, returns `None`. Otherwise, returns a problem if
/// the poller has never run, or if the last run was more than [`SIGN_OF_LIFE_EVERY`] ago.
fn silent_poller(snapshot: &Snapshot, overview: &Overview) -> Option<String> {
    let messages = snapshot.queue.as_ref().map_or(0, |queue| queue.messages);
    if messages == 0 || overview.is_running {
        return None;
    }
    let messages = counted(messages, "message");
    let remedy = "check the scheduler, or start a run with POST /internal/poll";
    let Some(last) = snapshot.last_activity_at() else {
        return Some(format!("poller: has never run although the queue holds {messages}; {remedy}"));
    };
    let silent_for = snapshot.now - last;
    (silent_for > SIGN_OF_LIFE_EVERY).then(|| {
        let minutes = counted(silent_for.num_minutes().unsigned_abs(), "minute");
        format!("poller: has not run for {minutes} although the queue holds {messages}; {remedy}")
    })
}

fn counted(count: u64, noun: &str) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {noun}{plural}")
}

fn shown(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Secs, true)
}

#[cfg(test)]
mod tests {
    use platform::testing::FakeHost;
    use state::runs::{Figures, LastRun};

    use super::super::snapshot::Backlog;
    use super::*;

    const MINUTE: i64 = 60_000;

    fn at(minutes: i64) -> i64 {
        FakeHost::START_SECONDS * 1_000 + minutes * MINUTE
    }

    /// A bot without problems: an empty queue, and a run that ended a minute ago.
    fn healthy() -> Snapshot {
        let last_run = LastRun { id: "r1".into(), began_at: at(-2), ended_at: at(-1), ..LastRun::default() };
        let figures = Figures { last_run, ..Figures::default() };
        let clock_skew = TimeDelta::seconds(1);
        let overview = Overview { figures, is_running: false, pause: None, idle_at: None, clock_skew };
        Snapshot {
            now: time(at(0)).unwrap(),
            queue_name: "bot-queue".into(),
            queue: Ok(Backlog::default()),
            dead_messages: Ok(0),
            runs: Ok(overview),
            token_kept_until: None,
        }
    }

    type Change = fn(&mut Snapshot);

    fn backlog(snapshot: &mut Snapshot, messages: u64) {
        snapshot.queue = Ok(Backlog { messages, oldest_inserted_at: None });
    }

    fn runs(snapshot: &mut Snapshot) -> &mut Overview {
        snapshot.runs.as_mut().unwrap()
    }

    #[test]
    fn each_problem_is_one_sentence_with_the_remedy() {
        let cases: &[(Change, &[&str])] = &[
            (|_| (), &[]),
            (|s| s.queue = Err("the queue service is busy".into()), &["queue: cannot be read"]),
            (|s| s.dead_messages = Err("x".into()), &["poison queue: cannot be read"]),
            (|s| s.runs = Err("x".into()), &["tables: cannot be read"]),
            (|s| s.dead_messages = Ok(1), &["poison queue: holds 1 message,"]),
            (|s| s.dead_messages = Ok(100_000), &["poison queue: holds 100000 messages,"]),
            // The following cases test whether the bot reports that the poller has not run.
            (|s| backlog(s, 7), &[]),
            (
                |s| {
                    backlog(s, 7);
                    runs(s).figures.last_run.began_at = at(-7);
                    runs(s).figures.last_run.ended_at = at(-6);
                },
                &["poller: has not run for 6 minutes although the queue holds 7 messages"],
            ),
            (
                |s| {
                    backlog(s, 7);
                    runs(s).figures.last_run.ended_at = at(-60);
                    runs(s).figures.last_run.began_at = at(-61);
                    runs(s).idle_at = time(at(-4));
                },
                &[],
            ),
            (
                |s| {
                    backlog(s, 1);
                    runs(s).figures.last_run = LastRun::default();
                },
                &["poller: has never run although the queue holds 1 message;"],
            ),
            (|s| runs(s).figures.last_run = LastRun::default(), &[]),
            (
                |s| {
                    backlog(s, 7);
                    runs(s).figures.last_run = LastRun::default();
                    runs(s).is_running = true;
                },
                &[],
            ),
            // If all runs are paused, the bot reports the pause, and does not report that the poller has not
            // run. The pause explains why no run works.
            (
                |s| {
                    backlog(s, 7);
                    runs(s).figures.last_run = LastRun::default();
                    runs(s).pause = Some((PauseReason::CredentialsRefused, time(at(1)).unwrap()));
                },
                &[
                    "credentials: the login host or the Connector refused the bot, so no run works until 2026-11-23T22:01:00Z",
                ],
            ),
            (
                |s| runs(s).pause = Some((PauseReason::NoToken, time(at(1)).unwrap())),
                &["token: the login host issued no token"],
            ),
            (
                |s| runs(s).figures.last_run.failure = "the queue does not respond".into(),
                &["last run: failed (the queue does not respond); look for its line with \"run\":\"r1\""],
            ),
            (
                |s| runs(s).figures.hosts_out = vec!["smba.example/emea".into(), "smba.example/amer".into()],
                &["Connector: smba.example/emea did", "Connector: smba.example/amer did"],
            ),
            (|s| runs(s).clock_skew = TimeDelta::minutes(5), &[]),
            (|s| runs(s).clock_skew = TimeDelta::seconds(301), &["clock: this host is 5 minutes ahead of"]),
            (|s| runs(s).clock_skew = TimeDelta::minutes(-15), &["clock: this host is 15 minutes behind"]),
            (
                |s| {
                    let now = s.now;
                    runs(s).figures.add_paused("c1", time(at(60)).unwrap(), now);
                    runs(s).figures.add_paused("c2", time(at(0)).unwrap(), now);
                },
                &["conversations: 1 conversation could not be reached"],
            ),
            // The most urgent problem comes first.
            (
                |s| {
                    s.queue = Err("x".into());
                    s.dead_messages = Ok(2);
                    runs(s).clock_skew = TimeDelta::minutes(20);
                },
                &["queue: ", "clock: ", "poison queue: holds 2 messages,"],
            ),
        ];
        for (index, (change, expected)) in cases.iter().enumerate() {
            let mut snapshot = healthy();
            change(&mut snapshot);
            let found = problems(&snapshot);
            assert_eq!(found.len(), expected.len(), "case {index}: {found:?}");
            for (found, expected) in found.iter().zip(*expected) {
                assert!(found.starts_with(expected), "case {index}: expected {expected}, found {found}");
                assert!(found.contains("; "), "case {index}: {found}");
            }
        }
    }
}
