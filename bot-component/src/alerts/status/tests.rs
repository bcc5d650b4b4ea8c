//! Tests of the JSON of an alert, of the right to see an alert, and of the parameter `wait`.

use chrono::TimeDelta;
use serde_json::{Value, json};
use state::ledger::CallNote;

use super::*;
use crate::alerts::grant::Grant;

fn now() -> DateTime<Utc> {
    "2026-11-29T12:00:00Z".parse().unwrap()
}

/// The record of an alert that a program sent a minute ago. The API key of the program has the name `ci`.
fn record() -> Record {
    let at = now() - TimeDelta::minutes(1);
    Record {
        id: "5b0c7b3f4e0f1c2d3a4b5c6d7e8f9a0b".into(),
        status: Status::Queued,
        newer_status: None,
        conversation: "625a4b036870769bf12c984b0eb57af7".into(),
        accepted_at: Some(at),
        due_at: None,
        changed_at: None,
        ends_at: Some(at + TimeDelta::days(7)),
        reason: None,
        activity_id: None,
        uncertain: false,
        tag: None,
        put_at: None,
        failed_at: None,
        unconfirmed_at: None,
        cancelled_at: None,
        missed_at: None,
        missing_from: None,
        replayed_at: None,
        claimed_at: None,
        tried: None,
        message: None,
        replayed_from: None,
        call: None,
        key: Some("ci".into()),
        series: None,
        series_next: None,
        series_ended_at: None,
        question: None,
        answered_at: None,
        answer: None,
        keyed: None,
        changes: None,
        edited: None,
        replaced_by: None,
        thread: None,
        is_newer: false,
    }
}

