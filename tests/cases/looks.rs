//! Alerts with Markdown, mentions, an importance or a card. Some of these alerts have a part that the channel
//! (e.g. Web Chat) does not show. Other cases test recurring alerts and quiet hours. An API call with the
//! member `every` starts a *series* of recurring alerts. *Quiet hours* are the hours of each day in which a
//! person wants no alerts.

use chrono::{DateTime, TimeDelta, Utc};
use end_to_end::activity::{fixture, message};
use end_to_end::alerts::{self, alert, call, known, queued, to_conversation};
use end_to_end::stage::Stage;
use end_to_end::suite::World;
use end_to_end::waiting::eventually;
use serde_json::{Value, json};

end_to_end::cases!(
    markdown_and_mentions_reach_the_connector_in_the_form_of_teams,
    mentions_that_do_not_match_the_at_elements_of_the_text_are_refused,
    important_alert_gives_a_notification_on_teams,
    card_that_teams_would_refuse_is_refused_before_anything_is_queued,
    part_that_a_channel_does_not_show_gives_a_warning,
    change_of_an_alert_is_checked_like_the_alert,
    recurring_alert_is_queued_again_until_the_cancellation,
    quiet_hours_delay_every_alert_except_important_alerts,
    change_of_a_waiting_alert_is_delayed_by_quiet_hours,
);

const KIM: &str = "0c5a7d86-6a0f-4a1e-93f7-d3f6a1a5b2c4";

fn markdown_and_mentions_reach_the_connector_in_the_form_of_teams(world: &World) {
    let stage = alerts::stage(world);
    let key = known(&stage, "a:looks", "hello");
    let user = fixture("teams-personal.json")["from"].clone();
    let object_id = user["aadObjectId"].as_str().expect("an object id");
    let mut body = to_conversation(&key, "**Down**: <at>Ann</at>, please look");
    body["mentions"] = json!([{"user": object_id, "name": "Ann"}, {"user": KIM, "name": "Kim"}]);
    body["activity"] = json!({"attachments": [{
        "contentType": "application/vnd.microsoft.card.adaptive",
        "content": {"type": "AdaptiveCard", "version": "1.5", "body": [{"type": "TextBlock", "text": "<at>Kim</at> knows"}]},
    }]});
    queued(&stage, &body);
    stage.poll();
    let sent = stage.connector.wait_for(1).remove(0);
    assert_eq!(sent.body["textFormat"], "markdown");
    assert_eq!(sent.text(), "Alert: **Down**: <at>Ann</at>, please look");
    let entity = |id: &Value, name: &str| json!({"type": "mention", "text": format!("<at>{name}</at>"), "mentioned": {"id": id, "name": name}});
    // In a text, a mention needs the person's id on Teams. The bot has stored this id of Ann, and writes the
    // id into the mention. In a card, Teams also accepts the person's object id in Entra. So the mention of
    // Kim in the card has Kim's object id.
    assert_eq!(sent.body["entities"], json!([entity(&user["id"], "Ann")]));
    let card = &sent.body["attachments"][0]["content"];
    assert_eq!(card["msteams"]["entities"], json!([entity(&json!(KIM), "Kim")]));
}

fn mentions_that_do_not_match_the_at_elements_of_the_text_are_refused(world: &World) {
    let stage = alerts::stage(world);
    let key = known(&stage, "a:looks", "hello");
    let mut body = to_conversation(&key, "Hi Kim");
    body["mentions"] = json!([{"user": KIM, "name": "Kim"}]);
    alert(&stage, &body).expect_error(400, "BadArgument");
    let mut body = to_conversation(&key, "Hi <at>Kim</at>");
    body["format"] = "markdown".into();
    alert(&stage, &body).expect_error(400, "BadArgument");
    assert_eq!(stage.queue.count(), 0);
}

fn important_alert_gives_a_notification_on_teams(world: &World) {
    let stage = alerts::stage(world);
    let key = known(&stage, "a:looks", "hello");
    let mut body = to_conversation(&key, "Disk full");
    (body["importance"], body["activity"]) = ("high".into(), json!({"summary": "Disk full on db-7"}));
    queued(&stage, &body);
    stage.poll();
    let sent = stage.connector.wait_for(1).remove(0);
    assert_eq!(sent.body["channelData"], json!({"notification": {"alert": true}}));
    assert_eq!(
        (&sent.body["importance"], &sent.body["summary"]),
        (&json!("high"), &json!("Disk full on db-7"))
    );
}

fn card(text: &str) -> Value {
    json!({"attachments": [{
        "contentType": "application/vnd.microsoft.card.adaptive",
        "content": {"type": "AdaptiveCard", "version": "1.5", "body": [{"type": "TextBlock", "text": text}],
                    "actions": [{"type": "Action.Execute", "verb": "x", "title": "Press"}]},
    }]})
}

