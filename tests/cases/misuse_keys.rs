//! API keys in the variable `alertkeys`. Each entry of the variable has a name, *scopes* (the kinds of API
//! calls that the key allows), and a hash of the key. The cases make calls that the key allows, and calls
//! that the bot must refuse. In this file, a *key* is an API key.

use bot_framework::testing::{TestKey, entra_claims};
use chrono::Utc;
use dev::host::HostKind;
use dev::named_key::{NamedKey, Purpose};
use end_to_end::activity::message;
use end_to_end::alerts::{self, ALERT_KEY, call_with, key_of, known, to_conversation};
use end_to_end::login::{Login, Proof};
use end_to_end::openid::OpenId;
use end_to_end::stage::{APP_ID, Script, Stage, TENANT};
use end_to_end::suite::World;
use end_to_end::waiting::eventually;
use end_to_end::web::{self, WholeResponse};
use serde_json::{Value, json};

mod entra;

use entra::{entra_token_allows_only_calls_within_the_roles, entra_token_is_refused_in_anonymous_mode};

end_to_end::cases!(
    api_key_allows_only_calls_within_the_scopes,
    api_key_of_a_tenant_reaches_only_this_tenant,
    api_key_with_a_tag_prefix_reaches_only_tags_with_the_prefix,
    expired_api_key_is_refused_and_logged,
    wrong_entry_of_alertkeys_is_named_in_the_log_without_the_hash,
    each_api_key_name_has_its_own_idempotency_keys_and_cancels_only_its_own_alerts,
    calls_are_logged_with_key_name_alert_ids_and_request_id,
    entra_token_allows_only_calls_within_the_roles,
    entra_token_is_refused_in_anonymous_mode,
    refused_call_costs_at_most_two_reads_of_variables,
);

const OTHER_TENANT: &str = "99999999-2222-3333-4444-555555555555";
const APP: &str = "00000000-0000-0000-0000-00000000000a";

/// Makes a key with this name and these scopes, such as `send,list`.
fn key(name: &str, scopes: &str) -> NamedKey {
    key_with(name, scopes, |_| {})
}

fn key_with(name: &str, scopes: &str, change: impl FnOnce(&mut Purpose)) -> NamedKey {
    let scopes = scopes.split(',').map(str::to_owned).collect();
    let mut purpose = Purpose { name: name.into(), scopes, ..Purpose::default() };
    change(&mut purpose);
    NamedKey::random(&purpose).unwrap()
}

/// Joins the entries of keys to a value of the variable `alertkeys`.
fn entries(keys: &[&NamedKey]) -> String {
    keys.iter().map(|key| key.entry()).collect::<Vec<_>>().join(",\n ")
}

/// Makes an API call with this key or token.
#[track_caller]
fn call(stage: &Stage, bearer: &str, method: &str, path: &str, body: &Value) -> WholeResponse {
    call_with(stage, method, path, &format!("Bearer {bearer}"), body)
}

#[track_caller]
fn alert(stage: &Stage, bearer: &str, body: &Value) -> WholeResponse {
    call(stage, bearer, "POST", "/api/alerts", body)
}

/// The ids of the alerts in a response.
fn ids(response: &Value) -> Vec<String> {
    let alerts = response["alerts"].as_array().unwrap();
    alerts.iter().map(|alert| alert["id"].as_str().unwrap().to_owned()).collect()
}

fn conversations(response: &Value, list: &str) -> Vec<String> {
    let list = response[list].as_array().unwrap();
    list.iter().map(|target| target["conversation"].as_str().unwrap().to_owned()).collect()
}

fn message_of(response: &WholeResponse) -> String {
    response.json()["error"]["message"].as_str().unwrap().to_owned()
}

fn address(stage: &Stage, conversation: &str) -> Value {
    let activity = stage.connector.host(&message(conversation, "1", ""));
    json!({"channelId": "msteams", "serviceUrl": activity["serviceUrl"], "conversation": {"id": conversation}})
}

