//! The commands that people write to the bot. All commands are in English.

use std::time::Duration;

use bot_framework::is_invisible;
use zones::ClockSpan;

use super::first_word::next_word;
use super::time;

/// A command that a person has written to the bot. If a message is no command, the bot usually sends the text
/// of the message back as an alert.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// Subscribes the conversation to a tag. A *tag* is the name of a topic: an alert to the tag goes to all
    /// subscribers of the tag.
    Subscribe {
        /// The tag.
        tag: String,
        /// The code that the person wrote. A valid code allows the subscription.
        code: Option<String>,
    },
    /// Ends the subscription to this tag.
    Unsubscribe(String),
    /// Stops the alerts that programs send to this conversation. The bot still sends the person's reminders,
    /// and still sends the person's own messages back.
    Stop,
    /// Allows the alerts of programs again, after [`Command::Stop`].
    Start,
    /// Sets the quiet hours, in which the person wants no alerts. `None` if the bot cannot read the hours.
    Quiet(Option<ClockSpan>),
    /// Ends the quiet hours.
    QuietOff,
    /// Asks for the list of commands.
    Help,
    /// Asks for the webhook address of the conversation: the URL to which a program can post alerts.
    Webhook,
    /// Asks for a new webhook address, which replaces the old address.
    NewWebhook,
    /// Deletes the webhook address of the conversation.
    EndWebhook,
    /// Asks the bot to send a text after a time.
    Remind(Duration, String),
}

/// The form of the text that follows a command's first words.
enum Pattern {
    Nothing(fn() -> Command),
    OneWord(fn(String) -> Command),
    TagAndCode,
    Hours,
    TimeAndText(fn(Duration, String) -> Command),
}

const COMMANDS: [(&str, Pattern); 11] = [
    ("subscribe", Pattern::TagAndCode),
    ("unsubscribe", Pattern::OneWord(Command::Unsubscribe)),
    ("stop", Pattern::Nothing(|| Command::Stop)),
    ("start", Pattern::Nothing(|| Command::Start)),
    ("quiet off", Pattern::Nothing(|| Command::QuietOff)),
    ("quiet", Pattern::Hours),
    ("help", Pattern::Nothing(|| Command::Help)),
    ("webhook new", Pattern::Nothing(|| Command::NewWebhook)),
    ("webhook off", Pattern::Nothing(|| Command::EndWebhook)),
    ("webhook", Pattern::Nothing(|| Command::Webhook)),
    ("remind me in", Pattern::TimeAndText(Command::Remind)),
];

impl Command {
    /// Reads a person's message as a command. The command must be the whole message, so `stop it` is not a
    /// command. In the words of the command, case and invisible characters do not matter. A `/` before
    /// the command is allowed, because commands begin with `/` on some channels.
    pub fn parse(message: &str) -> Option<Self> {
        let message = trim(message);
        let message = message.strip_prefix('/').unwrap_or(message);
        COMMANDS.iter().find_map(|(first_words, pattern)| {
            let rest = after_words(message, first_words)?;
            match pattern {
                Pattern::Nothing(command) => rest.is_empty().then(command),
                Pattern::OneWord(command) => {
                    let is_word = !rest.is_empty() && !rest.contains(char::is_whitespace);
                    is_word.then(|| command(rest.to_owned()))
                }
                Pattern::TagAndCode => {
                    let (tag, code) = next_word(rest);
                    let is_command = !tag.is_empty() && (code.is_empty() || looks_like_code(code));
                    let code = Some(code.to_owned()).filter(|code| !code.is_empty());
                    is_command.then(|| Command::Subscribe { tag: tag.to_owned(), code })
                }
                Pattern::Hours => looks_like_hours(rest).then(|| Command::Quiet(ClockSpan::parse(rest))),
                Pattern::TimeAndText(command) => {
                    let (after, text) = time::take(rest)?;
                    (!text.is_empty()).then(|| command(after, text.to_owned()))
                }
            }
        })
    }
}

/// The rest of `message` after these first words, without white space around the rest. `None` if `message`
/// does not begin with the words.
fn after_words<'a>(message: &'a str, words: &str) -> Option<&'a str> {
    words.split(' ').try_fold(message, |rest, expected| {
        let (word, rest) = next_word(rest);
        let word = word.chars().filter(|c| !is_invisible(*c)).flat_map(char::to_lowercase);
        word.eq(expected.chars()).then(|| trim(rest))
    })
}

