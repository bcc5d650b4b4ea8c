//! Reads the length of time in a command, and writes a length of time in the language of a reply. Commands
//! are English, so a command contains for example `10 seconds`, `1 hour 30 minutes`, `2 days and 5 min` or
//! `an hour`.

use std::time::Duration;

use super::first_word::next_word;
use super::{Words, english};

/// The units of time, from weeks to seconds: the number of seconds in the unit, and the short forms of the
/// unit's English name. [`Words::units`] has the names of the units in the same order.
const UNITS: [(u64, &[&str]); 5] = [
    (7 * 24 * 60 * 60, &["w"]),
    (24 * 60 * 60, &["d"]),
    (60 * 60, &["hr", "hrs", "h"]),
    (60, &["min", "mins", "m"]),
    (1, &["sec", "secs", "s"]),
];

/// The words that count as the number one.
const ONE: [&str; 3] = ["a", "an", "one"];

/// The word that can be between two parts of a time.
const AND: &str = "and";

/// Takes a length of time from the beginning of `text`: one or more pairs of a number and a unit. Returns the
/// length of time, and the rest of the text. `None` if the text does not begin with such a pair.
pub(super) fn take(text: &str) -> Option<(Duration, &str)> {
    let (mut total, mut rest) = take_part(text)?;
    loop {
        let (word, after_word) = next_word(rest);
        let next = if word.eq_ignore_ascii_case(AND) { after_word } else { rest };
        match take_part(next) {
            Some((part, after)) => (total, rest) = (total.saturating_add(part), after),
            None => return Some((Duration::from_secs(total), rest)),
        }
    }
}

/// Takes one number and its unit, such as `10 seconds`, `10seconds` or `an hour`. Returns the time in
/// seconds, and the text after the unit.
fn take_part(text: &str) -> Option<(u64, &str)> {
    let (word, rest) = next_word(text);
    let digits = word.find(|c: char| !c.is_ascii_digit()).unwrap_or(word.len());
    let (number, glued) = word.split_at(digits);
    let (count, unit, rest) = if number.is_empty() {
        let (unit, rest) = next_word(rest);
        (ONE.contains(&word.to_lowercase().as_str()).then_some(1)?, unit, rest)
    } else if glued.is_empty() {
        let (unit, rest) = next_word(rest);
        (number.parse::<u32>().ok()?, unit, rest)
    } else {
        (number.parse().ok()?, glued, rest)
    };
    Some((u64::from(count).saturating_mul(seconds_of(unit)?), rest))
}

fn seconds_of(unit: &str) -> Option<u64> {
    let unit = unit.strip_suffix(',').unwrap_or(unit).to_lowercase();
    UNITS.iter().zip(english::WORDS.units).find_map(|((seconds, short_forms), (one, several))| {
        (unit == one || unit == several || short_forms.contains(&unit.as_str())).then_some(*seconds)
    })
}

/// Writes a length of time in the language of `words`, such as `1 hour 30 minutes`.
pub(super) fn spoken(duration: Duration, words: &Words) -> String {
    let mut rest = duration.as_secs();
    let mut parts = Vec::new();
    for ((seconds, _), (one, several)) in UNITS.into_iter().zip(words.units) {
        let count = rest / seconds;
        rest %= seconds;
        if count > 0 {
            parts.push(format!("{count} {}", if count == 1 { one } else { several }));
        }
    }
    if parts.is_empty() { words.no_time.into() } else { parts.join(" ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_at_the_beginning_of_a_text_is_taken() {
        for (text, expected) in [
            ("10 seconds tea", Some((10, "tea"))),
            ("5 min tea", Some((300, "tea"))),
            ("2 hours tea", Some((7200, "tea"))),
            ("1 day tea", Some((86_400, "tea"))),
            ("1 hour 30 minutes tea", Some((5400, "tea"))),
            ("1 Hour, 30 MINUTES tea", Some((5400, "tea"))),
            ("1 hour and 30 minutes tea", Some((5400, "tea"))),
            ("1h 30m tea", Some((5400, "tea"))),
            ("5min tea", Some((300, "tea"))),
            ("an hour tea", Some((3600, "tea"))),
            ("2 weeks tea", Some((1_209_600, "tea"))),
            // In a command for a reminder, the text of the reminder follows the time. This text begins with
            // the first word that is not part of the time.
            ("5 minutes and tea", Some((300, "and tea"))),
            ("5 minutes 2 eggs", Some((300, "2 eggs"))),
            ("5 minutes a tea", Some((300, "a tea"))),
            ("0 seconds", Some((0, ""))),
            ("4294967295 weeks tea", Some((4_294_967_295 * 604_800, "tea"))),
            ("4294967296 seconds tea", None),
            ("-5 minutes tea", None),
            ("1.5 hours tea", None),
            ("5 lightyears tea", None),
            ("minutes tea", None),
            ("5", None),
            ("", None),
        ] {
            let expected = expected.map(|(seconds, rest)| (Duration::from_secs(seconds), rest));
            assert_eq!(take(text), expected, "{text:?}");
        }
    }

    #[test]
    fn time_that_the_bot_writes_in_english_is_read_in_a_command() {
        for (seconds, expected) in [
            (0, "0 seconds"),
            (1, "1 second"),
            (10, "10 seconds"),
            (5400, "1 hour 30 minutes"),
            (694_861, "1 week 1 day 1 hour 1 minute 1 second"),
        ] {
            let duration = Duration::from_secs(seconds);
            assert_eq!(spoken(duration, &english::WORDS), expected);
            assert_eq!(take(expected), Some((duration, "")));
        }
    }
}
