//! Converts HTML to text with line breaks. The HTML comes from a channel that adds an HTML copy of the text
//! to a message. The module supports only the tags and entities that are usual in such copies. The time of a
//! conversion is proportional to the length of the HTML, even if an attacker wrote the HTML.

/// The names of the entities for U+00A0 to U+00FF, in order.
const LATIN_1: &str = "nbsp iexcl cent pound curren yen brvbar sect uml copy ordf laquo not shy reg macr deg plusmn sup2 \
    sup3 acute micro para middot cedil sup1 ordm raquo frac14 frac12 frac34 iquest Agrave Aacute Acirc Atilde Auml Aring \
    AElig Ccedil Egrave Eacute Ecirc Euml Igrave Iacute Icirc Iuml ETH Ntilde Ograve Oacute Ocirc Otilde Ouml times Oslash \
    Ugrave Uacute Ucirc Uuml Yacute THORN szlig agrave aacute acirc atilde auml aring aelig ccedil egrave eacute ecirc euml \
    igrave iacute icirc iuml eth ntilde ograve oacute ocirc otilde ouml divide oslash ugrave uacute ucirc uuml yacute thorn \
    yuml";

/// The maximum length of an entity in bytes, without the `&`, but with the `;`.
const LONGEST_ENTITY: usize = 12;

/// Reads the entity at the beginning of a text. Returns the entity's character, and the length of the entity
/// in the text.
pub(super) fn entity(text: &str) -> Option<(char, usize)> {
    let inner = text.strip_prefix('&')?;
    let end = inner.bytes().take(LONGEST_ENTITY).position(|byte| byte == b';')?;
    let name = &inner[..end];
    let c = match name.strip_prefix('#') {
        Some(number) => {
            let code = match number.strip_prefix(['x', 'X']) {
                Some(digits) => u32::from_str_radix(digits, 16),
                None => number.parse(),
            };
            char::from_u32(code.ok()?).filter(|c| *c != '\0')?
        }
        None => named(name)?,
    };
    Some((c, end + 2))
}

fn named(name: &str) -> Option<char> {
    Some(match name {
        "amp" => '&',
        "lt" => '<',
        "gt" => '>',
        "quot" => '"',
        "apos" => '\'',
        "ensp" => '\u{2002}',
        "emsp" => '\u{2003}',
        "thinsp" => '\u{2009}',
        "zwnj" => '\u{200c}',
        "zwj" => '\u{200d}',
        "lrm" => '\u{200e}',
        "rlm" => '\u{200f}',
        "ndash" => '\u{2013}',
        "mdash" => '\u{2014}',
        "lsquo" => '\u{2018}',
        "rsquo" => '\u{2019}',
        "sbquo" => '\u{201a}',
        "ldquo" => '\u{201c}',
        "rdquo" => '\u{201d}',
        "bdquo" => '\u{201e}',
        "bull" => '\u{2022}',
        "hellip" => '\u{2026}',
        "euro" => '\u{20ac}',
        "trade" => '\u{2122}',
        _ => {
            let index = LATIN_1.split_whitespace().position(|known| known == name)?;
            char::from_u32(0xA0 + u32::try_from(index).ok()?)?
        }
    })
}

/// Returns the text that a reader of the HTML sees. A mention of a person or a bot becomes `<at>name</at>`,
/// as in the member `text` of a message.
pub(super) fn to_text(html: &str) -> String {
    let mut output = Output::default();
    let mut rest = html;
    while let Some(c) = rest.chars().next() {
        let length = match c {
            '<' => match read_tag(rest) {
                Some((tag, length)) => {
                    let skipped = output.write_tag(&tag, &rest[length..]);
                    length + skipped
                }
                None => output.push('<'),
            },
            '&' => match entity(rest) {
                Some((c, length)) => {
                    output.push(c);
                    length
                }
                None => output.push('&'),
            },
            ' ' | '\t' | '\r' | '\n' => {
                output.space = true;
                1
            }
            c => output.push(c),
        };
        rest = &rest[length..];
    }
    output.text
}

/// A tag, a comment or a declaration.
struct Tag<'a> {
    /// The name in lower case, with `/` in front for an end tag. The name of a comment is `!`.
    name: String,
    inner: &'a str,
}

/// Reads the tag at the beginning of a text. Returns the tag and its length. A `<` begins a tag only if a
/// letter, `!` or `?` follows. Slashes are possible between the `<` and this character (`</p`). Any other `<`
/// is an ordinary character, and the result is `None`. A tag without `>` reaches to the end of the text.
fn read_tag(text: &str) -> Option<(Tag<'_>, usize)> {
    let inner = text.strip_prefix('<')?;
    if let Some(comment) = inner.strip_prefix("!--") {
        let length = comment.find("-->").map_or(text.len(), |end| end + 7);
        return Some((Tag { name: "!".into(), inner: "" }, length));
    }
    if !inner.trim_start_matches('/').starts_with(|c: char| c.is_ascii_alphabetic() || c == '!' || c == '?') {
        return None;
    }
    // A `>` in quotes does not end the tag.
    let mut quote = None;
    let end = inner.bytes().position(|byte| match quote {
        Some(open) => {
            if byte == open {
                quote = None;
            }
            false
        }
        None => {
            if matches!(byte, b'"' | b'\'') {
                quote = Some(byte);
            }
            byte == b'>'
        }
    });
    let (inner, length) = match end {
        Some(end) => (&inner[..end], end + 2),
        None => (inner, text.len()),
    };
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '/';
    let name = inner.split(|c| !is_name(c)).next().unwrap_or_default();
    // The name of `<br/>` has no slash.
    let name = name.trim_end_matches('/').to_ascii_lowercase();
    Some((Tag { name, inner }, length))
}

