//! Webhook addresses, to which programs post alerts for one conversation. The cases show who can get an
//! address, how long an address works, and what a stranger can do. The last part of an address is its
//! *token*, which proves that the bot made the address.

use end_to_end::activity::{fixture, message};
use end_to_end::alerts::{self, call, call_with, key_of, known, queued, to_conversation};
use end_to_end::faulty_tables::FaultyTables;
use end_to_end::hooks::{Hook, ask, hook, send};
use end_to_end::stage::Stage;
use end_to_end::suite::World;
use end_to_end::waiting::eventually;
use http::Method;
use serde_json::{Value, json};

end_to_end::cases!(
    webhook_address_works_until_the_command_webhook_new_or_webhook_off,
    address_for_a_channel_is_sent_to_the_persons_own_chat,
    address_begins_with_the_variable_publicurl,
    token_that_is_forged_or_ended_is_refused,
    forged_token_costs_no_storage_call,
    address_made_with_the_old_hookkey_works_while_both_hookkeys_are_set,
    forgotten_conversation_has_no_webhook_address,
    scope_send_lets_a_back_end_get_and_end_an_address,
    log_has_only_the_beginning_of_the_token_of_an_address,
);

fn text(text: &str) -> Value {
    json!({ "text": text })
}

/// The summaries of all chat messages that the bot has sent.
fn summaries(stage: &Stage) -> Vec<String> {
    let said = stage.connector.received();
    said.iter().filter_map(|said| Some(said.body["summary"].as_str()?.to_owned())).collect()
}

/// Posts a text to the webhook address, and expects that the conversation gets the text.
#[track_caller]
fn expect_said(stage: &Stage, hook: &Hook, said: &str) {
    hook.post(&text(said)).expect_status(202);
    stage.poll();
    eventually("the posted text", || summaries(stage).contains(&said.to_owned()).then_some(()));
}

fn webhook_address_works_until_the_command_webhook_new_or_webhook_off(world: &World) {
    let stage = Stage::start(world);
    let first = ask(&stage, "a:1", "webhook");
    expect_said(&stage, &first, "one");
    assert_eq!(ask(&stage, "a:1", "Webhook"), first, "expected the same address again");
    let second = ask(&stage, "a:1", "webhook new");
    first.post(&text("two")).expect_error(410, "HookEnded");
    expect_said(&stage, &second, "three");
    stage.say(&message("a:1", "off", "webhook off"));
    second.post(&text("four")).expect_error(410, "HookEnded");
    let third = ask(&stage, "a:1", "webhook");
    first.post(&text("five")).expect_error(410, "HookEnded");
    expect_said(&stage, &third, "six");
    assert_eq!(summaries(&stage), ["one", "three", "six"]);
}

fn address_for_a_channel_is_sent_to_the_persons_own_chat(world: &World) {
    let stage = Stage::start(world);
    let mut in_channel = fixture("teams-channel.json");
    let person = fixture("teams-personal.json")["from"].take();
    in_channel["from"] = person;
    let mention = in_channel["entities"][0]["text"].as_str().unwrap().to_owned();
    in_channel["text"] = format!("{mention} webhook").into();
    in_channel["attachments"] = json!([]);
    in_channel["locale"] = "en-US".into();
    stage.say(&in_channel);
    let thread = in_channel["conversation"]["id"].as_str().unwrap().to_owned();
    let (channel, _) = thread.split_once(";messageid=").unwrap();
    let reply = stage.connector.wait_for(1).remove(0);
    assert!(
        Hook::in_reply(reply.text()).is_some(),
        "expected the address in the thread, because the bot knows no personal chat yet"
    );
    assert_eq!(reply.conversation().as_deref(), Some(thread.as_str()));
    known(&stage, "a:own", "hello");
    in_channel["id"] = "again".into();
    stage.say(&in_channel);
    let replies = stage.connector.wait_for(2);
    assert_eq!(replies[0].conversation().as_deref(), Some("a:own"));
    assert_eq!(replies[1].conversation().as_deref(), Some(thread.as_str()));
    assert!(!replies[1].text().contains("/api/hooks/"), "{}", replies[1].text());
    let hook = Hook::in_reply(replies[0].text()).unwrap();
    stage.connector.forget();
    // The alert begins a new thread in the channel.
    hook.post(&text("to the channel")).expect_status(202);
    stage.poll();
    assert_eq!(stage.connector.wait_for(1)[0].conversation().as_deref(), Some(channel));
}

