//! Tests of the checks. Each check has to find its own kind of fault, and nothing else.

use std::path::Path;

use clap::{Arg, Command};

use super::wording::Wording;
use super::{Finding, Syntax, check, check_code, commands, comments, prose, snippets};

/// Sentences that were once in this project, each with the sentence that replaced it.
const REWRITES: [(&str, &str); 9] = [
    (
        "Whoever is handed it again knows.",
        "If the message is dequeued again, the run finds the mark and does not send it.",
    ),
    (
        "The moment for which the loop's alarm is set, and the alarm: among others, alone, so that it is looked at only \
         when it rings.",
        "When the timer fires, and the timer. It has its own `FuturesUnordered`, so that it is polled only when it fires.",
    ),
    (
        "So that nothing overtakes it, and nothing those that were pushed behind it, its conversation is held.",
        "To keep the order, the run pauses the conversation. Hidden messages form a list, oldest first.",
    ),
    (
        "A note that nobody could act on in that time is worth nothing: the leases have ended.",
        "Records older than this are ignored, because their leases have expired.",
    ),
    (
        "What is left of a run when the last answer of a Connector is awaited no longer: something has to be done about \
         it.",
        "Time reserved at the end of a run for acting on the last response.",
    ),
    (
        "Nothing is written that stands there already: writes are what a host has fewest of.",
        "Unchanged values are not written again, because hosts limit writes most.",
    ),
    ("accountname stands there twice", "AccountName is set twice; keep one"),
    ("delay: either this or `at`, not both, expected", "delay: cannot be combined with `at`; leave one out"),
    (
        "in the *poison queue* stands what was given up, with the reason",
        "The *poison queue* holds the messages that could not be delivered, each with its reason.",
    ),
];

/// The findings of a text in Markdown, as `line: text`.
fn in_markdown(text: &str) -> Vec<String> {
    let mut findings = Vec::new();
    let page = prose::read(prose::numbered_lines(text));
    Wording::of_project().unwrap().check(Path::new("a.md"), &page, &mut findings);
    shown(&findings)
}

fn in_code(text: &str, syntax: Syntax) -> Vec<String> {
    let mut findings = Vec::new();
    check_code(Path::new("a"), text, syntax, &Wording::of_project().unwrap(), &mut findings);
    shown(&findings)
}

fn shown(findings: &[Finding]) -> Vec<String> {
    findings.iter().map(|finding| format!("{}: {}", finding.line, finding.text)).collect()
}

#[test]
fn old_sentences_are_found_and_their_rewrites_are_not() {
    for (was, better) in REWRITES {
        for (markdown, code) in [(was, format!("/// {was}")), (better, format!("/// {better}"))] {
            let is_found = markdown == was;
            let (markdown, code) = (in_markdown(markdown), in_code(&code, Syntax::Rust));
            let wording: Vec<_> = code.iter().filter(|finding| !finding.contains("columns")).collect();
            assert_eq!(!markdown.is_empty(), is_found, "Markdown: {was}: {markdown:?}");
            assert_eq!(!wording.is_empty(), is_found, "comment: {was}: {wording:?}");
        }
    }
}

#[test]
fn refused_words_over_several_lines_are_found_at_their_first_line() {
    for (text, syntax, expected) in [
        ("fn a() {}\n    // It is stored. Whoever\n    // asks sees it.\n", Syntax::Rust, "2: "),
        ("/// One.\n///\n/// The value stands\n/// there twice.\n", Syntax::Rust, "3: "),
        ("a = 1\n# It stands\n# there.\n", Syntax::Hash, "2: "),
        ("const a = 1; /* One.\n * So that it works. */\n", Syntax::Script, "2: "),
    ] {
        let findings = in_code(text, syntax);
        assert!(findings.iter().any(|finding| finding.starts_with(expected)), "{text}: {findings:?}");
    }
}

#[test]
fn refused_first_word_is_found_only_at_the_beginning_of_a_statement_outside_of_headings() {
    for (text, is_found) in [
        ("What the run does.", true),
        ("- What the run does.", true),
        ("It ends. What follows is sent.", true),
        ("It ends (Those are sent).", true),
        ("*What* the run does.", true),
        ("| a | b |\n|---|---|\n| c | What it does |", true),
        ("| What | b |\n|---|---|\n| c | d |", false),
        ("## What it costs", false),
        ("What does it cost? A cent.", false),
        ("The page says what it costs.", false),
        ("`Those` are names.", false),
        ("A person says \"What is that\" to it.", false),
        ("Version 1.5 Whatever", false),
    ] {
        assert_eq!(!in_markdown(text).is_empty(), is_found, "{text}");
    }
}

