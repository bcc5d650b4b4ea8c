//! `GET /metrics`: the metrics of the bot, as OpenMetrics text.
//!
//! Names, units and types follow <https://prometheus.io/docs/practices/naming/>. If the bot could not read a
//! queue, the metrics from this queue have no samples (values), and `proactivebot_storage_up` is 0 for the
//! service `queue`. The same is true for the tables and the service `table`.

use std::collections::BTreeMap;

use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderValue, StatusCode};
use platform::{Host, response};
use state::ledger::Status;
use state::runs::{DELAY_BOUNDS_MILLISECONDS, Figures, Overview, PauseReason};

use super::super::caller::Caller;
use super::super::grant::Scope;
use super::openmetrics::{self, Decimal, Exposition, Kind};
use super::snapshot::{Snapshot, time};
use super::status::ENDED;
use crate::answered::Answered;
use crate::rejection::Rejection;

/// Reasons for which an alert waits for another attempt. The metric `proactivebot_alert_waits` has a value
/// for each of these reasons. If [`Figures::waits`] has no count for a reason, the value is zero.
const WAITS: [&str; 6] = ["hostOut", "notDue", "notInstalled", "possiblyDelivered", "retried", "throttled"];

pub(in super::super) async fn get<H: Host>(host: &H, caller: &Caller) -> Result<Answered, Rejection> {
    caller.require(Scope::Watch)?;
    let snapshot = Snapshot::read(host).await?;
    let mut response = response::empty(StatusCode::OK);
    *response.body_mut() = exposition(&snapshot).into();
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(openmetrics::CONTENT_TYPE));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response.into())
}

fn exposition(snapshot: &Snapshot) -> String {
    let mut text = Exposition::default();
    text.family("proactivebot_build", Kind::Info, "", "The version of the bot.")
        .info(&[("version", env!("CARGO_PKG_VERSION"))]);
    let mut up = text.family(
        "proactivebot_storage_up",
        Kind::Gauge,
        "",
        "1 if the bot could read this service of the storage account, else 0.",
    );
    let are_queues_up = snapshot.queue.is_ok() && snapshot.dead_messages.is_ok();
    up.gauge(&[("service", "queue")], u8::from(are_queues_up));
    up.gauge(&[("service", "table")], u8::from(snapshot.runs.is_ok()));
    add_queues(&mut text, snapshot);
    if let Ok(overview) = &snapshot.runs {
        add_counters(&mut text, &overview.figures);
        add_delays(&mut text, &overview.figures);
        add_state(&mut text, snapshot, overview);
    }
    text.finish()
}

fn add_queues(text: &mut Exposition, snapshot: &Snapshot) {
    let mut messages = text.family(
        "proactivebot_queue_messages",
        Kind::Gauge,
        "",
        "Messages on the queue (main) and on the poison queue (poison), hidden messages included.",
    );
    let main = snapshot.queue.as_ref().map(|backlog| backlog.messages);
    for (queue, count) in [("main", main), ("poison", snapshot.dead_messages.as_ref().copied())] {
        if let Ok(count) = count {
            messages.gauge(&[("queue", queue)], count);
        }
    }
    if snapshot.queue.is_ok() {
        text.family(
            "proactivebot_queue_oldest_message_age_seconds",
            Kind::Gauge,
            "seconds",
            "The time since the oldest visible message was put on the queue. 0 if no message is visible.",
        )
        .gauge(&[], snapshot.oldest_age().unwrap_or_default().as_secs());
    }
}

