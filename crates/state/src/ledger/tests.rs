use std::time::Duration;

use platform::testing::{FakeHost, run};

use super::*;
use crate::runs::EndedAlert;
use crate::world::World;

impl World {
    pub(super) fn ledger(&self) -> Ledger<'_, FakeHost> {
        let deadline = Deadline::after(&*self.host, Duration::from_secs(1_000_000_000));
        Ledger::new(&self.host, &self.account, &self.names, deadline)
    }

    fn call(&self, number: u8) -> CallId {
        CallId::random(Period::of(self.host.now()), [number; 16])
    }

    /// The number of rows in the ledger, without its index rows (`at.<countdown>.<name>`).
    fn rows_without_index(&self) -> usize {
        let tables = self.tables.borrow();
        tables.entities("proactivebotledger").keys().filter(|(_, row)| !row.starts_with("at.")).count()
    }
}

fn alert(id: AlertId) -> NewAlert {
    NewAlert::queued(id, "c")
}

fn key(world: &World, id: &AlertId) -> RecordKey {
    RecordKey::of(id, world.host.now()).unwrap()
}

fn known(accepted: Accepted) -> Record {
    match accepted {
        Accepted::Known(record) => *record,
        Accepted::New => panic!("expected a known alert, found a new one"),
    }
}

#[test]
fn second_accept_of_an_alert_returns_its_record() {
    let world = World::new();
    let one = alert(world.call(1).alert(0));
    assert_eq!(run(world.ledger().accept(&one)), Ok(Accepted::New));
    let record = known(run(world.ledger().accept(&one)).unwrap());
    assert_eq!((record.status, record.conversation.as_str()), (Status::Queued, "c"));
    assert!(record.is_perhaps_not_queued(), "perhaps the bot was killed before the Put");
    run(world.ledger().record_put(std::iter::once(&one.id))).unwrap();
    assert!(!known(run(world.ledger().accept(&one)).unwrap()).is_perhaps_not_queued());
    let mut sent = Transition::to(key(&world, &one.id), Status::Delivered);
    sent.activity_id = Some("7".into());
    run(world.ledger().record(&sent)).unwrap();
    let record = known(run(world.ledger().accept(&one)).unwrap());
    assert_eq!(
        (record.status, record.conversation.as_str()),
        (Status::Delivered, "c"),
        "the write of the poller keeps the conversation"
    );
}

#[test]
fn alerts_of_one_api_call_are_accepted_all_or_none_and_read_in_their_order() {
    let world = World::new();
    let call = world.call(1);
    for alerts in [1, 2, 100] {
        let call = CallId::of_key(Period::of(world.host.now()), None, &format!("k{alerts}"), 0);
        let mut all: Vec<NewAlert> = (0..alerts).map(|index| alert(call.alert(index))).collect();
        let note = CallNote { fingerprint: "f".into(), alerts: alerts.into(), next: Some("0-a".into()) };
        all[0].call = Some(note.clone());
        assert_eq!(run(world.ledger().accept_call(&all)), Ok(Accepted::New));
        let first = known(run(world.ledger().accept_call(&all)).unwrap());
        assert_eq!(first.call, Some(note));
        let records = run(world.ledger().of_call(&call, alerts.into())).unwrap();
        let ids: Vec<_> = records.iter().map(|record| record.id.clone()).collect();
        assert_eq!(ids, (0..alerts).map(|index| call.alert(index).to_string()).collect::<Vec<_>>());
    }
    assert_eq!(run(world.ledger().find(&call.alert(0))), Ok(None));
    let before = world.rows_without_index();
    // The next line accepts the second alert of `both`. So `accept_call` then accepts neither alert.
    run(world.ledger().accept(&alert(call.alert(1)))).unwrap();
    let both = [alert(call.alert(0)), alert(call.alert(1))];
    run(world.ledger().accept_call(&both)).expect_err("the first alert is new, and the second alert exists");
    assert_eq!(world.rows_without_index(), before + 1);
}

