//! Reads the parts of Markdown that the checks need: paragraphs, table cells, headings, and *fenced code*
//! (between two lines of three backticks or tildes). The checks read comments by the same rules.

use std::ops::Range;

/// The kind of a [`Segment`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A paragraph, or an item of a list.
    Text,
    Heading,
    /// A cell of a table's header, the row above `|---|---|`.
    HeaderCell,
    Cell,
}

/// A *segment*: a paragraph, an item of a list, a heading, or a cell of a table. `text` has a space in place
/// of each line break.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Segment {
    pub(super) kind: Kind,
    pub(super) text: String,
    /// For each line of the segment: where the line begins in `text`, and the line's number in the file.
    lines: Vec<(usize, usize)>,
}

impl Segment {
    fn new(kind: Kind, number: usize, text: &str) -> Self {
        Self { kind, text: text.trim().to_owned(), lines: vec![(0, number)] }
    }

    fn push_line(&mut self, number: usize, text: &str) {
        self.text.push(' ');
        self.lines.push((self.text.len(), number));
        self.text.push_str(text.trim());
    }

    /// The number of the file's line to which the position `at` in `text` belongs.
    pub(super) fn line_at(&self, at: usize) -> usize {
        let lines = self.lines.iter().take_while(|(start, _)| *start <= at);
        lines.last().map_or(0, |(_, number)| *number)
    }

    /// A copy of `text`, in which fillers replace code, quotations and the addresses of links. The copy has
    /// as many bytes as `text`, so a word has the same position in both.
    pub(super) fn without_code(&self) -> String {
        let mut text = self.text.clone();
        for (start, end) in spans(&self.text, "`") {
            blank(&mut text, start, end);
        }
        for (start, end) in spans(&text.clone(), "\"").into_iter().chain(addresses(&text)) {
            blank(&mut text, start, end);
        }
        text
    }

    /// The code between backticks. Each piece of code comes with its position in `text`.
    pub(super) fn code(&self) -> impl Iterator<Item = (usize, &str)> {
        spans(&self.text, "`")
            .into_iter()
            .map(|(start, end)| (start, self.text[start..end].trim_matches('`')))
    }
}

/// The filler for code, quotations and addresses. No word contains this character.
pub(super) const FILLER: char = '\u{1}';

fn blank(text: &mut String, start: usize, end: usize) {
    text.replace_range(start..end, &FILLER.to_string().repeat(end - start));
}

/// Finds the parts between two equal marks, e.g. the code between two backticks. If two marks open a part,
/// two marks also close the part. For each part, the result has the position of the first opening
/// mark, and the position behind the last closing mark.
fn spans(text: &str, mark: &str) -> Vec<(usize, usize)> {
    let run = |at: usize| text[at..].len() - text[at..].trim_start_matches(mark).len();
    let mut spans = Vec::new();
    let mut at = 0;
    while let Some(offset) = text[at..].find(mark) {
        let start = at + offset;
        let length = run(start);
        at = start + length;
        let mut search = at;
        while let Some(offset) = text[search..].find(mark) {
            let end = search + offset;
            search = end + run(end);
            if search - end == length {
                spans.push((start, search));
                at = search;
                break;
            }
        }
    }
    spans
}

/// The positions of the addresses of links. An address has the form `(address)`, and comes behind a `]`.
fn addresses(text: &str) -> Vec<(usize, usize)> {
    let starts = text.match_indices("](").map(|(at, _)| at + 1);
    starts.filter_map(|start| text[start..].find(')').map(|length| (start, start + length + 1))).collect()
}

/// A line of a fenced block of code.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct CodeLine {
    pub(super) line: usize,
    pub(super) text: String,
}

/// A block of fenced code.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Fence {
    /// The line that opens the block.
    pub(super) line: usize,
    /// The words behind the opening mark: the language, and the file that contains the same lines as the
    /// block.
    pub(super) info: String,
    /// The indices of the block's lines in [`Document::code`].
    pub(super) code: Range<usize>,
}

