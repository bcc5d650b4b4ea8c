//! `cargo dev circles`: finds circles of files, and circles of packages. In a *circle* of files, each file
//! imports the next file, and the last file imports the first. In a circle of packages, each package depends
//! on the next package, and the last package depends on the first.
//!
//! Without circles, a reader can understand the files one after the other: first the files that import
//! nothing, and last the files that no other file imports.
//!
//! - `packages.rs` asks cargo for the packages of the workspace, and for their dependencies.
//! - `modules.rs` reads the files of a crate, and `code.rs` reads the names in each file.
//! - `names.rs` has the types for these names.
//! - `resolve.rs` finds the file that defines a name, also if another module re-exports the name (`pub use`).
//! - `graph.rs` finds the circles.
//!
//! The check ignores the code of tests, because tests are allowed to import from every file. The check sees
//! imports, but no method calls. For example, a type `Run` has the method `start` in one file, and the method
//! `end` in another file. If `start` calls `end`, the check does not notice that the first file needs the
//! other file.
//!
//! The project does not use the program `cargo modules dependencies --acyclic`, for two reasons. First, this
//! program also reports circles of modules within one file. Second, CI would have to build this program,
//! which contains rust-analyzer.

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

/// Checks the files and the packages of the workspace, and prints the circles. Fails if there is a circle.
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
