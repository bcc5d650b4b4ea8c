//! Tests of the member `to` of an API call: how the bot reads `to`, and how the bot finds the conversations
//! that `to` names.

use envelope::{Creation, CreationOf};
use platform::Clock;
use platform::testing::run;
use serde_json::json;
use state::Sign;

use super::super::grant::Grant;
use super::super::paging;
use super::*;
use crate::settings::BotSettings;
use crate::testing::Stage;

fn check(to: Value) -> Result<Vec<To>, String> {
    let body = json!({ "to": to }).to_string();
    read(&mut Fields::parse(body.as_bytes()).unwrap()).map_err(|error| error.to_string())
}

#[test]
fn each_form_of_to_except_address_is_read() {
    let user = |channel_id: &str, id: &str| Form::User { channel_id: channel_id.into(), id: id.into() };
    let tag = |tag: &str, tenant: Option<&str>| Form::Tag {
        tag: Tag::parse(tag).unwrap(),
        tenant: tenant.map(str::to_owned),
    };
    for (to, expected) in [
        (json!({"conversation": "x"}), Form::Conversation("x".into())),
        (json!({"user": "msteams/29:1a/b"}), user("msteams", "29:1a/b")),
        (json!({"user": "e5e0"}), Form::AadObject { id: "e5e0".into(), tenant: None }),
        (
            json!({"user": "e5e0", "tenant": "t"}),
            Form::AadObject { id: "e5e0".into(), tenant: Some("t".into()) },
        ),
        (json!({"email": "k@x.com"}), Form::Email { email: "k@x.com".into(), tenant: None }),
        (
            json!({"channel": "19:c@thread.tacv2", "tenant": "t"}),
            Form::Channel { id: "19:c@thread.tacv2".into(), tenant: Some("t".into()) },
        ),
        (json!({"members": "x"}), Form::Members("x".into())),
        (json!({"tag": "Orders-42"}), tag("orders-42", None)),
        (json!({"tag": "x", "tenant": null}), tag("x", None)),
        (json!({"tag": "x", "tenant": "t"}), tag("x", Some("t"))),
    ] {
        assert_eq!(check(to.clone()), Ok(vec![To { path: "to".into(), form: expected }]), "{to}");
    }
    assert_eq!(check(json!([{"user": "a"}, {"tag": "b"}])).unwrap()[1].path, "to[1]");
}

#[test]
fn error_about_to_begins_with_the_path_of_the_wrong_element() {
    for (to, path) in [
        (json!(null), "to"),
        (json!("x"), "to"),
        (json!([]), "to"),
        (json!({}), "to"),
        (json!({"everybody": true}), "to"),
        (json!({"tag": "x", "user": "y"}), "to"),
        (json!({"tag": "x", "user": null}), "to"),
        (json!({"tag": null}), "to.tag"),
        (json!({"tag": "x", "tenant": ""}), "to.tenant"),
        (json!({"tag": "x", "tenant": 7}), "to.tenant"),
        (json!({"tag": "x", "tenant": "t", "user": "y"}), "to"),
        (json!({"tenant": "t"}), "to"),
        (json!({"user": "msteams/29:y", "tenant": "t"}), "to.tenant"),
        (json!({"user": "y", "tenant": "two words"}), "to.tenant"),
        (json!({"conversation": "y", "tenant": "t"}), "to"),
        (json!({"members": "y", "tenant": "t"}), "to"),
        (json!({"email": "kim"}), "to.email"),
        (json!({"email": "kim@"}), "to.email"),
        (json!({"email": "kim@a@b"}), "to.email"),
        (json!({"email": "k im@contoso.com"}), "to.email"),
        (json!({"email": "kim/x@contoso.com"}), "to.email"),
        (json!({"email": format!("kim@{}", "x".repeat(251))}), "to.email"),
        (json!({"channel": "a:1"}), "to.channel"),
        (json!({"channel": "19:c@unq.gbl.spaces"}), "to.channel"),
        (json!({"channel": "19:c@thread.tacv2;messageid=1"}), "to.channel"),
        (json!({"conversation": ""}), "to.conversation"),
        (json!({"conversation": 7}), "to.conversation"),
        (json!({"user": "/x"}), "to.user"),
        (json!({"user": "msteams/"}), "to.user"),
        (json!({"tag": "two words"}), "to.tag"),
        (json!({"address": "x"}), "to.address"),
        (json!({"address": {"channelId": "x", "serviceUrl": "https://x/"}}), "to.address.conversation"),
        (
            json!({"address": {"channelId": "x", "serviceUrl": "https://x/", "conversation": {"id": ".."}}}),
            "to.address.conversation.id",
        ),
        (json!([{"tag": "x"}, 7]), "to[1]"),
        (json!([{"tag": "x"}, {"tag": "y z"}]), "to[1].tag"),
        (json!([{"tag": "x"}, {}]), "to[1]"),
    ] {
        let error = check(to.clone()).expect_err("refused");
        assert!(error.starts_with(&format!("{path}: ")), "{to}: {error}");
    }
    let many = vec![json!({"tag": "x"}); MAX_TARGETS + 1];
    assert!(check(many.into()).expect_err("too many").contains("101"));
}

