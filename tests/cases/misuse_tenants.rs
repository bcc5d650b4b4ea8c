//! Activities from tenants that the bot does not serve, and from people who claim to be another person. Other
//! cases test alerts to people who have written `stop`, or who have asked to be forgotten (the activity
//! `deleteUserData`).

use bot_framework::testing::{TestKey, channel_claims};
use chrono::{TimeDelta, Utc};
use end_to_end::activity::{fixture, message};
use end_to_end::alerts::{self, alert, key_of, known, queued, targets, to_conversation};
use end_to_end::login::{Login, Proof};
use end_to_end::openid::OpenId;
use end_to_end::stage::{APP_ID, Stage, TENANT};
use end_to_end::suite::World;
use end_to_end::table::Table;
use serde_json::{Value, json};

mod forgetting;

use forgetting::{
    alert_of_a_call_repeated_after_delete_user_data_is_dropped,
    message_from_before_delete_user_data_is_dropped_and_a_later_message_is_delivered,
    messages_of_a_forgotten_conversation_are_removed_from_the_poison_queue, stop_survives_delete_user_data,
    waiting_alerts_are_dropped_after_delete_user_data,
};

end_to_end::cases!(
    activity_of_a_foreign_tenant_is_refused_and_not_stored,
    activity_that_names_a_foreign_tenant_in_one_of_two_places_is_refused,
    tenants_in_the_variable_tenants_are_served,
    tenant_that_is_no_longer_served_is_not_alerted,
    address_in_a_foreign_tenant_is_refused,
    tenant_and_object_id_from_web_chat_are_ignored,
    delete_user_data_from_web_chat_forgets_only_this_conversation,
    user_id_chosen_by_a_client_is_not_a_target,
    stop_applies_in_every_spelling_of_the_channel,
    malformed_channel_id_is_refused_at_every_entry_point,
    waiting_alerts_are_dropped_after_delete_user_data,
    message_from_before_delete_user_data_is_dropped_and_a_later_message_is_delivered,
    stop_survives_delete_user_data,
    alert_of_a_call_repeated_after_delete_user_data_is_dropped,
    messages_of_a_forgotten_conversation_are_removed_from_the_poison_queue,
);

const FOREIGN: &str = "99999999-2222-3333-4444-555555555555";

/// A stage (the Spin host of a test, and the services that the bot calls). The bot demands tokens.
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

    /// Posts an activity with a proper token, as Azure Bot Service does.
    #[track_caller]
    fn post(&self, activity: &Value) -> end_to_end::web::WholeResponse {
        let activity = self.stage.connector.host(activity);
        let service_url = activity["serviceUrl"].as_str().unwrap();
        let claims = channel_claims(APP_ID, service_url, Utc::now().timestamp());
        self.stage.post_as(&TestKey::issuer().sign(&claims), &activity)
    }
}

/// Makes a message that names a tenant in `conversation` and in `channelData`. If a tenant is `null`, the
/// message names no tenant in this place.
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

/// The texts of the alerts that the Connector received.
fn alerted(stage: &Stage) -> Vec<String> {
    let received = stage.connector.received();
    received.iter().filter(|received| received.is_alert()).map(|alert| alert.text().to_owned()).collect()
}

fn activity_of_a_foreign_tenant_is_refused_and_not_stored(world: &World) {
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
        let response = scene.post(&activity).expect_error(403, "TenantNotAllowed");
        assert!(!response.describe().contains(FOREIGN), "{}", response.describe());
        let lines = scene.stage.wait_for_events("request.rejected", index + 1);
        assert_eq!(lines.len(), index + 1, "expected one line for each refusal, found {lines:?}");
        assert!(lines[index]["reason"].as_str().unwrap().contains(FOREIGN), "{:?}", lines[index]);
    }
    scene.stage.post(&scene.stage.connector.host(&foreign)).expect_status(401);
    scene.stage.connector.expect_silence();
    assert_eq!(scene.login.requests(), 0, "a refused request must not make the bot fetch a token");
    assert!(!scene.stage.queue.exists(), "a refused request must not create the queue");
    for table in tables_of(world, &scene.stage) {
        assert!(table.entities().is_empty(), "{table:?}");
    }
    // The key-value store contains only the cached signing keys of the issuer that signs the channel's
    // tokens. These signing keys belong to no tenant.
    let kept: Vec<_> = scene.stage.stored().into_keys().filter(|key| !key.starts_with("jwks:")).collect();
    assert!(kept.is_empty(), "{kept:?}");
    assert!(targets(&scene.stage).is_empty());

    scene.post(&message_of("a:1", TENANT.into(), TENANT.into())).expect_status(202);
    assert_eq!(targets(&scene.stage)[0]["tenantId"], TENANT);
}