#[test]
fn cancellation_is_recorded_unless_the_alert_has_a_final_status() {
    let world = World::new();
    let one = alert(world.call(1).alert(0));
    assert_eq!(run(world.ledger().withdraw(&one.id, None)), Ok(Withdrawn::Unknown));
    run(world.ledger().accept(&one)).unwrap();
    for _ in 0..2 {
        assert_eq!(run(world.ledger().withdraw(&one.id, None)), Ok(Withdrawn::Yes));
    }
    let record = run(world.ledger().find(&one.id)).unwrap().unwrap();
    assert_eq!((record.status, record.shown_status()), (Status::Queued, Status::Cancelled));
    // A run had dequeued the alert before the cancellation, so the run delivers the alert.
    run(world.ledger().record(&Transition::to(key(&world, &one.id), Status::Delivered))).unwrap();
    assert_eq!(run(world.ledger().withdraw(&one.id, None)), Ok(Withdrawn::TooLate(Status::Delivered)));
    let too_far = AlertId::parse(&"f".repeat(32)).unwrap();
    assert_eq!(
        run(world.ledger().withdraw(&too_far, None)),
        Ok(Withdrawn::Unknown),
        "the period in the id is too far away from the current period"
    );
}

#[test]
fn record_of_a_cancelled_alert_is_kept_beyond_the_due_time() {
    let world = World::new();
    let (one, due) = (alert(world.call(1).alert(0)), world.host.now() + chrono::TimeDelta::days(300));
    run(world.ledger().accept(&NewAlert { until: Some(due), ..one.clone() })).unwrap();
    let cancelled =
        Transition { until: Some(due), ..Transition::to(key(&world, &one.id), Status::Cancelled) };
    run(world.ledger().record(&cancelled)).unwrap();
    let entity = cancelled.entity(world.host.now());
    assert!(
        entity.int("endsAt").unwrap() > due.timestamp_millis(),
        "a run that dequeues a copy of the message after the due time has to find the cancellation"
    );
}

#[test]
fn sender_cannot_cancel_an_alert_of_another_sender() {
    let world = World::new();
    let withdraw = |alert: &NewAlert, sender| run(world.ledger().withdraw(&alert.id, sender)).unwrap();
    let of_ci = NewAlert { key: Some("ci".into()), ..alert(world.call(1).alert(0)) };
    let of_a_person = alert(world.call(2).alert(0));
    for one in [&of_ci, &of_a_person] {
        run(world.ledger().accept(one)).unwrap();
        for stranger in ["shop", "c", ""] {
            assert_eq!(withdraw(one, Some(stranger)), Withdrawn::Unknown, "{stranger}");
        }
    }
    assert_eq!(run(world.ledger().find(&of_ci.id)).unwrap().unwrap().shown_status(), Status::Queued);
    assert_eq!(withdraw(&of_a_person, Some("ci")), Withdrawn::Unknown);
    assert_eq!(withdraw(&of_ci, Some("ci")), Withdrawn::Yes);
    assert_eq!(withdraw(&of_a_person, None), Withdrawn::Yes, "an operator is allowed to cancel every alert");
}

#[test]
fn transitions_of_many_alerts_take_one_storage_call_for_each_partition_and_the_last_transition_counts() {
    let world = World::new();
    let ids: Vec<AlertId> = (0..150).map(|index| world.call(index).alert(0)).collect();
    let all = |status| -> Vec<Transition> {
        ids.iter().map(|id| Transition::to(key(&world, id), status)).collect()
    };
    let mut transitions = all(Status::Waiting);
    transitions.extend(all(Status::Delivered));
    // The first batch fails, because the table is missing. The table client creates the table, and sends the
    // batch again. The test does not count these storage calls.
    run(world.ledger().record_all(transitions.clone())).unwrap();
    let before = world.host.sent.borrow().len();
    run(world.ledger().record_all(transitions)).unwrap();
    assert_eq!(
        world.host.sent.borrow().len() - before,
        4,
        "expected one storage call for each of the four partitions"
    );
    for id in &ids {
        assert_eq!(run(world.ledger().find(id)).unwrap().unwrap().status, Status::Delivered);
    }
}

#[test]
fn cleaning_deletes_only_expired_records() {
    let world = World::new();
    let days = |days: u64| Duration::from_secs(days * 24 * 60 * 60);
    let short: Vec<NewAlert> = (0..120).map(|index| alert(world.call(index).alert(0))).collect();
    let mut far = alert(world.call(200).alert(0));
    far.until = Some(world.host.now() + days(300));
    for one in short.iter().chain([&far]) {
        run(world.ledger().accept(one)).unwrap();
    }
    let clean = || run(world.ledger().clean(8)).unwrap();
    // A record expires after seven days. Its index row (`at.<countdown>.<name>`) expires two days later.
    for (passed, deleted) in [(0, 0), (6, 0), (2, 120), (0, 0), (2, 120), (200, 0)] {
        world.host.elapsed.set(world.host.elapsed.get() + days(passed));
        assert_eq!(clean(), deleted, "{:?}", world.host.elapsed.get());
    }
    assert!(run(world.ledger().find(&far.id)).unwrap().is_some(), "the alert is due later");
    world.host.elapsed.set(days(308));
    assert_eq!(clean(), 1);
    assert_eq!(world.rows_without_index(), 0);
    world.host.elapsed.set(days(310));
    assert_eq!(clean(), 1);
    assert!(world.tables.borrow().entities("proactivebotledger").is_empty());
}

