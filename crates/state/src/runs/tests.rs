use platform::testing::run;

use super::*;
use crate::world::World;

impl World {
    fn runs(&self) -> Runs<'_, platform::testing::FakeHost> {
        let deadline = Deadline::after(&*self.host, Duration::from_secs(1_000_000));
        Runs::new(&self.host, &self.account, &self.names, "q", deadline)
    }

    fn free(&self) -> FreeLock {
        match run(self.runs().read_lock()).unwrap() {
            LockState::Free(free) => *free,
            other => panic!("expected a free lock, found {other:?}"),
        }
    }

    fn take(&self, name: &str) -> RunLock {
        run(self.runs().take_lock(name, &self.free())).unwrap().unwrap()
    }
}

fn in_hand(message: &str) -> InHand {
    InHand { message: message.into(), receipt: "r".into(), lane: "l".into(), age: (1, 2), record: None }
}

#[test]
fn free_lock_that_two_runs_have_read_is_taken_by_only_one_run() {
    let world = World::new();
    for _ in 0..2 {
        let (a, b) = (world.free(), world.free());
        let first = run(world.runs().take_lock("a", &a)).unwrap();
        assert!(first.is_some());
        assert_eq!(
            run(world.runs().take_lock("b", &b)),
            Ok(None),
            "run `a` has changed the record after run `b` read it"
        );
        assert_eq!(run(world.runs().read_lock()), Ok(LockState::Held));
        let lock = first.unwrap();
        run(world.runs().write(lock.release(&[]))).unwrap().unwrap();
    }
}

#[test]
fn lock_that_is_not_renewed_first_becomes_invalid_and_then_free() {
    let world = World::new();
    let mut lock = world.take("a");
    for _ in 0..10 {
        world.pass(6);
        assert!(lock.is_valid(&*world.host));
        assert_eq!(run(world.runs().read_lock()), Ok(LockState::Held));
        let written = run(world.runs().write(lock.renewal(&[in_hand("m1")]))).unwrap().unwrap();
        lock.confirm(written);
    }
    world.pass(7);
    assert!(!lock.is_valid(&*world.host), "the lock becomes invalid before another run can take it");
    assert_eq!(run(world.runs().read_lock()), Ok(LockState::Held));
    world.pass(3);
    let free = world.free();
    assert_eq!(free.left, [in_hand("m1")], "the next run reads the messages of the last run");
    let mut other = run(world.runs().take_lock("b", &free)).unwrap().unwrap();
    assert!(other.number > lock.number);
    assert_eq!(
        run(world.runs().write(lock.renewal(&[]))),
        Ok(None),
        "the first run learns that it lost the lock"
    );
    // The second run has not stored its own messages yet. So the record still has the message of the first
    // run.
    world.pass(10);
    assert_eq!(world.free().left, [in_hand("m1")]);
    let written = run(world.runs().write(other.renewal(&[]))).unwrap().unwrap();
    other.confirm(written);
    run(world.runs().write(other.release(&[in_hand("m2")]))).unwrap().unwrap();
    assert_eq!(world.free().left, [in_hand("m2")], "a released lock is free at once");
}

#[test]
fn no_run_begins_until_the_pause_ends() {
    let world = World::new();
    let lock = world.take("a");
    let until = world.host.now() + Duration::from_secs(30);
    run(world.runs().write(lock.release_and_pause(&[], PauseReason::NoToken, until))).unwrap().unwrap();
    assert_eq!(run(world.runs().read_lock()), Ok(LockState::Paused(PauseReason::NoToken)));
    world.pass(29);
    assert_eq!(run(world.runs().read_lock()), Ok(LockState::Paused(PauseReason::NoToken)));
    world.pass(1);
    world.take("b");
}

#[test]
fn record_with_unreadable_properties_lets_a_run_begin() {
    let world = World::new();
    for (name, value) in
        [("run", serde_json::json!(7)), ("fence", serde_json::json!("x")), ("hand0", serde_json::json!("["))]
    {
        let lock = world.take("a");
        run(world.runs().write(lock.release(&[]))).unwrap();
        let mut tables = world.tables.borrow_mut();
        let table = tables.entities_mut("proactivebotruns");
        table.get_mut(&("q".into(), "run".into())).unwrap().insert(name.into(), value);
        drop(tables);
        assert_eq!(world.free().left, []);
    }
}

#[test]
fn lock_of_a_newer_version_is_not_taken_even_if_the_lock_is_free() {
    let world = World::new();
    let lock = world.take("a");
    run(world.runs().write(lock.release(&[]))).unwrap();
    let set_version = |version: i64| {
        let mut tables = world.tables.borrow_mut();
        let record = tables.entities_mut("proactivebotruns").get_mut(&("q".into(), "run".into())).unwrap();
        record.insert("version".into(), version.into());
    };
    set_version(2);
    world.pass(60);
    assert_eq!(run(world.runs().read_lock()), Ok(LockState::Newer));
    set_version(1);
    world.take("b");
}

#[test]
fn waiting_lines_on_several_pages_are_all_read_and_expired_lines_are_deleted() {
    let world = World::new();
    let line = |index: u32, ends_in: u64| StoredLine {
        lane: format!("{index:032x}"),
        text: format!("[{index}]"),
        ends_at: world.host.now() + Duration::from_secs(ends_in),
    };
    for index in 0..1100 {
        run(world.runs().set_line(&line(index, if index < 50 { 10 } else { 100 }))).unwrap();
    }
    let lock = world.take("a");
    let (lines, is_all) = run(world.runs().lines()).unwrap();
    assert!(is_all, "expected every line");
    assert_eq!(lines.len(), 1100);
    assert_eq!(lines[7], line(7, 10));
    assert_eq!(run(world.runs().line(&lines[7].lane)), Ok(Some(line(7, 10))));
    run(world.runs().end_line(&lines[8].lane)).unwrap();
    run(world.runs().end_line(&lines[8].lane)).unwrap();
    world.pass(11);
    assert_eq!(
        run(world.runs().clean()),
        Ok(49),
        "50 lines have expired, and `end_line` has already deleted one of them"
    );
    assert_eq!(run(world.runs().lines()).unwrap().0.len(), 1050);
    assert!(
        run(world.runs().write(lock.renewal(&[]))).unwrap().is_some(),
        "cleaning does not change the record of the run lock"
    );
}

#[test]
fn withdrawals_are_read_oldest_first_and_deleted_after_an_hour() {
    let world = World::new();
    let deadline = Deadline::after(&*world.host, Duration::from_secs(1_000_000));
    let withdrawals = Withdrawals::new(&*world.host, &world.account, &world.names, "q", deadline);
    let start = world.host.now();
    let all = [
        Withdrawal::Stopped("c1".into()),
        Withdrawal::Cancelled("a1".into()),
        Withdrawal::Started("c1".into()),
    ];
    for withdrawal in &all {
        run(withdrawals.record(withdrawal)).unwrap();
        world.pass(1);
    }
    assert_eq!(run(withdrawals.since(start)), Ok((all.to_vec(), true)));
    world.pass(60 * 10);
    assert_eq!(run(withdrawals.since(world.host.now())), Ok((Vec::new(), true)));
    assert_eq!(run(withdrawals.since(start)), Ok((all.to_vec(), true)));
    world.pass(60 * 60);
    assert_eq!(run(world.runs().clean()), Ok(3));
}
