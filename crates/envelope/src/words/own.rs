//! Recognises the bot's own texts when a peer sends them back: an echo, a mailbox that quotes, another bot.

use super::TABLES;

/// The most characters of a text that are compared, without white space. No person begins a message with
/// these characters by chance, and the first line of a quotation contains all of them.
const DECISIVE_CHARACTERS: usize = 24;

/// Whether a text begins as one of the bot's texts does, in any language. Only the beginning of the bot's
/// text counts: up to its first placeholder, and at most 24 characters. White space and case do not count.
/// In front of the first letter, `>` and other signs do not count either.
pub fn are_own(text: &str) -> bool {
    let text = text.trim_start_matches(|c: char| !c.is_alphanumeric());
    let begin: Vec<char> = folded(text).take(DECISIVE_CHARACTERS).collect();
    TABLES
        .iter()
        .flat_map(|words| words.texts())
        // Nearly all texts differ in their first character, which is a letter.
        .filter(|own| own.chars().flat_map(char::to_lowercase).next() == begin.first().copied())
        .any(|own| opening(own).enumerate().all(|(index, expected)| begin.get(index) == Some(&expected)))
}

/// The beginning of one of the bot's texts, as [`are_own`] compares it.
fn opening(own: &str) -> impl Iterator<Item = char> {
    folded(own).take_while(|c| *c != '{').take(DECISIVE_CHARACTERS)
}

/// The characters in lower case, without white space: a quotation can break lines at other places, and in
/// French a no-break space can be in front of a colon.
fn folded(text: &str) -> impl Iterator<Item = char> {
    text.chars().filter(|c| !c.is_whitespace()).flat_map(char::to_lowercase)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn each_text_of_each_language_is_recognised_in_every_form_of_quotation() {
        let day = Duration::from_secs(86_400);
        for words in TABLES {
            let filled = [
                words.queued("tea"),
                words.reminder_queued("tea", day),
                words.alert("tea"),
                words.changed("tea"),
                words.resolved("tea"),
                words.subscribed("news"),
                words.subscriptions_closed("news"),
                words.code_refused("news"),
                words.unsubscribed("news"),
                words.quiet("22:00-07:00", "Europe/Berlin"),
                words.answer_recorded("Yes"),
                words.answered_before("Yes (Kim)"),
                words.hook("https://bot.example/api/hooks/x", "secret"),
            ];
            for text in filled.iter().map(String::as_str).chain(words.texts()) {
                for before in ["", "  \n\t", "> ", ">> > ", "\u{feff}", "\"", "**", "| ", "\u{201e}", "- "] {
                    assert!(are_own(&format!("{before}{text}")), "{before:?} {text}");
                }
                assert!(are_own(&text.to_uppercase()) && are_own(&text.to_lowercase()), "{text}");
                assert!(are_own(&text.replace(" :", "\u{a0}:").replace(' ', "\n")), "{text}");
                assert!(!are_own(&format!("I am away. You wrote: {text}")), "{text}");
            }
        }
    }

    #[test]
    fn opening_of_each_text_has_at_least_20_characters_or_is_queued_or_alert() {
        for words in TABLES {
            for text in words.texts() {
                let opening: String = opening(text).collect();
                let is_contract = ["queued:", "alert:"].contains(&&*opening);
                assert!(is_contract || opening.chars().count() >= 20, "{}: {text}", words.language);
            }
        }
    }

    #[test]
    fn text_of_a_person_is_not_recognised_as_the_bots() {
        for text in [
            "",
            "> ",
            "hello",
            "Hello. Send me a message when you are there",
            "Hallo. Ich bin ein Mensch",
            "I am a bot, too",
            "Alert the others",
            "queued",
            "Queued up: three of them",
            "Not done yet",
            "Not done: the laundry",
            "Nicht erledigt: die Steuer",
            "stop",
            "Stopped: the clock in the hall",
            "Started yesterday: nothing came",
            "\u{fc}Queued:",
            "Qu\u{e9}ued:",
        ] {
            assert!(!are_own(text), "{text}");
        }
    }
}
