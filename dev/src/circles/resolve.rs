//! Finds the file that defines a name.

use std::path::Path;

use super::graph::Graph;
use super::modules::{Crate, Module};
use super::names::{Meaning, ModuleId};

/// The items that a path (such as `a::b`) names. A module and a function can have the same path.
#[derive(Debug, Default)]
struct Found {
    /// The module that the path names.
    module: Option<ModuleId>,
    /// The definitions that the path names. Each pair has the module that contains the definition, and the
    /// definition's name in this module.
    definitions: Vec<(ModuleId, String)>,
}

/// Makes the graph of a crate's files, with an arrow from each file to each file that it imports.
pub(super) fn arrows(read: &Crate) -> Graph {
    let mut graph = Graph::default();
    for (id, module) in read.modules.iter().enumerate() {
        let from = path_text(&module.file);
        graph.add_place(&from);
        let mut add = |definitions: Vec<(ModuleId, String)>| {
            for (to, name) in definitions {
                let to = &read.modules[to].file;
                if *to != module.file {
                    graph.add_arrow(&from, &path_text(to), &name);
                }
            }
        };
        for path in &module.mentions {
            add(find(read, id, path, &mut Vec::new()).definitions);
        }
        // In `mod low; pub use low::Low;`, a module re-exports a definition from a module below it. This
        // re-export alone does not use the definition, so the re-export adds no arrow.
        for path in &module.re_exports {
            let mut definitions = find(read, id, path, &mut Vec::new()).definitions;
            definitions.retain(|(to, _)| !is_below(read, *to, id));
            add(definitions);
        }
    }
    graph
}

fn path_text(file: &Path) -> String {
    file.display().to_string()
}

fn is_below(read: &Crate, module: ModuleId, ancestor: ModuleId) -> bool {
    std::iter::successors(Some(module), |module| read.modules[*module].parent)
        .any(|module| module == ancestor)
}

/// Finds the module or the definitions that `path` names in the code of `module`. `seen` has the names that
/// the search is resolving now, each with the name's module. Without `seen`, the search could be endless. For
/// example, to resolve `a` in a module with `use a::a`, the search follows the path `a::a`. This path begins
/// with `a`, so the search resolves `a` in the same module again.
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
    let mut found = meaning_of(read, at, first, seen);
    if is_relative && found.module.is_none() && found.definitions.is_empty() {
        // The path begins with another crate, a type parameter, or a name of the prelude. Such a path adds no
        // arrow.
        return found;
    }
    let mut name = first;
    loop {
        if found.module.is_none() && found.definitions.is_empty() {
            // `code.rs` found no item with this name in the module. But the code compiles, so a macro call in
            // the module defines the name.
            found.definitions.push((at, name.clone()));
        }
        let (Some(module), Some((next, others))) = (found.module, rest.split_first()) else { return found };
        (at, rest, name) = (module, others, next);
        found = meaning_of(read, at, name, seen);
    }
}

/// Finds the module or the definitions that `name` means in `module`. Searches the imports with `*` last.
fn meaning_of(read: &Crate, module: ModuleId, name: &str, seen: &mut Vec<(ModuleId, String)>) -> Found {
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
                found = meaning_of(read, source, name, seen);
            }
            if found.module.is_some() || !found.definitions.is_empty() {
                break;
            }
        }
    }
    seen.pop();
    found
}
