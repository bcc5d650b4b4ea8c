//! `DELETE /api/alerts/{id}`: cancels an alert.

use std::time::Duration;

use bytes::Bytes;
use chrono::TimeDelta;
use http::{Response, StatusCode};
use platform::{Deadline, Host, Level, answer};
use serde_json::json;
use state::ledger::{AlertId, Ledger, Status, Withdrawn};
use state::runs::Withdrawal;
use storage_queue::QueueClient;
use storage_table::TableError;

use super::caller::Caller;
use super::grant::Scope;
use crate::rejection::{AlertRejection, Rejection};
use crate::settings::{BotSettings, CallerSettings};

const WITHIN: Duration = Duration::from_secs(20);

/// A run tells the ledger of a delivery no later than that, unless it is killed or the tables fail.
const RUNS_TELL_WITHIN: Duration = Duration::from_millis(700);

/// Whoever takes a cancelled alert off an empty queue drops it within this time: a run, or a function that brings it as a trigger.
const DROPPED_WITHIN: TimeDelta = TimeDelta::seconds(60);

/// Takes an alert back, unless something became of it before.
pub(super) async fn delete<H: Host>(
    host: &H,
    id: &str,
    caller: &Caller,
) -> Result<Response<Bytes>, Rejection> {
    // With the scope `operate`, a key may cancel every alert. Other keys may cancel only their own alerts.
    let sender = if caller.grant.allows(Scope::Operate) {
        None
    } else {
        caller.require(Scope::Cancel)?;
        Some(caller.key.as_str())
    };
    let id = AlertId::parse(id).ok_or(AlertRejection::NoSuchAlert)?;
    let settings = BotSettings::open(host, CallerSettings::read(host)?).await?;
    let deadline = Deadline::after(host, WITHIN);
    let (account, tables) = (&settings.queue.account, &settings.tables);
    let ledger = Ledger::new(host, account, tables, deadline);
    let mut status = match ledger.withdraw(&id, sender).await.map_err(AlertRejection::from)? {
        Withdrawn::Yes => "cancelling",
        Withdrawn::Done => "cancelled",
        Withdrawn::TooLate(status) => return Err(AlertRejection::AlertIsOver(status).into()),
        Withdrawn::Unknown => return Err(AlertRejection::NoSuchAlert.into()),
    };
    // A run that has the alert in hand asks for what was withdrawn a short time ago, and not for each alert.
    let withdrawal = Withdrawal::Cancelled(id.as_str().to_owned());
    settings.withdrawals(host, deadline).note(&withdrawal).await.map_err(AlertRejection::from)?;
    let queue = QueueClient::new(host, &settings.queue.account, &settings.queue.name, deadline);
    if status == "cancelling" && matches!(queue.approximate_count().await, Ok(0)) {
        match ended_meanwhile(host, &ledger, &id).await.map_err(AlertRejection::from)? {
            None => {}
            Some(Status::Cancelled) => status = "cancelled",
            Some(ended) => return Err(AlertRejection::AlertIsOver(ended).into()),
        }
    }
    caller.event(host, Level::Info, "alert.cancelling", json!({"envelope": id.as_str()}));
    Ok(answer::json(StatusCode::ACCEPTED, &json!({"id": id.as_str(), "status": status})))
}

/// What became of an alert while the queue is empty, so that no run can drop it any more. A run may be about to tell the
/// ledger. If none does, the queue has not taken an alert that it did not confirm. Any other that was cancelled a while ago had left
/// the queue before: a run has delivered it, and was killed before it could tell the ledger, or the tables failed.
async fn ended_meanwhile<H: Host>(
    host: &H,
    ledger: &Ledger<'_, H>,
    id: &AlertId,
) -> Result<Option<Status>, TableError> {
    host.sleep(RUNS_TELL_WITHIN).await;
    let Some(record) = ledger.find(id).await? else { return Ok(None) };
    let is_dropped_by_now = record.cancelled_at.is_some_and(|at| host.now() - at > DROPPED_WITHIN);
    Ok(match record.status {
        status if status.is_final() => Some(status),
        _ if record.unconfirmed_at.is_some() && record.put_at.is_none() => Some(Status::Cancelled),
        _ => is_dropped_by_now.then_some(Status::Delivered),
    })
}
