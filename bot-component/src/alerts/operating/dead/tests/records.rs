//! Tests of the records that replayed alerts have in the ledger (the table with one record for each alert).

use platform::testing::run;
use serde_json::json;
use state::ConversationKey;
use state::ledger::{Status, Wanted};

use super::{Bot, address, whys};

#[test]
fn replay_makes_a_new_record_if_the_record_was_deleted() {
    let bot = Bot::new();
    let died = bot.die("pizza", |_| ());
    assert_eq!(bot.list("")["dead"][0]["sender"], "ci");
    bot.tables.borrow_mut().entities_mut("proactivebotledger").clear();
    bot.pass(9 * 24 * 60 * 60);
    // A replay with `all` usually reads no rows of the table of dead letters. Here the alert's record is
    // missing. So the bot reads the dead letter's row, to get the sender and the tag for the new record.
    assert_eq!(bot.replay(&json!({"all": true})).1["replayed"], json!([died.letter]));
    let record = run(bot.ledger().find(&died.alert)).unwrap().unwrap();
    assert_eq!(
        (record.status, record.conversation),
        (Status::Queued, ConversationKey::of(&address()).as_str().to_owned())
    );
    assert_eq!((record.key.as_deref(), record.tag.as_deref()), (Some("ci"), Some("orders")));
    let wanted = Wanted { sender: Some("ci"), tag: Some("orders"), since: None, after: None, limit: 5 };
    let listed = run(bot.ledger().list(&wanted, |_| true)).unwrap().records;
    assert_eq!(listed.len(), 1, "the sender's list: {listed:?}");
    bot.deliver();
    assert_eq!(bot.shown.borrow().as_slice(), ["pizza"]);
}

#[test]
fn record_that_a_newer_bot_wrote_is_not_changed() {
    let bot = Bot::new();
    let died = bot.die("pizza", |_| ());
    for entity in bot.tables.borrow_mut().entities_mut("proactivebotledger").values_mut() {
        entity.insert("version".into(), 99.into());
    }
    let before = bot.tables.borrow().entities("proactivebotledger").clone();
    assert_eq!(whys(&bot.replay(&json!({"ids": [died.letter]})).1), ["newer"]);
    assert!(*bot.tables.borrow().entities("proactivebotledger") == before);
    assert_eq!(bot.poison().len(), 1);
}
