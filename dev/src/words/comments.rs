//! Finds the comments of a source file. Text in a string is no comment, even if the text contains `//` or
//! `#`.

/// One line of a comment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Comment<'a> {
    /// The number of the line in the file, counted from 1.
    pub(super) line: usize,
    /// The characters with which the comment begins: `///`, `//!`, `//`, `/*` or `#`.
    marker: &'static str,
    /// The text behind the marker.
    pub(super) text: &'a str,
    /// Whether the line has no code before the comment.
    is_alone: bool,
}

/// Groups lines of comments that belong together. The lines of a group are consecutive, have the same marker,
/// and have no code before the marker.
pub(super) fn blocks<'a, 'c>(comments: &'c [Comment<'a>]) -> impl Iterator<Item = &'c [Comment<'a>]> {
    comments.chunk_by(|first, second| {
        let is_next = second.line == first.line + 1 && second.marker == first.marker;
        is_next && first.is_alone && second.is_alone
    })
}

/// Finds the comments of a file in Rust, JavaScript or WIT (the language for the interfaces of components).
/// `is_script` is `true` for JavaScript, where `'` and the backtick also begin strings.
pub(super) fn slash_comments(source: &str, is_script: bool) -> Vec<Comment<'_>> {
    let bytes = source.as_bytes();
    let lines = Lines::of(source);
    let mut comments = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        let rest = &bytes[at..];
        at = match rest[0] {
            b'/' if rest.starts_with(b"//") => {
                let end = at + rest.iter().position(|byte| *byte == b'\n').unwrap_or(rest.len());
                comments.push(lines.comment(at, slash_marker(rest), &source[at..end]));
                end
            }
            b'/' if rest.starts_with(b"/*") => {
                let end = at + block_comment_length(rest);
                let mut start = at;
                for line in source[at..end].split_inclusive('\n') {
                    let comment = lines.comment(start, "/*", line);
                    let text = comment.text.trim_end_matches("*/").trim_start().trim_start_matches('*');
                    comments.push(Comment { text: text.trim_end(), ..comment });
                    start += line.len();
                }
                end
            }
            b'"' => at + string_length(rest, b'"'),
            b'\'' | b'`' if is_script => at + string_length(rest, rest[0]),
            b'\'' => at + char_literal_length(&source[at..]),
            b'r' if !is_script => at + raw_string_length(rest).unwrap_or(1),
            _ => at + 1,
        };
    }
    comments
}

fn slash_marker(text: &[u8]) -> &'static str {
    match text.get(2) {
        Some(b'!') => "//!",
        Some(b'/') if text.get(3) != Some(&b'/') => "///",
        _ => "//",
    }
}

/// Finds the comments of a file in TOML or YAML, or of a shell script. A comment that begins with `#!` is
/// left out.
pub(super) fn hash_comments(source: &str) -> Vec<Comment<'_>> {
    let lines = Lines::of(source);
    let mut comments = Vec::new();
    // The quotes that opened a TOML string of several lines; `None` outside of such a string.
    let mut open: Option<&str> = None;
    let mut start = 0;
    for line in source.split_inclusive('\n') {
        let mut at = 0;
        while at < line.len() {
            let rest = &line[at..];
            let quotes = ["\"\"\"", "'''"].into_iter().find(|quotes| rest.starts_with(quotes));
            if let Some(quotes) = quotes.filter(|quotes| open.is_none_or(|open| open == *quotes)) {
                open = if open.is_some() { None } else { Some(quotes) };
                at += quotes.len();
                continue;
            }
            let first = rest.as_bytes()[0];
            let is_behind_space = line[..at].chars().next_back().is_none_or(char::is_whitespace);
            if open.is_none() && first == b'#' && is_behind_space {
                if !rest.starts_with("#!") {
                    comments.push(lines.comment(start + at, "#", rest.trim_end_matches('\n')));
                }
                break;
            }
            // A quote without a second quote in the same line is an apostrophe.
            let is_quote = open.is_none() && (first == b'"' || first == b'\'');
            let length = if is_quote { string_length(rest.as_bytes(), first) } else { 1 };
            at += if length < rest.len() { length } else { 1 };
            while !line.is_char_boundary(at) {
                at += 1;
            }
        }
        start += line.len();
    }
    comments
}

/// A source, and the positions (in bytes) at which its lines begin.
struct Lines<'a> {
    source: &'a str,
    starts: Vec<usize>,
}

impl<'a> Lines<'a> {
    fn of(source: &'a str) -> Self {
        let behind_newline = source.match_indices('\n').map(|(at, _)| at + 1);
        Self { source, starts: std::iter::once(0).chain(behind_newline).collect() }
    }

    /// Makes the comment that begins at the position `at`. Removes the marker from the beginning of `text`.
    fn comment(&self, at: usize, marker: &'static str, text: &'a str) -> Comment<'a> {
        let line = self.starts.partition_point(|start| *start <= at);
        let before = &self.source[self.starts[line - 1]..at];
        let text = text.strip_prefix(marker).unwrap_or(text).trim_end();
        Comment { line, marker, text, is_alone: before.trim().is_empty() }
    }
}

/// The length of the block comment at the beginning of the text. In Rust, a block comment can contain other
/// block comments.
fn block_comment_length(text: &[u8]) -> usize {
    let (mut at, mut depth) = (0, 0_usize);
    while at < text.len() {
        match &text[at..] {
            [b'/', b'*', ..] => (at, depth) = (at + 2, depth + 1),
            [b'*', b'/', ..] => (at, depth) = (at + 2, depth - 1),
            _ => at += 1,
        }
        if depth == 0 {
            break;
        }
    }
    at
}

/// The length of the string at the beginning of the text, with the quotes. A backslash escapes the next
/// character. A string without a closing quote ends with the text.
fn string_length(text: &[u8], quote: u8) -> usize {
    let mut at = 1;
    while at < text.len() {
        match text[at] {
            b'\\' => at += 2,
            byte if byte == quote => return at + 1,
            _ => at += 1,
        }
    }
    text.len()
}

/// The length of the character literal at the beginning of the text, e.g. `'x'` or `'\n'`. For a lifetime
/// such as `'a`, the length is 1: the apostrophe alone.
fn char_literal_length(text: &str) -> usize {
    let mut characters = text.chars();
    characters.next();
    match characters.next() {
        Some('\\') => {
            2 + text[2..].char_indices().skip(1).find(|(_, next)| *next == '\'').map_or(0, |(at, _)| at + 1)
        }
        Some(character) if characters.next() == Some('\'') => 2 + character.len_utf8(),
        _ => 1,
    }
}

/// The length of the raw string (`r"…"` or `r#"…"#`) at the beginning of the text. `None` if the text begins
/// with something else, e.g. with a name.
fn raw_string_length(text: &[u8]) -> Option<usize> {
    let hashes = text[1..].iter().take_while(|byte| **byte == b'#').count();
    if text.get(1 + hashes) != Some(&b'"') {
        return None;
    }
    let mut end = vec![b'"'];
    end.resize(1 + hashes, b'#');
    let start = 2 + hashes;
    let length = text[start..].windows(end.len()).position(|window| window == end);
    Some(length.map_or(text.len(), |length| start + length + end.len()))
}
