//! Tenants that the bot does not serve, people who write that they are somebody else, and alerts that go on after `stop` or
//! `deleteUserData`.

use bot_framework::testing::{TestKey, channel_claims};
use chrono::{TimeDelta, Utc};
use end_to_end::activity::{at_service, fixture, message};
use end_to_end::alerts::{self, alert, key_of, known, queued, targets, to_conversation};
use end_to_end::connector::Reply;
use end_to_end::login::{Login, Proof};
use end_to_end::openid::OpenId;
use end_to_end::stage::{APP_ID, Stage, TENANT};
use end_to_end::suite::World;
use end_to_end::table::Table;
use end_to_end::waiting::eventually;
use envelope::testing::WRAPPINGS;
use serde_json::{Value, json};

end_to_end::cases!(
    an_activity_of_a_foreign_tenant_is_refused_and_nothing_is_kept,
    every_tenant_that_an_activity_names_counts,
    tenants_are_listed_by_a_variable,
    a_tenant_that_is_no_longer_served_is_not_alerted,
    an_address_in_a_foreign_tenant_is_refused,
    a_visitor_who_writes_a_tenant_and_an_object_id_is_nobody,
    a_visitor_who_asks_to_be_forgotten_takes_nobody_along,
    an_id_that_a_client_chose_finds_nobody,
    a_stop_holds_in_every_spelling_of_the_channel,
    a_channel_id_that_is_none_is_refused_at_every_door,
    what_waits_is_dropped_when_the_person_asks_to_be_forgotten,
    what_was_written_long_ago_is_dropped_too_and_what_comes_later_is_not,
    a_stop_outlives_the_person_s_data,
    a_call_that_is_repeated_is_no_younger_than_the_first,
    a_forgotten_conversation_leaves_the_poison_queue_and_others_stay,
);

const FOREIGN: &str = "99999999-2222-3333-4444-555555555555";

/// A bot that demands tokens.
struct Scene {
    stage: Stage,
    _issuer: OpenId,
    login: Login,
}

impl Scene {
    #[track_caller]
    fn start(world: &World, variables: &[(&str, &str)]) -> Self {
        let (issuer, login) = (OpenId::start(), Login::start(Proof::Secret));
        login.publish(&issuer);
        let script = alerts::script(world).logged_in(&login).authenticated(&issuer);
        let script = variables.iter().fold(script, |script, (name, value)| script.variable(name, value));
        Self { stage: script.start(), _issuer: issuer, login }
    }

    /// Posts an activity as Azure Bot Service does.
    #[track_caller]
    fn post(&self, activity: &Value) -> end_to_end::web::Answer {
        let activity = self.stage.connector.host(activity);
        let service_url = activity["serviceUrl"].as_str().unwrap();
        let claims = channel_claims(APP_ID, service_url, Utc::now().timestamp());
        self.stage.post_as(&TestKey::issuer().sign(&claims), &activity)
    }
}

/// A message in a conversation whose tenant is said in two places; `null` leaves one out.
fn message_of(conversation: &str, tenant: Value, channel_tenant: Value) -> Value {
    let mut activity = message(conversation, "1", "hello");
    for (at, tenant) in [("/conversation/tenantId", tenant), ("/channelData/tenant/id", channel_tenant)] {
        *activity.pointer_mut(at).expect("a tenant of the fixture") = tenant;
    }
    activity
}

fn tables_of(world: &World, stage: &Stage) -> [Table; 3] {
    let connection = world.azurite().connection_string();
    ["conversations", "ledger", "runs"]
        .map(|name| Table::new(&connection, &format!("{}{name}", stage.table_prefix)))
}

/// Alerts that the Connector was sent.
fn alerted(stage: &Stage) -> Vec<String> {
    let received = stage.connector.received();
    received.iter().filter(|received| received.is_alert()).map(|alert| alert.text().to_owned()).collect()
}

