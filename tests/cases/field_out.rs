//! Failures in the forms in which real services report them: the Connector, a gateway in front of the
//! Connector, and the issuer of the signing keys. Other cases leave out a field of an API call.

use bot_framework::testing::{TestKey, channel_claims};
use chrono::Utc;
use end_to_end::activity::message;
use end_to_end::alerts::{self, alert, known, queued, to_conversation};
use end_to_end::connector::Reply;
use end_to_end::faulty_queue::{Effect, FaultyQueue, Plan};
use end_to_end::login::{Login, Proof};
use end_to_end::openid::{Behaviour, OpenId};
use end_to_end::put_only_queue::PutOnlyQueue;
use end_to_end::stage::{APP_ID, Script, Stage, TENANT};
use end_to_end::suite::World;
use end_to_end::waiting::eventually;
use serde_json::{Value, json};

use crate::draining::envelope;

end_to_end::cases!(
    gateway_failure_drops_an_alert_only_if_onuncertain_is_drop,
    error_page_of_a_gateway_does_not_pause_the_conversation,
    connector_code_for_a_lost_conversation_pauses_the_conversation,
    status_401_for_one_conversation_does_not_stop_the_run,
    address_without_the_bot_is_completed_or_refused,
    token_with_a_new_signing_key_is_answered_503_while_the_issuer_fails,
    retry_after_in_any_form_is_obeyed,
    caller_without_an_idempotency_key_is_advised_not_to_repeat_the_call,
);

fn gateway_failure_drops_an_alert_only_if_onuncertain_is_drop(world: &World) {
    for status in [408, 502, 504] {
        // Each HTTP status has its own stage with its own Connector. With one Connector for all, three
        // conversations would fail in a row. The poller would then stop the calls to this Connector.
        let stage = alerts::stage(world);
        let [key, other] = ["a", "b"].map(|name| known(&stage, &format!("{name}:{status}"), "hello"));
        stage.connector.on(move |received| {
            received.is_alert().then(|| Reply::status(status, json!("<html>Gateway</html>")))
        });
        let mut body = to_conversation(&key, "pizza");
        queued(&stage, &body);
        let counts = stage.poll();
        assert_eq!((&counts["retried"], counts.get("poisoned")), (&1.into(), None), "{status}: {counts}");
        body = to_conversation(&other, "pizza");
        body["onUncertain"] = "drop".into();
        queued(&stage, &body);
        assert_eq!(stage.poll()["droppedUncertain"], 1, "{status}");
        assert_eq!(
            stage.queue.count(),
            1,
            "{status}: expected only the alert without `onUncertain` on the queue"
        );
    }
}

/// Sends another alert to the conversation, and empties the queue. Returns the alert's status in the
/// response.
fn next_status(stage: &Stage, key: &str) -> Value {
    let response = alert(stage, &to_conversation(key, "next")).expect_status(202).json();
    stage.queue.take_all();
    response["alerts"][0]["status"].clone()
}

fn error_page_of_a_gateway_does_not_pause_the_conversation(world: &World) {
    let stage = alerts::stage(world);
    let key = known(&stage, "a:1", "hello");
    let error = |code: &str| json!({"error": {"code": code, "message": "words"}});
    for (status, body) in [
        (404, json!("<html>Not found</html>")),
        (404, error("ServiceError")),
        (404, error("ActivityNotFoundInConversation")),
        (403, json!("<html>Forbidden</html>")),
        (403, error("ServiceError")),
        (410, json!({})),
    ] {
        let response = body.clone();
        stage.connector.on(move |_| Some(Reply::status(status, response.clone())));
        queued(&stage, &to_conversation(&key, "pizza"));
        let counts = stage.poll();
        assert_eq!(counts["poisonedBy"]["permanent"], 1, "{status} {body}: {counts}");
        assert_eq!(next_status(&stage, &key), "queued", "{status} {body}");
    }
}

fn connector_code_for_a_lost_conversation_pauses_the_conversation(world: &World) {
    let stage = alerts::stage(world);
    for (index, (status, code)) in [
        (403, "BotDisabledByAdmin"),
        (403, "BotNotInConversationRoster"),
        (404, "ConversationNotFound"),
        (410, "ConversationNotFound"),
    ]
    .into_iter()
    .enumerate()
    {
        let key = known(&stage, &format!("a:{index}"), "hello");
        stage.connector.on(move |received| received.is_alert().then(|| Reply::error(status, code)));
        queued(&stage, &to_conversation(&key, "pizza"));
        let counts = stage.poll();
        assert_eq!(counts["poisonedBy"]["destinationGone"], 1, "{status} {code}: {counts}");
        assert_eq!(next_status(&stage, &key), "paused", "{status} {code}");
    }
}

fn status_401_for_one_conversation_does_not_stop_the_run(world: &World) {
    let login = Login::start(Proof::Secret);
    let stage = Script::new(world).logged_in(&login).variable("unsealed", "allow").start();
    stage.connector.on(|received| {
        (received.conversation().as_deref() == Some("a:bad")).then(|| Reply::error(401, "Unauthorized"))
    });
    stage.queue.put_json(&envelope(&stage, "bad", "a:bad", "hello"));
    let counts = stage.poll();
    assert_eq!((&counts["retried"], counts.get("credentials")), (&1.into(), None), "{counts}");
    stage.queue.put_json(&envelope(&stage, "good", "a:good", "hello"));
    let counts = stage.poll();
    assert_eq!((&counts["delivered"], counts.get("skipped")), (&1.into(), None), "{counts}");
    assert!(stage.events("credentials.refused").is_empty());
}

