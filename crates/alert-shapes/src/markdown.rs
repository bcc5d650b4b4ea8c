//! Cleans senders' Markdown: removes mentions, and all links that do not lead to a web address.

use crate::{cut, html, link};

/// The maximum number of passes over a text. If a pass removes a part of the text, the characters around this
/// part can become a new tag or link. So [`clean`] makes more passes, until a pass changes nothing or the
/// maximum is reached.
const MAX_PASSES: usize = 4;

/// The maximum length of a link's target `(…)`, in bytes. The code treats a longer target like a target
/// without `)`.
const MAX_TARGET_BYTES: usize = 512;

/// Marks a removed byte. The text itself has no byte 0, because [`visible`] removes it.
const REMOVED: u8 = 0;

/// Cleans Markdown, and cuts it to at most `most` bytes.
pub(crate) fn block(text: &str, most: usize) -> String {
    // The card can show only the beginning of the text, so the function cleans only the first `2 * most`
    // bytes. If the text has more bytes, the note at the end also counts the characters after these bytes.
    let read = cut::prefix(text, most.saturating_mul(2));
    let cleaned = clean(read);
    if read.len() == text.len() {
        return cut::text(cleaned.trim(), most);
    }
    let kept = cut::prefix(cleaned.trim(), most.saturating_sub(40)).trim_end();
    let missing = text.chars().count().saturating_sub(kept.chars().count());
    format!("{kept}… ({missing} more characters)")
}

/// Cleans Markdown, and joins the text into one line of at most `most` bytes.
pub(crate) fn line(text: &str, most: usize) -> String {
    let cleaned = clean(cut::prefix(text, most.saturating_mul(2)));
    let joined = cleaned.split_whitespace().collect::<Vec<_>>().join(" ");
    cut::line(&joined, most)
}

/// Makes one line, for example for a notification. The line has no links, and none of these marks of
/// Markdown: `**`, `__`, backticks, and words of only `#` and `>`.
pub(crate) fn plain_line(text: &str, most: usize) -> String {
    let cleaned = clean(cut::prefix(text, most.saturating_mul(4)));
    let text = without_links(&cleaned).replace("**", "").replace("__", "").replace('`', "");
    let words = text.split_whitespace().filter(|word| !word.chars().all(|c| matches!(c, '#' | '>')));
    // The characters around a removed mark can become a new tag or link. So the function cleans the line
    // again.
    let line = clean(&words.collect::<Vec<_>>().join(" "));
    cut::line(line.trim(), most)
}

/// Makes each line break visible. Markdown shows a single line break as a blank, so the function doubles the
/// line break. A line break stays single in code between lines of three backticks, and before a line that
/// begins a block (such as a list item).
pub(crate) fn with_line_breaks(text: &str) -> String {
    let mut result = String::with_capacity(text.len() + 16);
    let mut is_in_code = false;
    for (index, line) in text.lines().enumerate() {
        let trimmed = line.trim_start();
        let begins_block = trimmed.is_empty()
            || trimmed.starts_with(['-', '*', '>', '|', '#', '+'])
            || trimmed.split_once(['.', ')']).is_some_and(|(number, _)| is_number(number));
        if index > 0 {
            let follows_blank = result.ends_with('\n') || result.is_empty();
            result.push_str(if begins_block || follows_blank || is_in_code { "\n" } else { "\n\n" });
        }
        if trimmed.starts_with("```") {
            is_in_code = !is_in_code;
        }
        result.push_str(line);
    }
    result
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.len() < 4 && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// Removes tags such as `<at>` (the mention of a person) and `<img>`, but keeps the text between two tags.
/// Also replaces each link that does not lead to a web address by the text of the link.
pub(crate) fn clean(text: &str) -> String {
    let mut text = visible(text);
    for _ in 0..MAX_PASSES {
        let next = without_foreign_links(&html::without_tags(&text));
        if next == text {
            return text;
        }
        text = next;
    }
    // Even the last pass has changed the text, probably because a sender nested many tags or links. So the
    // code removes all `<`, `[` and `]`: a text without these characters has neither tags nor links.
    text.retain(|c| !matches!(c, '<' | '[' | ']'));
    text
}

/// Removes invisible characters, and characters that change the direction of the text. Tabs stay, and each
/// line break becomes `\n`.
fn visible(text: &str) -> String {
    let is_hidden = |c: char| {
        (c.is_control() && !matches!(c, '\n' | '\t'))
            || matches!(c, '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}')
            || matches!(c, '\u{feff}' | '\u{fff9}'..='\u{fffb}')
    };
    text.replace("\r\n", "\n").replace('\r', "\n").replace(is_hidden, "")
}

/// Replaces a link or an image whose address is no web address. For example, `[text](javascript:…)` becomes
/// `text`. Also writes `]:` as `] :`, so Markdown does not read `[name]: …` as the definition of a link.
fn without_foreign_links(text: &str) -> String {
    if !text.contains("](") && !text.contains("]:") {
        return text.to_owned();
    }
    let mut kept = Vec::with_capacity(text.len());
    let mut opened = Vec::new();
    let bytes = text.as_bytes();
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        at += 1;
        match (byte, bytes.get(at)) {
            (b'[', _) => opened.push(kept.len()),
            (b']', Some(b':')) => {
                opened.pop();
                kept.extend_from_slice(b"] ");
                continue;
            }
            (b']', Some(b'(')) => {
                let target = text[at + 1..].trim_start().trim_start_matches('<');
                let start = opened.pop();
                if !link::is_web(target) {
                    match (start, end_of_target(&bytes[at..])) {
                        (Some(start), Some(length)) => {
                            kept[start] = REMOVED;
                            if let Some(before @ b'!') = start.checked_sub(1).and_then(|at| kept.get_mut(at))
                            {
                                *before = REMOVED;
                            }
                            at += length;
                        }
                        _ => kept.extend_from_slice(b"] "),
                    }
                    continue;
                }
            }
            (b']', _) => _ = opened.pop(),
            _ => {}
        }
        kept.push(byte);
    }
    kept.retain(|byte| *byte != REMOVED);
    // The loop removes only whole ASCII characters, so the rest is UTF-8.
    String::from_utf8(kept).unwrap_or_default()
}