fn an_activity_of_a_foreign_tenant_is_refused_and_nothing_is_kept(world: &World) {
    let scene = Scene::start(world, &[]);
    let foreign = message_of("a:1", FOREIGN.into(), FOREIGN.into());
    let changes = [
        json!({}),
        json!({"text": "subscribe orders-42"}),
        json!({"text": "stop"}),
        json!({"type": "conversationUpdate", "membersAdded": [foreign["recipient"]]}),
        json!({"type": "installationUpdate", "action": "add"}),
        json!({"type": "deleteUserData"}),
        json!({"type": "endOfConversation"}),
        json!({"type": "event", "name": "trigger", "value": {"text": "x"}}),
        json!({"type": "invoke", "name": "x"}),
        json!({"type": "typing"}),
    ];
    for (index, change) in changes.iter().enumerate() {
        let mut activity = foreign.clone();
        activity.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        let answer = scene.post(&activity).expect_error(403, "TenantNotAllowed");
        assert!(!answer.describe().contains(FOREIGN), "{}", answer.describe());
        let lines = scene.stage.wait_for_events("request.rejected", index + 1);
        assert_eq!(lines.len(), index + 1, "one line each: {lines:?}");
        assert!(lines[index]["reason"].as_str().unwrap().contains(FOREIGN), "{:?}", lines[index]);
    }
    scene.stage.post(&scene.stage.connector.host(&foreign)).expect_status(401);
    scene.stage.connector.expect_silence();
    assert_eq!(scene.login.requests(), 0, "no token is fetched");
    assert!(!scene.stage.queue.exists(), "nothing is queued");
    for table in tables_of(world, &scene.stage) {
        assert!(table.entities().is_empty(), "{table:?}");
    }
    // The channel's keys are everybody's.
    let kept: Vec<_> = scene.stage.stored().into_keys().filter(|key| !key.starts_with("jwks:")).collect();
    assert!(kept.is_empty(), "{kept:?}");
    assert!(targets(&scene.stage).is_empty());

    scene.post(&message_of("a:1", TENANT.into(), TENANT.into())).expect_status(202);
    assert_eq!(targets(&scene.stage)[0]["tenantId"], TENANT);
}

fn every_tenant_that_an_activity_names_counts(world: &World) {
    let scene = Scene::start(world, &[]);
    let (own, foreign, none) = (json!(TENANT), json!(FOREIGN), Value::Null);
    for (tenant, channel_tenant, status) in [
        (&own, &own, 202),
        (&own, &none, 202),
        (&none, &own, 202),
        (&foreign, &own, 403),
        (&own, &foreign, 403),
        (&foreign, &none, 403),
        (&none, &foreign, 403),
        (&none, &none, 403),
    ] {
        let activity = message_of("a:1", tenant.clone(), channel_tenant.clone());
        let answer = scene.post(&activity);
        assert_eq!(answer.status, status, "{tenant} {channel_tenant}: {}", answer.describe());
    }
    // A channel that does not vouch for tenants is not asked: whatever is written there proves nothing.
    let mut visitor = fixture("webchat.json");
    visitor["conversation"]["tenantId"] = FOREIGN.into();
    scene.post(&visitor).expect_status(202);
}

fn tenants_are_listed_by_a_variable(world: &World) {
    let both = format!("{TENANT}, {FOREIGN}");
    for (tenants, own, foreign) in [(FOREIGN, 403, 202), (&both, 202, 202), ("any", 202, 202)] {
        let scene = Scene::start(world, &[("tenants", tenants)]);
        for (tenant, status) in [(TENANT, own), (FOREIGN, foreign)] {
            let answer = scene.post(&message_of("a:1", tenant.into(), tenant.into()));
            assert_eq!(answer.status, status, "{tenants:?}, {tenant}: {}", answer.describe());
        }
    }
    let scene = Scene::start(world, &[("tenants", "contoso.com")]);
    scene.post(&message_of("a:1", TENANT.into(), TENANT.into())).expect_error(500, "Misconfigured");
    scene.stage.try_poll().expect_error(500, "Misconfigured");
    let reason = scene.stage.wait_for_events("request.rejected", 1)[0]["reason"].to_string();
    assert!(reason.contains("variable tenants"), "{reason}");
    // In anonymous mode nobody is refused, unless there is a list.
    let stage = Stage::start(world);
    stage.say(&message_of("a:1", FOREIGN.into(), FOREIGN.into()));
}