#[test]
fn cleaning_with_many_scheduled_alerts_continues_where_the_last_cleaning_stopped() {
    let world = World::new();
    let days = |days: u64| Duration::from_secs(days * 24 * 60 * 60);
    world.tables.borrow_mut().end_pages_with_their_partitions();
    // The ledger stores alerts by *period* (eight days). The loop fills ten periods with four partitions
    // each. Every partition gets alerts that are due 360 days later.
    for period in 0..10 {
        for number in 0..64 {
            let mut far = alert(CallId::random(Period::of(world.host.now()), [number; 16]).alert(period));
            far.until = Some(world.host.now() + days(360));
            run(world.ledger().accept(&far)).unwrap();
        }
        world.host.elapsed.set(world.host.elapsed.get() + days(8));
    }
    let short = alert(world.call(200).alert(0));
    run(world.ledger().accept(&short)).unwrap();
    world.host.elapsed.set(world.host.elapsed.get() + days(20));
    let partitions = 41;
    let is_stored = || run(world.ledger().find(&short.id)).unwrap().is_some();
    let (mut cleanings, mut deleted, mut most_calls) = (0, 0, 0);
    while is_stored() && cleanings < 2 * partitions {
        let before = world.host.sent.borrow().len();
        deleted += run(world.ledger().clean(8)).unwrap();
        most_calls = most_calls.max(world.host.sent.borrow().len() - before);
        cleanings += 1;
    }
    assert_eq!(
        (is_stored(), cleanings, deleted),
        (false, 6, 2),
        "(whether the expired record is still stored, cleanings, deleted rows)"
    );
    assert!(most_calls <= 8 + 5, "{most_calls} calls in one cleaning");
    // The cleanings above have read all pages of their search. So the next cleaning begins a new search, with
    // the first period.
    world.host.elapsed.set(world.host.elapsed.get() + days(360));
    let all = (0..6).map(|_| run(world.ledger().clean(8)).unwrap()).sum::<usize>();
    assert_eq!(
        (all, world.rows_without_index()),
        (2 * 640, 1),
        "only the row that says where a cleaning stopped is left"
    );
}

#[test]
fn cleaning_after_a_run_with_a_wrong_clock_deletes_only_expired_records() {
    let world = World::new();
    let day = 24 * 60 * 60;
    world.tables.borrow_mut().end_pages_with_their_partitions();
    for number in 0..64 {
        let mut far = alert(world.call(number).alert(0));
        far.until = Some(world.host.now() + Duration::from_secs(300 * day));
        run(world.ledger().accept(&far)).unwrap();
    }
    world.pass(20 * day);
    assert_eq!(run(world.ledger().clean(1)), Ok(0));
    let in_ten_years = world.host.now() + Duration::from_secs(3650 * day);
    let mut tables = world.tables.borrow_mut();
    let place = tables.entities_mut("proactivebotledger").get_mut(&("clean".into(), "place".into())).unwrap();
    place.insert("at".into(), in_ten_years.timestamp_millis().to_string().into());
    drop(tables);
    assert_eq!(run(world.ledger().clean(8)), Ok(0));
}

#[test]
fn record_with_an_unreadable_status_has_no_final_status() {
    let world = World::new();
    let one = alert(world.call(1).alert(0));
    run(world.ledger().accept(&one)).unwrap();
    let mut tables = world.tables.borrow_mut();
    let record = tables.entities_mut("proactivebotledger").values_mut().next().unwrap();
    record.insert("status".into(), "of the future".into());
    record.insert("acceptedAt".into(), true.into());
    record.insert("version".into(), 2.into());
    drop(tables);
    let record = run(world.ledger().find(&one.id)).unwrap().unwrap();
    assert!(record.is_newer && !record.status.is_final() && record.is_perhaps_not_queued());
    assert_eq!(record.newer_status.as_deref(), Some("of the future"));
}

