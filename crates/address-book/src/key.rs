//! Names of conversations, and of what they are tagged with.

use std::fmt;

use bot_framework::ConversationReference;
use platform::name_of;

/// Names a conversation: 32 hexadecimal digits, made of its channel's and its own id.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ConversationKey(String);

impl ConversationKey {
    pub(crate) const PREFIX: &str = "conv:";

    /// The key of the conversation that `reference` leads to.
    pub fn of(reference: &ConversationReference) -> Self {
        Self(name_of(&[&reference.channel_id, &reference.conversation.id]))
    }

    /// A key as it was written before; `None` if it cannot be one.
    pub fn parse(text: &str) -> Option<Self> {
        let is_digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        (text.len() == 32 && text.bytes().all(is_digit)).then(|| Self(text.into()))
    }

    /// Its text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Where its record stands in key-value.
    pub(crate) fn of_record(&self) -> String {
        format!("{}{}", Self::PREFIX, self.0)
    }

    /// Its first digit, by which long lists are spread.
    pub(crate) fn shard(&self) -> char {
        self.0.chars().next().unwrap_or('0')
    }
}

impl fmt::Display for ConversationKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What a conversation subscribes to: one word of at most 64 characters, in lower case.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Tag(String);

impl Tag {
    /// A tag as somebody wrote it: letters and digits of any script, and `- _ . : # @ +`. Case does not matter.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.to_lowercase();
        let fits = |c: char| c.is_alphanumeric() || "-_.:#@+".contains(c);
        (!text.is_empty() && text.chars().count() <= 64 && text.chars().all(fits)).then_some(Self(text))
    }

    /// A tag as it was stored: one that [`Tag::parse`] has made. The poller reads tags and never makes one, so its wasm
    /// goes without the tables of what is lower case.
    pub(crate) fn from_record(text: &str) -> Self {
        Self(text.into())
    }

    /// Its text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_32_digits() {
        let key = "0123456789abcdef0123456789abcdef";
        assert_eq!(ConversationKey::parse(key).unwrap().as_str(), key);
        for text in ["", &key[1..], &format!("{key}0"), &key.to_uppercase(), &key.replace('a', "g")] {
            assert_eq!(ConversationKey::parse(text), None, "{text}");
        }
    }

    #[test]
    fn tags_are_words() {
        let longest = "x".repeat(64);
        for (text, expected) in [
            ("orders-42", Some("orders-42")),
            ("Orders-42", Some("orders-42")),
            ("größe", Some("größe")),
            ("a.b:c#d@e+f_g", Some("a.b:c#d@e+f_g")),
            (&longest, Some(longest.as_str())),
            (&format!("{longest}x"), None),
            ("", None),
            ("a b", None),
            ("a/b", None),
            ("<b>", None),
        ] {
            assert_eq!(Tag::parse(text).as_ref().map(Tag::as_str), expected, "{text}");
        }
    }
}
