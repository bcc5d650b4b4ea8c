//! The *targets*: the conversations that the bot stores, and to which programs can send alerts. The cases
//! check which events make the bot store, pause or forget a conversation.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bot_framework::testing::{TestKey, channel_claims};
use end_to_end::activity::{fixture, message};
use end_to_end::alerts::{self, alert, call, key_of, known, queued, targets, to_conversation};
use end_to_end::connector::Reply;
use end_to_end::faulty_tables::{FaultyTables, Plan};
use end_to_end::login::{Login, Proof};
use end_to_end::openid::OpenId;
use end_to_end::stage::{APP_ID, Stage};
use end_to_end::suite::World;
use serde_json::{Value, json};

end_to_end::cases!(
    hundred_tags_are_looked_up_in_parallel,
    empty_page_of_targets_stays_empty_when_the_call_is_repeated,
    conversation_of_a_message_is_stored_and_found_by_its_key_and_by_the_person,
    installation_and_update_store_the_conversation,
    ended_conversation_is_forgotten,
    delete_user_data_forgets_the_conversations_of_the_person,
    group_is_not_found_by_the_ids_of_the_members,
    blocked_conversation_is_paused_until_the_person_writes,
    list_pages_show_each_conversation_once,
    wrong_query_is_refused_with_the_name_of_the_parameter,
    conversation_of_a_refused_activity_is_not_stored,
    service_url_of_a_verified_caller_is_stored_as_verified,
);

/// Makes the activity (the JSON that a channel posts to the bot) of a message without text. Adds the fields
/// of `change`. A field of `change` replaces a field with the same name.
fn activity(stage: &Stage, conversation: &str, change: Value) -> Value {
    let mut activity = stage.connector.host(&message(conversation, "1", ""));
    activity.as_object_mut().unwrap().remove("text");
    activity.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
    activity
}

#[track_caller]
fn post(stage: &Stage, conversation: &str, change: Value) {
    stage.post(&activity(stage, conversation, change)).expect_status(200);
}

fn conversation_of_a_message_is_stored_and_found_by_its_key_and_by_the_person(world: &World) {
    let stage = alerts::stage(world);
    let key = known(&stage, "a:1", "hello");
    let activity = fixture("teams-personal.json");
    let mut target = targets(&stage).remove(0);
    let seen_at = target.as_object_mut().unwrap().remove("seenAt").unwrap_or_default();
    assert!(seen_at.as_str().unwrap_or_default().ends_with('Z'), "{seen_at}");
    let expected = json!({
        "conversation": key, "channelId": "msteams", "conversationType": "personal",
        "tenantId": activity["conversation"]["tenantId"],
        "user": activity["from"], "tags": [], "stopped": false, "paused": false, "serviceUrlVerified": false,
    });
    assert_eq!(target, expected);
    let user = activity["from"]["id"].as_str().unwrap();
    let aad = activity["from"]["aadObjectId"].as_str().unwrap();
    for to in [
        json!({"conversation": key}),
        json!({"user": format!("msteams/{user}")}),
        json!({"user": aad}),
        json!({"user": aad.to_uppercase()}),
    ] {
        let response = alert(&stage, &json!({"to": to, "text": "x"})).expect_status(202).json();
        assert_eq!(response["alerts"][0]["conversation"], key.as_str(), "{to}");
    }
}

fn installation_and_update_store_the_conversation(world: &World) {
    let stage = alerts::stage(world);
    let bot = message("", "", "")["recipient"].take();
    for (conversation, change) in [
        ("a:installed", json!({"type": "installationUpdate", "action": "add"})),
        ("a:added", json!({"type": "conversationUpdate", "membersAdded": [bot]})),
        ("a:updated", json!({"type": "conversationUpdate", "topicName": "x"})),
    ] {
        post(&stage, conversation, change);
        stage.connector.forget();
        queued(&stage, &to_conversation(&key_of("msteams", conversation), "hello"));
        assert_eq!(stage.poll()["delivered"], 1, "{conversation}");
        let alert = stage.connector.wait_for(1).remove(0);
        assert_eq!(alert.conversation().as_deref(), Some(conversation));
        stage.connector.forget();
    }
    for kind in ["typing", "messageReaction", "event", "trace"] {
        post(&stage, "a:other", json!({"type": kind}));
    }
    assert_eq!(targets(&stage).len(), 3);
}

