//! Checks the width of lines with a comment. rustfmt limits the width of code to `max_width` of
//! `rustfmt.toml`, but does not change comments.

use std::path::Path;

use super::comments::Comment;
use super::finding::Finding;

/// `max_width` of `rustfmt.toml`, in characters.
const COLUMNS: usize = 110;

/// Finds lines with a comment that are too wide. Rows of tables and lines with a URL are allowed to be wider,
/// because a line break would destroy the row or the URL.
pub(super) fn check(file: &Path, source: &str, comments: &[Comment<'_>], findings: &mut Vec<Finding>) {
    let mut comments = comments.iter().peekable();
    for (index, line) in source.lines().enumerate() {
        let number = index + 1;
        let mut text = None;
        while let Some(comment) = comments.next_if(|comment| comment.line == number) {
            text = Some(comment.text);
        }
        let width = line.chars().count();
        let is_free = |text: &str| text.trim_start().starts_with('|') || text.contains("://");
        if width > COLUMNS && text.is_some_and(|text| !is_free(text)) {
            let text = format!("the comment's line has {width} columns; keep it to {COLUMNS}");
            findings.push(Finding::new(file, number, text));
        }
    }
}
