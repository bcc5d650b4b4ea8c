//! How a message looks: the format of its text, and the people whom it mentions.

use serde_json::{Map, Value, json};

use crate::message::OutgoingMessage;

/// The content type of an Adaptive Card.
pub const ADAPTIVE_CARD: &str = "application/vnd.microsoft.card.adaptive";

/// The format of a message's text (`textFormat`).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum TextFormat {
    /// The channel (e.g. Teams) does not read the text as Markdown. This is the default.
    #[default]
    Plain,
    /// The channel reads the text as Markdown, if it supports Markdown.
    Markdown,
}

impl TextFormat {
    /// The Bot Framework's word for this format: `plain` or `markdown`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::Markdown => "markdown",
        }
    }

    /// Returns the format for the Bot Framework's word `plain` or `markdown`.
    pub fn from_word(word: &str) -> Option<Self> {
        [Self::Plain, Self::Markdown].into_iter().find(|format| format.as_str() == word)
    }
}

/// A person whom a message mentions. Teams shows the name as a mention, and notifies the person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mention {
    /// The person's id on Teams (`29:...`), or the person's object id in Entra (Microsoft's identity
    /// service). Teams accepts an object id in a card, but not in the text of a message.
    pub id: String,
    /// The name. In the text or in a card, the mention is written as `<at>name</at>`.
    pub name: String,
}

impl Mention {
    /// Whether the id is a person's id on Teams, and not an object id.
    pub fn has_teams_id(&self) -> bool {
        self.id.starts_with("29:")
    }

    /// The element for the mention in a text: `<at>name</at>`.
    pub fn element(&self) -> String {
        format!("<at>{}</at>", self.name)
    }

    fn to_entity(&self) -> Value {
        json!({"type": "mention", "text": self.element(), "mentioned": {"id": self.id, "name": self.name}})
    }
}

/// The names in the elements `<at>name</at>` of a text, in order. An element that is not closed does not
/// count.
pub fn mentioned_names(text: &str) -> impl Iterator<Item = &str> {
    let parts = text.split("<at>").skip(1);
    parts.filter_map(|part| part.split_once("</at>").map(|(name, _)| name))
}

