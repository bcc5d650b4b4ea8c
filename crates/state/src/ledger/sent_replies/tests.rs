use std::time::Duration;

use platform::testing::{FakeHost, run};

use super::super::{AlertId, CallId, Record};
use super::*;
use crate::world::World;

const TEN: Allowance = Allowance(10);

/// Two conversations whose rows are in the same partition.
fn conversations() -> [ConversationKey; 2] {
    ["a", "e"].map(|digit| ConversationKey::parse(&digit.repeat(32)).unwrap())
}

impl World {
    fn message(&self, conversation: &ConversationKey, activity: &str) -> NewAlert {
        let id = AlertId::of_activity(self.host.now(), conversation, activity);
        NewAlert::queued(id, conversation.as_str())
    }

    fn accept_message(
        &self,
        conversation: &ConversationKey,
        activity: &str,
        allowance: Allowance,
    ) -> Allowed<Accepted> {
        let message = self.message(conversation, activity);
        run(self.ledger().accept_message(&message, allowance, Unasked::Ignored)).unwrap().unwrap()
    }

    /// Counts the reply to a command (a message that does not become an alert).
    fn count_reply_to_command(&self, conversation: &ConversationKey) -> Allowed<()> {
        run(self.ledger().count_reply(conversation, TEN)).unwrap()
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
fn conversation_over_the_limit_is_silent_for_the_rest_of_this_minute_and_the_next_minute() {
    let world = World::new();
    let [one, other] = conversations();
    for number in 0..10 {
        assert_eq!(world.accept_message(&one, &number.to_string(), TEN), NEW, "{number}");
    }
    let silent = |begins| Allowed::No { begins };
    assert_eq!(world.accept_message(&one, "10", TEN), silent(true));
    let rows = world.rows();
    assert_eq!(
        rows.len(),
        10 + 10 + 10 + 10,
        "ten records, ten index rows, ten rows for this minute's replies, and ten rows that make the next \
         minute silent: {rows:?}"
    );
    for number in 11..50 {
        assert_eq!(
            world.accept_message(&one, &number.to_string(), TEN),
            silent(false),
            "only the first message over the limit begins the silence"
        );
    }
    assert_eq!(world.count_reply_to_command(&one), Allowed::No { begins: false });
    assert_eq!(
        world.accept_message(&other, "1", TEN),
        NEW,
        "another conversation of the same partition has its own limit"
    );
    world.pass(60);
    for number in 50..100 {
        assert_eq!(world.accept_message(&one, &number.to_string(), TEN), silent(false));
    }
    let rows = world.rows();
    assert_eq!(
        rows.len(),
        40 + 3,
        "the message of the other conversation wrote three rows, and the messages without a reply wrote none: \
         {rows:?}"
    );
    world.pass(60);
    assert_eq!(world.accept_message(&one, "100", TEN), NEW);
    assert_eq!(world.count_reply_to_command(&one), Allowed::Yes(()));
}

/// Another program sends a message to the bot. For each of the program's messages within the limit, the bot
/// sends two chat messages: `Queued: …` and `Alert: …`. A minute later, the program reacts to each of these
/// two chat messages with a new message.
#[test]
fn exchange_with_another_program_ends_even_if_the_program_reacts_after_a_minute() {
    let world = World::new();
    let [one, _] = conversations();
    let (mut incoming, mut replied, mut minutes) = (1, 0, 0);
    while incoming > 0 {
        let is_new = |n: &usize| world.accept_message(&one, &format!("{minutes}-{n}"), TEN) == NEW;
        let new = (0..incoming).filter(is_new).count();
        (incoming, replied, minutes) = (2 * new, replied + new, minutes + 1);
        assert!(minutes < 8, "the exchange does not end");
        world.pass(60);
    }
    assert_eq!(
        [("replied", replied), ("minutes", minutes)],
        [("replied", 1 + 2 + 4 + 8 + 10), ("minutes", 6)]
    );
}

#[test]
fn first_message_or_command_of_a_minute_costs_one_storage_call() {
    let world = World::new();
    let [one, other] = conversations();
    // The first write creates the table. This needs further calls.
    world.accept_message(&one, "1", TEN);
    for allowance in [TEN, Allowance(0)] {
        world.pass(60);
        let before = world.calls();
        assert_eq!(world.accept_message(&one, &format!("{allowance:?}"), allowance), NEW);
        assert_eq!(world.calls() - before, 1, "{allowance:?}");
    }
    let before = world.calls();
    assert_eq!(world.count_reply_to_command(&other), Allowed::Yes(()));
    assert_eq!(world.calls() - before, 1);
    assert_eq!(run(world.ledger().count_reply(&other, Allowance(0))), Ok(Allowed::Yes(())));
    assert_eq!(world.calls() - before, 1, "without a limit, counting a command makes no call");
}

#[test]
fn commands_and_messages_of_a_conversation_share_one_limit() {
    let world = World::new();
    let [one, _] = conversations();
    for number in 0..5 {
        assert_eq!(world.accept_message(&one, &number.to_string(), TEN), NEW);
        assert_eq!(world.count_reply_to_command(&one), Allowed::Yes(()));
    }
    assert_eq!(world.count_reply_to_command(&one), Allowed::No { begins: true });
    assert_eq!(world.accept_message(&one, "5", TEN), Allowed::No { begins: false });
}

#[test]
fn activity_that_is_sent_again_is_recognised_and_not_counted_even_if_the_conversation_is_silent() {
    let world = World::new();
    let [one, _] = conversations();
    let known = || match world.accept_message(&one, "1", TEN) {
        Allowed::Yes(Accepted::Known(record)) => record.conversation == one.as_str(),
        _ => false,
    };
    assert_eq!(world.accept_message(&one, "1", TEN), NEW);
    for _ in 0..30 {
        assert!(known());
    }
    assert_eq!(world.rows().len(), 3, "the record, its index row, and the row of the reply");
    for number in 2..30 {
        world.accept_message(&one, &number.to_string(), TEN);
    }
    assert_eq!(world.accept_message(&one, "30", TEN), Allowed::No { begins: false });
    assert!(known());
}

#[test]
fn messages_without_a_limit_all_get_a_reply() {
    let world = World::new();
    let [one, _] = conversations();
    for number in 0..300 {
        assert_eq!(world.accept_message(&one, &number.to_string(), Allowance(0)), NEW);
    }
    assert_eq!(world.rows().len(), 300 + 300, "the records and their index rows");
}

/// The bot has two replicas (running instances). The clock of one replica is a minute ahead. So this replica
/// counts its reply in the next minute.
#[test]
fn conversation_becomes_silent_even_if_another_replica_counted_a_reply_in_the_next_minute() {
    let world = World::new();
    let [one, _] = conversations();
    // The replica whose clock is ahead.
    world.pass(60);
    assert_eq!(world.accept_message(&one, "ahead", TEN), NEW);
    // The other replica.
    world.host.elapsed.set(Duration::ZERO);
    let begins = (0..20).filter(|number| {
        world.accept_message(&one, &number.to_string(), TEN) == Allowed::No { begins: true }
    });
    assert_eq!(begins.count(), 1);
    world.pass(60);
    // The bot takes a minute for a silent minute only if all rows of the minute are silent rows. In this
    // minute, one row is the row of the reply to `ahead`. So the bot makes the next minute silent, too.
    assert_eq!(world.accept_message(&one, "later", TEN), Allowed::No { begins: true });
}

#[test]
fn rows_of_replies_are_not_read_as_alerts_and_are_deleted_by_cleaning() {
    let world = World::new();
    let [one, _] = conversations();
    for number in 0..20 {
        world.accept_message(&one, &number.to_string(), TEN);
    }
    let call = CallId::of_key(Period::of(world.host.now()), Some("ci"), "k", 0);
    let alerts: Vec<NewAlert> =
        (0..2).map(|index| NewAlert { id: call.alert(index), ..world.message(&one, "of a call") }).collect();
    run(world.ledger().accept_call(&alerts)).unwrap();
    let found: Vec<Record> = run(world.ledger().of_call(&call, 2)).unwrap();
    assert_eq!(found.len(), 2);
    assert_eq!(run(world.ledger().clean(8)), Ok(0));
    world.pass(16 * 24 * 60 * 60);
    assert_eq!(
        run(world.ledger().clean(8)),
        Ok(12 + 20 + 11),
        "12 records, 20 rows of replies, and 11 index rows"
    );
    assert!(world.rows().is_empty());
}

#[test]
fn repliesperminute_with_a_wrong_value_is_an_error_that_names_the_variable() {
    for (text, expected) in [
        ("", Some(20)),
        (" 20 ", Some(20)),
        ("0", Some(0)),
        ("100", Some(100)),
        ("101", None),
        ("-1", None),
        ("many", None),
    ] {
        let host = FakeHost::with_settings([("repliesperminute", text)]);
        let read = Allowance::read(&host);
        assert_eq!(read.as_ref().ok().copied(), expected.map(Allowance), "{text}");
        assert!(read.is_ok() || read.expect_err(text).to_string().contains("repliesperminute"), "{text}");
    }
}

#[test]
fn count_reply_once_is_true_only_once_for_each_conversation_and_activity() {
    for allowance in [TEN, Allowance(0)] {
        let world = World::new();
        let [one, other] = conversations();
        let once = |conversation, what: &str| {
            run(world.ledger().count_reply_once(conversation, what, allowance)).unwrap()
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
        let reply_rows = world.rows().iter().filter(|row| row.starts_with("answer.")).count();
        assert_eq!(reply_rows, if allowance == TEN { 3 } else { 0 });
    }
}