fn address_without_the_bot_is_completed_or_refused(world: &World) {
    let stage = alerts::stage(world);
    let address = |stage: &Stage, conversation: &str, channel_id: &str| {
        let service_url = format!("http://{}/amer/", stage.connector.authority());
        json!({"to": {"address": {
            "channelId": channel_id, "serviceUrl": service_url, "user": {"id": "29:u"},
            "conversation": {"id": conversation, "tenantId": TENANT},
        }}, "text": "pizza"})
    };
    // With `authmode=anonymous`, the bot has no id. So the bot accepts an address that has no field `bot`.
    queued(&stage, &address(&stage, "a:1", "slack"));
    assert_eq!(stage.poll()["delivered"], 1);
    let login = Login::start(Proof::Secret);
    let stage = alerts::script(world).logged_in(&login).start();
    queued(&stage, &address(&stage, "a:1", "msteams"));
    assert_eq!(stage.poll()["delivered"], 1);
    assert_eq!(stage.connector.wait_for(1)[0].body["from"], json!({"id": format!("28:{APP_ID}")}));
    let refused = alert(&stage, &address(&stage, "a:1", "slack")).expect_error(400, "BadArgument");
    assert!(refused.describe().contains("to.address.bot: "), "{}", refused.describe());
    assert_eq!(stage.queue.count(), 0);
}

fn token_with_a_new_signing_key_is_answered_503_while_the_issuer_fails(world: &World) {
    let (issuer, login) = (OpenId::start(), Login::start(Proof::Secret));
    let stage = Script::new(world).logged_in(&login).authenticated(&issuer).start();
    let activity = stage.connector.host(&message("a:rollover", "1", "hello"));
    let claims = channel_claims(APP_ID, activity["serviceUrl"].as_str().unwrap(), Utc::now().timestamp());
    let (old, new) = (TestKey::issuer().sign(&claims), TestKey::stranger().sign(&claims));
    stage.post_as(&old, &activity).expect_status(202);
    issuer.behave(Behaviour::Unavailable);
    // For a few seconds after a fetch, the bot does not fetch the signing keys again. In this time, the
    // response to a token with an unknown signing key is 401.
    let response = eventually("a response other than 401", || {
        Some(stage.post_as(&new, &activity)).filter(|response| response.status != 401)
    });
    response.expect_error(503, "KeysUnavailable");
    issuer.behave(Behaviour::Proper);
    issuer.publish(vec![TestKey::stranger().endorsed_jwk(&["msteams"])]);
    eventually("a 202 for the new signing key", || {
        let response = stage.post_as(&new, &activity);
        assert_ne!(response.status, 401, "{}", response.describe());
        Some(response).filter(|response| response.status == 202)
    });
}

/// Each form of `Retry-After` asks for 100 seconds. In three forms, the time is in a header. In one form, the
/// time is in the body. If there are two headers, the longer time counts. The poller hides the queue message
/// for 100 seconds. If the poller did not understand a form, it would hide the message for two seconds at
/// most.
fn retry_after_in_any_form_is_obeyed(world: &World) {
    let queue = FaultyQueue::start(&world.azurite().queue_authority(), |_, _| Plan::default());
    let stage = Script::new(world).queue_at(queue.authority()).start();
    let (nothing, body) = (json!({}), json!({"error": {"code": "Throttled"}, "retryAfter": 100}));
    let forms: [(&str, &[&str], &Value); 4] = [
        ("seconds", &["100"], &nothing),
        ("date", &["<date>"], &nothing),
        ("two headers", &["7", "100"], &nothing),
        ("body", &[], &body),
    ];
    for (form, headers, body) in forms {
        let date =
            (Utc::now() + chrono::TimeDelta::seconds(100)).format("%a, %d %b %Y %H:%M:%S GMT").to_string();
        let (values, response) =
            (headers.iter().map(|header| header.replace("<date>", &date)).collect::<Vec<_>>(), body.clone());
        stage.connector.on(move |_| {
            let reply = Reply::status(429, response.clone());
            Some(values.iter().fold(reply, |reply, value| reply.header("retry-after", value)))
        });
        stage.queue.put_json(&envelope(&stage, form, &format!("a:{form}"), "hello"));
        let counts = stage.poll();
        assert_eq!(counts["throttled"], 1, "{form}: {counts}");
    }
    let hidden = queue.notes().into_iter().filter_map(|note| match note.effect {
        Effect::Hidden { seconds } => Some((note.envelope, seconds)),
        _ => None,
    });
    let hidden: Vec<_> = hidden.collect();
    assert_eq!(hidden.len(), forms.len(), "{hidden:?}");
    // One form is a date. On a busy machine, the poller can read the date so late that less than 100 seconds
    // are left.
    assert!(hidden.iter().all(|(_, seconds)| (50..=100).contains(seconds)), "{hidden:?}");
}

fn caller_without_an_idempotency_key_is_advised_not_to_repeat_the_call(world: &World) {
    let queue = PutOnlyQueue::start();
    let stage = alerts::script(world).queue_at(queue.authority()).start();
    for conversation in ["a:1", "a:2", "a:3"] {
        stage.say(&message(conversation, "1", "subscribe x"));
    }
    queue.refuse(&["a:2"]);
    let mut body = json!({"to": {"tag": "x"}, "text": "x"});
    for (key, expected) in
        [(None, "do not send the same call again"), (Some("k"), "send the same call again")]
    {
        if let Some(key) = key {
            body["idempotencyKey"] = key.into();
        }
        let response = alert(&stage, &body).expect_error(503, "QueueUnavailable").json();
        let text = response["error"]["message"].as_str().unwrap();
        let (_, advice) = text.split_once("; ").unwrap();
        assert!(advice.starts_with(expected), "{key:?}: {text}");
        let failed = response["alerts"].as_array().unwrap().iter();
        assert!(failed.filter(|alert| alert["status"] == "failed").count() >= 1, "{response}");
    }
}
