//! `POST /api/alerts`: from a call to records in the ledger and envelopes on the queue.

use std::collections::BTreeMap;
use std::time::Duration;

use bot_framework::ConversationReference;
use bot_framework::json::Fields;
use chrono::{DateTime, Utc};
use envelope::{Envelope, EnvelopeId, TooLarge};
use http::{Request, StatusCode};
use platform::{Deadline, Host, Level, RequestBody, answer};
use serde_json::{Value, json};
use state::ledger::{AlertId, CallId, Ledger, NewAlert, Period, Record, Status};
use storage_queue::PutOptions;
use storage_table::TableError;

use super::body::{AlertCall, Identity};
use super::identity::{self, Met};
use super::target::{self, Target};
use crate::answered::Answered;
use crate::limits::MAX_BODY_BYTES;
use crate::outbox::{Outbox, put_options};
use crate::rejection::{AlertRejection, Rejection};
use crate::request::expect_json;
use crate::settings::{BotSettings, CallerSettings};

/// Hosted platforms end a request after 30 s.
const STORE_WITHIN: Duration = Duration::from_secs(20);

pub(super) async fn post<H: Host>(
    host: &H,
    request: Request<impl RequestBody>,
) -> Result<Answered, Rejection> {
    let settings = BotSettings::open(host, CallerSettings::read(host)?).await?;
    let (head, body) = request.into_parts();
    expect_json(&head.headers)?;
    let fields = Fields::parse(&body.read(MAX_BODY_BYTES).await?).map_err(AlertRejection::from)?;
    let identity = Identity::of(&fields);
    let deadline = Deadline::after(host, STORE_WITHIN);
    let ledger = Ledger::new(host, &settings.queue.account, &settings.tables, deadline);
    let accepted = match Draft::read(host, &settings, fields).await {
        Ok(draft) => accept(host, &settings, &ledger, &draft, identity.as_ref()).await?,
        // The first call may have been proper an hour ago; this one, with the same times in it, is too late.
        Err(rejection) => match earlier(host, &ledger, identity.as_ref()).await? {
            Some(alerts) => alerts,
            None => return Err(rejection),
        },
    };
    put(host, &settings, &ledger, deadline, accepted).await
}

/// A call that makes sense, and the conversations that it means.
struct Draft {
    call: AlertCall,
    targets: Vec<Target>,
    now: DateTime<Utc>,
}

impl Draft {
    async fn read<H: Host>(host: &H, settings: &BotSettings, fields: Fields) -> Result<Self, Rejection> {
        let now = host.now();
        let mut call = AlertCall::read(fields, now)?;
        let targets = target::resolve(host, settings, std::mem::take(&mut call.to)).await?;
        Ok(Self { call, targets, now })
    }

    /// Every alert of the call. That one of them does not fit is found before any is accepted.
    fn alerts(
        &self,
        settings: &BotSettings,
        id: &CallId,
        identity: Option<&Identity>,
    ) -> Result<Vec<Alert>, AlertRejection> {
        let alerts = (0..).zip(&self.targets).map(|(index, target)| {
            let id = id.alert(index);
            let alert = NewAlert {
                id: id.clone(),
                conversation: target.key.as_str().to_owned(),
                status: target.held.map_or(Status::Queued, target::Held::status),
                until: self.call.due.max(self.call.expires),
                call: identity.filter(|_| index == 0).map(|identity| identity.note(self.targets.len())),
            };
            let message = match target.held {
                Some(_) => None,
                // A call with a key may be repeated while its Put is under way.
                None => Some(self.message(settings, &id, &target.address, self.now, identity.is_some())?),
            };
            Ok(Alert { alert, message, status: Status::Queued, is_again: false })
        });
        alerts.collect()
    }

