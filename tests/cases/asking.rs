//! Questions: alerts that people answer with a button or with a text. The poller puts each answer on the
//! *queue of replies*, which programs read. If the question names an address for a *callback*, the poller
//! also posts the answer to this address.
//!
//! A question can have an *escalation*: a list of *steps*. Each step is an alert that asks another person
//! later. If a person answers the question, the bot cancels the remaining steps.

use std::time::Duration;

use end_to_end::activity::message;
use end_to_end::alerts::{alert, call, known, queued, script};
use end_to_end::program::{Program, take_replies};
use end_to_end::questions::{SECRET, ask, data, invoke, press, question, replies, replies_of, stage, status};
use end_to_end::suite::World;
use end_to_end::waiting::eventually;
use serde_json::{Value, json};

end_to_end::cases!(
    pressed_button_changes_the_card_and_reaches_the_program_once,
    first_of_fifty_presses_wins,
    button_that_is_forged_copied_or_late_is_refused_and_queues_nothing,
    question_that_each_person_can_answer_keeps_the_first_answer_of_each_person,
    question_is_answered_by_submit_on_web_chat_and_by_text_on_telegram,
    text_in_a_personal_chat_answers_a_question_that_takes_replies,
    answer_waits_for_a_program_that_is_down,
    answer_that_a_program_refused_is_a_dead_letter_and_can_be_replayed,
    answer_cancels_the_steps_of_an_escalation,
    escalation_without_an_answer_alerts_the_person_of_the_next_step,
    call_with_a_callback_that_is_not_allowed_is_refused,
    text_of_a_person_goes_to_the_queue_of_replies
);

fn pressed_button_changes_the_card_and_reaches_the_program_once(world: &World) {
    let (stage, program) = (stage(world), Program::start());
    let to = known(&stage, "a:1", "hello");
    let mut body = question(&to);
    body["callback"] = program.url().into();
    let (id, card) = ask(&stage, &body);
    assert_eq!(card["body"][0]["text"], "Alert: Deploy 1.4.2?");
    assert_eq!(card["actions"][0]["fallback"]["type"], "Action.Submit");
    assert_eq!(status(&stage, &id)["status"], "delivered");
    let mut data = data(&card, "reject");
    data["proactivebotinput1"] = "too late".into();
    let answered = invoke(&stage, &press("a:1", "Kim", "p1", data.clone()));
    assert_eq!(
        (&answered["statusCode"], &answered["type"]),
        (&200.into(), &"application/vnd.microsoft.card.adaptive".into()),
        "{answered}"
    );
    assert_eq!(answered["value"]["body"][1]["text"], "Reject: too late (Kim)");
    let actions = answered["value"]["actions"].as_array().unwrap();
    assert_eq!(actions.len(), 1, "expected only the button that opens a page, found {answered}");
    // If a response is slow, Teams sends the same invoke (the activity of a pressed button) again. So this
    // case sends the invoke `p1` again. Then the person presses the button a second time (`p2`).
    invoke(&stage, &press("a:1", "Kim", "p1", data.clone()));
    invoke(&stage, &press("a:1", "Kim", "p2", data));
    let run = stage.poll();
    assert_eq!(run["answered"], 1, "{run}");
    let changed = stage.connector.received().pop().unwrap();
    assert_eq!((changed.method.as_str(), changed.reply_to().as_deref()), ("PUT", Some("sent-1")));
    assert_eq!(changed.body["attachments"][0]["content"]["body"][1]["text"], "Reject: too late (Kim)");
    let callbacks = program.wait_for(1);
    let callback = callbacks[0].body();
    let by = json!({"aadObjectId": "object-Kim", "id": "29:Kim", "name": "Kim", "tenant": callback["by"]["tenant"]});
    let expected = json!({
        "type": "alert.answered", "id": callback["id"], "alert": id, "key": null, "action": "reject",
        "input": "too late", "conversation": to, "at": callback["at"], "by": by,
    });
    assert_eq!(callback, expected);
    assert_eq!(callbacks[0].header("webhook-id"), callback["id"]);
    assert!(callback["by"]["tenant"].is_string(), "{callback}");
    // Real programs check a callback with a library of Standard Webhooks, and read the queue of replies with
    // Microsoft's client library. So this case also uses these two libraries.
    assert_eq!(callbacks[0].verify_signature(SECRET), callback);
    let replies = take_replies(&world.azurite().connection_string(), &replies_of(&stage));
    assert_eq!(replies, [callback]);
    let shown = status(&stage, &id);
    assert_eq!(
        (&shown["status"], &shown["answer"]["action"]),
        (&"answered".into(), &"reject".into()),
        "{shown}"
    );
    assert_eq!(shown["answer"]["by"], expected["by"]);
    assert_eq!(stage.queue.count(), 0);
    let log = stage.lines().concat();
    for secret in ["a-secret", "too late", SECRET] {
        assert!(!log.contains(secret), "the log shows {secret:?}");
    }
}