fn add_counters(text: &mut Exposition, figures: &Figures) {
    let since = time(figures.since);
    let mut counters = |name, help, label: &str, values: &BTreeMap<&str, u64>| {
        let mut family = text.family(name, Kind::Counter, "", help);
        for (value, count) in values {
            let labels = [(label, *value)];
            family.counter(if label.is_empty() { &[] } else { &labels }, *count, since);
        }
    };
    counters(
        "proactivebot_alerts_accepted",
        "Messages that the poller has dequeued. A message counts once, even if it is dequeued several times.",
        "",
        &BTreeMap::from([("", figures.accepted)]),
    );
    let ended = ended(figures);
    let delivered = ended.get(Status::Delivered.as_str()).copied().unwrap_or_default();
    counters(
        "proactivebot_alerts_delivered",
        "Alerts that the Connector has accepted.",
        "",
        &BTreeMap::from([("", delivered)]),
    );
    counters(
        "proactivebot_alerts_ended",
        "Messages that have left the queue, by the final status of their alert. copy: the second of two \
         messages of one alert; the first message had already ended the alert. unrecorded: a killed run has \
         probably deleted the message, and the final status is unknown.",
        "status",
        &ended,
    );
    counters(
        "proactivebot_alerts_found_again",
        "Messages that were counted as ended by mistake, because a run was killed. A later run has dequeued \
         each of these messages again.",
        "",
        &BTreeMap::from([("", figures.found_again)]),
    );
    let dead = figures.dead.iter().map(|(reason, count)| (reason.as_str(), *count)).collect();
    counters(
        "proactivebot_alerts_dead",
        "Alerts that the poller has moved to the poison queue, by the reason.",
        "reason",
        &dead,
    );
    let mut waits = BTreeMap::from(WAITS.map(|reason| (reason, 0)));
    waits.extend(figures.waits.iter().map(|(reason, count)| (reason.as_str(), *count)));
    counters(
        "proactivebot_alert_waits",
        "Attempts after which the alert waits for another attempt, by the reason.",
        "reason",
        &waits,
    );
}

/// The numbers of messages that have left the queue, by the final status of their alert. [`Figures::dead`]
/// has a count for each reason. The number for `dead` is the sum of these counts.
fn ended(figures: &Figures) -> BTreeMap<&str, u64> {
    let mut ended = BTreeMap::from(ENDED.map(|status| (status.as_str(), 0)));
    ended.extend(figures.ended.iter().map(|(status, count)| (status.as_str(), *count)));
    let dead = figures.dead.values().fold(0, |sum: u64, count| sum.saturating_add(*count));
    ended.insert(Status::Dead.as_str(), dead);
    ended
}

fn add_delays(text: &mut Exposition, figures: &Figures) {
    let delays = &figures.delays;
    let bounds = DELAY_BOUNDS_MILLISECONDS.map(Decimal::seconds_of_milliseconds);
    text.family(
        "proactivebot_delivery_delay_seconds",
        Kind::Histogram,
        "seconds",
        "The time until the Connector accepted an alert. It begins when the bot accepted the alert, or at the \
         due time if the alert was due later.",
    )
    .histogram(
        bounds.into_iter().zip(delays.buckets),
        delays.count,
        Decimal::seconds_of_milliseconds(delays.sum_milliseconds),
        time(figures.since),
    );
}

fn add_state(text: &mut Exposition, snapshot: &Snapshot, overview: &Overview) {
    let figures = &overview.figures;
    let mut moment = |name, help, at: Option<_>| {
        if let Some(at) = at {
            text.family(name, Kind::Gauge, "seconds", help).gauge(&[], Decimal::seconds_since_1970(at));
        }
    };
    moment(
        "proactivebot_last_success_timestamp_seconds",
        "When a run of the poller last ended without a failure, or found nothing to do.",
        snapshot.last_success_at(),
    );
    moment(
        "proactivebot_last_delivery_timestamp_seconds",
        "When the Connector last accepted an alert.",
        time(figures.delivered_at),
    );
    text.family(
        "proactivebot_poller_running",
        Kind::Gauge,
        "",
        "1 while a run of the poller holds the run lock, else 0.",
    )
    .gauge(&[], u8::from(overview.is_running));
    let mut paused = text.family(
        "proactivebot_poller_paused",
        Kind::Gauge,
        "",
        "1 while this reason keeps the runs from working, else 0.",
    );
    let active = overview.pause.map(|(reason, _)| reason);
    for reason in [PauseReason::CredentialsRefused, PauseReason::NoToken] {
        paused.gauge(&[("reason", reason.as_str())], u8::from(active == Some(reason)));
    }
    text.family(
        "proactivebot_connector_hosts_out",
        Kind::Gauge,
        "",
        "Hosts of the Connector that did not answer when the last run ended.",
    )
    .gauge(&[], figures.hosts_out.len());
    text.family(
        "proactivebot_clock_skew_seconds",
        Kind::Gauge,
        "seconds",
        "How much the clock of the bot's host is ahead of the clock of the table service.",
    )
    .gauge(&[], overview.clock_skew.num_seconds());
}
