//! Questions (alerts that people answer) that change later. A program changes a question with `PATCH`,
//! withdraws a question with `DELETE`, or sends a newer alert with the same `key`.

use end_to_end::activity::message;
use end_to_end::alerts::{alert, call, known, queued};
use end_to_end::questions::{ask, data, invoke, press, question, stage, status};
use end_to_end::stage::Stage;
use end_to_end::suite::World;
use serde_json::{Value, json};

end_to_end::cases!(
    changed_question_keeps_the_buttons_and_shows_the_new_text_after_the_answer,
    change_of_an_answered_question_shows_the_answer,
    question_changed_before_the_delivery_keeps_the_buttons,
    button_of_a_withdrawn_question_is_refused_and_stores_nothing,
    late_answer_does_not_change_a_message_that_a_newer_alert_has_changed
);

/// Calls `PATCH` to change the text of an alert. The bot accepts the change as a new alert. Returns the id of
/// the new alert.
#[track_caller]
fn patch(stage: &Stage, id: &str, text: &str) -> String {
    let response = call(stage, "PATCH", &format!("/api/alerts/{id}"), &json!({"text": text}));
    response.expect_status(202).json()["id"].as_str().unwrap().to_owned()
}

/// Returns the card in the last request to the fake Connector. Expects that this request has the HTTP method
/// `method`: `POST` sends a chat message, and `PUT` changes a chat message.
#[track_caller]
fn last_card(stage: &Stage, method: &str) -> Value {
    let last = stage.connector.received().pop().expect("a message");
    assert_eq!(last.method, method);
    last.body["attachments"][0]["content"].clone()
}

fn changed_question_keeps_the_buttons_and_shows_the_new_text_after_the_answer(world: &World) {
    let stage = stage(world);
    let to = known(&stage, "a:1", "hello");
    let mut body = question(&to);
    body["reply"] = true.into();
    let (id, first) = ask(&stage, &body);
    patch(&stage, &id, "Deploy 1.4.3?");
    stage.poll();
    let changed = last_card(&stage, "PUT");
    assert_eq!(changed["body"][0]["text"], "Alert: Deploy 1.4.3?");
    assert_eq!(
        changed["actions"], first["actions"],
        "expected that the buttons still belong to the same question"
    );
    let answered = invoke(&stage, &press("a:1", "Kim", "p1", data(&changed, "approve")));
    assert_eq!(answered["value"]["body"][0]["text"], "Alert: Deploy 1.4.3?", "{answered}");
    stage.poll();
    let card = last_card(&stage, "PUT");
    assert_eq!(
        (&card["body"][0]["text"], &card["body"][1]["text"]),
        (&"Alert: Deploy 1.4.3?".into(), &"Approve (Kim)".into())
    );
    assert_eq!(status(&stage, &id)["answer"]["action"], "approve");
}

fn change_of_an_answered_question_shows_the_answer(world: &World) {
    let stage = stage(world);
    let to = known(&stage, "a:1", "hello");
    let (id, card) = ask(&stage, &question(&to));
    invoke(&stage, &press("a:1", "Kim", "p1", data(&card, "approve")));
    stage.poll();
    patch(&stage, &id, "Deployed");
    stage.poll();
    let card = last_card(&stage, "PUT");
    assert_eq!(
        (&card["body"][0]["text"], &card["body"][1]["text"]),
        (&"Alert: Deployed".into(), &"Approve (Kim)".into()),
        "{card}"
    );
    let titles: Vec<_> = card["actions"].as_array().unwrap().iter().map(|action| &action["title"]).collect();
    assert_eq!(titles, ["Open"], "expected that only the button that opens a page is left");
    assert_eq!(status(&stage, &id)["status"], "answered");
}

fn question_changed_before_the_delivery_keeps_the_buttons(world: &World) {
    let stage = stage(world);
    let to = known(&stage, "a:1", "hello");
    let mut body = question(&to);
    body["delay"] = "PT2S".into();
    let id = queued(&stage, &body);
    let change_id = patch(&stage, &id, "Deploy 1.4.3?");
    end_to_end::waiting::eventually("the change", || {
        stage.poll();
        (!stage.connector.received().is_empty()).then_some(())
    });
    let card = last_card(&stage, "POST");
    assert_eq!(card["body"][0]["text"], "Alert: Deploy 1.4.3?");
    // The first change (`change_id`) was sent instead of the alert (`id`). So a press of a button answers
    // `change_id`, also after a second change of the chat message.
    patch(&stage, &id, "Deploy 1.4.4?");
    stage.poll();
    let card = last_card(&stage, "PUT");
    assert_eq!(card["body"][0]["text"], "Alert: Deploy 1.4.4?");
    let answered = invoke(&stage, &press("a:1", "Kim", "p1", data(&card, "approve")));
    assert_eq!(answered["value"]["body"][1]["text"], "Approve (Kim)", "{answered}");
    stage.poll();
    assert_eq!(status(&stage, &change_id)["answer"]["action"], "approve");
    patch(&stage, &id, "Deployed");
    stage.poll();
    assert_eq!(
        last_card(&stage, "PUT")["body"][1]["text"],
        "Approve (Kim)",
        "expected that the changed card shows the answer"
    );
    let old = status(&stage, &id);
    assert_eq!((&old["status"], &old["replacedBy"]), (&"cancelled".into(), &change_id.into()), "{old}");
}

fn button_of_a_withdrawn_question_is_refused_and_stores_nothing(world: &World) {
    let stage = stage(world);
    let to = known(&stage, "a:1", "hello");
    let (id, card) = ask(&stage, &question(&to));
    call(&stage, "DELETE", &format!("/api/alerts/{id}?sent=true"), &Value::Null).expect_status(202);
    stage.poll();
    assert_eq!(status(&stage, &id)["status"], "withdrawn");
    for activity in ["p1", "p2"] {
        let response = invoke(&stage, &press("a:1", "Kim", activity, data(&card, "approve")));
        assert_eq!(response["value"]["code"], "QuestionOver", "{response}");
        assert_eq!(stage.queue.count(), 0, "expected that a refused press puts no message on the queue");
    }
    let shown = status(&stage, &id);
    assert!(shown.get("answer").is_none(), "{shown}");
}

fn late_answer_does_not_change_a_message_that_a_newer_alert_has_changed(world: &World) {
    let stage = stage(world);
    let to = known(&stage, "a:1", "hello");
    let mut body = question(&to);
    body["key"] = "deploy/1.4.2".into();
    let (id, card) = ask(&stage, &body);
    let newer =
        json!({"to": {"conversation": to}, "text": "Too late", "key": "deploy/1.4.2", "state": "resolved"});
    alert(&stage, &newer).expect_status(202);
    stage.poll();
    let changes =
        || stage.connector.received().iter().filter(|sent| sent.method == http::Method::PUT).count();
    assert_eq!(changes(), 1);
    // Kim's chat client still shows the old card, so Kim can press a button of the question.
    invoke(&stage, &press("a:1", "Kim", "p1", data(&card, "approve")));
    stage.poll();
    assert_eq!(status(&stage, &id)["answer"]["action"], "approve");
    assert_eq!(changes(), 1, "expected that the message keeps the content of the newer alert");
    stage.say(&message("a:1", "2", "thanks"));
    assert_eq!(stage.connector.received().pop().unwrap().text(), "Queued: thanks");
}
