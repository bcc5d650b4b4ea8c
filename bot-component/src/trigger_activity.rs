//! Delivers the alert in a trigger. A *trigger* is an activity that a program sends to the bot. The `value`
//! of a trigger is an *envelope* (an alert as JSON). The bot sends the envelope's text to the conversation in
//! the envelope's address. A bot of Microsoft's 2017 template did the same.
//!
//! Every user of Direct Line or Web Chat can send an event with any name and any value. These channels pass
//! the event to the bot with a valid token, so the token does not prove who wrote the envelope. For this
//! proof, the envelope needs a *seal* (an HMAC that the bot makes). Only with `unsealedtriggers=allow`, the
//! bot also accepts an envelope without a seal. With or without a seal, the bot checks whether the Connector
//! host in the address is trusted.
//!
//! A seal proves who wrote the envelope. A seal does not prove who sends the trigger: an attacker could send
//! a copy of the envelope again. So the bot sends the alert of an envelope only once, and only for a limited
//! time. If the alert was cancelled, or the person has sent `stop`, the bot does not send the alert.

use std::time::Duration;

use bot_framework::{Activity, Class, Connector, Verdict};
use bytes::Bytes;
use chrono::{DateTime, TimeDelta, Utc};
use envelope::{Arrival, Envelope, EnvelopeId, OnUncertain, SealState, Unsealed};
use http::{Response, StatusCode};
use platform::{Deadline, Host, Level, Settings, SettingsError, Traceparent, response};
use serde_json::{Value, json};
use state::ConversationKey;
use state::ledger::{Claim, KEPT, Ledger, RecordKey, Status, Transition};

use crate::conversation;
use crate::pressing;
use crate::rejection::{Rejection, TriggerRefusal, Undelivered};
use crate::settings::BotSettings;

const STATE_WITHIN: Duration = Duration::from_secs(5);
const RECORD_WITHIN: Duration = Duration::from_secs(3);

/// The longest time for which a request can still be sending an alert after its claim. A *claim* is a mark in
/// the ledger (the table with one record for each alert): only the request that made the claim sends the
/// alert. The call to the Connector ends within 12 s. The request then records an outcome in the ledger, or
/// releases the claim.
///
/// If a claim is older than this and still has no outcome, the hosting platform has killed the request, or
/// the ledger could not record the outcome. In both cases, the alert was perhaps sent.
const SENDING_TAKES: TimeDelta = TimeDelta::seconds(30);

