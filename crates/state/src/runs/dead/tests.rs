use std::time::Duration;

use platform::testing::run;

use super::*;
use crate::world::World;

fn at(seconds: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(1_795_471_200 + seconds, 0).unwrap()
}

fn letter(seconds: i64, message: &str) -> DeadLetter {
    DeadLetter {
        id: DeadLetterId::of(message, at(seconds)),
        alert: "a".into(),
        conversation: "c".into(),
        outcome: "permanent".into(),
        reason: "400 BadSyntax".into(),
        status: Some(400),
        died_at: at(seconds + 1),
        enqueued_at: at(seconds),
        expires_at: Some(at(900)),
        attempts: 1,
        is_genuine: true,
        digest: digest_of(message),
        origin: Origin { sender: Some("ci".into()), tag: Some("orders".into()) },
    }
}

fn open(world: &World) -> DeadLetters<'_, platform::testing::FakeHost> {
    let deadline = Deadline::after(&*world.host, Duration::from_secs(10));
    DeadLetters::new(&*world.host, &world.account, &world.names, "bot-queue", deadline)
}

#[test]
fn dead_letter_id_of_any_message_is_parsed_back_and_the_newest_id_comes_first() {
    let guid = "799a2c63-e5ea-4d21-a5b9-5c1d0d8f6e11";
    let id = DeadLetterId::of(guid, at(0));
    assert_eq!(
        id.as_str(),
        "98204528799999.799a2c63-e5ea-4d21-a5b9-5c1d0d8f6e11",
        "the form must not change, because the table has ids of this form"
    );
    assert_eq!((id.message_id(), id.inserted_at()), (guid, at(0)));
    assert!(DeadLetterId::of(guid, at(1)) < id);
    for message in [guid, "", "a/b", "ü", &"x".repeat(65)] {
        for seconds in [i64::MIN / 1_000_000_000, 0, 200_000_000_000] {
            let time = DateTime::from_timestamp(seconds, 0).unwrap_or(DateTime::<Utc>::MIN_UTC);
            let id = DeadLetterId::of(message, time);
            assert_eq!(DeadLetterId::parse(id.as_str()), Some(id));
        }
    }
    for text in
        ["", "1.a", "98204528799999.", "98204528799999", "98204528799999.a/b", "9820452879999x.a", "m.1"]
    {
        assert_eq!(DeadLetterId::parse(text), None, "{text}");
    }
}

#[test]
fn dead_letter_that_is_written_twice_is_listed_once_and_the_newest_comes_first() {
    let world = World::new();
    let dead = open(&world);
    assert_eq!(run(dead.page(None, 20)).unwrap(), DeadPage { letters: Vec::new(), has_more: false });
    let letters: Vec<_> = (0..5).map(|index| letter(index, &format!("m{index}"))).collect();
    for letter in letters.iter().chain(&letters) {
        run(dead.record(letter)).unwrap();
    }
    let mut expected = letters.clone();
    expected.reverse();
    let first = run(dead.page(None, 3)).unwrap();
    assert_eq!((first.letters.as_slice(), first.has_more), (&expected[..3], true));
    world.tables.borrow_mut().respond_with_empty_pages(2);
    assert_eq!(run(dead.page(None, 3)).unwrap(), first, "the method skips two empty pages of query results");
    let rest = run(dead.page(Some(&expected[2].id), 3)).unwrap();
    assert_eq!((rest.letters.as_slice(), rest.has_more), (&expected[3..], false));
    assert_eq!(run(dead.read(&expected[1].id)).unwrap().as_ref(), Some(&expected[1]));
    for _ in 0..2 {
        run(dead.remove(&expected[1].id)).unwrap();
    }
    assert_eq!(run(dead.read(&expected[1].id)).unwrap(), None);
    let ids: Vec<_> = expected.iter().map(|letter| letter.id.clone()).collect();
    run(dead.remove_all(&ids[2..4])).unwrap();
    // The service refuses this batch, because three of its four rows are missing. The method then deletes
    // each row with a separate call, also the last row.
    run(dead.remove_all(&ids[1..])).unwrap();
    assert_eq!(run(dead.page(None, 9)).unwrap().letters, expected[..1]);
    run(dead.record(&expected[3])).unwrap();
    let digests = BTreeSet::from([digest_of("m4"), digest_of("m3"), digest_of("other")]);
    let found = BTreeMap::from([(digest_of("m4"), expected[0].id.clone())]);
    assert_eq!(run(dead.with_digests(&digests, 4)).unwrap(), (found, true));
}

#[test]
fn row_of_another_version_is_read_without_the_unreadable_properties_and_a_foreign_row_is_skipped() {
    let world = World::new();
    let id = DeadLetterId::of("m", at(0));
    let properties =
        serde_json::json!({"version": 9, "outcome": 7, "status": "x", "digest": "d", "more": true});
    let properties = properties.as_object().unwrap().clone();
    world.tables.borrow_mut().store(
        "proactivebotruns",
        "bot-queue.dead",
        id.as_str(),
        properties.clone(),
        at(0),
    );
    world.tables.borrow_mut().store("proactivebotruns", "bot-queue.dead", "0-foreign", properties, at(0));
    let page = run(open(&world).page(None, 20)).unwrap();
    assert_eq!(page.letters.len(), 1);
    let DeadLetter { outcome, status, digest, enqueued_at, is_genuine, .. } = &page.letters[0];
    assert_eq!((outcome.as_str(), *status, digest.as_str()), ("", None, "d"));
    assert_eq!((*enqueued_at, *is_genuine), (at(0), false));
}

#[test]
fn long_reason_is_shortened_to_500_characters() {
    let world = World::new();
    let letter = DeadLetter { reason: "ü".repeat(40_000), ..letter(0, "m") };
    run(open(&world).record(&letter)).unwrap();
    let read = run(open(&world).read(&letter.id)).unwrap().unwrap();
    assert_eq!(read.reason, "ü".repeat(500));
}
