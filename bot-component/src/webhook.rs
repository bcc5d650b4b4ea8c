//! The webhook address of a conversation, and the commands `webhook` and `webhook new`, which show the
//! address. A *webhook address* is a URL of the bot: if a program posts to this URL, the conversation gets
//! the post as an alert.

use bot_framework::{ConversationReference, channels, vouches_for_identity};
use envelope::words::Words;
use http::HeaderMap;
use platform::{Host, Level, SettingsError};
use serde_json::json;
use state::{ConversationKey, Conversations, Sign, StateError};
use thiserror::Error;

use crate::hook_token::{HookKeys, Issued, beginning_of};
use crate::public_url::PublicUrl;
use crate::settings::BotSettings;

/// The webhook address that a person or a program asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// The address that is valid now, or a new address if none is valid.
    Any,
    /// A new address. The earlier addresses become invalid.
    New,
}

/// A webhook address, and the secret with which senders such as GitHub sign their posts.
pub(crate) struct HookAddress {
    pub(crate) url: String,
    pub(crate) secret: String,
    /// The beginning of the token in the URL, for the log.
    pub(crate) shown: String,
}

/// The reason why the bot cannot make a webhook address.
#[derive(Debug, Error)]
pub(crate) enum NoAddress {
    #[error("publicurl: must be set, because the request does not name the bot's host")]
    UnknownUrl,
    #[error("{0}")]
    Misconfigured(#[from] SettingsError),
    #[error("{0}")]
    State(#[from] StateError),
}

/// A reply with the webhook address, for a person who asks in a group. Everyone who sees the address can
/// post alerts to the group, so the bot sends this reply to the person's own chat.
#[derive(Debug, PartialEq)]
pub(crate) struct PrivateReply {
    /// The person's own conversation.
    pub(crate) to: ConversationReference,
    /// The reply with the address, in Markdown.
    pub(crate) text: String,
    /// The reply to the group, without the address.
    pub(crate) note: String,
}

/// The reply to `webhook` or `webhook new`, and where the bot sends it.
#[derive(Debug, PartialEq)]
pub(crate) enum HookReply {
    Here(String),
    InMarkdown(String),
    InPrivate(Box<PrivateReply>),
}

/// Returns the webhook address of a conversation. `wanted` says whether the address must be new.
pub(crate) async fn address<H: Host>(
    host: &H,
    settings: &BotSettings,
    conversations: &Conversations<'_, H>,
    key: &ConversationKey,
    headers: &HeaderMap,
    wanted: Wanted,
) -> Result<HookAddress, NoAddress> {
    let public = PublicUrl::of(host, headers)?.ok_or(NoAddress::UnknownUrl)?;
    let keys = HookKeys::read(host, settings.bot.as_ref())?;
    let generation = match wanted {
        Wanted::Any => conversations.open_hook(key).await?,
        Wanted::New => conversations.renew_hook(key).await?,
    };
    let issued = keys.issue(key, generation);
    let Issued { token, secret } =
        issued.ok_or_else(|| SettingsError::new("hookkey", "must be set, because no other key is set"))?;
    Ok(HookAddress { url: public.webhook_address(&token), secret, shown: beginning_of(&token).to_owned() })
}

/// The conversation id of a Teams thread is `<id of the channel>;messageid=<id of the first message>`. This
/// constant is the text between these two ids.
const OF_THREAD: &str = ";messageid=";

/// Returns the conversation that owns the webhook address. In a channel of Teams, the owner is the channel,
/// not the thread in which a person asks. So each alert begins a thread of its own.
pub(crate) fn owner_of(address: &ConversationReference) -> ConversationReference {
    let mut owner = address.clone();
    if let Some((channel, _)) = address.conversation.id.split_once(OF_THREAD)
        && address.channel_id == "msteams"
    {
        owner.conversation.id = channel.to_owned();
    }
    owner
}

/// Makes the reply to `webhook` and `webhook new`. If the person asks in a group, the reply goes to the
/// person's own chat. In two cases, the reply goes to the group instead: [`own_chat`] finds no chat, or the
/// messaging service (the *channel* of the Bot Framework) shows no Markdown.
pub(crate) async fn show<H: Host>(
    host: &H,
    settings: &BotSettings,
    conversations: &Conversations<'_, H>,
    address: &ConversationReference,
    headers: &HeaderMap,
    wanted: Wanted,
) -> Result<HookReply, StateError> {
    let words = Words::of(address);
    let owner = owner_of(address);
    if owner != *address {
        // Perhaps the bot has recorded only threads of this Teams channel. The alerts go to the channel, so
        // the bot also records the channel.
        conversations.record_activity(&owner, Sign::Message, None).await?;
    }
    let key = ConversationKey::of(&owner);
    let made = match self::address(host, settings, conversations, &key, headers, wanted).await {
        Ok(made) => made,
        Err(NoAddress::State(error)) => return Err(error),
        Err(error) => {
            host.event(Level::Error, "hook.not-issued", json!({"reason": error.to_string()}));
            return Ok(HookReply::Here(words.no_hook_address.into()));
        }
    };
    host.event(Level::Info, "hook.issued", json!({"conversation": key.as_str(), "hook": made.shown}));
    let text = words.hook(&made.url, &made.secret);
    if !channels::shows_markdown(&address.channel_id) {
        return Ok(HookReply::Here(text.replace('`', "")));
    }
    let own = match address.conversation.is_group() {
        true => own_chat(settings, conversations, address).await,
        false => None,
    };
    Ok(match own {
        Some(to) => HookReply::InPrivate(Box::new(PrivateReply { to, text, note: words.hook_sent.into() })),
        None => HookReply::InMarkdown(text),
    })
}

/// Returns the own chat of the person who wrote the command. Returns `None` in these cases:
///
/// - The messaging service, unlike Teams, does not verify who the person is. A chat with the same user id can
///   then belong to another person.
/// - The activity names no user.
/// - The bot cannot look up the chat, does not know the chat, or has paused the chat.
/// - The bot does not serve the chat's tenant, or does not trust the chat's `serviceUrl`.
async fn own_chat<H: Host>(
    settings: &BotSettings,
    conversations: &Conversations<'_, H>,
    address: &ConversationReference,
) -> Option<ConversationReference> {
    let user = address.user.as_ref().filter(|_| vouches_for_identity(&address.channel_id))?;
    let found = conversations.of_user(&address.channel_id, &user.id).await.ok().flatten();
    let (_, own) = found.filter(|(_, own)| !own.paused)?;
    let is_served =
        settings.trust.check(&own.address.service_url).is_ok() && settings.tenants.allow(&own.address);
    is_served.then_some(own.address)
}

#[cfg(test)]
mod tests {
    use bot_framework::json::Fields;
    use http::HeaderValue;
    use http::header::HOST;
    use platform::testing::run;

    use super::*;
    use crate::testing::Stage;

    fn reference(json: &serde_json::Value) -> ConversationReference {
        ConversationReference::from_fields(Fields::parse(json.to_string().as_bytes()).unwrap()).unwrap()
    }

    fn group() -> ConversationReference {
        reference(&json!({
            "channelId": "msteams", "serviceUrl": "http://127.0.0.1:9/", "user": {"id": "29:kim"},
            "conversation": {"id": "19:team@thread.tacv2", "conversationType": "channel"},
        }))
    }

    fn personal(user: &str) -> ConversationReference {
        reference(&json!({
            "channelId": "msteams", "serviceUrl": "http://127.0.0.1:9/", "user": {"id": user},
            "conversation": {"id": format!("a:{user}"), "conversationType": "personal"},
        }))
    }

    fn say(stage: &Stage, address: &ConversationReference, wanted: Wanted) -> HookReply {
        let headers = HeaderMap::from_iter([(HOST, HeaderValue::from_static("bot.example.com"))]);
        let conversations = stage.conversations();
        run(show(&stage.host, &stage.settings, &conversations, address, &headers, wanted)).unwrap()
    }

    /// The token in the text of a reply.
    fn token_in(text: &str) -> &str {
        let rest = text.split_once("https://bot.example.com/api/hooks/").unwrap().1;
        &rest[..47]
    }

    fn here(reply: HookReply) -> String {
        match reply {
            HookReply::Here(text) | HookReply::InMarkdown(text) => text,
            HookReply::InPrivate(reply) => panic!("expected a reply here, found {reply:?}"),
        }
    }

    #[test]
    fn address_of_a_group_goes_to_the_own_chat_of_the_person_who_asks() {
        let stage = Stage::new();
        run(stage.conversations().record_activity(&personal("29:kim"), Sign::Message, None)).unwrap();
        let HookReply::InPrivate(reply) = say(&stage, &group(), Wanted::Any) else {
            panic!("expected a private reply")
        };
        assert_eq!(reply.to.conversation.id, "a:29:kim");
        let token = token_in(&reply.text).to_owned();
        assert!(reply.text.contains(&format!("curl -X POST https://bot.example.com/api/hooks/{token} ")));
        assert!(!reply.note.contains("/api/hooks/"));
        // The bot does not know Lee's own chat, so it replies to Lee in the group.
        let mut other = group();
        other.user = personal("29:lee").user;
        assert_eq!(token_in(&here(say(&stage, &other, Wanted::Any))), token, "the same address");
        assert_ne!(token_in(&here(say(&stage, &other, Wanted::New))), token);
        let log = stage.host.lines.borrow().join("\n");
        assert!(log.contains(&token[..6]) && !log.contains(&token[..7]), "{log}");
    }

    #[test]
    fn address_belongs_to_the_channel_and_not_to_a_thread() {
        let stage = Stage::new();
        let in_thread = |message: &str| {
            let mut address = group();
            address.conversation.id = format!("{};messageid={message}", address.conversation.id);
            address
        };
        let one = here(say(&stage, &in_thread("1"), Wanted::Any));
        assert_eq!(here(say(&stage, &in_thread("2"), Wanted::Any)), one);
        let channel = ConversationKey::of(&group());
        let known = run(stage.conversations().known(&channel)).unwrap();
        let conversation = known.conversation.unwrap();
        assert_eq!((known.hook, conversation.address.conversation), (Some(1), group().conversation));
        let mut elsewhere = in_thread("1");
        elsewhere.channel_id = "slack".into();
        assert_eq!(owner_of(&elsewhere), elsewhere);
    }

    #[test]
    fn address_of_a_group_goes_to_the_group_if_the_channel_does_not_verify_people() {
        let stage = Stage::new();
        let on_webchat = |mut address: ConversationReference| {
            address.channel_id = "webchat".into();
            address
        };
        run(stage.conversations().record_activity(&on_webchat(personal("29:kim")), Sign::Message, None))
            .unwrap();
        here(say(&stage, &on_webchat(group()), Wanted::Any));
    }

    #[test]
    fn reply_has_markdown_only_if_the_channel_shows_markdown() {
        let stage = Stage::new();
        for (channel, is_markdown) in
            [("msteams", true), ("webchat", true), ("sms", false), ("custom", false)]
        {
            let mut address = personal("29:kim");
            address.channel_id = channel.into();
            let reply = say(&stage, &address, Wanted::Any);
            assert_eq!(matches!(reply, HookReply::InMarkdown(_)), is_markdown, "{channel}");
            let text = here(reply);
            assert_eq!(text.contains('`'), is_markdown, "{channel}: {text}");
            for begin in ["https://bot.example.com", "curl -X POST https://bot.example.com"] {
                let begins = |line: &str| line.trim_matches('`').starts_with(begin);
                assert!(text.lines().any(begins), "{channel}: {text}");
            }
        }
    }

    #[test]
    fn failure_to_make_an_address_is_reported() {
        let stage = Stage::new();
        let conversations = stage.conversations();
        let show = |headers: &HeaderMap| {
            run(show(&stage.host, &stage.settings, &conversations, &group(), headers, Wanted::Any))
        };
        let words = Words::of(&group());
        assert_eq!(show(&HeaderMap::new()), Ok(HookReply::Here(words.no_hook_address.into())));
        assert_eq!(stage.host.events("hook.not-issued").len(), 1);
        let headers = HeaderMap::from_iter([(HOST, HeaderValue::from_static("bot.example.com"))]);
        stage.refuse_tables();
        assert!(show(&headers).is_err());
    }
}
