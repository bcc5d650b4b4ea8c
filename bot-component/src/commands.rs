//! Executes the commands of a person, such as `stop` and `subscribe`.
//!
//! The commands `stop`, `start` and `quiet` decide whether a conversation gets alerts. After such a command,
//! the bot also stores a row for the *runs* of the poller. (A run takes messages off the queue, and sends
//! their alerts.) From this row, a run learns of the command. The row is always called a *withdrawal*, even
//! after `start`.

use std::time::Duration;

use bot_framework::ConversationReference;
use envelope::words::{Command, Words};
use http::HeaderMap;
use platform::{Deadline, Host, Level};
use serde_json::json;
use state::runs::{Withdrawal, Withdrawals};
use state::{ConversationKey, Conversations, StateError, Tag};
use zones::ClockSpan;

use crate::limits::MAX_AHEAD;
use crate::settings::BotSettings;
use crate::subscribing::subscribe;
use crate::webhook::{self, HookReply, PrivateReply, Wanted};

/// The longest time for storing the effect of a command. A channel waits 15 s for the response. The bot sends
/// its reply in the rest of these 15 s.
const DONE_WITHIN: Duration = Duration::from_secs(10);

/// The result of reading a person's message: a text to queue, or a reply.
#[derive(Debug, PartialEq)]
pub(crate) enum Intent {
    /// The message is no command, or is the command `remind me`. The bot has to put `text` on the queue as an
    /// alert. The alert is due after the time `after`, or at once if `after` is `None`.
    Queue { text: String, after: Option<Duration> },
    /// The reply to the command in the message. If the bot did not execute the command, the reply says so.
    Reply(String),
    /// The bot has executed the command in the message. This is the reply, in Markdown.
    ReplyInMarkdown(String),
    /// The bot has executed the command in the message. A person sent the command in a group, but the bot
    /// sends the reply to the person's own chat.
    ReplyInPrivate(Box<PrivateReply>),
}

/// Executes the command in a person's message. Returns the reply, or the text to queue ([`Intent::Queue`]).
///
/// `headers` are the headers of the channel's request. The command `webhook` shows the webhook address, which
/// is a URL of the bot. If the variable `publicurl` is empty, the host in this URL comes from the header
/// `Host`.
pub(crate) async fn execute<H: Host>(
    host: &H,
    settings: &BotSettings,
    text: String,
    address: &ConversationReference,
    headers: &HeaderMap,
) -> Intent {
    let Some(command) = Command::parse(&text) else { return Intent::Queue { text, after: None } };
    let words = Words::of(address);
    let key = ConversationKey::of(address);
    let deadline = Deadline::after(host, DONE_WITHIN);
    let conversations = settings.conversations(host, deadline);
    let withdrawals = settings.withdrawals(host, deadline);
    let show_hook =
        async |wanted| webhook::show(host, settings, &conversations, address, headers, wanted).await;
    let done = match command {
        Command::Remind(after, _) if after > MAX_AHEAD => Ok(words.too_far.into()),
        Command::Remind(after, text) => return Intent::Queue { text, after: Some(after) },
        Command::Help => Ok(words.help.into()),
        // An activity does not show whether its sender is allowed to decide for the group.
        Command::Stop if address.conversation.is_group() => Ok(words.not_stopped.into()),
        Command::Stop => {
            let withdrawal = Withdrawal::Stopped(key.as_str().to_owned());
            store_command(&withdrawals, conversations.stop(&key, host.now()), withdrawal, words.stopped).await
        }
        Command::Start => {
            let withdrawal = Withdrawal::Started(key.as_str().to_owned());
            store_command(&withdrawals, conversations.start(&key), withdrawal, words.started).await
        }
        Command::Quiet(_) | Command::QuietOff if address.conversation.is_group() => {
            Ok(words.not_quiet.into())
        }
        Command::Quiet(None) => Ok(words.no_hours.into()),
        Command::Quiet(Some(hours)) => {
            set_quiet(host, (&conversations, &withdrawals), &key, hours, words).await
        }
        Command::QuietOff => {
            let withdrawal = Withdrawal::Quieted(key.as_str().to_owned());
            store_command(&withdrawals, conversations.end_quiet(&key), withdrawal, words.quiet_ended).await
        }
        Command::Webhook | Command::NewWebhook => {
            let wanted = if command == Command::Webhook { Wanted::Any } else { Wanted::New };
            match show_hook(wanted).await {
                Ok(HookReply::InPrivate(reply)) => return Intent::ReplyInPrivate(reply),
                Ok(HookReply::InMarkdown(reply)) => return Intent::ReplyInMarkdown(reply),
                Ok(HookReply::Here(reply)) => Ok(reply),
                Err(error) => Err(error),
            }
        }
        Command::EndWebhook => {
            let key = ConversationKey::of(&webhook::owner_of(address));
            let ended = conversations.end_hook(&key).await;
            ended.map(|()| {
                host.event(Level::Info, "hook.ended", json!({"conversation": key.as_str()}));
                words.hook_ended.into()
            })
        }
        Command::Subscribe { tag, code } => {
            subscribe(host, settings, &conversations, address, &tag, code.as_deref()).await
        }
        Command::Unsubscribe(text) => match Tag::parse(&text) {
            Some(tag) => conversations.untag(&key, &tag).await.map(|_| words.unsubscribed(tag.as_str())),
            None => Ok(words.no_tag.into()),
        },
    };
    let error = match done {
        Ok(reply) => return Intent::Reply(reply),
        Err(error) => error,
    };
    host.event(Level::Error, "command.failed", json!({"reason": error.to_string()}));
    if error == StateError::NotStored {
        // The table has no record of the conversation. But the key-value store can still have the record's
        // fingerprint (hashes of the record). While the fingerprint exists, the bot assumes that the record
        // is stored. So the bot deletes the fingerprint. Then the bot stores the record at the person's next
        // message. If the delete fails, the bot stores the record at the first message of the next day,
        // because a fingerprint is valid for only one day.
        conversations.delete_fingerprint(&key).await;
    }
    Intent::Reply(words.not_remembered.into())
}

