//! Converts a text to its composed form (Unicode NFC). In this form, a letter and its accent are one
//! character if Unicode has such a character: `e` and U+0301 become `é`. The bot compares tags in this form.
//!
//! This module uses the NFC tables of the crate `unicode-normalization` directly. With the iterator of that
//! crate, the bot's WebAssembly component would also contain the larger tables for NFKC (another form of
//! Unicode text).

use unicode_normalization::char::{canonical_combining_class, compose, decompose_canonical};

/// Whether a character is a mark that belongs to the letter before it.
pub(super) fn is_mark(c: char) -> bool {
    canonical_combining_class(c) != 0
}

/// Returns the text in NFC.
pub(super) fn composed(text: &str) -> String {
    if text.is_ascii() {
        return text.to_owned();
    }
    let mut chars = Vec::new();
    for c in text.chars() {
        decompose_canonical(c, |part| chars.push(part));
    }
    // Unicode gives each mark a number, the combining class. The marks of a letter must be in the order of
    // these numbers. The sort is stable, because marks of one class must keep their order.
    for marks in chars.chunk_by_mut(|left, right| is_mark(*left) == is_mark(*right)) {
        if marks.first().is_some_and(|first| is_mark(*first)) {
            marks.sort_by_key(|mark| canonical_combining_class(*mark));
        }
    }
    let mut out: Vec<char> = Vec::with_capacity(chars.len());
    let mut last_letter: Option<usize> = None;
    for c in chars {
        if let Some(at) = last_letter
            && !is_blocked(&out[at + 1..], c)
            && let Some(whole) = compose(out[at], c)
        {
            out[at] = whole;
            continue;
        }
        if !is_mark(c) {
            last_letter = Some(out.len());
        }
        out.push(c);
    }
    out.into_iter().collect()
}

/// Whether the characters between a letter and `c` block the composition of the letter with `c`.
fn is_blocked(between: &[char], c: char) -> bool {
    let class = canonical_combining_class;
    between.last().is_some_and(|last| class(*last) == 0 || class(*last) >= class(c))
}

#[cfg(test)]
mod tests {
    use unicode_normalization::UnicodeNormalization;

    use super::*;

    #[test]
    fn composed_text_is_the_same_as_the_nfc_of_the_library() {
        let letters =
            ['a', 'e', 'i', 'İ', 'ộ', 'Å', '\u{212b}', '한', 'ᄒ', 'ᅡ', 'ᆫ', 'ज', '\u{95b}', 'ि', 'か'];
        let marks = ['\u{301}', '\u{307}', '\u{323}', '\u{302}', '\u{93c}', '\u{94d}', '\u{3099}', '\u{345}'];
        let all: Vec<char> = letters.into_iter().chain(marks).collect();
        for first in &all {
            for second in &all {
                for third in &all {
                    let text: String = [first, second, third, &'x', third].into_iter().collect();
                    assert_eq!(composed(&text), text.nfc().collect::<String>(), "{text:?}");
                }
            }
        }
    }
}