fn api_key_allows_only_calls_within_the_scopes(world: &World) {
    let names = ["send", "address", "cancel", "list", "operate", "watch"];
    let keys = names.map(|name| key(name, name));
    let both = key("both", "send,address");
    let all: Vec<_> = keys.iter().chain([&both]).collect();
    let stage = Script::new(world).variable("alertkeys", &entries(&all)).start();
    let known = known(&stage, "a:1", "hello");
    let to_known = to_conversation(&known, "x");
    let to_address = json!({"to": {"address": address(&stage, "a:2")}, "text": "x"});
    let unknown = "/api/alerts/0a260123456789abcdef0123456789ab";
    for key in &all {
        let name = key.entry().split(':').next().unwrap();
        for (method, path, body, proper, scope) in [
            ("POST", "/api/alerts", &to_known, &["send", "both"][..], "send"),
            ("POST", "/api/alerts", &to_address, &["both"], if name == "send" { "address" } else { "send" }),
            ("GET", "/api/targets", &Value::Null, &["list"], "list"),
            ("DELETE", unknown, &Value::Null, &["cancel", "operate"], "cancel"),
            ("GET", "/metrics", &Value::Null, &["watch", "operate"], "watch"),
            ("POST", "/api/dead/drop", &Value::Null, &["operate"], "operate"),
        ] {
            let response = call(&stage, key.key(), method, path, body);
            if proper.contains(&name) {
                assert_ne!(response.status, 403, "{name}: {method} {path} {body}: {}", response.describe());
                continue;
            }
            let response = response.expect_error(403, "ScopeMissing");
            let text = message_of(&response);
            assert!(text.contains(&format!("`{name}`")) && text.contains(&format!("`{scope}`")), "{text}");
        }
    }
    assert_eq!(
        stage.queue.count(),
        3,
        "expected three alerts: key `send` to the conversation, key `both` to the conversation and to the address"
    );
    for stranger in ["pbk_0123456789abcdef0123456789abcdef", &both.key()[..46], "a.b.c"] {
        call(&stage, stranger, "GET", "/api/targets", &Value::Null).expect_error(401, "Unauthorized");
    }
    let log = stage.host_log();
    assert!(all.iter().all(|key| !log.contains(key.key())), "a key is in the log");
}

fn api_key_of_a_tenant_reaches_only_this_tenant(world: &World) {
    let ours = key_with("ours", "send,list", |purpose| purpose.tenant = Some(TENANT.to_uppercase()));
    let stage = alerts::script(world).variable("alertkeys", &entries(&[&ours])).start();
    let own = known(&stage, "a:own", "subscribe news");
    let of_other = |channel_id: &str, conversation: &str, tenant: &str, user: &str| {
        let mut activity = message(conversation, "1", "subscribe news");
        activity["channelId"] = channel_id.into();
        activity["conversation"]["tenantId"] = tenant.into();
        activity["channelData"]["tenant"]["id"] = tenant.into();
        activity["from"] = json!({"id": user});
        stage.say(&activity);
        key_of(channel_id, conversation)
    };
    let foreign = of_other("msteams", "a:foreign", OTHER_TENANT, "29:foreign");
    // A visitor of Web Chat can write any tenant into an activity. So the tenant in this activity proves
    // nothing.
    let pretended = of_other("webchat", "w:1", TENANT, "dl_visitor");
    let all = call(&stage, ALERT_KEY, "GET", "/api/targets", &Value::Null).expect_status(200).json();
    assert_eq!(all["targets"].as_array().unwrap().len(), 3);

    for query in ["", "?tag=news", &format!("?tenant={TENANT}")] {
        let path = format!("/api/targets{query}");
        let page = call(&stage, ours.key(), "GET", &path, &Value::Null).expect_status(200).json();
        assert_eq!(conversations(&page, "targets"), [own.as_str()], "{query}");
    }
    let path = format!("/api/targets?tenant={OTHER_TENANT}");
    call(&stage, ours.key(), "GET", &path, &Value::Null).expect_error(403, "TargetNotAllowed");

    let to_own = json!({"to": {"conversation": own}, "text": "x"});
    let response = alert(&stage, ours.key(), &to_own).expect_status(202).json();
    assert_eq!(conversations(&response, "alerts"), [own.as_str()]);
    stage.queue.take_all();
    for to in [
        json!({"conversation": foreign}),
        json!({"conversation": pretended}),
        json!({"user": "msteams/29:foreign"}),
        json!({"user": "webchat/dl_visitor"}),
        // If `to` names a Teams conversation, `ours` reaches the conversation without a verified tenant. If
        // `to` names a tag, `ours` reaches a subscriber only if a token has verified the subscriber's tenant.
        // In anonymous mode (`authmode=anonymous`) there are no tokens. So `ours` reaches no subscriber of
        // the tag.
        json!({"tag": "news"}),
    ] {
        let both = json!({"to": [{"conversation": own}, to], "text": "x"});
        alert(&stage, ours.key(), &both).expect_error(404, "TargetNotFound");
    }
    let to_address = json!({"to": {"address": address(&stage, "a:own")}, "text": "x"});
    alert(&stage, ours.key(), &to_address).expect_error(403, "ScopeMissing");
    assert_eq!(stage.queue.count(), 0);
}

