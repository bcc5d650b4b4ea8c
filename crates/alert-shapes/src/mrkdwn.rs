//! Turns Slack's own markup (mrkdwn) into Markdown.

use crate::{html, link, markdown};

/// Turns a text with `*bold*`, `~struck~`, `<https://…|text>`, `<!here>` or `&lt;` into Markdown.
pub(crate) fn to_markdown(text: &str) -> String {
    let mut marks =
        Marks { result: String::with_capacity(text.len() + 16), opened: None, is_code: false, before: ' ' };
    let mut rest = text;
    while let Some(at) = rest.find('<') {
        marks.push(&rest[..at], '<');
        rest = &rest[at + 1..];
        // The text between `<` and `>` contains no other `<`, so the search for `>` stops at the next `<`.
        // Without this stop, the search would read the whole rest of the text for each `<` in `<<<<…`.
        let end = rest.bytes().position(|byte| matches!(byte, b'>' | b'<'));
        match end.filter(|end| rest.as_bytes().get(*end) == Some(&b'>')) {
            Some(end) => {
                marks.push_element(&element(&rest[..end]));
                rest = &rest[end + 1..];
            }
            None => marks.push_element("<"),
        }
    }
    marks.push(rest, ' ');
    markdown::with_line_breaks(&marks.result)
}

/// Turns the text between `<` and `>` into Markdown.
fn element(text: &str) -> String {
    let (target, label) = text.split_once('|').map_or((text, None), |(target, label)| (target, Some(label)));
    let label = label.map(html::with_characters).filter(|label| !label.trim().is_empty());
    match target.split_at_checked(1) {
        Some(("!", name)) => label.unwrap_or_else(|| format!("@{}", name.split('^').next().unwrap_or(name))),
        Some(("@", id)) => format!("@{}", label.as_deref().unwrap_or(id)),
        Some(("#", id)) => format!("#{}", label.as_deref().unwrap_or(id)),
        _ => {
            let address = html::with_characters(target);
            match link::is_web(&address) {
                true => link::markdown(label.as_deref().unwrap_or(&address), &address),
                false => label.unwrap_or(address),
            }
        }
    }
}

/// Writes Markdown. A bold or struck-through text can contain a link. [`to_markdown`] then adds the text in
/// several pieces: the text before the link, the link, and the text after the link. So the struct remembers
/// the opening mark (`*` or `~`) from one piece to the next.
struct Marks {
    result: String,
    /// The opening mark whose closing mark has not come yet.
    opened: Option<char>,
    is_code: bool,
    before: char,
}

impl Marks {
    /// Adds a text. Slack marks a bold text with single `*`, and a struck-through text with single `~`.
    /// Markdown needs `**` and `~~`, so the method doubles each mark. An opening mark follows no letter or
    /// digit, and has no blank after it. A closing mark has no blank before it, and no letter or digit after
    /// it. `next` is the character after the text.
    fn push(&mut self, text: &str, next: char) {
        let text = html::with_characters(text);
        let mut characters = text.chars().peekable();
        while let Some(c) = characters.next() {
            let after = characters.peek().copied().unwrap_or(next);
            match c {
                '`' => self.is_code = !self.is_code,
                '*' | '~' if !self.is_code && after != c && self.before != c => {
                    let opens = !self.before.is_alphanumeric() && !after.is_whitespace();
                    let closes =
                        self.opened == Some(c) && !self.before.is_whitespace() && !after.is_alphanumeric();
                    if closes || (self.opened.is_none() && opens) {
                        self.opened = if closes { None } else { Some(c) };
                        self.result.push(c);
                    }
                }
                _ => {}
            }
            self.result.push(c);
            self.before = c;
        }
    }

    /// Adds a text without looking for marks.
    fn push_element(&mut self, text: &str) {
        self.result.push_str(text);
        self.before = text.chars().last().unwrap_or(self.before);
    }
}

#[cfg(test)]
mod tests {
    use super::to_markdown;

    #[test]
    fn markup_of_slack_becomes_markdown() {
        for (slack, expected) in [
            ("*bold* and _it_ and ~old~", "**bold** and _it_ and ~~old~~"),
            ("2 * 3 = `a*b*c`", "2 * 3 = `a*b*c`"),
            ("<https://example.com|the *page*>", "[the *page*](https://example.com)"),
            (
                "<https://example.com/a?b=1&amp;c=2>",
                "[https://example.com/a?b=1&c=2](https://example.com/a?b=1&c=2)",
            ),
            ("<!channel> <@U123|kim> <#C1|ops> <!date^1^x|then>", "@channel @kim #ops then"),
            ("<mailto:a@b.c|mail>", "mail"),
            ("a &lt; b &amp;&amp; c", "a < b && c"),
            ("one\ntwo", "one\n\ntwo"),
            (
                "*Order <https://example.com|#42>* is *paid*",
                "**Order [#42](https://example.com)** is **paid**",
            ),
            ("<<<", "<<<"),
        ] {
            assert_eq!(to_markdown(slack), expected, "{slack}");
        }
    }
}
