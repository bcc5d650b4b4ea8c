//! Reads Kubernetes resources from YAML.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, bail, ensure};
use serde::Deserialize;
use serde_json::Value;

/// One Kubernetes resource.
#[derive(Debug, Clone)]
pub(super) struct Resource {
    /// The source of the resource, for messages: the path of a file, or the command that printed the
    /// resource. The path is relative to the `root` of [`Self::read`].
    pub(super) place: String,
    pub(super) value: Value,
}

impl Resource {
    /// Reads a file with one or more resources.
    pub(super) fn read(root: &Path, file: &str) -> anyhow::Result<Vec<Self>> {
        let text = std::fs::read_to_string(root.join(file)).with_context(|| format!("cannot read {file}"))?;
        Self::parse(file, &text)
    }

    /// Parses a stream of YAML documents. A mapping with two equal keys is an error.
    pub(super) fn parse(place: &str, text: &str) -> anyhow::Result<Vec<Self>> {
        let mut resources = Vec::new();
        for document in serde_yaml_ng::Deserializer::from_str(text) {
            // `serde_yaml_ng::Value` refuses two equal keys. `serde_json::Value` would keep only the last of
            // the two keys, without an error.
            let value = serde_yaml_ng::Value::deserialize(document).with_context(|| place.to_owned())?;
            let value = serde_json::to_value(value).with_context(|| place.to_owned())?;
            ensure!(value.is_object(), "{place}: expected a resource, found {value}");
            resources.push(Self { place: place.to_owned(), value });
        }
        Ok(resources)
    }

    /// Renders a folder with `kubectl kustomize`, which applies the patches of the folder. The command needs
    /// no cluster. Returns `None` if kubectl is not installed.
    pub(super) fn render(root: &Path, folder: &str) -> anyhow::Result<Option<Vec<Self>>> {
        let Ok(output) = Command::new("kubectl").arg("kustomize").arg(root.join(folder)).output() else {
            return Ok(None);
        };
        let place = format!("kubectl kustomize {folder}");
        if !output.status.success() {
            bail!("{place}: {}", String::from_utf8_lossy(&output.stderr));
        }
        Self::parse(&place, &String::from_utf8_lossy(&output.stdout)).map(Some)
    }

    pub(super) fn kind(&self) -> &str {
        text(&self.value, "/kind")
    }

    pub(super) fn name(&self) -> &str {
        text(&self.value, "/metadata/name")
    }

    pub(super) fn namespace(&self) -> &str {
        text(&self.value, "/metadata/namespace")
    }

    /// The text of a finding about this resource.
    pub(super) fn finding(&self, what: &str) -> String {
        format!("{}: {} {}: {what}", self.place, self.kind(), self.name())
    }
}

/// The text at a JSON pointer; empty if the pointer leads to no text.
pub(super) fn text<'v>(value: &'v Value, pointer: &str) -> &'v str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

/// The list at a JSON pointer; empty if the pointer leads to no list.
pub(super) fn list<'v>(value: &'v Value, pointer: &str) -> &'v [Value] {
    value.pointer(pointer).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}
