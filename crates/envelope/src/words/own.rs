//! Recognises the bot's own texts when another program sends these texts back. Such a program is, for
//! example, an echo bot, or a mailbox that quotes messages.

use super::TABLES;

/// The largest number of characters that [`are_own`] compares, without white space. 24 characters are enough,
/// because no person begins a message by chance with the same 24 characters as a text of the bot. More
/// characters could be on the second line of a quotation. This line can begin with a sign such as `>`, and
/// the comparison would not ignore this sign.
const DECISIVE_CHARACTERS: usize = 24;

/// Whether a text begins in the same way as one of the bot's texts, in any language. The comparison ends at
/// the first placeholder of the bot's text, or after 24 characters. The function ignores white space, case,
/// and all signs before the first letter or digit, such as `>`.
pub fn are_own(text: &str) -> bool {
    let text = text.trim_start_matches(|c: char| !c.is_alphanumeric());
    let begin: Vec<char> = folded(text).take(DECISIVE_CHARACTERS).collect();
    TABLES
        .iter()
        .flat_map(|words| words.texts())
        // The filter saves time, because nearly all of the bot's texts have another first character.
        .filter(|own| own.chars().flat_map(char::to_lowercase).next() == begin.first().copied())
        .any(|own| opening(own).enumerate().all(|(index, expected)| begin.get(index) == Some(&expected)))
}

/// The beginning of one of the bot's texts, as [`are_own`] compares it.
fn opening(own: &str) -> impl Iterator<Item = char> {
    folded(own).take_while(|c| *c != '{').take(DECISIVE_CHARACTERS)
}

/// The characters in lower case, without white space. The white space can differ: a quotation can break lines
/// at other places, and French can have a no-break space before a colon.
fn folded(text: &str) -> impl Iterator<Item = char> {
    text.chars().filter(|c| !c.is_whitespace()).flat_map(char::to_lowercase)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn text_of_the_bot_is_recognised_in_each_language_and_each_form_of_quotation() {
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
    fn compared_beginning_has_at_least_20_characters_unless_it_is_the_word_queued_or_alert() {
        for words in TABLES {
            for text in words.texts() {
                let opening: String = opening(text).collect();
                let is_queued_or_alert = ["queued:", "alert:"].contains(&&*opening);
                assert!(is_queued_or_alert || opening.chars().count() >= 20, "{}: {text}", words.language);
            }
        }
    }

    #[test]
    fn text_of_a_person_is_not_recognised_as_a_text_of_the_bot() {
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