fn trim(text: &str) -> &str {
    text.trim_matches(|c: char| c.is_whitespace() || is_invisible(c))
}

/// Whether the person probably meant hours, perhaps with typing errors. The message `quiet please` contains
/// no hours, so this message is not a command.
fn looks_like_hours(text: &str) -> bool {
    let is_of_hours = |c: char| c.is_ascii_digit() || c == ' ' || ":.-\u{2013}\u{2014}".contains(c);
    text.starts_with(|c: char| c.is_ascii_digit()) && text.chars().all(is_of_hours)
}

/// Whether the person probably meant a code, perhaps with typing errors. The message
/// `subscribe to newsletters` contains no code, so this message is not a command.
fn looks_like_code(word: &str) -> bool {
    let has_only_code_characters = word.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    has_only_code_characters && word.len() >= 20 && word.bytes().any(|byte| !byte.is_ascii_alphabetic())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn command_is_read_only_if_it_is_the_whole_message() {
        let remind =
            |seconds, text: &str| Some(Command::Remind(Duration::from_secs(seconds), text.to_owned()));
        let subscribe = |tag: &str, code: Option<&str>| {
            Some(Command::Subscribe { tag: tag.to_owned(), code: code.map(str::to_owned) })
        };
        let quiet = |hours: &str| Some(Command::Quiet(Some(ClockSpan::parse(hours).unwrap())));
        for (message, expected) in [
            ("stop", Some(Command::Stop)),
            ("  STOP\n", Some(Command::Stop)),
            ("Start", Some(Command::Start)),
            ("help", Some(Command::Help)),
            ("/stop", Some(Command::Stop)),
            (" /Help ", Some(Command::Help)),
            ("/subscribe news", subscribe("news", None)),
            ("quiet 22:00-07:00", quiet("22:00-07:00")),
            ("Quiet 22 \u{2013} 7", quiet("22:00-07:00")),
            ("quiet 22-22", Some(Command::Quiet(None))),
            ("quiet 22:00", Some(Command::Quiet(None))),
            ("quiet 25:00-07:00", Some(Command::Quiet(None))),
            ("/quiet off", Some(Command::QuietOff)),
            ("quiet", None),
            ("quiet please", None),
            ("quiet 22:00-07:00 please", None),
            ("quiet off now", None),
            ("stop\u{200b}", Some(Command::Stop)),
            ("\u{200e}st\u{ad}op\u{200f} \u{feff}", Some(Command::Stop)),
            ("subscribe \u{200b}news", subscribe("news", None)),
            ("webhook", Some(Command::Webhook)),
            ("/Webhook", Some(Command::Webhook)),
            ("Webhook  NEW", Some(Command::NewWebhook)),
            ("webhook off\n", Some(Command::EndWebhook)),
            ("webhook on", None),
            ("webhook new one", None),
            ("webhooks", None),
            ("//stop", None),
            ("/ stop", None),
            ("/stop@somebody", None),
            ("/ etc", None),
            ("help me", None),
            ("stop it", None),
            ("please stop", None),
            ("stopp", None),
            ("subscribe orders-42", subscribe("orders-42", None)),
            ("Subscribe\u{a0} Orders-42 ", subscribe("Orders-42", None)),
            (
                "subscribe orders-42 abc123-abc123-abc123-abc123\n",
                subscribe("orders-42", Some("abc123-abc123-abc123-abc123")),
            ),
            (
                "subscribe orders-42 ABC123ABC123ABC123ABC12",
                subscribe("orders-42", Some("ABC123ABC123ABC123ABC12")),
            ),
            ("subscribe orders-42 abc123 abc123 abc123 abc123", None),
            ("subscribe to internationalization", None),
            ("subscribe to us", None),
            ("unsubscribe orders-42", Some(Command::Unsubscribe("orders-42".into()))),
            ("subscribe", None),
            ("subscribe to our newsletter", None),
            ("remind me in 10 seconds tea", remind(10, "tea")),
            ("Remind Me In 1 hour 30 minutes  call\nhome ", remind(5400, "call\nhome")),
            ("remind me in 10 seconds", None),
            ("remind me in tea", None),
            ("remind me in ten tea", None),
            ("remind me tomorrow", None),
            ("", None),
            ("hello", None),
        ] {
            assert_eq!(Command::parse(message), expected, "{message:?}");
        }
    }
}
