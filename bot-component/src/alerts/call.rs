//! `POST /api/alerts`: from a call to envelopes on the queue.

use std::time::Duration;

use address_book::ConversationKey;
use bot_framework::json::Fields;
use bytes::Bytes;
use envelope::{CALLED, Envelope, EnvelopeId, TooLarge};
use http::{Request, Response, StatusCode};
use platform::{Deadline, Host, Level, RequestBody, answer, name_of};
use serde_json::{Value, json};
use storage_queue::PutOptions;

use super::body::{AlertCall, Identity};
use super::rejection::AlertRejection;
use super::target::{self, Held, Target};
use crate::answered::Answered;
use crate::messages::{MAX_BODY_BYTES, is_json};
use crate::outbox::{Outbox, put_options};
use crate::rejection::Rejection;
use crate::settings::{BotSettings, CallerSettings};

/// Hosted platforms end a request after 30 s.
const STORE_WITHIN: Duration = Duration::from_secs(20);

pub(super) async fn post<H: Host>(
    host: &H,
    request: Request<impl RequestBody>,
) -> Result<Answered, Rejection> {
    let settings = BotSettings::read(host, CallerSettings::read(host)?)?;
    let (head, body) = request.into_parts();
    if !is_json(&head.headers) {
        return Err(Rejection::NotJson);
    }
    let fields = Fields::parse(&body.read(MAX_BODY_BYTES).await?).map_err(AlertRejection::from)?;
    let identity = Identity::of(&fields);
    let earlier = match &identity {
        Some(identity) => Earlier::find(host, identity).await?,
        None => None,
    };
    if let Some(earlier) = earlier.as_ref().filter(|earlier| earlier.is_complete()) {
        host.event(Level::Info, "alerts.repeated", json!({"alerts": earlier.alerts.len()}));
        return Ok(accepted(&earlier.alerts).into());
    }
    let mut call = AlertCall::read(fields, host.now())?;
    let targets = target::resolve(host, &settings.trust, std::mem::take(&mut call.to)).await?;
    let mut alerts = Alert::make_all(host, &settings, &call, identity.as_ref(), targets)?;
    let outbox = Outbox::new(host, &settings.queue, Deadline::after(host, STORE_WITHIN));
    put_all(host, &outbox, &mut alerts, earlier.as_ref()).await;
    let shown: Vec<_> = alerts.iter().map(Alert::shown).collect();
    if let Some(identity) = &identity {
        remember(host, identity, &shown).await;
    }
    let count = |state| alerts.iter().filter(|alert| alert.state == state).count();
    let (queued, failed) = (count(State::Queued), count(State::Failed));
    host.event(
        if failed > 0 { Level::Error } else { Level::Info },
        "alerts.queued",
        json!({"queued": queued, "failed": failed, "held": alerts.len() - queued - failed}),
    );
    let kick = settings.kick.clone().filter(|_| outbox.has_due());
    if failed == 0 {
        return Ok(Answered::with_kick(accepted(&shown), kick));
    }
    let message = match queued {
        0 => "the queue cannot be reached; nothing was queued".to_owned(),
        _ => format!(
            "the queue did not take {failed} of {} alerts; send the same call again, with an idempotencyKey, for the rest",
            queued + failed
        ),
    };
    let error = json!({"code": "QueueUnavailable", "message": message});
    let answer = answer::json(StatusCode::SERVICE_UNAVAILABLE, &json!({"error": error, "alerts": shown}));
    Ok(Answered::with_kick(answer, kick))
}

fn accepted(alerts: &[Value]) -> Response<Bytes> {
    answer::json(StatusCode::ACCEPTED, &json!({ "alerts": alerts }))
}

/// What becomes of one conversation's alert.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Waiting,
    Queued,
    Failed,
    Held(Held),
}

/// One conversation's alert on its way.
#[derive(Debug)]
struct Alert {
    key: ConversationKey,
    id: EnvelopeId,
    /// The queue message.
    text: String,
    options: PutOptions,
    state: State,
}

