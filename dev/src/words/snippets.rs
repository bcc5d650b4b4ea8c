//! Checks commands and snippets in Markdown. A *snippet* is a block of fenced code. The files that a command
//! names have to exist. If the command runs a script of the project, the script has to accept the command's
//! options. The line that opens a snippet can name a language and then a file, e.g. `yaml deploy/a.yaml`. The
//! snippet then has to be a part of this file.

use std::collections::BTreeSet;
use std::path::Path;

use super::commands::{Shown, shown};
use super::finding::Finding;
use super::prose::{Document, Fence};

/// The pages with recipes (instructions for a deployment): a folder, and one more page. On these pages, each
/// snippet has to name a file. Exceptions are snippets with shell commands, and with queries in KQL (the
/// query language of Azure Monitor).
const PAGES_OF_RECIPES: [&str; 2] = ["deploy", "docs/deploying.md"];

/// Checks the commands and the snippets of a page.
pub(super) fn check(root: &Path, file: &Path, page: &Document, findings: &mut Vec<Finding>) {
    for command in shown(page) {
        let problem = problem_of_command(root, file, &command);
        findings.extend(problem.map(|problem| Finding::new(file, command.line, problem)));
    }
    for fence in &page.fences {
        let problem = problem_of_snippet(root, file, page, fence);
        findings.extend(problem.map(|problem| Finding::new(file, fence.line, problem)));
    }
}

fn problem_of_command(root: &Path, page: &Path, Shown { words, .. }: &Shown) -> Option<String> {
    let words = if words[0] == "sudo" { &words[1..] } else { words };
    let (program, arguments) = words.split_first()?;
    let missing = words.iter().find(|word| is_missing_path(root, word));
    if let Some(path) = missing {
        return Some(format!("`{path}` does not exist; correct the path"));
    }
    // A page can name a script of the page's own folder by its file name alone, e.g. `run.sh`.
    let folder = if program.contains('/') { Path::new("") } else { page.parent()? };
    let script = root.join(folder).join(program);
    if script.extension()? != "sh" {
        return None;
    }
    let script = std::fs::read_to_string(script).ok()?;
    let accepted = options_of(&script);
    let unknown = arguments
        .iter()
        .map(|argument| argument.split_once('=').map_or(argument.as_str(), |(name, _)| name))
        .find(|argument| argument.starts_with("--") && !accepted.contains(*argument))?;
    Some(format!("{program} has no option {unknown}; `{program} --help` lists them"))
}

/// Whether a word of a command has the form of a path in a folder of the project, but no file or folder has
/// this path. The results of builds, and patterns such as `deploy/*.sh`, do not count.
fn is_missing_path(root: &Path, word: &str) -> bool {
    let Some((folder, rest)) = word.split_once('/') else { return false };
    let is_pattern = word.contains(['<', '>', '*', '{', '$', '…']);
    let is_made = folder == "target" || rest.ends_with(".cdx.json");
    let is_own = !folder.is_empty() && folder.chars().all(|c| c.is_ascii_lowercase() || c == '-');
    is_own && !is_pattern && !is_made && root.join(folder).is_dir() && !root.join(word).exists()
}

/// The options that a shell script accepts: the labels of its `case` that begin with `--`, e.g. `--name)`.
fn options_of(script: &str) -> BTreeSet<&str> {
    let labels = script.lines().map(str::trim_start).filter(|line| line.starts_with('-'));
    let labels = labels.filter_map(|line| line.split([')', '\\']).next());
    labels.flat_map(|label| label.split(['|', ' '])).filter(|word| word.starts_with("--")).collect()
}

fn problem_of_snippet(root: &Path, page: &Path, document: &Document, fence: &Fence) -> Option<String> {
    let mut info = fence.info.split_whitespace();
    let (language, source) = (info.next(), info.next());
    let Some(source) = source else {
        let is_recipe = PAGES_OF_RECIPES.iter().any(|recipes| page.starts_with(recipes));
        return (is_recipe && !matches!(language, Some("sh" | "kql"))).then(|| {
            "the snippet names no file; write the file's path behind the language, e.g. ```yaml deploy/a.yaml"
                .to_owned()
        });
    };
    let Ok(text) = std::fs::read_to_string(root.join(source)) else {
        return Some(format!("the file `{source}` of the snippet cannot be read; correct its path"));
    };
    let snippet: Vec<&str> =
        document.code[fence.code.clone()].iter().map(|line| line.text.as_str()).collect();
    let lines: Vec<&str> = text.lines().collect();
    let is_part = lines.windows(snippet.len().max(1)).any(|part| part == snippet);
    (!is_part).then(|| format!("the snippet is no part of `{source}`; copy it from there"))
}
