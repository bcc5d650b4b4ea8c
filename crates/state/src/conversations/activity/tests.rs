//! Tests of recording activities. In some tests, another writer changes the record between two storage calls.

use platform::testing::run;
use serde_json::{Value, json};

use super::super::record::MAX_ADDRESS_BYTES;
use super::super::testing::{Stage, delete_entity, key, place, read_entity, with, write_entity};
use super::*;

const DAY: u64 = 24 * 60 * 60;

fn expect_fingerprint(recorded: Recorded) -> Fingerprint {
    match recorded {
        Recorded::Stored(fingerprint) => fingerprint,
        other => panic!("expected a fingerprint, found {other:?}"),
    }
}

#[test]
fn activity_of_a_new_conversation_stores_the_record_and_the_index_rows() {
    let stage = Stage::new();
    expect_fingerprint(stage.record_activity(&with(|_| {}), Sign::Message));
    let stored = stage.conversation();
    assert_eq!(stored.address, stored_form(&with(|_| {})));
    assert_eq!(stored.address.activity_id, None);
    assert!(stored.address.service_url_verified && !stored.paused && !stored.stopped);
    let (partition, row) = place();
    let expected = [
        format!("{partition}/{row}"),
        format!("e.e5/{row}"),
        format!("n.t/{row}"),
        format!("u.msteams.29:u/{row}"),
    ];
    assert_eq!(stage.rows(), expected);
}

#[test]
fn activity_that_the_fingerprint_covers_makes_no_storage_call() {
    let stage = Stage::new();
    let known = expect_fingerprint(stage.record_activity(&with(|_| {}), Sign::Message));
    let calls = stage.calls();
    for (activity, sign) in [("8", Sign::Message), ("9", Sign::Update), ("10", Sign::Installed)] {
        let recorded = run(stage.conversations().record_activity(
            &with(|json| json["id"] = activity.into()),
            sign,
            Some(&known),
        ));
        assert_eq!(recorded, Ok(Recorded::Known), "{sign:?}");
    }
    assert_eq!(stage.calls(), calls);
    // An activity with another locale changes the record. The new fingerprint replaces the first one.
    let french = with(|json| json["locale"] = "fr".into());
    let known = expect_fingerprint(
        run(stage.conversations().record_activity(&french, Sign::Message, Some(&known))).unwrap(),
    );
    let calls = stage.calls();
    assert_eq!(
        run(stage.conversations().record_activity(&french, Sign::Message, Some(&known))),
        Ok(Recorded::Known)
    );
    assert_eq!(stage.calls(), calls);
    assert_eq!(stage.conversation().address.locale.as_deref(), Some("fr"));
}

#[test]
fn activity_without_a_fingerprint_costs_reads_and_no_write() {
    let stage = Stage::new();
    let known = expect_fingerprint(stage.record_activity(&with(|_| {}), Sign::Message));
    let (calls, writes) = (stage.calls(), stage.writes());
    for sign in [Sign::Message, Sign::Installed, Sign::Update] {
        assert_eq!(expect_fingerprint(stage.record_activity(&with(|_| {}), sign)), known, "{sign:?}");
    }
    assert_eq!(stage.calls() - calls, 12, "each activity reads the record and three index rows");
    assert_eq!(stage.writes() - writes, 0);
}

#[test]
fn missing_index_row_is_written_by_an_activity_without_a_fingerprint_and_by_the_next_day_s_message() {
    let (_, row) = place();
    for partition in ["e.e5", "n.t", "u.msteams.29:u"] {
        let stage = Stage::new();
        let known = expect_fingerprint(stage.record_activity(&with(|_| {}), Sign::Message));
        delete_entity(partition, &row);
        stage.record_activity(&with(|_| {}), Sign::Update);
        assert!(read_entity(partition, &row).is_some(), "{partition}");
        delete_entity(partition, &row);
        stage.at(DAY);
        run(stage.conversations().record_activity(&with(|_| {}), Sign::Message, Some(&known))).unwrap();
        assert!(read_entity(partition, &row).is_some(), "{partition}, the next day");
        delete_entity(partition, &row);
    }
}

#[test]
fn seen_at_is_renewed_by_the_first_message_of_each_day() {
    let stage = Stage::new();
    let mut known = expect_fingerprint(stage.record_activity(&with(|_| {}), Sign::Message));
    let first = stage.conversation().seen_at;
    for day in [1, 2] {
        stage.at(day * DAY);
        let update = run(stage.conversations().record_activity(&with(|_| {}), Sign::Update, Some(&known)));
        assert_eq!(
            update,
            Ok(Recorded::Known),
            "an activity of the kind `Update` does not show that the person is present"
        );
        let writes = stage.writes();
        known = expect_fingerprint(
            run(stage.conversations().record_activity(&with(|_| {}), Sign::Message, Some(&known))).unwrap(),
        );
        assert_eq!(stage.writes() - writes, 4, "the record and its indexes");
        let again = run(stage.conversations().record_activity(&with(|_| {}), Sign::Message, Some(&known)));
        assert_eq!(again, Ok(Recorded::Known));
        assert_eq!(stage.conversation().seen_at, first + std::time::Duration::from_secs(day * DAY));
    }
    // The test sets the clock back. Now the stored time is in the future. This also happens if another
    // running instance of the bot has a fast clock. A message replaces the stored time.
    stage.at(0);
    stage.record_activity(&with(|_| {}), Sign::Message);
    assert_eq!(stage.conversation().seen_at, first);
}