    /// The message of one alert, with the time at which it was accepted: a `stop` or a `deleteUserData` that came after that holds
    /// for it. `once`: the queue may hold it already.
    fn message(
        &self,
        settings: &BotSettings,
        id: &AlertId,
        address: &ConversationReference,
        accepted_at: DateTime<Utc>,
        once: bool,
    ) -> Result<Message, AlertRejection> {
        let id = EnvelopeId::from_text(id.as_str());
        let mut envelope = Envelope::new(id, address.clone(), self.call.text.as_str(), accepted_at);
        envelope.activity = self.call.activity.clone();
        (envelope.not_before, envelope.expires) = (self.call.due, self.call.expires);
        envelope.on_uncertain = self.call.on_uncertain;
        (envelope.cancellable, envelope.stoppable) = (true, true);
        envelope.once = once;
        let text = envelope
            .encode(settings.seal_key.as_ref())
            .map_err(|TooLarge { json_bytes }| AlertRejection::TooLarge { json_bytes })?;
        Ok(Message { text, options: put_options(&envelope, self.now) })
    }
}

/// What is put on the queue.
#[derive(Debug)]
struct Message {
    text: String,
    options: PutOptions,
}

/// One conversation's alert on its way.
#[derive(Debug)]
struct Alert {
    alert: NewAlert,
    /// Nothing, if it is not to be put on the queue.
    message: Option<Message>,
    /// What the caller learns of it.
    status: Status,
    /// An earlier call with the same key accepted it, and may have been cut off.
    is_again: bool,
}

impl Alert {
    /// What the ledger knows of it, with its message if it may not be on the queue.
    fn known(record: &Record, id: AlertId, message: Option<Message>) -> Self {
        let status = record.shown_status();
        let alert =
            NewAlert { id, conversation: record.conversation.clone(), status, until: None, call: None };
        let message = message.filter(|_| record.may_not_be_queued());
        Self { is_again: message.is_some(), alert, message, status }
    }

    /// What the caller learns of it. For an alert that was delivered meanwhile that is `queued`, as in the first answer.
    fn shown(&self) -> Value {
        let conversation = self.alert.conversation.as_str();
        let status = match self.status {
            Status::Stopped | Status::Paused | Status::Untrusted => {
                return json!({"conversation": conversation, "status": self.status.as_str()});
            }
            Status::Waiting | Status::Delivered => Status::Queued,
            other => other,
        };
        json!({"id": self.alert.id.as_str(), "conversation": conversation, "status": status.as_str()})
    }
}

/// Accepts the call's alerts in the ledger, or finds those of an earlier call with its key.
async fn accept<H: Host>(
    host: &H,
    settings: &BotSettings,
    ledger: &Ledger<'_, H>,
    draft: &Draft,
    identity: Option<&Identity>,
) -> Result<Vec<Alert>, Rejection> {
    let Some(identity) = identity else {
        let mut random = [0; 16];
        host.fill(&mut random);
        let id = CallId::random(Period::of(draft.now), random);
        let mut alerts = draft.alerts(settings, &id, None)?;
        identity::accept_new(ledger, alerts.iter().map(|alert| &alert.alert)).await?;
        alerts.iter_mut().for_each(|alert| alert.status = alert.alert.status);
        return Ok(alerts);
    };
    let mut alerts = Vec::new();
    let make = |id: &CallId| -> Result<Vec<NewAlert>, AlertRejection> {
        alerts = draft.alerts(settings, id, Some(identity))?;
        Ok(alerts.iter().map(|alert| alert.alert.clone()).collect())
    };
    match identity::meet(ledger, identity, draft.now, make).await? {
        Met::ForTheFirstTime => {
            alerts.iter_mut().for_each(|alert| alert.status = alert.alert.status);
            Ok(alerts)
        }
        // The caller may have had no answer, because the call was cut off in the middle: what may not be on the queue is put
        // there, and the poller sends each alert once.
        Met::Again(id, records) => {
            host.event(Level::Info, "alerts.repeated", json!({"alerts": records.len()}));
            let targets: BTreeMap<&str, &Target> =
                draft.targets.iter().map(|target| (target.key.as_str(), target)).collect();
            let again = (0..).zip(&records).map(|(index, record)| {
                let id = id.alert(index);
                let message = match targets.get(record.conversation.as_str()) {
                    Some(target) => {
                        let accepted_at = record.accepted_at.unwrap_or(draft.now);
                        Some(draft.message(settings, &id, &target.address, accepted_at, true)?)
                    }
                    None => None,
                };
                Ok(Alert::known(record, id, message))
            });
            Ok(again.collect::<Result<_, AlertRejection>>()?)
        }
    }
}

