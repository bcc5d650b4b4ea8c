//! Executes the command `subscribe`, by which a person subscribes the conversation to a tag. A *tag* is a
//! name to which programs send alerts: all subscribed conversations get the alerts. If the variable
//! `subscriptions` is `closed`, the person needs a *code* for the tag. The people who send the alerts give
//! the code to the person.

use bot_framework::ConversationReference;
use envelope::words::Words;
use platform::{Host, Level};
use serde_json::json;
use state::{ConversationKey, Conversations, StateError, Tag, Tagged};

use crate::settings::{BotSettings, Subscriptions};
use crate::tag_code::TagCodes;
use crate::tag_scope::TagScope;

/// Subscribes the conversation at `address` to the tag, if subscriptions are open or the code is valid.
/// Returns the bot's reply to the person.
pub(crate) async fn subscribe<H: Host>(
    host: &H,
    settings: &BotSettings,
    conversations: &Conversations<'_, H>,
    address: &ConversationReference,
    tag: &str,
    code: Option<&str>,
) -> Result<String, StateError> {
    let words = Words::of(address);
    let Some(tag) = Tag::parse(tag) else { return Ok(words.no_tag.into()) };
    if settings.subscriptions == Subscriptions::Closed {
        let Some(code) = code else { return Ok(words.subscriptions_closed(tag.as_str())) };
        if !admits_code(host, settings, address, &tag, code) {
            return Ok(words.code_refused(tag.as_str()));
        }
    }
    conversations.tag(&ConversationKey::of(address), &tag).await.map(|tagged| match tagged {
        Tagged::Yes => words.subscribed(tag.as_str()),
        Tagged::TooMany => words.too_many_tags.into(),
    })
}

fn admits_code(
    host: &impl Host,
    settings: &BotSettings,
    address: &ConversationReference,
    tag: &Tag,
    code: &str,
) -> bool {
    match TagCodes::read(host, settings) {
        Ok(codes) => codes.is_valid(code, &TagScope::all_of(address, settings), tag, host),
        Err(error) => {
            host.event(Level::Error, "tag.code-unchecked", json!({"reason": error.to_string()}));
            false
        }
    }
}

#[cfg(test)]
mod tests {
    use bot_framework::json::Fields;
    use chrono::TimeDelta;
    use platform::Clock;
    use platform::testing::run;
    use state::Sign;

    use super::*;
    use crate::testing::Stage;

    fn address(channel_id: &str) -> ConversationReference {
        let json = json!({
            "channelId": channel_id, "serviceUrl": "https://x/", "user": {"id": "u"},
            "conversation": {"id": "c", "tenantId": "t"}, "serviceUrlVerified": true,
        });
        ConversationReference::from_fields(Fields::parse(json.to_string().as_bytes()).unwrap()).unwrap()
    }

    fn words() -> &'static Words {
        Words::of(&address("webchat"))
    }

    fn say(stage: &Stage, address: &ConversationReference, tag: &str, code: Option<&str>) -> String {
        let conversations = stage.conversations();
        run(conversations.record_activity(address, Sign::Message, None)).unwrap();
        run(subscribe(&stage.host, &stage.settings, &conversations, address, tag, code)).unwrap()
    }

    #[test]
    fn subscribe_with_closed_subscriptions_needs_a_valid_code() {
        let mut stage = Stage::new();
        stage.settings.subscriptions = Subscriptions::Closed;
        let codes = TagCodes::read(&stage.host, &stage.settings).unwrap();
        let until = stage.host.now() + TimeDelta::days(1);
        let code = |scope: &TagScope| codes.issue(scope, &Tag::parse("x").unwrap(), until).unwrap();
        let (teams, web_chat) = (address("msteams"), address("webchat"));
        assert_eq!(say(&stage, &teams, "x", None), words().subscriptions_closed("x"));
        let home = code(&TagScope::Home { own: None });
        let theirs = code(&TagScope::Tenant("t".into()));
        for (address, tag, code, is_good) in [
            (&teams, "x", &home, false),
            (&web_chat, "x", &theirs, false),
            (&teams, "y", &theirs, false),
            (&teams, "x", &theirs, true),
            (&web_chat, "x", &home, true),
        ] {
            let expected = if is_good { words().subscribed(tag) } else { words().code_refused(tag) };
            assert_eq!(say(&stage, address, tag, Some(code)), expected, "{tag} {code}");
            let conversation =
                run(stage.conversations().get(&ConversationKey::of(address))).unwrap().unwrap();
            assert_eq!(!conversation.tags.is_empty(), is_good, "{tag} {code}");
        }
        assert_eq!(say(&stage, &teams, "<b>", None), words().no_tag);
        assert_eq!(say(&stage, &web_chat, "x", Some("abc")), words().code_refused("x"));
    }

    #[test]
    fn subscribe_with_open_subscriptions_needs_no_code() {
        let stage = Stage::new();
        assert_eq!(say(&stage, &address("webchat"), "x", None), words().subscribed("x"));
        assert_eq!(say(&stage, &address("webchat"), "y", Some("an old code")), words().subscribed("y"));
    }
}