#[test]
fn activity_changes_only_the_parts_of_the_record_that_the_activity_s_kind_allows() {
    let stage = Stage::new();
    stage.record_activity(&with(|json| json["user"] = json!({"id": "28:b"})), Sign::Update);
    assert_eq!(stage.conversation().address.user, None, "the bot is not the person");
    stage.record_activity(&with(|json| json["user"] = json!({"id": "29:installer"})), Sign::Installed);
    stage.record_activity(&with(|json| json["user"] = json!({"id": "29:other"})), Sign::Update);
    assert_eq!(stage.conversation().address.user.unwrap().id, "29:installer");
    stage.record_activity(&with(|_| {}), Sign::Message);
    assert_eq!(
        stage.conversation().address.user.unwrap().id,
        "29:u",
        "the author of a message is the person"
    );
    assert!(!stage.rows().iter().any(|row| row.contains("installer")), "the old index row is deleted");
    let moved = "https://smba.trafficmanager.net/emea/";
    let update = with(|json| {
        json["serviceUrl"] = moved.into();
        json["locale"] = "fr".into();
        json["conversation"].as_object_mut().unwrap().remove("tenantId");
    });
    stage.record_activity(&update, Sign::Update);
    let address = stage.conversation().address;
    assert_eq!(address.service_url, moved);
    assert_eq!(address.locale.as_deref(), Some("de"), "an update does not change the locale");
    assert_eq!(address.conversation.tenant_id(), Some("t"));
}

#[test]
fn record_of_a_group_holds_no_person_and_is_not_changed_by_the_message_of_another_member() {
    let stage = Stage::new();
    let group = |user: &str| {
        with(|json| {
            json["conversation"]["conversationType"] = "groupChat".into();
            json["user"] = json!({"id": user, "aadObjectId": user});
            json["locale"] = user.into();
        })
    };
    let known = expect_fingerprint(stage.record_activity(&group("29:a"), Sign::Message));
    let recorded = run(stage.conversations().record_activity(&group("29:b"), Sign::Message, Some(&known)));
    assert_eq!(recorded, Ok(Recorded::Known));
    let address = stage.conversation().address;
    assert_eq!(address.user, None);
    assert_eq!(address.locale, None);
    assert_eq!(
        stage.rows().len(),
        3,
        "the record, a row in the tenant's index, and a row in the index of the tenant's teams and chats: {:?}",
        stage.rows()
    );
    assert_eq!(run(stage.conversations().of_user("msteams", "29:a")), Ok(None));
}

#[test]
fn write_that_conflicts_with_another_write_is_repeated_on_the_changed_record() {
    // Another writer inserts the record between the read and the insert.
    let stage = Stage::new();
    let (partition, row) = place();
    let other = with(|json| json["serviceUrl"] = "https://smba.trafficmanager.net/emea/".into());
    let entity = Stage::record_entity(&other);
    stage.before_call(2, move || write_entity(&partition, &row, |_| entity));
    stage.record_activity(&with(|json| json["locale"] = "fr".into()), Sign::Message);
    let address = stage.conversation().address;
    assert_eq!(address.service_url, "https://smba.trafficmanager.net/amer/");
    assert_eq!(address.locale.as_deref(), Some("fr"));

    // Another writer replaces the stored person between the read and the merge. An activity of the kind
    // `Sign::Update` does not undo this change.
    let stage = Stage::new();
    stage.record_activity(&with(|_| {}), Sign::Message);
    let (partition, row) = place();
    let entity = Stage::record_entity(&with(|json| json["user"] = json!({"id": "29:new"})));
    stage.before_call(2, move || write_entity(&partition, &row, |_| entity));
    stage.record_activity(&with(|json| json["serviceUrlVerified"] = false.into()), Sign::Update);
    let address = stage.conversation().address;
    assert_eq!(address.user.unwrap().id, "29:new");
    assert!(!address.service_url_verified);
}

