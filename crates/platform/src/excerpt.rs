//! Shortens a text from outside the bot before a response or a log line shows the text.

use std::borrow::Cow;

/// The maximum number of characters that [`excerpt`] keeps.
const SHOWN_CHARACTERS: usize = 64;

/// Returns the first 64 characters of `text`, with `…` in place of the rest.
///
/// Code must call this function before a response or a log line shows a text from outside the bot. Examples
/// are the name of a JSON member in a request, an id, and the reason that another program gave.
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
    fn text_of_more_than_64_characters_is_cut_between_two_characters() {
        for letter in ["x", "ü", "語", "🍕"] {
            assert_eq!(excerpt(&letter.repeat(64)), letter.repeat(64));
            assert_eq!(excerpt(&letter.repeat(65)), format!("{}…", letter.repeat(64)));
            assert_eq!(excerpt(&letter.repeat(10_000)), format!("{}…", letter.repeat(64)));
        }
        assert_eq!(excerpt(""), "");
    }
}