fn address_begins_with_the_variable_publicurl(world: &World) {
    let script = alerts::script(world).variable("publicurl", "https://door.example.com/bot/");
    let stage = script.start();
    let hook = ask(&stage, "a:1", "webhook");
    assert_eq!(hook.url, format!("https://door.example.com/bot/api/hooks/{}", hook.token()));
    let at_bot = Hook { url: stage.url(&format!("/api/hooks/{}", hook.token())), ..hook };
    expect_said(&stage, &at_bot, "through the door");
}

fn token_that_is_forged_or_ended_is_refused(world: &World) {
    let stage = Stage::start(world);
    let first = hook(&stage);
    let other = ask(&stage, "a:2", "webhook");
    let (token, others) = (first.token().to_owned(), other.token());
    let mut forged = vec![String::new(), "x".into(), token[..46].into(), format!("{token}A")];
    forged.push(format!("{}{}", &token[..26], &others[26..]));
    for at in [0, 1, 20, 24, 30, 46] {
        let mut changed = token.clone();
        let character = if &token[at..=at] == "Q" { "g" } else { "Q" };
        changed.replace_range(at..=at, character);
        forged.push(changed);
    }
    for forged in forged {
        for method in [Method::POST, Method::PUT, Method::OPTIONS] {
            let url = stage.url(&format!("/api/hooks/{forged}"));
            send(method, &url, &[], "hello").expect_error(404, "HookNotFound");
        }
    }
    send(Method::GET, &first.url, &[], "").expect_error(405, "MethodNotAllowed");
    ask(&stage, "a:1", "webhook new");
    first.post(&text("x")).expect_error(410, "HookEnded");
    stage.say(&message("a:2", "stop", "stop"));
    other.post(&text("x")).expect_error(410, "ConversationStopped");
    stage.say(&message("a:2", "start", "start"));
    expect_said(&stage, &other, "again");
}

fn forged_token_costs_no_storage_call(world: &World) {
    let tables = FaultyTables::start(&world.azurite().table_authority());
    let stage = alerts::script(world).tables_at(tables.authority()).start();
    let hook = hook(&stage);
    let before = tables.notes().len();
    let stored = stage.stored();
    let token = hook.token();
    for number in 0..20 {
        let forged = format!("{}{number:02}{}", &token[..10], &token[12..]);
        let url = stage.url(&format!("/api/hooks/{forged}"));
        send(Method::POST, &url, &[], "hello").expect_status(404);
    }
    assert_eq!(tables.notes().len(), before, "expected no call to the tables");
    assert_eq!((stage.queue.count(), stage.stored()), (0, stored));
    hook.post(&text("x")).expect_status(202);
    assert!(tables.notes().len() > before);
}

fn address_made_with_the_old_hookkey_works_while_both_hookkeys_are_set(world: &World) {
    let (old, new) = ("an old key for hooks in tests", "a new key for hooks in tests");
    let mut stage = alerts::script(world).variable("hookkey", old).start();
    let first = hook(&stage);
    let at_stage = |stage: &Stage, hook: &Hook| {
        let url = stage.url(&format!("/api/hooks/{}", hook.token()));
        send(Method::POST, &url, &[], "hello").status
    };
    stage.restart_with("hookkey", &format!("{new},{old}"));
    let second = ask(&stage, "a:1", "webhook");
    assert_ne!(second.token(), first.token());
    assert_eq!((at_stage(&stage, &first), at_stage(&stage, &second)), (202, 202));
    stage.restart_with("hookkey", new);
    assert_eq!((at_stage(&stage, &first), at_stage(&stage, &second)), (404, 202));
}

