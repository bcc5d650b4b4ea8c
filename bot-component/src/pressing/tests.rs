use envelope::{Action, Question};
use platform::Clock;
use platform::testing::{FakeHost, run};
use serde_json::Map;
use state::ledger::{Accepted, NewAlert, Period};

use super::*;
use crate::testing::Stage;

const CHANNEL: &str = "19:c@thread.tacv2";

fn activity(change: &Value) -> Activity {
    let mut json = json!({
        "type": "message", "id": "7", "channelId": "msteams", "serviceUrl": "http://127.0.0.1:9200/",
        "from": {"id": "29:kim", "name": "Kim", "aadObjectId": "object"}, "recipient": {"id": "28:b"},
        "conversation": {"id": "a:1", "conversationType": "personal", "tenantId": "t"},
    });
    json.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
    Activity::parse(json.to_string().as_bytes()).unwrap()
}

fn by(person: &str) -> Value {
    json!({"from": {"id": format!("29:{person}"), "name": person}})
}

/// Accepts an alert with a question, as the route `POST /api/alerts` does. Returns the alert's id.
fn ask(stage: &Stage, answers: Answers) -> AlertId {
    let id = state::ledger::CallId::random(Period::of(stage.host.now()), [7; 16]).alert(0);
    let asked = Asked {
        question: Question {
            actions: vec![Action::acknowledge()],
            answers,
            reply: true,
            ..Question::default()
        },
        until: stage.host.now() + chrono::TimeDelta::hours(1),
        text: "Deploy?".into(),
        activity: Map::new(),
        callback: None,
        key: None,
        escalations: Vec::new(),
        shared: false,
    };
    let keys = keys(&stage.host, &stage.settings).unwrap();
    let alert = NewAlert {
        question: Some(asked.seal(&stage.host, &keys, id.as_str()).unwrap()),
        ..NewAlert::queued(id.clone(), "")
    };
    assert_eq!(run(ledger(stage).accept(&alert)), Ok(Accepted::New));
    id
}

fn ledger(stage: &Stage) -> Ledger<'_, FakeHost> {
    let deadline = Deadline::after(&stage.host, STORE_WITHIN);
    Ledger::new(&stage.host, &stage.settings.queue.account, &stage.settings.tables, deadline)
}

/// Makes the data of the question's button, as the bot does for an alert to `conversation`.
fn button(stage: &Stage, alert: &AlertId, conversation: &str, answers: Answers) -> Value {
    let press = Press {
        alert: alert.as_str().to_owned(),
        conversation: name_of(&["msteams", conversation]),
        action: "acknowledge".into(),
        answers,
        until: stage.host.now() + chrono::TimeDelta::hours(1),
        lead: None,
    };
    Value::Object(press.data(&keys(&stage.host, &stage.settings).unwrap()))
}

/// Presses a button. Returns the result, and the number of storage calls that the bot makes.
fn press(stage: &Stage, change: &Value, data: &Value) -> (Recorded, usize) {
    let activity = activity(change);
    let addressed = Addressed::of(&activity, true).unwrap();
    let before = stage.calls();
    let answering: Answering<'_, FakeHost> =
        Answering::new(&stage.host, &stage.settings, &addressed, None).unwrap();
    let recorded = run(answering.press(&activity, data));
    (recorded, stage.calls() - before)
}

#[test]
fn first_press_costs_three_storage_calls_and_press_of_an_unknown_or_expired_button_costs_no_call() {
    let stage = Stage::new();
    let id = ask(&stage, Answers::One);
    let data = button(&stage, &id, "a:1", Answers::One);
    let mut forged = data.clone();
    forged["proactivebot"]["i"] = "reject".into();
    for (change, data) in [
        (json!({}), &forged),
        (json!({"conversation": {"id": "a:2"}}), &data),
        (json!({}), &json!({"proactivebot": {}})),
    ] {
        let (recorded, calls) = press(&stage, &change, data);
        assert!(matches!(recorded, Recorded::Unknown) && calls == 0, "{recorded:?} {calls}");
    }
    let (recorded, calls) = press(&stage, &json!({}), &data);
    assert!(matches!(recorded, Recorded::Counted(_)), "{recorded:?}");
    assert_eq!(calls, 3, "the record, the row and the job, all in parallel");
    let (recorded, calls) = press(&stage, &by("lee"), &data);
    let Recorded::Before(Some(stored)) = recorded else { panic!("{recorded:?}") };
    assert_eq!(
        (stored.answer.by.name.as_deref(), calls),
        (Some("Kim"), 4),
        "the person whose answer counts, and the calls"
    );
    stage.host.elapsed.set(Duration::from_secs(3600));
    let (recorded, calls) = press(&stage, &json!({}), &data);
    assert!(matches!(recorded, Recorded::Over) && calls == 0, "{recorded:?} {calls}");
}

#[test]
fn press_on_a_cancelled_alert_is_refused_and_leaves_no_row_and_no_job() {
    let stage = Stage::new();
    let id = ask(&stage, Answers::One);
    let data = button(&stage, &id, "a:1", Answers::One);
    run(ledger(&stage).withdraw(&id, None)).unwrap();
    for _ in 0..2 {
        let (recorded, calls) = press(&stage, &json!({}), &data);
        assert!(matches!(recorded, Recorded::Over) && calls == 6, "{recorded:?} {calls}");
        assert_eq!(run(ledger(&stage).answer(&id, "one")), Ok(None));
        let sent = stage.host.sent.borrow();
        let deletes = sent.iter().filter(|request| request.method() == http::Method::DELETE);
        let deletes: Vec<_> = deletes.map(|request| request.uri().path()).collect();
        let last = deletes.last().unwrap();
        assert!(last.ends_with("/bot-queue/messages/m"), "the bot deletes its own job: {deletes:?}");
    }
}