#[test]
fn refused_phrase_is_found_only_as_whole_words_outside_of_code() {
    for (text, is_found) in [
        ("The lease is over.", true),
        ("The lease Is\nOver.", true),
        ("The lease *is* over.", true),
        ("The lease is `over`.", false),
        ("The lease is, over all, long.", false),
        ("The lease is overdue.", false),
        ("A person says \"it is over\".", false),
        ("See [the page](docs/door.md).", false),
        ("A code stands for a tag.", false),
        ("The code stands on the queue.", true),
        ("```\nit stands there\n```", false),
        ("`a` and ``b ` door`` and `c`", false),
    ] {
        assert_eq!(!in_markdown(text).is_empty(), is_found, "{text}");
    }
}

#[test]
fn strings_are_no_comments() {
    for (source, syntax, expected) in [
        (r#"let a = "// no"; // yes"#, Syntax::Rust, &[" yes"][..]),
        (r##"let a = r#"" // no"#; // yes"##, Syntax::Rust, &[" yes"]),
        (r#"let a = '"'; let b = '\''; /* yes */ let c = "/* no";"#, Syntax::Rust, &["yes"]),
        ("fn a<'a>(b: &'a str) {} // yes", Syntax::Rust, &[" yes"]),
        ("/* yes\n * more /* nested */\n */ let a = 1;", Syntax::Rust, &["yes", " more /* nested", ""]),
        ("let a = \"two \\\n // no\";", Syntax::Rust, &[]),
        ("const a = '// no'; // yes", Syntax::Script, &[" yes"]),
        ("const a = `// ${b} no`; // yes", Syntax::Script, &[" yes"]),
        ("a = \"# no\" # yes", Syntax::Hash, &[" yes"]),
        ("a = \"\"\"\n# no\n\"\"\"\n# yes", Syntax::Hash, &[" yes"]),
        ("it's a#b # yes", Syntax::Hash, &[" yes"]),
        ("#!/bin/sh\nb: 'é # no' # yes", Syntax::Hash, &[" yes"]),
    ] {
        let comments = match syntax {
            Syntax::Hash => comments::hash_comments(source),
            _ => comments::slash_comments(source, syntax == Syntax::Script),
        };
        let texts: Vec<_> = comments.iter().map(|comment| comment.text).collect();
        assert_eq!(texts, expected, "{source}");
    }
}

#[test]
fn wide_lines_are_found_in_comments_only() {
    let wide = "é".repeat(120);
    for (source, is_found) in [
        (format!("// {}", "é".repeat(107)), false),
        (format!("// {}", "é".repeat(108)), true),
        (format!("    let a = 1; // {wide}"), true),
        (format!("let a = \"{wide}\";"), false),
        (format!("/// | a | {wide} |"), false),
        (format!("// https://example.com/{wide}"), false),
        (format!("/* {wide}\n{wide} */"), true),
    ] {
        assert_eq!(!in_code(&source, Syntax::Rust).is_empty(), is_found, "{source}");
    }
}

/// A small definition of `cargo dev` for the tests, with the subcommands `send` and `bench`.
fn cli() -> Command {
    let send = Command::new("send")
        .arg(Arg::new("text").required(true))
        .arg(Arg::new("port").long("port").value_parser(clap::value_parser!(u16)));
    let bench = Command::new("bench")
        .arg(Arg::new("more").num_args(0..).trailing_var_arg(true).allow_hyphen_values(true));
    Command::new("cargo dev")
        .subcommand_required(true)
        .arg_required_else_help(true)
        .subcommands([send, bench])
}

#[test]
fn command_that_clap_refuses_is_found_and_other_commands_are_not() {
    for (text, is_found) in [
        ("```sh\ncargo dev send hello   # says --no-such\n```", false),
        ("```sh\n$ cargo dev send \"two words\" --port 1 | tee log\n```", false),
        ("```sh\nA=1 cargo dev send \\\n  hello --port 1\n```", false),
        ("```sh\ncargo dev bench -- --exact\n```", false),
        ("```sh\ncargo devour --no-such\ncargo test --no-such\n```", false),
        ("```sh\ncargo dev\n```", false),
        ("```sh\ncargo dev sent hello\n```", true),
        ("```sh\ncargo dev send hello --prot 1\n```", true),
        ("```sh\ncargo dev send\n```", true),
        ("```sh\nA=1 cargo dev send two words\n```", true),
        ("`cargo dev send` and `cargo dev send [--port N]` and `cargo\ndev send hello`", false),
        ("`cargo dev send --prot`", true),
    ] {
        let mut findings = Vec::new();
        let page = prose::read(prose::numbered_lines(text));
        commands::check(Path::new("a.md"), &page, &cli(), &mut findings);
        assert_eq!(!findings.is_empty(), is_found, "{text}: {findings:?}");
    }
}

#[test]
fn commands_and_snippets_are_compared_with_the_files_that_they_name() {
    let root = tempfile::tempdir().unwrap();
    let script = "case $1 in\n    --env | --name)\n        shift ;;\n    --now) exit ;;\nesac\n";
    for (file, text) in [("deploy/a/run.sh", script), ("deploy/a/b.yaml", "a: 1\nb:\n  - c\nd: 2\n")] {
        std::fs::create_dir_all(root.path().join(file).parent().unwrap()).unwrap();
        std::fs::write(root.path().join(file), text).unwrap();
    }
    for (text, expected) in [
        ("```sh\ndeploy/a/run.sh --env x --name=y   # says --no-such\n```", ""),
        ("```sh\ncargo dev && sudo deploy/a/run.sh --now && kubectl apply -k deploy/a >log\n```", ""),
        ("`run.sh --now`, `deploy/<name>/run.sh --no`, `deploy/*.sh`, `/a/b`, `spin up --no`", ""),
        ("```sh\ndeploy/a/run.sh --evn x\n```", "deploy/a/run.sh has no option --evn"),
        ("```sh\ncargo dev && sudo deploy/a/run.sh --no\n```", "no option --no"),
        ("`run.sh --later`", "run.sh has no option --later"),
        ("```sh\ndeploy/a/runs.sh\n```", "`deploy/a/runs.sh` does not exist"),
        ("```sh\nkubectl apply -k deploy/b\n```", "`deploy/b` does not exist"),
        ("```yaml deploy/a/b.yaml\nb:\n  - c\n```", ""),
        ("```yaml deploy/a/b.yaml\nb:\n- c\n```", "is no part of `deploy/a/b.yaml`"),
        ("```yaml deploy/a/b.yaml\na: 1\nd: 2\n```", "is no part of"),
        ("```yaml deploy/a/c.yaml\nb:\n```", "`deploy/a/c.yaml` of the snippet cannot be read"),
        ("```yaml\nb:\n```", "names no file"),
    ] {
        let mut findings = Vec::new();
        let page = prose::read(prose::numbered_lines(text));
        snippets::check(root.path(), Path::new("deploy/a/README.md"), &page, &mut findings);
        assert_eq!(findings.is_empty(), expected.is_empty(), "{text}: {findings:?}");
        assert!(findings.iter().all(|finding| finding.text.contains(expected)), "{text}: {findings:?}");
    }
}

#[test]
fn skipped_folders_are_not_read_and_findings_name_file_and_line() {
    let root = tempfile::tempdir().unwrap();
    for (file, text) in [
        (
            "README.md",
            "# Über `the` [page](docs)\n\n[a](docs/b.md#one-1) [b](docs/b.md#two) [c](docs/none.md)\n[d](#über-the-page) \
             [e](docs) [f](https://example.com/none) `[g](none)`\n\n[h]: src/a.rs#L7\n",
        ),
        (
            "docs/b.md",
            "# One\n\n## One\n\n[up](../README.md) [out](../../x.md) [bad](#three) <a id=\"four\"></a>\n",
        ),
        ("src/a.rs", "fn a() {}\n// The door.\n"),
        ("src/node_modules/c.md", "The door.\n"),
        (".git/d.md", "The door.\n"),
        (".ci/run", "# The door.\n"),
        ("e.png", "The door.\n"),
    ] {
        let path = root.path().join(file);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    let report = check(root.path(), &cli()).unwrap();
    assert_eq!(report.files, 4, "two pages, a source, a script");
    let shown: Vec<_> = report.findings.iter().map(ToString::to_string).collect();
    let expected = [
        ".ci/run:1: `door` is not plain; write: entry point",
        "README.md:3: the link `docs/b.md#two` names a heading that docs/b.md does not have; correct the part behind #",
        "README.md:3: the link `docs/none.md` names a file that does not exist; correct its path",
        "docs/b.md:5: the link `#three` names a heading that docs/b.md does not have; correct the part behind #",
        "docs/b.md:5: the link `../../x.md` names a file that does not exist; correct its path",
        "src/a.rs:2: `door` is not plain; write: entry point",
    ];
    assert_eq!(shown, expected);
}