fn card_that_teams_would_refuse_is_refused_before_anything_is_queued(world: &World) {
    let stage = alerts::stage(world);
    let key = known(&stage, "a:looks", "subscribe looks");
    let large = card(&"x".repeat(29_000));
    let to = json!([{"tag": "looks"}, {"conversation": key}]);
    let response = alert(&stage, &json!({"to": to, "activity": large}));
    let response = response.expect_error(422, "NotShown").json();
    let message = response["error"]["message"].as_str().unwrap_or_default();
    assert!(message.contains("to[1]: activity.attachments[0]: the card has"), "{message}");
    assert_eq!(stage.queue.count(), 0);
    // The sender does not know the subscribers of a tag. So the bot accepts the API call, although one
    // subscriber cannot get this alert. The response has a status for each subscriber.
    let mut other = stage.connector.host(&fixture("webchat.json"));
    other["text"] = "subscribe looks".into();
    stage.post(&other).expect_status(202);
    let response =
        alert(&stage, &json!({"to": {"tag": "looks"}, "activity": large})).expect_status(202).json();
    let status = |conversation: &str| {
        let alerts = response["alerts"].as_array().expect("a list");
        let found =
            alerts.iter().find(|alert| (alert["conversation"] == conversation) == (conversation == key));
        found.map(|alert| alert["status"].clone())
    };
    assert_eq!(status(&key), Some("tooLarge".into()), "{response}");
    assert_eq!(stage.queue.count(), 1, "expected only the alert for Web Chat on the queue: {response}");
}

fn part_that_a_channel_does_not_show_gives_a_warning(world: &World) {
    let stage = alerts::stage(world);
    let web = stage.connector.host(&fixture("webchat.json"));
    stage.post(&web).expect_status(202);
    stage.queue.take_all();
    let conversation = web["conversation"]["id"].as_str().expect("an id");
    let key = alerts::key_of("webchat", conversation);
    let response =
        alert(&stage, &json!({"to": {"conversation": key}, "activity": card("x")})).expect_status(202);
    let entry = response.json()["alerts"][0].clone();
    let warning = entry["warnings"][0].as_str().unwrap_or_default().to_owned();
    assert!(
        entry["status"] == "queued" && warning.contains("Action.Execute does nothing in Web Chat"),
        "{entry}"
    );
    let teams = known(&stage, "a:looks", "hello");
    let response =
        alert(&stage, &json!({"to": {"conversation": teams}, "activity": card("x")})).expect_status(202);
    assert_eq!(response.json()["alerts"][0].get("warnings"), None);
}

fn change_of_an_alert_is_checked_like_the_alert(world: &World) {
    let stage = alerts::stage(world);
    let teams = known(&stage, "a:looks", "hello");
    let web = stage.connector.host(&fixture("webchat.json"));
    stage.post(&web).expect_status(202);
    stage.queue.take_all();
    let web = alerts::key_of("webchat", web["conversation"]["id"].as_str().expect("an id"));
    let change = |conversation: &str, change: &Value| {
        let id = queued(&stage, &to_conversation(conversation, "one"));
        call(&stage, "PATCH", &format!("/api/alerts/{id}"), change)
    };
    let large = json!({"activity": card(&"x".repeat(29_000))});
    let refused = change(&teams, &large).expect_error(422, "NotShown").json();
    let message = refused["error"]["message"].as_str().unwrap_or_default();
    assert!(message.starts_with("id: activity.attachments[0]: the card has"), "{message}");
    assert_eq!(stage.queue.count(), 1, "expected only the unchanged alert on the queue");
    let changed = change(&web, &json!({"activity": card("x")})).expect_status(202).json();
    let warning = changed["warnings"][0].as_str().unwrap_or_default();
    assert!(warning.contains("Action.Execute does nothing in Web Chat"), "{changed}");
    let changed = change(&teams, &json!({"activity": card("x")})).expect_status(202).json();
    assert_eq!(changed.get("warnings"), None, "{changed}");
}

fn recurring_alert_is_queued_again_until_the_cancellation(world: &World) {
    let stage = alerts::stage(world);
    let key = known(&stage, "a:looks", "hello");
    let begin = Utc::now();
    let mut body = to_conversation(&key, "Stand-up");
    (body["every"], body["delay"]) = ("PT1M".into(), "PT1S".into());
    let first = queued(&stage, &body);
    eventually("the first alert", || {
        stage.poll();
        (stage.connector.received().len() == 1).then_some(())
    });
    assert!(Utc::now() - begin >= TimeDelta::seconds(1));
    assert_eq!(stage.queue.count(), 1, "expected that the next alert of the series is hidden on the queue");
    let shown =
        |id: &str| call(&stage, "GET", &format!("/api/alerts/{id}"), &Value::Null).expect_status(200).json();
    assert_eq!((&shown(&first)["status"], &shown(&first)["series"]), (&json!("delivered"), &json!(first)));
    let list = call(&stage, "GET", "/api/alerts?status=queued", &Value::Null).expect_status(200).json();
    let next = list["alerts"][0].clone();
    assert_eq!((&next["series"], &next["sender"]), (&json!(first), &json!("alertkey")), "{list}");
    let due: DateTime<Utc> = next["dueAt"].as_str().expect("a time").parse().expect("a time");
    assert!((due - begin).num_seconds().abs_diff(61) <= 1, "{next}");
    let next = next["id"].as_str().expect("an id").to_owned();
    // `DELETE` with the id of the first alert ends the series, even after the delivery of the first alert.
    let response =
        call(&stage, "DELETE", &format!("/api/alerts/{first}"), &Value::Null).expect_status(202).json();
    assert_eq!(response, json!({"id": first, "status": "cancelling"}));
    assert_eq!(shown(&next)["status"], "cancelling");
    let response =
        call(&stage, "DELETE", &format!("/api/alerts/{next}"), &Value::Null).expect_status(202).json();
    assert_eq!(
        response["status"], "cancelling",
        "expected that the call can be repeated with any id of the series"
    );
    let mut body = to_conversation(&key, "x");
    (body["every"], body["expires"]) = ("P1D".into(), (begin + TimeDelta::days(1)).to_rfc3339().into());
    alert(&stage, &body).expect_error(400, "BadArgument");
}

