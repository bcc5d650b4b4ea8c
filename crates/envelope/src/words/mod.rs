//! The texts that people read in chats, one table for each language; and the commands that people write.
//!
//! | to change | look in |
//! |---|---|
//! | a text, or the name of a unit of time | `english.rs`, `german.rs`, `french.rs` |
//! | a language: copy one of these files, translate it, and add it to `TABLES` | here |
//! | a key or a placeholder | [`Words`], and each table |
//! | a command, which is English in each language | `command.rs` |
//! | a time in a command | `time.rs` |
//! | how the bot knows its own texts when a peer sends them back | `own.rs` |

mod command;
mod english;
mod french;
mod german;
mod own;
mod time;

use std::time::Duration;

use bot_framework::ConversationReference;

pub use command::Command;
pub use own::are_own;

/// The languages of the bot. The first one is for every person whose language is unknown.
const TABLES: [&Words; 3] = [&english::WORDS, &german::WORDS, &french::WORDS];

/// The texts of one language.
///
/// A key is a field, so no table can leave one out. In a text, a name in braces is a placeholder. The method
/// with the key's name puts a value in its place. The tests check that each language has the same
/// placeholders in a key.
///
/// Two words are English in each language, because programs know the bot's messages by them: an
/// acknowledgement begins with `Queued:` and an alert with `Alert:`, and the person's own text follows. The
/// commands in the texts are English too, because [`Command`] understands no other language.
///
/// The first words of each text also protect the bot from talking to itself (see [`are_own`]). So each text
/// begins with a letter, and no person begins a message with the same words by chance.
#[derive(Debug)]
pub struct Words {
    /// The language: a primary subtag of BCP 47 in lower case.
    language: &'static str,
    /// `{text}`
    queued: &'static str,
    /// `{text}`, `{time}`
    reminder_queued: &'static str,
    /// `{text}`
    alert: &'static str,
    /// `{text}`
    changed: &'static str,
    /// `{text}`
    resolved: &'static str,
    /// `{tag}`
    subscribed: &'static str,
    /// `{tag}`
    subscriptions_closed: &'static str,
    /// `{tag}`
    code_refused: &'static str,
    /// `{tag}`
    unsubscribed: &'static str,
    /// Answers `stop`.
    pub stopped: &'static str,
    /// Answers `start`.
    pub started: &'static str,
    /// Answers `stop` in a group, where it does nothing.
    pub not_stopped: &'static str,
    /// `{from}`, `{to}`, `{zone}`
    quiet: &'static str,
    /// Answers `quiet off`.
    pub quiet_ended: &'static str,
    /// Answers `quiet` in a group, where it does nothing.
    pub not_quiet: &'static str,
    /// Answers `quiet` if the bot cannot read the hours.
    pub no_hours: &'static str,
    /// Answers `help`.
    pub help: &'static str,
    /// Answers `subscribe` and `unsubscribe` if the word behind them cannot be a tag.
    pub no_tag: &'static str,
    /// Answers `subscribe` if the conversation has as many subscriptions as it may have.
    pub too_many_tags: &'static str,
    /// `{address}`, `{try}`, `{secret}`
    hook: &'static str,
    /// Answers `webhook` in a group, if the bot sends the address to the person's own chat.
    pub hook_sent: &'static str,
    /// Answers `webhook off`.
    pub hook_ended: &'static str,
    /// Answers `webhook` if the bot cannot make an address.
    pub no_hook_address: &'static str,
    /// Answers a reminder that is too far ahead.
    pub too_far: &'static str,
    /// Answers a command that the bot could not store.
    pub not_remembered: &'static str,
    /// Answers a message that the queue did not take. The queue has no copy of it.
    pub queue_unavailable: &'static str,
    /// Answers a message that the bot did not put on the queue, because the ledger did not answer. An earlier
    /// call of the channel with the same message may have put it there.
    pub ledger_unavailable: &'static str,
    /// Answers a message if the bot does not know whether the queue took it.
    pub perhaps_queued: &'static str,
    /// Answers a reminder if the bot does not know whether the queue took it.
    pub reminder_perhaps_queued: &'static str,
    /// Answers a message that is too long for the queue.
    pub too_long: &'static str,
    /// Answers a message without text.
    pub nothing_to_queue: &'static str,
    /// Answers a pressed button of a card that sends no text.
    pub nothing_behind_button: &'static str,
    /// The title of the button that `acknowledge` adds. It is not the text of a message, so `texts` leaves it
    /// out.
    pub acknowledge: &'static str,
    /// `{text}`
    answer_recorded: &'static str,
    /// `{text}`
    answered_before: &'static str,
    /// Answers an answer to a question that has ended.
    pub question_over: &'static str,
    /// Answers a button that the bot did not make, or made for another conversation.
    pub question_unknown: &'static str,
    /// Answers an answer that the bot could not store.
    pub answer_not_recorded: &'static str,
    /// Greets when the bot is added to a conversation.
    pub greeting: &'static str,
    /// One week and several weeks, then days, hours, minutes and seconds. The words have the case that
    /// `{time}` needs in [`Words::reminder_queued`].
    units: [(&'static str, &'static str); 5],
    /// No time at all: zero seconds.
    no_time: &'static str,
}