/// Awaits `change`, which stores the effect of a command in the tables. Then records the withdrawal for the
/// runs. A run reads all recent withdrawals with one query. So before the run sends a recent alert, the run
/// usually need not read the record of the alert's conversation. Returns `done`, the reply to the person.
async fn store_command<H: Host>(
    withdrawals: &Withdrawals<'_, H>,
    change: impl Future<Output = Result<(), StateError>>,
    withdrawal: Withdrawal,
    done: &str,
) -> Result<String, StateError> {
    change.await?;
    withdrawals.record(&withdrawal).await?;
    Ok(done.into())
}

/// Stores the person's quiet hours. Returns the reply, which names the time zone of the hours.
async fn set_quiet<H: Host>(
    host: &H,
    (conversations, withdrawals): (&Conversations<'_, H>, &Withdrawals<'_, H>),
    key: &ConversationKey,
    hours: ClockSpan,
    words: &Words,
) -> Result<String, StateError> {
    conversations.set_quiet(key, hours, host.now()).await?;
    withdrawals.record(&Withdrawal::Quieted(key.as_str().to_owned())).await?;
    let zone = conversations.delivery_state(key).await?.quiet.map(|quiet| quiet.zone.to_string());
    Ok(words.quiet(&hours.to_string(), zone.as_deref().unwrap_or("UTC")))
}

#[cfg(test)]
mod tests {
    use bot_framework::json::Fields;
    use platform::Clock;
    use platform::testing::run;
    use state::{Conversation, MAX_TAGS, Sign, fingerprint_key};

    use super::*;
    use crate::testing::Stage;

    fn address() -> ConversationReference {
        let json =
            br#"{"channelId":"x","serviceUrl":"https://x/","user":{"id":"u"},"conversation":{"id":"c"}}"#;
        ConversationReference::from_fields(Fields::parse(json).unwrap()).unwrap()
    }

    fn headers() -> HeaderMap {
        HeaderMap::from_iter([(http::header::HOST, http::HeaderValue::from_static("127.0.0.1:3978"))])
    }

    fn say(stage: &Stage, text: &str) -> Intent {
        run(execute(&stage.host, &stage.settings, text.to_owned(), &address(), &headers()))
    }

