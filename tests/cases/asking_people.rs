//! Questions (alerts that people answer) to people who have never written to the bot, and questions to
//! several people at once.

use end_to_end::activity::{fixture, message};
use end_to_end::alerts::{alert, key_of, known};
use end_to_end::program::Program;
use end_to_end::questions::{self, data, invoke, press, replies, status};
use end_to_end::stage::{Stage, TENANT};
use end_to_end::suite::World;
use end_to_end::waiting::eventually;
use serde_json::{Value, json};

end_to_end::cases!(
    question_to_a_person_who_never_wrote_is_answered_by_a_button_or_a_text,
    escalation_reaches_a_person_who_never_wrote,
    reply_in_the_thread_of_a_question_answers_the_question,
    first_answer_of_several_people_counts_and_appears_on_all_cards,
    answer_cancels_the_unsent_alerts_of_the_same_call,
    question_that_each_person_can_answer_is_answered_in_each_conversation_separately
);

const KIM: &str = "0f3b8a52-8b0e-4b6e-9f0a-111111111111";
const LEE: &str = "0f3b8a52-8b0e-4b6e-9f0a-222222222222";
/// A person for whom the bot is not installed.
const ABSENT: &str = "0f3b8a52-8b0e-4b6e-9f0a-333333333333";
/// The id of the channel in `fixtures/teams-channel.json`.
const CHANNEL: &str = "19:3b5c0d1e2f3a4b5c6d7e8f9a0b1c2d3e@thread.tacv2";

/// Starts a stage (a Spin host with the components, and a fake Connector). The bot is installed for Kim and
/// Lee, and has not stored a conversation with Kim or Lee.
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

/// Returns the card in the last request to the Connector about this conversation. The request posted or
/// changed a chat message.
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
        let response = alert(&stage, &body).expect_status(202).json();
        assert_eq!(response["alerts"][0]["status"], "creating", "{response}");
        assert_eq!(stage.poll()["delivered"], 1);
        id_of(&response["alerts"][0])
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
    let response = alert(&stage, &body).expect_status(202).json();
    let steps = response["escalations"].as_array().unwrap();
    assert_eq!((steps.len(), &steps[0]["status"]), (2, &"creating".into()), "{response}");
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
    assert_eq!(
        stage.connector.conversation_calls().len(),
        1,
        "expected that the poller creates no chat for the second step"
    );
}

fn reply_in_the_thread_of_a_question_answers_the_question(world: &World) {
    let stage = stage(world);
    stage.connector.teams(|teams| {
        teams.install(CHANNEL);
        teams.give_new_threads_recent_ids();
    });
    let body =
        json!({"to": {"channel": CHANNEL, "tenant": TENANT}, "text": "When do we deploy?", "reply": true});
    let id = id_of(&alert(&stage, &body).expect_status(202).json()["alerts"][0]);
    assert_eq!(stage.poll()["delivered"], 1);
    let first = status(&stage, &id)["activityId"].as_str().unwrap().to_owned();
    let mut reply = fixture("teams-channel.json");
    reply["conversation"]["id"] = format!("{CHANNEL};messageid={first}").into();
    (reply["id"], reply["replyToId"]) = ("r1".into(), first.into());
    (reply["text"], reply["attachments"]) = ("<at>Proactive Bot</at> after lunch".into(), json!([]));
    stage.say(&reply);
    let said = stage.connector.received().pop().unwrap();
    assert_eq!(said.text(), "Ihre Antwort ist gespeichert: after lunch (Adele Vance)");
    stage.poll();
    assert_eq!(status(&stage, &id)["answer"]["input"], "after lunch");
    // The question is answered, so the next message in the thread is an ordinary message.
    (reply["id"], reply["text"]) = ("r2".into(), "<at>Proactive Bot</at> thanks".into());
    stage.say(&reply);
    assert!(stage.connector.received().pop().unwrap().text().starts_with("Queued: thanks"));
}

/// Sends a question to several conversations, and runs the poller, which delivers one alert to each
/// conversation. `conversations` must have the same order as `to` in the body. Returns the id and the card of
/// each alert.
#[track_caller]
fn ask_all(stage: &Stage, body: &Value, conversations: &[&str]) -> Vec<(String, Value)> {
    let response = alert(stage, body).expect_status(202).json();
    assert_eq!(stage.poll()["delivered"], conversations.len());
    let alerts = response["alerts"].as_array().unwrap().iter();
    alerts
        .zip(conversations)
        .map(|(alert, conversation)| (id_of(alert), card_in(stage, conversation)))
        .collect()
}

fn five_chats(stage: &Stage) -> Vec<&'static str> {
    let conversations = vec!["a:1", "a:2", "a:3", "a:4", "a:5"];
    for conversation in &conversations {
        known(stage, conversation, "hello");
    }
    conversations
}

