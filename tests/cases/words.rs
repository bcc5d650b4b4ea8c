//! The commands that people send to the bot, such as `subscribe` and `stop`. The cases check the reply to
//! each command, and the effect of the command.

use chrono::{DateTime, Utc};
use end_to_end::activity::{fixture, message};
use end_to_end::alerts::{self, alert, known, queued, targets, to_conversation};
use end_to_end::put_only_queue::PutOnlyQueue;
use end_to_end::stage::Stage;
use end_to_end::suite::World;
use end_to_end::waiting::eventually;
use serde_json::{Value, json};

end_to_end::cases!(
    subscribe_and_unsubscribe_change_the_tags,
    stop_ends_alerts_until_start,
    help_lists_every_command,
    locale_of_the_activity_picks_the_language_of_the_reply,
    quoted_text_of_the_bot_in_another_language_gets_no_reply,
    command_is_obeyed_in_upper_and_lower_case_but_only_as_the_whole_message,
    command_with_a_mention_in_a_channel_is_obeyed,
    reminder_is_delivered_at_the_due_time,
    reminder_can_be_cancelled,
    reminder_in_367_days_is_refused_and_in_30_days_accepted,
);

/// Sends a message in the conversation `a:words`, and returns the bot's reply.
#[track_caller]
fn reply_to(stage: &Stage, text: &str) -> String {
    let seen = stage.connector.received().len();
    let id = format!("words-{seen}-{}", text.len());
    stage.say(&message("a:words", &id, text));
    let reply = stage.connector.wait_for(seen + 1).remove(seen);
    assert_eq!(reply.reply_to().as_deref(), Some(id.as_str()), "{reply:?}");
    reply.text().to_owned()
}

fn subscribe_and_unsubscribe_change_the_tags(world: &World) {
    let stage = alerts::stage(world);
    assert!(reply_to(&stage, "subscribe Orders-42").starts_with("Subscribed: "));
    assert!(reply_to(&stage, "subscribe news").contains("news"));
    assert!(
        reply_to(&stage, "subscribe news").starts_with("Subscribed: "),
        "expected that a repeated subscription is confirmed"
    );
    assert_eq!(targets(&stage)[0]["tags"], json!(["news", "orders-42"]));
    queued(&stage, &json!({"to": {"tag": "orders-42"}, "text": "packed"}));
    assert!(reply_to(&stage, "unsubscribe orders-42").starts_with("Unsubscribed: "));
    assert_eq!(targets(&stage)[0]["tags"], json!(["news"]));
    let to_tag = json!({"to": {"tag": "orders-42"}, "text": "sent"});
    alert(&stage, &to_tag).expect_error(404, "TargetNotFound");
    assert!(reply_to(&stage, "subscribe <b>").starts_with("Not done: "));
    assert_eq!(
        stage.queue.count(),
        1,
        "expected only the alert on the queue, because commands are not queued"
    );
}

fn stop_ends_alerts_until_start(world: &World) {
    let stage = alerts::stage(world);
    let key = known(&stage, "a:words", "hello");
    let waiting = queued(&stage, &to_conversation(&key, "before the stop"));
    assert!(reply_to(&stage, "stop").starts_with("Stopped: "));

    let response = alert(&stage, &to_conversation(&key, "x")).expect_status(202).json();
    assert_eq!(response, json!({"alerts": [{"conversation": key, "status": "stopped"}]}));
    let address = stage.connector.host(&message("a:words", "1", ""));
    let address = json!({
        "channelId": "msteams", "serviceUrl": address["serviceUrl"], "conversation": address["conversation"],
    });
    let response = alert(&stage, &json!({"to": {"address": address}, "text": "x"})).expect_status(202).json();
    assert_eq!(
        response["alerts"][0]["status"], "stopped",
        "expected that `stop` also applies if the caller names the conversation by the address: {response}"
    );

    let counts = stage.poll();
    assert_eq!((&counts["stopped"], &counts["delivered"]), (&1.into(), &0.into()), "{waiting}: {counts}");
    assert_eq!(stage.queue.count(), 0);
    // The bot also makes an alert from each message of the person. `stop` does not apply to these alerts.
    assert_eq!(reply_to(&stage, "hello"), "Queued: hello");
    assert_eq!(stage.poll()["delivered"], 1);

    assert!(reply_to(&stage, "start").starts_with("Started: "));
    queued(&stage, &to_conversation(&key, "again"));
    assert_eq!(stage.poll()["delivered"], 1);
}

