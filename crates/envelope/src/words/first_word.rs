//! Splits a text after its first word.

/// Returns the first word of a text, and the rest without the white space after the word.
pub(super) fn next_word(text: &str) -> (&str, &str) {
    match text.split_once(char::is_whitespace) {
        Some((word, rest)) => (word, rest.trim_start()),
        None => (text, ""),
    }
}
