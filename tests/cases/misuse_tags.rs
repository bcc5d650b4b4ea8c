//! Misuse of *tags* (names to which conversations subscribe): a guessed tag, a tag of another tenant, and a
//! tag with many subscribers. With `authmode=required`, a person needs a *code* to subscribe to a tag. A back
//! end requests the code from the bot.

use bot_framework::testing::{TestKey, channel_claims};
use chrono::Utc;
use end_to_end::activity::{fixture, message};
use end_to_end::alerts::{self, ALERT_KEY, alert, call, call_with, key_of, targets};
use end_to_end::connector::Received;
use end_to_end::login::{Login, Proof};
use end_to_end::openid::OpenId;
use end_to_end::stage::{APP_ID, Stage, TENANT};
use end_to_end::suite::World;
use end_to_end::waiting::eventually;
use serde_json::{Value, json};

end_to_end::cases!(
    guessed_tag_is_refused_and_a_code_is_valid_only_for_its_own_tag,
    tag_code_expires_and_is_neither_logged_nor_stored,
    back_end_adds_and_removes_tags_of_a_conversation,
    wrong_call_to_a_tag_route_is_refused,
    alert_to_a_tag_reaches_only_subscribers_of_the_tenant,
    alert_to_a_tag_with_250_subscribers_reaches_each_subscriber_once,
);

const FOREIGN_TENANT: &str = "99999999-2222-3333-4444-555555555555";

/// A stage (the Spin host of a test, and the services that the bot calls) with `authmode=required`. The bot
/// serves all tenants, and does not limit its replies.
struct Scene {
    // Rust drops the fields in this order. The stage with the bot stops first, so the bot cannot call a
    // stopped issuer.
    stage: Stage,
    _issuer: OpenId,
    _login: Login,
}

impl Scene {
    #[track_caller]
    fn start(world: &World) -> Self {
        let (issuer, login) = (OpenId::start(), Login::start(Proof::Secret));
        login.publish(&issuer);
        let script = alerts::script(world).logged_in(&login).authenticated(&issuer);
        // The bot also accepts messages from foreign tenants. So only one rule keeps the subscribers of two
        // tenants apart: each tenant has its own tags.
        let script = script.variable("tenants", "any").variable("repliesperminute", "0");
        Self { stage: script.start(), _issuer: issuer, _login: login }
    }

    /// Sends a message with a proper token, and returns the text of the bot's reply.
    #[track_caller]
    fn reply_to(&self, activity: &Value) -> String {
        let seen = self.stage.connector.received().len();
        let mut activity = self.stage.connector.host(activity);
        activity["id"] = format!("{seen}").into();
        let mut claims =
            channel_claims(APP_ID, activity["serviceUrl"].as_str().unwrap(), Utc::now().timestamp());
        claims["serviceurl"] = activity["serviceUrl"].clone();
        self.stage.post_as(&TestKey::issuer().sign(&claims), &activity).expect_status(202);
        self.stage.connector.wait_for(seen + 1).remove(seen).text().to_owned()
    }

    /// Sends a message in a Teams conversation of the bot's tenant, and returns the bot's reply.
    #[track_caller]
    fn say(&self, conversation: &str, text: &str) -> String {
        self.reply_to(&message(conversation, "1", text))
    }

    /// Sends a message in a Teams conversation of another tenant, and returns the bot's reply.
    #[track_caller]
    fn say_elsewhere(&self, conversation: &str, text: &str) -> String {
        let mut activity = message(conversation, "1", text);
        activity["conversation"]["tenantId"] = FOREIGN_TENANT.into();
        activity["channelData"]["tenant"]["id"] = FOREIGN_TENANT.into();
        self.reply_to(&activity)
    }

    /// Requests a code for a tag.
    #[track_caller]
    fn code(&self, tag: &str, body: &Value) -> String {
        let response = call(&self.stage, "POST", &format!("/api/tags/{tag}/codes"), body);
        response.expect_status(200).json()["code"].as_str().unwrap().to_owned()
    }

