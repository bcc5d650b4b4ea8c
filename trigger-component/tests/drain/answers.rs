//! Answers of people to questions that a program has sent. The first answer to a question reaches the program
//! once, even if the program is down for hours. A *job* is the queue message of an answer. For a job, the
//! poller sends the answer to the program by a *callback* (an HTTP call), and puts the answer on the *queue
//! of replies* (a queue that programs can read). The *card* is the chat message with the question.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;

use bot_framework::outbound::question_keys;
use chrono::{DateTime, Utc};
use envelope::{Action, Answer, AnswerJob, Asked, By, Envelope, EnvelopeId, Question, QuestionKeys, Steps};
use serde_json::{Map, Value, json};
use state::ConversationKey;
use state::ledger::{AlertId, CallId, Ledger, NewAlert, Period};

use crate::settled::{wall, with_tables};
use crate::sim::{POISON, Planned, QUEUE, Sim};
use crate::{counts, envelope, milliseconds, seconds};

const REPLIES: &str = "bot-queue-replies";
const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

fn sim(seed: u64) -> Sim {
    let sim = Sim::new(seed);
    sim.settings.borrow_mut().insert("callbacksecret".into(), SECRET.into());
    sim
}

fn keys() -> QuestionKeys {
    let host =
        platform::testing::FakeHost::with_settings([("storageconnection", "UseDevelopmentStorage=true")]);
    QuestionKeys::new(&question_keys(&host, None, QUEUE).unwrap())
}

/// Makes the question data that the *ledger* (the table with one record for each alert) stores, e.g. the URL
/// of the program that gets the answer. `shared`: whether other alerts share the answer.
fn asked(sim: &Sim, question: Question, shared: bool) -> Asked {
    Asked {
        question,
        until: wall(sim) + chrono::TimeDelta::days(7),
        text: "Deploy?".into(),
        activity: Map::new(),
        callback: Some("http://127.0.0.1:9400/bot".into()),
        key: None,
        escalations: Vec::new(),
        shared,
    }
}

/// Inserts the record of an alert with a question into the ledger, as the bot does. Returns the alert's id.
fn ask(sim: &Sim, conversation: &str) -> AlertId {
    let key = ConversationKey::parse(&platform::name_of(&["msteams", conversation])).unwrap();
    let id = AlertId::of_activity(wall(sim), &key, "question");
    let question = Question { actions: vec![Action::acknowledge()], ..Question::default() };
    let asked = asked(sim, question, false);
    let host = platform::testing::FakeHost::default();
    let alert = NewAlert {
        question: Some(asked.seal(&host, &keys(), id.as_str()).unwrap()),
        ..NewAlert::queued(id.clone(), key.as_str())
    };
    with_tables(sim, async |host, account, tables, deadline| {
        Ledger::new(host, account, tables, deadline).accept(&alert).await.unwrap()
    });
    id
}

/// Makes the job that the bot puts on the queue when a person answers.
fn job(conversation: &str, alert: &AlertId, person: &str, at: DateTime<Utc>) -> Value {
    shared_job(conversation, alert, None, person, at)
}

/// Does the same as [`job`]. `lead`: if the alert shares its answer with other alerts, the first of these
/// alerts.
fn shared_job(
    conversation: &str,
    alert: &AlertId,
    lead: Option<&AlertId>,
    person: &str,
    at: DateTime<Utc>,
) -> Value {
    let address = envelope(conversation, "1")["address"].take();
    let Value::Object(address) = address else { unreachable!() };
    let address =
        bot_framework::ConversationReference::from_fields(bot_framework::json::Fields::new(address, ""));
    let press = platform::name_of(&["press", alert.as_str(), person]);
    let by = By { id: Some(person.to_owned()), ..By::default() };
    let answer = Answer { action: "acknowledge".into(), input: None, data: Map::new(), at, by };
    let mut envelope = Envelope::new(EnvelopeId::from_text(press.clone()), address.unwrap(), "", at);
    envelope.answer = Some(AnswerJob::Answer {
        alert: alert.as_str().to_owned(),
        lead: lead.map(|lead| lead.as_str().to_owned()),
        shows: false,
        row: "one".into(),
        press,
        answer: Box::new(answer),
        card: Some("1".into()),
        done: Steps::default(),
    });
    let text = envelope.encode(None).unwrap();
    serde_json::from_str(&envelope::json_of(&text).unwrap()).unwrap()
}

/// Sets the program's responses to callbacks. The program accepts a callback while `is_up` returns true.
/// Returns a map from the id of each callback to the number of times that the program has accepted the
/// callback.
fn program(sim: &Sim, is_up: impl Fn() -> bool + 'static) -> Rc<RefCell<BTreeMap<String, usize>>> {
    let accepted = Rc::new(RefCell::new(BTreeMap::new()));
    let counting = Rc::clone(&accepted);
    *sim.program.borrow_mut() = Box::new(move |id| {
        if !is_up() {
            return 503;
        }
        *counting.borrow_mut().entry(id.to_owned()).or_default() += 1;
        200
    });
    accepted
}