fn a_tenant_that_is_no_longer_served_is_not_alerted(world: &World) {
    let mut stage = alerts::stage(world);
    let key = known(&stage, "a:1", "subscribe news");
    queued(&stage, &to_conversation(&key, "on its way"));
    stage.restart_with("tenants", FOREIGN);
    let person = format!("msteams/{}", message("", "", "")["from"]["id"].as_str().unwrap());
    for to in [json!({"conversation": key}), json!({"tag": "news"}), json!({"user": person})] {
        let answer = alert(&stage, &json!({"to": to, "text": "x"})).expect_status(202).json();
        assert_eq!(answer["alerts"][0]["status"], "untrusted", "{to}: {answer}");
    }
    assert_eq!(stage.queue.count(), 1);
    let counts = stage.poll();
    assert_eq!((&counts["poisonedBy"]["tenantNotAllowed"], &counts["delivered"]), (&1.into(), &0.into()));
    stage.connector.expect_silence();
    assert_eq!(stage.queue.poison().envelopes()[0]["failure"]["outcome"], "tenantNotAllowed");
}

fn an_address_in_a_foreign_tenant_is_refused(world: &World) {
    let stage = alerts::script(world).variable("tenants", TENANT).start();
    let service_url = stage.connector.host(&message("a:1", "1", ""))["serviceUrl"].clone();
    let address = |channel: &str, tenant: Value| {
        let conversation = json!({"id": "a:1", "tenantId": tenant});
        let address = json!({"channelId": channel, "serviceUrl": service_url, "conversation": conversation});
        json!({"to": {"address": address}, "text": "x"})
    };
    for channel in ["msteams", "MSTeams"] {
        alert(&stage, &address(channel, FOREIGN.into())).expect_error(403, "TenantNotAllowed");
    }
    alert(&stage, &address("msteams", TENANT.into())).expect_status(202);
    // A program that keeps its own addresses may keep them without a tenant.
    alert(&stage, &address("msteams", Value::Null)).expect_status(202);
}

/// A visitor of Web Chat who writes what a client can write, about the person of the fixture `teams-personal.json`.
fn visitor(stage: &Stage, change: Value) -> Value {
    let person = fixture("teams-personal.json");
    let mut activity = stage.connector.host(&fixture("webchat.json"));
    activity["from"]["aadObjectId"] = person["from"]["aadObjectId"].clone();
    activity["conversation"]["tenantId"] = TENANT.into();
    activity["channelData"]["tenant"] = json!({"id": TENANT});
    activity.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
    activity
}

fn a_visitor_who_writes_a_tenant_and_an_object_id_is_nobody(world: &World) {
    let stage = alerts::stage(world);
    let key = known(&stage, "a:1", "hello");
    // Later, so that the visitor was seen last.
    stage.say(&visitor(&stage, json!({"conversation": {"id": "visitor"}})));
    stage.say(&visitor(&stage, json!({})));
    stage.queue.take_all();
    let listed = alerts::call(&stage, "GET", &format!("/api/targets?tenant={TENANT}"), &Value::Null);
    let listed = listed.expect_status(200).json()["targets"].take();
    assert_eq!(listed.as_array().map(Vec::len), Some(1), "{listed}");
    assert_eq!(listed[0]["conversation"], key.as_str());
    for target in targets(&stage).iter().filter(|target| target["channelId"] == "webchat") {
        assert!(target.get("tenantId").is_none() && target["user"].get("aadObjectId").is_none(), "{target}");
    }
    let object_id = fixture("teams-personal.json")["from"]["aadObjectId"].take();
    let body = json!({"to": {"user": object_id}, "text": "for your eyes only"});
    let answer = alert(&stage, &body).expect_status(202).json();
    assert_eq!(answer["alerts"][0]["conversation"], key.as_str(), "{answer}");
}

fn a_visitor_who_asks_to_be_forgotten_takes_nobody_along(world: &World) {
    let stage = alerts::stage(world);
    let key = known(&stage, "a:1", "hello");
    let mut other = stage.connector.host(&fixture("webchat.json"));
    other["conversation"]["id"] = "other".into();
    stage.say(&other);
    stage.say(&visitor(&stage, json!({})));
    stage.queue.take_all();
    stage.connector.forget();
    queued(&stage, &to_conversation(&key, "to the person"));
    queued(&stage, &to_conversation(&key_of("webchat", "other"), "to the other"));
    // It names the person's object id, and the other visitor's id.
    stage.post(&visitor(&stage, json!({"type": "deleteUserData"}))).expect_status(200);
    let left: Vec<_> = targets(&stage).into_iter().map(|target| target["conversation"].clone()).collect();
    let mut expected = [key, key_of("webchat", "other")].map(Value::from);
    expected.sort_by_key(ToString::to_string);
    assert_eq!(left, expected);
    assert_eq!(stage.poll()["delivered"], 2);
}