fn first_of_fifty_presses_wins(world: &World) {
    let (stage, program) = (stage(world), Program::start());
    let to = known(&stage, "a:1", "hello");
    let mut body = question(&to);
    body["callback"] = program.url().into();
    let (id, card) = ask(&stage, &body);
    let data = data(&card, "approve");
    let responses: Vec<Value> = std::thread::scope(|scope| {
        let press = |number: usize| {
            let (stage, data) = (&stage, data.clone());
            move || invoke(stage, &press("a:1", &format!("person-{number}"), &format!("p{number}"), data))
        };
        let presses: Vec<_> = (0..50).map(|number| scope.spawn(press(number))).collect();
        presses.into_iter().map(|press| press.join().unwrap()).collect()
    });
    let lines: std::collections::BTreeSet<_> =
        responses.iter().map(|response| response["value"]["body"][1]["text"].to_string()).collect();
    assert_eq!(lines.len(), 1, "expected the same line on all cards, found {lines:?}");
    eventually("an empty queue", || {
        stage.poll();
        (stage.queue.count() == 0).then_some(())
    });
    let callback = program.wait_for(1)[0].body();
    let winner = callback["by"]["name"].as_str().unwrap();
    assert!(lines.first().unwrap().contains(&format!("({winner})")), "{lines:?} {callback}");
    assert_eq!(status(&stage, &id)["answer"]["by"]["name"], winner);
    assert_eq!(replies(&stage).len(), 1);
}

fn button_that_is_forged_copied_or_late_is_refused_and_queues_nothing(world: &World) {
    let stage = stage(world);
    let (here, other) = (known(&stage, "a:1", "hello"), known(&stage, "a:2", "hello"));
    let mut body = question(&here);
    body["expires"] = (chrono::Utc::now() + Duration::from_secs(2)).to_rfc3339().into();
    let (_, card) = ask(&stage, &body);
    let (_, of_other) = ask(&stage, &question(&other));
    let genuine = data(&card, "approve");
    let mut forged = genuine.clone();
    forged["proactivebot"]["i"] = "reject".into();
    let mut foreign = genuine.clone();
    foreign["proactivebot"]["a"] = data(&of_other, "approve")["proactivebot"]["a"].clone();
    let refuse = |data: &Value, code: &str| {
        let response = invoke(&stage, &press("a:1", "Kim", "p", data.clone()));
        assert_eq!(response["type"], "application/vnd.microsoft.error", "{response}");
        assert_eq!(
            (&response["statusCode"], &response["value"]["code"]),
            (&400.into(), &code.into()),
            "{response}"
        );
    };
    for data in [forged, foreign, data(&of_other, "approve"), json!({"proactivebot": {}})] {
        refuse(&data, "ButtonUnknown");
    }
    eventually("the end of the question", || {
        let response = invoke(&stage, &press("a:1", "Kim", "late", genuine.clone()));
        (response["value"]["code"] == "QuestionOver").then_some(())
    });
    // The first presses in the loop above came before the end of the question. The bot accepted these
    // presses. For each of these presses, also for a repeated press, the bot put a message on the queue. This
    // case removes these messages.
    stage.queue.take_all();
    refuse(&genuine, "QuestionOver");
    assert_eq!(stage.queue.count(), 0, "expected that nothing is queued for a refused press");
}

