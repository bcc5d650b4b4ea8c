//! Removes HTML tags from the texts of senders (the programs that post alerts), or turns HTML into Markdown.

use crate::link;

/// The tags that [`without_tags`] removes. These tags can mention a person (`at`), load a file, run code,
/// link to a page, or ask for input.
const REMOVED: [&str; 12] =
    ["at", "a", "img", "script", "style", "iframe", "object", "embed", "form", "input", "svg", "video"];

/// The maximum number of bytes after a tag's name in which the code looks for the `>` of the tag.
const MAX_TAG_BYTES: usize = 2_000;

/// A tag, such as `</b>`.
struct Tag<'a> {
    /// The name, in lower case.
    name: String,
    is_end: bool,
    /// The text between the name and `>`.
    attributes: &'a str,
    /// The length of the tag, with both angle brackets. `None` if the tag has no `>`.
    length: Option<usize>,
}

/// Removes the tags of [`REMOVED`], but keeps the text between two tags. Also removes the `<` before an
/// address that is no web address: `<mailto:a@b.c>` becomes `mailto:a@b.c>`. The reason: in Markdown, an
/// address between angle brackets is a link.
pub(crate) fn without_tags(text: &str) -> String {
    let mut result = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('<') {
        result.push_str(&rest[..at]);
        rest = &rest[at..];
        let length = match tag_of(rest) {
            Some(tag) if REMOVED.contains(&tag.name.as_str()) => tag.length.unwrap_or(1),
            _ if is_foreign_address(&rest[1..]) => 1,
            _ => {
                result.push('<');
                1
            }
        };
        rest = &rest[length..];
    }
    result + rest
}

/// Turns HTML into Markdown. The function converts the tags that a MessageCard (the former card format of
/// Teams) can contain. Unknown tags stay unchanged.
pub(crate) fn to_markdown(text: &str) -> String {
    let mut result = String::with_capacity(text.len());
    let mut rest = text;
    // The address of the link whose text the loop is reading. `None` outside a link, and in a link whose
    // address is no web address.
    let mut target = None;
    while let Some(at) = rest.find('<') {
        result.push_str(&rest[..at]);
        rest = &rest[at..];
        let Some((tag, length)) = tag_of(rest).and_then(|tag| tag.length.map(|length| (tag, length))) else {
            result.push('<');
            rest = &rest[1..];
            continue;
        };
        let is_first = result.is_empty();
        match (tag.name.as_str(), tag.is_end) {
            ("br", _) => result.push_str("\n\n"),
            ("p" | "div" | "ul" | "ol" | "tr" | "table" | "pre" | "blockquote", _) if is_first => {}
            ("p" | "div" | "ul" | "ol" | "tr" | "table" | "pre" | "blockquote", _) => result.push_str("\n\n"),
            ("h1" | "h2" | "h3" | "h4" | "h5" | "h6", false) => result.push_str("\n\n**"),
            ("h1" | "h2" | "h3" | "h4" | "h5" | "h6", true) => result.push_str("**\n\n"),
            ("li", false) => result.push_str("\n- "),
            ("td" | "th", true) => result.push(' '),
            ("b" | "strong", _) => result.push_str("**"),
            ("i" | "em", _) => result.push('_'),
            ("code", _) => result.push('`'),
            ("li" | "td" | "th" | "span" | "font" | "u" | "tbody" | "thead" | "small" | "hr", _) => {}
            ("a", false) => {
                target = attribute(tag.attributes, "href").and_then(|address| link::in_markdown(&address));
                result.push_str(if target.is_some() { "[" } else { "" });
            }
            ("a", true) => {
                result.push_str(&target.take().map(|target| format!("]({target})")).unwrap_or_default());
            }
            // If the tag is in `REMOVED`, `without_tags` removes it later.
            _ => result.push_str(&rest[..length]),
        }
        rest = &rest[length..];
    }
    result.push_str(rest);
    result.push_str(&target.map(|target| format!("]({target})")).unwrap_or_default());
    with_characters(&result)
}

/// Replaces six HTML entities: `&lt;` becomes `<`, and so on. Programs seldom write other entities.
pub(crate) fn with_characters(text: &str) -> String {
    let entities =
        [("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&#39;", "'"), ("&nbsp;", " "), ("&amp;", "&")];
    if !text.contains('&') {
        return text.to_owned();
    }
    entities.iter().fold(text.to_owned(), |text, (entity, character)| text.replace(entity, character))
}

/// Reads the tag at the beginning of a text. `None` if the text does not begin with a tag.
fn tag_of(text: &str) -> Option<Tag<'_>> {
    let inner = text.strip_prefix('<')?.trim_start();
    let (is_end, inner) = match inner.strip_prefix('/') {
        Some(inner) => (true, inner.trim_start()),
        None => (false, inner),
    };
    let after = inner.trim_start_matches(|c: char| c.is_ascii_alphanumeric());
    let name = &inner[..inner.len() - after.len()];
    let is_name = name.len() <= 10 && name.starts_with(|c: char| c.is_ascii_alphabetic());
    let ends =
        after.is_empty() || after.starts_with(|c: char| c.is_whitespace() || matches!(c, '>' | '/' | '<'));
    if !is_name || !ends {
        return None;
    }
    let end = after.bytes().take(MAX_TAG_BYTES).position(|byte| matches!(byte, b'>' | b'<'));
    let closed = end.filter(|end| after.as_bytes().get(*end) == Some(&b'>'));
    let attributes = closed.map_or("", |end| &after[..end]);
    let length = closed.map(|end| text.len() - after.len() + end + 1);
    Some(Tag { name: name.to_ascii_lowercase(), is_end, attributes, length })
}

/// The value of an attribute of a tag.
fn attribute(attributes: &str, name: &str) -> Option<String> {
    let at = attributes.to_ascii_lowercase().find(&format!("{name}="))? + name.len() + 1;
    let value = attributes.get(at..)?;
    let value = match value.chars().next()? {
        quote @ ('"' | '\'') => value[1..].split(quote).next()?,
        _ => value.split(char::is_whitespace).next()?,
    };
    Some(with_characters(value))
}

/// Whether the text after `<` is an address that does not lead to the web, such as `mailto:`.
fn is_foreign_address(text: &str) -> bool {
    let scheme =
        text.bytes().take(32).take_while(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-' | b'.'));
    let length = scheme.count();
    let is_scheme = length > 1 && text.starts_with(|c: char| c.is_ascii_alphabetic());
    is_scheme && text.as_bytes().get(length) == Some(&b':') && !link::is_web(text)
}

#[cfg(test)]
mod tests {
    use super::to_markdown;

    #[test]
    fn html_of_message_cards_becomes_markdown() {
        for (html, expected) in [
            ("a<br>b<br/>c", "a\n\nb\n\nc"),
            ("<p>a</p><b>b</b> <EM>c</EM>", "a\n\n**b** _c_"),
            ("<a href='https://example.com?a=1&amp;b=2'>x</a>", "[x](https://example.com?a=1&b=2)"),
            ("<a href=\"javascript:x\">y</a>", "y"),
            ("<a href=https://example.com>z", "[z](https://example.com)"),
            ("<ul><li>a</li><li>b</li></ul>", "\n- a\n- b\n\n"),
            ("1 < 2 &amp; <none> &lt;x", "1 < 2 & <none> <x"),
            ("<", "<"),
        ] {
            assert_eq!(to_markdown(html), expected, "{html}");
        }
    }
}
