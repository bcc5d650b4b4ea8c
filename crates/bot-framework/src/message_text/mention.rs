//! Removes mentions of the bot from a text.

use super::{blank, html};

/// Removes the first occurrence of `mention_text`, the text of a mention. Only an exact match counts.
pub(super) fn without_mention_text(text: &str, mention_text: &str) -> String {
    match text.split_once(mention_text).filter(|_| !mention_text.is_empty()) {
        Some((before, after)) => [before, blank::after_removed_mention(before, after)].concat(),
        None => text.to_owned(),
    }
}

/// Removes each element `<at …>name</at>`, if `is_removed` returns true for the name.
pub(super) fn without_elements(text: &str, is_removed: impl Fn(&str) -> bool) -> String {
    let (mut clean, mut rest) = (String::with_capacity(text.len()), text);
    while let Some(element) = Element::find(rest) {
        clean.push_str(&rest[..element.begin]);
        let after = &rest[element.end..];
        if is_removed(&name_of(element.inner)) {
            rest = blank::after_removed_mention(&clean, after);
        } else {
            clean.push_str(&rest[element.begin..element.end]);
            rest = after;
        }
    }
    clean.push_str(rest);
    clean
}

/// An element `<at …>inner</at>`, and its position in the text, in bytes.
struct Element<'a> {
    begin: usize,
    end: usize,
    inner: &'a str,
}

impl<'a> Element<'a> {
    /// Finds the first element of a text.
    fn find(text: &'a str) -> Option<Self> {
        const CLOSE: &str = "</at>";
        let mut from = 0;
        let begin = loop {
            let at = from + text[from..].find("<at")?;
            if text[at + 3..].starts_with(|c: char| c == '>' || c.is_whitespace()) {
                break at;
            }
            from = at + 3;
        };
        let inner = begin + text[begin..].find('>')? + 1;
        let close = inner + text[inner..].find(CLOSE)?;
        Some(Self { begin, end: close + CLOSE.len(), inner: &text[inner..close] })
    }
}

/// Returns the name in a mention, in the form in which names are compared. The function removes markup and
/// invisible characters, decodes HTML entities, and leaves one space between two words.
pub(super) fn name_of(markup: &str) -> String {
    let text = html::to_text(markup);
    let visible: String = text.chars().filter(|c| !blank::is_invisible(*c)).collect();
    visible.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Returns the name in a mention. An entry of the activity's list `entities` marks a mention.
/// `mention_text` is the member `text` of this entry, such as `<at>Ann</at>`. If `mention_text` has no
/// element `<at>`, the name is all of `mention_text`.
pub(super) fn name_in_mention_text(mention_text: &str) -> String {
    name_of(Element::find(mention_text).map_or(mention_text, |element| element.inner))
}

/// Finds `@name` as a whole word. Returns the positions of the start and the end of `@name`, in bytes. The
/// case of ASCII letters does not matter.
pub(super) fn find_at_name(text: &str, name: &str) -> Option<(usize, usize)> {
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    text.match_indices('@').find_map(|(at, _)| {
        let end = at + 1 + name.len();
        let is_name = text.get(at + 1..end)?.eq_ignore_ascii_case(name);
        let is_whole = !text[end..].starts_with(is_word) && !text[..at].ends_with(is_word);
        (is_name && is_whole).then_some((at, end))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn at_elements_with_the_name_of_the_bot_are_removed_and_words_stay_apart() {
        let is_removed = |name: &str| name == "R&D Pizza";
        for (text, expected) in [
            ("<at>R&amp;D Pizza</at> stop", "stop"),
            ("<at>R&D Pizza</at>&nbsp;stop", "stop"),
            (r#"<at id="0">R&amp;D Pizza</at> <at>R&amp;D Pizza</at> stop"#, "stop"),
            ("<at><b>R&amp;D</b>&nbsp;Pizza\u{200b}</at> stop", "stop"),
            ("tell <at>R&amp;D Pizza</at> this", "tell this"),
            ("tell <at>R&amp;D Pizza</at>, this", "tell , this"),
            ("one <at>R&amp;D Pizza</at>\ntwo", "one \ntwo"),
            ("<at>Ann</at> stop", "<at>Ann</at> stop"),
            (
                "<attachment id=\"1\"></attachment> <at>R&amp;D Pizza</at> x",
                "<attachment id=\"1\"></attachment> x",
            ),
            ("<at>R&amp;D Pizza", "<at>R&amp;D Pizza"),
            ("<at", "<at"),
        ] {
            assert_eq!(without_elements(text, is_removed), expected, "{text}");
        }
        for text in ["<at>", "<at", "<at></at>", "<at >x"] {
            let text = text.repeat(256 * 1024 / text.len());
            assert!(without_elements(&text, is_removed).len() <= text.len());
        }
    }

    #[test]
    fn at_name_is_found_only_as_a_whole_word() {
        for (text, expected) in [
            ("@pizza stop", Some((0, 6))),
            ("hey @Pizza, stop", Some((4, 10))),
            ("/stop@pizza", None),
            ("@pizzas", None),
            ("ann@pizza.example", None),
            ("@pizz", None),
            ("@ü", None),
            ("", None),
        ] {
            assert_eq!(find_at_name(text, "pizza"), expected, "{text}");
        }
    }
}
