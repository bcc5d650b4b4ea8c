//! `DELETE /api/alerts/{id}`: cancels an alert. With `sent=true`, an alert that was sent is taken back.

use std::time::Duration;

use bot_framework::json::FieldError;
use chrono::TimeDelta;
use http::StatusCode;
use platform::{Deadline, Host, Level, answer};
use serde_json::json;
use state::ledger::{AlertId, Ledger, Shown, Status, Withdrawn};
use state::runs::Withdrawal;
use storage_queue::QueueClient;
use storage_table::TableError;
use url::form_urlencoded;

use super::caller::Caller;
use super::change::{self, Subject};
use super::grant::Scope;
use crate::answered::Answered;
use crate::rejection::{AlertRejection, Rejection};
use crate::settings::{BotSettings, CallerSettings};

const WITHIN: Duration = Duration::from_secs(20);

/// A run records a delivery within this time, unless the run is killed or the tables fail.
const RUNS_RECORD_WITHIN: Duration = Duration::from_millis(700);

/// A run, or a function that sends triggers, drops a cancelled alert within this time after it has taken the
/// alert off the queue.
const DROPPED_WITHIN: TimeDelta = TimeDelta::seconds(60);

/// Cancels an alert, unless its status is final already. With the query `sent=true`, an alert that was sent
/// is taken back.
pub(super) async fn delete<H: Host>(
    host: &H,
    id: &str,
    query: &str,
    caller: &Caller,
) -> Result<Answered, Rejection> {
    // With the scope `operate`, a key may cancel every alert. Other keys may cancel only their own alerts.
    let sender = if caller.grant.allows(Scope::Operate) {
        None
    } else {
        caller.require(Scope::Cancel)?;
        Some(caller.key.as_str())
    };
    let mut id = AlertId::parse(id).ok_or(AlertRejection::NoSuchAlert)?;
    let takes_back = read_sent(query).map_err(AlertRejection::from)?;
    let settings = BotSettings::open(host, CallerSettings::read(host)?).await?;
    let deadline = Deadline::after(host, WITHIN);
    let (account, tables) = (&settings.queue.account, &settings.tables);
    let ledger = Ledger::new(host, account, tables, deadline);
    if takes_back {
        let subject = Subject::find(&ledger, id, sender).await?;
        if subject.was_sent(host.now()) {
            return change::take_back(host, &settings, caller, &subject).await;
        }
        // A change that has taken the alert's place is on the queue instead of the alert.
        let replaced_by = subject.record.replaced_by.as_deref().and_then(AlertId::parse);
        id = replaced_by.unwrap_or(subject.id);
    }
    let mut state = match ledger.withdraw(&id, sender).await.map_err(AlertRejection::from)? {
        Withdrawn::Yes => Shown::Cancelling,
        Withdrawn::Unseen => Shown::CancelledUnseen,
        Withdrawn::Done => Shown::Status(Status::Cancelled),
        Withdrawn::TooLate(status) => return Err(AlertRejection::AlertIsOver(status).into()),
        Withdrawn::Unknown => return Err(AlertRejection::NoSuchAlert.into()),
    };
    // A run reads all recent withdrawals at once, and does not ask for each alert in hand.
    let withdrawal = Withdrawal::Cancelled(id.as_str().to_owned());
    settings.withdrawals(host, deadline).record(&withdrawal).await.map_err(AlertRejection::from)?;
    let queue = QueueClient::new(host, &settings.queue.account, &settings.queue.name, deadline);
    let is_open = matches!(state, Shown::Cancelling | Shown::CancelledUnseen);
    if is_open && matches!(queue.approximate_count().await, Ok(0)) {
        match ended_meanwhile(host, &ledger, &id).await.map_err(AlertRejection::from)? {
            None => {}
            Some(Status::Cancelled) => state = Shown::Status(Status::Cancelled),
            Some(ended) => return Err(AlertRejection::AlertIsOver(ended).into()),
        }
    }
    caller.event(host, Level::Info, "alert.cancelling", json!({"envelope": id.as_str()}));
    let mut body = json!({"id": id.as_str(), "status": state.as_str()});
    if state == Shown::CancelledUnseen {
        body["uncertain"] = true.into();
    }
    Ok(answer::json(StatusCode::ACCEPTED, &body).into())
}

/// Reads the query: `sent`.
fn read_sent(query: &str) -> Result<bool, FieldError> {
    let mut sent = false;
    for (name, value) in form_urlencoded::parse(query.as_bytes()) {
        let error = |expected| FieldError { path: name.to_string(), expected };
        sent = match (name.as_ref(), value.as_ref()) {
            ("sent", "true") => true,
            ("sent", "false") => false,
            ("sent", _) => return Err(error("`true` or `false`")),
            _ => return Err(error("no parameter other than sent")),
        };
    }
    Ok(sent)
}

/// The final status of an alert if the queue is empty, so that no run can drop the alert any more. First a
/// run gets time to record its result. Without such a record, there are two cases:
///
/// - The queue never confirmed the Put of the alert. Then the alert is not on the queue.
/// - The alert was cancelled more than a minute ago. Then a run took it off the queue before that and
///   delivered it, but could not record the delivery, because the run was killed or the tables failed.
async fn ended_meanwhile<H: Host>(
    host: &H,
    ledger: &Ledger<'_, H>,
    id: &AlertId,
) -> Result<Option<Status>, TableError> {
    host.sleep(RUNS_RECORD_WITHIN).await;
    let Some(record) = ledger.find(id).await? else { return Ok(None) };
    let is_dropped_by_now = record.cancelled_at.is_some_and(|at| host.now() - at > DROPPED_WITHIN);
    Ok(match record.status {
        status if status.is_final() => Some(status),
        _ if record.unconfirmed_at.is_some() && record.put_at.is_none() => Some(Status::Cancelled),
        _ => is_dropped_by_now.then_some(Status::Delivered),
    })
}
