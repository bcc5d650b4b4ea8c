//! Finds the parts of a message that a channel (a service such as Teams or Slack) does not show. The channel
//! does not tell the sender of the alert about these parts. So the bot tells the sender before the bot queues
//! the alert.
//!
//! The table in the function `abilities` says for each channel how the channel shows cards, and whether it
//! shows Markdown. Sources of the table:
//! <https://learn.microsoft.com/azure/bot-service/bot-service-channels-reference>, and for Teams
//! <https://learn.microsoft.com/microsoftteams/platform/bots/how-to/format-your-bot-messages>. If a channel
//! is not in the table, the module reports nothing, because the abilities of that channel are unknown.

use serde_json::{Map, Value};
use thiserror::Error;

use crate::look::{ADAPTIVE_CARD, Mention, TextFormat, mentioned_names};

/// The largest card that Teams accepts, in bytes, according to the documentation of Teams. Teams also limits
/// a whole chat message to 100 KB in UTF-16. The bot does not check this second limit. The poller makes each
/// message from an envelope (an alert as JSON on the queue), and every envelope is below this limit. An
/// envelope has at most 48 KiB in UTF-8, and so at most 96 KiB (98 304 bytes) in UTF-16.
pub const MAX_TEAMS_CARD_BYTES: usize = 28 * 1024;

/// The highest number of suggested actions (buttons below a message) that Teams shows.
const MAX_TEAMS_SUGGESTIONS: usize = 3;

/// The highest number of attachments, such as cards, that Teams accepts in one message.
const MAX_TEAMS_ATTACHMENTS: usize = 10;

/// The latest version of Adaptive Cards that Teams shows.
const TEAMS_CARD_VERSION: (u32, u32) = (1, 5);

/// The highest number of JSON levels that `has_execute_without_fallback` searches in a card. This number is
/// enough for every card, because the body of an API call has at most 32 levels.
const MAX_LEVELS: usize = 40;

/// The parts of a message that [`parts_not_shown`] checks.
#[derive(Debug, Clone, Copy)]
pub struct Content<'a> {
    /// The text of the alert, without the word that the bot adds in front (`Alert: …`).
    pub text: &'a str,
    /// The format of the text.
    pub format: TextFormat,
    /// The people whom the message mentions.
    pub mentions: &'a [Mention],
    /// Further JSON members of the message, e.g. `attachments`. [`crate::MORE_MEMBERS`] lists the possible
    /// members.
    pub activity: &'a Map<String, Value>,
}

/// A part of a message that a channel does not show. The error text names the part, and tells the sender what
/// to do.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum NotShown {
    /// The card is too large, so Teams refuses the message.
    #[error(
        "activity.attachments[{index}]: the card has {bytes} bytes, and Teams shows at most \
         {MAX_TEAMS_CARD_BYTES}; shorten it, or send a link to the rest"
    )]
    CardTooLarge {
        /// The index of the attachment.
        index: usize,
        /// The length of the card's JSON, in bytes.
        bytes: usize,
    },
    /// The message has too many attachments, so Teams refuses it.
    #[error(
        "activity.attachments: {count} attachments, and Teams shows at most {MAX_TEAMS_ATTACHMENTS}; \
         send several alerts"
    )]
    TooManyAttachments {
        /// The number of attachments.
        count: usize,
    },
    /// The version of the card is too new, so Teams shows the card's fallback text or an error instead.
    #[error(
        "activity.attachments[{index}]: Teams knows Adaptive Cards up to version 1.5; use this version if the \
         card needs no newer one"
    )]
    CardVersion {
        /// The index of the attachment.
        index: usize,
    },
    /// The message has an attachment, such as a card or a picture, and the channel shows no cards.
    #[error("activity.attachments: `{channel}` shows no cards; put what matters into `text`")]
    NoCards {
        /// The id of the channel.
        channel: String,
    },
    /// The channel shows the card as a picture without buttons.
    #[error(
        "activity.attachments: `{channel}` shows a card as a picture without buttons; put links into `text`"
    )]
    PictureOfCard {
        /// The id of the channel.
        channel: String,
    },
    /// A button of the card has the type `Action.Execute`, and names no other action as its `fallback`. Web
    /// Chat does nothing when a person presses such a button.
    #[error(
        "activity.attachments[{index}]: a button with Action.Execute does nothing in Web Chat; give it a \
         `fallback` with Action.Submit or Action.OpenUrl"
    )]
    ExecuteWithoutFallback {
        /// The index of the attachment.
        index: usize,
    },
    /// Teams shows only the first three suggested actions.
    #[error(
        "activity.suggestedActions: Teams shows at most {MAX_TEAMS_SUGGESTIONS}; use a card for more buttons"
    )]
    TooManySuggestions,
    /// Teams shows suggested actions only in personal chats.
    #[error("activity.suggestedActions: Teams shows them in personal chats only; use a card in groups")]
    SuggestionsInGroup,
    /// The channel does not know Markdown, so it shows characters such as `**` as they are.
    #[error(
        "format: `{channel}` does not know Markdown, and shows marks such as `**` as text; send plain text there"
    )]
    NoMarkdown {
        /// The id of the channel.
        channel: String,
    },
    /// The channel has no mentions, so it shows the names only.
    #[error(
        "mentions: `{channel}` has no mentions and shows the names only; tell these people in another way"
    )]
    NoMentions {
        /// The id of the channel.
        channel: String,
    },
    /// The text mentions a person, and the bot does not know the person's id on Teams. So Teams shows the
    /// name, and does not notify the person. A mention in a card does not need the id on Teams, because in a
    /// card Teams also accepts the person's object id in Entra.
    #[error(
        "mentions: Teams does not notify `{name}` of a mention in the text, because the bot has no Teams id of \
         this person; let the person write to the bot, or mention them in a card"
    )]
    MentionUnknownInText {
        /// The name of the person who is mentioned.
        name: String,
    },
}