fn reference(id: &str, service_url: &str) -> ConversationReference {
    let json = json!({
        "channelId": "msteams", "serviceUrl": service_url, "conversation": {"id": id}, "user": {"id": format!("29:{id}")},
        "bot": {"id": "28:b"},
    });
    ConversationReference::from_fields(Fields::parse(json.to_string().as_bytes()).unwrap()).unwrap()
}

fn key(id: &str) -> ConversationKey {
    ConversationKey::of(&reference(id, HERE))
}

/// A `serviceUrl` that the bot trusts in anonymous mode (`authmode=anonymous`, for local tests).
const HERE: &str = "http://127.0.0.1:9200/";
/// A `serviceUrl` that the bot does not trust in anonymous mode.
const ELSEWHERE: &str = "https://elsewhere.example/";

fn add(stage: &Stage, id: &str, service_url: &str) {
    let heard = stage.conversations();
    run(heard.record_activity(&reference(id, service_url), Sign::Message, None)).unwrap();
}

fn found(stage: &Stage, to: &Value) -> Result<Vec<(ConversationKey, Option<Held>)>, String> {
    let to = read(&mut Fields::parse(json!({ "to": to }).to_string().as_bytes()).unwrap()).unwrap();
    let (caller, named) = (Caller::of_tests(Grant::all()), paging::Named::new());
    let found = run(paging::read(&stage.host, &stage.settings, &caller, &to, None, &named))
        .map_err(|error| error.to_string())?;
    assert_eq!(found.next, None);
    Ok(found.targets.into_iter().map(|target| (target.key, target.held)).collect())
}

#[test]
fn conversations_are_found_once_and_in_the_order_of_the_call() {
    let stage = Stage::new();
    for id in ["a", "b", "c"] {
        add(&stage, id, HERE);
    }
    run(stage.conversations().tag(&key("b"), &Tag::parse("x").unwrap())).unwrap();
    let to = json!([
        {"user": "msteams/29:c"}, {"conversation": key("a").as_str()}, {"tag": "x"}, {"user": "msteams/29:b"},
        {"address": reference("c", HERE).to_json()}, {"address": reference("d", HERE).to_json()},
    ]);
    assert_eq!(found(&stage, &to), Ok(["c", "a", "b", "d"].map(|id| (key(id), None)).to_vec()));
    for unknown in [
        json!({"conversation": key("d").as_str()}),
        json!({"conversation": "x"}),
        json!({"user": "msteams/29:d"}),
        json!({"user": "d"}),
        json!({"tag": "y"}),
    ] {
        let error = found(&stage, &json!([{"tag": "x"}, unknown])).expect_err("an unknown target");
        assert_eq!(
            error,
            "to[1]: the bot knows no conversation for this target; list the known ones with GET /api/targets",
            "{unknown}"
        );
    }
}

#[test]
fn stopped_or_untrusted_conversation_is_found_as_held() {
    let stage = Stage::new();
    add(&stage, "a", HERE);
    add(&stage, "b", ELSEWHERE);
    run(stage.conversations().stop(&key("a"), stage.host.now())).unwrap();
    let by_address = json!({"address": reference("a", HERE).to_json()});
    for to in
        [json!({"conversation": key("a").as_str()}), json!({"user": "msteams/29:a"}), by_address.clone()]
    {
        assert_eq!(found(&stage, &to), Ok(vec![(key("a"), Some(Held::Stopped))]), "{to}");
    }
    let untrusted = json!({"user": "msteams/29:b"});
    assert_eq!(found(&stage, &untrusted), Ok(vec![(key("b"), Some(Held::Untrusted))]));
    // A person can also send `stop` in a conversation that has no record in the tables.
    run(stage.conversations().stop(&key("c"), stage.host.now())).unwrap();
    let by_address = json!({"address": reference("c", HERE).to_json()});
    assert_eq!(found(&stage, &by_address), Ok(vec![(key("c"), Some(Held::Stopped))]));
}

