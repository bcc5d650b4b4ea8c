//! `cargo dev words`: checks the words and links in comments and documents, so that readers who are new to
//! the project understand them.
//!
//! The check reads the files of the workspace and needs no network. It looks for these faults:
//!
//! - lines with a comment that are wider than 110 columns, the limit for code (`width.rs`);
//! - refused words in comments and in Markdown; `dev/words.txt` lists these words (`wording.rs`);
//! - links in Markdown to a file or a heading that does not exist (`links.rs`);
//! - `cargo dev` commands in Markdown that clap, the command-line parser, does not accept (`commands.rs`);
//! - commands in Markdown with a script, an option or a file that does not exist, and snippets (blocks of
//!   code) that name a file but are no part of this file (`snippets.rs`).

mod commands;
mod comments;
mod finding;
mod links;
mod prose;
mod snippets;
#[cfg(test)]
mod tests;
mod width;
mod wording;

use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};

use self::finding::Finding;
use self::prose::Document;
use self::wording::Wording;
use crate::workspace::root;

/// Folders that the check skips, because npm or cargo writes their files.
const SKIPPED_FOLDERS: [&str; 2] = ["node_modules", "target"];
/// Folders that the check reads, although their names begin with a dot. The check skips all other such
/// folders.
const HIDDEN_FOLDERS: [&str; 3] = [".cargo", ".ci", ".github"];

/// The result of a check.
#[derive(Debug)]
struct Report {
    /// How many files were read.
    files: usize,
    /// All findings, sorted by file and line.
    findings: Vec<Finding>,
}

/// The syntax of a file. The check finds the comments by this syntax.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Syntax {
    Markdown,
    Rust,
    /// JavaScript. Its strings have three kinds of quotes: `"`, `'` and the backtick.
    Script,
    /// TOML, YAML and shell scripts. Their comments begin with `#`.
    Hash,
}

impl Syntax {
    fn of(path: &Path) -> Option<Self> {
        match path.extension().and_then(|extension| extension.to_str()) {
            Some("md") => Some(Self::Markdown),
            Some("rs" | "wit") => Some(Self::Rust),
            Some("cjs" | "js" | "mjs") => Some(Self::Script),
            Some("sh" | "toml" | "txt" | "yaml" | "yml") => Some(Self::Hash),
            None if path.starts_with(".ci") => Some(Self::Hash),
            _ => None,
        }
    }
}

/// Checks the workspace, and prints all findings. Fails if there is a finding. `cli` is clap's definition of
/// `cargo dev`.
pub fn run(cli: &clap::Command) -> anyhow::Result<()> {
    let Report { files, findings } = check(&root(), cli)?;
    for finding in &findings {
        println!("{finding}");
    }
    let count = findings.len();
    ensure!(
        count == 0,
        "words: {count} findings in {files} files; correct them, or correct the list in dev/words.txt"
    );
    println!("Nothing to correct in {files} files.");
    Ok(())
}

/// A `cargo dev` command that a page of Markdown shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DocumentedCommand {
    /// `file:line`
    pub place: String,
    /// The arguments behind `cargo dev`.
    pub arguments: Vec<String>,
}

/// The `cargo dev` commands in the workspace's Markdown. A test of the crate `bench` uses this function to
/// check the options of `cargo dev bench`. `cargo dev words` cannot check these options, because only the
/// crate `bench` defines them.
pub fn documented_commands() -> anyhow::Result<Vec<DocumentedCommand>> {
    let root = root();
    let mut files = Vec::new();
    walk(&root, Path::new(""), &mut files)?;
    let mut commands = Vec::new();
    for (file, _) in files.iter().filter(|(_, syntax)| *syntax == Syntax::Markdown) {
        let page = prose::read(prose::numbered_lines(&read(&root, file)?));
        let found = commands::arguments_of(&page);
        let place = |line: usize| format!("{}:{line}", file.display());
        commands.extend(found.map(|(line, arguments)| DocumentedCommand { place: place(line), arguments }));
    }
    Ok(commands)
}

fn read(root: &Path, file: &Path) -> anyhow::Result<String> {
    let path = root.join(file);
    std::fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))
}

/// Checks all files below the folder `root`.
fn check(root: &Path, cli: &clap::Command) -> anyhow::Result<Report> {
    let wording = Wording::of_project()?;
    let mut files = Vec::new();
    walk(root, Path::new(""), &mut files)?;
    let mut findings = Vec::new();
    let mut pages = Vec::new();
    for (file, syntax) in &files {
        let text = read(root, file)?;
        if *syntax == Syntax::Markdown {
            let page = prose::read(prose::numbered_lines(&text));
            wording.check(file, &page, &mut findings);
            commands::check(file, &page, cli, &mut findings);
            snippets::check(root, file, &page, &mut findings);
            pages.push((file.as_path(), page));
        } else {
            check_code(file, &text, *syntax, &wording, &mut findings);
        }
    }
    links::check(root, &pages, &mut findings);
    findings.sort_unstable();
    Ok(Report { files: files.len(), findings })
}

fn check_code(file: &Path, text: &str, syntax: Syntax, wording: &Wording, findings: &mut Vec<Finding>) {
    let comments = match syntax {
        Syntax::Hash => comments::hash_comments(text),
        _ => comments::slash_comments(text, syntax == Syntax::Script),
    };
    width::check(file, text, &comments, findings);
    for block in comments::blocks(&comments) {
        let document: Document = prose::read(block.iter().map(|comment| (comment.line, comment.text)));
        wording.check(file, &document, findings);
    }
}

/// Finds the files below `folder` that the check can read. `folder` is relative to `root`.
fn walk(root: &Path, folder: &Path, files: &mut Vec<(PathBuf, Syntax)>) -> anyhow::Result<()> {
    let path = root.join(folder);
    let entries = std::fs::read_dir(&path).with_context(|| format!("cannot read {}", path.display()))?;
    for entry in entries {
        let entry = entry?;
        let name = entry.file_name();
        let name = name.to_string_lossy();
        let file = folder.join(name.as_ref());
        if entry.file_type()?.is_dir() {
            let is_hidden = name.starts_with('.') && !HIDDEN_FOLDERS.contains(&name.as_ref());
            if !is_hidden && !SKIPPED_FOLDERS.contains(&name.as_ref()) {
                walk(root, &file, files)?;
            }
        } else if let Some(syntax) = Syntax::of(&file) {
            files.push((file, syntax));
        }
    }
    Ok(())
}
