//! `GET /api/alerts/{id}`: the status of one alert. With the parameter `wait`, the bot first waits for
//! a change of the status. If the alert asks a question, the delivery does not end this wait. The bot waits
//! for at most the time `wait`.

use std::time::Duration;

use bot_framework::json::{FieldError, put};
use chrono::{DateTime, SecondsFormat, Utc};
use envelope::{Answer, Delivery};
use http::StatusCode;
use platform::{Deadline, Host, Level, response, value_of};
use serde_json::{Map, Value, json};
use state::ledger::{AlertId, Ledger, Record, Shown, Status};
use state::{ConversationKey, Conversations, MessageNumber, Reception};
use url::form_urlencoded;

use super::caller::Caller;
use crate::answered::Answered;
use crate::pressing;
use crate::rejection::{AlertRejection, Rejection};
use crate::settings::{BotSettings, CallerSettings};

/// The highest value of the parameter `wait`, in seconds.
const MAX_WAIT_SECONDS: u64 = 30;

/// The longest time for the whole request. Hosted platforms end a request after 30 s.
const RESPONSE_WITHIN: Duration = Duration::from_secs(25);

/// The longest time for which the bot waits, even if `wait` is longer. The bot needs the rest of
/// [`RESPONSE_WITHIN`] to read the alert's record for the last time.
const WAIT_WITHIN: Duration = Duration::from_secs(23);

/// The pause before the bot reads the alert's record for the second time. Each further pause is twice as
/// long, up to [`LONGEST_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_millis(250);
/// The longest pause before the bot reads the record again.
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

pub(super) async fn get<H: Host>(
    host: &H,
    id: &str,
    query: &str,
    caller: &Caller,
) -> Result<Answered, Rejection> {
    let begin = host.monotonic();
    let id = AlertId::parse(id).ok_or(AlertRejection::NoSuchAlert)?;
    let wait = read_wait(query).map_err(AlertRejection::from)?.min(WAIT_WITHIN);
    let settings = BotSettings::open(host, CallerSettings::read(host)?).await?;
    let deadline = Deadline::after(host, RESPONSE_WITHIN);
    let ledger = Ledger::new(host, &settings.queue.account, &settings.tables, deadline);
    let mut record = find(&ledger, &id, caller).await?.ok_or(AlertRejection::NoSuchAlert)?;
    let first = record.shown(host.now());
    let mut pause = FIRST_PAUSE;
    while waits_on(&record, &first, host.now()) {
        let left = wait.saturating_sub(host.monotonic().saturating_sub(begin));
        if left.is_zero() {
            break;
        }
        host.sleep(pause.min(left)).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
        match find(&ledger, &id, caller).await {
            Ok(Some(found)) => record = found,
            Ok(None) => return Err(AlertRejection::NoSuchAlert.into()),
            // The caller gets the last status that the bot has read, because a status tells more than an
            // error.
            Err(_) => break,
        }
    }
    let mut alert = shown(&record, host.now());
    if let Some(sealed) = &record.answer {
        let keys = pressing::keys(host, &settings)?;
        let answer = Answer::open(&keys, id.as_str(), "", sealed);
        put(&mut alert, "answer", answer.map(|answer| answer.to_json()));
    }
    add_feedback(host, &settings.conversations(host, deadline), &record, &mut alert).await;
    Ok(response::json(StatusCode::OK, &alert.into()).into())
}

/// Whether the bot has to wait longer before it responds. `first` is the status at the first read.
///
/// - If the alert asks a question, and its status is queued, waiting or delivered, the bot waits longer. So
///   the delivery does not end the wait.
/// - Otherwise, the bot waits longer if the status is still `first`, and can still change.
fn waits_on(record: &Record, first: &Shown, now: DateTime<Utc>) -> bool {
    let state = record.shown(now);
    match state {
        Shown::Status(Status::Delivered | Status::Queued | Status::Waiting) if record.question.is_some() => {
            true
        }
        _ => !record.is_settled(now) && state == *first,
    }
}

/// Adds people's feedback (seen, reactions, replies) to the JSON of a delivered alert. If the table service
/// fails, the response has no feedback, because the status matters more.
async fn add_feedback<H: Host>(
    host: &H,
    conversations: &Conversations<'_, H>,
    record: &Record,
    alert: &mut Map<String, Value>,
) {
    // Only chat messages on Teams have a number as their id, and only Teams reports feedback.
    let activity_id = record.activity_id.as_deref().filter(|id| MessageNumber::parse(id).is_some());
    let Some(activity_id) = activity_id else { return };
    let Some(conversation) = ConversationKey::parse(&record.conversation) else { return };
    match conversations.feedback(&conversation).await {
        Ok(feedback) => {
            let Reception { seen_at, reactions, replies } = feedback.of(activity_id);
            put(alert, "seenAt", seen_at.map(time));
            put(alert, "reactions", Some(reactions).filter(|count| *count > 0));
            put(alert, "replies", Some(replies).filter(|count| *count > 0));
        }
        Err(error) => {
            host.event(Level::Warn, "feedback.not-read", json!({"reason": error.to_string()}));
        }
    }
}

