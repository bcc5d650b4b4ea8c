//! Alerts to three kinds of targets: channels, the members of a team, and people who never wrote to the bot.

use end_to_end::activity::{fixture, message};
use end_to_end::alerts::{self, alert, call, key_of, known, queued, to_conversation};
use end_to_end::connector::Reply;
use end_to_end::stage::{Stage, TENANT};
use end_to_end::suite::World;
use serde_json::{Value, json};

end_to_end::cases!(
    person_who_never_wrote_gets_all_alerts_in_one_new_chat,
    email_finds_the_person_in_a_team_of_the_bot,
    channel_gets_a_new_thread_for_each_alert,
    each_member_of_a_team_is_alerted_in_a_personal_chat,
    team_that_is_too_large_or_not_readable_is_refused_and_nothing_is_queued,
    alert_waits_and_its_status_has_the_reason_if_the_bot_is_not_installed_for_the_person,
    alert_to_a_person_is_delivered_in_the_chat_of_the_installation_activity,
    purged_chat_is_created_anew_and_the_alert_arrives,
    api_call_repeated_with_the_same_idempotency_key_queues_no_second_alert_to_the_person,
);

pub(crate) const KIM: &str = "0f3b8a52-8b0e-4b6e-9f0a-111111111111";
const LEE: &str = "0f3b8a52-8b0e-4b6e-9f0a-222222222222";
/// The object id of the person in `fixtures/teams-personal.json`.
const MEGAN: &str = "e5e0a3b6-5f2c-4f1c-8a9e-3a1f3f2c9d10";
/// The id of the channel in `fixtures/teams-channel.json`.
pub(crate) const CHANNEL: &str = "19:3b5c0d1e2f3a4b5c6d7e8f9a0b1c2d3e@thread.tacv2";

/// Starts a *stage* (a Spin host with the components, and a fake Connector). The bot has stored Megan's chat
/// `a:1` and the channel [`CHANNEL`]. The bot has stored no chat with Kim or Lee.
pub(crate) fn stage(world: &World) -> Stage {
    let stage = alerts::stage(world);
    stage.connector.teams(|teams| {
        teams
            .person(KIM, "kim@contoso.com")
            .person(LEE, "lee@contoso.com")
            .person(MEGAN, "megan@contoso.com");
        teams.team(CHANNEL, &[MEGAN, KIM]);
    });
    known(&stage, "a:1", "hello");
    stage.say(&fixture("teams-channel.json"));
    stage.queue.take_all();
    stage.connector.forget();
    stage
}

/// Sends an alert, and returns the list `alerts` of the response. The list has one entry for each
/// conversation.
#[track_caller]
fn send_for_entries(stage: &Stage, to: &Value, text: &str) -> Vec<Value> {
    let response = alert(stage, &json!({"to": to, "text": text})).expect_status(202).json();
    response["alerts"].as_array().expect("a list of alerts").clone()
}

/// Sends an alert to one person or channel, and returns the alert's id. Expects the status `creating`: the
/// poller has to create the conversation first.
#[track_caller]
pub(crate) fn send_to_new_conversation(stage: &Stage, to: &Value, text: &str) -> String {
    let entries = send_for_entries(stage, to, text);
    assert!(entries.len() == 1 && entries[0]["status"] == "creating", "{to}: {entries:?}");
    entries[0]["id"].as_str().unwrap().to_owned()
}

pub(crate) fn status(stage: &Stage, id: &str) -> Value {
    call(stage, "GET", &format!("/api/alerts/{id}"), &Value::Null).expect_status(200).json()
}

fn chats_and_texts(stage: &Stage) -> Vec<(String, String)> {
    let sent = stage.connector.received();
    sent.iter().map(|sent| (sent.conversation().unwrap_or_default(), sent.text().to_owned())).collect()
}