impl NotShown {
    /// Whether the channel refuses the whole message.
    pub fn is_refusal(&self) -> bool {
        matches!(self, Self::CardTooLarge { .. } | Self::TooManyAttachments { .. })
    }
}

/// How a channel shows cards.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cards {
    /// With buttons. A press of a button with `Action.Execute` reaches the bot as an activity of the type
    /// `invoke`.
    WithExecute,
    /// With buttons. A press of a button with `Action.Submit` reaches the bot as a message. A press of a
    /// button with `Action.Execute` does nothing.
    WithSubmit,
    /// As a picture without buttons.
    Picture,
    /// Not at all.
    None,
}

/// Whether a channel shows Markdown. The result is `false` if the channel is not in the table.
pub fn shows_markdown(channel_id: &str) -> bool {
    matches!(abilities(channel_id), Some((_, true)))
}

/// Returns how a channel shows cards, and whether the channel shows Markdown. Returns `None` if the channel
/// is not in the table.
fn abilities(channel_id: &str) -> Option<(Cards, bool)> {
    Some(match channel_id {
        "msteams" => (Cards::WithExecute, true),
        "webchat" | "directline" | "emulator" | "test" => (Cards::WithSubmit, true),
        "slack" | "telegram" | "email" => (Cards::Picture, true),
        "facebook" | "line" | "groupme" | "kik" => (Cards::Picture, false),
        "sms" | "twilio-sms" => (Cards::None, false),
        _ => return None,
    })
}

/// Returns how a channel shows cards, or `None` if the channel is not in the table.
pub fn cards(channel_id: &str) -> Option<Cards> {
    abilities(channel_id).map(|(cards, _)| cards)
}

/// Returns the parts of a message that a channel does not show. `is_group` says whether several people are in
/// the conversation.
pub fn parts_not_shown(channel_id: &str, is_group: bool, content: &Content<'_>) -> Vec<NotShown> {
    let channel = || channel_id.to_owned();
    let Some((cards, markdown)) = abilities(channel_id) else { return Vec::new() };
    let mut not_shown = Vec::new();
    if content.format == TextFormat::Markdown && !content.text.is_empty() && !markdown {
        not_shown.push(NotShown::NoMarkdown { channel: channel() });
    }
    let attachments =
        content.activity.get("attachments").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    match cards {
        Cards::None if !attachments.is_empty() => not_shown.push(NotShown::NoCards { channel: channel() }),
        Cards::Picture if attachments.iter().any(is_card) => {
            not_shown.push(NotShown::PictureOfCard { channel: channel() });
        }
        Cards::WithExecute | Cards::WithSubmit | Cards::Picture | Cards::None => {}
    }
    if channel_id != "msteams" {
        if !content.mentions.is_empty() {
            not_shown.push(NotShown::NoMentions { channel: channel() });
        }
        if cards == Cards::WithSubmit {
            let without_fallback =
                attachments.iter().enumerate().filter(|(_, card)| has_execute_without_fallback(card, 0));
            not_shown.extend(without_fallback.map(|(index, _)| NotShown::ExecuteWithoutFallback { index }));
        }
        return not_shown;
    }
    not_shown.extend(on_teams(is_group, content, attachments));
    not_shown
}

