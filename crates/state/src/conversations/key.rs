//! The keys of conversations, the tags that conversations subscribe to, and the row keys of a conversation's
//! rows.

use std::fmt;

use bot_framework::{ConversationReference, is_invisible};
use platform::name_of;
use storage_table::{escape, unescape};

use super::composed::{composed, is_mark};
use super::message_number::MessageNumber;

/// The number of digits in a conversation key.
const DIGITS: usize = 32;

/// The most characters of a tag.
const MAX_TAG: usize = 64;

/// The key of a conversation: 32 hexadecimal digits, a hash of the channel's id (e.g. `msteams`) and the
/// conversation's id.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ConversationKey(String);

impl ConversationKey {
    /// The key of the conversation of `reference`.
    pub fn of(reference: &ConversationReference) -> Self {
        Self::of_ids(&reference.channel_id, &reference.conversation.id)
    }

    /// The key of the conversation with this id on this channel.
    pub fn of_ids(channel_id: &str, conversation_id: &str) -> Self {
        Self(name_of(&[channel_id, conversation_id]))
    }

    /// Parses a conversation key; `None` if the text has another form.
    pub fn parse(text: &str) -> Option<Self> {
        let is_digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        (text.len() == DIGITS && text.bytes().all(is_digit)).then(|| Self(text.into()))
    }

    /// The key as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The first digit of the key. This digit determines the partitions for:
    ///
    /// - the rows of the conversation,
    /// - the ledger's records of the messages that people write in the conversation. (The *ledger* is the
    ///   table with a record of each alert. This table also has records of people's messages.)
    /// - the ledger's counts of the bot's replies in the conversation,
    /// - the ledger's records of alert keys. (A program can give an alert an *alert key*, in the JSON member
    ///   `key`. Alerts with the same alert key share one chat message.)
    pub(crate) fn digit(&self) -> char {
        self.0.chars().next().unwrap_or('0')
    }
}

impl fmt::Display for ConversationKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Returns the key under which the key-value store keeps the [`Fingerprint`](super::Fingerprint) of a
/// conversation. The store can lose the value at any time. Then the bot reads the table.
pub fn fingerprint_key(key: &ConversationKey) -> String {
    format!("known:{key}")
}

/// A tag that conversations subscribe to: one word of at most 64 characters, in lower case and in composed
/// form (NFC: `é` is one character).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Tag(String);

impl Tag {
    /// Parses a tag: letters (with accents and other marks) and digits of any script, and `- _ . : # @ +`. A
    /// tag must not begin with a mark. A tag must not consist only of dots, because a tag can be a segment of
    /// a URL path. Texts give the same tag if they differ only in case, in invisible characters, or in the
    /// composition of letters (`é`, or `e` and a mark).
    pub fn parse(text: &str) -> Option<Self> {
        let text = composed(&lower_case(text)?);
        let fits = |c: char| c.is_alphanumeric() || is_mark(c) || "-_.:#@+".contains(c);
        let is_only_dots = text.chars().all(|c| c == '.');
        let is_word = !is_only_dots && !text.starts_with(is_mark);
        (is_word && text.chars().count() <= MAX_TAG && text.chars().all(fits)).then_some(Self(text))
    }

    /// The tag as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Returns the visible characters of a text in lower case; `None` if the text is too long for any tag. The
/// limit is higher than [`MAX_TAG`], because NFC can compose several characters into one.
fn lower_case(text: &str) -> Option<String> {
    const MAX_PARTS_OF_A_CHARACTER: usize = 8;
    let is_short = text.chars().nth(MAX_TAG * MAX_PARTS_OF_A_CHARACTER).is_none();
    let visible = || text.chars().filter(|c| !is_invisible(*c)).collect::<String>();
    // The lower case of the Turkish capital İ is an `i` with an additional dot, U+0307. The dot is removed,
    // so that `İSTANBUL` and `istanbul` give the same tag.
    is_short.then(|| visible().to_lowercase().replace("i\u{307}", "i"))
}

/// The kind of a row. The rows of a conversation are in the partition `c<digit>`, where `<digit>` is the
/// first digit of the conversation's key.
#[derive(Debug, PartialEq)]
pub(super) enum Row {
    Record,
    Stop,
    /// The tombstone: the time at which the conversation was forgotten.
    Forgotten,
    /// The quiet hours.
    Quiet,
    /// Which webhook address works.
    Hook,
    /// The reactions and replies to one of the bot's chat messages, and the open question of the message.
    Responses(MessageNumber),
    /// A subscription to a tag. [`Row::parse`] does not check the tag. A check would add the Unicode
    /// tables for lower case to the poller's component.
    Tag(Tag),
}

impl Row {
    /// Makes the row key of this kind of row for a conversation.
    pub(super) fn of(&self, key: &ConversationKey) -> String {
        match self {
            Self::Record => key.to_string(),
            Self::Stop => format!("{key}.s"),
            Self::Forgotten => format!("{key}.f"),
            Self::Quiet => format!("{key}.w"),
            Self::Hook => format!("{key}.h"),
            Self::Responses(message) => format!("{key}.r.{message}"),
            Self::Tag(tag) => format!("{key}.t.{}", escape(tag.as_str())),
        }
    }

