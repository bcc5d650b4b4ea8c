//! The bot's own words, sent back by somebody: an echo, a mailbox that quotes, another bot.

/// How everything begins that the bot says.
const OPENINGS: [&str; 11] = [
    "Queued:",
    "Alert:",
    "Subscribed:",
    "Unsubscribed:",
    "Stopped:",
    "Started:",
    "Not done:",
    "Not queued:",
    "Not queued this time:",
    "Perhaps queued:",
    "Nothing happened:",
];

/// The same of sentences without such a word: so much of them that no person begins like that by chance.
const SENTENCES: [&str; 2] = [super::GREETING, super::HELP];
const SENTENCE_BYTES: usize = 40;

/// Whether a text begins with something that the bot says. White space, `>` and other signs in front of the first letter do
/// not matter, and neither does case.
pub fn are_own(text: &str) -> bool {
    let text = text.trim_start_matches(|c: char| !c.is_alphanumeric());
    let begins_with = |words: &str| {
        text.as_bytes().get(..words.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(words.as_bytes()))
    };
    OPENINGS.into_iter().any(begins_with)
        || SENTENCES.into_iter().any(|sentence| sentence.get(..SENTENCE_BYTES).is_some_and(begins_with))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::*;

    #[test]
    fn everything_that_the_bot_says_is_its_own_however_it_is_quoted() {
        let day = Duration::from_secs(86_400);
        let said = [
            &*queued("tea"),
            &*reminder_queued("tea", day),
            &*alert("tea"),
            &*subscribed("news"),
            &*unsubscribed("news"),
            STOPPED,
            NOT_STOPPED,
            STARTED,
            HELP,
            NO_TAG,
            TOO_MANY_TAGS,
            TOO_FAR,
            NOT_REMEMBERED,
            QUEUE_UNAVAILABLE,
            LEDGER_UNAVAILABLE,
            PERHAPS_QUEUED,
            REMINDER_PERHAPS_QUEUED,
            TOO_LONG,
            NOTHING_TO_QUEUE,
            NOTHING_BEHIND_BUTTON,
            GREETING,
        ];
        for words in said {
            for before in ["", "  \n\t", "> ", ">> > ", "\u{feff}", "\"", "**", "| ", "\u{201e}", "- "] {
                assert!(are_own(&format!("{before}{words}")), "{before:?} {words}");
            }
            assert!(are_own(&words.to_uppercase()) && are_own(&words.to_lowercase()), "{words}");
            assert!(!are_own(&format!("I am away. You wrote: {words}")), "{words}");
        }
    }

    #[test]
    fn words_of_people_are_not_the_bots() {
        for text in [
            "",
            "> ",
            "hello",
            "Hello. Send me a message when you are there",
            "What you send me is late",
            "Alert the others",
            "queued",
            "Queued up: three of them",
            "Not done yet",
            "stop",
            "Started yesterday: nothing came",
            "\u{fc}Queued:",
            "Qu\u{e9}ued:",
        ] {
            assert!(!are_own(text), "{text}");
        }
    }
}