    /// Sends an alert to `to`. Returns the conversation keys (the ids that programs use for conversations) of
    /// the conversations that get the alert, or the HTTP status of the refusal.
    fn alerted_for(&self, to: Value) -> Result<Vec<String>, u16> {
        let response = alert(&self.stage, &json!({"to": to, "text": "x"}));
        match response.status {
            202 => Ok(conversations(&response.json())),
            status => Err(status),
        }
    }
}

/// The conversation keys in a response, sorted.
fn conversations(response: &Value) -> Vec<String> {
    let alerts = response["alerts"].as_array().expect("a list of alerts");
    let mut keys: Vec<_> =
        alerts.iter().map(|alert| alert["conversation"].as_str().unwrap().to_owned()).collect();
    keys.sort();
    keys
}

fn keys(conversations: &[&str]) -> Vec<String> {
    let mut keys: Vec<_> = conversations.iter().map(|id| key_of("msteams", id)).collect();
    keys.sort();
    keys
}

fn guessed_tag_is_refused_and_a_code_is_valid_only_for_its_own_tag(world: &World) {
    let scene = Scene::start(world);
    let reply = scene.say("a:1", "subscribe orders-42");
    assert!(reply.starts_with("Not done: ") && reply.contains("code"), "{reply}");
    assert_eq!(scene.alerted_for(json!({"tag": "orders-42"})), Err(404));

    let code = scene.code("orders-42", &json!({"for": "P7D"}));
    let last = if code.ends_with('0') { "1" } else { "0" };
    for (tag, code) in [
        ("orders-43", code.clone()),
        ("orders-42", scene.code("orders-43", &json!({"for": "P7D"}))),
        ("orders-42", scene.code("orders-42", &json!({"for": "P7D", "tenant": FOREIGN_TENANT}))),
        ("orders-42", format!("{}{last}", &code[..code.len() - 1])),
        ("orders-42", "000000-000000-000000-000000".into()),
    ] {
        let reply = scene.say("a:1", &format!("subscribe {tag} {code}"));
        assert!(reply.starts_with("Not done: this code"), "{tag} {code}: {reply}");
    }
    assert_eq!(targets(&scene.stage)[0]["tags"], json!([]));

    let reply = scene.say("a:1", &format!("subscribe Orders-42 {}", code.to_uppercase()));
    assert!(reply.starts_with("Subscribed: "), "{reply}");
    assert_eq!(scene.alerted_for(json!({"tag": "orders-42"})), Ok(keys(&["a:1"])));
    assert!(scene.say("a:1", "unsubscribe orders-42").starts_with("Unsubscribed: "));
    assert_eq!(scene.alerted_for(json!({"tag": "orders-42"})), Err(404));
}

fn tag_code_expires_and_is_neither_logged_nor_stored(world: &World) {
    let scene = Scene::start(world);
    let code = scene.code("x", &json!({"for": "PT2S"}));
    eventually("a refusal of the expired code", || {
        let reply = scene.say("a:1", &format!("subscribe x {code}"));
        assert!(reply.starts_with("Subscribed: ") || reply.starts_with("Not done: this code"), "{reply}");
        reply.starts_with("Not done: ").then_some(())
    });
    let issued = scene.stage.wait_for_events("tag.code-issued", 1).remove(0);
    assert_eq!(issued["tag"], "x");
    assert!(!scene.stage.host_log().contains(&code), "the code is in the log");
    let at_rest = String::from_utf8_lossy(&scene.stage.state_at_rest()).into_owned();
    assert!(!at_rest.contains(&code), "the code is in a file of the host");
}