#[test]
fn address_without_the_bots_account_is_completed_or_refused() {
    let without = |id: &str, channel_id: &str| {
        let mut address = reference(id, HERE).to_json();
        address.as_object_mut().unwrap().remove("bot");
        address["channelId"] = channel_id.into();
        ConversationReference::from_fields(Fields::parse(address.to_string().as_bytes()).unwrap()).unwrap()
    };
    let stage = Stage::new();
    add(&stage, "a", HERE);
    let found = |id, channel_id| found(&stage, &json!({"address": without(id, channel_id).to_json()}));
    assert_eq!(
        found("a", "msteams"),
        Ok(vec![(key("a"), None)]),
        "the record of the conversation has the bot's account"
    );
    assert_eq!(found("b", "slack"), Ok(vec![(ConversationKey::of(&without("b", "slack")), None)]));
    let refusal = from_the_bot(&without("b", "slack"), None, Some("app"), "to")
        .expect_err("the bot's account is unknown");
    assert!(refusal.to_string().starts_with("to.address.bot: expected the bot's account"), "{refusal}");
    for (channel_id, expected) in [("msteams", Some("28:app")), ("slack", None)] {
        let address = without("b", channel_id);
        let filled = from_the_bot(&address, None, Some("app"), "to").ok().and_then(|address| address.bot);
        assert_eq!(filled.map(|bot| bot.id).as_deref(), expected, "{channel_id}");
    }
    let named = from_the_bot(&reference("b", HERE), None, Some("app"), "to").unwrap();
    assert_eq!(named.bot.unwrap().id, "28:b", "an account from the caller is kept");
}

#[test]
fn call_is_answered_503_if_the_table_service_refuses_access_and_the_log_has_the_reason() {
    let stage = Stage::new();
    stage.refuse_tables();
    for to in [json!({"user": "d"}), json!({"tag": "x"}), json!({"address": reference("a", HERE).to_json()})]
    {
        let to = read(&mut Fields::parse(json!({ "to": to }).to_string().as_bytes()).unwrap()).unwrap();
        let (caller, named) = (Caller::of_tests(Grant::all()), paging::Named::new());
        let rejection =
            run(paging::read(&stage.host, &stage.settings, &caller, &to, None, &named)).expect_err("refused");
        let answer = rejection.log_and_respond(&stage.host);
        assert_eq!(answer.status(), 503);
        let body: Value = serde_json::from_slice(answer.body()).unwrap();
        assert_eq!(body["error"]["code"], "StateUnavailable");
        assert_eq!(
            body["error"]["message"],
            "storage tables: cannot be reached; nothing was queued, so send the call again"
        );
    }
    let logged = stage.host.events("request.rejected");
    assert!(logged[0]["reason"].as_str().unwrap().contains("refused access"), "{logged:?}");
}

/// Returns the settings of a bot that is registered in the tenant [`OWN`]. `tenants` is the value of the
/// variable `tenants`, which lists the tenants that the bot serves.
fn registered(stage: &Stage, tenants: &str) -> BotSettings {
    let mut settings = stage.host.settings.borrow_mut();
    for (name, value) in [
        ("authmode", "required"),
        ("microsoftappid", "app"),
        ("microsoftapppassword", "secret"),
        ("microsoftapptenantid", OWN),
        ("tenants", tenants),
    ] {
        settings.insert(name.into(), value.into());
    }
    drop(settings);
    BotSettings::read(&stage.host, crate::settings::CallerSettings::read(&stage.host).unwrap()).unwrap()
}

const OWN: &str = "11111111-2222-3333-4444-555555555555";
const OTHER: &str = "99999999-2222-3333-4444-555555555555";
const PERSON: &str = "e5e0a3b6-5f2c-4f1c-8a9e-3a1f3f2c9d10";

/// Returns the target for the single element `to`, or the text of the error. `grant` lists the rights of the
/// caller.
fn target_of(stage: &Stage, settings: &BotSettings, grant: &str, to: &Value) -> Result<Target, String> {
    let to = read(&mut Fields::parse(json!({ "to": to }).to_string().as_bytes()).unwrap()).unwrap();
    let caller = Caller::of_tests(Grant::read(grant).unwrap());
    let found = run(paging::read(&stage.host, settings, &caller, &to, None, &paging::Named::new()));
    found.map(|mut page| page.targets.remove(0)).map_err(|error| error.to_string())
}