fn an_id_that_a_client_chose_finds_nobody(world: &World) {
    let stage = alerts::script(world).variable("unboundusers", "refuse").start();
    let say = |stage: &Stage, user: &str| {
        let mut activity = stage.connector.host(&fixture("webchat.json"));
        (activity["from"]["id"], activity["conversation"]["id"]) = (user.into(), user.into());
        stage.say(&activity);
        stage.queue.take_all();
    };
    say(&stage, "ann");
    say(&stage, "dl_ann");
    let to = |user: &str| json!({"to": {"user": user}, "text": "x"});
    for user in ["webchat/ann", "WebChat/ann", "directline/ann", "webchat/DL_ann"] {
        let answer = alert(&stage, &to(user)).expect_error(403, "UserNotBound");
        assert!(answer.describe().contains("unboundusers"), "{}", answer.describe());
    }
    let answer = alert(&stage, &to("webchat/dl_ann")).expect_status(202).json();
    assert_eq!(answer["alerts"][0]["conversation"], key_of("webchat", "dl_ann").as_str());
    let [conversations, ..] = tables_of(world, &stage);
    let indexes: Vec<_> = conversations
        .entities()
        .into_iter()
        .map(|entity| entity.key.partition)
        .filter(|key| key.starts_with("u."))
        .collect();
    assert_eq!(indexes, ["u.webchat.dl_ann"]);
    // The conversation is reached all the same, by its own name.
    queued(&stage, &to_conversation(&key_of("webchat", "ann"), "x"));
    // On a laptop nobody binds ids.
    let stage = alerts::stage(world);
    say(&stage, "ann");
    alert(&stage, &to("webchat/ann")).expect_status(202);
}

/// The address of a conversation with this spelling of its channel.
fn address(stage: &Stage, channel: &str, conversation: &str) -> Value {
    let service_url = stage.connector.host(&message(conversation, "1", ""))["serviceUrl"].clone();
    json!({
        "channelId": channel, "serviceUrl": service_url, "conversation": {"id": conversation},
        "user": {"id": "29:u"}, "bot": {"id": "28:b"},
    })
}

fn a_stop_holds_in_every_spelling_of_the_channel(world: &World) {
    let stage = alerts::stage(world);
    let key = known(&stage, "a:1", "stop");
    for channel in ["msteams", "MSTeams", "MSTEAMS"] {
        let body = json!({"to": {"address": address(&stage, channel, "a:1")}, "text": "x"});
        let answer = alert(&stage, &body).expect_status(202).json();
        assert_eq!(answer, json!({"alerts": [{"conversation": key, "status": "stopped"}]}), "{channel}");
    }
    // An envelope of another producer, which says that `stop` holds for it.
    for (id, enqueued_at) in [("now", Utc::now()), ("long ago", Utc::now() - TimeDelta::days(1))] {
        stage.queue.put_json(&json!({
            "version": 1, "id": id, "text": "x", "enqueuedAt": enqueued_at.to_rfc3339(), "stoppable": true,
            "address": address(&stage, "MsTeams", "a:1"),
        }));
    }
    let counts = stage.poll();
    assert_eq!((&counts["stopped"], &counts["delivered"]), (&2.into(), &0.into()), "{counts}");
    // An activity is of the same conversation, too.
    let mut activity = message("a:1", "2", "start");
    activity["channelId"] = "MSTeams".into();
    stage.say(&activity);
    assert_eq!(targets(&stage).len(), 1);
    queued(&stage, &to_conversation(&key, "again"));
}