/// The alerts of an earlier call with the same key, for a call that makes no sense any more.
async fn earlier<H: Host>(
    host: &H,
    ledger: &Ledger<'_, H>,
    identity: Option<&Identity>,
) -> Result<Option<Vec<Alert>>, Rejection> {
    let Some(identity) = identity else { return Ok(None) };
    let Some((id, records)) = identity::find(ledger, identity, host.now()).await? else { return Ok(None) };
    host.event(Level::Info, "alerts.repeated", json!({"alerts": records.len()}));
    let known = (0..).zip(&records).map(|(index, record)| Alert::known(record, id.alert(index), None));
    Ok(Some(known.collect()))
}

/// Puts on the queue what has to be there, several at once, and answers.
async fn put<H: Host>(
    host: &H,
    settings: &BotSettings,
    ledger: &Ledger<'_, H>,
    deadline: Deadline,
    mut alerts: Vec<Alert>,
) -> Result<Answered, Rejection> {
    let outbox = Outbox::new(host, &settings.queue, deadline);
    let waiting = alerts.iter_mut().filter(|alert| alert.message.is_some());
    let put = async |outbox: &Outbox<'_, H>, alert: &mut Alert| {
        let Some(message) = &alert.message else { return true };
        match outbox.put(&message.text, message.options).await {
            Ok(()) => {
                (alert.status, alert.message) = (Status::Queued, None);
                true
            }
            Err(error) => {
                let fields = json!({"envelope": alert.alert.id.as_str(), "reason": error.to_string()});
                host.event(Level::Error, "queue.put.failed", fields);
                false
            }
        }
    };
    outbox.put_all(waiting, put).await;
    let mut failed = 0;
    for alert in alerts.iter_mut().filter(|alert| alert.message.is_some()) {
        alert.status = Status::Failed;
        failed += 1;
    }
    let shown: Vec<_> = alerts.iter().map(Alert::shown).collect();
    let queued = alerts.iter().filter(|alert| alert.status == Status::Queued).count();
    host.event(
        if failed == 0 { Level::Info } else { Level::Error },
        "alerts.queued",
        json!({"queued": queued, "failed": failed, "held": alerts.len() - queued - failed}),
    );
    let kick = settings.kick.clone().filter(|_| outbox.has_due());
    // A repeated call must not put these on the queue once more. If all goes well the first time, that is not noted, because it
    // would cost a call. Where the note fails, the poller sends each once all the same.
    let is_noted = |alert: &&Alert| alert.status == Status::Queued && (alert.is_again || failed > 0);
    let noted = ledger.note_put(alerts.iter().filter(is_noted).map(|alert| &alert.alert.id)).await;
    if let Err(error) = noted {
        log_not_noted(host, &error);
    }
    if failed == 0 {
        let accepted = answer::json(StatusCode::ACCEPTED, &json!({ "alerts": shown }));
        return Ok(Answered::with_kick(accepted, kick));
    }
    let message = match queued {
        0 => "the queue cannot be reached; nothing was queued".to_owned(),
        _ => format!(
            "the queue did not take {} of {} alerts; send the same call again, with an idempotencyKey, for the rest",
            failed,
            queued + failed
        ),
    };
    // Without this the ledger would say that these are on the queue.
    let is_failed = |alert: &&Alert| alert.status == Status::Failed;
    let noted = ledger.note_failed(alerts.iter().filter(is_failed).map(|alert| &alert.alert.id)).await;
    if let Err(error) = noted {
        log_not_noted(host, &error);
    }
    let error = json!({"code": "QueueUnavailable", "message": message});
    let answer = answer::json(StatusCode::SERVICE_UNAVAILABLE, &json!({"error": error, "alerts": shown}));
    Ok(Answered::with_kick(answer, kick))
}

fn log_not_noted(host: &impl Host, error: &TableError) {
    host.event(Level::Warn, "ledger.not-noted", json!({"reason": error.to_string()}));
}