fn run_until(sim: &Sim, clock: &Cell<u64>, until: u64) {
    while sim.now() < seconds(until) {
        clock.set(sim.now().as_secs());
        sim.run();
        sim.pass(seconds(30));
    }
}

#[test]
fn program_that_is_down_for_an_hour_gets_every_answer_once() {
    for answers in [1, 20] {
        let sim = sim(answers);
        let clock = Rc::new(Cell::new(0));
        let now = Rc::clone(&clock);
        let accepted = program(&sim, move || now.get() >= 3600);
        for index in 0..answers {
            let conversation = format!("c{index}");
            let id = ask(&sim, &conversation);
            sim.put(&job(&conversation, &id, "29:u", wall(&sim)));
        }
        run_until(&sim, &clock, 60);
        // An alert to the same conversation does not wait for the program.
        sim.put(&envelope("c0", "1"));
        assert_eq!(counts(&sim.run(), ["delivered"]), [1]);
        run_until(&sim, &clock, 3600 + 600);
        let accepted = accepted.borrow();
        assert_eq!(accepted.len() as u64, answers, "the program gets each answer");
        assert!(accepted.values().all(|count| *count == 1), "{accepted:?}");
        let storage = sim.storage.borrow();
        assert_eq!(
            (storage.messages(QUEUE).len(), storage.messages(POISON).len()),
            (0, 0),
            "(waiting, poisoned)"
        );
        assert_eq!(
            storage.messages(REPLIES).len() as u64,
            answers,
            "the queue of replies has each answer once"
        );
    }
}

#[test]
fn answer_to_a_program_that_is_down_for_a_day_is_moved_to_the_poison_queue() {
    let sim = sim(7);
    let clock = Rc::new(Cell::new(0));
    program(&sim, || false);
    let id = ask(&sim, "a");
    sim.put(&job("a", &id, "29:u", wall(&sim)));
    run_until(&sim, &clock, 60);
    sim.pass(seconds(24 * 3600));
    run_until(&sim, &clock, 24 * 3600 + 600);
    let storage = sim.storage.borrow();
    assert_eq!(
        (storage.messages(QUEUE).len(), storage.messages(POISON).len()),
        (0, 1),
        "(waiting, poisoned)"
    );
}

#[test]
fn second_answer_or_copy_of_an_answer_does_nothing() {
    let sim = sim(3);
    let accepted = program(&sim, || true);
    let id = ask(&sim, "a");
    for person in ["29:first", "29:second", "29:first", "29:second"] {
        sim.put(&job("a", &id, person, wall(&sim)));
    }
    let run = sim.run();
    assert_eq!(counts(&run, ["answered", "alreadySent"]), [1, 3]);
    assert_eq!(accepted.borrow().len(), 1);
    assert_eq!(sim.storage.borrow().messages(REPLIES).len(), 1);
    // A copy in a later run does nothing, too.
    sim.put(&job("a", &id, "29:first", wall(&sim)));
    assert_eq!(counts(&sim.run(), ["answered", "alreadySent"]), [0, 1]);
}

#[test]
fn answer_whose_run_is_killed_still_reaches_the_program() {
    for kill in (5..120).step_by(5) {
        let sim = sim(kill);
        let accepted = program(&sim, || true);
        let id = ask(&sim, "a");
        sim.put(&job("a", &id, "29:u", wall(&sim)));
        let (start, limits) = (sim.now(), trigger_component::Limits::default());
        let kill = Some(start + milliseconds(kill));
        sim.run_all(vec![Planned { start, kill, limits }]);
        for _ in 0..5 {
            sim.pass(seconds(30));
            sim.run();
        }
        assert_eq!(accepted.borrow().len(), 1, "{kill:?}: all callbacks with the answer have the same id");
        assert_eq!(sim.storage.borrow().messages(QUEUE).len(), 0, "{kill:?}");
    }
}

/// Delivers a question to several people, with one alert to each person. The alerts share the answer, and the
/// first alert is the *lead*. Returns the ids of the alerts.
fn ask_all(sim: &Sim, conversations: &[&str]) -> Vec<AlertId> {
    let call = CallId::random(Period::of(wall(sim)), [7; 16]);
    let ids: Vec<AlertId> = (0..).zip(conversations).map(|(index, _)| call.alert(index)).collect();
    let host = platform::testing::FakeHost::default();
    let mut alerts = Vec::new();
    for (id, conversation) in ids.iter().zip(conversations) {
        let lead = Some(&ids[0]).filter(|lead| *lead != id).map(|lead| lead.as_str().to_owned());
        let question = Question { actions: vec![Action::acknowledge()], lead, ..Question::default() };
        let mut message = envelope(conversation, "Deploy?");
        message["id"] = id.as_str().into();
        message["question"] = question.to_json();
        let asked = asked(sim, question, true);
        let key = platform::name_of(&["msteams", conversation]);
        let question = Some(asked.seal(&host, &keys(), id.as_str()).unwrap());
        alerts.push(NewAlert { question, ..NewAlert::queued(id.clone(), key) });
        let Value::Object(address) = message["address"].clone() else { unreachable!() };
        let address =
            bot_framework::ConversationReference::from_fields(bot_framework::json::Fields::new(address, ""));
        with_tables(sim, async |host, account, tables, deadline| {
            let book = state::Conversations::new(host, account, tables, deadline);
            book.record_activity(&address.unwrap(), state::Sign::Message, None).await.unwrap();
        });
        sim.put(&message);
    }
    with_tables(sim, async |host, account, tables, deadline| {
        Ledger::new(host, account, tables, deadline).accept_call(&alerts).await.unwrap();
    });
    sim.run();
    ids
}