fn forgotten_conversation_has_no_webhook_address(world: &World) {
    let stage = Stage::start(world);
    let hook = hook(&stage);
    let mut activity = stage.connector.host(&message("a:1", "forget", ""));
    activity["type"] = "deleteUserData".into();
    stage.post(&activity).expect_status(200);
    hook.post(&text("x")).expect_error(410, "HookEnded");
    // The person writes again. The old address remains invalid.
    stage.say(&message("a:1", "back", "hello"));
    hook.post(&text("x")).expect_error(410, "HookEnded");
    assert_ne!(ask(&stage, "a:1", "webhook").url, hook.url);
}

fn scope_send_lets_a_back_end_get_and_end_an_address(world: &World) {
    const KEY: &str = "pbk_0123456789abcdef0123456789abcdef";
    const HASH: &str = "4344e8cb2e757661e80e17eb183a63ba2e58848f07a1f58f8f8be8764abd9f4c";
    let stage = alerts::script(world).variable("alertkeys", &format!("ci:list:{HASH}")).start();
    let conversation = known(&stage, "a:1", "hello");
    let path = format!("/api/targets/{conversation}/hook");
    let made = |body: &Value| -> Hook {
        let response = call(&stage, "POST", &path, body).expect_status(200).json();
        assert_eq!(response["conversation"], conversation.as_str());
        let text = |name: &str| response[name].as_str().unwrap().to_owned();
        Hook { url: text("url"), secret: text("secret") }
    };
    let first = made(&Value::Null);
    assert_eq!(ask(&stage, "a:1", "webhook"), first, "expected that a person sees the same address");
    stage.connector.forget();
    expect_said(&stage, &first, "hello");
    let second = made(&json!({"new": true}));
    assert_eq!(made(&json!({"new": false})), second);
    first.post(&text("x")).expect_error(410, "HookEnded");
    call(&stage, "POST", &path, &json!({"renew": true})).expect_error(400, "BadArgument");
    call(&stage, "DELETE", &path, &Value::Null).expect_status(204);
    second.post(&text("x")).expect_error(410, "HookEnded");
    let unknown = format!("/api/targets/{}/hook", key_of("msteams", "a:unknown"));
    call(&stage, "POST", &unknown, &Value::Null).expect_error(404, "TargetNotFound");
    call_with(&stage, "POST", &path, "", &Value::Null).expect_status(401);
    let listing_only = format!("Bearer {KEY}");
    call_with(&stage, "POST", &path, &listing_only, &Value::Null).expect_error(403, "ScopeMissing");
    call_with(&stage, "DELETE", &path, &listing_only, &Value::Null).expect_error(403, "ScopeMissing");
    // The conversation has no webhook address now. `POST /api/alerts` still works for this conversation.
    queued(&stage, &to_conversation(&conversation, "x"));
}

fn log_has_only_the_beginning_of_the_token_of_an_address(world: &World) {
    let stage = Stage::start(world);
    let hook = hook(&stage);
    let token = hook.token();
    hook.post(&text("x")).expect_status(202);
    hook.post(&json!({"x": 1})).expect_status(422);
    let forged = format!("{}{}", &token[..40], "AAAAAAA");
    send(Method::POST, &stage.url(&format!("/api/hooks/{forged}")), &[], "x").expect_status(404);
    stage.say(&message("a:1", "off", "webhook off"));
    hook.post(&text("x")).expect_status(410);
    let refused = stage.wait_for_events("request.rejected", 3);
    assert!(refused.iter().all(|line| line["hook"] == token[..6]), "{refused:?}");
    let lines = stage.lines().join("\n") + &stage.host_log();
    assert!(lines.contains(&token[..6]) && !lines.contains(&token[..8]), "the token is in the log");
    assert!(!lines.contains(&hook.secret[..8]), "the secret is in the log");
}