fn a_channel_id_that_is_none_is_refused_at_every_door(world: &World) {
    let stage = alerts::stage(world);
    for channel in ["ms teams", "msteams ", "m\u{17f}teams", "ms/teams", "msteams\u{0}", &"x".repeat(65)] {
        let mut activity = stage.connector.host(&message("a:1", "1", "hello"));
        activity["channelId"] = channel.into();
        stage.post(&activity).expect_error(400, "BadSyntax");
        let body = json!({"to": {"address": address(&stage, channel, "a:1")}, "text": "x"});
        let answer = alert(&stage, &body).expect_error(400, "BadArgument");
        assert!(answer.describe().contains("to.address.channelId"), "{}", answer.describe());
        let body = json!({"to": {"user": format!("{channel}/29:u")}, "text": "x"});
        // What stands before the first slash is the channel.
        let code = if channel == "ms/teams" { (404, "TargetNotFound") } else { (400, "BadArgument") };
        alert(&stage, &body).expect_error(code.0, code.1);
        stage.queue.put_json(&json!({
            "version": 1, "id": "x", "text": "x", "enqueuedAt": "2026-11-23T22:00:00Z",
            "address": address(&stage, channel, "a:1"),
        }));
        assert_eq!(stage.poll()["poisonedBy"]["unreadable"], 1, "{channel:?}");
    }
    assert!(targets(&stage).is_empty());
    stage.connector.expect_silence();
}

/// The person asks for everything to be forgotten.
#[track_caller]
fn forget_person(stage: &Stage, conversation: &str) {
    let mut activity = stage.connector.host(&message(conversation, "forget", ""));
    activity["type"] = "deleteUserData".into();
    stage.post(&activity).expect_status(200);
}

fn what_waits_is_dropped_when_the_person_asks_to_be_forgotten(world: &World) {
    let stage = alerts::stage(world);
    let key = known(&stage, "a:1", "hello");
    known(&stage, "a:2", "hello");
    queued(&stage, &to_conversation(&key, "waiting"));
    queued(&stage, &to_conversation(&key_of("msteams", "a:2"), "in another chat of the person"));
    let mut later = to_conversation(&key, "scheduled");
    later["delay"] = "PT2S".into();
    queued(&stage, &later);
    stage.say(&message("a:1", "2", "remind me in 2 seconds tea"));
    stage.say(&message("a:1", "3", "what I said myself"));
    let mut group = fixture("teams-channel.json");
    group["text"] = "<at>Proactive Bot</at> for everybody".into();
    stage.say(&group);
    forget_person(&stage, "a:1");
    assert_eq!(targets(&stage).len(), 1, "the group stays");
    let mut dropped = 0;
    eventually("everything that waited", || {
        dropped += stage.poll()["stopped"].as_u64().unwrap_or_default();
        (stage.queue.count() == 0).then_some(())
    });
    assert_eq!(dropped, 5);
    assert_eq!(alerted(&stage), ["Alert: for everybody"]);
    let [conversations, ledger, _] = tables_of(world, &stage);
    let reason = |entity: &storage_table::Entity| entity.str("reason").unwrap_or_default().to_owned();
    let stopped = ledger.entities().into_iter().filter(|entity| entity.str("status") == Some("stopped"));
    let reasons: Vec<_> = stopped.map(|entity| reason(&entity)).collect();
    assert_eq!(reasons, vec!["the person asked to be forgotten"; 5]);
    // Nothing of the person is left but the tombstones: a hash, and a time.
    let rows = conversations.entities();
    let left: Vec<_> = rows.iter().filter(|entity| entity.key.row.starts_with(&key)).collect();
    assert_eq!(left.len(), 1, "{left:?}");
    assert_eq!(left[0].key.row, format!("{key}.f"));

    // Who comes back is known again, and is told what is new.
    assert_eq!(known(&stage, "a:1", "here I am"), key);
    queued(&stage, &to_conversation(&key, "new"));
    assert_eq!(stage.poll()["delivered"], 1);
    assert_eq!(alerted(&stage), ["Alert: new"]);
}

fn what_was_written_long_ago_is_dropped_too_and_what_comes_later_is_not(world: &World) {
    let stage = alerts::stage(world);
    known(&stage, "a:1", "hello");
    forget_person(&stage, "a:1");
    known(&stage, "a:1", "here I am");
    // What the run is told of a short time ago does not reach so far: the tombstone does.
    for (id, enqueued_at) in [("before", Utc::now() - TimeDelta::days(30)), ("after", Utc::now())] {
        let address = at_service(&address(&stage, "msteams", "a:1"), stage.connector.authority());
        stage.queue.put_json(&json!({
            "version": 1, "id": id, "text": id, "enqueuedAt": enqueued_at.to_rfc3339(), "address": address,
        }));
    }
    let counts = stage.poll();
    assert_eq!((&counts["stopped"], &counts["delivered"]), (&1.into(), &1.into()), "{counts}");
    assert_eq!(alerted(&stage), ["Alert: after"]);
}

