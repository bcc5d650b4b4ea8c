//! Misuse of the HTTP routes: invented ids of signing keys, JSON with many levels, long texts, ids that
//! consist of dots, and foreign names in the `Host` header.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bot_framework::testing::{TestKey, channel_claims};
use chrono::Utc;
use end_to_end::activity::message;
use end_to_end::alerts::{self, ALERT_KEY};
use end_to_end::login::{Login, Proof};
use end_to_end::openid::OpenId;
use end_to_end::stage::{APP_ID, POLL_KEY, Script, Stage};
use end_to_end::suite::World;
use end_to_end::waiting::eventually;
use end_to_end::web::{self, WholeResponse};
use serde_json::{Value, json};

end_to_end::cases!(
    bogus_key_ids_do_not_prevent_a_change_of_the_signing_key,
    bearer_in_upper_lower_or_mixed_case_is_accepted,
    json_of_32_levels_is_delivered_and_deeper_json_is_refused,
    text_of_a_caller_is_cut_in_responses_and_logs,
    id_that_consists_of_dots_is_refused,
    mentions_beyond_the_eighth_stay_in_the_text,
    foreign_host_header_is_refused_in_anonymous_mode,
    short_poll_key_is_a_misconfiguration,
);

fn bogus_key_ids_do_not_prevent_a_change_of_the_signing_key(world: &World) {
    let (issuer, login) = (OpenId::start(), Login::start(Proof::Secret));
    let stage = Script::new(world).logged_in(&login).authenticated(&issuer).start();
    let activity = stage.connector.host(&message("a:rollover", "1", "hello"));
    let service_url = activity["serviceUrl"].as_str().unwrap();
    let claims = channel_claims(APP_ID, service_url, Utc::now().timestamp());
    let (old, new) = (TestKey::issuer().sign(&claims), TestKey::stranger().sign(&claims));
    stage.post_as(&old, &activity).expect_status(202);
    issuer.publish(vec![TestKey::stranger().endorsed_jwk(&["msteams"])]);
    let (_, behind_the_header) = old.split_once('.').unwrap();
    let mut number = 0;
    eventually("a 202 for the new signing key, in spite of bogus key ids", || {
        number += 1;
        let header = json!({"alg": "RS256", "kid": format!("bogus-{number}")}).to_string();
        let bogus = format!("{}.{behind_the_header}", URL_SAFE_NO_PAD.encode(header));
        stage.post_as(&bogus, &activity).expect_error(401, "UnknownKey");
        Some(stage.post_as(&new, &activity)).filter(|response| response.status == 202)
    });
    assert!(issuer.fetches() <= 2 * 4, "expected at most 8 documents: four fetches of two documents");
}

fn bearer_in_upper_lower_or_mixed_case_is_accepted(world: &World) {
    let (issuer, login) = (OpenId::start(), Login::start(Proof::Secret));
    let script = Script::new(world).logged_in(&login).authenticated(&issuer);
    let stage = script.variable("alertkey", ALERT_KEY).start();
    let activity = stage.connector.host(&message("a:bearer", "1", "hello"));
    let service_url = activity["serviceUrl"].as_str().unwrap();
    let token = TestKey::issuer().sign(&channel_claims(APP_ID, service_url, Utc::now().timestamp()));
    for scheme in ["bearer", "BEARER", "Bearer", "bEARER"] {
        stage.post_with(&[&format!("{scheme} {token}")], &activity).expect_status(202);
        let listing = format!("{scheme} {ALERT_KEY}");
        alerts::call_with(&stage, "GET", "/api/targets", &listing, &Value::Null).expect_status(200);
        let poll = http::Request::post(stage.url("/internal/poll"));
        let poll = poll.header("authorization", format!("{scheme} {POLL_KEY}"));
        web::send(poll.body(web::whole("")).unwrap()).expect_status(200);
    }
    for scheme in ["Basic", "Bearer ", "Bearer\t"] {
        stage.post_with(&[&format!("{scheme} {token}")], &activity).expect_error(401, "NotBearer");
    }
}

/// Makes a JSON value with this many levels.
fn nested(levels: usize) -> Value {
    (0..levels).fold(json!("deep"), |inner, _| json!([inner]))
}