fn back_end_adds_and_removes_tags_of_a_conversation(world: &World) {
    let scene = Scene::start(world);
    let stage = &scene.stage;
    scene.say("a:1", "hello");
    let key = key_of("msteams", "a:1");
    for _ in 0..2 {
        call(stage, "PUT", &format!("/api/targets/{key}/tags/Orders%2D42%23a"), &Value::Null)
            .expect_status(204);
    }
    assert_eq!(targets(stage)[0]["tags"], json!(["orders-42#a"]));
    assert_eq!(scene.alerted_for(json!({"tag": "orders-42#a"})), Ok(keys(&["a:1"])));
    let page = call(stage, "GET", "/api/targets?tag=orders-42%23a", &Value::Null).expect_status(200).json();
    assert_eq!(page["targets"][0]["conversation"], key.as_str());
    for _ in 0..2 {
        call(stage, "DELETE", &format!("/api/targets/{key}/tags/orders-42%23a"), &Value::Null)
            .expect_status(204);
    }
    assert_eq!(scene.alerted_for(json!({"tag": "orders-42#a"})), Err(404));
    for number in 0..33 {
        let response = call(stage, "PUT", &format!("/api/targets/{key}/tags/tag-{number}"), &Value::Null);
        match number {
            32 => response.expect_error(409, "TooManyTags"),
            _ => response.expect_status(204),
        };
    }
}

fn wrong_call_to_a_tag_route_is_refused(world: &World) {
    let scene = Scene::start(world);
    let stage = &scene.stage;
    scene.say("a:1", "hello");
    let key = key_of("msteams", "a:1");
    let unknown = key_of("msteams", "a:2");
    for method in ["PUT", "DELETE"] {
        for conversation in [unknown.as_str(), "x", "a%3A1"] {
            let path = format!("/api/targets/{conversation}/tags/x");
            call(stage, method, &path, &Value::Null).expect_error(404, "TargetNotFound");
        }
        for tag in ["", "two%20words", "%3Cb%3E", &"x".repeat(65)] {
            let path = format!("/api/targets/{key}/tags/{tag}");
            call(stage, method, &path, &Value::Null).expect_error(400, "BadArgument");
        }
        let path = format!("/api/targets/{key}/tags/x");
        call_with(stage, method, &path, "Bearer wrong", &Value::Null).expect_error(401, "Unauthorized");
        for path in [format!("/api/targets/{key}/tags"), format!("/api/targets/{key}/tags/x/y")] {
            call(stage, method, &path, &Value::Null).expect_error(404, "NotFound");
        }
    }
    let response = call(stage, "GET", &format!("/api/targets/{key}/tags/x"), &Value::Null);
    assert_eq!(response.expect_error(405, "MethodNotAllowed").header("allow"), "DELETE, PUT");
    let codes = "/api/tags/x/codes";
    call_with(stage, "POST", codes, "", &json!({"for": "P7D"})).expect_error(401, "Unauthorized");
    call(stage, "POST", codes, &Value::Null).expect_error(415, "UnsupportedMediaType");
    call(stage, "GET", codes, &Value::Null).expect_error(405, "MethodNotAllowed");
    call(stage, "POST", "/api/tags/two%20words/codes", &json!({"for": "P7D"}))
        .expect_error(400, "BadArgument");
    for body in [json!({}), json!({"for": "P367D"}), json!({"until": "2020-01-01T00:00:00Z"})] {
        call(stage, "POST", codes, &body).expect_error(400, "BadArgument");
    }
    assert!(!stage.host_log().contains(ALERT_KEY));
}