fn ended_conversation_is_forgotten(world: &World) {
    let stage = alerts::stage(world);
    let bot = message("", "", "")["recipient"].take();
    for change in [
        json!({"type": "installationUpdate", "action": "remove"}),
        json!({"type": "conversationUpdate", "membersRemoved": [{"id": "29:somebody"}, bot]}),
        json!({"type": "endOfConversation"}),
    ] {
        known(&stage, "a:1", "subscribe x");
        let key = known(&stage, "a:2", "hello");
        post(&stage, "a:2", json!({"type": "conversationUpdate", "membersRemoved": [{"id": "29:somebody"}]}));
        assert_eq!(targets(&stage).len(), 2, "expected both conversations after another member has left");
        post(&stage, "a:1", change.clone());
        let left = targets(&stage);
        assert!(left.len() == 1 && left[0]["conversation"] == key.as_str(), "{change}: {left:?}");
        for to in [json!({"tag": "x"}), json!({"conversation": key_of("msteams", "a:1")})] {
            alert(&stage, &json!({"to": to, "text": "x"})).expect_error(404, "TargetNotFound");
        }
    }
}

fn delete_user_data_forgets_the_conversations_of_the_person(world: &World) {
    let stage = alerts::stage(world);
    known(&stage, "a:1", "hello");
    known(&stage, "a:2", "hello");
    let mut other = message("a:3", "1", "hello");
    other["from"] = json!({"id": "29:other"});
    stage.say(&other);
    post(&stage, "a:1", json!({"type": "deleteUserData"}));
    let left = targets(&stage);
    assert!(left.len() == 1 && left[0]["user"]["id"] == "29:other", "{left:?}");
}

fn group_is_not_found_by_the_ids_of_the_members(world: &World) {
    let stage = alerts::stage(world);
    let activity = fixture("teams-channel.json");
    stage.say(&activity);
    let target = targets(&stage).remove(0);
    assert_eq!((target.get("user"), &target["conversationType"]), (None, &"channel".into()), "{target}");
    for user in [
        format!("msteams/{}", activity["from"]["id"].as_str().unwrap()),
        activity["from"]["aadObjectId"].as_str().unwrap().to_owned(),
    ] {
        let to_person = json!({"to": {"user": user}, "text": "for your eyes only"});
        alert(&stage, &to_person).expect_error(404, "TargetNotFound");
    }
}

fn blocked_conversation_is_paused_until_the_person_writes(world: &World) {
    let stage = alerts::stage(world);
    let key = known(&stage, "a:1", "hello");
    stage
        .connector
        .on(|received| received.is_alert().then(|| Reply::error(403, "ConversationBlockedByUser")));
    queued(&stage, &to_conversation(&key, "x"));
    assert_eq!(stage.poll()["poisonedBy"]["destinationGone"], 1);
    assert_eq!(targets(&stage)[0]["paused"], true);
    let response = alert(&stage, &to_conversation(&key, "x")).expect_status(202).json();
    assert_eq!(response, json!({"alerts": [{"conversation": key, "status": "paused"}]}));
    assert_eq!(stage.queue.count(), 0);

    post(&stage, "a:1", json!({"type": "conversationUpdate", "topicName": "x"}));
    assert_eq!(
        targets(&stage)[0]["paused"],
        true,
        "expected that the pause stays, because an update does not come from the person"
    );
    for activity_of_person in
        [json!({"type": "installationUpdate", "action": "add"}), json!({"type": "message", "text": "hello"})]
    {
        stage.connector.on(|received| received.is_alert().then(|| Reply::error(404, "ConversationNotFound")));
        assert_eq!(stage.post(&activity(&stage, "a:1", activity_of_person)).status / 100, 2);
        assert_eq!(targets(&stage)[0]["paused"], false);
        stage.queue.take_all();
        queued(&stage, &to_conversation(&key, "x"));
        stage.poll();
        assert_eq!(targets(&stage)[0]["paused"], true);
    }
}

