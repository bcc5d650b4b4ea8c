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
    // The third run had read the record before the first wrote it, and writes it afterwards.
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
    let held = |run: &str, ids: &[&str]| (run.to_owned(), ids.iter().map(|id| (*id).to_owned()).collect());
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
    for record in ["", "{}", "[1]", r#"{"run":"x"}"#, r#"{"run":"x","untilMilliseconds":9999999999999}"#] {
        host.store.borrow_mut().insert("drain:q".into(), record.into());
        assert_eq!(run(lease(&host, "b").holder(&host)), None, "{record}");
    }
}