fn question_that_each_person_can_answer_keeps_the_first_answer_of_each_person(world: &World) {
    let stage = stage(world);
    let to = known(&stage, "a:1", "hello");
    let mut body = question(&to);
    body["answers"] = "each".into();
    let (id, card) = ask(&stage, &body);
    let answer = |person: &str, action: &str, activity: &str| {
        let response = invoke(&stage, &press("a:1", person, activity, data(&card, action)));
        response["value"]["body"][1]["text"].as_str().unwrap_or_default().to_owned()
    };
    assert_eq!(answer("Kim", "approve", "1"), "Approve (Kim)");
    assert_eq!(answer("Lee", "reject", "2"), "Reject (Lee)");
    assert_eq!(
        answer("Kim", "reject", "3"),
        "Approve (Kim)",
        "expected that the first answer of each person counts"
    );
    stage.poll();
    let mut said: Vec<_> = replies(&stage).iter().map(|reply| reply["by"]["name"].clone()).collect();
    said.sort_by_key(ToString::to_string);
    assert_eq!(said, ["Kim", "Lee"]);
    assert_eq!(status(&stage, &id)["status"], "answered");
    let changes = stage.connector.received().iter().filter(|sent| sent.method == http::Method::PUT).count();
    assert_eq!(changes, 0, "expected no change of the card, because other people still need the buttons");
}

fn question_is_answered_by_submit_on_web_chat_and_by_text_on_telegram(world: &World) {
    let stage = stage(world);
    let mut hello = message("web", "1", "hello");
    hello["channelId"] = "webchat".into();
    stage.say(&hello);
    stage.queue.take_all();
    stage.connector.forget();
    let to = end_to_end::alerts::key_of("webchat", "web");
    let (_, card) = ask(&stage, &question(&to));
    assert_eq!(
        card["actions"][0]["type"], "Action.Submit",
        "expected Action.Submit, because Web Chat ignores Action.Execute"
    );
    let mut submit = hello.clone();
    (submit["id"], submit["text"]) = ("2".into(), Value::Null);
    submit["value"] = data(&card, "approve");
    stage.say(&submit);
    let said = stage.connector.received().pop().unwrap();
    assert!(said.text().starts_with("Your answer is recorded: Approve"), "{said:?}");
    stage.poll();
    let replies = replies(&stage);
    assert_eq!((replies.len(), &replies[0]["action"]), (1, &"approve".into()));
    assert!(
        replies[0]["by"].get("aadObjectId").is_none(),
        "expected no object id, because Web Chat does not verify who the person is: {replies:?}"
    );
    // On a channel without cards, such as Telegram, the bot sends the actions as `suggestedActions`. If a
    // person presses a suggested action, the channel sends the title of the action as a text.
    let mut hello = message("tg", "1", "hello");
    (hello["channelId"], hello["conversation"]) = ("telegram".into(), json!({"id": "tg"}));
    stage.say(&hello);
    stage.queue.take_all();
    stage.connector.forget();
    let id = queued(&stage, &question(&end_to_end::alerts::key_of("telegram", "tg")));
    stage.poll();
    let sent = stage.connector.wait_for(1).remove(0);
    assert_eq!(
        (sent.text(), &sent.body["suggestedActions"]["actions"][0]["value"]),
        ("Alert: Deploy 1.4.2?", &"Approve".into())
    );
    let say = |id: &str, text: &str| {
        let mut activity = hello.clone();
        (activity["id"], activity["text"]) = (id.into(), text.into());
        stage.say(&activity);
        stage.connector.received().pop().unwrap().text().to_owned()
    };
    assert_eq!(
        say("2", "what is that?"),
        "Queued: what is that?",
        "expected that a text without the name of an action does not answer the question"
    );
    assert!(say("3", "reject: no time").starts_with("Your answer is recorded: Reject: no time"));
    stage.poll();
    assert_eq!(status(&stage, &id)["answer"]["input"], "no time");
    assert_eq!(
        say("4", "approve"),
        "Queued: approve",
        "expected that a text is an ordinary message after the answer"
    );
}

fn text_in_a_personal_chat_answers_a_question_that_takes_replies(world: &World) {
    let stage = stage(world);
    let to = known(&stage, "a:1", "hello");
    let (id, _) = ask(&stage, &{
        let mut body = question(&to);
        body["reply"] = true.into();
        body
    });
    stage.connector.forget();
    let say = |id: &str, text: &str| {
        stage.say(&message("a:1", id, text));
        stage.connector.received().pop().map(|said| said.text().to_owned()).unwrap_or_default()
    };
    assert!(
        say("2", "help").starts_with("I am a bot"),
        "expected that `help` stays a command while a question waits"
    );
    assert!(say("3", "only after lunch").starts_with("Your answer is recorded: only after lunch"));
    stage.poll();
    let answer = status(&stage, &id)["answer"].clone();
    assert_eq!((&answer["action"], &answer["input"]), (&"reply".into(), &"only after lunch".into()));
    assert_eq!(say("4", "thanks"), "Queued: thanks");
    assert_eq!(replies(&stage).len(), 1);
}