#[test]
fn alert_is_shown_with_the_values_of_the_record() {
    let always = json!({
        "id": "5b0c7b3f4e0f1c2d3a4b5c6d7e8f9a0b", "conversation": "625a4b036870769bf12c984b0eb57af7",
        "acceptedAt": "2026-11-29T11:59:00.000Z", "keptUntil": "2026-12-06T11:59:00.000Z", "sender": "ci",
    });
    let at = Some(now());
    let why = || Some("connector: answered 404".to_owned());
    let done = |status| Record { status, changed_at: at, ..record() };
    let old = Some(now() - TimeDelta::days(3));
    let late = Record { accepted_at: old, due_at: old, ..record() };
    for (record, expected) in [
        (record(), json!({"status": "queued"})),
        (
            Record { due_at: Some(now() + TimeDelta::hours(1)), tag: Some("orders".into()), ..record() },
            json!({"status": "queued", "dueAt": "2026-11-29T13:00:00.000Z", "tag": "orders"}),
        ),
        (Record { due_at: record().accepted_at, ..record() }, json!({"status": "queued"})),
        (
            Record { activity_id: Some("7".into()), ..done(Status::Delivered) },
            json!({"status": "delivered", "changedAt": "2026-11-29T12:00:00.000Z", "activityId": "7"}),
        ),
        (
            Record { reason: why(), ..done(Status::Delivered) },
            json!({"status": "delivered", "changedAt": "2026-11-29T12:00:00.000Z"}),
        ),
        (
            Record {
                reason: why(),
                tried: Some(r#"{"tries":2,"throttled":1}"#.into()),
                ..done(Status::Dead)
            },
            json!({
                "status": "dead", "changedAt": "2026-11-29T12:00:00.000Z", "reason": "connector: answered 404",
                "attempts": 3,
            }),
        ),
        (
            Record { uncertain: true, tried: Some("not JSON".into()), ..done(Status::Dropped) },
            json!({"status": "dropped", "changedAt": "2026-11-29T12:00:00.000Z", "uncertain": true}),
        ),
        (
            Record { cancelled_at: at, ..record() },
            json!({"status": "cancelling", "changedAt": "2026-11-29T12:00:00.000Z"}),
        ),
        (
            Record { failed_at: at, ..record() },
            json!({"status": "failed", "changedAt": "2026-11-29T12:00:00.000Z"}),
        ),
        (
            Record { newer_status: Some("answered".into()), reason: why(), ..record() },
            json!({"status": "answered", "reason": "connector: answered 404"}),
        ),
        (
            late.clone(),
            json!({"status": "overdue", "acceptedAt": "2026-11-26T12:00:00.000Z", "reason": Shown::Overdue.reason()}),
        ),
        (
            Record { cancelled_at: old, ..late },
            json!({
                "status": "cancelled", "acceptedAt": "2026-11-26T12:00:00.000Z", "uncertain": true,
                "changedAt": "2026-11-26T12:00:00.000Z", "reason": Shown::CancelledUnseen.reason(),
            }),
        ),
        (Record { key: None, ..record() }, json!({"status": "queued", "sender": null})),
        (
            Record { status: Status::Delivered, answered_at: at, ..record() },
            json!({"status": "answered", "changedAt": "2026-11-29T12:00:00.000Z"}),
        ),
        (
            Record { answered_at: at, ..record() },
            json!({"status": "answered", "changedAt": "2026-11-29T12:00:00.000Z"}),
        ),
    ] {
        let mut all = always.clone();
        all.as_object_mut().unwrap().extend(expected.as_object().unwrap().clone());
        all.as_object_mut().unwrap().retain(|_, value| !value.is_null());
        assert_eq!(Value::from(shown(&record, now())), all, "{record:?}");
    }
}

#[test]
fn record_without_an_accepted_alert_is_not_shown() {
    let page = |alerts| Some(CallNote { fingerprint: "f".into(), alerts, next: None });
    for (record, expected) in [
        (record(), true),
        (Record { call: page(2), ..record() }, true),
        (Record { call: page(0), ..record() }, false),
        (Record { accepted_at: None, ..record() }, false),
    ] {
        assert_eq!(is_alert(&record), expected, "{record:?}");
    }
}

#[test]
fn scopes_decide_whether_a_caller_sees_no_alerts_its_own_alerts_or_all_alerts() {
    for (scopes, own, of_others, of_people) in [
        ("send", true, false, false),
        ("cancel", true, false, false),
        ("list", true, false, false),
        ("send+tenant=t", true, false, false),
        ("send+tag=orders-", true, false, false),
        ("address", false, false, false),
        ("operate", true, true, true),
    ] {
        let caller = Caller::of_tests(Grant::read(scopes).unwrap());
        let sees = [Some("ci"), Some("shop"), None].map(|sender| caller.sight().includes(sender));
        assert_eq!(sees, [own, of_others, of_people], "{scopes}");
    }
    let without_roles = Caller::of_tests(Grant::of_roles(&[]));
    assert!(!without_roles.sight().includes(Some("ci")));
}

#[test]
fn wait_of_one_to_thirty_seconds_is_read() {
    for (query, expected) in [("", Some(0)), ("wait=1", Some(1)), ("wait=30", Some(30))] {
        assert_eq!(read_wait(query).ok(), expected.map(Duration::from_secs), "{query}");
    }
    for (query, path) in [
        ("wait=0", "wait"),
        ("wait=31", "wait"),
        ("wait=", "wait"),
        ("wait=1.5", "wait"),
        ("waitt=1", "waitt"),
    ] {
        assert_eq!(read_wait(query).expect_err(query).path, path);
    }
}

#[test]
fn delivery_ends_the_wait_only_if_the_alert_asks_no_question() {
    let question = Some("sealed".to_owned());
    let delivered = Record { status: Status::Delivered, ..record() };
    let asked = Record { question, ..delivered.clone() };
    let answered = Record { answered_at: Some(now()), ..asked.clone() };
    for (first, record, expected) in [
        (Status::Queued, record(), true),
        (Status::Queued, delivered, false),
        (Status::Queued, asked.clone(), true),
        (Status::Delivered, asked.clone(), true),
        (Status::Queued, Record { status: Status::Waiting, ..asked.clone() }, true),
        (Status::Queued, Record { status: Status::Dead, ..asked }, false),
        (Status::Delivered, answered, false),
    ] {
        assert_eq!(
            waits_on(&record, &Shown::Status(first), now()),
            expected,
            "{first:?} {:?}",
            record.status
        );
    }
}