#[test]
fn record_of_a_newer_program_gets_the_new_status_and_keeps_its_version_number_and_unknown_properties() {
    let world = World::new();
    let one = alert(world.call(1).alert(0));
    run(world.ledger().accept(&one)).unwrap();
    let key = key(&world, &one.id);
    let place = (key.to_key().partition, key.to_key().row);
    for (name, value) in [("version", serde_json::json!(2)), ("form", "new".into())] {
        let mut tables = world.tables.borrow_mut();
        tables.entities_mut("proactivebotledger").get_mut(&place).unwrap().insert(name.into(), value);
    }
    let waiting = Transition::to(key.clone(), Status::Waiting);
    let waiting_unless_ended = Transition { unless_ended: true, ..waiting.clone() };
    let before = run(world.ledger().read_before_death(&key)).unwrap();
    run(world.ledger().record(&waiting)).unwrap();
    run(world.ledger().record(&waiting_unless_ended)).unwrap();
    run(world.ledger().record_death(&dead(&world, &one.id, &before), &before)).unwrap();
    run(world.ledger().withdraw(&one.id, None)).unwrap();
    let record = world.tables.borrow().entities("proactivebotledger")[&place].clone();
    let shown = ["status", "version", "form"].map(|name| record[name].clone());
    assert_eq!(shown, ["dead".into(), serde_json::json!(2), "new".into()]);
}

/// A *Put* is the storage call that puts an alert on the queue. If the sender repeats the API call, an alert
/// can have two Puts. If one Put fails and the other Put succeeds, the poller can deliver the alert before or
/// after the bot records the failed Put.
#[test]
fn status_from_the_poller_takes_precedence_over_a_failed_put() {
    let world = World::new();
    let one = alert(world.call(1).alert(0));
    run(world.ledger().accept(&one)).unwrap();
    let found = || run(world.ledger().find(&one.id)).unwrap().unwrap();
    run(world.ledger().record_failed_put(std::iter::once(&one.id))).unwrap();
    assert_eq!(found().shown_status(), Status::Failed);
    assert!(found().is_perhaps_not_queued());
    run(world.ledger().record(&Transition::to(key(&world, &one.id), Status::Delivered))).unwrap();
    run(world.ledger().record_failed_put(std::iter::once(&one.id))).unwrap();
    assert_eq!(found().shown_status(), Status::Delivered);
    assert!(!found().is_perhaps_not_queued());
}

#[test]
fn id_of_any_length_has_a_record_that_can_be_written() {
    let world = World::new();
    for length in [1, 400, 503, 504, 505, 506, 507, 508, 511, 512, 513, 3000] {
        for sealed in [true, false] {
            let key = RecordKey::of_message(&"x".repeat(length), sealed, world.host.now());
            run(world.ledger().record(&Transition::to(key, Status::Delivered))).unwrap();
        }
    }
    assert_eq!(world.rows_without_index(), 24);
}

#[test]
fn alert_with_or_without_a_record_is_claimed_once_until_the_claim_is_released() {
    let world = World::new();
    let accepted = alert(world.call(1).alert(0));
    run(world.ledger().accept(&accepted)).unwrap();
    let foreign = RecordKey::of_message("another-producer-s", false, world.host.now());
    for key in [key(&world, &accepted.id), foreign] {
        let take = || run(world.ledger().claim(&key)).unwrap();
        assert_eq!(take(), Claim::Yes, "{key:?}");
        let at = world.host.now();
        world.pass(5);
        assert_eq!(take(), Claim::Before(at), "{key:?}");
        run(world.ledger().release_claim(&key)).unwrap();
        assert_eq!((take(), take()), (Claim::Yes, Claim::Before(world.host.now())), "{key:?}");
        run(world.ledger().record(&Transition::to(key.clone(), Status::Delivered))).unwrap();
        assert_eq!(take(), Claim::Ended(Status::Delivered), "{key:?}");
    }
    world.pass(60 * 24 * 60 * 60);
    assert_eq!(
        run(world.ledger().clean(8)),
        Ok(3),
        "the two records and the index row are deleted in the end"
    );
}

