//! `GET /api/status`: the status of the bot, for a person or a probe.

use bot_framework::json::put;
use chrono::{DateTime, SecondsFormat, Utc};
use http::StatusCode;
use platform::{Host, response};
use serde_json::{Map, Value, json};
use state::ledger::Status;
use state::runs::{Figures, LastRun, Overview};

use super::super::caller::Caller;
use super::super::grant::Scope;
use super::problems::problems;
use super::snapshot::{Snapshot, time};
use crate::answered::Answered;
use crate::rejection::Rejection;

/// The statuses with which an alert can leave the queue, except `dead`. The response has a count for each of
/// these statuses, even if the count is zero. For `dead`, the response has a count for each reason instead.
pub(super) const ENDED: [Status; 7] = [
    Status::Delivered,
    Status::Cancelled,
    Status::Expired,
    Status::Stopped,
    Status::Dropped,
    Status::Replaced,
    Status::Withdrawn,
];

pub(in super::super) async fn get<H: Host>(host: &H, caller: &Caller) -> Result<Answered, Rejection> {
    caller.require(Scope::Watch)?;
    let snapshot = Snapshot::read(host).await?;
    Ok(response::json(StatusCode::OK, &shown(&snapshot)).into())
}

/// The JSON for the response. If the bot could not read a part of the state, the part is null, and `problems`
/// has the reason.
fn shown(snapshot: &Snapshot) -> Value {
    let mut status = Map::new();
    put(&mut status, "now", Some(rfc_3339(snapshot.now)));
    put(&mut status, "versions", Some(json!({"bot": env!("CARGO_PKG_VERSION")})));
    let queue = snapshot.queue.as_ref().ok().map(|backlog| {
        let mut queue = Map::new();
        put(&mut queue, "name", Some(snapshot.queue_name.as_str()));
        put(&mut queue, "messages", Some(backlog.messages));
        put(&mut queue, "oldestSeconds", snapshot.oldest_age().map(|age| age.as_secs()));
        queue
    });
    status.insert("queue".into(), queue.into());
    let dead = snapshot.dead_messages.as_ref().ok().map(|messages| json!({"messages": messages}));
    status.insert("dead".into(), dead.into());
    match &snapshot.runs {
        Ok(overview) => add_runs(&mut status, snapshot, overview),
        Err(_) => {
            for part in
                ["running", "lastRun", "clockSkewSeconds", "hostsOut", "pausedConversations", "totals"]
            {
                status.insert(part.into(), Value::Null);
            }
        }
    }
    let token = snapshot.token_kept_until.map(|until| json!({"until": rfc_3339(until)}));
    put(&mut status, "token", token);
    put(&mut status, "problems", Some(problems(snapshot)));
    status.into()
}

fn add_runs(status: &mut Map<String, Value>, snapshot: &Snapshot, overview: &Overview) {
    let figures = &overview.figures;
    put(status, "running", Some(overview.is_running));
    let paused =
        overview.pause.map(|(reason, until)| json!({"reason": reason.as_str(), "until": rfc_3339(until)}));
    put(status, "paused", paused);
    status.insert("lastRun".into(), last_run(&figures.last_run));
    put(status, "idleAt", overview.idle_at.map(rfc_3339));
    put(status, "lastSuccessAt", snapshot.last_success_at().map(rfc_3339));
    put(status, "lastDeliveryAt", time(figures.delivered_at).map(rfc_3339));
    put(status, "clockSkewSeconds", Some(overview.clock_skew.num_seconds()));
    put(status, "hostsOut", Some(figures.hosts_out.clone()));
    let paused: Vec<_> = figures
        .paused
        .iter()
        .filter_map(|paused| Some((paused, time(paused.until).filter(|until| *until > snapshot.now)?)))
        .map(|(paused, until)| json!({"conversation": paused.conversation, "until": rfc_3339(until)}))
        .collect();
    put(status, "pausedConversations", Some(paused));
    put(status, "totals", Some(totals(figures)));
}

fn last_run(run: &LastRun) -> Value {
    if run.id.is_empty() {
        return Value::Null;
    }
    let mut shown = Map::new();
    put(&mut shown, "id", Some(run.id.as_str()));
    put(&mut shown, "entryPoint", Some(run.entry_point.as_str()));
    put(&mut shown, "beganAt", time(run.began_at).map(rfc_3339));
    put(&mut shown, "endedAt", time(run.ended_at).map(rfc_3339));
    put(&mut shown, "received", Some(run.received));
    put(&mut shown, "delivered", Some(run.delivered));
    put(&mut shown, "failure", Some(run.failure.as_str()).filter(|failure| !failure.is_empty()));
    shown.into()
}

fn totals(figures: &Figures) -> Map<String, Value> {
    let mut totals: Map<String, Value> =
        ENDED.iter().map(|status| (status.as_str().to_owned(), 0.into())).collect();
    // A newer poller can count statuses that this bot does not know. Perhaps such a status has the name of a
    // member below, e.g. `since`. So the function adds the statuses first. A member below then replaces a
    // status of the same name.
    totals.extend(figures.ended.iter().map(|(status, count)| (status.clone(), (*count).into())));
    put(&mut totals, "foundAgain", Some(figures.found_again).filter(|count| *count > 0));
    put(&mut totals, "since", time(figures.since).map(rfc_3339));
    put(&mut totals, "accepted", Some(figures.accepted));
    put(&mut totals, "dead", Some(json!(figures.dead)));
    put(&mut totals, "waits", Some(json!(figures.waits)));
    totals
}

fn rfc_3339(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Millis, true)
}