    fn words() -> &'static Words {
        Words::of(&address())
    }

    fn stage_with_conversation() -> Stage {
        let stage = Stage::new();
        run(stage.conversations().record_activity(&address(), Sign::Message, None)).unwrap();
        stage
    }

    fn conversation(stage: &Stage) -> Conversation {
        run(stage.conversations().get(&ConversationKey::of(&address()))).unwrap().unwrap()
    }

    #[test]
    fn commands_change_the_conversation() {
        let stage = stage_with_conversation();
        let done = |words: &str| Intent::Reply(words.into());
        assert_eq!(say(&stage, "stop"), done(words().stopped));
        assert!(conversation(&stage).stopped);
        assert_eq!(say(&stage, "start"), done(words().started));
        assert!(!conversation(&stage).stopped);
        assert_eq!(say(&stage, "subscribe Orders-42"), done(&words().subscribed("orders-42")));
        assert_eq!(conversation(&stage).tags.iter().map(Tag::as_str).collect::<Vec<_>>(), ["orders-42"]);
        assert_eq!(say(&stage, "unsubscribe ORDERS-42"), done(&words().unsubscribed("orders-42")));
        assert!(conversation(&stage).tags.is_empty());
        assert_eq!(say(&stage, "subscribe <b>"), done(words().no_tag));
        assert_eq!(say(&stage, "unsubscribe <b>"), done(words().no_tag));
        assert_eq!(say(&stage, "help"), done(words().help));
    }

    #[test]
    fn webhook_command_shows_the_same_address_until_the_address_is_replaced_or_ended() {
        let stage = stage_with_conversation();
        let working = || run(stage.conversations().known(&ConversationKey::of(&address()))).unwrap().hook;
        let shown = |text: &str| match say(&stage, text) {
            Intent::Reply(reply) | Intent::ReplyInMarkdown(reply) => reply,
            other => panic!("expected a reply, found {other:?}"),
        };
        let first = shown("webhook");
        assert!(first.contains("\nhttp://127.0.0.1:3978/api/hooks/"), "{first}");
        assert_eq!((shown("Webhook"), working()), (first.clone(), Some(1)));
        assert_ne!(shown("webhook new"), first);
        assert_eq!(working(), Some(2));
        assert_eq!((shown("webhook off").as_str(), working()), (words().hook_ended, None));
        assert_eq!(shown("webhook off"), words().hook_ended);
        shown("webhook");
        assert_eq!(working(), Some(3));
    }

    #[test]
    fn group_cannot_be_stopped_but_a_stopped_group_can_be_started() {
        for (conversation, expected) in [
            (json!({"id": "c", "isGroup": true}), words().not_stopped),
            (json!({"id": "c", "conversationType": "groupChat"}), words().not_stopped),
            (json!({"id": "c", "conversationType": "channel"}), words().not_stopped),
            (json!({"id": "c", "conversationType": "personal"}), words().stopped),
            (json!({"id": "c"}), words().stopped),
        ] {
            let stage = stage_with_conversation();
            let json = json!({"channelId": "x", "serviceUrl": "https://x/", "conversation": conversation});
            let fields = Fields::parse(json.to_string().as_bytes()).unwrap();
            let address = ConversationReference::from_fields(fields).unwrap();
            let say = |text: &str| {
                run(execute(&stage.host, &stage.settings, text.to_owned(), &address, &headers()))
            };
            assert_eq!(say("stop"), Intent::Reply(expected.into()), "{conversation}");
            let is_stopped = || super::tests::conversation(&stage).stopped;
            assert_eq!(is_stopped(), expected == words().stopped, "{conversation}");
            // An earlier version of the bot also stopped groups. So `start` must work in a stopped group.
            run(stage.conversations().stop(&ConversationKey::of(&address), stage.host.now())).unwrap();
            assert_eq!(say("start"), Intent::Reply(words().started.into()), "{conversation}");
            assert!(!is_stopped(), "{conversation}");
        }
    }

    #[test]
    fn quiet_hours_are_stored_with_the_zone_of_the_person_and_refused_in_a_group() {
        let stage = stage_with_conversation();
        let hours = || conversation(&stage).quiet.map(|quiet| quiet.hours.to_string());
        let reply = Intent::Reply(words().quiet("22:00-07:00", "+00:00"));
        assert_eq!(say(&stage, "quiet 22-7"), reply, "without a zone, the hours are in UTC");
        assert_eq!(hours().as_deref(), Some("22:00-07:00"));
        let conversations = stage.conversations().in_zone(zones::Zone::parse("Asia/Tokyo"));
        run(conversations.record_activity(&address(), Sign::Message, None)).unwrap();
        let reply = Intent::Reply(words().quiet("12:30-13:15", "Asia/Tokyo"));
        assert_eq!(say(&stage, "quiet 12:30-13:15"), reply);
        assert_eq!(say(&stage, "quiet 25:00-13:15"), Intent::Reply(words().no_hours.into()));
        assert_eq!(hours().as_deref(), Some("12:30-13:15"));
        assert_eq!(say(&stage, "quiet off"), Intent::Reply(words().quiet_ended.into()));
        assert_eq!(hours(), None);
        let json = br#"{"channelId":"x","serviceUrl":"https://x/","conversation":{"id":"c","isGroup":true}}"#;
        let group = ConversationReference::from_fields(Fields::parse(json).unwrap()).unwrap();
        for text in ["quiet 22-7", "quiet off"] {
            let reply = run(execute(&stage.host, &stage.settings, text.to_owned(), &group, &headers()));
            assert_eq!(reply, Intent::Reply(words().not_quiet.into()), "{text}");
        }
        assert_eq!(hours(), None);
    }

    #[test]
    fn subscription_to_more_tags_than_the_limit_is_refused() {
        let stage = stage_with_conversation();
        for number in 0..MAX_TAGS {
            say(&stage, &format!("subscribe tag-{number}"));
        }
        assert_eq!(say(&stage, "subscribe one-more"), Intent::Reply(words().too_many_tags.into()));
        assert_eq!(say(&stage, "subscribe tag-0"), Intent::Reply(words().subscribed("tag-0")));
        assert_eq!(conversation(&stage).tags.len(), MAX_TAGS);
    }

    #[test]
    fn plain_text_and_remind_command_make_no_storage_call() {
        let stage = Stage::new();
        let queue = |text: &str, after| Intent::Queue { text: text.into(), after };
        assert_eq!(say(&stage, "stop it"), queue("stop it", None));
        assert_eq!(say(&stage, "remind me in 1 min tea"), queue("tea", Some(Duration::from_secs(60))));
        assert_eq!(say(&stage, "remind me in 366 days tea"), queue("tea", Some(MAX_AHEAD)));
        assert_eq!(say(&stage, "remind me in 367 days tea"), Intent::Reply(words().too_far.into()));
        assert_eq!(stage.calls(), 0);
        assert!(stage.host.store.borrow().is_empty());
    }

    #[test]
    fn failure_to_store_a_command_is_reported_to_the_person() {
        let stage = stage_with_conversation();
        stage.refuse_tables();
        for text in [
            "stop",
            "start",
            "subscribe x",
            "unsubscribe x",
            "quiet 22-7",
            "quiet off",
            "webhook",
            "webhook off",
        ] {
            assert_eq!(say(&stage, text), Intent::Reply(words().not_remembered.into()), "{text}");
        }
        assert_eq!(stage.host.events("command.failed").len(), 8);
        // Without a record the bot stores no tag, because an alert to the tag needs the address in the
        // record.
        let stage = Stage::new();
        let known = fingerprint_key(&ConversationKey::of(&address()));
        stage.host.store.borrow_mut().insert(known, b"a fingerprint of a record that is gone".to_vec());
        assert_eq!(say(&stage, "subscribe x"), Intent::Reply(words().not_remembered.into()));
        assert!(
            stage.host.store.borrow().is_empty(),
            "the fingerprint is deleted, so that the person's next message stores the record"
        );
        stage.host.store_fails.set(true);
        assert_eq!(say(&stage, "subscribe x"), Intent::Reply(words().not_remembered.into()));
        assert_eq!(stage.host.events("conversation.fingerprint-not-deleted").len(), 1);
        stage.host.store_fails.set(false);
        // The bot stores a `stop` even if the conversation has no record.
        assert_eq!(say(&stage, "stop"), Intent::Reply(words().stopped.into()));
        let standing = run(stage.conversations().delivery_state(&ConversationKey::of(&address()))).unwrap();
        assert!(standing.stopped);
    }
}
