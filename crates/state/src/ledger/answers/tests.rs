use std::time::Duration;

use platform::testing::{FakeHost, run};

use super::super::{AlertId, CallId, Record, Status};
use super::*;
use crate::world::World;

const TEN: Allowance = Allowance(10);

/// Two conversations of one shard.
fn conversations() -> [ConversationKey; 2] {
    ["a", "e"].map(|digit| ConversationKey::parse(&digit.repeat(32)).unwrap())
}

impl World {
    fn message(&self, conversation: &ConversationKey, activity: &str) -> NewAlert {
        NewAlert {
            id: AlertId::of_activity(self.host.now(), conversation, activity),
            conversation: conversation.as_str().into(),
            status: Status::Queued,
            until: None,
            call: None,
            key: None,
        }
    }

    fn say(&self, conversation: &ConversationKey, activity: &str, allowance: Allowance) -> Allowed<Accepted> {
        run(self.ledger().accept_message(&self.message(conversation, activity), allowance)).unwrap()
    }

    fn command(&self, conversation: &ConversationKey) -> Allowed<()> {
        run(self.ledger().count_answer(conversation, TEN)).unwrap()
    }

    fn calls(&self) -> usize {
        self.host.sent.borrow().len()
    }

    fn rows(&self) -> Vec<String> {
        let tables = self.tables.borrow();
        let rows = tables.entities("proactivebotledger").keys().map(|(_, row)| row.clone());
        rows.collect()
    }
}

const NEW: Allowed<Accepted> = Allowed::Yes(Accepted::New);

#[test]
fn after_its_answers_a_conversation_is_silent_until_the_next_minute_is_over() {
    let world = World::new();
    let [one, other] = conversations();
    for number in 0..10 {
        assert_eq!(world.say(&one, &number.to_string(), TEN), NEW, "{number}");
    }
    let silent = |begins| Allowed::No { begins };
    assert_eq!(world.say(&one, "10", TEN), silent(true));
    let rows = world.rows();
    assert_eq!(rows.len(), 10 + 10 + 10, "ten records, and the rows of two minutes: {rows:?}");
    for number in 11..50 {
        assert_eq!(world.say(&one, &number.to_string(), TEN), silent(false), "one line in the log");
    }
    assert_eq!(world.command(&one), Allowed::No { begins: false });
    assert_eq!(world.say(&other, "1", TEN), NEW, "of the same partition");
    world.pass(60);
    for number in 50..100 {
        assert_eq!(world.say(&one, &number.to_string(), TEN), silent(false));
    }
    assert_eq!(world.rows().len(), 30 + 2, "nothing is written for a message that is not answered");
    world.pass(60);
    assert_eq!(world.say(&one, "100", TEN), NEW);
    assert_eq!(world.command(&one), Allowed::Yes(()));
}

/// Each message that is answered brings two back: one for `Queued:`, one for `Alert:`.
#[test]
fn a_peer_that_takes_a_minute_to_answer_ends_too() {
    let world = World::new();
    let [one, _] = conversations();
    let (mut coming, mut answered, mut minutes) = (1, 0, 0);
    while coming > 0 {
        let taken = (0..coming).filter(|n| world.say(&one, &format!("{minutes}-{n}"), TEN) == NEW).count();
        (coming, answered, minutes) = (2 * taken, answered + taken, minutes + 1);
        assert!(minutes < 8, "it does not end");
        world.pass(60);
    }
    assert_eq!((answered, minutes), (1 + 2 + 4 + 8 + 10, 6));
}

#[test]
fn a_message_whose_row_is_free_costs_one_call_and_a_command_another_one() {
    let world = World::new();
    let [one, other] = conversations();
    // Makes the table.
    world.say(&one, "1", TEN);
    for allowance in [TEN, Allowance(0)] {
        world.pass(60);
        let before = world.calls();
        assert_eq!(world.say(&one, &format!("{allowance:?}"), allowance), NEW);
        assert_eq!(world.calls() - before, 1, "{allowance:?}");
    }
    let before = world.calls();
    assert_eq!(world.command(&other), Allowed::Yes(()));
    assert_eq!(world.calls() - before, 1);
    assert_eq!(run(world.ledger().count_answer(&other, Allowance(0))), Ok(Allowed::Yes(())));
    assert_eq!(world.calls() - before, 1, "without a limit nothing is counted");
}