fn person_who_never_wrote_gets_all_alerts_in_one_new_chat(world: &World) {
    let stage = stage(world);
    stage.connector.teams(|teams| _ = teams.install(KIM));
    let to = json!({"user": KIM, "tenant": TENANT});
    let first = send_to_new_conversation(&stage, &to, "one");
    let second = send_to_new_conversation(&stage, &to, "two");
    assert_eq!(stage.poll()["delivered"], 2);
    let chat = format!("a:{KIM}-0");
    assert_eq!(
        chats_and_texts(&stage),
        ["Alert: one", "Alert: two"].map(|text| (chat.clone(), text.to_owned()))
    );
    let created = stage.connector.conversation_calls();
    assert_eq!(created.len(), 1, "{created:#?}");
    let expected = json!({
        "isGroup": false, "members": [{"id": KIM}], "tenantId": TENANT, "channelData": {"tenant": {"id": TENANT}},
    });
    assert_eq!(created[0].body, expected);
    let key = key_of("msteams", &chat);
    for id in [first, second] {
        let status = status(&stage, &id);
        assert_eq!((&status["status"], &status["conversation"]), (&"delivered".into(), &key.clone().into()));
    }
    // The poller has stored the chat now. The next three alerts go to this chat. Alert `three` names the
    // person and the tenant. Alert `four` names the conversation. Alert `five` names only the person.
    stage.connector.forget();
    let entry = send_for_entries(&stage, &to, "three").remove(0);
    assert_eq!((&entry["status"], &entry["conversation"]), (&"queued".into(), &key.clone().into()));
    queued(&stage, &to_conversation(&key, "four"));
    queued(&stage, &json!({"to": {"user": KIM}, "text": "five"}));
    assert_eq!(stage.poll()["delivered"], 3);
    assert!(stage.connector.conversation_calls().is_empty());
    // The person writes for the first time, and the text is `stop`. The bot does not store a second
    // conversation for this person. So `stop` also applies to alerts that name the person.
    let mut stop = message(&chat, "k1", "stop");
    stop["from"] = json!({"id": format!("29:{KIM}"), "aadObjectId": KIM, "name": "Kim"});
    stage.say(&stop);
    let entry = send_for_entries(&stage, &to, "six").remove(0);
    assert_eq!((&entry["status"], &entry["conversation"]), (&"stopped".into(), &key.into()));
}

fn email_finds_the_person_in_a_team_of_the_bot(world: &World) {
    let stage = stage(world);
    stage.connector.teams(|teams| _ = teams.install(KIM));
    let kim =
        send_to_new_conversation(&stage, &json!({"email": "Kim@contoso.com", "tenant": TENANT}), "hello");
    let megan =
        send_to_new_conversation(&stage, &json!({"email": "megan@contoso.com", "tenant": TENANT}), "hello");
    let lee =
        send_to_new_conversation(&stage, &json!({"email": "lee@contoso.com", "tenant": TENANT}), "hello");
    let counts = stage.poll();
    assert_eq!(counts["poisonedBy"]["unknownPerson"], 1, "{counts}");
    let mut sent = chats_and_texts(&stage);
    sent.sort();
    let expected = ["a:0f3b8a52-8b0e-4b6e-9f0a-111111111111-0", "a:1"];
    assert_eq!(sent, expected.map(|chat| (chat.to_owned(), "Alert: hello".to_owned())));
    assert_eq!(status(&stage, &kim)["status"], "delivered");
    assert_eq!(status(&stage, &megan)["conversation"], key_of("msteams", "a:1"));
    let lee = status(&stage, &lee);
    assert_eq!(lee["status"], "dead");
    assert!(
        lee["reason"].as_str().unwrap().starts_with("unknownPerson: email: the poller asked 1 "),
        "{lee}"
    );
    let dead = call(&stage, "GET", "/api/dead", &Value::Null).expect_status(200).json();
    assert_eq!(
        (&dead["dead"][0]["outcome"], &dead["dead"][0]["status"]),
        (&"unknownPerson".into(), &404.into())
    );
}

fn channel_gets_a_new_thread_for_each_alert(world: &World) {
    let stage = stage(world);
    stage.connector.teams(|teams| _ = teams.install(CHANNEL));
    let to = json!({"channel": CHANNEL, "tenant": TENANT});
    let first = send_to_new_conversation(&stage, &to, "one");
    let second = send_to_new_conversation(&stage, &to, "two");
    assert_eq!(stage.poll()["delivered"], 2);
    let created = stage.connector.conversation_calls();
    assert_eq!(created.len(), 2);
    assert_eq!(created[0].body["channelData"], json!({"channel": {"id": CHANNEL}, "tenant": {"id": TENANT}}));
    assert_eq!(created[0].body["activity"]["text"], "Alert: one");
    assert_eq!(created[0].body["bot"]["id"], fixture("teams-channel.json")["recipient"]["id"]);
    stage.connector.expect_silence();
    let [one, two] = [first, second].map(|id| status(&stage, &id));
    assert_ne!(one["conversation"], two["conversation"], "expected a separate conversation for each thread");
    assert_eq!(one["activityId"], "1700000000001");
    let thread = format!("{CHANNEL};messageid=1700000000001");
    assert_eq!(one["conversation"], key_of("msteams", &thread));
}