#[track_caller]
fn say(stage: &Stage, id: &str, text: &str, zone: &str) -> String {
    let seen = stage.connector.received().len();
    let mut activity = message("a:looks", id, text);
    activity["entities"] = json!([{"type": "clientInfo", "locale": "en-US", "timezone": zone}]);
    stage.say(&activity);
    stage.connector.wait_for(seen + 1).remove(seen).text().to_owned()
}

fn change_of_a_waiting_alert_is_delayed_by_quiet_hours(world: &World) {
    let stage = alerts::stage(world);
    let key = known(&stage, "a:looks", "hello");
    let id = queued(&stage, &to_conversation(&key, "one"));
    let clock = Utc::now() + TimeDelta::minutes(330);
    let hour = |hours: i64| (clock + TimeDelta::hours(hours)).format("%H:00").to_string();
    say(&stage, "q1", &format!("quiet {}-{}", hour(0), hour(2)), "Asia/Kolkata");
    let change = call(&stage, "PATCH", &format!("/api/alerts/{id}"), &json!({"text": "two"}));
    let change = change.expect_status(202).json()["id"].as_str().expect("an id").to_owned();
    let change =
        call(&stage, "GET", &format!("/api/alerts/{change}"), &Value::Null).expect_status(200).json();
    let due = change["dueAt"]
        .as_str()
        .unwrap_or_else(|| panic!("expected the end of the quiet hours in dueAt, found {change}"));
    let wait = (due.parse::<DateTime<Utc>>().expect("a time") - Utc::now()).num_minutes();
    assert!((55..=125).contains(&wait), "{change}");
}

fn quiet_hours_delay_every_alert_except_important_alerts(world: &World) {
    let stage = alerts::stage(world);
    let key = known(&stage, "a:looks", "hello");
    // The quiet hours are the current hour and the next hour in Kolkata (UTC+5:30).
    let clock = Utc::now() + TimeDelta::minutes(330);
    let hour = |hours: i64| (clock + TimeDelta::hours(hours)).format("%H:00").to_string();
    let reply = say(&stage, "q1", &format!("quiet {}-{}", hour(0), hour(2)), "Asia/Kolkata");
    assert!(reply.starts_with("Quiet hours: ") && reply.contains("(Asia/Kolkata)"), "{reply}");
    let response = alert(&stage, &to_conversation(&key, "later")).expect_status(202).json();
    let until = response["alerts"][0]["quietUntil"].as_str().unwrap_or_default();
    let until: DateTime<Utc> = until.parse().unwrap_or_else(|_| panic!("expected a time, found {response}"));
    let wait = (until - Utc::now()).num_minutes();
    assert!((55..=125).contains(&wait), "{response}");
    let mut body = to_conversation(&key, "now");
    body["importance"] = "high".into();
    let important = alert(&stage, &body).expect_status(202).json();
    assert_eq!(important["alerts"][0].get("quietUntil"), None, "{important}");
    stage.connector.forget();
    assert_eq!(stage.poll()["delivered"], 1);
    let texts: Vec<_> = stage.connector.received().iter().map(|sent| sent.text().to_owned()).collect();
    assert_eq!(texts, ["Alert: now"]);
    assert!(say(&stage, "q2", "quiet off", "Asia/Kolkata").starts_with("Quiet hours ended: "));
    let response = alert(&stage, &to_conversation(&key, "again")).expect_status(202).json();
    assert_eq!(response["alerts"][0].get("quietUntil"), None, "{response}");
    // In a channel of a team on Teams, one person cannot set quiet hours for all members.
    let mut channel = fixture("teams-channel.json");
    channel["locale"] = "en-US".into();
    channel["text"] = "<at>Proactive Bot</at> quiet 22:00-07:00".into();
    channel["attachments"] = json!([]);
    let seen = stage.connector.received().len();
    stage.say(&channel);
    let reply = stage.connector.wait_for(seen + 1).remove(seen).text().to_owned();
    assert!(reply.starts_with("Not done: one person cannot set quiet hours"), "{reply}");
}