/// Acts on a trigger. The HTTP status is 200 if the alert has expired, or was delivered now or earlier. An
/// envelope in the format of an older bot has no id. For such an envelope, the function uses `id`.
pub(crate) async fn handle<H: Host>(
    host: &H,
    settings: &BotSettings,
    connector: &Connector<'_, H>,
    activity: &Activity,
    id: EnvelopeId,
) -> Result<Response<Bytes>, Rejection> {
    let value = activity.rest.get("value").unwrap_or(&Value::Null);
    let arrival = Arrival { id, at: host.now() };
    let (envelope, seal) = Envelope::decode_trigger(value, settings.seal_key.as_ref(), arrival)?;
    expect_seal(host, seal)?;
    let service_url = settings.trust.check(&envelope.address.service_url)?;
    if !settings.tenants.allow(&envelope.address) {
        return Err(TriggerRefusal::TenantNotServed.into());
    }
    let log = |level, event, reason: &str| {
        let fields = json!({"envelope": envelope.id.excerpt(), "reason": reason});
        host.event(level, event, Traceparent::add_to(envelope.traceparent.as_ref(), fields));
    };
    let done = response::json(StatusCode::OK, &json!({}));
    // An envelope with the member `answer` holds no alert, so the bot refuses the trigger. Such an envelope
    // is for the poller, which passes a person's answer or message on to a program.
    if envelope.answer.is_some() {
        return Err(TriggerRefusal::Ended.into());
    }
    if envelope.expires.is_some_and(|expires| expires <= host.now()) {
        log(Level::Info, "trigger.expired", "");
        return Ok(done);
    }
    // The sender of an early trigger gets 503, and has to send the trigger again later.
    if envelope.not_before.is_some_and(|due| due > host.now()) {
        log(Level::Info, "trigger.early", "");
        return Err(Rejection::AlertNotDelivered(Undelivered::ForNow));
    }
    if seal == SealState::Valid && is_too_old(&envelope, host.now()) {
        return Err(TriggerRefusal::OldSeal.into());
    }
    // If the table service fails, the bot sends nothing, because the alert is perhaps delivered already, or
    // the person has perhaps sent `stop`.
    let not_looked_up = |error: &dyn std::error::Error| {
        log(Level::Error, "trigger.not-looked-up", &error.to_string());
        Rejection::StateUnavailable
    };
    let deadline = Deadline::after(host, STATE_WITHIN);
    let is_ours = seal == SealState::Valid || settings.seal_key.is_none();
    let conversation = ConversationKey::of(&envelope.address);
    let standing = settings.conversations(host, deadline).delivery_state(&conversation).await;
    let standing = standing.map_err(|error| not_looked_up(&error))?;
    // `stoppable` says whether a person's `stop` applies to the alert. If the envelope has no seal of the
    // bot, another program has perhaps set `stoppable` to false. So `stop` applies to every envelope without
    // a seal of the bot.
    if standing.stopped && (envelope.stoppable || !is_ours) {
        return Err(TriggerRefusal::Stopped.into());
    }
    if standing.forgotten_at.is_some_and(|at| envelope.enqueued_at <= at) {
        return Err(TriggerRefusal::Forgotten.into());
    }
    let record = RecordKey::of_message(envelope.id.as_str(), is_ours, envelope.enqueued_at);
    let ledger = |deadline| Ledger::new(host, &settings.queue.account, &settings.tables, deadline);
    let taken = ledger(deadline).claim(&record).await.map_err(|error| not_looked_up(&error))?;
    // If a person has answered the alert, it was delivered.
    if matches!(taken, Claim::Ended(Status::Delivered | Status::Answered)) {
        log(Level::Info, "trigger.repeated", "");
        return Ok(done);
    }
    expect_taken(taken, host.now())?;
    // If the envelope has no seal of the bot, another program has perhaps written the envelope, with the id
    // of a different alert. A press of a button would then answer the question of that alert. So the bot
    // makes no buttons for the question.
    let keys = match &envelope.question {
        Some(_) if is_ours => Some(pressing::keys(host, settings)?),
        _ => None,
    };
    let conversation = &envelope.address.conversation.id;
    let alert = envelope.message(keys.as_ref());
    let verdict = connector.send_in_any_cloud(&settings.trust, &service_url, conversation, &alert).await;
    let outcome = outcome(&verdict, envelope.on_uncertain);
    let ledger = ledger(Deadline::after(host, RECORD_WITHIN));
    let recorded = match outcome {
        Ok(()) => {
            let activity_id = verdict.activity_id.clone();
            ledger.record(&Transition { activity_id, ..Transition::to(record, Status::Delivered) }).await
        }
        Err(Undelivered::Unsure) => {
            ledger.record(&Transition { uncertain: true, ..Transition::to(record, Status::Dropped) }).await
        }
        Err(Undelivered::ForNow | Undelivered::ForGood) => ledger.release_claim(&record).await,
    };
    // If the ledger cannot record the outcome or release the claim, the claim stays. Then no later trigger
    // sends the alert.
    if let Err(error) = recorded {
        log(Level::Warn, "ledger.not-noted", &error.to_string());
    }
    match outcome {
        Ok(()) => {
            log(Level::Info, "trigger.delivered", &verdict.reason);
            Ok(done)
        }
        Err(why) => {
            if verdict.class == Class::DestinationGone {
                conversation::pause(host, settings, &envelope.address).await;
            }
            log(Level::Warn, "trigger.failed", &verdict.reason);
            Err(Rejection::AlertNotDelivered(why))
        }
    }
}

/// Whether the envelope is so old that the ledger has perhaps deleted the alert's record. Without the record,
/// the bot does not know whether the alert was sent.
fn is_too_old(envelope: &Envelope, now: DateTime<Utc>) -> bool {
    let begin = envelope.not_before.unwrap_or_default().max(envelope.enqueued_at);
    now - begin >= KEPT
}

/// Checks that this request has made the claim. Without the claim, the request must not send the alert.
fn expect_taken(taken: Claim, now: DateTime<Utc>) -> Result<(), Rejection> {
    match taken {
        Claim::Yes => Ok(()),
        // An earlier request has the claim, and is perhaps still sending the alert. So the sender of this
        // trigger has to try again later.
        Claim::Before(at) if now - at < SENDING_TAKES => {
            Err(Rejection::AlertNotDelivered(Undelivered::ForNow))
        }
        Claim::Before(_) | Claim::Ended(Status::Dropped) => {
            Err(Rejection::AlertNotDelivered(Undelivered::Unsure))
        }
        Claim::Ended(Status::Cancelled) => Err(TriggerRefusal::Cancelled.into()),
        Claim::Ended(_) => Err(TriggerRefusal::Ended.into()),
    }
}

/// Reads the variable `unsealedtriggers`.
pub(crate) fn unsealed(settings: &impl Settings) -> Result<Unsealed, SettingsError> {
    settings.choice("unsealedtriggers", &[("refuse", Unsealed::Refuse), ("allow", Unsealed::Allow)])
}

