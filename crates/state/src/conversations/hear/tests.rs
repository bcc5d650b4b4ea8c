//! What is recorded of an activity, and what a rival's write does to it.

use platform::testing::run;
use serde_json::{Value, json};

use super::super::record::MAX_ADDRESS_BYTES;
use super::super::testing::{Stage, key, lose, place, plant, planted, with};
use super::*;

const DAY: u64 = 24 * 60 * 60;

fn fingerprint(heard: Heard) -> Fingerprint {
    match heard {
        Heard::Stored(fingerprint) => fingerprint,
        other => panic!("expected a fingerprint, found {other:?}"),
    }
}

#[test]
fn a_new_conversation_is_stored_with_its_indexes_and_without_the_activity() {
    let stage = Stage::new();
    fingerprint(stage.hear(&with(|_| {}), Sign::Message));
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
fn an_activity_that_the_fingerprint_covers_makes_no_call() {
    let stage = Stage::new();
    let known = fingerprint(stage.hear(&with(|_| {}), Sign::Message));
    let calls = stage.calls();
    for (activity, sign) in [("8", Sign::Message), ("9", Sign::Update), ("10", Sign::Installed)] {
        let heard = run(stage.book().hear(&with(|json| json["id"] = activity.into()), sign, Some(&known)));
        assert_eq!(heard, Ok(Heard::Known), "{sign:?}");
    }
    assert_eq!(stage.calls(), calls);
    // Another locale is news, and its fingerprint takes the place of the first.
    let french = with(|json| json["locale"] = "fr".into());
    let known = fingerprint(run(stage.book().hear(&french, Sign::Message, Some(&known))).unwrap());
    let calls = stage.calls();
    assert_eq!(run(stage.book().hear(&french, Sign::Message, Some(&known))), Ok(Heard::Known));
    assert_eq!(stage.calls(), calls);
    assert_eq!(stage.conversation().address.locale.as_deref(), Some("fr"));
}

#[test]
fn a_lost_fingerprint_costs_reads_and_no_write() {
    let stage = Stage::new();
    let known = fingerprint(stage.hear(&with(|_| {}), Sign::Message));
    let (calls, writes) = (stage.calls(), stage.writes());
    for sign in [Sign::Message, Sign::Installed, Sign::Update] {
        assert_eq!(fingerprint(stage.hear(&with(|_| {}), sign)), known, "{sign:?}");
    }
    assert_eq!((stage.calls() - calls, stage.writes() - writes), (12, 0), "a record and three indexes each");
}

#[test]
fn an_index_that_is_missing_comes_back_without_the_fingerprint_and_with_the_next_day() {
    let (_, row) = place();
    for partition in ["e.e5", "n.t", "u.msteams.29:u"] {
        let stage = Stage::new();
        let known = fingerprint(stage.hear(&with(|_| {}), Sign::Message));
        lose(partition, &row);
        stage.hear(&with(|_| {}), Sign::Update);
        assert!(planted(partition, &row).is_some(), "{partition}");
        lose(partition, &row);
        stage.at(DAY);
        run(stage.book().hear(&with(|_| {}), Sign::Message, Some(&known))).unwrap();
        assert!(planted(partition, &row).is_some(), "{partition}, the next day");
        lose(partition, &row);
    }
}

#[test]
fn seen_at_is_renewed_once_a_day_by_signs_of_life() {
    let stage = Stage::new();
    let mut known = fingerprint(stage.hear(&with(|_| {}), Sign::Message));
    let first = stage.conversation().seen_at;
    for day in [1, 2] {
        stage.at(day * DAY);
        let update = run(stage.book().hear(&with(|_| {}), Sign::Update, Some(&known)));
        assert_eq!(update, Ok(Heard::Known), "an update is no sign of life");
        let writes = stage.writes();
        known = fingerprint(run(stage.book().hear(&with(|_| {}), Sign::Message, Some(&known))).unwrap());
        assert_eq!(stage.writes() - writes, 4, "the record and its indexes");
        let again = run(stage.book().hear(&with(|_| {}), Sign::Message, Some(&known)));
        assert_eq!(again, Ok(Heard::Known));
        assert_eq!(stage.conversation().seen_at, first + std::time::Duration::from_secs(day * DAY));
    }
    // A clock that was ahead is forgotten.
    stage.at(0);
    stage.hear(&with(|_| {}), Sign::Message);
    assert_eq!(stage.conversation().seen_at, first);
}

#[test]
fn a_change_is_merged_into_what_is_known() {
    let stage = Stage::new();
    stage.hear(&with(|json| json["user"] = json!({"id": "28:b"})), Sign::Update);
    assert_eq!(stage.conversation().address.user, None, "the bot is not the person");
    stage.hear(&with(|json| json["user"] = json!({"id": "29:installer"})), Sign::Installed);
    stage.hear(&with(|json| json["user"] = json!({"id": "29:other"})), Sign::Update);
    assert_eq!(stage.conversation().address.user.unwrap().id, "29:installer");
    stage.hear(&with(|_| {}), Sign::Message);
    assert_eq!(stage.conversation().address.user.unwrap().id, "29:u", "the one who writes is the person");
    assert!(!stage.rows().iter().any(|row| row.contains("installer")), "the index follows");
    let moved = "https://smba.trafficmanager.net/emea/";
    let update = with(|json| {
        json["serviceUrl"] = moved.into();
        json["locale"] = "fr".into();
        json["conversation"].as_object_mut().unwrap().remove("tenantId");
    });
    stage.hear(&update, Sign::Update);
    let address = stage.conversation().address;
    assert_eq!((address.service_url.as_str(), address.locale.as_deref()), (moved, Some("de")));
    assert_eq!(address.conversation.tenant_id(), Some("t"));
}

#[test]
fn a_group_has_no_person_and_is_written_once_whoever_speaks() {
    let stage = Stage::new();
    let group = |user: &str| {
        with(|json| {
            json["conversation"]["conversationType"] = "groupChat".into();
            json["user"] = json!({"id": user, "aadObjectId": user});
            json["locale"] = user.into();
        })
    };
    let known = fingerprint(stage.hear(&group("29:a"), Sign::Message));
    let heard = run(stage.book().hear(&group("29:b"), Sign::Message, Some(&known)));
    assert_eq!(heard, Ok(Heard::Known));
    let address = stage.conversation().address;
    assert_eq!((address.user, address.locale), (None, None));
    assert_eq!(stage.rows().len(), 2, "a record, and the tenant's index: {:?}", stage.rows());
    assert_eq!(run(stage.book().of_user("msteams", "29:a")), Ok(None));
}

#[test]
fn a_conflict_is_tried_again_and_loses_nothing() {
    // A rival inserts the record between the read and the insert.
    let stage = Stage::new();
    let (partition, row) = place();
    let rival = with(|json| json["serviceUrl"] = "https://smba.trafficmanager.net/emea/".into());
    let entity = Record { address: stored_form(&rival), seen_at: DateTime::UNIX_EPOCH, paused_until: None };
    let entity = entity.to_entity(&key()).unwrap();
    stage.before_call(2, move || plant(&partition, &row, |_| entity));
    stage.hear(&with(|json| json["locale"] = "fr".into()), Sign::Message);
    let address = stage.conversation().address;
    assert_eq!(
        (address.service_url.as_str(), address.locale.as_deref()),
        ("https://smba.trafficmanager.net/amer/", Some("fr"))
    );

    // A rival changes the person between the read and the merge: an update does not undo it.
    let stage = Stage::new();
    stage.hear(&with(|_| {}), Sign::Message);
    let (partition, row) = place();
    let rival = Record {
        address: stored_form(&with(|json| json["user"] = json!({"id": "29:new"}))),
        seen_at: DateTime::UNIX_EPOCH,
        paused_until: None,
    };
    let rival = rival.to_entity(&key()).unwrap();
    stage.before_call(2, move || plant(&partition, &row, |_| rival));
    stage.hear(&with(|json| json["serviceUrlVerified"] = false.into()), Sign::Update);
    let address = stage.conversation().address;
    assert_eq!(address.user.unwrap().id, "29:new");
    assert!(!address.service_url_verified);
}

#[test]
fn fingerprint_of_another_table_counts_for_nothing() {
    let mut stage = Stage::new();
    let known = fingerprint(stage.hear(&with(|_| {}), Sign::Message));
    // The operator has moved the bot to other tables, or to another account.
    stage.host.settings.borrow_mut().insert("tableprefix".into(), "moved".into());
    stage.tables = crate::Tables::read(&stage.host).unwrap();
    let moved = fingerprint(run(stage.book().hear(&with(|_| {}), Sign::Message, Some(&known))).unwrap());
    assert!(run(stage.book().get(&key())).unwrap().is_some());
    stage.account = storage_account::Account::parse(
        "AccountName=a;AccountKey=a2V5;QueueEndpoint=http://127.0.0.1:10001/b;TableEndpoint=http://127.0.0.1:10002/devstoreaccount1/b",
    )
    .unwrap();
    assert!(!moved.covers(
        &Fingerprint::of(&stage.book().place(), &with(|_| {}), platform::Clock::now(&stage.host)),
        Sign::Message
    ));
}

#[test]
fn a_third_conflict_is_an_error() {
    for (conflicts, expected) in [(2, true), (3, false)] {
        let stage = Stage::new();
        stage.hear(&with(|_| {}), Sign::Message);
        for nth in 1..=conflicts {
            let (partition, row) = place();
            stage.before_call(2 * nth, move || plant(&partition, &row, |entity| entity));
        }
        let heard = run(stage.book().hear(&with(|json| json["locale"] = "fr".into()), Sign::Message, None));
        assert_eq!(heard.is_ok(), expected, "{conflicts}: {heard:?}");
        if !expected {
            assert_eq!(heard, Err(StateError::Contended { attempts: 3 }));
        }
    }
}

#[test]
fn a_record_of_a_newer_version_is_left_alone() {
    let stage = Stage::new();
    let (partition, row) = place();
    plant(&partition, &row, |entity| entity.with("version", 2).with("address", "else"));
    let before = planted(&partition, &row);
    assert_eq!(stage.hear(&with(|_| {}), Sign::Message), Heard::Newer);
    run(stage.book().pause(&with(|_| {}), DateTime::UNIX_EPOCH)).unwrap();
    run(stage.book().forget(&key())).unwrap();
    assert_eq!((planted(&partition, &row), stage.writes()), (before, 0));
    assert_eq!(run(stage.book().get(&key())), Ok(None));
}

#[test]
fn properties_of_later_versions_survive() {
    let stage = Stage::new();
    stage.hear(&with(|_| {}), Sign::Message);
    let (partition, row) = place();
    plant(&partition, &row, |entity| entity.with("aPropertyOfTheFuture", 7));
    stage.hear(&with(|json| json["locale"] = "fr".into()), Sign::Message);
    assert_eq!(planted(&partition, &row).unwrap().int("aPropertyOfTheFuture"), Some(7));
}

#[test]
fn a_record_that_nobody_can_read_is_logged_and_written_anew_by_the_next_sign() {
    type Change = fn(Entity) -> Entity;
    let changes: [(Change, bool); 5] = [
        (|entity| entity.with("version", "first"), false),
        (|entity| entity.with("address", 7), false),
        (|entity| entity.with("address", "{}"), false),
        // What can be read is kept.
        (|entity| entity.with("seenAt", "yesterday"), true),
        (|entity| entity.with("pausedUntil", "soon"), true),
    ];
    for (nth, (change, is_readable)) in changes.into_iter().enumerate() {
        let stage = Stage::new();
        stage.hear(&with(|_| {}), Sign::Message);
        let (partition, row) = place();
        plant(&partition, &row, change);
        let found = run(stage.book().get(&key())).unwrap();
        assert_eq!(found.is_some(), is_readable, "{nth}");
        let logged = stage.host.events("conversation.entity-skipped");
        assert_eq!(logged.len(), 1, "{nth}");
        assert_eq!(logged[0]["row"], Value::from(row.clone()));
        stage.at(DAY);
        stage.hear(&with(|_| {}), Sign::Message);
        assert!(run(stage.book().get(&key())).unwrap().is_some(), "{nth}");
        lose(&partition, &row);
    }
}

#[test]
fn an_address_that_is_too_large_is_not_stored() {
    let stage = Stage::new();
    let large = with(|json| json["conversation"]["name"] = "x".repeat(MAX_ADDRESS_BYTES).into());
    let error = run(stage.book().hear(&large, Sign::Message, None)).expect_err("too large");
    assert!(matches!(error, StateError::TooLarge { .. }), "{error}");
    assert!(stage.rows().is_empty());
}