/// Two people answer. The run that handles their two jobs is killed after `kill` milliseconds. If `kill` is
/// 0, the run is not killed.
#[test]
fn shared_answer_whose_run_is_killed_reaches_every_card() {
    for kill in [0, 10, 20, 30, 40, 50, 60, 70, 80, 90, 100, 120, 140, 160, 200, 240, 280, 320, 400] {
        let sim = sim(1000 + kill);
        let accepted = program(&sim, || true);
        let people = ["a", "b", "c", "d"];
        let ids = ask_all(&sim, &people);
        for (index, person) in [(1, "29:u"), (2, "29:later")] {
            sim.put(&shared_job(people[index], &ids[index], Some(&ids[0]), person, wall(&sim)));
        }
        let (start, limits) = (sim.now(), trigger_component::Limits::default());
        let kill = Some(start + milliseconds(kill)).filter(|_| kill > 0);
        sim.run_all(vec![Planned { start, kill, limits }]);
        for _ in 0..8 {
            sim.pass(seconds(30));
            sim.run();
        }
        assert_eq!(sim.storage.borrow().messages(QUEUE).len(), 0, "{kill:?}");
        assert_eq!(accepted.borrow().len(), 1, "{kill:?}: only one of the two answers counts");
        for (id, conversation) in ids.iter().zip(people) {
            let record = crate::settled::record(&sim, id);
            let answer = Answer::open(&keys(), id.as_str(), "", record.answer.as_deref().unwrap()).unwrap();
            let first = Answer::open(&keys(), ids[1].as_str(), "", &answer_of(&sim, &ids[1])).unwrap();
            assert_eq!(answer.by, first.by, "{kill:?} {conversation}");
            let attempts = sim.attempts.borrow();
            let of_card = |attempt: &&crate::sim::Attempt| {
                attempt.conversation == conversation && attempt.method == http::Method::PUT
            };
            assert!(attempts.iter().any(|attempt| of_card(&attempt)), "{kill:?} {conversation}");
        }
    }
}

fn answer_of(sim: &Sim, id: &AlertId) -> String {
    crate::settled::record(sim, id).answer.unwrap()
}

/// An *unsealed* job is a job without an HMAC of the bot. (For the questions below, *sealed* means
/// encrypted.)
#[test]
fn unsealed_job_is_moved_to_the_poison_queue() {
    let sim = Sim::with_login(5);
    sim.settings.borrow_mut().insert("callbacksecret".into(), SECRET.into());
    let accepted = program(&sim, || true);
    let id = ask(&sim, "a");
    sim.put(&job("a", &id, "29:u", wall(&sim)));
    let run = sim.run().to_json();
    assert_eq!(run["poisonedBy"], json!({"unsealed": 1}), "{run}");
    assert!(accepted.borrow().is_empty());
}

/// Replaces the sealed (encrypted) question of the only alert in the ledger, and returns the old text.
fn set_question(sim: &Sim, text: Value) -> Value {
    let mut tables = sim.tables.borrow_mut();
    let records = tables.entities_mut("proactivebotledger").values_mut();
    let mut questions = records.filter_map(|record| record.get_mut("question"));
    std::mem::replace(questions.next().expect("a question"), text)
}

/// The poller cannot *open* (decrypt) the question, because the question is sealed with another key.
#[test]
fn answer_to_a_question_that_the_poller_cannot_open_waits_in_the_poison_queue() {
    let sim = sim(8);
    let accepted = program(&sim, || true);
    let id = ask(&sim, "a");
    sim.put(&job("a", &id, "29:u", wall(&sim)));
    let sealed = set_question(&sim, "sealed with another key".into());
    let run = sim.run().to_json();
    assert_eq!(run["poisonedBy"], json!({"sealBroken": 1}), "{run}");
    assert!(accepted.borrow().is_empty());
    // The operator corrects the seal key, and puts the message back on the queue.
    set_question(&sim, sealed);
    let text = sim.storage.borrow().messages(POISON)[0].text.clone();
    sim.storage.borrow_mut().put(QUEUE, &text, sim.now(), None);
    assert_eq!(counts(&sim.run(), ["answered"]), [1]);
    assert_eq!(accepted.borrow().len(), 1);
}