#[test]
fn repeated_press_after_the_alert_was_taken_back_keeps_the_stored_answer() {
    let stage = Stage::new();
    let id = ask(&stage, Answers::One);
    let data = button(&stage, &id, "a:1", Answers::One);
    assert!(matches!(press(&stage, &json!({}), &data).0, Recorded::Counted(_)));
    run(ledger(&stage).finish_answer(&id, "one")).unwrap();
    run(ledger(&stage).withdraw(&id, None)).unwrap();
    assert!(matches!(press(&stage, &json!({}), &data).0, Recorded::Over));
    assert!(run(ledger(&stage).answer(&id, "one")).unwrap().is_some(), "other alerts could share the answer");
}

#[test]
fn press_in_the_thread_of_an_alert_to_a_teams_channel_is_counted() {
    let stage = Stage::new();
    let id = ask(&stage, Answers::One);
    let data = button(&stage, &id, CHANNEL, Answers::One);
    let thread = |channel: &str| json!({"conversation": {"id": format!("{channel};messageid=1"), "conversationType": "channel"}});
    assert!(matches!(press(&stage, &thread("19:other@thread.tacv2"), &data).0, Recorded::Unknown));
    assert!(matches!(press(&stage, &thread(CHANNEL), &data).0, Recorded::Counted(_)));
}

#[test]
fn press_repeated_after_a_failed_put_is_counted() {
    for answers in [Answers::One, Answers::Each] {
        let stage = Stage::new();
        let id = ask(&stage, answers);
        let data = button(&stage, &id, "a:1", answers);
        stage.refuses_queue_calls.set(true);
        assert!(matches!(press(&stage, &json!({}), &data).0, Recorded::Doubtful));
        // The bot has stored Kim's row, but could not put Kim's job on the queue. If Lee then presses the
        // button, the response shows Kim's answer. But only another press by Kim makes the bot put Kim's job
        // on the queue.
        if answers == Answers::One {
            assert!(matches!(press(&stage, &by("lee"), &data).0, Recorded::Before(_)));
        }
        stage.refuses_queue_calls.set(false);
        assert!(matches!(press(&stage, &json!({"id": "8"}), &data).0, Recorded::Counted(_)));
        // If the bot cannot insert the row, the answer is perhaps lost.
        stage.refuse_tables();
        assert!(matches!(press(&stage, &json!({"id": "9"}), &data).0, Recorded::Doubtful));
    }
}

#[test]
fn mode_of_the_question_decides_which_answers_count() {
    for (answers, again, other) in
        [(Answers::One, false, false), (Answers::Each, false, true), (Answers::Many, true, true)]
    {
        let stage = Stage::new();
        let id = ask(&stage, answers);
        let data = button(&stage, &id, "a:1", answers);
        let mut filled = data.clone();
        filled["proactivebotinput0"] = "later".into();
        let counts = |change: &Value, data| matches!(press(&stage, change, data).0, Recorded::Counted(_));
        assert!(counts(&json!({}), &data));
        assert!(counts(&json!({}), &data), "the same press of the same person");
        assert_eq!(counts(&json!({"id": "8"}), &filled), again, "{answers:?}");
        assert_eq!(counts(&by("lee"), &data), other, "{answers:?}");
    }
}

#[test]
fn text_counts_as_the_answer_to_an_open_question_only_once() {
    let stage = Stage::new();
    let id = ask(&stage, Answers::One);
    let say = |text: &str, alert: &str| {
        let activity = activity(&json!({"text": text}));
        let addressed = Addressed::of(&activity, true).unwrap();
        let answering = Answering::new(&stage.host, &stage.settings, &addressed, None).unwrap();
        run(answering.text(&activity, alert, text))
    };
    assert!(say("yes", "not an id").unwrap().is_none());
    let Ok(Some(Recorded::Counted(stored))) = say("after lunch", id.as_str()) else {
        panic!("expected an answer")
    };
    assert_eq!(
        (stored.answer.action.as_str(), stored.answer.input.as_deref()),
        ("reply", Some("after lunch"))
    );
    assert!(matches!(say("acknowledge", id.as_str()), Ok(Some(Recorded::Before(_)))));
}

#[test]
fn activity_is_a_press_only_with_data_of_the_bot() {
    let data = json!({"proactivebot": {"a": "x"}});
    let invoke = |name: &str| json!({"type": "invoke", "name": name, "value": {"action": {"data": data}}});
    for (change, expected) in [
        (invoke("adaptiveCard/action"), true),
        (invoke("task/fetch"), false),
        (json!({"value": data}), true),
        (json!({"value": {"a": 1}}), false),
        (json!({"value": "text"}), false),
        (json!({"type": "event", "value": data}), false),
        (json!({}), false),
    ] {
        assert_eq!(data_of(&activity(&change)).is_some(), expected, "{change}");
    }
}