fn activity_that_names_a_foreign_tenant_in_one_of_two_places_is_refused(world: &World) {
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
        let response = scene.post(&activity);
        assert_eq!(response.status, status, "{tenant} {channel_tenant}: {}", response.describe());
    }
    // Web Chat does not verify tenants, so the bot ignores the tenant in the activity.
    let mut visitor = fixture("webchat.json");
    visitor["conversation"]["tenantId"] = FOREIGN.into();
    scene.post(&visitor).expect_status(202);
}

fn tenants_in_the_variable_tenants_are_served(world: &World) {
    let both = format!("{TENANT}, {FOREIGN}");
    for (tenants, own, foreign) in [(FOREIGN, 403, 202), (&both, 202, 202), ("any", 202, 202)] {
        let scene = Scene::start(world, &[("tenants", tenants)]);
        for (tenant, status) in [(TENANT, own), (FOREIGN, foreign)] {
            let response = scene.post(&message_of("a:1", tenant.into(), tenant.into()));
            assert_eq!(response.status, status, "{tenants:?}, {tenant}: {}", response.describe());
        }
    }
    let scene = Scene::start(world, &[("tenants", "contoso.com")]);
    scene.post(&message_of("a:1", TENANT.into(), TENANT.into())).expect_error(500, "Misconfigured");
    scene.stage.try_poll().expect_error(500, "Misconfigured");
    let reason = scene.stage.wait_for_events("request.rejected", 1)[0]["reason"].to_string();
    assert!(reason.contains("variable tenants"), "{reason}");
    // In anonymous mode, the bot serves every tenant if the variable `tenants` is empty.
    let stage = Stage::start(world);
    stage.say(&message_of("a:1", FOREIGN.into(), FOREIGN.into()));
}

fn tenant_that_is_no_longer_served_is_not_alerted(world: &World) {
    let mut stage = alerts::stage(world);
    let key = known(&stage, "a:1", "subscribe news");
    queued(&stage, &to_conversation(&key, "on its way"));
    stage.restart_with("tenants", FOREIGN);
    let person = format!("msteams/{}", message("", "", "")["from"]["id"].as_str().unwrap());
    for to in [json!({"conversation": key}), json!({"tag": "news"}), json!({"user": person})] {
        let response = alert(&stage, &json!({"to": to, "text": "x"})).expect_status(202).json();
        assert_eq!(response["alerts"][0]["status"], "untrusted", "{to}: {response}");
    }
    assert_eq!(stage.queue.count(), 1);
    let counts = stage.poll();
    assert_eq!((&counts["poisonedBy"]["tenantNotAllowed"], &counts["delivered"]), (&1.into(), &0.into()));
    stage.connector.expect_silence();
    assert_eq!(stage.queue.poison().envelopes()[0]["failure"]["outcome"], "tenantNotAllowed");
}

fn address_in_a_foreign_tenant_is_refused(world: &World) {
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
    // The bot accepts an address without a tenant, because back ends can have stored such addresses.
    alert(&stage, &address("msteams", Value::Null)).expect_status(202);
}

/// Makes an activity of a Web Chat visitor who claims to be the person in `teams-personal.json`. The visitor
/// has written this person's tenant and object id into the activity.
fn visitor(stage: &Stage, change: Value) -> Value {
    let person = fixture("teams-personal.json");
    let mut activity = stage.connector.host(&fixture("webchat.json"));
    activity["from"]["aadObjectId"] = person["from"]["aadObjectId"].clone();
    activity["conversation"]["tenantId"] = TENANT.into();
    activity["channelData"]["tenant"] = json!({"id": TENANT});
    activity.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
    activity
}

fn tenant_and_object_id_from_web_chat_are_ignored(world: &World) {
    let stage = alerts::stage(world);
    let key = known(&stage, "a:1", "hello");
    // The visitor writes after the person. If the bot believed the object id, the visitor's conversation
    // would be the person's latest conversation, and would get the alert below.
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
    let response = alert(&stage, &body).expect_status(202).json();
    assert_eq!(response["alerts"][0]["conversation"], key.as_str(), "{response}");
}

