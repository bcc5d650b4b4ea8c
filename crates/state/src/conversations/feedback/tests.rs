//! Tests of read receipts, reactions and replies.

use platform::Clock;
use platform::testing::run;
use serde_json::json;

use super::super::Sign;
use super::super::testing::{Stage, key, place, read_entity, with, write_entity};
use super::*;

fn number(id: &str) -> MessageNumber {
    MessageNumber::parse(id).unwrap()
}

fn response(message: &str, reactions: i32, replies: i32, cause: Option<&'static str>) -> Response<'static> {
    Response { message: number(message), reactions, replies, cause }
}

fn known() -> Stage {
    let stage = Stage::new();
    stage.record_activity(&with(|_| {}), Sign::Message);
    stage
}

impl Stage {
    fn read(&self, id: &str) {
        run(self.conversations().record_read(&key(), number(id))).unwrap();
    }

    fn respond(&self, response: Response<'_>) {
        run(self.conversations().record_response(&key(), response)).unwrap();
    }

    fn reception(&self, id: &str) -> Reception {
        run(self.conversations().feedback(&key())).unwrap().of(id)
    }

    fn counts(&self, id: &str) -> (u32, u32) {
        let Reception { reactions, replies, .. } = self.reception(id);
        (reactions, replies)
    }
}

#[test]
fn message_id_that_is_no_number_is_refused() {
    for id in ["1", "1795167064521", "999999999999999999"] {
        assert_eq!(number(id).to_string(), id);
    }
    for id in [
        "",
        "0",
        "01",
        "-1",
        "+1",
        " 1",
        "1.0",
        "sent-1",
        "f:1",
        "٣",
        "1000000000000000000",
        &"9".repeat(500),
    ] {
        assert_eq!(MessageNumber::parse(id), None, "{id}");
    }
}

#[test]
fn message_of_the_last_seven_days_is_recent_and_an_older_message_is_not() {
    let now = DateTime::from_timestamp_millis(1_795_471_200_000).unwrap();
    for (id, expected) in
        [("1795471200000", true), ("1794866400000", true), ("1794866399999", false), ("17954712000", false)]
    {
        assert_eq!(number(id).is_recent(now), expected, "{id}");
    }
}

#[test]
fn message_is_seen_if_the_receipt_has_the_same_or_a_greater_number() {
    let stage = known();
    stage.at(60);
    assert_eq!(stage.reception("5"), Reception::default());
    stage.read("1000");
    for (id, is_seen) in [
        ("1000", true),
        // In the order of texts, 999 would come after 1000, and 10000 would come before 9.
        ("999", true),
        ("9", true),
        ("1001", false),
        ("10000", false),
        ("sent-1", false),
        ("", false),
    ] {
        let expected = is_seen.then(|| stage.host.now());
        assert_eq!(stage.reception(id).seen_at, expected, "{id}");
    }
}

#[test]
fn receipt_for_a_message_that_an_earlier_receipt_covers_writes_nothing() {
    let stage = known();
    stage.read("1000");
    let (first, record) = (stage.host.now(), read_entity(&place().0, &place().1).unwrap());
    let writes = stage.writes();
    stage.at(60);
    for id in ["1000", "999", "20"] {
        let calls = stage.calls();
        stage.read(id);
        assert_eq!((stage.writes(), stage.calls() - calls), (writes, 1), "{id}");
    }
    assert_eq!(stage.reception("1000").seen_at, Some(first));
    assert_eq!(read_entity(&place().0, &place().1).unwrap(), record);
    stage.read("1001");
    assert_eq!(stage.writes(), writes + 1);
    assert_eq!(stage.reception("1001").seen_at, Some(stage.host.now()));
}

#[test]
fn receipt_changes_no_other_property_and_no_other_conversation() {
    let stage = known();
    let other = with(|json| json["conversation"]["id"] = "a:other".into());
    stage.record_activity(&other, Sign::Message);
    let before = stage.conversation();
    stage.read("1000");
    assert_eq!(stage.conversation(), before);
    let of_other = run(stage.conversations().feedback(&ConversationKey::of(&other))).unwrap();
    assert_eq!(of_other.of("1000"), Reception::default());
    // The person's next message does not delete the stored receipt.
    stage.at(2 * 24 * 60 * 60);
    stage.record_activity(&with(|json| json["locale"] = "fr".into()), Sign::Message);
    assert!(stage.reception("1000").seen_at.is_some());
}

#[test]
fn receipt_counts_only_in_a_personal_chat_on_teams() {
    for change in [
        json!({"channelId": "webchat"}),
        json!({"conversation": {"id": "a:1", "conversationType": "groupChat"}}),
        json!({"conversation": {"id": "a:1"}}),
    ] {
        let stage = Stage::new();
        let reference =
            with(|json| json.as_object_mut().unwrap().extend(change.as_object().unwrap().clone()));
        let key = ConversationKey::of(&reference);
        stage.record_activity(&reference, Sign::Message);
        run(stage.conversations().record_read(&key, number("1000"))).unwrap();
        let feedback = run(stage.conversations().feedback(&key)).unwrap();
        assert_eq!(feedback.of("1000").seen_at, None, "{change}");
    }
}

#[test]
fn feedback_in_an_unknown_conversation_writes_nothing() {
    let stage = Stage::new();
    let act = |stage: &Stage| {
        stage.read("1000");
        stage.respond(response("1000", 1, 0, None));
        stage.respond(response("1000", 0, 1, None));
    };
    act(&stage);
    assert_eq!((stage.writes(), stage.rows().len()), (0, 0));
    assert_eq!(stage.reception("1000"), Reception::default());
    // A newer version of the bot wrote the record, so this version does not change the record.
    let (partition, row) = place();
    write_entity(&partition, &row, |entity| entity.with("version", 2));
    act(&stage);
    assert_eq!(stage.writes(), 0);
}

#[test]
fn receipt_that_conflicts_with_another_write_is_checked_again_with_the_changed_record() {
    let stage = known();
    stage.before_call(2, || write_entity(&place().0, &place().1, |entity| entity.with("seen", 1)));
    stage.read("1000");
    assert!(stage.reception("1000").seen_at.is_some());
    // Another replica (running instance of the bot) records a later receipt between the read and the merge.
    stage.before_call(2, || {
        write_entity(&place().0, &place().1, |entity| entity.with_int64(READ_ID, 3000));
    });
    stage.read("2000");
    assert!(stage.reception("3000").seen_at.is_some(), "the stored number must not decrease");
    // The bot forgets the conversation between the read and the merge.
    let rows = stage.rows();
    let record = format!("{}/{}", place().0, place().1);
    stage.before_call(2, || super::super::testing::delete_entity(&place().0, &place().1));
    stage.read("4000");
    assert_eq!(stage.rows(), rows.into_iter().filter(|row| *row != record).collect::<Vec<_>>());
}

#[test]
fn reactions_and_replies_are_counted_for_each_message() {
    let stage = known();
    for (response, expected) in [
        (response("7", 2, 0, Some("a")), (2, 0)),
        // The channel sends the activity again.
        (response("7", 2, 0, Some("a")), (2, 0)),
        (response("7", 0, 1, Some("b")), (2, 1)),
        (response("7", -1, 0, Some("c")), (1, 1)),
        (response("7", -5, 0, Some("d")), (0, 1)),
        (response("7", 1, 0, None), (1, 1)),
        (response("7", 1, 0, None), (2, 1)),
    ] {
        stage.respond(response);
        assert_eq!(stage.counts("7"), expected, "{response:?}");
    }
    assert_eq!(stage.counts("8"), (0, 0));
    // The bot has counted no reaction to message 8. Now a person removes a reaction to this message.
    let writes = stage.writes();
    stage.respond(response("8", -1, 0, Some("e")));
    assert_eq!((stage.writes(), stage.reception("8")), (writes, Reception::default()));
    assert_eq!(stage.conversation().tags, [], "the rows of responses are not read as tags");
}

#[test]
fn responses_expire_after_a_week_and_the_next_response_deletes_their_rows() {
    let stage = known();
    stage.respond(response("7", 1, 0, None));
    stage.at(60);
    stage.respond(response("8", 0, 1, None));
    let week = u64::try_from(KEPT.num_seconds()).unwrap();
    stage.at(week);
    assert_eq!((stage.counts("7"), stage.counts("8")), ((0, 0), (0, 1)));
    stage.respond(response("9", 1, 0, None));
    let rows = stage.rows();
    let rows: Vec<_> = rows.iter().filter_map(|row| row.split_once(".r.")).map(|(_, id)| id).collect();
    assert_eq!(rows, ["8", "9"]);
    // After the row of a message has expired, the counts of this message begin at zero again.
    stage.at(2 * week);
    stage.respond(response("8", 1, 0, None));
    assert_eq!(stage.counts("8"), (1, 0));
}

#[test]
fn conversation_keeps_only_the_counts_of_the_20_messages_with_the_newest_responses() {
    let stage = known();
    for message in 0..100u64 {
        stage.at(message);
        stage.respond(response(&(500 - message).to_string(), 1, 0, None));
    }
    let rows = stage.rows().iter().filter(|row| row.contains(".r.")).count();
    assert_eq!(rows, MAX_MESSAGES);
    assert_eq!((stage.counts("401"), stage.counts("420"), stage.counts("421")), ((1, 0), (1, 0), (0, 0)));
    let calls = stage.calls();
    stage.reception("401");
    assert_eq!(stage.calls() - calls, 1, "one query");
}

#[test]
fn feedback_of_a_forgotten_conversation_is_deleted() {
    let stage = known();
    stage.read("1000");
    stage.respond(response("7", 1, 0, None));
    run(stage.conversations().forget(&key())).unwrap();
    assert_eq!(stage.rows(), Vec::<String>::new());
}

#[test]
fn feedback_rows_that_cannot_be_read_count_as_missing() {
    let stage = known();
    let (partition, row) = place();
    write_entity(&partition, &row, |entity| entity.with(READ_ID, "x").with(READ_AT, true));
    write_entity(&partition, &format!("{row}.r.7"), |entity| entity.with(REACTIONS, "x"));
    assert_eq!(stage.reception("7"), Reception::default());
    stage.read("7");
    stage.respond(response("7", 1, 0, None));
    let expected = Reception { seen_at: Some(stage.host.now()), reactions: 1, replies: 0 };
    assert_eq!(stage.reception("7"), expected);
}

/// Opens a question in the thread of a message. Returns a function that records a reply in this thread, and
/// returns the alert that the reply answers.
fn ask(stage: &Stage, open_for: chrono::TimeDelta) -> impl Fn() -> Option<String> {
    let message = number("1795471200000");
    let until = stage.host.now() + open_for;
    run(stage.conversations().open_question_in_thread(&key(), message, "a1", until)).unwrap();
    move || {
        let response = Response { message, reactions: 0, replies: 1, cause: None };
        run(stage.conversations().record_response(&key(), response)).unwrap()
    }
}

#[test]
fn open_question_stays_open_although_more_messages_get_feedback_than_rows_are_kept() {
    let stage = known();
    let answered_alert = ask(&stage, chrono::TimeDelta::hours(1));
    for index in 0..25 {
        stage.respond(response(&format!("17954712001{index:02}"), 1, 0, None));
    }
    assert_eq!(answered_alert().as_deref(), Some("a1"));
}

#[test]
fn question_stays_open_until_its_end_although_its_message_gets_feedback() {
    let stage = known();
    let answered_alert = ask(&stage, chrono::TimeDelta::days(10));
    assert_eq!(answered_alert().as_deref(), Some("a1"));
    // Without the question, the row would expire seven days after the reply.
    stage.at(9 * 24 * 60 * 60);
    stage.respond(response("1795471200999", 1, 0, None));
    assert_eq!(answered_alert().as_deref(), Some("a1"));
}