fn api_key_with_a_tag_prefix_reaches_only_tags_with_the_prefix(world: &World) {
    let shop = key_with("shop", "send,list", |purpose| purpose.tag = Some("orders-".into()));
    let stage = Script::new(world).variable("alertkeys", &entries(&[&shop])).start();
    let conversation = known(&stage, "a:1", "subscribe orders-42");
    known(&stage, "a:1", "subscribe private");
    let user = message("a:1", "1", "")["from"]["aadObjectId"].clone();
    let to_tag = |tag: &str| json!({"to": {"tag": tag}, "text": "x"});
    alert(&stage, shop.key(), &to_tag("ORDERS-42")).expect_status(202);
    alert(&stage, shop.key(), &to_tag("orders-43")).expect_error(404, "TargetNotFound");
    stage.queue.take_all();
    for to in [
        json!({"tag": "private"}),
        json!({"tag": "orders"}),
        json!({"conversation": conversation}),
        json!({"user": user}),
    ] {
        let both = json!({"to": [{"tag": "orders-42"}, to], "text": "x"});
        let response = alert(&stage, shop.key(), &both).expect_error(403, "TargetNotAllowed");
        let text = message_of(&response);
        assert!(
            text.starts_with("to[1]: ") && text.contains("`shop`") && text.contains("`orders-`"),
            "{text}"
        );
    }
    assert_eq!(stage.queue.count(), 0);
    let page = call(&stage, shop.key(), "GET", "/api/targets?tag=orders-42", &Value::Null);
    let targets = page.expect_status(200).json()["targets"].take();
    assert_eq!(
        targets[0]["tags"],
        json!(["orders-42"]),
        "expected only tags with the key's prefix, found {targets}"
    );
    for query in ["", "?tag=private"] {
        let path = format!("/api/targets{query}");
        call(&stage, shop.key(), "GET", &path, &Value::Null).expect_error(403, "TargetNotAllowed");
    }
}

fn expired_api_key_is_refused_and_logged(world: &World) {
    let until =
        |name: &str, until: &str| key_with(name, "list", |purpose| purpose.until = Some(until.into()));
    let today = Utc::now().format("%Y-%m-%d").to_string();
    let (ended, ends_today) = (until("ended", "2026-01-31T12:00:00+01:00"), until("today", &today));
    let stage = Script::new(world).variable("alertkeys", &entries(&[&ended, &ends_today])).start();
    let list = |key: &NamedKey| call(&stage, key.key(), "GET", "/api/targets", &Value::Null);
    list(&ends_today).expect_status(200);
    let response = list(&ended).expect_error(401, "Unauthorized");
    let refused = &stage.wait_for_events("alert.key-refused", 1)[0];
    assert_eq!((&refused["key"], &refused["reason"]), (&"ended".into(), &"the API key has expired".into()));
    assert_eq!(refused["request"], response.header("x-request-id"));
    let unknown = key("unknown", "list");
    assert_eq!(message_of(&list(&unknown).expect_error(401, "Unauthorized")), message_of(&response));
    assert_eq!(stage.events("alert.key-refused").len(), 1);
}