impl Words {
    /// The texts in the language of the person at this address.
    pub fn of(address: &ConversationReference) -> &'static Self {
        Self::in_locale(address.locale.as_deref())
    }

    /// The texts in the language of a `locale`, a tag of BCP 47. Only its first part counts, in upper or
    /// lower case; `_` separates parts as `-` does. English if the locale is missing, or has another language
    /// than the tables.
    fn in_locale(locale: Option<&str>) -> &'static Self {
        let language = locale.and_then(|tag| tag.split(['-', '_']).next()).unwrap_or_default();
        TABLES
            .into_iter()
            .find(|words| words.language.eq_ignore_ascii_case(language))
            .unwrap_or(&english::WORDS)
    }

    /// Answers a message that is on the queue now.
    pub fn queued(&self, text: &str) -> String {
        fill(self.queued, &[("text", text)])
    }

    /// Answers a reminder that is on the queue now.
    pub fn reminder_queued(&self, text: &str, after: Duration) -> String {
        fill(self.reminder_queued, &[("text", text), ("time", &time::spoken(after, self))])
    }

    /// The alert itself. An alert that is only a card has no text, and gets none.
    pub fn alert(&self, text: &str) -> String {
        if text.is_empty() { String::new() } else { fill(self.alert, &[("text", text)]) }
    }

    /// Says in the thread of an alert that the alert has changed. `text` is the text of the alert.
    pub fn changed(&self, text: &str) -> String {
        fill(self.changed, &[("text", text)])
    }

    /// Says in the thread of an alert that its problem has ended. `text` is the text of the alert.
    pub fn resolved(&self, text: &str) -> String {
        fill(self.resolved, &[("text", text)])
    }

    /// Answers `subscribe`.
    pub fn subscribed(&self, tag: &str) -> String {
        fill(self.subscribed, &[("tag", tag)])
    }

    /// Answers `subscribe` without the code that the tag needs.
    pub fn subscriptions_closed(&self, tag: &str) -> String {
        fill(self.subscriptions_closed, &[("tag", tag)])
    }

    /// Answers `subscribe` with a code that is not valid for the tag.
    pub fn code_refused(&self, tag: &str) -> String {
        fill(self.code_refused, &[("tag", tag)])
    }

    /// Answers `unsubscribe`.
    pub fn unsubscribed(&self, tag: &str) -> String {
        fill(self.unsubscribed, &[("tag", tag)])
    }

    /// Answers `quiet`. `hours` are of the form `22:00-07:00`.
    pub fn quiet(&self, hours: &str, zone: &str) -> String {
        let (from, to) = hours.split_once('-').unwrap_or((hours, ""));
        fill(self.quiet, &[("from", from), ("to", to), ("zone", zone)])
    }

    /// Confirms an answer. `text` is [`Words::answer`].
    pub fn answer_recorded(&self, text: &str) -> String {
        fill(self.answer_recorded, &[("text", text)])
    }

    /// Answers a further answer that does not count, because an earlier answer counts. `text` is the earlier
    /// answer, as [`Words::answer`] makes it, or is empty.
    pub fn answered_before(&self, text: &str) -> String {
        fill(self.answered_before, &[("text", text)])
    }

    /// An answer, as the card shows it: the title of the action, the text that the person wrote, and the
    /// person's name.
    pub fn answer(title: &str, input: Option<&str>, name: Option<&str>) -> String {
        let input = input.map(|input| if title.is_empty() { input.to_owned() } else { format!(": {input}") });
        let name = name.map(|name| format!(" ({name})"));
        [title, input.as_deref().unwrap_or_default(), name.as_deref().unwrap_or_default()].concat()
    }

    /// The texts in English.
    #[cfg(test)]
    pub(crate) fn english() -> &'static Self {
        &english::WORDS
    }

    /// Answers `webhook`, with the address, a command line that tries it, and the secret that signs. The text
    /// is Markdown, in which people can copy each of them.
    pub fn hook(&self, address: &str, secret: &str) -> String {
        let line = format!(
            "curl -X POST {address} -H 'Content-Type: application/json' -d '{{\"text\": \"It works\"}}'"
        );
        fill(self.hook, &[("address", address), ("try", &line), ("secret", secret)])
    }

    /// Every text of the table, in the same order for each language.
    fn texts(&self) -> [&'static str; 38] {
        // A new key that is missing here does not compile.
        let Self {
            language: _,
            queued,
            reminder_queued,
            alert,
            changed,
            resolved,
            subscribed,
            subscriptions_closed,
            code_refused,
            unsubscribed,
            stopped,
            started,
            not_stopped,
            quiet,
            quiet_ended,
            not_quiet,
            no_hours,
            help,
            no_tag,
            too_many_tags,
            hook,
            hook_sent,
            hook_ended,
            no_hook_address,
            too_far,
            not_remembered,
            queue_unavailable,
            ledger_unavailable,
            perhaps_queued,
            reminder_perhaps_queued,
            too_long,
            nothing_to_queue,
            nothing_behind_button,
            acknowledge: _,
            answer_recorded,
            answered_before,
            question_over,
            question_unknown,
            answer_not_recorded,
            greeting,
            units: _,
            no_time: _,
        } = *self;
        [
            queued,
            reminder_queued,
            alert,
            changed,
            resolved,
            subscribed,
            subscriptions_closed,
            code_refused,
            unsubscribed,
            stopped,
            started,
            not_stopped,
            quiet,
            quiet_ended,
            not_quiet,
            no_hours,
            help,
            no_tag,
            too_many_tags,
            hook,
            hook_sent,
            hook_ended,
            no_hook_address,
            too_far,
            not_remembered,
            queue_unavailable,
            ledger_unavailable,
            perhaps_queued,
            reminder_perhaps_queued,
            too_long,
            nothing_to_queue,
            nothing_behind_button,
            answer_recorded,
            answered_before,
            question_over,
            question_unknown,
            answer_not_recorded,
            greeting,
        ]
    }
}

