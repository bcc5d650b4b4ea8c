//! The application variables of a deployment. A variable that the deployment does not set has the default in
//! the Spin manifest.

use std::collections::BTreeMap;
use std::fmt;

use platform::{Settings, SettingsError};

use crate::manifest::Manifest;

/// The values that the components of a deployment read from their variables.
#[derive(Clone)]
pub struct Variables {
    set: BTreeMap<String, String>,
    defaults: BTreeMap<String, String>,
    secrets: Vec<String>,
}

impl Variables {
    /// The variables of a deployment that sets the values in `set`.
    pub fn new(set: BTreeMap<String, String>, manifest: &Manifest) -> Self {
        let defaults =
            manifest.variables.iter().map(|(name, variable)| (name.clone(), variable.default.clone()));
        let secrets = manifest.variables.iter().filter(|(_, variable)| variable.is_secret);
        Self { set, defaults: defaults.collect(), secrets: secrets.map(|(name, _)| name.clone()).collect() }
    }

    /// The value of a variable, unchanged. The value of an unknown variable is the empty string.
    pub fn value(&self, name: &str) -> &str {
        self.set.get(name).or_else(|| self.defaults.get(name)).map_or("", String::as_str)
    }

    /// The value without white space at both ends. The components read most variables in this way.
    pub fn trimmed(&self, name: &str) -> &str {
        self.value(name).trim()
    }

    /// The names and values of the variables that the deployment sets.
    pub fn set(&self) -> impl Iterator<Item = (&str, &str)> {
        self.set.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// Whether the deployment sets this variable.
    pub fn is_set(&self, name: &str) -> bool {
        self.set.contains_key(name)
    }

    /// Every text that must not be in the doctor's report: the values of secret variables, and the secret
    /// parts of these values.
    pub fn secrets(&self) -> Vec<String> {
        let mut secrets = Vec::new();
        for name in &self.secrets {
            let Some(value) = self.set.get(name) else { continue };
            secrets.extend([value.clone(), value.trim().to_owned()]);
            if ["alertkey", "sealkey", "callbacksecret", "hookkey"].contains(&name.as_str()) {
                secrets.extend(value.split(',').map(|key| key.trim().to_owned()));
            }
            if name == "storageconnection" {
                let parts = value.split(';').filter_map(|part| part.split_once('='));
                let is_secret = |name: &str| {
                    ["accountkey", "sharedaccesssignature"]
                        .contains(&name.trim().to_ascii_lowercase().as_str())
                };
                let parts = parts.filter(|(name, _)| is_secret(name)).map(|(_, value)| value.trim());
                for part in parts {
                    secrets.push(part.to_owned());
                    let signature = part.split('&').find_map(|pair| pair.strip_prefix("sig="));
                    secrets.extend(signature.map(str::to_owned));
                }
            }
        }
        secrets
    }

    /// Fills in a text of the manifest: replaces each `{{ name }}` with the value of the variable `name`.
    pub fn fill(&self, template: &str) -> String {
        let mut filled = String::new();
        let mut rest = template;
        while let Some((before, after)) = rest.split_once("{{") {
            let (name, after) = after.split_once("}}").unwrap_or((after, ""));
            filled.push_str(before);
            filled.push_str(self.value(name.trim()));
            rest = after;
        }
        filled + rest
    }
}

impl Settings for Variables {
    fn setting(&self, name: &str) -> Result<String, SettingsError> {
        Ok(self.value(name).to_owned())
    }
}

impl fmt::Debug for Variables {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Variables").field("set", &self.set.keys()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn variables(set: &[(&str, &str)]) -> Variables {
        let manifest = Manifest::parse(
            "[variables]\npollkey = { default = \"\", secret = true }\nkick = { default = \"on\" }\n\
             storageconnection = { default = \"\", secret = true }",
        );
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        Variables::new(set.iter().map(owned).collect(), &manifest.unwrap())
    }

    #[test]
    fn unset_variable_has_the_default() {
        let variables = variables(&[("pollkey", " hunter2\n")]);
        assert_eq!(
            (variables.trimmed("pollkey"), variables.value("kick"), variables.value("x")),
            ("hunter2", "on", "")
        );
        assert_eq!(variables.fill("https://{{ kick }}.{{x}}example:{{"), "https://on.example:");
        assert!(!format!("{variables:?}").contains("hunter2"));
    }

    #[test]
    fn secrets_include_the_sas_and_the_signature_of_a_connection_string() {
        let connection = "AccountName=contoso;SharedAccessSignature=sv=1&sig=abc%3D";
        let secrets = variables(&[("storageconnection", connection), ("kick", "off")]).secrets();
        for expected in [connection, "sv=1&sig=abc%3D", "abc%3D"] {
            assert!(secrets.contains(&expected.to_owned()), "{expected}");
        }
        assert!(!secrets.contains(&"off".to_owned()));
    }
}
