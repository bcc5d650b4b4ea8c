//! Makes copies of a Spin manifest, such as `spin.toml`, and changes settings in the copies.

use std::path::{Path, PathBuf};

use toml::{Table, Value};

/// A copy of a Spin manifest. A case (an end-to-end test) can change the copy. Real Spin and the embedded
/// host (the project's own Spin host) must both accept the copy.
#[derive(Debug, Clone)]
pub struct Manifest {
    table: Table,
}

impl Manifest {
    /// Reads the workspace's `spin.toml`.
    pub fn local() -> Self {
        Self::read("spin.toml")
    }

    /// Reads the manifest with this path in the workspace.
    #[track_caller]
    pub fn read(name: &str) -> Self {
        let path = dev::workspace::root().join(name);
        let text =
            std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        Self { table: text.parse().unwrap_or_else(|error| panic!("{}: {error}", path.display())) }
    }

    /// The parsed manifest.
    pub fn table(&self) -> &Table {
        &self.table
    }

    /// The ids of the manifest's components.
    pub fn components(&self) -> Vec<String> {
        self.table["component"].as_table().expect("[component]").keys().cloned().collect()
    }

    /// Removes the cron triggers, and the components that these triggers start.
    #[must_use]
    pub fn without_cron(mut self) -> Self {
        let triggers = self.table["trigger"].as_table_mut().expect("[trigger]");
        let cron = triggers.remove("cron").expect("a cron trigger to leave out");
        let components = self.table["component"].as_table_mut().expect("[component]");
        for trigger in cron.as_array().expect("[[trigger.cron]]") {
            let id = trigger["component"].as_str().expect("a component id");
            components.remove(id).unwrap_or_else(|| panic!("the cron trigger's component is missing: {id}"));
        }
        self
    }

    /// Uses this wasm file for every component.
    #[must_use]
    pub fn with_source(mut self, source: &str) -> Self {
        for (_, component) in self.table["component"].as_table_mut().expect("[component]") {
            component["source"] = source.into();
        }
        self
    }

    /// Uses this wasm file for one component.
    #[must_use]
    pub fn with_source_of(mut self, component: &str, source: &str) -> Self {
        self.table["component"][component]["source"] = source.into();
        self
    }

    /// Removes a component and its HTTP triggers.
    #[must_use]
    pub fn without_component(mut self, id: &str) -> Self {
        let triggers = self.table["trigger"]["http"].as_array_mut().expect("[[trigger.http]]");
        triggers.retain(|trigger| trigger["component"].as_str() != Some(id));
        self.table["component"]
            .as_table_mut()
            .expect("[component]")
            .remove(id)
            .expect("a component to leave out");
        self
    }

    /// Changes the value of a component's variable. `change` gets the old value.
    #[must_use]
    pub fn with_variable_of(mut self, component: &str, name: &str, change: impl Fn(&str) -> String) -> Self {
        let value = &mut self.table["component"][component]["variables"][name];
        *value = change(value.as_str().expect("a variable is text")).into();
        self
    }

    /// Removes the key-value stores from every component. So every call to a key-value store fails.
    #[must_use]
    pub fn without_key_value_stores(mut self) -> Self {
        for (_, component) in self.table["component"].as_table_mut().expect("[component]") {
            component["key_value_stores"] = Value::Array(Vec::new());
        }
        self
    }

    /// Changes `allowed_outbound_hosts` of each component: the addresses that the component is allowed to
    /// call.
    #[must_use]
    pub fn with_outbound(mut self, change: impl Fn(&mut Vec<Value>)) -> Self {
        for (id, component) in self.table["component"].as_table_mut().expect("[component]") {
            let hosts = component.get_mut("allowed_outbound_hosts").and_then(Value::as_array_mut);
            change(hosts.unwrap_or_else(|| panic!("{id} has no allowed_outbound_hosts")));
        }
        self
    }

    /// Removes the loopback addresses from `allowed_outbound_hosts`.
    #[must_use]
    pub fn without_loopback(self) -> Self {
        self.with_outbound(|hosts| hosts.retain(|host| !is_loopback(host)))
    }

    /// Writes the manifest into `folder`, with absolute paths of the wasm files. Returns the path of the
    /// manifest.
    #[track_caller]
    pub fn write(mut self, folder: &Path) -> PathBuf {
        for (id, component) in self.table["component"].as_table_mut().expect("[component]") {
            let source =
                component["source"].as_str().unwrap_or_else(|| panic!("{id} has no source path")).to_owned();
            let absolute = dev::workspace::root().join(source);
            component["source"] = absolute.to_str().expect("a path in UTF-8").into();
        }
        let path = folder.join("spin.toml");
        std::fs::write(&path, self.table.to_string()).unwrap();
        path
    }
}

/// Whether an entry of `allowed_outbound_hosts` names this machine.
pub fn is_loopback(host: &Value) -> bool {
    let host = host.as_str().expect("a host is text");
    ["127.0.0.1", "localhost", "[::1]"].iter().any(|name| host.contains(name))
}
