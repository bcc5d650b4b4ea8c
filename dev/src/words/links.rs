//! Checks the links in the project's Markdown pages. The file that a link names has to exist. If this file
//! is a Markdown page, and the link also names a heading (behind `#`), this file has to have the heading.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Component, Path, PathBuf};

use super::finding::Finding;
use super::prose::{Document, Kind, Segment};

/// Checks the links of all pages. Web addresses (`https://`) and mail addresses are not checked.
pub(super) fn check(root: &Path, pages: &[(&Path, Document)], findings: &mut Vec<Finding>) {
    let anchors: BTreeMap<&Path, BTreeSet<String>> =
        pages.iter().map(|(file, page)| (*file, anchors(page))).collect();
    for (file, page) in pages {
        for (segment, at, target) in page.segments.iter().flat_map(targets) {
            if let Some(problem) = problem_of(root, &anchors, file, &target) {
                findings.push(Finding::new(file, segment.line_at(at), problem));
            }
        }
    }
}

fn problem_of(
    root: &Path,
    anchors: &BTreeMap<&Path, BTreeSet<String>>,
    file: &Path,
    target: &str,
) -> Option<String> {
    if target.is_empty() || target.contains("://") || target.starts_with("mailto:") {
        return None;
    }
    let (path, anchor) = target.split_once('#').map_or((target, None), |(path, anchor)| (path, Some(anchor)));
    let page = if path.is_empty() { Some(file.to_owned()) } else { resolve(file, path) };
    let Some(page) = page.filter(|page| root.join(page).exists()) else {
        return Some(format!("the link `{target}` names a file that does not exist; correct its path"));
    };
    let (anchor, known) = (anchor?, anchors.get(page.as_path())?);
    let name = page.display();
    (!known.contains(anchor)).then(|| {
        format!("the link `{target}` names a heading that {name} does not have; correct the part behind #")
    })
}

/// Resolves `path`, a link on the page `file`, into a path relative to the project's root folder. `None` if
/// `path` is absolute, or leads out of the root folder.
fn resolve(file: &Path, path: &str) -> Option<PathBuf> {
    let mut resolved = file.parent()?.to_owned();
    for part in Path::new(path).components() {
        match part {
            Component::Normal(part) => resolved.push(part),
            Component::CurDir => {}
            Component::ParentDir => resolved.pop().then_some(())?,
            Component::RootDir | Component::Prefix(_) => return None,
        }
    }
    Some(resolved)
}

/// The targets of the links in a segment (e.g. a paragraph), each with its position in the segment. A link
/// has the form `[text](target)`. A definition of a link has the form `[label]: target`.
fn targets(segment: &Segment) -> Vec<(&Segment, usize, String)> {
    let text = &segment.text;
    let code: Vec<_> = segment.code().map(|(start, code)| start..start + code.len() + 2).collect();
    let inline = text.match_indices("](").filter(|(at, _)| !code.iter().any(|code| code.contains(at)));
    let mut targets: Vec<_> = inline
        .filter_map(|(at, mark)| {
            let target = &text[at + mark.len()..];
            let end = target.find([')', ' '])?;
            Some((segment, at, target[..end].to_owned()))
        })
        .collect();
    if text.starts_with('[')
        && let Some((label, target)) = text.split_once("]: ")
        && !label.contains(']')
    {
        let target = target.split_whitespace().next().unwrap_or_default();
        targets.push((segment, 0, target.to_owned()));
    }
    targets
}

/// The *anchors* of a page: the names that a link can have behind `#`. GitHub makes an anchor from each
/// heading. The elements `<a id="…">` and `<a name="…">` also make anchors.
fn anchors(page: &Document) -> BTreeSet<String> {
    let mut anchors = BTreeSet::new();
    for segment in &page.segments {
        if segment.kind == Kind::Heading {
            let anchor = anchor_of(&segment.text);
            let more = (1..).map(|number| format!("{anchor}-{number}"));
            let free = std::iter::once(anchor.clone()).chain(more).find(|anchor| !anchors.contains(anchor));
            anchors.extend(free);
        }
        for attribute in ["<a id=\"", "<a name=\""] {
            let ids = segment.text.split(attribute).skip(1).filter_map(|rest| rest.split('"').next());
            anchors.extend(ids.map(str::to_owned));
        }
    }
    anchors
}

/// The anchor of a heading. The anchor keeps letters, digits, hyphens and underscores, in lower case. Each
/// space becomes a hyphen.
fn anchor_of(heading: &str) -> String {
    // If the heading contains a link, the anchor has the text of the link, but not the link's address.
    let mut shown = String::new();
    let mut rest = heading;
    while let Some((text, address)) = rest.split_once("](") {
        shown.push_str(text);
        rest = address.split_once(')').map_or("", |(_, rest)| rest);
    }
    shown.push_str(rest);
    let shown = shown.to_lowercase();
    let kept =
        shown.chars().filter(|character| character.is_alphanumeric() || matches!(character, '-' | '_' | ' '));
    kept.map(|character| if character == ' ' { '-' } else { character }).collect()
}