fn wrong_entry_of_alertkeys_is_named_in_the_log_without_the_hash(world: &World) {
    let (good, bad) = (key("good", "list"), key("bad", "list"));
    let hash = bad.entry().rsplit(':').next().unwrap();
    let wrong = format!("{},bad:list+everything:{hash}", good.entry());
    let stage = alerts::script(world).variable("alertkeys", &wrong).start();
    for key in [good.key(), ALERT_KEY] {
        let response =
            call(&stage, key, "GET", "/api/targets", &Value::Null).expect_error(500, "Misconfigured");
        assert!(!message_of(&response).contains("alertkeys"), "{}", response.describe());
    }
    let rejected = stage.wait_for_events("request.rejected", 1);
    let reason = rejected[0]["reason"].as_str().unwrap();
    assert!(reason.starts_with("variable alertkeys: entry 2 (`bad`): "), "{reason}");
    assert!(!stage.host_log().contains(hash), "the hash is in the log");
}

fn each_api_key_name_has_its_own_idempotency_keys_and_cancels_only_its_own_alerts(world: &World) {
    let (ci, shop) = (key("ci", "send,cancel"), key("shop", "send,cancel"));
    // When an operator replaces a key, the old key and the new key have the same name for a time.
    let (new_ci, operator) = (key("ci", "send,cancel"), key("ops", "operate"));
    let stage = Script::new(world).variable("alertkeys", &entries(&[&ci, &shop, &new_ci, &operator])).start();
    let known = known(&stage, "a:1", "hello");
    let mut body = to_conversation(&known, "once");
    body["idempotencyKey"] = "order 42".into();
    body["delay"] = "PT1H".into();
    let send = |key: &NamedKey, body: &Value| alert(&stage, key.key(), body).expect_status(202).json();
    let first = send(&ci, &body);
    assert_eq!(
        send(&new_ci, &body),
        first,
        "expected the same response, because both keys have the same name"
    );
    let second = send(&shop, &body);
    assert_ne!(
        second, first,
        "expected that an idempotency key counts separately for each name of an API key"
    );
    assert_eq!(send(&shop, &body), second);
    let mut other = body.clone();
    other["text"] = "another".into();
    alert(&stage, ci.key(), &other).expect_error(422, "IdempotencyKeyReused");

    let cancel = |key: &NamedKey, id: &str| {
        call(&stage, key.key(), "DELETE", &format!("/api/alerts/{id}"), &Value::Null)
    };
    let (of_ci, of_shop) = (ids(&first).remove(0), ids(&second).remove(0));
    let refused = cancel(&shop, &of_ci).expect_error(404, "AlertNotFound");
    let unknown = cancel(&shop, "0a260123456789abcdef0123456789ab").expect_error(404, "AlertNotFound");
    assert_eq!(
        message_of(&refused),
        message_of(&unknown),
        "the response must not show whether the alert exists"
    );
    assert_eq!(ids(&send(&ci, &body)), [of_ci.as_str()], "a refused call must not cancel the alert");
    assert_eq!(send(&ci, &body)["alerts"][0]["status"], "queued");
    cancel(&new_ci, &of_ci).expect_status(202);
    assert_eq!(send(&ci, &body)["alerts"][0]["status"], "cancelled");
    cancel(&operator, &of_shop).expect_status(202);
}

