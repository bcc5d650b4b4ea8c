//! Tests the examples in `docs/hooks.md`. The heading above an example names a format, and the crate must
//! recognise the example as this format.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use std::collections::BTreeMap;

use alert_shapes::{Reading, Shape};

use support::{Request, check};

const PAGE: &str = include_str!("../../../docs/hooks.md");

/// The texts in single quotes after an option of a command, such as `-H`.
fn options<'a>(command: &'a str, option: &str) -> Vec<&'a str> {
    let begin = format!(" {option} '");
    let mut rest = command;
    let mut found = Vec::new();
    while let Some((_, after)) = rest.split_once(&begin) {
        let (value, after) = after.split_once('\'').expect("the quote has an end");
        found.push(value);
        rest = after;
    }
    found
}

#[test]
fn examples_in_docs_hooks_are_recognised_as_the_format_in_their_heading() {
    let mut shapes = Vec::new();
    let (_, section) = PAGE.split_once("\n## Formats\n").expect("the section is on the page");
    let section = section.split_once("\n## ").map_or(section, |(section, _)| section);
    for part in section.split("\n### ").skip(1) {
        let (heading, text) = part.split_once('\n').unwrap();
        let name = heading.to_lowercase().replace(' ', "");
        let shape =
            Shape::named(if name == "text" { "plain" } else { &name }).expect("the heading names a format");
        for command in text.split("```sh\n").skip(1).map(|block| block.split_once("\n```").unwrap().0) {
            let headers = options(command, "-H").into_iter().filter_map(|header| header.split_once(": "));
            let headers: BTreeMap<_, _> =
                headers.map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned())).collect();
            // In an example with a signature, the shell variable `body` contains the body.
            let body = options(command, "-d").first().copied();
            let body = body.or_else(|| Some(command.strip_prefix("body='")?.split_once('\'')?.0));
            let request = Request { headers, body: body.expect("a body").as_bytes().to_vec() };
            let read = request.read(None).unwrap_or_else(|error| panic!("{heading}: {error}"));
            assert_eq!(request.read(Some(shape)).as_ref(), Ok(&read), "{heading}");
            let Reading::Alerts(alerts) = read else { panic!("{heading}: a handshake") };
            alerts.iter().try_for_each(check).unwrap_or_else(|problem| panic!("{heading}: {problem}"));
            shapes.push(shape);
        }
    }
    for shape in Shape::ALL {
        assert!(shapes.contains(&shape), "no example of {shape}");
    }
}