fn a_stop_outlives_the_person_s_data(world: &World) {
    let stage = alerts::stage(world);
    let key = known(&stage, "a:1", "stop");
    for over in [
        json!({"type": "deleteUserData"}),
        json!({"type": "endOfConversation"}),
        json!({"type": "installationUpdate", "action": "remove"}),
    ] {
        let mut activity = stage.connector.host(&message("a:1", "over", ""));
        activity.as_object_mut().unwrap().extend(over.as_object().unwrap().clone());
        stage.post(&activity).expect_status(200);
        assert!(targets(&stage).is_empty(), "{over}");
        known(&stage, "a:1", &format!("hello after {over}"));
        let answer = alert(&stage, &to_conversation(&key, "x")).expect_status(202).json();
        assert_eq!(answer["alerts"][0]["status"], "stopped", "{over}");
    }
    known(&stage, "a:1", "start");
    queued(&stage, &to_conversation(&key, "x"));
}

fn a_forgotten_conversation_leaves_the_poison_queue_and_others_stay(world: &World) {
    let stage = alerts::stage(world);
    let keys = ["a:1", "a:2"].map(|conversation| known(&stage, conversation, "hello"));
    stage.connector.on(|received| received.is_alert().then(|| Reply::error(400, "BadSyntax")));
    for key in [&keys[0], &keys[0], &keys[1]] {
        queued(&stage, &to_conversation(key, "cannot be said"));
    }
    assert_eq!(stage.poll()["poisoned"], 3);
    let poison = stage.queue.poison();
    poison.put("no envelope");
    // An older bot's message stands there as it came.
    let older = json!({"address": address(&stage, "msteams", "a:1"), "text": "x"}).to_string();
    for (_, wrap) in WRAPPINGS {
        poison.put(&wrap(&older));
    }
    queued(&stage, &to_conversation(&keys[0], "waiting"));
    let forget = |key: &str| alerts::call(&stage, "DELETE", &format!("/api/targets/{key}"), &Value::Null);
    let answer = forget(&keys[0]).expect_status(200).json();
    let expected =
        json!({"conversation": keys[0], "removed": 2 + WRAPPINGS.len(), "unreadable": 1, "complete": true});
    assert_eq!(answer, expected);
    assert_eq!(targets(&stage).len(), 1);
    assert_eq!(poison.count(), 2, "the other's message, and what nobody can read");
    assert_eq!(stage.poll()["stopped"], 1, "what waited is dropped");
    // The search has let go of what was not the conversation's, so the next one finds it.
    let answer = forget(&keys[1]).expect_status(200).json();
    let expected = json!({"conversation": keys[1], "removed": 1, "unreadable": 1, "complete": true});
    assert_eq!(answer, expected);
    for wrong in ["x", "", "625A4B036870769BF12C984B0EB57AF7", &format!("{}/x", keys[0])] {
        let answer = forget(wrong);
        assert_eq!(answer.status, 404, "{wrong}: {}", answer.describe());
    }
    let path = format!("/api/targets/{}", keys[1]);
    alerts::call(&stage, "GET", &path, &Value::Null).expect_status(405);
    alerts::call_with(&stage, "DELETE", &path, "Bearer wrong", &Value::Null).expect_status(401);
    assert!(targets(&stage).is_empty());
}

fn a_call_that_is_repeated_is_no_younger_than_the_first(world: &World) {
    let stage = alerts::stage(world);
    known(&stage, "a:1", "hello");
    let mut body = json!({"to": {"address": address(&stage, "msteams", "a:1")}, "text": "x"});
    body["idempotencyKey"] = "x".into();
    queued(&stage, &body);
    // Its message was lost on the way, and the caller learns nothing.
    stage.queue.take_all();
    forget_person(&stage, "a:1");
    queued(&stage, &body);
    let counts = stage.poll();
    assert_eq!((&counts["stopped"], &counts["delivered"]), (&1.into(), &0.into()), "{counts}");
    // Another call is another matter.
    body["idempotencyKey"] = "y".into();
    queued(&stage, &body);
    assert_eq!(stage.poll()["delivered"], 1);
}