fn to_all(conversations: &[&str]) -> Value {
    conversations.iter().map(|id| json!({"conversation": key_of("msteams", id)})).collect()
}

/// Returns the answer that the last card in this conversation shows under the question.
fn line_in(stage: &Stage, conversation: &str) -> Value {
    card_in(stage, conversation)["body"][1]["text"].clone()
}

fn first_answer_of_several_people_counts_and_appears_on_all_cards(world: &World) {
    let stage = stage(world);
    let program = Program::start();
    let people = five_chats(&stage);
    let body = json!({
        "to": to_all(&people), "text": "Deploy?", "callback": program.url(), "reply": true,
        "actions": [{"id": "approve", "title": "Approve"}, {"id": "reject", "title": "Reject"}],
    });
    let asked = ask_all(&stage, &body, &people);
    let responses: Vec<Value> = std::thread::scope(|scope| {
        let presses: Vec<_> = (0..20)
            .map(|number| {
                let (index, stage) = (number % people.len(), &stage);
                let action = ["approve", "reject"][number % 2];
                let data = data(&asked[index].1, action);
                let activity = press(people[index], &format!("p-{number}"), &format!("a{number}"), data);
                scope.spawn(move || invoke(stage, &activity))
            })
            .collect();
        presses.into_iter().map(|press| press.join().unwrap()).collect()
    });
    let line = &responses[0]["value"]["body"][1]["text"];
    assert!(
        line.is_string() && responses.iter().all(|response| response["value"]["body"][1]["text"] == *line),
        "{responses:?}"
    );
    eventually("an empty queue", || {
        stage.poll();
        (stage.queue.count() == 0).then_some(())
    });
    for ((id, _), conversation) in asked.iter().zip(&people) {
        let shown = status(&stage, id);
        assert_eq!(shown["status"], "answered", "{conversation}: {shown}");
        let by = shown["answer"]["by"]["name"].as_str().unwrap();
        assert!(line.as_str().unwrap().contains(&format!("({by})")), "{line} {shown}");
        assert_eq!(line_in(&stage, conversation), *line, "{conversation}");
    }
    assert_eq!((program.wait_for(1).len(), replies(&stage).len()), (1, 1));
    // After the answer, a text is an ordinary message in every conversation.
    stage.connector.forget();
    stage.say(&message("a:3", "later", "me too"));
    assert_eq!(stage.connector.wait_for(1)[0].text(), "Queued: me too");
}

fn answer_cancels_the_unsent_alerts_of_the_same_call(world: &World) {
    let stage = stage(world);
    let to = known(&stage, "a:1", "hello");
    stage.connector.teams(|teams| _ = teams.person(ABSENT, "absent@contoso.com"));
    let body = json!({
        "to": [{"conversation": to}, {"user": ABSENT, "tenant": TENANT}], "text": "Disk full", "acknowledge": true,
        "escalate": [{"after": "PT1S", "to": {"user": KIM, "tenant": TENANT}}],
    });
    let response = alert(&stage, &body).expect_status(202).json();
    let first = id_of(&response["alerts"][0]);
    let step = id_of(&response["escalations"][0]);
    eventually("the delivery of the step", || {
        stage.poll();
        (status(&stage, &step)["status"] == "delivered").then_some(())
    });
    let absent = id_of(&response["alerts"][1]);
    assert_eq!(status(&stage, &absent)["status"], "waiting");
    // Kim got the alert of the step in `escalate`, and answers this alert. Then the card of the first alert
    // shows Kim's answer, too.
    let data = data(&card_in(&stage, &chat_of(KIM)), "acknowledge");
    invoke(&stage, &press(&chat_of(KIM), "Kim", "p1", data));
    eventually("the answered card", || {
        stage.poll();
        (line_in(&stage, "a:1") == "Acknowledge (Kim)").then_some(())
    });
    assert_eq!(status(&stage, &first)["answer"]["by"]["name"], "Kim");
    assert_eq!(status(&stage, &absent)["status"], "cancelling");
}

fn question_that_each_person_can_answer_is_answered_in_each_conversation_separately(world: &World) {
    for answers in ["each", "many"] {
        let stage = stage(world);
        let people = five_chats(&stage);
        let body = json!({
            "to": to_all(&people), "text": "Lunch?", "answers": answers, "actions": [{"id": "yes", "title": "Yes"}],
        });
        let asked = ask_all(&stage, &body, &people);
        for ((_, card), conversation) in asked.iter().zip(&people).take(3) {
            invoke(&stage, &press(conversation, &format!("of {conversation}"), "p1", data(card, "yes")));
        }
        stage.poll();
        let answered = asked.iter().filter(|(id, _)| status(&stage, id)["status"] == "answered").count();
        assert_eq!((answered, replies(&stage).len()), (3, 3), "{answers}");
    }
}
