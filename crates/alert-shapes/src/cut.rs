//! Cuts texts that are too long, and says how much is missing.

/// The bytes that are reserved for the words that say how much is missing.
const NOTE_BYTES: usize = 40;

/// Cuts a text to at most `most` bytes. If that costs little, the cut is between two words. The end of the
/// result says how many characters are missing.
pub(crate) fn text(text: &str, most: usize) -> String {
    if text.len() <= most {
        return text.to_owned();
    }
    let kept = prefix(text, most.saturating_sub(NOTE_BYTES)).trim_end();
    let missing = text[kept.len()..].chars().count();
    format!("{kept}… ({missing} more characters)")
}

/// Cuts a short text, e.g. a title, to at most `most` bytes.
pub(crate) fn line(text: &str, most: usize) -> String {
    if text.len() <= most {
        return text.to_owned();
    }
    format!("{}…", prefix(text, most.saturating_sub('…'.len_utf8())).trim_end())
}

/// The longest beginning of at most `most` bytes. It ends between two words if that costs at most a fifth of
/// these bytes.
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