fn answer_waits_for_a_program_that_is_down(world: &World) {
    let (stage, program) = (stage(world), Program::start());
    let to = known(&stage, "a:1", "hello");
    let mut body = question(&to);
    body["callback"] = program.url().into();
    let (id, card) = ask(&stage, &body);
    program.respond_with(503);
    invoke(&stage, &press("a:1", "Kim", "p1", data(&card, "approve")));
    let run = stage.poll();
    assert_eq!((&run["retried"], stage.queue.count()), (&1.into(), 1), "{run}");
    assert_eq!(
        status(&stage, &id)["status"],
        "answered",
        "expected that the ledger has the answer before the program accepts the callback"
    );
    // The program is still down. The poller nevertheless delivers other alerts to the conversation.
    queued(&stage, &json!({"to": {"conversation": to}, "text": "more"}));
    assert_eq!(stage.poll()["delivered"], 1);
    program.respond_with(200);
    eventually("the callback", || {
        stage.poll();
        (stage.queue.count() == 0).then_some(())
    });
    let callbacks = program.received();
    let ids: Vec<_> = callbacks.iter().map(|callback| callback.header("webhook-id")).collect();
    assert!(
        ids.len() >= 2 && ids.iter().all(|id| *id == ids[0]),
        "expected that each attempt has the same id: {ids:?}"
    );
    assert_eq!(
        replies(&stage).len(),
        1,
        "expected that a retry puts no second message on the queue of replies"
    );
    let changes = stage.connector.received().iter().filter(|sent| sent.method == http::Method::PUT).count();
    assert_eq!(changes, 1);
}

fn answer_that_a_program_refused_is_a_dead_letter_and_can_be_replayed(world: &World) {
    let (stage, program) = (stage(world), Program::start());
    let to = known(&stage, "a:1", "hello");
    let mut body = question(&to);
    body["callback"] = program.url().into();
    let (id, card) = ask(&stage, &body);
    program.respond_with(410);
    invoke(&stage, &press("a:1", "Kim", "p1", data(&card, "approve")));
    let run = stage.poll();
    assert_eq!(run["poisoned"], 1, "{run}");
    assert_eq!(status(&stage, &id)["status"], "answered");
    let dead = call(&stage, "GET", "/api/dead", &Value::Null).expect_status(200).json();
    assert_eq!(dead["dead"][0]["status"], 410, "{dead}");
    program.respond_with(200);
    let ids = json!({"ids": [dead["dead"][0]["id"]]});
    call(&stage, "POST", "/api/dead/replay", &ids).expect_status(200);
    eventually("the callback", || {
        stage.poll();
        (program.received().len() == 2 && stage.queue.count() == 0).then_some(())
    });
    let callbacks = program.received();
    assert_eq!(callbacks[0].header("webhook-id"), callbacks[1].header("webhook-id"));
    assert_eq!(
        replies(&stage).len(),
        1,
        "expected that a replay puts no second message on the queue of replies"
    );
}

fn answer_cancels_the_steps_of_an_escalation(world: &World) {
    let stage = stage(world);
    let (to, lead) = (known(&stage, "a:1", "hello"), known(&stage, "a:lead", "hello"));
    let body = json!({
        "to": {"conversation": to}, "text": "Disk full", "acknowledge": true, "idempotencyKey": "disk/1",
        "escalate": [{"after": "PT1S", "to": {"conversation": lead}}, {"after": "PT10M", "to": {"conversation": lead}}],
    });
    let response = alert(&stage, &body).expect_status(202).json();
    assert_eq!(alert(&stage, &body).expect_status(202).json()["escalations"], response["escalations"]);
    let steps = response["escalations"].as_array().unwrap();
    assert_eq!((steps.len(), &steps[0]["conversation"]), (2, &lead.as_str().into()), "{response}");
    let id = |alert: &Value| alert["id"].as_str().unwrap().to_owned();
    stage.poll();
    let card = stage.connector.wait_for(1)[0].body["attachments"][0]["content"].clone();
    assert_eq!(card["actions"][0]["title"], "Acknowledge");
    invoke(&stage, &press("a:1", "Kim", "p1", data(&card, "acknowledge")));
    stage.poll();
    let of_step = |step: usize| status(&stage, &id(&steps[step]))["status"].clone();
    assert_eq!(
        of_step(1),
        "cancelling",
        "expected that the ledger has the cancellation before the step is due"
    );
    eventually("the first step", || {
        stage.poll();
        (of_step(0) == "cancelled").then_some(())
    });
    let alerts = stage.connector.received().iter().filter(|sent| sent.method == http::Method::POST).count();
    assert_eq!(alerts, 1, "expected that no other person gets an alert");
}