fn help_lists_every_command(world: &World) {
    let stage = alerts::stage(world);
    let help = reply_to(&stage, "help");
    for word in ["remind me in", "subscribe", "unsubscribe", "stop", "start"] {
        assert!(help.contains(word), "{help}");
    }
    assert_eq!(stage.queue.count(), 0);
}

/// Makes a message of a person whose chat client has the locale `locale`. If `locale` is `null`, the client
/// sends no locale. Each locale has its own conversation, because the bot limits how many replies a
/// conversation gets in a minute.
fn message_in(locale: &Value, id: &str, text: &str) -> Value {
    let mut activity = message(&format!("a:{locale}"), id, text);
    activity["locale"] = locale.clone();
    activity
}

fn locale_of_the_activity_picks_the_language_of_the_reply(world: &World) {
    let stage = alerts::stage(world);
    let english =
        ["Queued: tea (in 10 minutes)", "I am a bot that", "Not accepted: ", "Subscribed: ", "Hello. I am"];
    let german =
        ["Queued: tea (in 10 Minuten)", "Ich bin ein Bot", "Nicht angenommen: ", "Abonniert: ", "Hallo. Ich"];
    let french =
        ["Queued: tea (dans 10 minutes)", "Je suis un bot", "Non accepté : ", "Abonnement ", "Bonjour. Je"];
    for (locale, expected) in [
        (json!("en-US"), english),
        (json!("de-DE"), german),
        (json!("DE"), german),
        (json!("de_AT"), german),
        (json!("fr-CA"), french),
        (json!("ja-JP"), english),
        (json!(""), english),
        (json!(null), english),
    ] {
        stage.connector.forget();
        for (index, text) in ["remind me in 10 minutes tea", "help", "", "subscribe news"].iter().enumerate()
        {
            stage.say(&message_in(&locale, &index.to_string(), text));
        }
        let mut joining = message_in(&locale, "joining", "");
        joining["type"] = "conversationUpdate".into();
        joining["membersAdded"] = json!([joining["recipient"]]);
        stage.post(&stage.connector.host(&joining)).expect_status(200);
        let replies = stage.connector.wait_for(expected.len());
        for (reply, expected) in replies.iter().zip(expected) {
            assert!(
                reply.text().starts_with(expected),
                "{locale}: expected {expected}, found {}",
                reply.text()
            );
        }
    }
}

/// The bot ignores a message that begins like one of the bot's own texts, even if characters such as `>` come
/// first. Otherwise, the bot and a program that quotes these texts (e.g. an echo bot) would reply to each
/// other again and again. In this case, messages from an English chat client quote the German and the French
/// help.
fn quoted_text_of_the_bot_in_another_language_gets_no_reply(world: &World) {
    let stage = alerts::stage(world);
    for (index, locale) in ["de-DE", "fr-FR"].iter().enumerate() {
        stage.connector.forget();
        stage.say(&message_in(&json!(locale), "help", "help"));
        let help = stage.connector.wait_for(1)[0].text().to_owned();
        stage.say(&message_in(&json!("en-US"), &format!("echo {index}"), &format!("> {help}")));
        stage.wait_for_events("message.ignored", index + 1);
        assert_eq!(stage.connector.received().len(), 1, "expected no reply to {help}");
    }
    assert_eq!(stage.queue.count(), 0, "expected nothing on the queue");
}

