//! Tests of rows in the ledger (the table of alerts) for alerts with a `key`. A program chooses a `key` for
//! each problem, for example `disk`, so that a conversation shows only one chat message for each problem. For
//! each conversation and `key`, one row *notes* (names) the newest alert on the queue. The bot does not note
//! two kinds of alerts: a delayed alert, and an alert that replaces no older alert (`again` is `reply` or
//! `new`).

use platform::Clock;
use platform::testing::run;
use serde_json::{Value, json};
use state::ConversationKey;
use zones::ClockSpan;

use super::{Bot, reference};

#[test]
fn alert_with_a_key_is_noted_as_the_newest_alert_unless_it_is_delayed_or_has_again_new() {
    let bot = Bot::new();
    let key = bot.add(&reference("c", "x"), &[]);
    let noted = |more: &Value| {
        let mut body = json!({"to": {"conversation": key}, "text": "x", "key": "disk"});
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let (status, answer) = bot.alert(&body);
        assert_eq!(status, 202, "{answer}");
        let id = answer["alerts"][0]["id"].as_str().unwrap().to_owned();
        let service = bot.service.borrow();
        let mut rows = service.entities("proactivebotledger").iter();
        let row = rows.find(|((partition, _), _)| partition.starts_with("key."));
        let is_noted = row.is_some_and(|(_, row)| row["latestAlert"] == id.as_str());
        (is_noted, answer["alerts"][0].get("quietUntil").is_some())
    };
    assert_eq!(noted(&json!({"delay": "PT1H"})), (false, false));
    assert_eq!(noted(&json!({})), (true, false));
    assert_eq!(noted(&json!({"again": "new"})), (false, false));
    let conversation = ConversationKey::parse(&key).unwrap();
    let quiet = ClockSpan::parse("00:00-23:59").unwrap();
    run(bot.conversations().set_quiet(&conversation, quiet, bot.host.now())).unwrap();
    assert_eq!(
        noted(&json!({})),
        (true, true),
        "the alert is noted, because after the quiet hours the poller sends only the newest alert with the `key`"
    );
}
