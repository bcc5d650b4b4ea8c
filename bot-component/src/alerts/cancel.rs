//! `DELETE /api/alerts/{id}`: cancels an alert that no run has sent yet. A *run* is one execution of the
//! poller. With `sent=true`, the call can also take back an alert that was sent: the poller then deletes the
//! chat message.

use std::time::Duration;

use bot_framework::json::FieldError;
use chrono::TimeDelta;
use http::StatusCode;
use platform::{Deadline, Host, Level, response};
use serde_json::json;
use state::ledger::{AlertId, Following, Ledger, Record, Shown, Status, Withdrawn};
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

/// The longest time from the delivery of an alert until the run records the delivery, if the run can write
/// to the ledger (the table of the alerts' records) without a failure.
const RUNS_RECORD_WITHIN: Duration = Duration::from_millis(700);

/// The longest time from the dequeue of a cancelled alert until the alert is *dropped*. A dropped alert is
/// never sent. If a run has dequeued the alert, the run drops the alert. An Azure Function can also dequeue
/// the alert, and send the alert to the bot in a *trigger activity* (an activity with an alert in it). The
/// bot then refuses this activity.
const DROPPED_WITHIN: TimeDelta = TimeDelta::seconds(60);

/// Cancels an alert, or takes the alert back. Returns an error if neither is possible, for example because
/// the alert has expired.
pub(super) async fn delete<H: Host>(
    host: &H,
    id: &str,
    query: &str,
    caller: &Caller,
) -> Result<Answered, Rejection> {
    // A caller with the scope `operate` is allowed to cancel every alert. Any other caller is allowed to
    // cancel only the alerts that were sent under its own name.
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
        // A change (`PATCH`) can take the place of a waiting alert on the queue. In this case, the bot
        // cancels the change instead of the alert.
        let replaced_by = subject.record.replaced_by.as_deref().and_then(AlertId::parse);
        id = replaced_by.unwrap_or(subject.id);
    }
    let withdrawn = ledger.withdraw(&id, sender).await.map_err(AlertRejection::from)?;
    let asked = id.clone();
    let is_series = matches!(withdrawn, Withdrawn::PartOfSeries(_));
    let (id, withdrawn) = match withdrawn {
        Withdrawn::PartOfSeries(first) => {
            end_series(&ledger, id, &first).await.map_err(AlertRejection::from)?
        }
        withdrawn => (id, withdrawn),
    };
    let mut state = match withdrawn {
        Withdrawn::Yes => Shown::Cancelling,
        Withdrawn::Unseen => Shown::CancelledUnseen,
        Withdrawn::Done => Shown::Status(Status::Cancelled),
        Withdrawn::TooLate(status) => return Err(AlertRejection::AlertIsOver(status).into()),
        Withdrawn::Unknown | Withdrawn::PartOfSeries(_) => return Err(AlertRejection::NoSuchAlert.into()),
    };
    // The bot also records the cancellation in the list of recent withdrawals (such as cancelled alerts and
    // people's `stop` commands). A run reads this list with one storage call. Without the list, the run would
    // have to read the record of each alert that the run dequeues.
    let withdrawal = Withdrawal::Cancelled(id.as_str().to_owned());
    settings.withdrawals(host, deadline).record(&withdrawal).await.map_err(AlertRejection::from)?;
    let queue = QueueClient::new(host, &settings.queue.account, &settings.queue.name, deadline);
    let is_open = matches!(state, Shown::Cancelling | Shown::CancelledUnseen);
    // If the queue is empty, no run can still dequeue the alert. So the bot then looks for the final status
    // of the alert. For a series (an alert that recurs), the bot does not look at the queue, because perhaps
    // a run is about to put the next alert of the series on the queue.
    if is_open && !is_series && matches!(queue.approximate_count().await, Ok(0)) {
        match ended_meanwhile(host, &ledger, &id).await.map_err(AlertRejection::from)? {
            None => {}
            Some(Status::Cancelled) => state = Shown::Status(Status::Cancelled),
            Some(ended) => return Err(AlertRejection::AlertIsOver(ended).into()),
        }
    }
    caller.event(host, Level::Info, "alert.cancelling", json!({"envelope": id.as_str()}));
    let mut body = json!({"id": asked.as_str(), "status": state.as_str()});
    if state == Shown::CancelledUnseen {
        body["uncertain"] = true.into();
    }
    Ok(response::json(StatusCode::ACCEPTED, &body).into())
}

/// Reads the parameter `sent` of the query.
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

/// Ends a series (an alert that recurs), and cancels the newest alert of the series. `id` is the alert that
/// the caller named, and `first` is the first alert of the series. Returns the id of the cancelled alert, and
/// the result of the cancellation.
async fn end_series<H: Host>(
    ledger: &Ledger<'_, H>,
    id: AlertId,
    first: &AlertId,
) -> Result<(AlertId, Withdrawn), TableError> {
    let record = ledger.end_series(first).await?;
    let open = match record.as_ref().map(Record::following) {
        Some(Following::First) => first.clone(),
        Some(Following::Alert(next)) => next,
        // No further alert follows. But perhaps the alert that the caller named still waits on the queue.
        Some(Following::Nothing) | None => id,
    };
    let withdrawn = match ledger.withdraw_of_series(&open).await? {
        // When the bot read `record`, the alert `open` was the newest alert of the series. Then a run put the
        // following alert on the queue, and sent the alert `open`. But the bot has ended the series. When a
        // run dequeues the following alert, the run sees that the series has ended, and does not send the
        // following alert. So the cancellation is not too late.
        Withdrawn::TooLate(_)
            if record.is_some_and(|record| {
                record.series_ended_at.is_none() && record.following() != Following::Nothing
            }) =>
        {
            Withdrawn::Yes
        }
        withdrawn => withdrawn,
    };
    Ok((open, withdrawn))
}

/// Returns the final status of a cancelled alert, or `None` if the alert has no final status yet. The bot
/// calls this function after the bot has found the queue empty, so no run can still dequeue the alert.
///
/// Perhaps a run has already dequeued the alert. So the function first waits until this run has had time to
/// record the result. If the ledger then has no result, the alert still has a final status in two cases:
///
/// - The bot does not know whether the alert's Put (the call that puts a message on the queue) succeeded. The
///   queue is empty, so the queue does not hold the alert. The alert counts as cancelled.
/// - The cancellation is older than [`DROPPED_WITHIN`]. If a run had dequeued the alert after the
///   cancellation, the run would have dropped the alert, and would usually have recorded the drop. So the bot
///   assumes that a run delivered the alert before the cancellation, and was killed before it could record
///   the delivery. The alert counts as delivered.
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
