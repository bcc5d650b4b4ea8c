//! What the bot does with a person's words: queue them, or obey.

use std::time::Duration;

use address_book::{AddressBook, ConversationKey, Record, Tag};
use bot_framework::ConversationReference;
use envelope::words::{self, Command};
use platform::{Host, Level};
use serde_json::json;

use crate::alerts::MAX_AHEAD;

/// What a message asks for.
#[derive(Debug, PartialEq)]
pub(crate) enum Wish {
    /// That this comes back, at once or after a while.
    Queue { text: String, after: Option<Duration> },
    /// Something that is done already: this is to be said.
    Say(String),
}

/// Finds out what a message asks for, and does it if it is not to be queued.
pub(crate) async fn heed<H: Host>(host: &H, text: String, address: &ConversationReference) -> Wish {
    let Some(command) = Command::parse(&text) else { return Wish::Queue { text, after: None } };
    match command {
        Command::Remind(after, _) if after > MAX_AHEAD => Wish::Say(words::TOO_FAR.into()),
        Command::Remind(after, text) => Wish::Queue { text, after: Some(after) },
        Command::Help => Wish::Say(words::HELP.into()),
        Command::Stop => set(host, address, words::STOPPED, &mut |record| record.stopped = true).await,
        Command::Start => set(host, address, words::STARTED, &mut |record| record.stopped = false).await,
        Command::Subscribe(text) => match Tag::parse(&text) {
            Some(tag) => subscribe(host, address, tag).await,
            None => Wish::Say(words::NO_TAG.into()),
        },
        Command::Unsubscribe(text) => match Tag::parse(&text) {
            Some(tag) => {
                let done = words::unsubscribed(tag.as_str());
                set(host, address, &done, &mut |record| record.unsubscribe(&tag)).await
            }
            None => Wish::Say(words::NO_TAG.into()),
        },
    }
}

async fn subscribe<H: Host>(host: &H, address: &ConversationReference, tag: Tag) -> Wish {
    let done = words::subscribed(tag.as_str());
    let mut subscribed = true;
    let mut subscribe = |record: &mut Record| subscribed = record.subscribe(&tag);
    let wish = set(host, address, &done, &mut subscribe).await;
    if subscribed { wish } else { Wish::Say(words::TOO_MANY_TAGS.into()) }
}

/// Changes the conversation's record, and says so.
async fn set<H: Host>(
    host: &H,
    address: &ConversationReference,
    done: &str,
    change: &mut dyn FnMut(&mut Record),
) -> Wish {
    let reason = match AddressBook::new(host).change(&ConversationKey::of(address), change).await {
        Ok(Some(_)) => return Wish::Say(done.into()),
        Ok(None) => "the conversation is not stored".to_owned(),
        Err(error) => error.to_string(),
    };
    host.event(Level::Error, "command.failed", json!({"reason": reason}));
    Wish::Say(words::NOT_REMEMBERED.into())
}

#[cfg(test)]
mod tests {
    use address_book::{MAX_TAGS, Sign};
    use bot_framework::json::Fields;
    use platform::testing::{FakeHost, run};

    use super::*;

    fn address() -> ConversationReference {
        let json =
            br#"{"channelId":"x","serviceUrl":"https://x/","user":{"id":"u"},"conversation":{"id":"c"}}"#;
        ConversationReference::from_fields(Fields::parse(json).unwrap()).unwrap()
    }

    fn say(host: &FakeHost, text: &str) -> Wish {
        run(heed(host, text.to_owned(), &address()))
    }

    fn known_host() -> FakeHost {
        let host = FakeHost::default();
        run(AddressBook::new(&host).hear(&address(), Sign::Message)).unwrap();
        host
    }

    fn record(host: &FakeHost) -> Record {
        run(AddressBook::new(host).get(&ConversationKey::of(&address()))).unwrap().unwrap()
    }

    #[test]
    fn commands_change_the_record() {
        let host = known_host();
        let done = |words: &str| Wish::Say(words.into());
        assert_eq!(say(&host, "stop"), done(words::STOPPED));
        assert!(record(&host).stopped);
        assert_eq!(say(&host, "start"), done(words::STARTED));
        assert!(!record(&host).stopped);
        assert_eq!(say(&host, "subscribe Orders-42"), done(&words::subscribed("orders-42")));
        assert_eq!(record(&host).tags.iter().map(Tag::as_str).collect::<Vec<_>>(), ["orders-42"]);
        assert_eq!(say(&host, "unsubscribe ORDERS-42"), done(&words::unsubscribed("orders-42")));
        assert!(record(&host).tags.is_empty());
        assert_eq!(say(&host, "subscribe <b>"), done(words::NO_TAG));
        assert_eq!(say(&host, "unsubscribe <b>"), done(words::NO_TAG));
        assert_eq!(say(&host, "help"), done(words::HELP));
    }

    #[test]
    fn subscriptions_are_bounded() {
        let host = known_host();
        for number in 0..MAX_TAGS {
            say(&host, &format!("subscribe tag-{number}"));
        }
        assert_eq!(say(&host, "subscribe one-more"), Wish::Say(words::TOO_MANY_TAGS.into()));
        assert_eq!(say(&host, "subscribe tag-0"), Wish::Say(words::subscribed("tag-0")));
        assert_eq!(record(&host).tags.len(), MAX_TAGS);
    }

    #[test]
    fn the_rest_is_queued() {
        let host = FakeHost::default();
        let queue = |text: &str, after| Wish::Queue { text: text.into(), after };
        assert_eq!(say(&host, "stop it"), queue("stop it", None));
        assert_eq!(say(&host, "remind me in 1 min tea"), queue("tea", Some(Duration::from_secs(60))));
        assert_eq!(say(&host, "remind me in 366 days tea"), queue("tea", Some(MAX_AHEAD)));
        assert_eq!(say(&host, "remind me in 367 days tea"), Wish::Say(words::TOO_FAR.into()));
        assert!(host.store.borrow().is_empty());
    }

    #[test]
    fn what_cannot_be_stored_is_told() {
        let host = FakeHost::default();
        assert_eq!(say(&host, "stop"), Wish::Say(words::NOT_REMEMBERED.into()));
        assert_eq!(host.events("command.failed").len(), 1);
    }
}
