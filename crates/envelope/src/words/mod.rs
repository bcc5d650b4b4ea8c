//! The texts that people read in chats (one table of texts for each language), and the commands that people
//! write.
//!
//! | to change | look in |
//! |---|---|
//! | a text, or the name of a unit of time | `english.rs`, `german.rs`, `french.rs` |
//! | the list of languages | `TABLES` (here); each language has its own file, such as `english.rs` |
//! | the name of a text, or a placeholder | `table.rs`, and each table |
//! | a command (commands are English in all languages) | `command.rs` |
//! | a time in a command | `time.rs` |
//! | how the bot recognises its own texts when another program sends them back | `own.rs` |

mod command;
mod english;
mod first_word;
mod french;
mod german;
mod own;
mod table;
mod time;

use std::time::Duration;

use bot_framework::ConversationReference;

pub use command::Command;
pub use own::are_own;
pub use table::Words;

/// The tables of texts, one for each language of the bot. If the bot has no table for a person's language, or
/// does not know the language, the person gets English.
const TABLES: [&Words; 3] = [&english::WORDS, &german::WORDS, &french::WORDS];

impl Words {
    /// The texts in the language that the `locale` of an address names.
    pub fn of(address: &ConversationReference) -> &'static Self {
        Self::in_locale(address.locale.as_deref())
    }

    /// The texts in the language of a `locale`, a language tag of BCP 47 such as `de-AT`. The function uses
    /// the part before the first `-` or `_`, and ignores the case. If no table has the language, or if the
    /// locale is missing, the texts are English.
    fn in_locale(locale: Option<&str>) -> &'static Self {
        let language = locale.and_then(|tag| tag.split(['-', '_']).next()).unwrap_or_default();
        TABLES
            .into_iter()
            .find(|words| words.language.eq_ignore_ascii_case(language))
            .unwrap_or(&english::WORDS)
    }

    /// The reply to a person's message that the bot has put on the queue.
    pub fn queued(&self, text: &str) -> String {
        fill(self.queued, &[("text", text)])
    }

    /// The reply to a person's reminder that the bot has put on the queue.
    pub fn reminder_queued(&self, text: &str, after: Duration) -> String {
        fill(self.reminder_queued, &[("text", text), ("time", &time::spoken(after, self))])
    }

    /// The text of an alert, with the word `Alert:` at the beginning. If the alert is only a card, `text` and
    /// the result are empty.
    pub fn alert(&self, text: &str) -> String {
        if text.is_empty() { String::new() } else { fill(self.alert, &[("text", text)]) }
    }

    /// The reply in the thread of an alert after the alert has changed. `text` is the new text of the alert.
    pub fn changed(&self, text: &str) -> String {
        fill(self.changed, &[("text", text)])
    }

    /// The reply in the thread of an alert after the reported problem has ended. `text` is the new text of
    /// the alert.
    pub fn resolved(&self, text: &str) -> String {
        fill(self.resolved, &[("text", text)])
    }

    /// The reply to `subscribe`.
    pub fn subscribed(&self, tag: &str) -> String {
        fill(self.subscribed, &[("tag", tag)])
    }

    /// The reply to `subscribe` if the bot requires a code, and the person wrote no code.
    pub fn subscriptions_closed(&self, tag: &str) -> String {
        fill(self.subscriptions_closed, &[("tag", tag)])
    }

    /// The reply to `subscribe` if the person wrote a code that is not valid for the tag.
    pub fn code_refused(&self, tag: &str) -> String {
        fill(self.code_refused, &[("tag", tag)])
    }

    /// The reply to `unsubscribe`.
    pub fn unsubscribed(&self, tag: &str) -> String {
        fill(self.unsubscribed, &[("tag", tag)])
    }

    /// The reply to `quiet`. `hours` has the form `22:00-07:00`.
    pub fn quiet(&self, hours: &str, zone: &str) -> String {
        let (from, to) = hours.split_once('-').unwrap_or((hours, ""));
        fill(self.quiet, &[("from", from), ("to", to), ("zone", zone)])
    }

    /// The reply that confirms an answer. `text` is the answer, as [`Words::answer`] writes it.
    pub fn answer_recorded(&self, text: &str) -> String {
        fill(self.answer_recorded, &[("text", text)])
    }

    /// The reply to an answer that does not count, because an earlier answer counts. `text` is the earlier
    /// answer, as [`Words::answer`] writes it. If the bot cannot read the earlier answer, `text` is empty.
    pub fn answered_before(&self, text: &str) -> String {
        fill(self.answered_before, &[("text", text)])
    }

    /// An answer as one line of text: the title of the chosen button, the text that the person wrote, and the
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

    /// The reply to `webhook`, with the address, a command line that posts an alert to the address, and the
    /// secret for signatures. The text is Markdown, so that people can copy each of these three values.
    pub fn hook(&self, address: &str, secret: &str) -> String {
        let line = format!(
            "curl -X POST {address} -H 'Content-Type: application/json' -d '{{\"text\": \"It works\"}}'"
        );
        fill(self.hook, &[("address", address), ("try", &line), ("secret", secret)])
    }

    /// Every text that the bot sends as a chat message, in the same order for each language.
    fn texts(&self) -> [&'static str; 38] {
        // If a new field is missing in this pattern, the code does not compile.
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

/// Replaces each placeholder (a name in braces) by the value with this name. The function does not search the
/// values for placeholders, so a value can contain braces.
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

    /// The placeholders of a text, in alphabetical order.
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
    fn texts_differ_within_each_language_and_nearly_all_differ_between_languages() {
        for (index, words) in TABLES.iter().enumerate() {
            let texts = words.texts();
            for (number, text) in texts.iter().enumerate() {
                assert!(!texts[..number].contains(text), "{}: {text} is in the table twice", words.language);
            }
            for other in &TABLES[..index] {
                assert_ne!(words.language, other.language);
                // Two languages can have a few equal texts, such as `Alert: {text}`.
                let same = texts.iter().zip(other.texts()).filter(|(text, other)| **text == *other).count();
                assert!(same <= 3, "{} and {}: {same} equal texts", words.language, other.language);
            }
        }
    }

    #[test]
    fn queued_reply_and_alert_begin_with_the_words_queued_and_alert_in_each_language() {
        for words in TABLES {
            assert_eq!(words.queued("tea"), "Queued: tea");
            assert!(words.reminder_queued("tea", Duration::from_secs(1)).starts_with("Queued: tea ("));
            assert_eq!(words.alert("tea"), "Alert: tea");
            assert_eq!(words.alert(""), "", "a card alone has no text");
        }
    }

    #[test]
    fn help_lists_eight_valid_commands_in_each_language() {
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
    fn first_part_of_the_locale_picks_the_language() {
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
    fn braces_in_the_text_of_a_person_are_not_changed() {
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