#[test]
fn fingerprint_of_another_table_covers_nothing() {
    let mut stage = Stage::new();
    let known = expect_fingerprint(stage.record_activity(&with(|_| {}), Sign::Message));
    // The operator has moved the bot to other tables, or to another account. The new table has no record, so
    // the fingerprint of the old table must not cover the activity.
    stage.host.settings.borrow_mut().insert("tableprefix".into(), "moved".into());
    stage.tables = crate::Tables::read(&stage.host).unwrap();
    let moved = expect_fingerprint(
        run(stage.conversations().record_activity(&with(|_| {}), Sign::Message, Some(&known))).unwrap(),
    );
    assert!(run(stage.conversations().get(&key())).unwrap().is_some());
    stage.account = storage_account::Account::parse(
        "AccountName=a;AccountKey=a2V5;QueueEndpoint=http://127.0.0.1:10001/b;TableEndpoint=http://127.0.0.1:10002/devstoreaccount1/b",
    )
    .unwrap();
    assert!(!moved.covers(
        &Fingerprint::of(
            &stage.conversations().place(),
            &with(|_| {}),
            None,
            platform::Clock::now(&stage.host)
        ),
        Sign::Message
    ));
}

#[test]
fn write_with_three_conflicts_is_an_error() {
    for (conflicts, is_stored) in [(2, true), (3, false)] {
        let stage = Stage::new();
        stage.record_activity(&with(|_| {}), Sign::Message);
        for nth in 1..=conflicts {
            let (partition, row) = place();
            stage.before_call(2 * nth, move || write_entity(&partition, &row, |entity| entity));
        }
        let recorded = run(stage.conversations().record_activity(
            &with(|json| json["locale"] = "fr".into()),
            Sign::Message,
            None,
        ));
        assert_eq!(recorded.is_ok(), is_stored, "{conflicts} conflicts: {recorded:?}");
        if !is_stored {
            assert_eq!(recorded, Err(StateError::Contended { attempts: 3 }));
        }
    }
}

#[test]
fn record_of_a_newer_version_is_not_changed() {
    let stage = Stage::new();
    let (partition, row) = place();
    write_entity(&partition, &row, |entity| entity.with("version", 2).with("address", "else"));
    let before = read_entity(&partition, &row);
    assert_eq!(stage.record_activity(&with(|_| {}), Sign::Message), Recorded::Newer);
    run(stage.conversations().pause(&with(|_| {}), DateTime::UNIX_EPOCH)).unwrap();
    run(stage.conversations().forget(&key())).unwrap();
    assert_eq!(read_entity(&partition, &row), before);
    assert_eq!(stage.writes(), 0);
    assert_eq!(run(stage.conversations().get(&key())), Ok(None));
}

#[test]
fn property_of_a_later_version_survives_a_write() {
    let stage = Stage::new();
    stage.record_activity(&with(|_| {}), Sign::Message);
    let (partition, row) = place();
    write_entity(&partition, &row, |entity| entity.with("aPropertyOfTheFuture", 7));
    stage.record_activity(&with(|json| json["locale"] = "fr".into()), Sign::Message);
    assert_eq!(read_entity(&partition, &row).unwrap().int("aPropertyOfTheFuture"), Some(7));
}

#[test]
fn record_with_an_unreadable_property_is_logged_and_is_readable_after_the_next_message() {
    type Change = fn(Entity) -> Entity;
    let changes: [(Change, bool); 5] = [
        (|entity| entity.with("version", "first"), false),
        (|entity| entity.with("address", 7), false),
        (|entity| entity.with("address", "{}"), false),
        // A time that cannot be read counts as missing. The rest of the record is still read.
        (|entity| entity.with("seenAt", "yesterday"), true),
        (|entity| entity.with("pausedUntil", "soon"), true),
    ];
    for (number, (change, is_readable)) in changes.into_iter().enumerate() {
        let stage = Stage::new();
        stage.record_activity(&with(|_| {}), Sign::Message);
        let (partition, row) = place();
        write_entity(&partition, &row, change);
        let found = run(stage.conversations().get(&key())).unwrap();
        assert_eq!(found.is_some(), is_readable, "change {number}");
        let logged = stage.host.events("conversation.entity-skipped");
        assert_eq!(logged.len(), 1, "change {number}");
        assert_eq!(logged[0]["row"], Value::from(row.clone()));
        stage.at(DAY);
        stage.record_activity(&with(|_| {}), Sign::Message);
        assert!(run(stage.conversations().get(&key())).unwrap().is_some(), "change {number}");
        delete_entity(&partition, &row);
    }
}

#[test]
fn address_that_is_too_large_is_not_stored() {
    let stage = Stage::new();
    let large = with(|json| json["conversation"]["name"] = "x".repeat(MAX_ADDRESS_BYTES).into());
    let error =
        run(stage.conversations().record_activity(&large, Sign::Message, None)).expect_err("too large");
    assert!(matches!(error, StateError::TooLarge { .. }), "{error}");
    assert!(stage.rows().is_empty());
}
