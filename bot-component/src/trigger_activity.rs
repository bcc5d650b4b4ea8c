//! A trigger: an activity that nobody said, and whose `value` is an envelope. The bot says its text in the conversation
//! that it is addressed to, as the 2017 template's bot did.
//!
//! A verified caller is not enough: whoever may talk to the bot over Direct Line or Web Chat can send an event of any name
//! with any value. So the envelope needs a seal, unless `unsealedtriggers=allow`; and its host is checked in any case. A
//! seal says who wrote the envelope, and not who brings it: so an envelope is taken once, for a limited time, and not after
//! it was cancelled or the person has said `stop`.

use std::time::Duration;

use bot_framework::{Activity, Class, Connector, OutgoingMessage, Verdict};
use bytes::Bytes;
use chrono::{DateTime, TimeDelta, Utc};
use envelope::{Arrival, Envelope, EnvelopeId, OnUncertain, SealState, Unsealed, words};
use http::{Response, StatusCode};
use platform::{Deadline, Host, Level, Settings, SettingsError, answer};
use serde_json::{Value, json};
use state::ConversationKey;
use state::ledger::{KEPT, Ledger, RecordKey, Status, Taken, Transition};

use crate::conversation;
use crate::rejection::{Rejection, Undelivered};
use crate::settings::BotSettings;

const STATE_WITHIN: Duration = Duration::from_secs(5);
const NOTE_WITHIN: Duration = Duration::from_secs(3);

/// Whoever has taken an envelope for longer than that was cut off: a call of the Connector ends within 12 s.
const SENDING_TAKES: TimeDelta = TimeDelta::seconds(30);