fn list_pages_show_each_conversation_once(world: &World) {
    let stage = alerts::stage(world);
    for number in 0..7 {
        known(&stage, &format!("a:{number}"), if number < 3 { "subscribe few" } else { "hello" });
    }
    let mut other_tenant = message("a:elsewhere", "1", "hello");
    other_tenant["conversation"]["tenantId"] = "another-tenant".into();
    stage.say(&other_tenant);
    let tenant = message("", "", "")["conversation"]["tenantId"].as_str().unwrap().to_owned();
    for (filter, expected) in [
        (String::new(), 8),
        ("&tag=few".into(), 3),
        (format!("&tenant={tenant}"), 7),
        ("&tenant=another-tenant".into(), 1),
        ("&tag=few&tenant=another-tenant".into(), 0),
        ("&tag=none".into(), 0),
    ] {
        let mut seen: Vec<String> = Vec::new();
        let mut after = String::new();
        loop {
            let path = format!("/api/targets?limit=2{filter}{after}");
            let page = call(&stage, "GET", &path, &Value::Null).expect_status(200).json();
            let targets = page["targets"].as_array().unwrap();
            assert!(targets.len() <= 2 && seen.len() <= 8, "{filter}: {page}");
            seen.extend(targets.iter().map(|target| target["conversation"].as_str().unwrap().to_owned()));
            match page["next"].as_str() {
                Some(next) => after = format!("&after={next}"),
                None => break,
            }
        }
        assert_eq!(seen.len(), expected, "{filter}: {seen:?}");
        assert!(seen.is_sorted() && seen.windows(2).all(|pair| pair[0] != pair[1]), "{filter}: {seen:?}");
    }
}

fn wrong_query_is_refused_with_the_name_of_the_parameter(world: &World) {
    let stage = alerts::stage(world);
    for (query, name) in
        [("limit=0", "limit"), ("limit=101", "limit"), ("after=x", "after"), ("tag=a%20b", "tag")]
    {
        let path = format!("/api/targets?{query}");
        let response = call(&stage, "GET", &path, &Value::Null).expect_error(400, "BadArgument");
        assert!(
            response.json()["error"]["message"].as_str().unwrap().starts_with(name),
            "{}",
            response.describe()
        );
    }
}

fn conversation_of_a_refused_activity_is_not_stored(world: &World) {
    let stage = alerts::stage(world);
    let mut stranger = message("a:1", "1", "hello");
    stranger["serviceUrl"] = "https://smba.trafficmanager.net/amer/".into();
    stage.post(&stranger).expect_error(403, "ServiceUrlNotAllowed");
    assert!(targets(&stage).is_empty());
}

fn service_url_of_a_verified_caller_is_stored_as_verified(world: &World) {
    let (issuer, login) = (OpenId::start(), Login::start(Proof::Secret));
    login.publish(&issuer);
    let stage = alerts::script(world).logged_in(&login).authenticated(&issuer).start();
    let activity = stage.connector.host(&message("a:1", "1", "hello"));
    stage.post(&activity).expect_status(401);
    assert!(targets(&stage).is_empty(), "a refused activity must not store a conversation");

    let service_url = activity["serviceUrl"].as_str().unwrap();
    let claims = channel_claims(APP_ID, service_url, chrono::Utc::now().timestamp());
    stage.post_as(&TestKey::issuer().sign(&claims), &activity).expect_status(202);
    assert_eq!(targets(&stage)[0]["serviceUrlVerified"], true);
    stage.queue.take_all();
    queued(&stage, &to_conversation(&key_of("msteams", "a:1"), "hello"));
    let envelope = stage.queue.envelopes().remove(0);
    assert!(envelope["seal"].is_string() && envelope["address"]["serviceUrlVerified"] == true, "{envelope}");
    assert_eq!(stage.poll()["delivered"], 1);
}

