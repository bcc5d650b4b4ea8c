//! The `cargo dev` commands that Markdown shows: clap's own definition has to accept them.

use std::path::Path;

use clap::error::ErrorKind;

use super::Finding;
use super::prose::Document;

/// A command that a page shows.
struct Shown {
    line: usize,
    arguments: Vec<String>,
    /// Whether it is in the text and not in fenced code. It may then lack required arguments, and may have
    /// `N` in place of a number.
    is_in_text: bool,
}

/// Checks the commands of a page.
pub(super) fn check(file: &Path, page: &Document, cli: &clap::Command, findings: &mut Vec<Finding>) {
    for command in shown(page) {
        let problem = problem(cli, &command);
        findings.extend(problem.map(|problem| Finding::new(file, command.line, problem)));
    }
}

/// The arguments of all commands of a page, each with its line.
pub(super) fn arguments_of(page: &Document) -> impl Iterator<Item = (usize, Vec<String>)> {
    shown(page).into_iter().map(|command| (command.line, command.arguments))
}

/// Finds the commands in fenced code, and in `code` of the text.
fn shown(page: &Document) -> Vec<Shown> {
    let mut commands = Vec::new();
    let mut lines = page.code.iter();
    while let Some(first) = lines.next() {
        let mut text = first.text.trim().to_owned();
        while let Some(continued) = text.strip_suffix('\\') {
            text = format!("{continued} {}", lines.next().map_or("", |line| line.text.trim()));
        }
        let arguments = arguments(&text);
        commands.extend(arguments.map(|arguments| Shown { line: first.line, arguments, is_in_text: false }));
    }
    for segment in &page.segments {
        for (at, code) in segment.code() {
            let arguments = arguments(&code.replace(['[', ']'], " "));
            let line = segment.line_at(at);
            commands.extend(arguments.map(|arguments| Shown { line, arguments, is_in_text: true }));
        }
    }
    commands
}

/// The arguments of a line that runs `cargo dev`; `None` if it runs something else.
fn arguments(line: &str) -> Option<Vec<String>> {
    let words = words(line.strip_prefix("$ ").unwrap_or(line));
    let is_variable = |word: &str| word.split_once('=').is_some_and(|(name, _)| !name.contains('-'));
    let mut words = words.into_iter().skip_while(|word| is_variable(word));
    let is_ours = words.next()? == "cargo" && words.next()? == "dev";
    is_ours.then(|| words.collect())
}

/// The words of a line of shell, up to a comment or the end of the command.
fn words(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote = None;
    for character in line.chars() {
        match (quote, character) {
            (Some(open), _) if character == open => quote = None,
            (Some(_), _) => word.get_or_insert_default().push(character),
            (None, '"' | '\'') => {
                word.get_or_insert_default();
                quote = Some(character);
            }
            (None, '|' | '&' | ';' | '>') => break,
            (None, '#') if word.is_none() => break,
            (None, _) if character.is_whitespace() => words.extend(word.take()),
            (None, _) => word.get_or_insert_default().push(character),
        }
    }
    words.extend(word);
    words
}

fn problem(cli: &clap::Command, Shown { arguments, is_in_text, .. }: &Shown) -> Option<String> {
    let words = std::iter::once("cargo dev").chain(arguments.iter().map(String::as_str));
    let error = cli.clone().try_get_matches_from(words).err()?;
    let is_fine = match error.kind() {
        ErrorKind::DisplayHelp
        | ErrorKind::DisplayVersion
        | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => true,
        ErrorKind::MissingRequiredArgument | ErrorKind::MissingSubcommand | ErrorKind::ValueValidation => {
            *is_in_text
        }
        _ => false,
    };
    let text = error.to_string();
    let first = text.lines().next().unwrap_or_default().trim_start_matches("error: ");
    let command = arguments.join(" ");
    (!is_fine).then(|| format!("`cargo dev {command}` fails: {first}; `cargo dev --help` lists what works"))
}
