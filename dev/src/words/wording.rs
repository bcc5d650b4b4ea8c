//! Finds refused words in comments and in Markdown. `dev/words.txt` lists the refused words.

use std::path::Path;

use anyhow::{Context, bail, ensure};

use super::finding::Finding;
use super::prose::{Document, FILLER, Kind, Segment};

/// The list in `dev/words.txt`, after parsing.
#[derive(Debug)]
pub(super) struct Wording {
    /// Words that must not begin a sentence. The case of the letters counts: the check refuses `What`, but
    /// not `what`.
    openings: Vec<Entry>,
    /// Refused words and phrases, in lower case.
    phrases: Vec<Entry>,
    /// Exceptions to `phrases`, in lower case. For example, `stands for` is an exception to `stands`.
    allowed: Vec<Vec<String>>,
}

#[derive(Debug)]
struct Entry {
    words: Vec<String>,
    remedy: String,
}

impl Wording {
    /// Parses `dev/words.txt`.
    pub(super) fn of_project() -> anyhow::Result<Self> {
        Self::parse(include_str!("../../words.txt"))
    }

    fn parse(list: &str) -> anyhow::Result<Self> {
        let mut wording = Self { openings: Vec::new(), phrases: Vec::new(), allowed: Vec::new() };
        let mut section = "";
        for (index, line) in list.lines().map(str::trim).enumerate() {
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            if line.starts_with('[') {
                section = line;
                continue;
            }
            let place = || format!("dev/words.txt:{}", index + 1);
            let words = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
            if section == "[allowed]" {
                wording.allowed.push(words(&line.to_lowercase()));
                continue;
            }
            let (refused, remedy) = line
                .split_once(" = ")
                .with_context(|| format!("{}: expected `refused words = what to write`", place()))?;
            let entry = Entry { words: words(refused), remedy: remedy.trim().to_owned() };
            ensure!(!entry.words.is_empty(), "{}: no words before `=`; write some", place());
            match section {
                "[openings]" => wording.openings.push(entry),
                "[phrases]" => wording.phrases.push(entry),
                _ => bail!("{}: expected [openings], [phrases] or [allowed] above this line", place()),
            }
        }
        Ok(wording)
    }

    /// Finds refused words in a document.
    pub(super) fn check(&self, file: &Path, document: &Document, findings: &mut Vec<Finding>) {
        for segment in &document.segments {
            let text = segment.without_code();
            let words = words(&text);
            for (index, word) in words.iter().enumerate() {
                let Some(text) = self.refused(&text, &words, index, segment) else { continue };
                findings.push(Finding::new(file, segment.line_at(word.start), text));
            }
        }
    }

    /// Describes the refused words that begin at `words[index]`; `None` if no refused words begin there.
    fn refused(&self, text: &str, words: &[Word<'_>], index: usize, segment: &Segment) -> Option<String> {
        let at = &words[index..];
        let can_open = matches!(segment.kind, Kind::Text | Kind::Cell) && at[0].begins_sentence;
        let opening = self.openings.iter().find(|entry| can_open && is_at(at, &entry.words, str::to_owned));
        if let Some(Entry { words, remedy }) = opening.filter(|_| !is_question(&text[at[0].start..])) {
            return Some(format!("a sentence begins with `{}`; {remedy}", words.join(" ")));
        }
        let Entry { words: refused, remedy } =
            self.phrases.iter().find(|entry| is_at(at, &entry.words, str::to_lowercase))?;
        let is_allowed = self.allowed.iter().any(|allowed| is_at(at, allowed, str::to_lowercase));
        (!is_allowed).then(|| format!("`{}` is not plain; write: {remedy}", refused.join(" ")))
    }
}

/// A word of a segment.
#[derive(Debug)]
struct Word<'a> {
    start: usize,
    text: &'a str,
    begins_sentence: bool,
    /// Whether only white space and asterisks (marks of emphasis) are between the previous word and this
    /// word.
    follows: bool,
}

fn is_at(words: &[Word<'_>], wanted: &[String], case: impl Fn(&str) -> String) -> bool {
    let is_joined = |index: usize| index == 0 || words[index].follows;
    words.len() >= wanted.len()
        && wanted
            .iter()
            .enumerate()
            .all(|(index, wanted)| is_joined(index) && case(words[index].text) == *wanted)
}

/// Splits a text into words. Hyphens, underscores and apostrophes do not end a word: `hand_back` and
/// `door-to-door` are one word each.
fn words(text: &str) -> Vec<Word<'_>> {
    let is_part =
        |character: char| character.is_alphanumeric() || matches!(character, '-' | '_' | '\'' | '’');
    let mut words: Vec<Word<'_>> = Vec::new();
    let mut before = 0;
    let mut rest = text;
    while let Some(start) = rest.find(is_part) {
        let start = text.len() - rest.len() + start;
        let length = text[start..].find(|character| !is_part(character)).unwrap_or(text.len() - start);
        let between = &text[before..start];
        words.push(Word {
            start,
            text: text[start..start + length].trim_matches(['_', '\'']),
            begins_sentence: words.is_empty() && !between.contains(FILLER) || ends_sentence(between),
            follows: between.chars().all(|character| character.is_whitespace() || character == '*'),
        });
        before = start + length;
        rest = &text[before..];
    }
    words
}

/// Whether a new sentence begins after `between`, the characters between two words. Text in a parenthesis
/// also counts as a new sentence.
fn ends_sentence(between: &str) -> bool {
    let end = between.trim_end_matches(['(', '*', '[', '"']);
    let is_end =
        end.ends_with(char::is_whitespace) && end.trim_end().ends_with(['.', '!', '?', ')', '*', FILLER]);
    (is_end && end.contains(['.', '!', '?'])) || (between.ends_with('(') && !between.ends_with("]("))
}

/// Whether the sentence at the beginning of `text` ends with a question mark.
fn is_question(text: &str) -> bool {
    let is_end = |at: usize| text[at + 1..].chars().next().is_none_or(|next| !next.is_alphanumeric());
    let end = text.match_indices(['.', '!', '?']).find(|(at, _)| is_end(*at));
    end.is_some_and(|(_, mark)| mark == "?")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wrong_line_of_the_list_gives_an_error_with_the_line_number() {
        for (list, expected) in [
            ("[phrases]\nstands there", "dev/words.txt:2: expected `refused words"),
            ("\nstands there = is stored", "dev/words.txt:2: expected [openings]"),
            ("[phrase]\nstands there = is stored", "dev/words.txt:2: expected [openings]"),
        ] {
            let error = Wording::parse(list).expect_err(list).to_string();
            assert!(error.starts_with(expected), "{error}");
        }
    }
}