impl Alert {
    /// Every alert of a call. That one of them does not fit is found before any is queued.
    fn make_all<H: Host>(
        host: &H,
        settings: &BotSettings,
        call: &AlertCall,
        identity: Option<&Identity>,
        targets: Vec<Target>,
    ) -> Result<Vec<Self>, AlertRejection> {
        let now = host.now();
        let make = |target: Target| {
            let id = match identity {
                Some(call) => EnvelopeId::of_call(&call.idempotency_key, target.key.as_str()),
                None => {
                    let mut bytes = [0; 16];
                    host.fill(&mut bytes);
                    EnvelopeId::random(bytes)
                }
            };
            let mut envelope = Envelope::new(id, target.address, call.text.as_str(), now);
            envelope.activity = call.activity.clone();
            (envelope.not_before, envelope.expires) = (call.due, call.expires);
            envelope.on_uncertain = call.on_uncertain;
            (envelope.cancellable, envelope.stoppable) = (true, true);
            // A repeated call can put it there again: the caller was cut off, or called twice at once.
            envelope.once = identity.is_some();
            let text = envelope
                .encode(settings.seal_key.as_ref())
                .map_err(|TooLarge { json_bytes }| AlertRejection::TooLarge { json_bytes })?;
            let state = target.held.map_or(State::Waiting, State::Held);
            Ok(Self { key: target.key, options: put_options(&envelope, now), id: envelope.id, text, state })
        };
        targets.into_iter().map(make).collect()
    }

    /// What the caller learns of it.
    fn shown(&self) -> Value {
        let conversation = self.key.as_str();
        match self.state {
            State::Held(why) => json!({"conversation": conversation, "status": why.as_str()}),
            State::Queued => {
                json!({"id": self.id.as_str(), "conversation": conversation, "status": "queued"})
            }
            State::Waiting | State::Failed => {
                json!({"id": self.id.as_str(), "conversation": conversation, "status": "failed"})
            }
        }
    }
}

/// Puts the alerts on the queue, several at once, but those that an earlier call has put there.
async fn put_all<H: Host>(host: &H, outbox: &Outbox<'_, H>, alerts: &mut [Alert], earlier: Option<&Earlier>) {
    for alert in alerts.iter_mut().filter(|alert| alert.state == State::Waiting) {
        let has_queued = earlier.is_some_and(|earlier| earlier.has_queued(alert));
        alert.state = if has_queued { State::Queued } else { State::Failed };
    }
    let waiting = alerts.iter_mut().filter(|alert| alert.state == State::Failed);
    let put = async |outbox: &Outbox<'_, H>, alert: &mut Alert| {
        match outbox.put(&alert.text, alert.options).await {
            Ok(()) => alert.state = State::Queued,
            Err(error) => {
                let fields = json!({"envelope": alert.id.as_str(), "reason": error.to_string()});
                host.event(Level::Error, "queue.put.failed", fields);
            }
        }
        alert.state == State::Queued
    };
    outbox.put_all(waiting, put).await;
}

/// An earlier call with the same idempotency key and the same body.
#[derive(Debug)]
struct Earlier {
    /// What it was answered, alert by alert.
    alerts: Vec<Value>,
}

impl Earlier {
    async fn find(host: &impl Host, call: &Identity) -> Result<Option<Self>, AlertRejection> {
        let name = name_of(&[&call.idempotency_key]);
        let Some(mut note) = CALLED.note(host, &name).await? else { return Ok(None) };
        if note["body"] != call.fingerprint.as_str() {
            return Err(AlertRejection::IdempotencyKeyReused);
        }
        let Value::Array(alerts) = note["alerts"].take() else { return Ok(None) };
        Ok(Some(Self { alerts }))
    }

    fn is_complete(&self) -> bool {
        self.alerts.iter().all(|alert| alert["status"] != "failed")
    }

    fn has_queued(&self, alert: &Alert) -> bool {
        self.alerts.iter().any(|queued| queued["status"] == "queued" && queued["id"] == alert.id.as_str())
    }
}

/// Keeps what was answered. Where that fails, a repeated call puts the same ids on the queue again, and the poller sends
/// each once.
async fn remember(host: &impl Host, call: &Identity, alerts: &[Value]) {
    let note = json!({"body": call.fingerprint, "alerts": alerts});
    if let Err(error) = CALLED.set_with(host, &name_of(&[&call.idempotency_key]), note).await {
        host.event(Level::Warn, "alerts.not-remembered", json!({"reason": error.to_string()}));
    }
}
