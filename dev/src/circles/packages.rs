//! Asks cargo for the packages of the workspace, and for their dependencies.

use std::path::PathBuf;

use anyhow::{Context, ensure};
use serde::Deserialize;

use super::graph::Graph;
use crate::steps::cargo;

/// A member of the workspace.
#[derive(Debug)]
pub(super) struct Package {
    pub(super) name: String,
    /// The first file of the package's library and of each of its programs, such as `src/lib.rs`.
    pub(super) crate_roots: Vec<PathBuf>,
    /// The packages of the workspace that this package or its tests need. Each pair has the name of the
    /// needed package, and the table of `Cargo.toml` that lists this name, such as `dev-dependencies`.
    pub(super) needs: Vec<(String, &'static str)>,
}

/// The part of `cargo metadata`'s output that this check reads.
#[derive(Debug, Deserialize)]
struct Metadata {
    packages: Vec<MetadataPackage>,
}

#[derive(Debug, Deserialize)]
struct MetadataPackage {
    name: String,
    dependencies: Vec<Dependency>,
    targets: Vec<Target>,
}

#[derive(Debug, Deserialize)]
struct Dependency {
    name: String,
    kind: Option<String>,
    /// The folder of the dependency; `None` if the dependency is not a package of the workspace.
    path: Option<PathBuf>,
}

#[derive(Debug, Deserialize)]
struct Target {
    kind: Vec<String>,
    src_path: PathBuf,
}

pub(super) fn read() -> anyhow::Result<Vec<Package>> {
    let output = cargo(&["metadata", "--no-deps", "--format-version", "1"]).output()?;
    ensure!(output.status.success(), "cargo metadata: {}", String::from_utf8_lossy(&output.stderr));
    let metadata: Metadata = serde_json::from_slice(&output.stdout).context("cargo metadata")?;
    Ok(metadata.packages.into_iter().map(package).collect())
}

fn package(metadata: MetadataPackage) -> Package {
    let is_code = |target: &Target| target.kind.iter().any(|kind| kind.ends_with("lib") || kind == "bin");
    let targets = metadata.targets.into_iter().filter(is_code);
    let siblings = metadata.dependencies.into_iter().filter(|dependency| dependency.path.is_some());
    Package {
        crate_roots: targets.map(|target| target.src_path).collect(),
        needs: siblings.map(need).collect(),
        name: metadata.name,
    }
}

fn need(dependency: Dependency) -> (String, &'static str) {
    let table = match dependency.kind.as_deref() {
        Some("dev") => "dev-dependencies",
        Some("build") => "build-dependencies",
        _ => "dependencies",
    };
    (dependency.name, table)
}

/// Makes the graph of the packages, with an arrow from each package to each package that it needs.
pub(super) fn arrows(packages: &[Package]) -> Graph {
    let mut graph = Graph::default();
    for package in packages {
        graph.add_place(&package.name);
        // A package is allowed to depend on itself. Its `dev-dependencies` can list the same package with
        // other features, which only the tests need.
        for (need, table) in package.needs.iter().filter(|(need, _)| *need != package.name) {
            graph.add_arrow(&package.name, need, table);
        }
    }
    graph
}