/// Answers a trigger: 200 if the alert was delivered, now or earlier, or if its time has passed.
pub(crate) async fn answer<H: Host>(
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
        return Err(Rejection::TriggerRefused("it leads to a tenant that is not in `tenants`"));
    }
    let log = |level, event, reason: &str| {
        host.event(level, event, json!({"envelope": envelope.id.excerpt(), "reason": reason}));
    };
    let done = answer::json(StatusCode::OK, &json!({}));
    if envelope.expires.is_some_and(|expires| expires <= host.now()) {
        log(Level::Info, "trigger.expired", "");
        return Ok(done);
    }
    // Whoever sent it too early will send it again.
    if envelope.not_before.is_some_and(|due| due > host.now()) {
        log(Level::Info, "trigger.early", "");
        return Err(Rejection::AlertNotDelivered(Undelivered::ForNow));
    }
    if seal == SealState::Valid && is_too_old(&envelope, host.now()) {
        return Err(Rejection::TriggerRefused("its seal is older than seven days"));
    }
    // Without an answer of the tables nothing is sent: it might be shown twice, or to somebody who wants no more.
    let unknown = |error: &dyn std::error::Error| {
        log(Level::Error, "trigger.not-looked-up", &error.to_string());
        Rejection::StateUnavailable
    };
    let deadline = Deadline::after(host, STATE_WITHIN);
    let is_ours = seal == SealState::Valid || settings.seal_key.is_none();
    let conversation = ConversationKey::of(&envelope.address);
    let standing = settings.conversations(host, deadline).standing(&conversation).await;
    let standing = standing.map_err(|error| unknown(&error))?;
    // An envelope that somebody else wrote says of itself what they like.
    if standing.stopped && (envelope.stoppable || !is_ours) {
        return Err(Rejection::TriggerRefused("the person has said `stop`"));
    }
    if standing.forgotten_at.is_some_and(|at| envelope.enqueued_at <= at) {
        return Err(Rejection::TriggerRefused("the person has asked to be forgotten"));
    }
    let record = RecordKey::of_message(envelope.id.as_str(), is_ours, envelope.enqueued_at);
    let ledger = |deadline| Ledger::new(host, &settings.queue.account, &settings.tables, deadline);
    let taken = ledger(deadline).take(&record).await.map_err(|error| unknown(&error))?;
    if taken == Taken::Ended(Status::Delivered) {
        log(Level::Info, "trigger.repeated", "");
        return Ok(done);
    }
    expect_taken(taken, host.now())?;
    let alert =
        OutgoingMessage::new(&envelope.address, &words::alert(&envelope.text)).with(&envelope.activity);
    let conversation = &envelope.address.conversation.id;
    let verdict = connector.send_in_any_cloud(&settings.trust, &service_url, conversation, &alert).await;
    let outcome = outcome(&verdict, envelope.on_uncertain);
    let ledger = ledger(Deadline::after(host, NOTE_WITHIN));
    let noted = match outcome {
        Ok(()) => {
            let activity_id = verdict.activity_id.clone();
            ledger.note(&Transition { activity_id, ..Transition::to(record, Status::Delivered) }).await
        }
        Err(Undelivered::Unsure) => {
            ledger.note(&Transition { uncertain: true, ..Transition::to(record, Status::Dropped) }).await
        }
        Err(Undelivered::ForNow | Undelivered::ForGood) => ledger.give_back(&record).await,
    };
    // It stays taken then, so it is not sent a second time.
    if let Err(error) = noted {
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

/// Whether the ledger may have forgotten what became of the envelope. Nothing that was sealed is good for ever.
fn is_too_old(envelope: &Envelope, now: DateTime<Utc>) -> bool {
    let begin = envelope.not_before.unwrap_or_default().max(envelope.enqueued_at);
    now - begin >= KEPT
}

/// Whether this call may send the alert.
fn expect_taken(taken: Taken, now: DateTime<Utc>) -> Result<(), Rejection> {
    match taken {
        Taken::Yes => Ok(()),
        // Direct Line tells its caller of every failure in the same way, and the caller tries again.
        Taken::Before(at) if now - at < SENDING_TAKES => {
            Err(Rejection::AlertNotDelivered(Undelivered::ForNow))
        }
        Taken::Before(_) | Taken::Ended(Status::Dropped) => {
            Err(Rejection::AlertNotDelivered(Undelivered::Unsure))
        }
        Taken::Ended(Status::Cancelled) => Err(Rejection::TriggerRefused("its sender has cancelled it")),
        Taken::Ended(_) => Err(Rejection::TriggerRefused("the ledger says that it has ended")),
    }
}

/// Reads the variable `unsealedtriggers`.
pub(crate) fn unsealed(settings: &impl Settings) -> Result<Unsealed, SettingsError> {
    settings.choice("unsealedtriggers", &[("refuse", Unsealed::Refuse), ("allow", Unsealed::Allow)])
}

fn expect_seal(settings: &impl Settings, seal: SealState) -> Result<(), Rejection> {
    match seal {
        SealState::Valid => Ok(()),
        SealState::Broken => Err(Rejection::TriggerRefused("its seal is broken")),
        SealState::Missing | SealState::Unchecked => match unsealed(settings)? {
            Unsealed::Allow => Ok(()),
            Unsealed::Refuse => {
                Err(Rejection::TriggerRefused("it has no seal of ours, and unsealedtriggers=refuse"))
            }
        },
    }
}

fn outcome(verdict: &Verdict, on_uncertain: OnUncertain) -> Result<(), Undelivered> {
    match verdict.class {
        Class::Accepted => Ok(()),
        Class::Throttled | Class::Unavailable | Class::NoToken => Err(Undelivered::ForNow),
        Class::GatewayFailed if on_uncertain == OnUncertain::Retry => Err(Undelivered::ForNow),
        Class::GatewayFailed | Class::PossiblyDelivered => Err(Undelivered::Unsure),
        Class::Unauthorized | Class::WrongCloud | Class::DestinationGone | Class::Permanent => {
            Err(Undelivered::ForGood)
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use envelope::SealKey;
    use platform::Deadline;
    use platform::testing::{FakeHost, response, run};

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
            let answer = tables.answer(request, chrono::DateTime::UNIX_EPOCH);
            Some(Ok(answer.unwrap_or_else(|| response(status, "{}"))))
        });
        host
    }

    /// What the Connector was sent.
    fn sent(host: &FakeHost) -> Vec<http::Request<bytes::Bytes>> {
        let sent = host.sent.borrow();
        sent.iter().filter(|request| request.uri().port_u16() == Some(9200)).cloned().collect()
    }

    /// The status of the answer; what was sent is on the host.
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
        match run(answer(host, &settings, &connector, &activity, id)) {
            Ok(answer) => answer.status().as_u16(),
            Err(rejection) => rejection.log_and_answer(host).status().as_u16(),
        }
    }

    #[test]
    fn who_may_trigger() {
        let (ours, theirs) = (SealKey::new([1; 32]), SealKey::new([2; 32]));
        let mut planted = envelope();
        planted["address"]["serviceUrl"] = "https://evil.example/".into();
        let legacy = json!({"address": envelope()["address"], "text": "pizza"});
        for (name, unsealed, key, value, expected) in [
            ("sealed by us", "", Some(&ours), sealed(&envelope(), &ours), 200),
            ("sealed by us", "allow", Some(&ours), sealed(&envelope(), &ours), 200),
            ("sealed by somebody", "", Some(&ours), sealed(&envelope(), &theirs), 403),
            ("sealed by somebody", "allow", Some(&ours), sealed(&envelope(), &theirs), 403),
            ("sealed, and we have no key", "", None, sealed(&envelope(), &ours), 403),
            ("sealed, and we have no key", "allow", None, sealed(&envelope(), &ours), 200),
            ("unsealed", "", Some(&ours), envelope(), 403),
            ("unsealed", "refuse", None, envelope(), 403),
            ("unsealed", "allow", Some(&ours), envelope(), 200),
            ("unsealed", "perhaps", Some(&ours), envelope(), 500),
            ("legacy", "", Some(&ours), legacy.clone(), 403),
            ("legacy", "allow", Some(&ours), legacy.clone(), 200),
            (
                "legacy, as C# sends it",
                "allow",
                None,
                json!({"Source": "x", "Message": legacy.to_string()}),
                200,
            ),
            ("sealed, to a stranger", "", Some(&ours), sealed(&planted, &ours), 403),
            ("unsealed, to a stranger", "allow", Some(&ours), planted.clone(), 403),
            ("nothing", "allow", None, Value::Null, 400),
            ("something else", "allow", None, json!({"a": 1}), 400),
        ] {
            let host = host(unsealed, 201);
            assert_eq!(post(&host, key, &value), expected, "{name}, unsealedtriggers={unsealed:?}");
            assert_eq!(sent(&host).len(), usize::from(expected == 200), "{name}: what was sent");
        }
    }

    #[test]
    fn the_alert_goes_where_the_envelope_says() {
        let host = host("allow", 201);
        assert_eq!(post(&host, None, &envelope()), 200);
        let sent = sent(&host);
        assert_eq!(sent[0].uri(), "http://127.0.0.1:9200/amer/v3/conversations/a%3A1/activities");
        let message: Value = serde_json::from_slice(sent[0].body()).unwrap();
        assert_eq!((&message["text"], &message["recipient"]["id"]), (&"Alert: pizza".into(), &"29:u".into()));
    }

    #[test]
    fn what_the_caller_hears_and_what_happens_if_it_repeats() {
        for (connector, answer, again, sent) in [
            (201, 200, 200, 1),
            (429, 503, 503, 2),
            (503, 503, 503, 2),
            // Nobody knows: it is not sent again.
            (500, 502, 502, 1),
            (400, 502, 502, 2),
            (401, 502, 502, 2),
            (404, 502, 502, 2),
        ] {
            let host = host("allow", connector);
            assert_eq!(post(&host, None, &envelope()), answer, "{connector}");
            assert_eq!(post(&host, None, &envelope()), again, "{connector}, again");
            // The address book is asked too, after a 404.
            let to_connector =
                |request: &&http::Request<_>| request.uri().to_string().starts_with(SERVICE_URL);
            assert_eq!(host.sent.borrow().iter().filter(to_connector).count(), sent, "{connector}");
        }
    }

    #[test]
    fn its_time_is_kept() {
        for (field, time, answer, sent) in [
            ("expires", "2026-11-23T22:00:00Z", 200, 0),
            ("expires", "2026-11-23T22:00:01Z", 200, 1),
            ("notBefore", "2026-11-23T22:00:01Z", 503, 0),
            ("notBefore", "2026-11-23T22:00:00Z", 200, 1),
        ] {
            let host = host("allow", 201);
            let mut envelope = envelope();
            envelope[field] = time.into();
            assert_eq!(post(&host, None, &envelope), answer, "{field} {time}");
            assert_eq!(self::sent(&host).len(), sent, "{field} {time}");
        }
    }
}