#[test]
fn commands_and_messages_share_the_answers() {
    let world = World::new();
    let [one, _] = conversations();
    for number in 0..5 {
        assert_eq!(world.say(&one, &number.to_string(), TEN), NEW);
        assert_eq!(world.command(&one), Allowed::Yes(()));
    }
    assert_eq!(world.command(&one), Allowed::No { begins: true });
    assert_eq!(world.say(&one, "5", TEN), Allowed::No { begins: false });
}

#[test]
fn an_activity_that_is_sent_again_takes_no_answer_and_is_known_in_the_silence_too() {
    let world = World::new();
    let [one, _] = conversations();
    let known = || match world.say(&one, "1", TEN) {
        Allowed::Yes(Accepted::Known(record)) => record.conversation == one.as_str(),
        _ => false,
    };
    assert_eq!(world.say(&one, "1", TEN), NEW);
    for _ in 0..30 {
        assert!(known());
    }
    assert_eq!(world.rows().len(), 2);
    for number in 2..30 {
        world.say(&one, &number.to_string(), TEN);
    }
    assert_eq!(world.say(&one, "30", TEN), Allowed::No { begins: false });
    assert!(known());
}

#[test]
fn without_a_limit_everything_is_answered() {
    let world = World::new();
    let [one, _] = conversations();
    for number in 0..300 {
        assert_eq!(world.say(&one, &number.to_string(), Allowance(0)), NEW);
    }
    assert_eq!(world.rows().len(), 300);
}

/// Another replica's clock may be ahead.
#[test]
fn an_answer_that_another_clock_counted_in_the_next_minute_ends_no_silence() {
    let world = World::new();
    let [one, _] = conversations();
    world.pass(60);
    assert_eq!(world.say(&one, "ahead", TEN), NEW);
    world.host.elapsed.set(Duration::ZERO);
    let begun =
        (0..20).filter(|number| world.say(&one, &number.to_string(), TEN) == Allowed::No { begins: true });
    assert_eq!(begun.count(), 1);
    world.pass(60);
    assert_eq!(world.say(&one, "later", TEN), Allowed::No { begins: true });
}

#[test]
fn rows_of_answers_are_no_alerts_and_go_with_their_period() {
    let world = World::new();
    let [one, _] = conversations();
    for number in 0..20 {
        world.say(&one, &number.to_string(), TEN);
    }
    let call = CallId::of_key(Period::of(world.host.now()), Some("ci"), "k", 0);
    let alerts: Vec<NewAlert> =
        (0..2).map(|index| NewAlert { id: call.alert(index), ..world.message(&one, "of a call") }).collect();
    run(world.ledger().accept_call(&alerts)).unwrap();
    let found: Vec<Record> = run(world.ledger().of_call(&call, 2)).unwrap();
    assert_eq!(found.len(), 2);
    assert_eq!(run(world.ledger().clean(8)), Ok(0));
    world.pass(16 * 24 * 60 * 60);
    assert_eq!(run(world.ledger().clean(8)), Ok(32));
    assert!(world.rows().is_empty());
}

#[test]
fn the_variable_is_a_number_up_to_a_hundred() {
    for (text, expected) in [
        ("", Some(20)),
        (" 20 ", Some(20)),
        ("0", Some(0)),
        ("100", Some(100)),
        ("101", None),
        ("-1", None),
        ("many", None),
    ] {
        let host = FakeHost::with_settings([("answersperminute", text)]);
        let read = Allowance::read(&host);
        assert_eq!(read.as_ref().ok().copied(), expected.map(Allowance), "{text}");
        assert!(read.is_ok() || read.expect_err(text).to_string().contains("answersperminute"), "{text}");
    }
}

#[test]
fn what_is_answered_once_is_told_apart_by_conversation_and_counts() {
    for allowance in [TEN, Allowance(0)] {
        let world = World::new();
        let [one, other] = conversations();
        let once = |conversation, what: &str| {
            run(world.ledger().count_answer_once(conversation, what, allowance)).unwrap()
        };
        for (conversation, what, expected) in [
            (&one, "7", true),
            (&one, "7", false),
            (&other, "7", true),
            (&one, "8", true),
            (&other, "7", false),
        ] {
            assert_eq!(once(conversation, what), Allowed::Yes(expected), "{conversation} {what}");
        }
        let answers = world.rows().iter().filter(|row| row.starts_with("answer.")).count();
        assert_eq!(answers, if allowance == TEN { 3 } else { 0 });
    }
}