fn delete_user_data_from_web_chat_forgets_only_this_conversation(world: &World) {
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
    // The `from` of this activity has the object id of the person in `a:1`, and the user id of the visitor in
    // `other`. The bot must forget neither `a:1` nor `other`.
    stage.post(&visitor(&stage, json!({"type": "deleteUserData"}))).expect_status(200);
    let left: Vec<_> = targets(&stage).into_iter().map(|target| target["conversation"].clone()).collect();
    let mut expected = [key, key_of("webchat", "other")].map(Value::from);
    expected.sort_by_key(ToString::to_string);
    assert_eq!(left, expected);
    assert_eq!(stage.poll()["delivered"], 2);
}

/// On Web Chat and Direct Line, a client can choose any user id that does not begin with `dl_`. A user id
/// with `dl_` comes from the Direct Line token that a site requested for the person.
fn user_id_chosen_by_a_client_is_not_a_target(world: &World) {
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
        let response = alert(&stage, &to(user)).expect_error(403, "UserNotBound");
        assert!(response.describe().contains("unboundusers"), "{}", response.describe());
    }
    let response = alert(&stage, &to("webchat/dl_ann")).expect_status(202).json();
    assert_eq!(response["alerts"][0]["conversation"], key_of("webchat", "dl_ann").as_str());
    let [conversations, ..] = tables_of(world, &stage);
    let partitions: Vec<_> = conversations
        .entities()
        .into_iter()
        .map(|entity| entity.key.partition)
        .filter(|key| key.starts_with("u."))
        .collect();
    assert_eq!(partitions, ["u.webchat.dl_ann"]);
    // A back end can still send an alert to the conversation by its conversation key (the id that programs
    // use for the conversation).
    queued(&stage, &to_conversation(&key_of("webchat", "ann"), "x"));
    // In anonymous mode, the default of `unboundusers` allows alerts to a user id that a client chose.
    let stage = alerts::stage(world);
    say(&stage, "ann");
    alert(&stage, &to("webchat/ann")).expect_status(202);
}

/// The address of a conversation. `channel` is the spelling of the channel's id.
fn address(stage: &Stage, channel: &str, conversation: &str) -> Value {
    let service_url = stage.connector.host(&message(conversation, "1", ""))["serviceUrl"].clone();
    json!({
        "channelId": channel, "serviceUrl": service_url, "conversation": {"id": conversation},
        "user": {"id": "29:u"}, "bot": {"id": "28:b"},
    })
}

fn stop_applies_in_every_spelling_of_the_channel(world: &World) {
    let stage = alerts::stage(world);
    let key = known(&stage, "a:1", "stop");
    for channel in ["msteams", "MSTeams", "MSTEAMS"] {
        let body = json!({"to": {"address": address(&stage, channel, "a:1")}, "text": "x"});
        let response = alert(&stage, &body).expect_status(202).json();
        assert_eq!(response, json!({"alerts": [{"conversation": key, "status": "stopped"}]}), "{channel}");
    }
    // Other programs can write to the queue. In their place, this case puts two *envelopes* (alerts as JSON)
    // on the queue. The envelopes have the member `stoppable`, so `stop` applies to them.
    for (id, enqueued_at) in [("now", Utc::now()), ("long ago", Utc::now() - TimeDelta::days(1))] {
        stage.queue.put_json(&json!({
            "version": 1, "id": id, "text": "x", "enqueuedAt": enqueued_at.to_rfc3339(), "stoppable": true,
            "address": address(&stage, "MsTeams", "a:1"),
        }));
    }
    let counts = stage.poll();
    assert_eq!((&counts["stopped"], &counts["delivered"]), (&2.into(), &0.into()), "{counts}");
    // An activity with another spelling of the channel belongs to the same conversation, too.
    let mut activity = message("a:1", "2", "start");
    activity["channelId"] = "MSTeams".into();
    stage.say(&activity);
    assert_eq!(targets(&stage).len(), 1);
    queued(&stage, &to_conversation(&key, "again"));
}

fn malformed_channel_id_is_refused_at_every_entry_point(world: &World) {
    let stage = alerts::stage(world);
    for channel in ["ms teams", "msteams ", "m\u{17f}teams", "ms/teams", "msteams\u{0}", &"x".repeat(65)] {
        let mut activity = stage.connector.host(&message("a:1", "1", "hello"));
        activity["channelId"] = channel.into();
        stage.post(&activity).expect_error(400, "BadSyntax");
        let body = json!({"to": {"address": address(&stage, channel, "a:1")}, "text": "x"});
        let response = alert(&stage, &body).expect_error(400, "BadArgument");
        assert!(response.describe().contains("to.address.channelId"), "{}", response.describe());
        let body = json!({"to": {"user": format!("{channel}/29:u")}, "text": "x"});
        // The part before the first slash is the channel's id.
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