    /// Parses a row key. Returns the key of the conversation, and the row's kind; `None` for rows that this
    /// version does not write.
    pub(super) fn parse(row: &str) -> Option<(ConversationKey, Self)> {
        let key = ConversationKey::parse(row.get(..DIGITS)?)?;
        let row = match row.get(DIGITS..)? {
            "" => Self::Record,
            ".s" => Self::Stop,
            ".f" => Self::Forgotten,
            ".w" => Self::Quiet,
            ".h" => Self::Hook,
            rest => match rest.strip_prefix(".r.") {
                Some(message) => Self::Responses(MessageNumber::parse(message)?),
                None => Self::Tag(Tag(unescape(rest.strip_prefix(".t.")?)?)),
            },
        };
        Some((key, row))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "0123456789abcdef0123456789abcdef";

    #[test]
    fn conversation_key_of_another_form_than_32_hexadecimal_digits_is_refused() {
        assert_eq!(ConversationKey::parse(KEY).unwrap().as_str(), KEY);
        for text in ["", &KEY[1..], &format!("{KEY}0"), &KEY.to_uppercase(), &KEY.replace('a', "g")] {
            assert_eq!(ConversationKey::parse(text), None, "{text}");
        }
    }

    #[test]
    fn tag_that_is_not_one_word_of_at_most_64_characters_is_refused() {
        let longest = "x".repeat(64);
        for (text, expected) in [
            ("orders-42", Some("orders-42")),
            ("Orders-42", Some("orders-42")),
            ("größe", Some("größe")),
            ("a.b:c#d@e+f_g", Some("a.b:c#d@e+f_g")),
            (&longest, Some(longest.as_str())),
            (&format!("{longest}x"), None),
            ("..a", Some("..a")),
            ("", None),
            (".", None),
            ("..", None),
            ("a b", None),
            ("a/b", None),
            ("<b>", None),
        ] {
            assert_eq!(Tag::parse(text).as_ref().map(Tag::as_str), expected, "{text}");
        }
    }

    #[test]
    fn tag_in_another_case_or_composition_is_the_same_tag() {
        for (texts, expected) in [
            (&["größe", "gro\u{308}ße", "GRÖẞE", "GRO\u{308}ẞE"][..], "größe"),
            (&["istanbul", "İSTANBUL", "I\u{307}stanbul", "i\u{307}stanbul", "ISTANBUL"], "istanbul"),
            (&["ısparta"], "ısparta"),
            (&["हिन्दी", "हि\u{200d}न्दी\u{200b}"], "हिन्दी"),
            // NFC decomposes U+095B into a letter and a dot, and does not compose them again.
            (&["\u{95b}ी", "\u{91c}\u{93c}ी"], "\u{91c}\u{93c}ी"),
            (&["한국", "\u{1112}\u{1161}\u{11ab}\u{1100}\u{116e}\u{11a8}"], "한국"),
            (&["ệ", "e\u{302}\u{323}", "e\u{323}\u{302}", "\u{1eb9}\u{302}"], "ệ"),
        ] {
            for text in texts {
                assert_eq!(Tag::parse(text).as_ref().map(Tag::as_str), Some(expected), "{text}");
            }
        }
        for text in ["\u{301}", "\u{94d}a", "\u{200b}", &"e\u{301}".repeat(65), &"\u{200b}".repeat(100_000)] {
            assert_eq!(Tag::parse(text), None, "{text:.20}");
        }
        assert_eq!(Tag::parse(&"e\u{301}".repeat(64)).unwrap().as_str(), "é".repeat(64));
    }

    #[test]
    fn row_keys_survive_a_round_trip_and_foreign_row_keys_are_refused() {
        let key = ConversationKey::parse(KEY).unwrap();
        let tag = |text: &str| Row::Tag(Tag::parse(text).unwrap());
        for row in [
            Row::Record,
            Row::Stop,
            Row::Forgotten,
            Row::Quiet,
            Row::Hook,
            Row::Responses(MessageNumber::parse("1795167064521").unwrap()),
            tag("s"),
            tag("a.b:c#d@e+f_g"),
            tag("größe"),
            tag(&"#".repeat(64)),
        ] {
            let text = row.of(&key);
            assert!(text.starts_with(KEY) && !text.contains(['/', '\\', '#', '?']), "{text}");
            assert_eq!(Row::parse(&text), Some((key.clone(), row)), "{text}");
        }
        for foreign in [
            "",
            "run",
            &KEY[1..],
            &format!("{KEY}.x"),
            &format!("{KEY}s"),
            &format!("{KEY}.t"),
            &format!("{KEY}.r.x"),
            "ü",
        ] {
            assert_eq!(Row::parse(foreign), None, "{foreign}");
        }
    }
}