fn json_of_32_levels_is_delivered_and_deeper_json_is_refused(world: &World) {
    let stage = alerts::stage(world);
    let key = alerts::known(&stage, "a:deep", "hello");
    // The bot copies `conversation` from the activity into `address` of the *envelope* (an alert as JSON). So
    // the envelope has one level more than the activity. The poller must be able to read this envelope.
    let activity = |levels: usize| {
        let mut activity = stage.connector.host(&message("a:deep", &format!("deep-{levels}"), "deep"));
        activity["conversation"]["extra"] = nested(levels - 2);
        activity
    };
    let alert = |levels: usize| {
        let mut body = alerts::to_conversation(&key, "deep");
        body["activity"] = json!({"attachments": [{"contentType": "x", "content": nested(levels - 4)}]});
        body
    };
    for levels in [33, 40, 125, 126] {
        let response = stage.post(&activity(levels)).expect_error(400, "BadSyntax");
        assert!(response.describe().contains("32 levels"), "{levels}: {}", response.describe());
        let response = alerts::alert(&stage, &alert(levels)).expect_error(400, "BadArgument");
        assert!(response.describe().contains("32 levels"), "{levels}: {}", response.describe());
    }
    stage.connector.expect_silence();
    assert_eq!(stage.queue.count(), 0, "a refused request must not put a message on the queue");
    stage.post(&activity(32)).expect_status(202);
    alerts::queued(&stage, &alert(32));
    assert_eq!(
        stage.poll()["delivered"],
        2,
        "expected that the poller can read every message that the bot accepted"
    );
    assert!(!stage.queue.poison().exists(), "expected no poison queue");
}

fn text_of_a_caller_is_cut_in_responses_and_logs(world: &World) {
    // A *trigger* is an activity that contains an envelope. With `unsealedtriggers=allow`, the bot accepts a
    // trigger without a seal (a proof that the bot wrote the envelope).
    let stage = alerts::script(world).variable("unsealedtriggers", "allow").start();
    let key = alerts::known(&stage, "a:long", "hello");
    let long = "ü".repeat(5000);
    let shown = format!("{}…", "ü".repeat(64));
    let expect_cut = |what: &str, text: &str| {
        assert!(
            text.contains(&shown) && !text.contains(&"ü".repeat(65)),
            "{what}: {}",
            &text[..text.len().min(400)]
        );
    };
    let encoded = "%C3%BC".repeat(1000);
    let mut unknown = alerts::to_conversation(&key, "hello");
    unknown[&long] = true.into();
    let mut in_activity = alerts::to_conversation(&key, "hello");
    in_activity["activity"] = json!({ &long: true });
    // The bot cuts the whole path `activity.<name of the member>` to 64 characters. `activity.` has 9
    // characters, so 55 letters of the name are left.
    let activity_shown = format!("activity.{}…", "ü".repeat(55));
    for (what, response, shown) in [
        ("a member", alerts::alert(&stage, &unknown), &shown),
        ("a member of activity", alerts::alert(&stage, &in_activity), &activity_shown),
        (
            "a parameter",
            alerts::call(&stage, "GET", &format!("/api/targets?{encoded}=1"), &Value::Null),
            &shown,
        ),
    ] {
        let message = response.expect_error(400, "BadArgument").json()["error"]["message"].to_string();
        assert!(message.contains(shown.as_str()) && message.len() < 600, "{what}: {message}");
    }
    for line in stage.wait_for_events("request.rejected", 3) {
        assert!(line.to_string().len() < 900, "{line}");
    }
    // Other programs can write envelopes with ids of any length. So the bot and the poller cut the id in
    // their log lines.
    let envelope = |id: &str| {
        json!({
            "version": 1, "id": id, "text": "pizza", "enqueuedAt": Utc::now().to_rfc3339(),
            "address": stage.connector.host(&json!({
                "channelId": "msteams", "serviceUrl": "https://x/", "conversation": {"id": "a:long"},
                "user": {"id": "29:u"}, "bot": {"id": "28:b"},
            })),
        })
    };
    let mut trigger = stage.connector.host(&message("a:trigger", "1", ""));
    trigger["type"] = "event".into();
    trigger["name"] = "trigger".into();
    trigger["value"] = envelope(&long);
    stage.post(&trigger).expect_status(200);
    expect_cut("a trigger", &stage.wait_for_events("trigger.delivered", 1)[0]["envelope"].to_string());
    let mut nowhere = envelope(&format!("{long}2"));
    nowhere["address"]["serviceUrl"] = "https://elsewhere.example/".into();
    stage.queue.put_json(&nowhere);
    stage.poll();
    expect_cut("a poisoned envelope", &stage.wait_for_events("alert.poisoned", 1)[0]["envelope"].to_string());
}

