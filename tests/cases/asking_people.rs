//! Questions to people who never wrote, and to several people.

use end_to_end::activity::{fixture, message};
use end_to_end::alerts::{alert, known};
use end_to_end::questions::{self, data, invoke, press, replies, status};
use end_to_end::stage::{Stage, TENANT};
use end_to_end::suite::World;
use end_to_end::waiting::eventually;
use serde_json::{Value, json};

end_to_end::cases!(
    question_to_a_person_who_never_wrote_is_answered_by_a_button_or_a_text,
    escalation_reaches_a_person_who_never_wrote
);

const KIM: &str = "0f3b8a52-8b0e-4b6e-9f0a-111111111111";
const LEE: &str = "0f3b8a52-8b0e-4b6e-9f0a-222222222222";
/// The channel of `fixtures/teams-channel.json`.
const CHANNEL: &str = "19:3b5c0d1e2f3a4b5c6d7e8f9a0b1c2d3e@thread.tacv2";

/// A stage whose bot is installed for two people whom it does not know.
fn stage(world: &World) -> Stage {
    let stage = questions::stage(world);
    stage.connector.teams(|teams| {
        teams.person(KIM, "kim@contoso.com").person(LEE, "lee@contoso.com");
        teams.team(CHANNEL, &[KIM]);
        teams.install(KIM).install(LEE);
    });
    stage.say(&fixture("teams-channel.json"));
    stage.queue.take_all();
    stage.connector.forget();
    stage
}

fn chat_of(person: &str) -> String {
    format!("a:{person}-0")
}

/// The card that a conversation got last.
#[track_caller]
fn card_in(stage: &Stage, conversation: &str) -> Value {
    let sent = stage.connector.received();
    let last = sent.iter().rfind(|sent| sent.conversation().as_deref() == Some(conversation));
    last.unwrap_or_else(|| panic!("no message in {conversation}")).body["attachments"][0]["content"].clone()
}

fn id_of(alert: &Value) -> String {
    alert["id"].as_str().expect("an id").to_owned()
}

fn question_to_a_person_who_never_wrote_is_answered_by_a_button_or_a_text(world: &World) {
    let stage = stage(world);
    let ask = |person: &str| {
        let body = json!({
            "to": {"user": person, "tenant": TENANT}, "text": "Deploy?", "reply": true,
            "actions": [{"id": "approve", "title": "Approve"}],
        });
        let answer = alert(&stage, &body).expect_status(202).json();
        assert_eq!(answer["alerts"][0]["status"], "creating", "{answer}");
        assert_eq!(stage.poll()["delivered"], 1);
        id_of(&answer["alerts"][0])
    };
    let by_button = ask(KIM);
    let data = data(&card_in(&stage, &chat_of(KIM)), "approve");
    let answered = invoke(&stage, &press(&chat_of(KIM), "Kim", "p1", data));
    assert_eq!(answered["value"]["body"][1]["text"], "Approve (Kim)", "{answered}");
    stage.poll();
    assert_eq!(status(&stage, &by_button)["answer"]["action"], "approve");
    let changed = stage.connector.received().pop().unwrap();
    assert_eq!((changed.method.as_str(), changed.conversation()), ("PUT", Some(chat_of(KIM))));

    let by_text = ask(LEE);
    let mut text = message(&chat_of(LEE), "l1", "after lunch");
    text["from"] = json!({"id": format!("29:{LEE}"), "aadObjectId": LEE, "name": "Lee"});
    stage.say(&text);
    let said = stage.connector.received().pop().unwrap();
    assert_eq!(said.text(), "Your answer is recorded: after lunch (Lee)");
    stage.poll();
    assert_eq!(status(&stage, &by_text)["answer"]["input"], "after lunch");
    assert_eq!(replies(&stage).len(), 2);
}

fn escalation_reaches_a_person_who_never_wrote(world: &World) {
    let stage = stage(world);
    let to = known(&stage, "a:1", "hello");
    let body = json!({
        "to": {"conversation": to}, "text": "Disk full", "acknowledge": true,
        "escalate": [
            {"after": "PT1S", "to": {"user": KIM, "tenant": TENANT}},
            {"after": "PT1H", "to": {"user": LEE, "tenant": TENANT}},
        ],
    });
    let answer = alert(&stage, &body).expect_status(202).json();
    let steps = answer["escalations"].as_array().unwrap();
    assert_eq!((steps.len(), &steps[0]["status"]), (2, &"creating".into()), "{answer}");
    eventually("the first step", || {
        stage.poll();
        (status(&stage, &id_of(&steps[0]))["status"] == "delivered").then_some(())
    });
    let data = data(&card_in(&stage, &chat_of(KIM)), "acknowledge");
    let answered = invoke(&stage, &press(&chat_of(KIM), "Kim", "p1", data));
    assert_eq!(answered["value"]["body"][1]["text"], "Acknowledge (Kim)", "{answered}");
    stage.poll();
    assert_eq!(status(&stage, &id_of(&steps[0]))["status"], "answered");
    assert_eq!(status(&stage, &id_of(&steps[1]))["status"], "cancelling");
    assert_eq!(stage.connector.other_calls().len(), 1, "no chat is made for the second step");
}