impl Tag<'_> {
    /// Returns the value of an attribute, if the value is in double quotes.
    fn attribute(&self, name: &str) -> Option<&str> {
        self.inner.split_whitespace().next()?;
        let (_, after) = self.inner.split_once(&format!(" {name}=\""))?;
        Some(after.split_once('"')?.0)
    }
}

#[derive(Default)]
struct Output {
    text: String,
    /// Whether a space must be written before the next character.
    space: bool,
    /// For each open element `span`, whether the element is a mention.
    spans: Vec<bool>,
}

impl Output {
    /// Adds a character. If `space` is set, the function first adds a space, except at the start of a line.
    /// Returns the length of the character in bytes.
    fn push(&mut self, c: char) -> usize {
        if std::mem::take(&mut self.space) && !self.text.is_empty() && !self.text.ends_with('\n') {
            self.text.push(' ');
        }
        self.text.push(c);
        c.len_utf8()
    }

    /// Adds text that comes from a tag, such as the `alt` of an image.
    fn push_all(&mut self, words: &str) {
        for c in words.chars() {
            self.push(c);
        }
    }

    fn new_line(&mut self) {
        self.space = false;
        if !self.text.is_empty() && !self.text.ends_with('\n') {
            self.text.push('\n');
        }
    }

    /// Writes the text for a tag. For example, the text for `<br>` is a line break. `after` is the HTML that
    /// follows the tag. Returns the number of bytes of `after` that the caller must skip. For example,
    /// the caller must skip the content of a script, because a reader does not see this content.
    fn write_tag(&mut self, tag: &Tag<'_>, after: &str) -> usize {
        match tag.name.as_str() {
            "br" => {
                self.space = false;
                self.text.push('\n');
            }
            "script" | "style" | "title" => {
                let (end, bytes) = (format!("</{}", tag.name), after.as_bytes());
                let mut places = bytes.windows(end.len());
                let found = places.position(|place| place.eq_ignore_ascii_case(end.as_bytes()));
                return found.unwrap_or(after.len());
            }
            "img" | "emoji" => {
                let words = tag.attribute("alt").unwrap_or_default();
                self.push_all(words);
            }
            "span" => {
                let is_mention =
                    tag.attribute("itemtype").is_some_and(|kind| kind.ends_with("schema.skype.com/Mention"));
                self.spans.push(is_mention);
                if is_mention {
                    self.push_all("<at>");
                }
            }
            "/span" if self.spans.pop() == Some(true) => {
                self.text.push_str("</at>");
            }
            "at" => self.push_all("<at>"),
            "/at" => self.text.push_str("</at>"),
            name => {
                const BLOCKS: &str = "|p|div|li|ul|ol|tr|table|blockquote|pre|hr|h1|h2|h3|h4|h5|h6|";
                let name = name.trim_start_matches('/');
                if !name.is_empty() && BLOCKS.contains(&format!("|{name}|")) {
                    self.new_line();
                }
            }
        }
        0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entity_at_the_beginning_is_read() {
        for (text, expected) in [
            ("&amp;x", Some(('&', 5))),
            ("&nbsp;", Some(('\u{a0}', 6))),
            ("&copy;", Some(('©', 6))),
            ("&yuml;", Some(('ÿ', 6))),
            ("&#169; x", Some(('©', 6))),
            ("&#x1F355;", Some(('🍕', 9))),
            ("&#xD83C;", None),
            ("&#0;", None),
            ("&#99999999999;", None),
            ("&nbsp", None),
            ("&unknown;", None),
            ("& x;", None),
            ("x", None),
            ("&ü;", None),
        ] {
            assert_eq!(entity(text), expected, "{text}");
        }
    }

    #[test]
    fn html_becomes_the_text_that_a_reader_sees() {
        for (html, expected) in [
            (
                "<div><div>Order for x &lt; 5 people&nbsp;&copy;</div>\n</div>",
                "Order for x < 5 people\u{a0}©\n",
            ),
            ("<p>one</p>\n<p>two<br>three<br/>four</p>", "one\ntwo\nthree\nfour\n"),
            ("a \n  <b>b</b>c<!-- > x -->d", "a bcd"),
            ("1 < 2 and 3 <4> & 5", "1 < 2 and 3 <4> & 5"),
            (r#"<a href="x>y" title='a>b'>link</a>"#, "link"),
            (r#"<img src="x" alt="😀"> <style>p { }</style>ok"#, "😀 ok"),
            ("a <STYLE>p { }</Style>b<Script>1</SCRIPT> c", "a b c"),
            (
                r#"<span itemscope="" itemtype="http://schema.skype.com/Mention" itemid="0">R&amp;D</span>&nbsp;stop"#,
                "<at>R&D</at>\u{a0}stop",
            ),
            ("<span>a</span> <at id=\"0\">Bot</at> x", "a <at>Bot</at> x"),
            ("<script>alert(1)", ""),
            ("text <b", "text"),
            ("", ""),
        ] {
            assert_eq!(to_text(html), expected, "{html}");
        }
    }

    #[test]
    fn text_from_256_kib_of_markup_has_at_most_twice_the_length_of_the_markup() {
        for html in ["<", "<a", "<!--", "&", "<span>", "</at>", "<p>", "<script>", "<a '"] {
            let page = html.repeat(256 * 1024 / html.len());
            assert!(to_text(&page).len() <= 2 * page.len());
        }
    }
}
