//! Text that a caller sent, on its way into an answer or a log line.

use std::borrow::Cow;

/// How much of such a text is shown, in characters.
const SHOWN_CHARACTERS: usize = 64;

/// The first 64 characters of `text`, with `…` in place of the rest. Everything that a caller chose and that an answer or a log
/// line repeats goes through here: a name of a member, an id, a reason of another program.
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
    fn text_of_more_than_64_characters_ends_between_two_of_them() {
        for letter in ["x", "ü", "語", "🍕"] {
            assert_eq!(excerpt(&letter.repeat(64)), letter.repeat(64));
            assert_eq!(excerpt(&letter.repeat(65)), format!("{}…", letter.repeat(64)));
            assert_eq!(excerpt(&letter.repeat(10_000)), format!("{}…", letter.repeat(64)));
        }
        assert_eq!(excerpt(""), "");
    }
}
