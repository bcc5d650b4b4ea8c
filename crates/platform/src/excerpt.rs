//! Shortens a caller's text before a response or a log line repeats it.

use std::borrow::Cow;

/// How many characters of a caller's text are shown.
const SHOWN_CHARACTERS: usize = 64;

/// Returns the first 64 characters of `text`, with `…` in place of the rest.
///
/// Every text that a caller chose goes through this function before a response or a log line repeats it.
/// Examples are the name of a member, an id, and the reason that another program gave.
pub fn excerpt(text: &str) -> Cow<'_, str> {
    match text.char_indices().nth(SHOWN_CHARACTERS) {
        None => text.into(),
        Some((end, _)) => format!("{}…", &text[..end]).into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn excerpt_of_more_than_64_characters_is_cut_between_two_characters() {
        for letter in ["x", "ü", "語", "🍕"] {
            assert_eq!(excerpt(&letter.repeat(64)), letter.repeat(64));
            assert_eq!(excerpt(&letter.repeat(65)), format!("{}…", letter.repeat(64)));
            assert_eq!(excerpt(&letter.repeat(10_000)), format!("{}…", letter.repeat(64)));
        }
        assert_eq!(excerpt(""), "");
    }
}
