//! Finds the file that defines a name.

use std::path::Path;

use super::graph::Graph;
use super::modules::{Crate, Module};
use super::names::{Meaning, ModuleId};

/// The module or the definitions that a path names.
#[derive(Debug, Default)]
struct Found {
    /// The module that the path names.
    module: Option<ModuleId>,
    /// The definitions that the path names: the module of each, and its name in this module.
    definitions: Vec<(ModuleId, String)>,
}

/// Makes the graph of a crate's files, with an arrow from each file to each file that it imports.
pub(super) fn arrows(read: &Crate) -> Graph {
    let mut graph = Graph::default();
    for (id, module) in read.modules.iter().enumerate() {
        let from = shown(&module.file);
        graph.add_place(&from);
        let mut add = |definitions: Vec<(ModuleId, String)>| {
            for (to, name) in definitions {
                let to = &read.modules[to].file;
                if *to != module.file {
                    graph.add_arrow(&from, &shown(to), &name);
                }
            }
        };
        for path in &module.mentions {
            add(find(read, id, path, &mut Vec::new()).definitions);
        }
        // A parent module that only re-exports names of its children does not use these names, so they make
        // no arrows.
        for path in &module.re_exports {
            let mut definitions = find(read, id, path, &mut Vec::new()).definitions;
            definitions.retain(|(to, _)| !is_below(read, *to, id));
            add(definitions);
        }
    }
    graph
}

fn shown(file: &Path) -> String {
    file.display().to_string()
}

fn is_below(read: &Crate, module: ModuleId, ancestor: ModuleId) -> bool {
    std::iter::successors(Some(module), |module| read.modules[*module].parent)
        .any(|module| module == ancestor)
}

/// Follows `path` from `module`. `seen` lists the names that are being looked up now, each with its module.
/// Without this list, the search could be endless. For example, a module has `use a::a`. To find `a` in this
/// module, the search follows `a::a`, so it has to find `a` in this module again.
fn find(read: &Crate, module: ModuleId, path: &[String], seen: &mut Vec<(ModuleId, String)>) -> Found {
    let (mut at, mut rest, mut is_relative) = (module, path, true);
    while let [first, others @ ..] = rest {
        let start = match first.as_str() {
            "crate" => Some(0),
            "self" => Some(at),
            "super" => read.modules[at].parent,
            _ => break,
        };
        let Some(start) = start else { return Found::default() };
        (at, rest, is_relative) = (start, others, false);
    }
    let Some((first, mut rest)) = rest.split_first() else {
        return Found { module: Some(at), definitions: Vec::new() };
    };
    let mut found = named(read, at, first, seen);
    if is_relative && found.module.is_none() && found.definitions.is_empty() {
        // The path begins with another crate, a type parameter, or a name of the prelude.
        return found;
    }
    let mut name = first;
    loop {
        if found.module.is_none() && found.definitions.is_empty() {
            // No item of the module has this name, so a macro call in the module defines it.
            found.definitions.push((at, name.clone()));
        }
        let (Some(module), Some((next, others))) = (found.module, rest.split_first()) else { return found };
        (at, rest, name) = (module, others, next);
        found = named(read, at, name, seen);
    }
}

/// The meaning of `name` in `module`.
fn named(read: &Crate, module: ModuleId, name: &str, seen: &mut Vec<(ModuleId, String)>) -> Found {
    let Module { names, globs, .. } = &read.modules[module];
    let mut found = Found::default();
    let place = (module, name.to_owned());
    let is_seen = seen.contains(&place);
    seen.push(place);
    for meaning in names.get(name).into_iter().flatten() {
        match meaning {
            Meaning::Module(child) => found.module = Some(*child),
            Meaning::Definition => found.definitions.push((module, name.to_owned())),
            Meaning::Import(path) if !is_seen => {
                let imported = find(read, module, path, seen);
                found.module = found.module.or(imported.module);
                found.definitions.extend(imported.definitions);
            }
            Meaning::Import(_) => {}
        }
    }
    if found.module.is_none() && found.definitions.is_empty() && !is_seen {
        for glob in globs {
            if let Some(source) = find(read, module, glob, seen).module {
                found = named(read, source, name, seen);
            }
            if found.module.is_some() || !found.definitions.is_empty() {
                break;
            }
        }
    }
    seen.pop();
    found
}