/// Replaces each name in braces by its value. The function reads each part of the template once, so a value
/// may contain braces.
fn fill(template: &str, values: &[(&str, &str)]) -> String {
    let mut filled = String::new();
    let mut rest = template;
    while let Some((before, after)) = rest.split_once('{') {
        let (placeholder, after) = after.split_once('}').unwrap_or((after, ""));
        filled.push_str(before);
        filled.extend(values.iter().filter(|(name, _)| *name == placeholder).map(|(_, value)| *value));
        rest = after;
    }
    filled.push_str(rest);
    filled
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The placeholders of a text, in the order of the alphabet.
    fn placeholders(text: &str) -> Vec<&str> {
        let mut names: Vec<_> = text.split('{').skip(1).map(|rest| rest.split('}').next().unwrap()).collect();
        names.sort_unstable();
        names.dedup();
        names
    }

    #[test]
    fn each_language_has_each_text_and_the_same_placeholders() {
        let english = english::WORDS.texts();
        for words in TABLES {
            let units = words.units.iter().flat_map(|(one, several)| [*one, *several]);
            assert!(units.chain([words.no_time]).all(|unit| !unit.is_empty()), "{}", words.language);
            for (text, english) in words.texts().into_iter().zip(english) {
                assert!(text.starts_with(char::is_alphabetic), "{}: {english:?}: {text:?}", words.language);
                assert_eq!(placeholders(text), placeholders(english), "{}: {text}", words.language);
            }
        }
    }

    #[test]
    fn languages_differ_and_each_text_of_a_language_differs() {
        for (index, words) in TABLES.iter().enumerate() {
            let texts = words.texts();
            for (number, text) in texts.iter().enumerate() {
                assert!(!texts[..number].contains(text), "{}: {text} is there twice", words.language);
            }
            for other in &TABLES[..index] {
                assert_ne!(words.language, other.language);
                // Two languages may share a text, if both use the same words for it.
                let same = texts.iter().zip(other.texts()).filter(|(text, other)| **text == *other).count();
                assert!(same <= 3, "{} and {}: {same} equal texts", words.language, other.language);
            }
        }
    }

    #[test]
    fn acknowledgement_and_alert_begin_in_english_in_each_language() {
        for words in TABLES {
            assert_eq!(words.queued("tea"), "Queued: tea");
            assert!(words.reminder_queued("tea", Duration::from_secs(1)).starts_with("Queued: tea ("));
            assert_eq!(words.alert("tea"), "Alert: tea");
            assert_eq!(words.alert(""), "", "a card alone has no text");
        }
    }

    #[test]
    fn help_explains_each_command_in_each_language() {
        for words in TABLES {
            let lines: Vec<_> = words.help.lines().skip(1).collect();
            let commands: Vec<_> = lines
                .iter()
                .map(|line| line.strip_prefix("- ").unwrap().split(':').next().unwrap().trim_end())
                .collect();
            let known = commands.iter().filter(|command| Command::parse(command).is_some()).count();
            assert_eq!((commands.len(), known), (8, 8), "lines, commands: {}", words.help);
        }
    }

    #[test]
    fn locale_picks_the_language_by_its_first_part() {
        for (locale, expected) in [
            (Some("en-US"), "en"),
            (Some("de-DE"), "de"),
            (Some("de"), "de"),
            (Some("DE"), "de"),
            (Some("de_AT"), "de"),
            (Some("de-Latn-CH"), "de"),
            (Some("fr-CA"), "fr"),
            (Some("FR_be"), "fr"),
            (Some("den"), "en"),
            (Some("frr-DE"), "en"),
            (Some("ja-JP"), "en"),
            (Some("x-de"), "en"),
            (Some("-de"), "en"),
            (Some(""), "en"),
            (None, "en"),
        ] {
            assert_eq!(Words::in_locale(locale).language, expected, "{locale:?}");
        }
    }

    #[test]
    fn reminder_in_each_language_names_the_time() {
        for (locale, seconds, expected) in [
            ("en", 600, "Queued: tea (in 10 minutes)"),
            ("de", 600, "Queued: tea (in 10 Minuten)"),
            ("de", 90_061, "Queued: tea (in 1 Tag 1 Stunde 1 Minute 1 Sekunde)"),
            ("de", 1_382_400, "Queued: tea (in 2 Wochen 2 Tagen)"),
            ("fr", 600, "Queued: tea (dans 10 minutes)"),
            ("fr", 0, "Queued: tea (dans 0 seconde)"),
        ] {
            let words = Words::in_locale(Some(locale));
            assert_eq!(words.reminder_queued("tea", Duration::from_secs(seconds)), expected);
        }
    }

    #[test]
    fn text_of_a_person_with_braces_stays_as_it_is() {
        let minute = Duration::from_secs(60);
        for text in ["{time}", "{text}", "a {", "} b", "{}", "{tag} {time}", ""] {
            for words in TABLES {
                assert_eq!(words.queued(text), format!("Queued: {text}"));
                assert!(
                    words.reminder_queued(text, minute).starts_with(&format!("Queued: {text} (")),
                    "{text}"
                );
            }
        }
    }
}