#[test]
fn alert_with_a_final_status_other_than_dead_cannot_be_claimed() {
    let world = World::new();
    for (index, (status, expected)) in [
        (Status::Queued, Claim::Yes),
        (Status::Waiting, Claim::Yes),
        // A dead alert is in the poison queue. No delivery of the alert is recorded, so the bot can claim the
        // alert, and send it to the Connector itself.
        (Status::Dead, Claim::Yes),
        (Status::Cancelled, Claim::Ended(Status::Cancelled)),
        (Status::Expired, Claim::Ended(Status::Expired)),
        (Status::Stopped, Claim::Ended(Status::Stopped)),
        (Status::Dropped, Claim::Ended(Status::Dropped)),
    ]
    .into_iter()
    .enumerate()
    {
        let one = alert(world.call(index as u8).alert(0));
        run(world.ledger().accept(&one)).unwrap();
        run(world.ledger().record(&Transition::to(key(&world, &one.id), status))).unwrap();
        assert_eq!(run(world.ledger().claim(&key(&world, &one.id))), Ok(expected), "{status:?}");
    }
    let one = alert(world.call(100).alert(0));
    run(world.ledger().accept(&one)).unwrap();
    assert_eq!(run(world.ledger().withdraw(&one.id, None)), Ok(Withdrawn::Yes));
    assert_eq!(run(world.ledger().claim(&key(&world, &one.id))), Ok(Claim::Ended(Status::Cancelled)));
}

#[test]
fn transition_with_the_flag_unless_ended_does_not_change_a_final_status() {
    let world = World::new();
    let (one, ledger) = (alert(world.call(1).alert(0)), world.ledger());
    run(ledger.accept(&one)).unwrap();
    let key = key(&world, &one.id);
    let waiting_unless_ended =
        Transition { unless_ended: true, ..Transition::to(key.clone(), Status::Waiting) };
    let status = || run(ledger.find(&one.id)).unwrap().unwrap().status;
    run(ledger.record_all(vec![waiting_unless_ended.clone()])).unwrap();
    assert_eq!(status(), Status::Waiting);
    run(ledger.record(&Transition::to(key, Status::Dead))).unwrap();
    run(ledger.record_all(vec![waiting_unless_ended])).unwrap();
    assert_eq!(status(), Status::Dead);
}

fn dead(world: &World, id: &AlertId, before: &BeforeDeath) -> Transition {
    Transition {
        known_replay: Some(before.last_replay),
        message: Some("m".into()),
        ..Transition::to(key(world, id), Status::Dead)
    }
}

#[test]
fn replayed_alert_stays_queued_if_a_run_records_the_earlier_status_dead_again() {
    let world = World::new();
    let (one, ledger) = (alert(world.call(1).alert(0)), world.ledger());
    run(ledger.accept(&one)).unwrap();
    let key = key(&world, &one.id);
    let replay = Replay {
        conversation: "c",
        accepted_at: world.host.now(),
        until: None,
        by: "operator",
        message: None,
    };
    let status = || run(ledger.find(&one.id)).unwrap().unwrap().status;
    // The test clock does not advance, but each replay gets a later time than the previous replay.
    for death in 0..3 {
        let before = run(ledger.read_before_death(&key)).unwrap();
        let dead = dead(&world, &one.id, &before);
        run(ledger.record_death(&dead, &before)).unwrap();
        assert_eq!(status(), Status::Dead, "death {death}");
        assert_eq!(run(ledger.reopen(&key, &replay)), Ok(Reopened::Yes));
        run(ledger.record_death(&dead, &before)).unwrap();
        run(ledger.record(&dead)).unwrap();
        let waiting = Transition::to(self::key(&world, &world.call(2).alert(0)), Status::Waiting);
        let stored = EndedAlert::of(&dead).transition().unwrap();
        run(ledger.record_all(vec![waiting, stored])).unwrap();
        assert_eq!(status(), Status::Queued, "death {death}");
        let record = run(ledger.find(&one.id)).unwrap().unwrap();
        assert_eq!((record.message, record.reason.as_deref()), (None, Some("replayed by operator")));
    }
}

#[test]
fn death_of_an_alert_with_a_changed_or_missing_record_is_recorded() {
    let world = World::new();
    let (one, ledger) = (alert(world.call(1).alert(0)), world.ledger());
    run(ledger.accept(&one)).unwrap();
    let before = run(ledger.read_before_death(&key(&world, &one.id))).unwrap();
    run(ledger.withdraw(&one.id, None)).unwrap();
    run(ledger.record_death(&dead(&world, &one.id, &before), &before)).unwrap();
    let record = run(ledger.find(&one.id)).unwrap().unwrap();
    assert!(record.status == Status::Dead && record.cancelled_at.is_some(), "{record:?}");
    let unknown = world.call(2).alert(0);
    let before = run(ledger.read_before_death(&key(&world, &unknown))).unwrap();
    assert_eq!(before, BeforeDeath::default());
    run(ledger.record_death(&dead(&world, &unknown, &before), &before)).unwrap();
    assert_eq!(run(ledger.find(&unknown)).unwrap().unwrap().status, Status::Dead);
}