/// A page of Markdown, or a block of comments, split into its parts.
#[derive(Debug, Default)]
pub(super) struct Document {
    pub(super) segments: Vec<Segment>,
    pub(super) code: Vec<CodeLine>,
    pub(super) fences: Vec<Fence>,
}

/// The lines of a whole file, with their numbers.
pub(super) fn numbered_lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.lines().enumerate().map(|(index, line)| (index + 1, line))
}

/// Splits lines, each with its number, into segments and code.
pub(super) fn read<'a>(lines: impl Iterator<Item = (usize, &'a str)>) -> Document {
    let mut document = Document::default();
    let segments = &mut document.segments;
    let mut fence: Option<&str> = None;
    // Whether the next line of text continues the last segment.
    let mut continues = false;
    for (number, line) in lines {
        let line_text = line.trim().trim_start_matches("> ").trim_start();
        let opens = ["```", "~~~"].into_iter().find(|fence| line_text.starts_with(fence));
        if fence.is_some() {
            if opens == fence {
                fence = None;
            } else {
                document.code.push(CodeLine { line: number, text: line.to_owned() });
                if let Some(fence) = document.fences.last_mut() {
                    fence.code.end = document.code.len();
                }
            }
            continue;
        }
        if let Some(mark) = opens {
            (fence, continues) = (opens, false);
            let (info, next) = (line_text.trim_start_matches(mark).trim().to_owned(), document.code.len());
            document.fences.push(Fence { line: number, info, code: next..next });
        } else if line_text.is_empty() {
            continues = false;
        } else if let Some(heading) = heading(line_text) {
            segments.push(Segment::new(Kind::Heading, number, heading));
            continues = false;
        } else if line_text.starts_with('|') {
            if is_rule(line_text) {
                let header = segments.iter_mut().rev().take_while(|cell| cell.lines[0].1 + 1 == number);
                header.for_each(|cell| cell.kind = Kind::HeaderCell);
            } else {
                let cells = cells(line_text).into_iter();
                segments.extend(cells.map(|cell| Segment::new(Kind::Cell, number, cell)));
            }
            continues = false;
        } else {
            match segments.last_mut() {
                Some(segment) if continues && item(line_text).is_none() => {
                    segment.push_line(number, line_text)
                }
                _ => {
                    let text = item(line_text).unwrap_or(line_text);
                    segments.push(Segment::new(Kind::Text, number, text));
                }
            }
            continues = true;
        }
    }
    document
}

fn heading(line: &str) -> Option<&str> {
    let text = line.trim_start_matches('#');
    ((1..=6).contains(&(line.len() - text.len())) && text.starts_with(' ')).then(|| text.trim())
}

/// The text of an item of a list, without the mark of the item (e.g. `- ` or `1. `). `None` for any other
/// line.
fn item(line: &str) -> Option<&str> {
    let number = line.trim_start_matches(|character: char| character.is_ascii_digit());
    let numbered = (number.len() < line.len()).then(|| number.strip_prefix(". ")).flatten();
    ["- ", "* ", "+ "].into_iter().find_map(|mark| line.strip_prefix(mark)).or(numbered)
}

/// Whether the row is the line between a table's header and the other rows, e.g. `|---|---|`.
fn is_rule(row: &str) -> bool {
    row.contains('-') && row.chars().all(|character| matches!(character, '|' | '-' | ':' | ' '))
}

/// The cells of a row. A `|` in code or behind a backslash does not end a cell.
fn cells(row: &str) -> Vec<&str> {
    let row = row.trim_matches('|');
    let codes = spans(row, "`");
    let is_end = |at: usize| {
        !row[..at].ends_with('\\') && !codes.iter().any(|(start, end)| (*start..*end).contains(&at))
    };
    let mut start = 0;
    let mut cells = Vec::new();
    for (at, bar) in row.match_indices('|').filter(|(at, _)| is_end(*at)) {
        cells.push(&row[start..at]);
        start = at + bar.len();
    }
    cells.push(&row[start..]);
    cells
}
