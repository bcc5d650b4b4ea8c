//! Finds and removes blanks: white space, some invisible characters, and HTML entities for both.

use super::html;

/// Whether a character is invisible: a character without width, a mark of the writing direction, or a soft
/// hyphen. White space is not included.
pub fn is_invisible(c: char) -> bool {
    matches!(
        c,
        '\u{ad}'
            | '\u{34f}'
            | '\u{61c}'
            | '\u{180e}'
            | '\u{200b}'..='\u{200f}'
            | '\u{202a}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{feff}'
    )
}

/// Whether [`trim`] removes a character at the start and the end of a text. Two kinds of invisible characters
/// stay: joiners (such as U+200D), and marks of the writing direction. These characters change how the
/// neighbouring characters look.
fn is_blank(c: char) -> bool {
    c.is_whitespace() || matches!(c, '\u{ad}' | '\u{200b}' | '\u{2060}' | '\u{feff}')
}

/// Returns the first character, and its length in the text, in bytes. The character can be written as an HTML
/// entity, e.g. `&nbsp;`.
fn first(text: &str) -> Option<(char, usize)> {
    html::entity(text).or_else(|| text.chars().next().map(|c| (c, c.len_utf8())))
}

/// Returns the last character, and its length in the text, in bytes. The character can be written as an HTML
/// entity.
fn last(text: &str) -> Option<(char, usize)> {
    if text.ends_with(';')
        && let Some(at) = text.rfind('&')
        && let Some((c, length)) = html::entity(&text[at..])
        && at + length == text.len()
    {
        return Some((c, length));
    }
    text.chars().next_back().map(|c| (c, c.len_utf8()))
}

fn trim_start(mut text: &str, is_removed: impl Fn(char) -> bool) -> &str {
    while let Some((_, length)) = first(text).filter(|(c, _)| is_removed(*c)) {
        text = &text[length..];
    }
    text
}

/// Returns the text behind a mention. The caller removes the mention. `before` is the text in front of the
/// mention, and `after` is the text behind the mention.
///
/// If `before` is empty or ends with a blank, the function removes the blanks at the start of `after`, but
/// stops at a line break. For example, in `tell <at>Bot</at> this`, the mention has a space on each side.
/// `before` is `tell `, and the result is `this` without a space. If `before` ends with another character,
/// the result is all of `after`.
pub(super) fn after_removed_mention<'a>(before: &str, after: &'a str) -> &'a str {
    let is_gap = last(before).is_none_or(|(c, _)| is_blank(c));
    if is_gap { trim_start(after, |c| is_blank(c) && !matches!(c, '\r' | '\n')) } else { after }
}

fn trim_end(mut text: &str) -> &str {
    while let Some((_, length)) = last(text).filter(|(c, _)| is_blank(*c)) {
        text = &text[..text.len() - length];
    }
    text
}

/// Returns the text without the blanks at its start and end. If no visible character remains, the result is
/// empty.
pub(super) fn trim(text: &str) -> &str {
    let text = trim_end(trim_start(text, is_blank));
    if text.chars().all(|c| c.is_whitespace() || is_invisible(c)) { "" } else { text }
}

/// Replaces each entity for white space with a space, and removes each entity for any other blank
/// ([`is_blank`]). Use this function only for a channel that escapes people's text. Such a channel turns a
/// typed `&nbsp;` into `&amp;nbsp;`. So an unescaped `&nbsp;` comes from the channel, and not from a person.
pub(super) fn without_blank_entities(text: &str) -> String {
    let mut clean = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('&') {
        clean.push_str(&rest[..at]);
        rest = &rest[at..];
        match html::entity(rest).filter(|(c, _)| is_blank(*c)) {
            Some((c, length)) => {
                if c.is_whitespace() {
                    clean.push(' ');
                }
                rest = &rest[length..];
            }
            None => {
                clean.push('&');
                rest = &rest[1..];
            }
        }
    }
    clean.push_str(rest);
    clean
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trim_removes_blanks_around_a_text_and_keeps_visible_characters() {
        for (text, expected) in [
            ("stop", "stop"),
            (" \n\tstop\r\n", "stop"),
            ("&nbsp;stop&nbsp;\n", "stop"),
            ("&#160;stop&#xA0;&#x200b;", "stop"),
            ("\u{a0}\u{200b}stop\u{feff}\u{2060}", "stop"),
            ("a&nbsp;b", "a&nbsp;b"),
            ("a &amp; b &lt;", "a &amp; b &lt;"),
            ("&copy; x;", "&copy; x;"),
            ("AT&T;", "AT&T;"),
            ("&", "&"),
            (";", ";"),
            ("&nbsp;", ""),
            ("\u{200e}\u{200d} ", ""),
            ("\u{200f}\u{5d0}\u{200f}", "\u{200f}\u{5d0}\u{200f}"),
            ("\u{915}\u{94d}\u{200d}", "\u{915}\u{94d}\u{200d}"),
        ] {
            assert_eq!(trim(text), expected, "{text:?}");
        }
    }

    #[test]
    fn blank_entity_becomes_a_space_or_is_removed() {
        for (text, expected) in [
            ("a&nbsp;b&#160;c", "a b c"),
            ("st&#8203;op", "stop"),
            ("a &amp;nbsp; b", "a &amp;nbsp; b"),
            ("& && &", "& && &"),
        ] {
            assert_eq!(without_blank_entities(text), expected, "{text:?}");
        }
    }
}