fn each_member_of_a_team_is_alerted_in_a_personal_chat(world: &World) {
    let stage = stage(world);
    stage.connector.teams(|teams| {
        teams.install(KIM).install(LEE).team(CHANNEL, &[MEGAN, KIM, LEE]).pages_of(2);
    });
    let team = key_of("msteams", fixture("teams-channel.json")["conversation"]["id"].as_str().unwrap());
    let entries = send_for_entries(&stage, &json!({ "members": team }), "hello");
    let statuses: Vec<&str> = entries.iter().map(|entry| entry["status"].as_str().unwrap()).collect();
    assert_eq!(statuses, ["queued", "creating", "creating"], "expected a stored chat for one member only");
    let paths: Vec<String> = stage.connector.conversation_calls().into_iter().map(|call| call.path).collect();
    assert_eq!(paths.len(), 2, "expected two pages, found {paths:?}");
    assert!(paths.iter().all(|path| path.contains("/pagedmembers?pageSize=")), "{paths:?}");
    assert_eq!(stage.poll()["delivered"], 3);
    let mut chats: Vec<String> = chats_and_texts(&stage).into_iter().map(|(chat, _)| chat).collect();
    chats.sort();
    assert_eq!(chats, [format!("a:{KIM}-0"), format!("a:{LEE}-0"), "a:1".to_owned()]);
    let creations = stage.connector.conversation_calls();
    let ids = creations.iter().filter(|call| call.method == http::Method::POST);
    let mut ids: Vec<&str> = ids.map(|call| call.body["members"][0]["id"].as_str().unwrap()).collect();
    ids.sort_unstable();
    assert_eq!(ids, [format!("29:{KIM}"), format!("29:{LEE}")]);
}

fn team_that_is_too_large_or_not_readable_is_refused_and_nothing_is_queued(world: &World) {
    let stage = stage(world);
    let team = key_of("msteams", fixture("teams-channel.json")["conversation"]["id"].as_str().unwrap());
    let to_team = json!({"to": {"members": team}, "text": "hello"});
    stage.connector.teams(|teams| {
        let people: Vec<String> = (0..101).map(|number| format!("person-{number}")).collect();
        for id in &people {
            teams.person(id, &format!("{id}@contoso.com"));
        }
        teams.team(CHANNEL, &people.iter().map(String::as_str).collect::<Vec<_>>());
    });
    alert(&stage, &to_team).expect_error(422, "TooManyMembers");
    stage.connector.on(|received| {
        received.path.contains("pagedmembers").then(|| Reply::error(403, "BotNotInConversationRoster"))
    });
    alert(&stage, &to_team).expect_error(422, "MembersNotRead");
    stage
        .connector
        .on(|received| received.path.contains("pagedmembers").then(|| Reply::error(429, "Throttled")));
    alert(&stage, &to_team).expect_error(503, "ConnectorUnavailable");
    let personal = json!({"to": {"members": key_of("msteams", "a:1")}, "text": "hello"});
    alert(&stage, &personal).expect_error(400, "BadArgument");
    assert_eq!(stage.queue.count(), 0);
}

fn alert_waits_and_its_status_has_the_reason_if_the_bot_is_not_installed_for_the_person(world: &World) {
    let stage = stage(world);
    let id = send_to_new_conversation(&stage, &json!({"user": KIM, "tenant": TENANT}), "hello");
    let nobody = send_to_new_conversation(
        &stage,
        &json!({"user": "0f3b8a52-8b0e-4b6e-9f0a-999999999999", "tenant": TENANT}),
        "x",
    );
    let counts = stage.poll();
    assert_eq!((&counts["notInstalled"], &counts["poisonedBy"]["unknownPerson"]), (&1.into(), &1.into()));
    let waiting = status(&stage, &id);
    assert_eq!(waiting["status"], "waiting");
    assert_eq!(waiting["reason"], "notInstalled: 403 BotNotInConversationRoster");
    let dead = status(&stage, &nobody);
    assert_eq!(dead["status"], "dead");
    let reason = dead["reason"].as_str().unwrap();
    assert!(reason.starts_with("unknownPerson: 400 MemberNotFoundInConversation"), "{reason}");
    // A caller can cancel an alert that waits.
    call(&stage, "DELETE", &format!("/api/alerts/{id}"), &Value::Null).expect_status(202);
    stage.connector.expect_silence();
}

