//! `cargo dev circles`: finds files that import each other, and packages that depend on each other.
//!
//! Without circles, a reader can understand the files one after the other: first the files that import
//! nothing, and last the files that no other file imports.
//!
//! - `packages.rs` asks cargo for the packages of the workspace, and for their dependencies.
//! - `modules.rs` reads the files of a crate, and `code.rs` reads the names in each file.
//! - `names.rs` has the types for these names.
//! - `resolve.rs` finds the file that defines a name, also if a parent module re-exports the name.
//! - `graph.rs` finds the circles.
//!
//! Tests are allowed to import from every file, so the check ignores the code of tests. The check sees
//! imports, but no method calls. For example, a type `Run` has the method `start` in one file, and the method
//! `end` in another. If `start` calls `end`, the check does not see an arrow between the two files.
//!
//! The project does not use `cargo modules dependencies --acyclic`, for two reasons. That program also
//! reports circles of modules within one file. And it contains rust-analyzer, which CI would have to build.

mod code;
mod graph;
mod modules;
mod names;
mod packages;
mod resolve;
#[cfg(test)]
mod tests;

use std::path::Path;

use anyhow::ensure;

use self::graph::Graph;
use self::modules::Crate;
use crate::workspace::root;

/// Checks the workspace and prints all circles.
pub fn run() -> anyhow::Result<()> {
    let root = root();
    let packages = packages::read()?;
    let mut circles = Vec::new();
    let mut files = 0;
    for crate_root in packages.iter().flat_map(|package| &package.crate_roots) {
        let arrows = arrows_between_files(&root, crate_root)?;
        files += arrows.len();
        circles.extend(
            arrows.circles("imports", "move the shared definition into another file, which imports neither"),
        );
    }
    let arrows = packages::arrows(&packages);
    circles.extend(
        arrows.circles("depends on", "move the shared code into another package, which depends on neither"),
    );
    for circle in &circles {
        println!("{circle}");
    }
    let count = circles.len();
    ensure!(count == 0, "circles: {count} circles among {files} files and {} packages", packages.len());
    println!("No circles among {files} files and {} packages.", packages.len());
    Ok(())
}

/// Makes the graph of a crate's files, with an arrow from each file to each file that it imports.
/// `crate_root` is the path of the crate's first file, such as `src/lib.rs`. `root` is the folder of the
/// workspace.
fn arrows_between_files(root: &Path, crate_root: &Path) -> anyhow::Result<Graph> {
    Ok(resolve::arrows(&Crate::read(root, crate_root)?))
}