#[test]
fn unknown_person_or_channel_becomes_a_target_in_the_tenant_of_the_bot() {
    let stage = Stage::new();
    let settings = registered(&stage, "");
    let target = target_of(&stage, &settings, "send", &json!({ "user": PERSON })).unwrap();
    let address = target.address.to_json();
    let expected = json!({
        "channelId": "msteams", "serviceUrl": "https://smba.trafficmanager.net/teams/", "bot": {"id": "28:app"},
        "user": {"id": PERSON, "aadObjectId": PERSON},
        "conversation": {"id": format!("new:{OWN}/{PERSON}"), "conversationType": "personal", "tenantId": OWN},
    });
    assert_eq!(
        address, expected,
        "without a known conversation of the tenant, the address has the Connector for all tenants"
    );
    assert_eq!(target.creation, Some(Creation::new(CreationOf::Person)));
    // If the caller writes the person's id in capital letters and also names the tenant, the conversation key
    // is the same. The conversation key must be the same, because the poller keeps the order of two alerts
    // only if both have the same conversation key.
    let again = json!({"user": PERSON.to_uppercase(), "tenant": OWN});
    assert_eq!(target_of(&stage, &settings, "send", &again).unwrap().key, target.key);
    // The bot now records another conversation of the tenant. From then on, a provisional address has the
    // Connector and the bot account of this other conversation.
    let mut neighbour = reference("n", "https://smba.trafficmanager.net/emea/").to_json();
    neighbour["conversation"]["tenantId"] = OWN.into();
    let neighbour =
        ConversationReference::from_fields(Fields::parse(neighbour.to_string().as_bytes()).unwrap()).unwrap();
    run(stage.conversations().record_activity(&neighbour, Sign::Message, None)).unwrap();
    let target = target_of(&stage, &settings, "send", &json!({"email": "Kim@contoso.com"})).unwrap();
    assert_eq!(target.address.service_url, "https://smba.trafficmanager.net/emea/");
    assert_eq!(target.address.bot.unwrap().id, "28:b");
    assert_eq!(target.creation.unwrap().of, CreationOf::Member { email: "Kim@contoso.com".into() });
    let channel = json!({"channel": "19:c@thread.tacv2"});
    let target = target_of(&stage, &settings, "send", &channel).unwrap();
    assert_eq!(target.key, ConversationKey::of_ids("msteams", "19:c@thread.tacv2"));
    assert!(target.address.conversation.is_group());
}

#[test]
fn api_key_creates_conversations_only_in_allowed_tenants() {
    let stage = Stage::new();
    let settings = registered(&stage, &format!("{OWN},{OTHER}"));
    let in_tenant = |tenant: Option<&str>| json!({"user": PERSON, "tenant": tenant});
    let scoped = format!("send+tenant={OTHER}");
    for (grant, to, expected) in [
        ("send", in_tenant(None), Ok(OWN)),
        ("send", in_tenant(Some(OTHER)), Err("needs the scope `address`")),
        ("send+address", in_tenant(Some(OTHER)), Ok(OTHER)),
        ("send+address", in_tenant(Some("elsewhere")), Err("does not serve the tenant")),
        (&scoped, in_tenant(None), Ok(OTHER)),
        (&scoped, in_tenant(Some(OWN)), Err("is only for the tenant")),
        ("send+tag=x", in_tenant(None), Err("is only for tags")),
        ("send", json!({ "user": "no-guid" }), Err("knows no conversation")),
        ("send", json!({"email": "kim@contoso.com", "tenant": OTHER}), Err("needs the scope `address`")),
        ("send", json!({"channel": "19:c@thread.tacv2", "tenant": OTHER}), Err("needs the scope `address`")),
    ] {
        let found = target_of(&stage, &settings, grant, &to);
        match (found, expected) {
            (Ok(target), Ok(tenant)) => {
                assert_eq!(target.address.vouched_tenant(), Some(tenant), "{grant} {to}")
            }
            (Err(error), Err(words)) => assert!(error.contains(words), "{grant} {to}: {error}"),
            (found, expected) => panic!("{grant} {to}: expected {expected:?}, found {found:?}"),
        }
    }
}

#[test]
fn new_person_is_refused_if_the_bot_has_no_tenant_or_knows_no_connector() {
    let stage = Stage::new();
    for to in [json!({ "user": PERSON }), json!({"user": PERSON, "tenant": OWN})] {
        let error = target_of(&stage, &stage.settings, "send", &to).expect_err("unknown");
        assert!(error.contains("knows no conversation"), "{to}: {error}");
    }
    let error = target_of(&stage, &stage.settings, "send", &json!({"email": "kim@contoso.com"}));
    assert!(error.expect_err("no tenant").starts_with("to.tenant: "));
}