fn calls_are_logged_with_key_name_alert_ids_and_request_id(world: &World) {
    let ci = key("ci", "send,cancel,list");
    let stage = Script::new(world).variable("alertkeys", &entries(&[&ci])).start();
    let known = known(&stage, "a:1", "hello");
    let send = |key: &str, method: &str, path: &str, request_id: &str, body: &Value| {
        let request = http::Request::builder().method(method).uri(stage.url(path));
        let request = request.header("authorization", format!("Bearer {key}"));
        let request = request.header("content-type", "application/json").header("x-request-id", request_id);
        web::send(request.body(web::whole(body.to_string())).unwrap())
    };
    let last = |event: &str, count: usize| stage.wait_for_events(event, count).remove(count - 1);
    let response = send(ci.key(), "POST", "/api/alerts", "req-1:a/b+c=", &to_conversation(&known, "x"));
    let response = response.expect_status(202);
    assert_eq!(response.header("x-request-id"), "req-1:a/b+c=");
    let alerts = ids(&response.json());
    let line = last("alerts.queued", 1);
    assert_eq!(
        (&line["key"], &line["request"], &line["alerts"]),
        (&"ci".into(), &"req-1:a/b+c=".into(), &json!(alerts))
    );
    assert_eq!((&line["queued"], &line["repeated"]), (&1.into(), &0.into()), "{line}");
    let path = format!("/api/alerts/{}", alerts[0]);
    assert_eq!(
        send(ci.key(), "DELETE", &path, "req-2", &Value::Null).expect_status(202).header("x-request-id"),
        "req-2"
    );
    let line = last("alert.cancelling", 1);
    assert_eq!(
        (&line["key"], &line["request"], &line["envelope"]),
        (&"ci".into(), &"req-2".into(), &json!(alerts[0]))
    );
    send(ci.key(), "GET", "/api/targets", "req-3", &Value::Null).expect_status(200);
    let line = last("targets.listed", 1);
    assert_eq!(
        (&line["key"], &line["request"], &line["targets"]),
        (&"ci".into(), &"req-3".into(), &1.into())
    );

    // Error responses have a request id, too. If the caller's `x-request-id` is too long or has unexpected
    // characters, the bot makes another id.
    for (key, method, path, sent, status, name) in [
        (ci.key(), "POST", "/api/alerts", "req-4", 400, Some("ci")),
        ("wrong", "GET", "/api/targets", "req-5", 401, None),
        (ci.key(), "PUT", "/api/alerts", "req-6", 405, None),
        (ci.key(), "GET", "/api/targets?x=1", "a b", 400, Some("ci")),
        (ci.key(), "GET", "/api/targets?x=1", "<script>", 400, Some("ci")),
        (ci.key(), "GET", "/api/targets?x=1", &"x".repeat(65), 400, Some("ci")),
    ] {
        let before = stage.events("request.rejected").len();
        let response = send(key, method, path, sent, &json!({})).expect_status(status);
        let id = response.header("x-request-id");
        let is_made = id.len() == 32 && id.bytes().all(|digit| digit.is_ascii_hexdigit());
        assert!(if sent.starts_with("req-") { id == sent } else { is_made }, "{sent}: {id}");
        let line = last("request.rejected", before + 1);
        assert_eq!((&line["request"], line["key"].as_str()), (&id.into(), name), "{line}");
    }
}

fn refused_call_costs_at_most_two_reads_of_variables(world: &World) {
    if world.host() != HostKind::Embedded {
        return;
    }
    let (issuer, login) = (OpenId::start(), Login::start(Proof::Secret));
    login.publish(&issuer);
    let ci = key("ci", "list");
    let script = Script::new(world).logged_in(&login).authenticated(&issuer).metered();
    let stage = script.variable("alertkey", ALERT_KEY).variable("alertkeys", &entries(&[&ci])).start();
    let foreign = TestKey::issuer().sign(&entra_claims(APP_ID, APP, OTHER_TENANT, Utc::now().timestamp()));
    for (bearer, variables) in [("wrong", 1), (&ci.key()[..46], 1), ("", 1), (&foreign, 2)] {
        let before = reports(&stage).len();
        call(&stage, bearer, "POST", "/api/alerts", &json!({})).expect_status(401);
        // The embedded host writes a report when the bot's instance ends. The instance ends after the
        // response, so the case has to wait for the report.
        let report = eventually("a report of the host", || reports(&stage).get(before).cloned());
        let used = ["variables", "keyValueReads", "keyValueWrites", "outboundCalls"]
            .map(|name| report[name].as_u64());
        assert_eq!(used, [Some(variables), Some(0), Some(0), Some(0)], "{bearer}: {report}");
    }
}

/// The reports of the embedded host. Each report has the resources that one instance of a component used.
fn reports(stage: &Stage) -> Vec<Value> {
    let lines = stage.lines();
    lines.iter().filter_map(|line| serde_json::from_str(line.strip_prefix("Meter ")?).ok()).collect()
}