/// A proxy delays each of the bot's calls to the table service by 60 ms. To look up 100 tags, the bot makes
/// about 200 calls. If the bot made one call at a time, the calls would take 12 s. But the bot has only 8 s
/// to look up the tags.
fn hundred_tags_are_looked_up_in_parallel(world: &World) {
    const MOST_CALLS_AT_ONCE: usize = 8;
    let is_slow = Arc::new(AtomicBool::new(false));
    let slow = Arc::clone(&is_slow);
    let tables = FaultyTables::start_with(&world.azurite().table_authority(), move |_, _| Plan {
        delay: if slow.load(Ordering::SeqCst) { Duration::from_millis(60) } else { Duration::ZERO },
        ..Plan::default()
    });
    let stage = alerts::script(world).tables_at(tables.authority()).start();
    let tags: Vec<String> = (0..100).map(|number| format!("t{number}")).collect();
    // A conversation has 32 tags at most, so 100 tags need four conversations.
    let keys: Vec<String> = (0..4).map(|number| known(&stage, &format!("a:{number}"), "hello")).collect();
    for (number, tag) in tags.iter().enumerate() {
        let path = format!("/api/targets/{}/tags/{tag}", keys[number % 4]);
        call(&stage, "PUT", &path, &Value::Null).expect_status(204);
    }
    is_slow.store(true, Ordering::SeqCst);
    let before = tables.notes().len();
    let to: Vec<Value> = tags.iter().map(|tag| json!({ "tag": tag })).collect();
    let response = alert(&stage, &json!({"to": to, "text": "hello"})).expect_status(202).json();
    let alerted: Vec<_> =
        response["alerts"].as_array().unwrap().iter().map(|alert| &alert["conversation"]).collect();
    assert_eq!(
        alerted,
        keys.iter().collect::<Vec<_>>(),
        "expected each conversation once, in the order of the tags in the call"
    );
    let notes = &tables.notes()[before..];
    // For each tag, the bot makes one query that finds the tag's conversation, and one query that reads the
    // conversation. A few more calls record the alerts in the ledger (the table with a record of each alert).
    assert!(notes.len() <= 2 * tags.len() + 4, "{} calls", notes.len());
    let at = |moment| notes.iter().filter(|note| note.asked <= moment && moment < note.at).count();
    let most = notes.iter().map(|note| at(note.asked)).max();
    assert!(
        most.is_some_and(|most| (2..=MOST_CALLS_AT_ONCE).contains(&most)),
        "expected 2 to {MOST_CALLS_AT_ONCE} calls at once, found {most:?}"
    );
}

/// If an API call alerts many conversations, the bot splits the conversations into *pages*, and processes one
/// page after the other. If pages are left at the end of the call, the response has a `next`, which says
/// where the next page begins. The program then sends the same call again with this `next`. In this case:
///
/// 1. One conversation is the only subscriber of the tags `a` and `b`. The program sends an alert to both
///    tags, with the `next` of the second page, which begins with the first subscriber of `b`. The first page
///    already has the conversation, because of the tag `a`. So the second page is empty.
/// 2. The conversation leaves the tag `a`.
/// 3. The program repeats the call. The second page must still be empty.
fn empty_page_of_targets_stays_empty_when_the_call_is_repeated(world: &World) {
    let stage = alerts::stage(world);
    let key = known(&stage, "a:1", "hello");
    let tag = |method: &str, tag: &str| {
        let path = format!("/api/targets/{key}/tags/{tag}");
        call(&stage, method, &path, &Value::Null).expect_status(204);
    };
    ["a", "b"].into_iter().for_each(|name| tag("PUT", name));
    let second_page = json!({
        "to": [{"tag": "a"}, {"tag": "b"}], "text": "hello", "idempotencyKey": "k", "next": "1.",
    });
    let nobody = json!({"alerts": []});
    assert_eq!(alert(&stage, &second_page).expect_status(202).json(), nobody);
    tag("DELETE", "a");
    assert_eq!(alert(&stage, &second_page).expect_status(202).json(), nobody);
    assert_eq!(stage.queue.count(), 0);
}
