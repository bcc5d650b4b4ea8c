//! Checks the `cargo dev` commands in Markdown: clap, the command-line parser of `cargo dev`, has to accept
//! each command.

use std::path::Path;

use clap::error::ErrorKind;

use super::finding::Finding;
use super::prose::Document;

/// A command that a page shows.
pub(super) struct Shown {
    pub(super) line: usize,
    /// The program and its arguments. Assignments before the program, e.g. `A=1`, are left out.
    pub(super) words: Vec<String>,
    /// Whether the command is between backticks in text. The other commands are in *fenced code*: the lines
    /// between two lines of three backticks. A command in text can be incomplete. It can lack a subcommand or
    /// a required argument, and can have a placeholder such as `N` instead of a number.
    is_in_text: bool,
}

impl Shown {
    /// The arguments behind `cargo dev`; `None` for another command.
    fn arguments(&self) -> Option<&[String]> {
        match self.words.as_slice() {
            [cargo, dev, arguments @ ..] if cargo == "cargo" && dev == "dev" => Some(arguments),
            _ => None,
        }
    }
}

/// Checks the commands of a page.
pub(super) fn check(file: &Path, page: &Document, cli: &clap::Command, findings: &mut Vec<Finding>) {
    for command in shown(page) {
        let problem = command.arguments().and_then(|arguments| problem(cli, arguments, command.is_in_text));
        findings.extend(problem.map(|problem| Finding::new(file, command.line, problem)));
    }
}

/// The arguments of each `cargo dev` command of a page, with the command's line.
pub(super) fn arguments_of(page: &Document) -> impl Iterator<Item = (usize, Vec<String>)> {
    shown(page).into_iter().filter_map(|command| Some((command.line, command.arguments()?.to_vec())))
}

/// Finds the commands of a page: in the lines of fenced code, and between backticks in all other text. A
/// backslash at the end of a line of fenced code joins the line with the next line.
pub(super) fn shown(page: &Document) -> Vec<Shown> {
    let mut commands = Vec::new();
    let mut lines = page.code.iter();
    while let Some(first) = lines.next() {
        let mut text = first.text.trim().to_owned();
        while let Some(continued) = text.strip_suffix('\\') {
            text = format!("{continued} {}", lines.next().map_or("", |line| line.text.trim()));
        }
        let of_line = commands_of(text.strip_prefix("$ ").unwrap_or(&text)).into_iter();
        commands.extend(of_line.map(|words| Shown { line: first.line, words, is_in_text: false }));
    }
    for segment in &page.segments {
        for (at, code) in segment.code() {
            let line = segment.line_at(at);
            // In text, brackets mark an optional argument, e.g. `[--port N]`.
            let of_code = commands_of(&code.replace(['[', ']'], " ")).into_iter();
            commands.extend(of_code.map(|words| Shown { line, words, is_in_text: true }));
        }
    }
    commands
}

/// The commands in a line of shell, each as its words. Assignments before a program, a comment at the end of
/// the line, and the file behind `>` are left out.
fn commands_of(line: &str) -> Vec<Vec<String>> {
    let is_variable = |word: &String| word.split_once('=').is_some_and(|(name, _)| !name.contains('-'));
    let commands = words(line).into_iter().map(|words| words.into_iter().skip_while(is_variable).collect());
    commands.filter(|words: &Vec<String>| !words.is_empty()).collect()
}

/// Splits a line of shell into commands, and each command into words.
fn words(line: &str) -> Vec<Vec<String>> {
    let mut commands = vec![Vec::new()];
    let mut word: Option<String> = None;
    let mut quote = None;
    // Whether the current word is behind `>`. Such a word names a file.
    let mut is_redirected = false;
    for character in line.chars() {
        match (quote, character) {
            (Some(open), _) if character == open => quote = None,
            (Some(_), _) => word.get_or_insert_default().push(character),
            (None, '"' | '\'') => {
                word.get_or_insert_default();
                quote = Some(character);
            }
            (None, '#') if word.is_none() => break,
            (None, '|' | '&' | ';' | '>') => {
                end(&mut commands, &mut word, is_redirected);
                is_redirected = character == '>';
                if !is_redirected {
                    commands.push(Vec::new());
                }
            }
            (None, _) if character.is_whitespace() => end(&mut commands, &mut word, is_redirected),
            (None, _) => word.get_or_insert_default().push(character),
        }
    }
    end(&mut commands, &mut word, is_redirected);
    commands
}

/// Ends the current word, and appends the word to the last command. A word behind `>` is dropped instead,
/// because this word names a file.
fn end(commands: &mut [Vec<String>], word: &mut Option<String>, is_redirected: bool) {
    if let (Some(word), Some(command)) = (word.take(), commands.last_mut())
        && !is_redirected
    {
        command.push(word);
    }
}

fn problem(cli: &clap::Command, arguments: &[String], is_in_text: bool) -> Option<String> {
    let words = std::iter::once("cargo dev").chain(arguments.iter().map(String::as_str));
    let error = cli.clone().try_get_matches_from(words).err()?;
    let is_fine = match error.kind() {
        ErrorKind::DisplayHelp
        | ErrorKind::DisplayVersion
        | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => true,
        ErrorKind::MissingRequiredArgument | ErrorKind::MissingSubcommand | ErrorKind::ValueValidation => {
            is_in_text
        }
        _ => false,
    };
    let text = error.to_string();
    let first = text.lines().next().unwrap_or_default().trim_start_matches("error: ");
    let command = arguments.join(" ");
    (!is_fine).then(|| format!("`cargo dev {command}` fails: {first}; `cargo dev --help` lists what works"))
}
