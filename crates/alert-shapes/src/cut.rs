//! Cuts texts that are too long.

/// The bytes that are reserved for the note about the missing characters.
const NOTE_BYTES: usize = 40;

/// Cuts a text to at most `most` bytes. A note at the end of the cut text says how many characters are
/// missing. The limit `most` includes the note.
pub(crate) fn text(text: &str, most: usize) -> String {
    if text.len() <= most {
        return text.to_owned();
    }
    let kept = prefix(text, most.saturating_sub(NOTE_BYTES)).trim_end();
    let missing = text[kept.len()..].chars().count();
    format!("{kept}… ({missing} more characters)")
}

/// Cuts a short text, such as a title, to at most `most` bytes.
pub(crate) fn line(text: &str, most: usize) -> String {
    if text.len() <= most {
        return text.to_owned();
    }
    format!("{}…", prefix(text, most.saturating_sub('…'.len_utf8())).trim_end())
}

/// Returns the beginning of a text, at most `most` bytes long. If the last fifth of these bytes contains
/// white space, the function cuts at the last white space. Otherwise, the function cuts after the last
/// character that fits, perhaps inside a word.
pub(crate) fn prefix(text: &str, most: usize) -> &str {
    let whole = &text[..text.floor_char_boundary(most)];
    if whole.len() == text.len() {
        return whole;
    }
    match whole.rfind(char::is_whitespace) {
        Some(at) if at >= whole.len() / 5 * 4 => &whole[..at],
        _ => whole,
    }
}