fn on_teams(is_group: bool, content: &Content<'_>, attachments: &[Value]) -> Vec<NotShown> {
    let mut not_shown = Vec::new();
    if attachments.len() > MAX_TEAMS_ATTACHMENTS {
        not_shown.push(NotShown::TooManyAttachments { count: attachments.len() });
    }
    for (index, card) in attachments.iter().enumerate().filter(|(_, attachment)| is_card(attachment)) {
        let bytes = card.get("content").map(json_bytes).unwrap_or_default();
        if bytes > MAX_TEAMS_CARD_BYTES {
            not_shown.push(NotShown::CardTooLarge { index, bytes });
        }
        if version_of(card).is_some_and(|version| version > TEAMS_CARD_VERSION) {
            not_shown.push(NotShown::CardVersion { index });
        }
    }
    let suggestions = content.activity.get("suggestedActions").and_then(|actions| actions.get("actions"));
    match suggestions.and_then(Value::as_array).map(Vec::len).unwrap_or_default() {
        0 => {}
        _ if is_group => not_shown.push(NotShown::SuggestionsInGroup),
        count if count > MAX_TEAMS_SUGGESTIONS => not_shown.push(NotShown::TooManySuggestions),
        _ => {}
    }
    let unknown = content.mentions.iter().filter(|mention| !mention.has_teams_id());
    let in_text = unknown.filter(|mention| mentioned_names(content.text).any(|name| name == mention.name));
    not_shown.extend(in_text.map(|mention| NotShown::MentionUnknownInText { name: mention.name.clone() }));
    not_shown
}

fn is_card(attachment: &Value) -> bool {
    let kind = attachment.get("contentType").and_then(Value::as_str).unwrap_or_default();
    kind.starts_with("application/vnd.microsoft.")
}

fn json_bytes(value: &Value) -> usize {
    // Writing a JSON value into memory does not fail.
    serde_json::to_vec(value).map(|bytes| bytes.len()).unwrap_or_default()
}

/// Returns the major and the minor version of an Adaptive Card. Returns `None` if the attachment is no
/// Adaptive Card, or has no version of the form `1.5`.
fn version_of(attachment: &Value) -> Option<(u32, u32)> {
    let kind = attachment.get("contentType").and_then(Value::as_str)?;
    let version = attachment.get("content")?.get("version")?.as_str()?;
    let (major, minor) = version.split_once('.')?;
    kind.eq_ignore_ascii_case(ADAPTIVE_CARD).then_some((major.parse().ok()?, minor.parse().ok()?))
}

