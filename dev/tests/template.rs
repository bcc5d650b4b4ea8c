//! Expands `templates/proactive-bot`, the project's template for `spin new`. The tests use the template
//! engine that Spin uses (spin: crates/templates/src/run.rs). The tests compare the expanded Spin manifests
//! with the manifests of this project, and check the expanded components with cargo.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use dev::workspace::root;
use tempfile::TempDir;
use toml::{Table, Value};

const REPOSITORY: &str = "https://example.com/owner/proactive-bot";
const REVISION: &str = "v9.9.9";

fn template() -> PathBuf {
    root().join("templates/proactive-bot")
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn table(path: &Path) -> Table {
    read(path).parse().unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Makes the files that `spin new -t proactive-bot my-bot` makes for a user who gives the answers in
/// `values`.
fn expand() -> TempDir {
    let values = liquid::object!({
        "project-name": "my-bot",
        "project-description": "Says when the pizza is ready",
        "repository": REPOSITORY,
        "revision": REVISION,
        "output-path": "my-bot",
        "authors": "me",
        "username": "me",
    });
    let parser = liquid::ParserBuilder::with_stdlib().build().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let content = template().join("content");
    for file in files(&content) {
        let source = read(&content.join(&file));
        let parsed = parser.parse(&source);
        // If a file cannot be parsed as a template, Spin copies the file unchanged, without an error. This
        // test fails instead.
        let parsed = parsed.unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        let rendered = parsed.render(&values).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        let is_template = file.extension().is_some_and(|extension| extension == "tmpl");
        let target = folder.path().join(if is_template { file.with_extension("") } else { file });
        std::fs::create_dir_all(target.parent().unwrap()).unwrap();
        std::fs::write(target, rendered).unwrap();
    }
    folder
}

/// All files below `folder`. Each path is relative to `folder`.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        let name = PathBuf::from(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            found.extend(files(&entry.path()).into_iter().map(|file| name.join(file)));
        } else {
            found.push(name);
        }
    }
    found
}

/// Reads a manifest of the project, and replaces the name, the description, the paths and some build
/// settings. The result has to be equal to the Spin manifest that [`expand`] makes.
fn as_in_the_template(name: &str) -> Table {
    let mut manifest = table(&root().join(name));
    manifest["application"]["name"] = "my-bot".into();
    manifest["application"]["description"] = "Says when the pizza is ready".into();
    for (_, component) in manifest["component"].as_table_mut().unwrap().iter_mut() {
        let source = component["source"].as_str().unwrap().trim_start_matches("../").to_owned();
        component["source"] = source.into();
        let build = component["build"].as_table_mut().unwrap();
        build.remove("workdir");
        build.insert("watch".to_owned(), Value::from(vec!["Cargo.lock", "components/Cargo.toml"]));
    }
    manifest
}

#[test]
fn template_metadata_has_the_form_that_spin_reads() {
    let manifest = table(&template().join("metadata/spin-template.toml"));
    let keys: BTreeSet<_> = manifest.keys().map(String::as_str).collect();
    let known =
        BTreeSet::from(["manifest_version", "id", "description", "tags", "add_component", "parameters"]);
    assert_eq!(keys, known, "Spin refuses other keys (spin: crates/templates/src/reader.rs)");
    assert_eq!(manifest["id"].as_str(), template().file_name().unwrap().to_str());
    let mut asked = BTreeSet::new();
    for (name, parameter) in manifest["parameters"].as_table().unwrap() {
        let keys: Vec<_> = parameter.as_table().unwrap().keys().map(String::as_str).collect();
        assert!(
            keys.iter().all(|key| ["type", "prompt", "default", "pattern"].contains(key)),
            "{name}: {keys:?}"
        );
        assert_eq!(parameter["type"].as_str(), Some("string"), "{name}");
        assert!(parameter.get("prompt").is_some(), "{name}");
        asked.insert(name.as_str());
    }
    assert_eq!(asked, BTreeSet::from(["project-description", "repository", "revision"]));
    let workspace = table(&root().join("Cargo.toml"));
    let version = workspace["workspace"]["package"]["version"].as_str().unwrap();
    assert_eq!(manifest["parameters"]["revision"]["default"].as_str(), Some(format!("v{version}").as_str()));
}

