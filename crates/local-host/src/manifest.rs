//! Reads `spin.toml`. `local-host` supports only some keys of version 2 of the manifest format.
//!
//! As in Spin, an unknown key of the manifest is an error (spin: crates/manifest/src/schema/v2.rs).

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail, ensure};
use serde::Deserialize;

use crate::variables::{self, Variable};

/// The only store that `spin up` offers without a runtime configuration file.
const DEFAULT_STORE: &str = "default";

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Manifest {
    spin_manifest_version: u32,
    #[serde(rename = "application")]
    _application: Application,
    #[serde(default)]
    pub(crate) variables: BTreeMap<String, Variable>,
    #[serde(default)]
    pub(crate) trigger: Triggers,
    #[serde(default)]
    pub(crate) component: BTreeMap<String, Component>,
    /// The path of the manifest.
    #[serde(skip)]
    pub(crate) path: PathBuf,
}

/// The table `[application]`. `local-host` checks the keys in this table, but does not use the values.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Application {
    #[serde(rename = "name")]
    _name: String,
    #[serde(default, rename = "version")]
    _version: String,
    #[serde(default, rename = "description")]
    _description: String,
    #[serde(default, rename = "authors")]
    _authors: Vec<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Triggers {
    #[serde(default)]
    pub(crate) http: Vec<HttpTrigger>,
    #[serde(default)]
    pub(crate) cron: Vec<CronTrigger>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct HttpTrigger {
    pub(crate) route: String,
    pub(crate) component: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct CronTrigger {
    pub(crate) component: String,
    pub(crate) cron_expression: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Component {
    #[serde(default)]
    pub(crate) description: String,
    source: PathBuf,
    #[serde(default)]
    pub(crate) key_value_stores: Vec<String>,
    #[serde(default)]
    pub(crate) allowed_outbound_hosts: Vec<String>,
    #[serde(default)]
    pub(crate) variables: BTreeMap<String, String>,
    #[serde(rename = "build")]
    _build: Option<Build>,
}

/// The table `[component.<id>.build]`. `local-host` ignores the values, because only `spin build` uses them.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Build {
    #[serde(rename = "command")]
    _command: toml::Value,
    #[serde(rename = "workdir")]
    _workdir: Option<PathBuf>,
    #[serde(default, rename = "watch")]
    _watch: Vec<String>,
}

impl Manifest {
    /// Reads the manifest. `from` is the file of the manifest, or the folder that contains `spin.toml`.
    pub(crate) fn load(from: &Path) -> Result<Self> {
        let path = if from.is_dir() { from.join("spin.toml") } else { from.to_owned() };
        let text = std::fs::read_to_string(&path).with_context(|| {
            format!("manifest {}: cannot be read; name its file or folder with --from", path.display())
        })?;
        // With an absolute path, the paths of the wasm files and the default of `--state-dir` do not depend
        // on the current directory.
        let path = std::path::absolute(&path)?;
        Self::parse(&text, path.clone()).with_context(|| format!("in the manifest {}", path.display()))
    }

    /// Parses and checks the text of the manifest at `path`.
    pub(crate) fn parse(text: &str, path: PathBuf) -> Result<Self> {
        let mut manifest: Self = toml::from_str(text).map_err(|e| anyhow::anyhow!("{e}"))?;
        manifest.path = path;
        manifest.check()?;
        Ok(manifest)
    }

    /// The folder of the manifest. Relative paths in the manifest are relative to this folder.
    pub(crate) fn folder(&self) -> &Path {
        self.path.parent().unwrap_or(Path::new("."))
    }

    /// The path of the wasm of `component`.
    pub(crate) fn source(&self, component: &Component) -> PathBuf {
        self.folder().join(&component.source)
    }

    fn check(&self) -> Result<()> {
        ensure!(
            self.spin_manifest_version == 2,
            "`spin_manifest_version`: expected 2, found {}",
            self.spin_manifest_version
        );
        for (name, variable) in &self.variables {
            variables::check_name(name).map_err(|why| anyhow::anyhow!("`[variables]` {name:?}: {why}"))?;
            ensure!(
                variable.required != variable.default.is_some(),
                "`[variables]` {name}: expected either `default` or `required = true`; set exactly one of them"
            );
        }
        for (id, component) in &self.component {
            for name in component.variables.keys() {
                variables::check_name(name)
                    .map_err(|why| anyhow::anyhow!("`[component.{id}.variables]` {name:?}: {why}"))?;
            }
            if let Some(label) = component.key_value_stores.iter().find(|label| *label != DEFAULT_STORE) {
                bail!(
                    "`[component.{id}]` key_value_stores: expected only {DEFAULT_STORE:?}, found {label:?}; this \
                     host offers no other store, so remove {label:?}"
                );
            }
        }
        let mut routes = BTreeMap::new();
        for trigger in &self.trigger.http {
            self.check_target("http", &trigger.component)?;
            let route = &trigger.route;
            ensure!(
                route.starts_with('/'),
                "`[[trigger.http]]` route {route:?}: expected '/' at the beginning"
            );
            ensure!(
                !route.trim_end_matches("/...").contains("...")
                    && !route.contains("/:")
                    && !route.contains('*'),
                "`[[trigger.http]]` route {route:?}: expected an exact route, or a route with one `/...` at its end"
            );
            if let Some(other) = routes.insert(route.trim_end_matches('/'), &trigger.component) {
                bail!(
                    "`[[trigger.http]]` route {route:?}: given to both {other:?} and {:?}; remove one of them",
                    trigger.component
                );
            }
        }
        self.trigger.cron.iter().try_for_each(|trigger| self.check_target("cron", &trigger.component))
    }

    fn check_target(&self, kind: &str, id: &str) -> Result<()> {
        ensure!(
            self.component.contains_key(id),
            "`[[trigger.{kind}]]` component {id:?}: the manifest has no `[component.{id}]`; add the table, or correct \
             the name"
        );
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SMALL: &str = r#"
spin_manifest_version = 2
[application]
name = "small"
[variables]
plain = { default = "x" }
must = { required = true, secret = true }
[[trigger.http]]
route = "/a/..."
component = "one"
[[trigger.cron]]
component = "one"
cron_expression = "*/2 * * * * *"
[component.one]
source = "one.wasm"
key_value_stores = ["default"]
allowed_outbound_hosts = ["https://example.com"]
[component.one.variables]
plain = "{{ plain }}"
[component.one.build]
command = "cargo build"
watch = ["src/**/*.rs"]
"#;

    fn parse(text: &str) -> Result<Manifest> {
        Manifest::parse(text, PathBuf::from("/app/spin.toml"))
    }

    /// Returns the error for the manifest `SMALL` in which `new` replaces `old`.
    fn error(old: &str, new: &str) -> String {
        assert!(SMALL.contains(old), "{old}");
        format!("{:#}", parse(&SMALL.replacen(old, new, 1)).expect_err(new))
    }

    #[test]
    fn small_manifest_is_read() {
        let manifest = parse(SMALL).unwrap();
        assert_eq!(manifest.trigger.http[0].route, "/a/...");
        assert_eq!(manifest.trigger.cron[0].cron_expression, "*/2 * * * * *");
        assert_eq!(manifest.source(&manifest.component["one"]), Path::new("/app/one.wasm"));
        assert!(manifest.variables["must"].required);
    }

    #[test]
    fn manifest_of_this_repository_is_accepted() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let manifest = Manifest::load(&root).unwrap();
        assert!(!manifest.trigger.http.is_empty());
    }

    #[test]
    fn manifest_with_an_unknown_key_is_an_error_that_names_the_key() {
        for (old, new, key) in [
            ("[application]", "[application]\ntargets = []", "targets"),
            ("[application]", "[telemetry]\n[application]", "telemetry"),
            ("source =", "sauce = 1\nsource =", "sauce"),
            ("command =", "comand = 1\ncommand =", "comand"),
            ("route =", "path = \"/\"\nroute =", "path"),
            ("cron_expression =", "every = 1\ncron_expression =", "every"),
            ("[[trigger.cron]]", "[[trigger.redis]]", "redis"),
            ("default = \"x\"", "default = \"x\", hidden = true", "hidden"),
        ] {
            let error = error(old, new);
            assert!(error.contains(key) && error.contains("unknown field"), "{error}");
        }
    }

    #[test]
    fn manifest_with_a_mistake_is_refused_with_the_reason() {
        for (old, new, expected) in [
            ("spin_manifest_version = 2", "spin_manifest_version = 1", "expected 2, found 1"),
            ("component = \"one\"", "component = \"two\"", "no `[component.two]`"),
            ("name = \"small\"", "", "missing field `name`"),
            ("source = \"one.wasm\"", "", "missing field `source`"),
            ("\"/a/...\"", "\"a\"", "expected '/' at the beginning"),
            ("\"/a/...\"", "\"/a/:id\"", "an exact route"),
            ("\"/a/...\"", "\"/.../a\"", "an exact route"),
            ("[\"default\"]", "[\"cache\"]", "found \"cache\""),
            ("plain = { default", "Plain = { default", "lower-case"),
            ("plain = \"{{ plain }}\"", "pl__ain = \"\"", "underscores"),
            ("required = true", "required = false", "either `default` or `required"),
            ("default = \"x\"", "default = \"x\", required = true", "either `default` or `required"),
            (
                "[[trigger.cron]]",
                "[[trigger.http]]\nroute = \"/a/...\"\ncomponent = \"one\"\n[[trigger.cron]]",
                "given to both",
            ),
        ] {
            let error = error(old, new);
            assert!(error.contains(expected), "{expected:?} not in {error}");
        }
    }

    #[test]
    fn error_of_a_manifest_that_cannot_be_read_names_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let missing = format!("{:#}", Manifest::load(folder.path()).unwrap_err());
        assert!(missing.contains("spin.toml") && missing.contains("--from"), "{missing}");
        std::fs::write(folder.path().join("spin.toml"), SMALL.replace("source", "sorce")).unwrap();
        let unknown = format!("{:#}", Manifest::load(folder.path()).unwrap_err());
        assert!(unknown.contains("spin.toml") && unknown.contains("sorce"), "{unknown}");
    }
}
