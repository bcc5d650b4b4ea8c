//! The first word of a command, or of a part of it.

/// The first word, and the text behind it.
pub(super) fn next_word(text: &str) -> (&str, &str) {
    match text.split_once(char::is_whitespace) {
        Some((word, rest)) => (word, rest.trim_start()),
        None => (text, ""),
    }
}