/// Reads the record of an alert. Returns `None` if the ledger (the table with one record for each alert) has
/// no such record, or if the caller is not allowed to see the alert.
async fn find<H: Host>(
    ledger: &Ledger<'_, H>,
    id: &AlertId,
    caller: &Caller,
) -> Result<Option<Record>, AlertRejection> {
    let record = ledger.find(id).await?;
    Ok(record.filter(|record| is_alert(record) && caller.sight().includes(record.key.as_deref())))
}

/// Whether the record belongs to an alert that the bot accepted. The ledger also has records without an
/// alert.
///
/// For example, the bot splits the conversations of an API call into pages of at most 100. A page is empty
/// if earlier pages already have all its conversations. If the call has an idempotency key, the bot inserts a
/// record for the empty page. Because of this record, the page is also empty when the program repeats the
/// call.
pub(super) fn is_alert(record: &Record) -> bool {
    record.accepted_at.is_some() && record.call.as_ref().is_none_or(|call| call.alerts > 0)
}

/// Reads the parameter `wait` of the query, in seconds.
fn read_wait(query: &str) -> Result<Duration, FieldError> {
    let mut wait = Duration::ZERO;
    for (name, value) in form_urlencoded::parse(query.as_bytes()) {
        let error = |expected| FieldError { path: name.to_string(), expected };
        match name.as_ref() {
            "wait" => {
                let seconds = value.parse().ok().filter(|seconds| (1..=MAX_WAIT_SECONDS).contains(seconds));
                wait = Duration::from_secs(seconds.ok_or_else(|| error("a number of seconds from 1 to 30"))?);
            }
            _ => return Err(error("no parameter other than wait")),
        }
    }
    Ok(wait)
}

/// The JSON of an alert.
pub(super) fn shown(record: &Record, now: DateTime<Utc>) -> Map<String, Value> {
    let state = record.shown(now);
    let mut alert = Map::new();
    put(&mut alert, "id", Some(record.id.as_str()));
    put(&mut alert, "status", Some(state.as_str()));
    put(&mut alert, "conversation", Some(record.conversation.as_str()));
    put(&mut alert, "acceptedAt", record.accepted_at.map(time));
    put(&mut alert, "changedAt", changed_at(record).map(time));
    put(
        &mut alert,
        "dueAt",
        record.due_at.filter(|due| record.accepted_at.is_some_and(|at| *due > at)).map(time),
    );
    put(&mut alert, "keptUntil", record.ends_at.map(time));
    put(&mut alert, "reason", reason(record, &state));
    put(&mut alert, "attempts", attempts(record));
    let is_uncertain = record.uncertain || matches!(state, Shown::CancelledUnseen | Shown::DeliveredUnseen);
    put(&mut alert, "uncertain", is_uncertain.then_some(true));
    put(&mut alert, "activityId", record.activity_id.as_deref());
    put(&mut alert, "sender", record.key.as_deref());
    put(&mut alert, "tag", record.tag.as_deref());
    put(&mut alert, "changes", record.changes.as_deref());
    put(&mut alert, "replacedBy", record.replaced_by.as_deref());
    put(&mut alert, "series", record.series.as_deref());
    alert
}

/// The time at which the poller or the bot last changed the status.
fn changed_at(record: &Record) -> Option<DateTime<Utc>> {
    [record.changed_at, record.cancelled_at, record.failed_at, record.unconfirmed_at, record.answered_at]
        .into_iter()
        .flatten()
        .max()
}

/// The reason why the alert has its present status. The record can still have the reason of an earlier
/// status. For example, the alert was in the poison queue, and the poller delivered the alert later. So for
/// some statuses, such as `delivered`, the function can leave out the recorded reason.
fn reason<'r>(record: &'r Record, state: &Shown) -> Option<&'r str> {
    let recorded = record.reason.as_deref();
    match state {
        Shown::Status(Status::Queued | Status::Failed | Status::Unconfirmed) => None,
        // A reason that begins with `key: ` explains a delivery. This `key` is the member `key` of an API
        // call, not the name of an API key. Alerts with the same `key` usually share one chat message. For
        // example, the reason says that the poller has sent a new chat message, because the messaging service
        // cannot change a chat message.
        Shown::Status(Status::Delivered | Status::Answered) => {
            recorded.filter(|reason| record.uncertain || reason.starts_with("key: "))
        }
        state => state.reason().or(recorded),
    }
}

/// The number of attempts that failed or whose result is unknown. `None` if the ledger has recorded no such
/// attempt.
fn attempts(record: &Record) -> Option<u32> {
    let mut delivery = Delivery::default();
    delivery.raise_to(&value_of(record.tried.as_deref()?.as_bytes())?);
    Some(delivery.attempts()).filter(|attempts| *attempts > 0)
}

fn time(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Millis, true)
}

#[cfg(test)]
mod tests;