/// Whether a value contains an `Action.Execute` without a fallback. The search ends at the level
/// [`MAX_LEVELS`].
fn has_execute_without_fallback(value: &Value, level: usize) -> bool {
    if level > MAX_LEVELS {
        return false;
    }
    match value {
        Value::Object(members) => {
            let is_execute = members.get("type").is_some_and(|kind| kind == "Action.Execute");
            is_execute && !members.contains_key("fallback")
                || members.values().any(|value| has_execute_without_fallback(value, level + 1))
        }
        Value::Array(values) => values.iter().any(|value| has_execute_without_fallback(value, level + 1)),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn card(content: Value) -> Value {
        json!({"attachments": [{"contentType": ADAPTIVE_CARD, "content": content}]})
    }

    fn found(
        channel: &str,
        is_group: bool,
        text: &str,
        activity: &Value,
        mentions: &[Mention],
    ) -> Vec<String> {
        let format = if text.is_empty() { TextFormat::Plain } else { TextFormat::Markdown };
        let activity = activity.as_object().unwrap();
        let content = Content { text, format, mentions, activity };
        parts_not_shown(channel, is_group, &content).iter().map(ToString::to_string).collect()
    }

    #[track_caller]
    fn expect(found: &[String], expected: &[&str]) {
        assert_eq!(found.len(), expected.len(), "{found:?}");
        for (found, expected) in found.iter().zip(expected) {
            assert!(found.starts_with(expected) && found.contains("; "), "{found}: expected {expected}");
        }
    }

    #[test]
    fn card_that_teams_does_not_show_is_reported() {
        let sized = |bytes: usize| {
            let frame = json!({"type": "AdaptiveCard", "text": ""}).to_string().len();
            card(json!({"type": "AdaptiveCard", "text": "x".repeat(bytes - frame)}))
        };
        expect(&found("msteams", false, "", &sized(28 * 1024), &[]), &[]);
        expect(&found("webchat", false, "", &sized(28 * 1024 + 1), &[]), &[]);
        let refused = found("msteams", true, "", &sized(28 * 1024 + 1), &[]);
        expect(&refused, &["activity.attachments[0]: the card has 28673 bytes"]);
        let many = json!({"attachments": vec![json!({"contentType": "image/png"}); 11]});
        expect(&found("msteams", false, "", &many, &[]), &["activity.attachments: 11 attachments"]);
        for (version, expected) in [("1.5", 0), ("1.6", 1), ("1.10", 1), ("x", 0), ("1", 0)] {
            let card = card(json!({"version": version}));
            assert_eq!(found("msteams", false, "", &card, &[]).len(), expected, "{version}");
        }
    }

    #[test]
    fn execute_button_without_a_fallback_is_reported_for_web_chat_direct_line_and_the_emulator() {
        let execute = card(json!({"body": [], "actions": [{"type": "Action.Execute", "verb": "x"}]}));
        let nested = card(json!({"actions": [{"type": "Action.ShowCard", "card": {"body": [
            {"type": "ActionSet", "actions": [{"type": "Action.Execute"}]}]}}]}));
        let falls_back = card(json!({"actions": [
            {"type": "Action.Execute", "fallback": {"type": "Action.Submit"}}, {"type": "Action.OpenUrl"}]}));
        let expected = "activity.attachments[0]: a button with Action.Execute does nothing in Web Chat";
        for channel in ["webchat", "directline", "emulator"] {
            expect(&found(channel, false, "", &execute, &[]), &[expected]);
            expect(&found(channel, false, "", &nested, &[]), &[expected]);
            expect(&found(channel, false, "", &falls_back, &[]), &[]);
        }
        expect(&found("msteams", false, "", &execute, &[]), &[]);
        let mut deep = json!({"type": "Action.Execute"});
        for _ in 0..200 {
            deep = Value::Array(vec![deep]);
        }
        expect(&found("webchat", false, "", &json!({"attachments": [deep]}), &[]), &[]);
    }

    #[test]
    fn suggested_actions_that_teams_does_not_show_are_reported() {
        let actions = |count: usize| json!({"suggestedActions": {"actions": vec![json!({}); count]}});
        expect(&found("msteams", false, "", &actions(3), &[]), &[]);
        expect(
            &found("msteams", false, "", &actions(4), &[]),
            &["activity.suggestedActions: Teams shows at most"],
        );
        expect(
            &found("msteams", true, "", &actions(1), &[]),
            &["activity.suggestedActions: Teams shows them in"],
        );
        expect(&found("webchat", true, "", &actions(9), &[]), &[]);
    }

    #[test]
    fn message_part_that_the_channel_does_not_show_is_reported() {
        let kim = Mention { id: "29:kim".into(), name: "Kim".into() };
        let lee = Mention { id: "e5e0".into(), name: "Lee".into() };
        let (none, card) = (json!({}), card(json!({})));
        let picture = json!({"attachments": [{"contentType": "image/png"}]});
        let both = [kim.clone(), lee.clone()];
        for (channel, text, activity, mentions, expected) in [
            ("twilio-sms", "**x**", &none, &[][..], &["format: `twilio-sms` does not know"][..]),
            ("twilio-sms", "", &picture, &[], &["activity.attachments: `twilio-sms` shows no cards"]),
            ("slack", "x", &card, &[], &["activity.attachments: `slack` shows a card as a picture"]),
            ("slack", "x", &picture, &[], &[]),
            ("webchat", "<at>Kim</at>", &none, &both[..1], &["mentions: `webchat` has no mentions"]),
            ("msteams", "<at>Kim</at>", &none, &both[..1], &[]),
            (
                "msteams",
                "<at>Kim</at> <at>Lee</at>",
                &none,
                &both,
                &["mentions: Teams does not notify `Lee` of a mention in the text"],
            ),
            ("msteams", "hi", &card, &both, &[]),
            // This channel is not in the table.
            ("carrier-pigeon", "**x**", &card, &both, &[]),
        ] {
            expect(&found(channel, false, text, activity, mentions), expected);
        }
    }
}
