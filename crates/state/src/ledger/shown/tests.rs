use super::*;
use crate::ledger::record::NewAlert;
use crate::ledger::{AlertId, RecordKey, Transition};
use storage_table::Entity;

fn now() -> DateTime<Utc> {
    "2026-11-29T12:00:00Z".parse().unwrap()
}

/// Properties in which the bot records times.
const MARKS: [&str; 5] = ["cancelledAt", "putAt", "failedAt", "unconfirmedAt", "takenAt"];

/// Makes records with every status and every combination of [`MARKS`]. A quarter of the records lack the
/// properties that the bot writes when it accepts an alert.
fn every_record() -> Vec<Record> {
    let id = AlertId::parse(&format!("0a27{:028}", 1)).unwrap();
    let key = RecordKey::of(&id, now()).unwrap();
    let due = now() + TimeDelta::days(300);
    let accepted =
        |due, until| NewAlert { due, until, ..NewAlert::queued(id.clone(), "c") }.entity(&key, now());
    let bases = [
        (None, Some(accepted(None, None))),
        (Some(due), Some(accepted(Some(due), Some(due)))),
        (None, Some(accepted(None, Some(due)))),
        // These records lack the properties from the acceptance: the bot did not accept these alerts.
        (None, None),
    ];
    let mut records = Vec::new();
    for status in Status::ALL {
        for (until, base) in &bases {
            for marks in 0..1 << MARKS.len() {
                let until = *until;
                let transition = Transition { until, ..Transition::to(key.clone(), status) }.entity(now());
                let mut entity = base.clone().unwrap_or_else(|| Entity::new(transition.key.clone()));
                if base.is_none() || status != Status::Queued {
                    entity.properties.extend(transition.properties);
                }
                for (bit, mark) in MARKS.iter().enumerate().filter(|(bit, _)| marks & 1 << bit != 0) {
                    entity.int64(mark, (now() + TimeDelta::seconds(bit as i64)).timestamp_millis());
                }
                records.push(Record::read(&entity));
            }
        }
    }
    records
}

#[test]
fn state_of_every_record_counts_as_final_from_the_deadline_on_and_the_record_is_deleted_later() {
    let records = every_record();
    assert_eq!(records.len(), Status::ALL.len() * 4 * 32);
    for record in records {
        let ends_at = record.ends_at.expect("every record has a time of deletion");
        let Some(deadline) = record.deadline() else {
            let shown = record.shown(now());
            let is_final = matches!(shown, Shown::Status(status) if status.is_final());
            assert!(is_final, "{record:?} is {shown} for ever");
            continue;
        };
        let before = record.shown(deadline - TimeDelta::milliseconds(1));
        let is_open = match before {
            Shown::Status(status) => !status.is_final(),
            Shown::Cancelling => true,
            Shown::CancelledUnseen | Shown::DeliveredUnseen | Shown::Overdue | Shown::Newer(_) => false,
        };
        assert!(is_open, "{record:?} is {before} before its deadline");
        let after = record.shown(deadline);
        let expected = match before {
            Shown::Cancelling => Shown::CancelledUnseen,
            Shown::Status(Status::Failed) => before.clone(),
            _ => Shown::Overdue,
        };
        assert_eq!(after, expected, "{record:?}");
        assert!(record.is_settled(deadline) && !record.is_settled(deadline - TimeDelta::milliseconds(1)));
        assert!(deadline < ends_at, "{record:?} is deleted while its state is {before}");
    }
}

#[test]
fn scheduled_alert_that_an_earlier_version_accepted_is_not_overdue_before_the_due_time() {
    let due = now() + TimeDelta::days(300);
    let record = Record { due_at: None, ends_at: Some(due + KEPT), ..every_record().swap_remove(0) };
    assert_eq!((record.status, record.accepted_at), (Status::Queued, Some(now())));
    for (at, expected) in [
        (now() + TimeDelta::days(3), Shown::Status(Status::Queued)),
        (due + TimeDelta::days(1), Shown::Status(Status::Queued)),
        (due + TimeDelta::days(2), Shown::Overdue),
    ] {
        assert_eq!(record.shown(at), expected, "{at}");
    }
    let replayed = Record { due_at: Some(now()), replayed_at: Some(due), ..record.clone() };
    assert_eq!(
        replayed.shown(due),
        Shown::Status(Status::Queued),
        "after a replay, the two days begin again"
    );
    let expiring = Record { due_at: Some(now()), ..record };
    assert_eq!(
        expiring.shown(now() + TimeDelta::days(3)),
        Shown::Overdue,
        "`dueAt` counts, and not `endsAt`"
    );
}

#[test]
fn status_of_a_newer_version_is_shown_unchanged() {
    let record = every_record().swap_remove(0);
    let newer = Record { newer_status: Some("acknowledged".into()), ..record };
    for at in [now(), now() + TimeDelta::days(400)] {
        assert_eq!(newer.shown(at).as_str(), "acknowledged");
    }
}

#[test]
fn record_with_the_earliest_or_latest_possible_times_has_a_deadline() {
    let record = every_record().swap_remove(0);
    for time in [DateTime::<Utc>::MIN_UTC, DateTime::<Utc>::MAX_UTC] {
        let (times, at) = (Some(time), now());
        let odd = Record { accepted_at: times, due_at: times, ends_at: times, ..record.clone() };
        let cancelled = Record { cancelled_at: times, ..odd.clone() };
        assert!(odd.deadline().is_some() && cancelled.deadline().is_some());
        _ = (odd.shown(at), cancelled.shown(at));
    }
}

#[test]
fn alert_with_a_missing_message_counts_as_delivered_unless_ended_cancelled_or_dequeued_again() {
    let (missed, from) = (now() + TimeDelta::minutes(1), now() + TimeDelta::minutes(3));
    for record in every_record() {
        let dequeued_at = |at| Record { changed_at: at, ..record.clone() };
        let missing = |record: Record| Record { missed_at: Some(missed), missing_from: Some(from), ..record };
        let (not_dequeued, dequeued_later) =
            (missing(dequeued_at(Some(now()))), missing(dequeued_at(Some(missed + TimeDelta::seconds(1)))));
        assert_eq!(
            not_dequeued.shown(from - TimeDelta::milliseconds(1)),
            record.shown(from - TimeDelta::milliseconds(1))
        );
        assert_eq!(dequeued_later.shown(from), record.shown(from), "{record:?}");
        // If the alert was cancelled before a run found that the message was missing, perhaps the killed run
        // dropped the alert. So the alert does not count as delivered.
        let is_known = record.status.is_final() || record.cancelled_at.is_some();
        let expected = if is_known { record.shown(from) } else { Shown::DeliveredUnseen };
        assert_eq!(not_dequeued.shown(from), expected, "{record:?}");
        assert!(not_dequeued.is_settled(from) || expected != Shown::DeliveredUnseen);
    }
}