fn alert_to_a_tag_reaches_only_subscribers_of_the_tenant(world: &World) {
    let scene = Scene::start(world);
    let tag = |conversation: &str| {
        let path = format!("/api/targets/{conversation}/tags/news");
        call(&scene.stage, "PUT", &path, &Value::Null).expect_status(204);
    };
    scene.say("a:ours", "hello");
    scene.say_elsewhere("a:theirs", "hello");
    // A visitor of a web page with Web Chat writes the foreign tenant into an activity. The bot ignores this
    // tenant, so the visitor's conversation is in no tenant. An alert to a tag without `tenant` goes to the
    // subscribers in the bot's own tenant, and to the subscribers in no tenant.
    let mut visitor = fixture("webchat.json");
    visitor["text"] = "hello".into();
    visitor["conversation"]["tenantId"] = FOREIGN_TENANT.into();
    visitor["channelData"] = json!({"tenant": {"id": FOREIGN_TENANT}});
    scene.reply_to(&visitor);
    let on_web_page = key_of("webchat", visitor["conversation"]["id"].as_str().unwrap());
    for key in [key_of("msteams", "a:ours"), key_of("msteams", "a:theirs"), on_web_page.clone()] {
        tag(&key);
    }
    let (ours, theirs) = (keys(&["a:ours"]), keys(&["a:theirs"]));
    let mut home = [ours.as_slice(), std::slice::from_ref(&on_web_page)].concat();
    home.sort();
    assert_eq!(scene.alerted_for(json!({"tag": "news"})), Ok(home));
    assert_eq!(scene.alerted_for(json!({"tag": "news", "tenant": TENANT})), Ok(ours));
    assert_eq!(scene.alerted_for(json!({"tag": "news", "tenant": FOREIGN_TENANT})), Ok(theirs));
    assert_eq!(scene.alerted_for(json!({"tag": "news", "tenant": "none"})), Ok(vec![on_web_page]));
    // A code is valid only in one tenant. In the foreign tenant, people cannot use a code for the bot's own
    // tenant. In the bot's own tenant, people cannot use a code for the foreign tenant.
    let (own, foreign) = (
        scene.code("more", &json!({"for": "P7D"})),
        scene.code("more", &json!({"for": "P7D", "tenant": FOREIGN_TENANT})),
    );
    assert!(scene.say_elsewhere("a:theirs", &format!("subscribe more {own}")).starts_with("Not done: "));
    assert!(scene.say("a:ours", &format!("subscribe more {foreign}")).starts_with("Not done: "));
    assert!(
        scene.say_elsewhere("a:theirs", &format!("subscribe more {foreign}")).starts_with("Subscribed: ")
    );
    assert_eq!(scene.alerted_for(json!({"tag": "more"})), Err(404));
    assert_eq!(scene.alerted_for(json!({"tag": "more", "tenant": FOREIGN_TENANT})), Ok(keys(&["a:theirs"])));
}

fn alert_to_a_tag_with_250_subscribers_reaches_each_subscriber_once(world: &World) {
    const SIZE: usize = 250;
    let stage = alerts::script(world).variable("pace", "0").start();
    let numbers: Vec<usize> = (0..SIZE).collect();
    std::thread::scope(|scope| {
        for some in numbers.chunks(SIZE / 5) {
            let stage = &stage;
            scope.spawn(move || {
                some.iter().for_each(|number| {
                    stage.say(&message(&format!("a:{number}"), "1", "subscribe crowd"));
                });
            });
        }
    });
    let ids: Vec<String> = (0..SIZE).map(|number| format!("a:{number}")).collect();
    let all = keys(&ids.iter().map(String::as_str).collect::<Vec<_>>());
    stage.connector.forget();
    let body = json!({"to": {"tag": "crowd"}, "text": "hello", "idempotencyKey": "k"});
    let response = alert(&stage, &body).expect_status(202).json();
    assert_eq!((conversations(&response), response.get("next")), (all, None));
    let delivered = || {
        let received = stage.connector.received();
        received
            .iter()
            .filter(|received| received.is_alert())
            .filter_map(Received::conversation)
            .collect::<Vec<_>>()
    };
    eventually("every alert", || {
        stage.poll();
        (delivered().len() == SIZE).then_some(())
    });
    // Another person subscribes, and the back end repeats the call. The response is the same, and no alert is
    // sent again.
    stage.say(&message("a:late", "1", "subscribe crowd"));
    assert_eq!(alert(&stage, &body).expect_status(202).json(), response);
    assert_eq!((stage.poll()["delivered"].as_u64(), stage.queue.count()), (Some(0), 0));
    let mut conversations_alerted = delivered();
    conversations_alerted.sort();
    conversations_alerted.dedup();
    assert_eq!(conversations_alerted.len(), SIZE, "expected that each subscriber gets one alert");
}