#[test]
fn expanded_manifests_equal_the_manifests_of_the_project() {
    let project = expand();
    for (name, original) in [("spin.toml", "spin.toml"), ("spin.http.toml", "deploy/spin.http.toml")] {
        let expanded = table(&project.path().join(name));
        let expected = as_in_the_template(original);
        assert!(expanded == expected, "{name}: expected:\n{expected}\n\nfound:\n{expanded}");
    }
    let profile = |path: PathBuf| table(&path)["profile"]["release"].clone();
    assert_eq!(profile(project.path().join("Cargo.toml")), profile(root().join("Cargo.toml")));
}

#[test]
fn expanded_files_have_the_answers_and_no_template_text() {
    let project = expand();
    let found: BTreeSet<_> = files(project.path()).into_iter().collect();
    let expected = [
        ".env.example",
        ".gitignore",
        "Cargo.toml",
        "README.md",
        "components/Cargo.toml",
        "components/src/lib.rs",
        "spin.http.toml",
        "spin.toml",
    ];
    assert_eq!(found, expected.iter().map(PathBuf::from).collect());
    for file in &found {
        let text = read(&project.path().join(file));
        assert!(!text.contains("{%"), "{}", file.display());
        let is_manifest = file.to_string_lossy().starts_with("spin.");
        assert!(is_manifest || !text.contains("{{"), "{}", file.display());
    }
    let components = table(&project.path().join("components/Cargo.toml"));
    for component in ["bot-component", "trigger-component"] {
        let expected: Table = format!("git = '{REPOSITORY}'\nrev = '{REVISION}'").parse().unwrap();
        assert_eq!(components["dependencies"][component].as_table(), Some(&expected));
    }
    assert!(read(&project.path().join("README.md")).starts_with("# my-bot\n"));
    // The README names the npm packages with the versions of `dev/package.json`.
    let readme = read(&project.path().join("README.md"));
    let packages = read(&root().join("dev/package.json"));
    for package in ["azurite", "@microsoft/m365agentsplayground"] {
        let (_, version) = readme.split_once(&format!("{package}@")).unwrap_or_else(|| panic!("{package}"));
        let version = version.split_whitespace().next().unwrap();
        assert!(packages.contains(&format!("\"{package}\": \"{version}\"")), "{package} {version}");
    }
}

/// Compiles the packages that the build commands of the expanded manifest name. The test differs from a real
/// build in two ways. The packages come from this workspace instead of [`REPOSITORY`]. The test runs `cargo
/// check`, because `cargo build` takes minutes.
#[test]
fn components_of_the_expanded_project_compile() {
    let project = expand();
    let manifest = table(&project.path().join("spin.toml"));
    let components = project.path().join("components/Cargo.toml");
    let mut text = read(&components);
    let mut packages = BTreeSet::new();
    for (_, component) in manifest["component"].as_table().unwrap() {
        let command = component["build"]["command"].as_str().unwrap();
        let package = command.strip_prefix("cargo build --target wasm32-wasip2 --release -p ").unwrap();
        let file = format!("target/wasm32-wasip2/release/{}.wasm", package.replace('-', "_"));
        assert_eq!(component["source"].as_str(), Some(file.as_str()));
        let source = format!("{package} = {{ git = \"{REPOSITORY}\", rev = \"{REVISION}\" }}");
        let path = root().join(package);
        let local = format!("{package} = {{ path = '{}' }}", path.display());
        assert!(packages.contains(package) || text.contains(&source), "{text}");
        text = text.replace(&source, &local);
        packages.insert(package.to_owned());
    }
    std::fs::write(components, text).unwrap();
    std::fs::copy(root().join("Cargo.lock"), project.path().join("Cargo.lock")).unwrap();
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from);
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(["check", "--quiet", "--target", "wasm32-wasip2", "--release"]);
    for package in &packages {
        command.args(["-p", package.as_str()]);
    }
    let output = command.env("CARGO_TARGET_DIR", target).current_dir(project.path()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    // Cargo removes unused entries of the lock file. The other entries have to keep their versions.
    let versions = |path: PathBuf| -> BTreeSet<String> {
        let entries = table(&path)["package"].as_array().unwrap().clone();
        entries.iter().map(|entry| format!("{} {}", entry["name"], entry["version"])).collect()
    };
    let expected = versions(root().join("Cargo.lock"));
    let found = versions(project.path().join("Cargo.lock"));
    let added: Vec<_> = found.difference(&expected).collect();
    assert_eq!(added, ["\"components\" \"0.1.0\""]);
}