fn expect_seal(settings: &impl Settings, seal: SealState) -> Result<(), Rejection> {
    match seal {
        SealState::Valid => Ok(()),
        SealState::Broken => Err(TriggerRefusal::BrokenSeal.into()),
        SealState::Missing | SealState::Unchecked => match unsealed(settings)? {
            Unsealed::Allow => Ok(()),
            Unsealed::Refuse => Err(TriggerRefusal::NoSeal.into()),
        },
    }
}

fn outcome(verdict: &Verdict, on_uncertain: OnUncertain) -> Result<(), Undelivered> {
    match verdict.class {
        Class::Accepted => Ok(()),
        Class::Throttled | Class::Unavailable | Class::NoToken => Err(Undelivered::ForNow),
        Class::GatewayFailed if on_uncertain == OnUncertain::Retry => Err(Undelivered::ForNow),
        Class::GatewayFailed | Class::PossiblyDelivered => Err(Undelivered::Unsure),
        Class::Unauthorized
        | Class::WrongCloud
        | Class::DestinationGone
        | Class::MessageGone
        | Class::NotChangeable
        | Class::Permanent => Err(Undelivered::ForGood),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use envelope::SealKey;
    use platform::testing::{FakeHost, response, run};
    use platform::{Clock, Deadline};

    use state::ledger::{CallId, Period};
    use storage_table::testing::FakeTables;

    use super::*;
    use crate::settings::CallerSettings;

    const SERVICE_URL: &str = "http://127.0.0.1:9200/amer/";

    fn envelope() -> Value {
        json!({
            "version": 1, "id": "pizza-42", "text": "pizza", "enqueuedAt": "2026-11-23T22:00:00Z",
            "address": {
                "channelId": "msteams", "serviceUrl": SERVICE_URL, "conversation": {"id": "a:1"},
                "user": {"id": "29:u"}, "bot": {"id": "28:b"},
            },
        })
    }

    fn sealed(json: &Value, key: &SealKey) -> Value {
        let arrival = Arrival { id: EnvelopeId::from_text("x"), at: "2001-01-01T00:00:00Z".parse().unwrap() };
        let envelope = Envelope::decode(&json.to_string(), None, arrival).unwrap().0;
        json!({"Source": "x", "Message": envelope.encode(Some(key)).unwrap()})
    }

    fn host(unsealed: &str, status: u16) -> FakeHost {
        let host = FakeHost::with_settings([
            ("authmode", "anonymous"),
            ("storageconnection", "UseDevelopmentStorage=true"),
            ("queuename", "bot-queue"),
            ("unsealedtriggers", unsealed),
        ]);
        let mut tables = FakeTables::default();
        host.answers(move |request| {
            let answer = tables.response(request, chrono::DateTime::UNIX_EPOCH);
            Some(Ok(answer.unwrap_or_else(|| response(status, "{}"))))
        });
        host
    }

    /// The requests that the Connector received.
    fn sent(host: &FakeHost) -> Vec<http::Request<bytes::Bytes>> {
        let sent = host.sent.borrow();
        sent.iter().filter(|request| request.uri().port_u16() == Some(9200)).cloned().collect()
    }

    /// Sends the bot a trigger with this value, and returns the HTTP status of the response.
    fn post(host: &FakeHost, key: Option<&SealKey>, value: &Value) -> u16 {
        let activity = json!({
            "type": "event", "name": "trigger", "id": "1", "channelId": "directline", "conversation": {"id": "dl"},
            "serviceUrl": "http://127.0.0.1:9300/", "value": value,
        });
        let activity = Activity::parse(activity.to_string().as_bytes()).unwrap();
        let mut settings = BotSettings::read(host, CallerSettings::read(host).unwrap()).unwrap();
        settings.seal_key = key.cloned();
        let connector = Connector::new(host, None, Deadline::after(host, Duration::from_secs(12)));
        let id = EnvelopeId::of_activity("directline", "dl", "1");
        match run(handle(host, &settings, &connector, &activity, id)) {
            Ok(answer) => answer.status().as_u16(),
            Err(rejection) => rejection.log_and_respond(host).status().as_u16(),
        }
    }

    #[test]
    fn trigger_needs_a_valid_seal_unless_unsealed_triggers_are_allowed() {
        let (ours, other) = (SealKey::new([1; 32]), SealKey::new([2; 32]));
        let mut untrusted = envelope();
        untrusted["address"]["serviceUrl"] = "https://evil.example/".into();
        let legacy = json!({"address": envelope()["address"], "text": "pizza"});
        for (name, unsealed, key, value, expected) in [
            ("sealed by this bot", "", Some(&ours), sealed(&envelope(), &ours), 200),
            ("sealed by this bot", "allow", Some(&ours), sealed(&envelope(), &ours), 200),
            ("sealed with another key", "", Some(&ours), sealed(&envelope(), &other), 403),
            ("sealed with another key", "allow", Some(&ours), sealed(&envelope(), &other), 403),
            ("sealed, and the bot has no key", "", None, sealed(&envelope(), &ours), 403),
            ("sealed, and the bot has no key", "allow", None, sealed(&envelope(), &ours), 200),
            ("unsealed", "", Some(&ours), envelope(), 403),
            ("unsealed", "refuse", None, envelope(), 403),
            ("unsealed", "allow", Some(&ours), envelope(), 200),
            ("unsealed", "perhaps", Some(&ours), envelope(), 500),
            ("legacy", "", Some(&ours), legacy.clone(), 403),
            ("legacy", "allow", Some(&ours), legacy.clone(), 200),
            (
                "legacy, as a C# function sends the value",
                "allow",
                None,
                json!({"Source": "x", "Message": legacy.to_string()}),
                200,
            ),
            ("sealed, to an untrusted host", "", Some(&ours), sealed(&untrusted, &ours), 403),
            ("unsealed, to an untrusted host", "allow", Some(&ours), untrusted.clone(), 403),
            ("no value", "allow", None, Value::Null, 400),
            ("something else", "allow", None, json!({"a": 1}), 400),
        ] {
            let host = host(unsealed, 201);
            assert_eq!(post(&host, key, &value), expected, "{name}, unsealedtriggers={unsealed:?}");
            assert_eq!(sent(&host).len(), usize::from(expected == 200), "{name}: requests to the Connector");
        }
    }

    #[test]
    fn alert_goes_to_the_address_in_the_envelope() {
        let host = host("allow", 201);
        assert_eq!(post(&host, None, &envelope()), 200);
        let sent = sent(&host);
        assert_eq!(sent[0].uri(), "http://127.0.0.1:9200/amer/v3/conversations/a%3A1/activities");
        let message: Value = serde_json::from_slice(sent[0].body()).unwrap();
        assert_eq!((&message["text"], &message["recipient"]["id"]), (&"Alert: pizza".into(), &"29:u".into()));
    }

    #[test]
    fn alert_of_a_repeated_trigger_is_sent_again_only_if_certainly_not_delivered() {
        for (connector, first, repeated, sent) in [
            (201, 200, 200, 1),
            (429, 503, 503, 2),
            (503, 503, 503, 2),
            // The alert was perhaps delivered, so the bot does not send the alert again.
            (500, 502, 502, 1),
            (400, 502, 502, 2),
            (401, 502, 502, 2),
            (404, 502, 502, 2),
        ] {
            let host = host("allow", connector);
            assert_eq!(post(&host, None, &envelope()), first, "{connector}");
            assert_eq!(post(&host, None, &envelope()), repeated, "{connector}, repeated");
            // For each trigger, the bot also calls the table service. The test counts only the calls to the
            // Connector.
            let to_connector =
                |request: &&http::Request<_>| request.uri().to_string().starts_with(SERVICE_URL);
            assert_eq!(host.sent.borrow().iter().filter(to_connector).count(), sent, "{connector}");
        }
    }

    #[test]
    fn repeated_trigger_of_an_answered_alert_gets_200_and_sends_nothing() {
        let host = host("allow", 201);
        let id = CallId::random(Period::of(host.now()), [1; 16]).alert(0);
        let mut envelope = envelope();
        envelope["id"] = id.as_str().into();
        assert_eq!(post(&host, None, &envelope), 200);
        let settings = BotSettings::read(&host, CallerSettings::read(&host).unwrap()).unwrap();
        let deadline = Deadline::after(&host, Duration::from_secs(12));
        let ledger = Ledger::new(&host, &settings.queue.account, &settings.tables, deadline);
        assert_eq!(run(ledger.record_answer(&id, "sealed answer", host.now())), Ok(true));
        assert_eq!(post(&host, None, &envelope), 200, "repeated");
        assert_eq!(sent(&host).len(), 1);
    }

    #[test]
    fn trigger_before_the_due_time_gets_503_and_expired_alert_is_not_sent() {
        for (field, time, status, sent) in [
            ("expires", "2026-11-23T22:00:00Z", 200, 0),
            ("expires", "2026-11-23T22:00:01Z", 200, 1),
            ("notBefore", "2026-11-23T22:00:01Z", 503, 0),
            ("notBefore", "2026-11-23T22:00:00Z", 200, 1),
        ] {
            let host = host("allow", 201);
            let mut envelope = envelope();
            envelope[field] = time.into();
            assert_eq!(post(&host, None, &envelope), status, "{field} {time}");
            assert_eq!(self::sent(&host).len(), sent, "{field} {time}");
        }
    }
}