fn id_that_consists_of_dots_is_refused(world: &World) {
    let stage = alerts::stage(world);
    for dots in [".", "..", "..."] {
        let mut activity = stage.connector.host(&message(dots, "1", "hello"));
        stage.post(&activity).expect_error(400, "BadSyntax");
        activity["conversation"]["id"] = "a:dots".into();
        activity["id"] = dots.into();
        stage.post(&activity).expect_error(400, "BadSyntax");
        let address = json!({"channelId": "msteams", "serviceUrl": activity["serviceUrl"], "conversation": {"id": dots}});
        let alert = json!({"to": {"address": address}, "text": "hello"});
        alerts::alert(&stage, &alert).expect_error(400, "BadArgument");
        alerts::alert(&stage, &json!({"to": {"tag": dots}, "text": "hello"}))
            .expect_error(400, "BadArgument");
        // Other programs can write to the queue. In their place, the case puts two messages on the queue: an
        // envelope of version 1, and a message in the format of Microsoft's bot template of 2017.
        stage.queue.put_json(&json!({
            "version": 1, "id": format!("planted{dots}"), "text": "x", "enqueuedAt": Utc::now().to_rfc3339(),
            "address": address,
        }));
        stage.queue.put_json(&json!({"address": address, "text": "x"}));
        assert_eq!(stage.poll()["poisoned"], 2, "{dots}");
    }
    stage.connector.expect_silence();
    assert_eq!(alerts::targets(&stage), Vec::<Value>::new(), "expected no stored conversation");
}

fn mentions_beyond_the_eighth_stay_in_the_text(world: &World) {
    let stage = Stage::start(world);
    let mut activity = message("a:mentions", "1", &"@Bot ".repeat(10));
    let bot = activity["recipient"]["id"].clone();
    let mention = json!({"type": "mention", "mentioned": {"id": bot}, "text": "@Bot"});
    activity["entities"] = vec![mention; 10].into();
    stage.say(&activity);
    let text = stage.queue.envelopes()[0]["text"].as_str().unwrap().to_owned();
    assert_eq!(text.split_whitespace().collect::<Vec<_>>(), ["@Bot", "@Bot"]);
}

/// Posts a request to the bot, with `host` in the `Host` header.
fn through(stage: &Stage, host: &str, path: &str, key: &str, body: &Value) -> WholeResponse {
    let mut request = http::Request::post(stage.url(path)).header("host", host);
    if !key.is_empty() {
        request = request.header("authorization", format!("Bearer {key}"));
    }
    let request = request.header("content-type", "application/json");
    web::send(request.body(web::whole(body.to_string())).unwrap())
}

/// In anonymous mode (`authmode=anonymous`), an activity needs no token. So a web page in a developer's
/// browser could post activities to the bot, if the page's host name led to the developer's machine. The bot
/// therefore refuses requests with the host name of another machine.
fn foreign_host_header_is_refused_in_anonymous_mode(world: &World) {
    let stage = alerts::stage(world);
    let activity = stage.connector.host(&message("a:rebound", "1", "hello"));
    let alert = json!({"to": {"tag": "x"}, "text": "hello"});
    for host in ["evil.example", "evil.example:3000", "127.0.0.1.evil.example", "192.168.1.7:3000"] {
        through(&stage, host, "/api/messages", "", &activity).expect_error(403, "HostNotAllowed");
        through(&stage, host, "/api/alerts", ALERT_KEY, &alert).expect_error(403, "HostNotAllowed");
        through(&stage, host, "/internal/poll", POLL_KEY, &json!({})).expect_error(403, "HostNotAllowed");
    }
    stage.connector.expect_silence();
    assert!(!stage.queue.exists(), "a refused request must not create the queue");
    for host in ["localhost", "localhost:3000", "127.0.0.1:3000", "[::1]:3000"] {
        through(&stage, host, "/api/messages", "", &activity).expect_status(202);
        through(&stage, host, "/internal/poll", POLL_KEY, &json!({})).expect_status(200);
    }
    // With `authmode=required`, an activity needs a token, and a web page has no token. So the bot accepts
    // every host name. (A bot in production has its own host name.)
    let (issuer, login) = (OpenId::start(), Login::start(Proof::Secret));
    let stage = Script::new(world).logged_in(&login).authenticated(&issuer).start();
    let activity = stage.connector.host(&activity);
    let service_url = activity["serviceUrl"].as_str().unwrap();
    let token = TestKey::issuer().sign(&channel_claims(APP_ID, service_url, Utc::now().timestamp()));
    through(&stage, "bot.example", "/api/messages", &token, &activity).expect_status(202);
}

fn short_poll_key_is_a_misconfiguration(world: &World) {
    let poll = |stage: &Stage, key: &str| {
        let request = http::Request::post(stage.url("/internal/poll"));
        web::send(request.header("authorization", format!("Bearer {key}")).body(web::whole("")).unwrap())
    };
    let stage = Script::new(world).variable("pollkey", "fifteen-letters").start();
    for key in ["fifteen-letters", "wrong"] {
        poll(&stage, key).expect_error(500, "Misconfigured");
    }
    let reason = stage.wait_for_events("poll.misconfigured", 2)[0]["reason"].to_string();
    assert!(reason.contains("pollkey") && reason.contains("16") && !reason.contains("fifteen"), "{reason}");
    let stage = Script::new(world).variable("pollkey", &format!(" {POLL_KEY} ")).start();
    poll(&stage, POLL_KEY).expect_status(200);
}