fn escalation_without_an_answer_alerts_the_person_of_the_next_step(world: &World) {
    let stage = stage(world);
    let (to, lead) = (known(&stage, "a:1", "hello"), known(&stage, "a:lead", "hello"));
    let body = json!({
        "to": {"conversation": to}, "text": "Disk full", "acknowledge": true,
        "escalate": [{"after": "PT1S", "to": {"conversation": lead}}, {"after": "PT2S", "to": {"conversation": lead}}],
    });
    let response = alert(&stage, &body).expect_status(202).json();
    stage.poll();
    stage.connector.wait_for(1);
    eventually("the first step", || {
        stage.poll();
        (stage.connector.received().len() >= 2).then_some(())
    });
    let second = stage.connector.received().remove(1);
    assert_eq!(second.conversation().as_deref(), Some("a:lead"));
    // The second person answers. This answer cancels the last step.
    let card = &second.body["attachments"][0]["content"];
    invoke(&stage, &press("a:lead", "Lee", "p1", data(card, "acknowledge")));
    let last = response["escalations"][1]["id"].as_str().unwrap();
    eventually("the end of the escalation", || {
        stage.poll();
        (status(&stage, last)["status"] == "cancelled").then_some(())
    });
}

fn call_with_a_callback_that_is_not_allowed_is_refused(world: &World) {
    let stage =
        script(world).variable("callbacksecret", SECRET).variable("callbackhosts", "ci.example.com").start();
    let to = known(&stage, "a:1", "hello");
    for callback in [
        "http://169.254.169.254/latest/meta-data/",
        "https://169.254.169.254/",
        "https://evil.example.com/bot",
        "http://ci.example.com/bot",
        "https://ci.example.com:8443/bot",
        "https://ci.example.com@evil.example.com/",
    ] {
        let mut body = question(&to);
        body["callback"] = callback.into();
        let response = alert(&stage, &body).expect_status(400);
        assert_eq!(response.error_code(), "BadArgument", "{callback}");
        assert!(
            response.json()["error"]["message"].as_str().unwrap().starts_with("callback: "),
            "{callback}"
        );
    }
    let mut body = question(&to);
    body["callback"] = "https://ci.example.com/bot?code=x".into();
    alert(&stage, &body).expect_status(202);
    assert_eq!(stage.queue.take_all().len(), 1);
    let without = script(world).start();
    let to = known(&without, "a:1", "hello");
    let mut body = question(&to);
    body["callback"] = "http://127.0.0.1:9/".into();
    let response = alert(&without, &body).expect_status(400).json();
    assert!(response["error"]["message"].as_str().unwrap().contains("callbacksecret"), "{response}");
}

fn text_of_a_person_goes_to_the_queue_of_replies(world: &World) {
    let stage = script(world).variable("replies", "queue").start();
    stage.say(&message("a:1", "1", "two pizzas"));
    stage.connector.wait_for(1);
    let run = stage.poll();
    assert_eq!(run["answered"], 1, "{run}");
    let replies = replies(&stage);
    let reply = &replies[0];
    assert_eq!((replies.len(), &reply["type"], &reply["text"]), (1, &"message".into(), &"two pizzas".into()));
    assert_eq!(reply["conversation"], end_to_end::alerts::key_of("msteams", "a:1"));
    assert!(reply["by"]["id"].is_string() && reply["at"].is_string(), "{reply}");
    stage.connector.wait_for(1);
    // Reminders and commands do not go to the queue of replies.
    stage.say(&message("a:1", "2", "remind me in 1 second tea"));
    stage.say(&message("a:1", "3", "help"));
    eventually("the reminder", || {
        stage.poll();
        stage.connector.received().iter().any(|sent| sent.text() == "Alert: tea").then_some(())
    });
    assert_eq!(end_to_end::questions::replies(&stage), Vec::<Value>::new());
}
