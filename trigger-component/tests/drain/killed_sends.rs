//! Runs that are killed during an attempt (the work on one alert) that makes more than one call. The tests
//! kill a run at each millisecond of the attempt. In one test, the attempt sends a question that the person
//! can answer with a chat message (a *text*). In the other test, the attempt changes the chat message of an
//! alert with a `key` (the name of a problem), and sends a reply about the change.

use envelope::{Envelope, EnvelopeId, Question};
use serde_json::{Value, json};
use state::ledger::{AlertId, Ledger, NewAlert};
use state::{ConversationKey, Conversations, Sign};
use trigger_component::Limits;

use crate::settled::{wall, with_tables};
use crate::sim::{Planned, QUEUE, START_SECONDS, Sim};
use crate::{envelope, milliseconds, seconds};

/// Begins a run, and kills it after `after` milliseconds if it still works. Then runs once in five seconds,
/// 20 times. After that, no message waits any more.
fn kill_after_and_poll(sim: &Sim, after: u64) {
    let (start, limits) = (sim.now(), Limits::default());
    sim.run_all(vec![Planned { start, kill: Some(start + milliseconds(after)), limits }]);
    for _ in 0..20 {
        sim.pass(seconds(5));
        sim.run();
    }
    assert!(sim.storage.borrow().messages(QUEUE).is_empty(), "killed after {after} ms");
}

/// Puts an alert on the queue, and kills the run that sends it. `asks`: whether the alert is a question.
/// If `asks` is `false`, the alert is *plain*: an alert without a question and without a key. Returns how
/// often the person saw the alert, and whether the person's next text counts as the answer.
fn killed_question(asks: bool, after: u64) -> (usize, bool) {
    let sim = Sim::new(after);
    let Value::Object(address) = envelope("a", "1")["address"].take() else { unreachable!() };
    let address =
        bot_framework::ConversationReference::from_fields(bot_framework::json::Fields::new(address, ""));
    let address = address.unwrap();
    with_tables(&sim, async |host, account, tables, deadline| {
        let conversations = Conversations::new(host, account, tables, deadline);
        conversations.record_activity(&address, Sign::Update, None).await.unwrap();
    });
    let mut alert = Envelope::new(EnvelopeId::from_text("question".to_owned()), address, "1", wall(&sim));
    alert.question = asks.then(|| Question { reply: true, ..Question::default() });
    let text = alert.encode(None).unwrap();
    sim.put(&serde_json::from_str(&envelope::json_of(&text).unwrap()).unwrap());
    kill_after_and_poll(&sim, after);
    let rows = sim.tables.borrow().entities("proactivebotconversations").clone();
    let awaits_text = rows.values().any(|row| row.get("asked").is_some_and(|asked| asked == "question"));
    (sim.shown("a").len(), awaits_text)
}

#[test]
fn question_is_shown_as_often_as_a_plain_alert_after_a_kill_at_the_same_moment() {
    let mut lost = 0;
    for after in 1..80 {
        let (plain, _) = killed_question(false, after);
        let (shown, awaits_text) = killed_question(true, after);
        assert_eq!(shown, plain, "killed after {after} ms");
        assert!(awaits_text || shown == 1, "killed after {after} ms");
        lost += usize::from(!awaits_text);
    }
    // After the run has sent the question, it deletes the queue message. At the same time, the run makes two
    // calls of 4 ms each, to record that the person's next text answers the question. If the run is killed in
    // these 8 ms, the run has perhaps deleted the queue message, and not made this record.
    assert!(lost <= 8, "expected at most 8 kills that lose the question, found {lost}");
}

/// Inserts the record of an alert with the key into the ledger, and puts the alert on the queue.
fn accept(sim: &Sim, number: i64, more: &Value) {
    let conversation = ConversationKey::parse(&platform::name_of(&["msteams", "a"])).unwrap();
    let id = AlertId::of_activity(wall(sim), &conversation, &number.to_string());
    let mut message = envelope("a", &format!("{number} text"));
    message["id"] = id.as_str().into();
    let key = platform::name_of(&["key", "ci", "disk"]);
    message["keyed"] = json!({"key": key, "at": START_SECONDS * 1000 + number});
    message["keyed"].as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    with_tables(sim, async |host, account, tables, deadline| {
        let ledger = Ledger::new(host, account, tables, deadline);
        ledger.accept(&NewAlert::queued(id.clone(), conversation.as_str())).await.unwrap();
    });
    sim.put(&message);
}

#[test]
fn killed_run_shows_a_change_once_and_the_reply_about_it_at_least_once() {
    const REPLY: &str = "The problem above has ended: 2 text";
    let mut replied_twice = Vec::new();
    for after in 1..240 {
        let sim = Sim::new(after);
        accept(&sim, 1, &json!({}));
        sim.run();
        accept(&sim, 2, &json!({"notify": true, "state": "resolved"}));
        kill_after_and_poll(&sim, after);
        let texts: Vec<String> = sim.chats.borrow().texts("a").into_iter().map(str::to_owned).collect();
        match texts.as_slice() {
            [changed, reply] => assert_eq!((changed.as_str(), reply.as_str()), ("2 text", REPLY)),
            [changed, one, other] => {
                assert_eq!([changed, one, other], ["2 text", REPLY, REPLY]);
                replied_twice.push(after);
            }
            other => panic!("killed after {after} ms: {other:?}"),
        }
    }
    // After the run has sent the reply, it deletes the queue message. The time between these two calls equals
    // the time between the call that sends a plain alert and the call that deletes its queue message. So the
    // number of kills after which the person sees the reply twice equals the number of kills after which the
    // person sees a plain alert twice.
    let plain_twice = (1..80).filter(|after| killed_question(false, *after).0 == 2).count();
    assert_eq!(
        replied_twice.len(),
        plain_twice,
        "the reply is shown twice after kills at {replied_twice:?} ms"
    );
}