fn alert_to_a_person_is_delivered_in_the_chat_of_the_installation_activity(world: &World) {
    let stage = stage(world);
    let alerts = ["one", "two"]
        .map(|text| send_to_new_conversation(&stage, &json!({"user": KIM, "tenant": TENANT}), text));
    // The person installs the bot, and Teams posts an activity from the person's chat to the bot. The fake
    // Connector does not know of the installation, and would refuse to create a chat. So the poller can only
    // use the chat of this activity, which the bot has stored.
    let mut installed = message("a:kim-and-the-bot", "i1", "");
    installed["from"] = json!({"id": format!("29:{KIM}"), "aadObjectId": KIM});
    (installed["type"], installed["action"]) = ("installationUpdate".into(), "add".into());
    stage.post(&stage.connector.host(&installed)).expect_status(200);
    stage.connector.forget();
    assert_eq!(stage.poll()["delivered"], 2);
    let chat = "a:kim-and-the-bot".to_owned();
    assert_eq!(
        chats_and_texts(&stage),
        ["Alert: one", "Alert: two"].map(|text| (chat.clone(), text.to_owned()))
    );
    assert!(
        stage.connector.conversation_calls().is_empty(),
        "expected no created chat, because the bot has stored the reported chat"
    );
    let conversation = key_of("msteams", &chat);
    assert_eq!(
        alerts.map(|id| status(&stage, &id)["conversation"].clone()),
        [&*conversation, &*conversation]
    );
}

fn purged_chat_is_created_anew_and_the_alert_arrives(world: &World) {
    let stage = stage(world);
    stage.connector.teams(|teams| _ = teams.install(KIM));
    let to = json!({"user": KIM, "tenant": TENANT});
    send_to_new_conversation(&stage, &to, "one");
    stage.poll();
    stage.connector.teams(|teams| _ = teams.purge(KIM));
    stage.connector.forget();
    let id = queued(&stage, &json!({"to": to, "text": "two"}));
    assert_eq!(stage.poll()["delivered"], 1);
    let (old, new) = (format!("a:{KIM}-0"), format!("a:{KIM}-1"));
    assert_eq!(
        chats_and_texts(&stage),
        [(old.clone(), "Alert: two".into()), (new.clone(), "Alert: two".into())]
    );
    assert_eq!(stage.connector.conversation_calls().len(), 1);
    assert_eq!(status(&stage, &id)["conversation"], key_of("msteams", &new));
    alert(&stage, &to_conversation(&key_of("msteams", &old), "x")).expect_error(404, "TargetNotFound");
    stage.connector.forget();
    queued(&stage, &to_conversation(&key_of("msteams", &new), "three"));
    assert_eq!(stage.poll()["delivered"], 1);
    assert!(
        stage.connector.conversation_calls().is_empty(),
        "expected that the poller creates the new chat only once"
    );
}

fn api_call_repeated_with_the_same_idempotency_key_queues_no_second_alert_to_the_person(world: &World) {
    let stage = stage(world);
    stage.connector.teams(|teams| _ = teams.install(KIM));
    let body = json!({"to": {"user": KIM, "tenant": TENANT}, "text": "once", "idempotencyKey": "k"});
    let first = alert(&stage, &body).expect_status(202).json();
    assert_eq!(first["alerts"][0]["status"], "creating");
    assert_eq!(alert(&stage, &body).expect_status(202).json(), first);
    for _ in 0..2 {
        stage.poll();
        // The first run of the poller stores the person's chat. The response to the repeated call
        // nevertheless has the id of the first alert.
        let again = alert(&stage, &body).expect_status(202).json();
        assert_eq!(again["alerts"][0]["id"], first["alerts"][0]["id"]);
    }
    assert_eq!(stage.connector.received().len(), 1);
}