/// The length of the target `(…)` at the beginning of the bytes. The `)` must be in the same line, and within
/// [`MAX_TARGET_BYTES`]. Otherwise the result is `None`.
fn end_of_target(bytes: &[u8]) -> Option<usize> {
    let mut depth = 0_usize;
    for (at, byte) in bytes.iter().take(MAX_TARGET_BYTES).enumerate() {
        match byte {
            b'(' => depth += 1,
            b')' if depth <= 1 => return Some(at + 1),
            b')' => depth -= 1,
            b'\n' => return None,
            _ => {}
        }
    }
    None
}

/// Replaces each link `[text](address)` by its text.
fn without_links(text: &str) -> String {
    let mut result = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("](") {
        let (before, after) = rest.split_at(at);
        let Some(length) = after.as_bytes().get(1..).and_then(end_of_any_target) else { break };
        match before.rfind('[') {
            Some(open) => {
                result.push_str(before[..open].trim_end_matches('!'));
                result.push_str(&before[open + 1..]);
            }
            None => result.push_str(before),
        }
        rest = &after[1 + length..];
    }
    result + rest
}

/// The length of the target `(…)` at the beginning of the bytes. The target ends at the first `)`, however
/// long it is. `None` if there is no `)`.
fn end_of_any_target(bytes: &[u8]) -> Option<usize> {
    bytes.iter().position(|byte| *byte == b')').map(|at| at + 1)
}

#[cfg(test)]
mod tests {
    use super::{block, clean, plain_line, with_line_breaks};

    #[test]
    fn cleaned_markdown_mentions_nobody_and_links_only_to_web_addresses() {
        for (text, expected) in [
            ("**bold** and [a](https://example.com/a_(b))", "**bold** and [a](https://example.com/a_(b))"),
            ("[a](HTTP://example.com)", "[a](HTTP://example.com)"),
            ("<at>Kim</at> look", "Kim look"),
            ("<AT id=\"0\">Kim</AT >", "Kim"),
            ("< at >Kim</ at>", "Kim"),
            ("<<at>at>Kim", "Kim"),
            ("<a<at>t>Kim", "at>Kim"),
            ("<[at>](javascript:1)", ""),
            ("a<b, <attempt> and <none>", "a<b, <attempt> and <none>"),
            ("[a](javascript:alert(1))", "a"),
            ("[a]( <javascript:x> )", "a"),
            ("![x](data:image/png;base64,AA)", "x"),
            ("[a](java\u{200b}script:x)", "a"),
            ("[a](<at>javascript:x)", "a"),
            ("]<at>(javascript:x)", "] (javascript:x)"),
            ("[a](/relative)", "a"),
            ("[a]: javascript:x", "[a] : javascript:x"),
            (
                "<javascript:x> <https://example.com> <mailto:a@b>",
                "javascript:x> <https://example.com> mailto:a@b>",
            ),
            ("[[a](tel:1)](tel:2)", "a"),
            ("[a](msteams://x\n)", "[a] (msteams://x\n)"),
        ] {
            assert_eq!(clean(text), expected, "{text}");
        }
    }

    #[test]
    fn deeply_nested_markup_is_cleaned_completely() {
        let nested = format!("{}at>{}", "<a".repeat(2), "<at>t>".repeat(9));
        let cleaned = clean(&nested);
        assert!(!cleaned.contains("<at"), "{cleaned}");
        let deep = (0..20).fold("at".to_owned(), |inner, _| format!("<{inner}>")) + "x";
        assert!(!clean(&deep).contains("<at"));
    }

    #[test]
    fn long_markdown_says_how_much_is_missing() {
        let long = "word ".repeat(1_000);
        let shown = block(&long, 100);
        assert!(shown.len() <= 100 && shown.ends_with("more characters)"), "{shown}");
        assert_eq!(block("short", 100), "short");
    }

    #[test]
    fn notification_has_no_marks_of_markdown() {
        let text = "## **Disk** of `db-1` is [full](https://example.com)\n> soon";
        assert_eq!(plain_line(text, 200), "Disk of db-1 is full soon");
    }

    #[test]
    fn single_line_break_is_doubled_so_that_markdown_shows_a_line_break() {
        assert_eq!(with_line_breaks("a\nb\n\nc\n- d\n- e\n1. f"), "a\n\nb\n\nc\n- d\n- e\n1. f");
    }
}
