//! Reads the parts of a Spin manifest that the checks need.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::Context;
use toml::{Table, Value};

/// A variable of the application.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Variable {
    /// The value that Spin uses if the deployment does not set the variable.
    pub default: String,
    /// Whether the value is a secret.
    pub is_secret: bool,
}

/// The parts of a manifest that the checks need.
#[derive(Debug, Clone, Default)]
pub struct Manifest {
    /// The name of the manifest's file, for the lines of the report.
    pub name: String,
    /// The variables, by name.
    pub variables: BTreeMap<String, Variable>,
    /// The list `allowed_outbound_hosts` of each component, by the component's name.
    pub hosts: BTreeMap<String, Vec<String>>,
}

impl Manifest {
    /// Reads a manifest.
    pub fn read(path: &Path) -> anyhow::Result<Self> {
        let text = std::fs::read_to_string(path)
            .with_context(|| format!("{}: cannot be read; check --manifest", path.display()))?;
        let manifest = Self::parse(&text)
            .with_context(|| format!("{}: expected a Spin manifest; check --manifest", path.display()))?;
        Ok(Self { name: path.file_name().unwrap_or_default().to_string_lossy().into_owned(), ..manifest })
    }

    /// Reads the text of a manifest.
    pub fn parse(text: &str) -> anyhow::Result<Self> {
        let table: Table = text.parse()?;
        let tables = |name: &str| table.get(name).and_then(Value::as_table).into_iter().flatten();
        let text = |value: &Value, name: &str| {
            value.get(name).and_then(Value::as_str).unwrap_or_default().to_owned()
        };
        let variable = |value: &Value| Variable {
            default: text(value, "default"),
            is_secret: value.get("secret").and_then(Value::as_bool).unwrap_or_default(),
        };
        let hosts = |value: &Value| {
            let entries = value.get("allowed_outbound_hosts").and_then(Value::as_array).into_iter().flatten();
            entries.filter_map(|entry| entry.as_str().map(str::to_owned)).collect()
        };
        Ok(Self {
            name: String::new(),
            variables: tables("variables").map(|(name, value)| (name.clone(), variable(value))).collect(),
            hosts: tables("component").map(|(name, value)| (name.clone(), hosts(value))).collect(),
        })
    }
}

#[cfg(test)]
mod tests {
    use dev::workspace::root;

    use super::*;

    #[test]
    fn manifests_of_the_project_are_read() {
        for name in ["spin.toml", "deploy/spin.http.toml", "deploy/spin.http.nokick.toml"] {
            let manifest = Manifest::read(&root().join(name)).unwrap();
            assert!(manifest.variables["pollkey"].is_secret && manifest.variables.len() > 25, "{name}");
            assert!(manifest.hosts["bot"].len() > 5 && manifest.hosts["poller"].len() > 5, "{name}");
        }
    }
}