/// Calls `see` for each string in a JSON value, but not for the names of JSON members.
pub fn each_string<'v>(value: &'v Value, see: &mut dyn FnMut(&'v str)) {
    match value {
        Value::String(text) => see(text),
        Value::Array(values) => values.iter().for_each(|value| each_string(value, see)),
        Value::Object(members) => members.values().for_each(|value| each_string(value, see)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// The contents of the Adaptive Cards in the attachments of a message. `members` are the JSON members of the
/// message.
pub fn adaptive_cards(members: &Map<String, Value>) -> impl Iterator<Item = &Value> {
    let attachments = members.get("attachments").and_then(Value::as_array).into_iter().flatten();
    attachments.filter(|attachment| is_adaptive_card(attachment)).filter_map(|card| card.get("content"))
}

fn is_adaptive_card(attachment: &Value) -> bool {
    let kind = attachment.get("contentType").and_then(Value::as_str);
    kind.is_some_and(|kind| kind.eq_ignore_ascii_case(ADAPTIVE_CARD))
}

/// Whether a string of the card contains this element.
fn has(card: &Value, element: &str) -> bool {
    let mut is_found = false;
    each_string(card, &mut |text| is_found |= text.contains(element));
    is_found
}

impl OutgoingMessage {
    /// Sets the format of the text. A message without text has no format.
    #[must_use]
    pub fn in_format(mut self, format: TextFormat) -> Self {
        if let Some(value) = self.members.get_mut("textFormat") {
            *value = format.as_str().into();
        }
        self
    }

    /// Adds the mentions to a message for Teams, as *entities* (JSON objects with the id and the name of the
    /// person). Teams then shows the elements `<at>name</at>` in the text and in Adaptive Cards as mentions.
    /// Other channels do not support mentions. In a message for another channel, the function replaces each
    /// of these elements with the plain name.
    #[must_use]
    pub fn mentioning(mut self, mentions: &[Mention]) -> Self {
        if mentions.is_empty() {
            return self;
        }
        if self.members.get("channelId").is_some_and(|channel| channel == "msteams") {
            self.add_entities(mentions);
        } else {
            let elements: Vec<_> =
                mentions.iter().map(|mention| (mention.element(), &mention.name)).collect();
            for name in ["text", "summary", "attachments"] {
                if let Some(value) = self.members.get_mut(name) {
                    replace_elements(value, &elements);
                }
            }
        }
        self
    }

    fn add_entities(&mut self, mentions: &[Mention]) {
        let text = self.members.get("text").and_then(Value::as_str).unwrap_or_default();
        let in_text: Vec<Value> = mentions
            .iter()
            .filter(|mention| text.contains(&mention.element()))
            .map(Mention::to_entity)
            .collect();
        if !in_text.is_empty() {
            self.members.insert("entities".into(), in_text.into());
        }
        let Some(Value::Array(attachments)) = self.members.get_mut("attachments") else { return };
        for attachment in attachments.iter_mut().filter(|attachment| is_adaptive_card(attachment)) {
            let Some(card) = attachment.get_mut("content") else { continue };
            let in_card: Vec<Value> = mentions
                .iter()
                .filter(|mention| has(card, &mention.element()))
                .map(Mention::to_entity)
                .collect();
            if let Some(card) = card.as_object_mut().filter(|_| !in_card.is_empty()) {
                let teams = card.entry("msteams").or_insert_with(|| json!({}));
                if let Some(teams) = teams.as_object_mut() {
                    let entities = teams.entry("entities").or_insert_with(|| json!([]));
                    if let Some(entities) = entities.as_array_mut() {
                        entities.extend(in_card);
                    }
                }
            }
        }
    }
}

fn replace_elements(value: &mut Value, elements: &[(String, &String)]) {
    match value {
        Value::String(text) => {
            for (element, name) in elements {
                if text.contains(element) {
                    *text = text.replace(element, name);
                }
            }
        }
        Value::Array(values) => values.iter_mut().for_each(|value| replace_elements(value, elements)),
        Value::Object(members) => members.values_mut().for_each(|value| replace_elements(value, elements)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::Fields;
    use crate::reference::ConversationReference;

    fn message(channel: &str, text: &str, activity: &Value, mentions: &[Mention]) -> Value {
        let json = json!({"channelId": channel, "serviceUrl": "https://x/", "conversation": {"id": "c"}})
            .to_string();
        let address = ConversationReference::from_fields(Fields::parse(json.as_bytes()).unwrap()).unwrap();
        let message = OutgoingMessage::new(&address, text).with(activity.as_object().unwrap());
        message.in_format(TextFormat::Markdown).mentioning(mentions).into_json()
    }

    fn kim() -> Mention {
        Mention { id: "29:kim".into(), name: "Kim".into() }
    }

    fn lee() -> Mention {
        Mention { id: "e5e0a3b6-5f2c-4f1c-8a9e-3a1f3f2c9d10".into(), name: "Lee <3".into() }
    }

    fn card(text: &str) -> Value {
        json!({"attachments": [{"contentType": ADAPTIVE_CARD, "content": {
            "type": "AdaptiveCard", "body": [{"type": "TextBlock", "text": text}],
        }}]})
    }

    fn entity(mention: &Mention) -> Value {
        json!({"type": "mention", "text": mention.element(),
               "mentioned": {"id": mention.id, "name": mention.name}})
    }

    #[test]
    fn mention_on_teams_becomes_an_entity_of_the_text_or_card_that_contains_it() {
        let mentions = [kim(), lee()];
        let sent = message("msteams", "Hi <at>Kim</at>", &card("Ask <at>Lee <3</at>!"), &mentions);
        assert_eq!(sent["text"], "Hi <at>Kim</at>");
        assert_eq!(sent["textFormat"], "markdown");
        assert_eq!(sent["entities"], json!([entity(&kim())]));
        let content = &sent["attachments"][0]["content"];
        assert_eq!(content["msteams"]["entities"], json!([entity(&lee())]));
        assert_eq!(content["body"][0]["text"], "Ask <at>Lee <3</at>!");
        let other = message("msteams", "Hi", &card("x"), &mentions);
        assert_eq!((other.get("entities"), other["attachments"][0]["content"].get("msteams")), (None, None));
    }

    #[test]
    fn member_msteams_of_a_card_keeps_its_content_when_a_mention_is_added() {
        let mut own = card("<at>Kim</at> <at>Own</at>");
        own["attachments"][0]["content"]["msteams"] =
            json!({"width": "Full", "entities": [{"type": "mention"}]});
        let sent = message("msteams", "", &own, &[kim()]);
        let expected = json!({"width": "Full", "entities": [{"type": "mention"}, entity(&kim())]});
        assert_eq!(sent["attachments"][0]["content"]["msteams"], expected);
        // A member `msteams` that is not an object stays unchanged.
        own["attachments"][0]["content"]["msteams"] = json!(7);
        let sent = message("msteams", "", &own, &[kim()]);
        assert_eq!(sent["attachments"][0]["content"]["msteams"], 7);
    }

    #[test]
    fn mention_on_another_channel_is_the_name_alone() {
        let mut activity = card("Ask <at>Lee <3</at>!");
        activity["summary"] = "<at>Kim</at>".into();
        let sent = message("webchat", "Hi <at>Kim</at>, <at>Kim</at>", &activity, &[kim(), lee()]);
        assert_eq!((&sent["text"], &sent["summary"]), (&json!("Hi Kim, Kim"), &json!("Kim")));
        assert_eq!(sent["attachments"][0]["content"]["body"][0]["text"], "Ask Lee <3!");
        assert_eq!(sent.get("entities"), None);
    }

    #[test]
    fn message_without_text_has_no_format() {
        assert_eq!(message("msteams", "", &card("x"), &[]).get("textFormat"), None);
    }

    #[test]
    fn mentioned_names_are_the_contents_of_closed_elements() {
        for (text, expected) in [
            ("", &[][..]),
            ("Hi <at>Kim</at> and <at>Lee <3</at>", &["Kim", "Lee <3"]),
            ("<at>Kim", &[]),
            ("<at><at>Kim</at>", &["Kim"]),
            ("<at></at>", &[""]),
            ("</at><at>", &[]),
        ] {
            assert_eq!(mentioned_names(text).collect::<Vec<_>>(), expected, "{text}");
        }
    }
}