fn command_is_obeyed_in_upper_and_lower_case_but_only_as_the_whole_message(world: &World) {
    let stage = alerts::stage(world);
    for text in ["HELP", " Stop ", "START", "Subscribe X"] {
        assert!(!reply_to(&stage, text).starts_with("Queued:"), "{text}");
    }
    assert_eq!(stage.queue.count(), 0);
    for text in
        ["help me", "stop it", "please stop", "subscribe", "subscribe to a paper", "remind me in a while"]
    {
        assert_eq!(reply_to(&stage, text), format!("Queued: {text}"));
    }
    assert_eq!(stage.queue.count(), 6);
}

fn command_with_a_mention_in_a_channel_is_obeyed(world: &World) {
    let stage = alerts::stage(world);
    // The person has a German chat client, so the bot replies in German.
    let mut activity = fixture("teams-channel.json");
    activity["text"] = "<at>Proactive Bot</at>\u{a0}subscribe builds\n".into();
    stage.say(&activity);
    assert!(stage.connector.wait_for(1)[0].text().starts_with("Abonniert: "));
    queued(&stage, &json!({"to": {"tag": "builds"}, "text": "green"}));
    stage.poll();
    let alert = stage.connector.wait_for(2).remove(1);
    assert_eq!(alert.conversation().as_deref(), activity["conversation"]["id"].as_str());
    assert_eq!(alert.body.get("recipient"), None, "expected that an alert in a channel has no recipient");
}

fn reminder_is_delivered_at_the_due_time(world: &World) {
    let stage = alerts::stage(world);
    let before = Utc::now();
    assert_eq!(reply_to(&stage, "remind me in 2 seconds tea"), "Queued: tea (in 2 seconds)");
    let alert = eventually("the reminder", || {
        let counts = stage.poll();
        let alerts: Vec<_> = stage
            .connector
            .received()
            .into_iter()
            .filter(end_to_end::connector::Received::is_alert)
            .collect();
        assert!(alerts.len() <= 1, "expected at most one alert: {counts}");
        alerts.into_iter().next()
    });
    assert!(
        Utc::now() - before >= chrono::TimeDelta::seconds(2),
        "the reminder was delivered before it was due"
    );
    assert_eq!(alert.text(), "Alert: tea");
    assert_eq!(alert.conversation().as_deref(), Some("a:words"));
    assert_eq!(stage.queue.count(), 0);
}

fn reminder_can_be_cancelled(world: &World) {
    let stage = alerts::stage(world);
    reply_to(&stage, "remind me in 1 sec tea");
    let id = stage.wait_for_events("message.queued", 1)[0]["envelope"].as_str().unwrap().to_owned();
    alerts::call(&stage, "DELETE", &format!("/api/alerts/{id}"), &json!(null)).expect_status(202);
    eventually("the cancelled reminder", || (stage.poll()["cancelled"] == 1).then_some(()));
    assert_eq!(stage.queue.count(), 0);
    stage.connector.wait_for(1);
}

fn reminder_in_367_days_is_refused_and_in_30_days_accepted(world: &World) {
    let queue = PutOnlyQueue::start();
    let stage = alerts::script(world).queue_at(queue.authority()).start();
    assert!(reply_to(&stage, "remind me in 367 days tea").starts_with("Not accepted: "));
    assert!(queue.take().is_empty());
    // The queue service can hide a queue message for at most seven days. If the reminder is not due when the
    // message becomes visible, the poller hides the message again.
    assert_eq!(reply_to(&stage, "remind me in 30 days tea"), "Queued: tea (in 4 weeks 2 days)");
    let put = queue.take().remove(0);
    assert_eq!(
        (put.hidden_seconds, put.time_to_live.as_str()),
        (604_800, "-1"),
        "expected seven days in seconds, and no expiry"
    );
    let due: DateTime<Utc> = put.envelope["notBefore"].as_str().unwrap().parse().unwrap();
    assert!(due - Utc::now() > chrono::TimeDelta::days(29), "{}", put.envelope);
    assert_eq!((&put.envelope["cancellable"], put.envelope.get("stoppable")), (&true.into(), None));
}
