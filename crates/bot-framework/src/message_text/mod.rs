//! Returns the text of a message to the bot, without mentions of the bot and without blanks at the ends.
//!
//! Teams escapes people's text as HTML, and writes a mention of the bot as `<at>name</at>` into the text. On
//! other channels, people type `@name`, and on Telegram also `/command@name`. All other text that a person
//! typed stays unchanged.

mod blank;
mod html;
mod mention;

use std::borrow::Cow;

use serde_json::Value;

use crate::activity::Activity;

pub use blank::is_invisible;

/// The maximum number of mentions of the bot whose texts and names are read. A usual message has one or two.
/// The limit exists because each mention costs a copy of the text. For mentions of others, the same limit
/// applies separately.
const MAX_MENTIONS: usize = 8;

/// The maximum number of attachments that are searched for the HTML copy of the text. The copy is needed only
/// if the member `text` is blank.
const MAX_ATTACHMENTS: usize = 8;

impl Activity {
    /// Returns the text without mentions of the bot, and without blanks at its ends. If the member `text` is
    /// blank, the function uses the HTML copy of the text. Teams adds this copy as an attachment.
    pub fn text_to_the_bot(&self) -> String {
        let original = self.raw_text();
        let mut text = match &original {
            Cow::Borrowed(text) if self.escapes_text() => blank::without_blank_entities(text),
            text => text.clone().into_owned(),
        };
        let mut names = Vec::new();
        for entity in self.mentions_of_the_bot().take(MAX_MENTIONS) {
            let mention_text = entity["text"].as_str().unwrap_or_default();
            text = mention::without_mention_text(&text, mention_text);
            let name = entity["mentioned"]["name"].as_str().map(mention::name_of);
            names.extend([Some(mention::name_in_mention_text(mention_text)), name].into_iter().flatten());
        }
        if text.contains("<at") && self.mentions_the_bot() {
            names.extend(self.bot_name().map(mention::name_of));
            names.retain(|name| !name.is_empty());
            let is_bot_alone = self.mentions().all(|mention| self.is_bot(mention));
            text = mention::without_elements(&text, |name| match names.is_empty() {
                true => is_bot_alone,
                false => names.iter().any(|own| own == name) && !self.is_name_of_another(name),
            });
        }
        if !self.escapes_text() {
            text = self.without_at_names(text);
        }
        blank::trim(&text).to_owned()
    }

    /// Whether the message mentions the bot. A channel can mark the mention by an entity (an entry in the
    /// activity's member `entities`). On channels other than Teams, a person can also type `@` and the bot's
    /// name or id.
    pub fn mentions_the_bot(&self) -> bool {
        self.mentions_of_the_bot().next().is_some() || self.is_named_in_text()
    }

    /// Whether the message is meant for the bot. A message is meant for the bot in four cases:
    ///
    /// - The conversation is not a group, but the chat of one person with the bot.
    /// - The message mentions the bot.
    /// - The message comes from a card of the bot. Such a message has a member `value`.
    /// - The message is an email.
    ///
    /// Other messages of a group are meant for other people.
    pub fn is_for_the_bot(&self) -> bool {
        let has_value = || self.rest.get("value").is_some_and(|value| !value.is_null());
        let is_mail = || self.channel_id.as_deref() == Some("email");
        !self.conversation.is_group() || self.mentions_the_bot() || has_value() || is_mail()
    }

    fn is_named_in_text(&self) -> bool {
        if self.escapes_text() {
            return false;
        }
        let text = self.raw_text();
        let command = first_word(&text);
        self.at_names().any(|name| {
            mention::find_at_name(&text, name).is_some() || command_without(command, name).is_some()
        })
    }

    /// Returns the text as the channel sent it. If this text is blank, and the message has an HTML copy, the
    /// function returns the text of the copy.
    fn raw_text(&self) -> Cow<'_, str> {
        let text = self.text.as_deref().unwrap_or_default();
        if blank::trim(text).is_empty()
            && let Some(html) = self.html()
        {
            return Cow::Owned(html::to_text(html));
        }
        Cow::Borrowed(text)
    }

    /// The HTML copy that Teams adds to a message. Some Teams clients send only this copy.
    fn html(&self) -> Option<&str> {
        let attachments = self.rest.get("attachments")?.as_array()?;
        let is_html = |attachment: &&Value| {
            let kind = attachment["contentType"].as_str().unwrap_or_default();
            kind.split(';').next().is_some_and(|kind| kind.trim().eq_ignore_ascii_case("text/html"))
        };
        attachments.iter().take(MAX_ATTACHMENTS).find(is_html)?["content"].as_str()
    }

    /// Whether the channel escapes people's text as HTML, and marks each mention by an entity. Only Teams
    /// does this.
    fn escapes_text(&self) -> bool {
        self.channel_id.as_deref() == Some("msteams")
    }

    fn mentions(&self) -> impl Iterator<Item = &Value> {
        let entities = self.rest.get("entities").and_then(Value::as_array);
        entities.into_iter().flatten().filter(|entity| entity["type"] == "mention")
    }

    fn is_bot(&self, mention: &Value) -> bool {
        let bot = self.recipient.as_ref().map(|bot| bot.id.as_str());
        let mentioned = mention["mentioned"]["id"].as_str();
        mentioned.is_some() && mentioned == bot
    }

    /// The mentions whose `mentioned.id` is the id of the bot.
    fn mentions_of_the_bot(&self) -> impl Iterator<Item = &Value> {
        self.mentions().filter(|mention| self.is_bot(mention))
    }

    /// Whether the message mentions another person with this name.
    fn is_name_of_another(&self, name: &str) -> bool {
        let others = self.mentions().filter(|mention| !self.is_bot(mention)).take(MAX_MENTIONS);
        others
            .filter_map(|other| other["mentioned"]["name"].as_str())
            .any(|other| mention::name_of(other) == name)
    }

    fn bot_name(&self) -> Option<&str> {
        self.recipient.as_ref()?.name()
    }

    /// The words that a person can type after `@` to mention the bot: the bot's id (as on Telegram), and the
    /// bot's name.
    fn at_names(&self) -> impl Iterator<Item = &str> {
        let id = self.recipient.as_ref().map(|bot| bot.id.as_str());
        [id, self.bot_name()].into_iter().flatten()
    }

    /// Removes `@name` at the beginning of the text, and changes `/command@name` there to `/command`.
    fn without_at_names(&self, mut text: String) -> String {
        for name in self.at_names() {
            let begin = blank::trim(&text);
            if let Some((0, end)) = mention::find_at_name(begin, name) {
                text = begin[end..].to_owned();
            } else if let Some(command) = command_without(first_word(begin), name) {
                text = [command, &begin[first_word(begin).len()..]].concat();
            }
        }
        text
    }
}

fn first_word(text: &str) -> &str {
    text.split_whitespace().next().unwrap_or_default()
}

/// Returns `/command` if the word is `/command@name`.
fn command_without<'a>(word: &'a str, name: &str) -> Option<&'a str> {
    let (command, to) = word.split_once('@')?;
    (command.starts_with('/') && to.eq_ignore_ascii_case(name)).then_some(command)
}

#[cfg(test)]
mod tests;
