use platform::testing::run;

use super::*;
use crate::world::World;

const HASH: &str = "0123456789abcdef0123456789abcdef";

fn conversation() -> ConversationKey {
    ConversationKey::parse(&"c".repeat(32)).unwrap()
}

fn sent(standing: &Standing, at: i64, alert: &str) -> Standing {
    let (activity_id, alert) = (Some(format!("m{at}")), alert.to_owned());
    Standing { activity_id, at, alert, is_firing: true, digest: format!("d{at}"), ..standing.clone() }
}

#[test]
fn record_of_an_alert_key_keeps_the_last_sent_alert_and_the_newest_queued_alert() {
    let world = World::new();
    let ledger = world.ledger();
    let before = run(ledger.standing(&conversation(), HASH)).unwrap();
    assert_eq!(before, Standing::default());
    // The poller has read the record (above). The bot notes a newer alert before the poller writes.
    run(ledger.note_latest(&conversation(), HASH, (7, "b"))).unwrap();
    let first = Standing { thread: Some("{}".into()), ..sent(&before, 5, "a") };
    assert_eq!(run(ledger.record_standing(&conversation(), HASH, &first)), Ok(Stood::Recorded));
    let found = run(ledger.standing(&conversation(), HASH)).unwrap();
    assert_eq!((found.order(), found.latest()), ((5, "a"), (7, "b")));
    assert_eq!(found.thread.as_deref(), Some("{}"));
    assert_eq!(
        (found.activity_id.as_deref(), found.digest.as_str(), found.is_firing),
        (Some("m5"), "d5", true)
    );
    // The record is only for this key in this conversation.
    let other = ConversationKey::parse(&"d".repeat(32)).unwrap();
    assert_eq!(run(ledger.standing(&other, HASH)).unwrap(), Standing::default());
    assert_eq!(run(ledger.standing(&conversation(), &"f".repeat(32))).unwrap(), Standing::default());
}

#[test]
fn record_of_a_newer_alert_is_not_overwritten() {
    let world = World::new();
    let ledger = world.ledger();
    let before = run(ledger.standing(&conversation(), HASH)).unwrap();
    for (at, alert, expected) in [
        (5, "b", Stood::Recorded),
        (4, "c", Stood::Overtaken),
        (5, "a", Stood::Overtaken),
        (5, "c", Stood::Recorded),
    ] {
        // All four writers have read the record before the first write.
        let stood = run(ledger.record_standing(&conversation(), HASH, &sent(&before, at, alert)));
        assert_eq!(stood, Ok(expected), "{at} {alert}");
    }
    assert_eq!(run(ledger.standing(&conversation(), HASH)).unwrap().order(), (5, "c"));
}

#[test]
fn record_of_a_newer_program_keeps_its_version_number_after_the_next_alert() {
    let world = World::new();
    let ledger = world.ledger();
    let record = |change: &dyn Fn(&Standing) -> Standing| {
        let found = run(ledger.standing(&conversation(), HASH)).unwrap();
        run(ledger.record_standing(&conversation(), HASH, &change(&found))).unwrap();
    };
    let place = (key_of(&conversation(), HASH).partition, key_of(&conversation(), HASH).row);
    record(&|found| sent(found, 5, "a"));
    let version = || world.tables.borrow().entities("proactivebotledger")[&place]["version"].clone();
    assert_eq!(version(), 1);
    let mut tables = world.tables.borrow_mut();
    tables.entities_mut("proactivebotledger").get_mut(&place).unwrap().insert("version".into(), 2.into());
    drop(tables);
    record(&|found| sent(found, 6, "b"));
    assert_eq!(version(), 2);
}

#[test]
fn record_of_an_alert_key_is_deleted_thirty_days_after_the_last_alert() {
    const DAY: u64 = 24 * 60 * 60;
    let world = World::new();
    let ledger = world.ledger();
    let has_record = || {
        let tables = world.tables.borrow();
        tables.entities("proactivebotledger").keys().any(|(partition, _)| partition == "key.c")
    };
    // Each cleaning chooses one of sixteen partitions with the fake host's random numbers, and deletes
    // expired records there. 200 cleanings are enough to choose the partition of the record at least once.
    let clean = || (0..200).map(|_| run(ledger.clean(8)).unwrap()).sum::<usize>();
    run(ledger.note_latest(&conversation(), HASH, (7, "b"))).unwrap();
    world.pass(20 * DAY);
    run(ledger.note_latest(&conversation(), HASH, (8, "c"))).unwrap();
    world.pass(29 * DAY);
    assert_eq!((clean(), has_record()), (0, true));
    world.pass(2 * DAY);
    assert_eq!((clean(), has_record()), (1, false));
}

#[test]
fn earlier_edit_does_not_overwrite_a_later_edit_and_a_replacement_is_recorded() {
    let world = World::new();
    let ledger = world.ledger();
    let now = world.host.now();
    let id = super::super::CallId::random(super::super::Period::of(now), [1; 16]).alert(0);
    let key = super::super::RecordKey::of(&id, now).unwrap();
    run(ledger.accept(&super::super::NewAlert::queued(id.clone(), "c"))).unwrap();
    for (at, by, activity) in [(2, "b", Some("m1")), (1, "c", Some("m2")), (3, "a", None)] {
        let activity_id = activity.map(str::to_owned);
        let edit = super::super::Edit { at, by: by.into(), activity_id, thread: None };
        run(ledger.record_edit(&key, &edit)).unwrap();
    }
    let record = run(ledger.find(&id)).unwrap().unwrap();
    assert_eq!((record.edited, record.activity_id.as_deref()), (Some((3, "a".into())), Some("m1")));
    // A newer alert replaces the alert. For simplicity, the newer alert has the same id.
    run(ledger.withdraw_for(&id, &id)).unwrap();
    let record = run(ledger.find(&id)).unwrap().unwrap();
    assert!(record.cancelled_at.is_some() && record.replaced_by.as_deref() == Some(id.as_str()));
}
