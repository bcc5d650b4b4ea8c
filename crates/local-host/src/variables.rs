//! Finds the values of the application's variables, and fills in templates. A template is a text in the
//! manifest that contains variables as `{{ name }}`.
//!
//! `local-host` (the program that runs the application) finds the value of each variable once, at start-up.
//! Later changes of the environment or of `.env` have no effect.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context as _, Result, anyhow, bail};
use serde::Deserialize;

use crate::output;

const PREFIX: &str = "SPIN_VARIABLE_";

/// A variable that the manifest declares.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Variable {
    pub(crate) default: Option<String>,
    #[serde(default)]
    pub(crate) required: bool,
    #[serde(default, rename = "secret")]
    _secret: bool,
    #[serde(default, rename = "description")]
    _description: String,
}

/// Checks a variable's name. The rules are the same as in Spin (spin: crates/expressions).
pub(crate) fn check_name(name: &str) -> Result<(), &'static str> {
    if !name.starts_with(|c: char| c.is_ascii_lowercase()) {
        Err("expected a lower-case letter at the beginning")
    } else if !name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_') {
        Err("expected only lower-case letters, digits and underscores")
    } else if name.ends_with('_') || name.contains("__") {
        Err("expected only single underscores, and none at the end")
    } else {
        Ok(())
    }
}

/// The sources of the values of variables. A flag (`--variable`) has precedence over the environment. The
/// environment has precedence over `.env`.
#[derive(Debug, Default)]
pub(crate) struct Sources {
    flags: BTreeMap<String, String>,
    environment: BTreeMap<String, String>,
    dotenv: BTreeMap<String, String>,
}

impl Sources {
    /// Reads the flags, the environment and `.env` in `folder`.
    pub(crate) fn read(flags: Vec<(String, String)>, folder: &Path) -> Result<Self> {
        let environment = std::env::vars_os()
            .filter_map(|(key, value)| Some((key.into_string().ok()?, value)))
            .filter(|(key, _)| key.starts_with(PREFIX))
            .map(|(key, value)| {
                let value = value
                    .into_string()
                    .map_err(|_| anyhow!("environment variable {key}: expected UTF-8, found other bytes"))?;
                Ok((key, value))
            })
            .collect::<Result<_>>()?;
        let file = folder.join(".env");
        let dotenv = match dotenvy::from_path_iter(&file) {
            // The parser's own message would show the line, which can hold a secret.
            Ok(lines) => lines.collect::<Result<_, _>>().map_err(|_| {
                anyhow!("{}: expected KEY=value in every line, found another line", file.display())
            })?,
            Err(e) if e.not_found() => BTreeMap::new(),
            Err(e) => return Err(e).with_context(|| format!("{}: cannot be read", file.display())),
        };
        Ok(Self { flags: flags.into_iter().collect(), environment, dotenv })
    }

    fn get(&self, name: &str) -> Option<&String> {
        let key = format!("{PREFIX}{}", name.to_ascii_uppercase());
        self.flags.get(name).or_else(|| self.environment.get(&key)).or_else(|| self.dotenv.get(&key))
    }
}

/// The variables of the application, with their values.
#[derive(Debug, Default)]
pub(crate) struct Variables(BTreeMap<String, String>);

impl Variables {
    pub(crate) fn resolve(declared: &BTreeMap<String, Variable>, sources: &Sources) -> Result<Self> {
        for name in sources.flags.keys().filter(|name| !declared.contains_key(*name)) {
            output::error(&format!(
                "--variable {name}: the manifest declares no such variable; the host ignores the flag"
            ));
        }
        let mut resolved = BTreeMap::new();
        let mut missing = Vec::new();
        for (name, variable) in declared {
            match sources.get(name).or(variable.default.as_ref()) {
                Some(value) => drop(resolved.insert(name.clone(), value.clone())),
                None => missing.push(name.as_str()),
            }
        }
        if let Some(first) = missing.first() {
            bail!(
                "variables: expected a value for each required one, found none for {}; use `--variable {first}=...`, \
                 or set {PREFIX}{} in the environment or in .env",
                missing.join(", "),
                first.to_ascii_uppercase()
            );
        }
        Ok(Self(resolved))
    }

    /// Fills in a template: replaces each `{{ name }}` with the value of the variable.
    pub(crate) fn fill(&self, template: &str) -> Result<String> {
        let mut filled = String::new();
        let mut rest = template;
        while let Some((text, expression)) = rest.split_once("{{") {
            let (name, after) = expression
                .split_once("}}")
                .with_context(|| format!("{template:?}: expected `}}}}` after `{{{{`"))?;
            let name = name.trim();
            let value =
                self.0.get(name).with_context(|| format!("{template:?}: no variable {name:?} exists"))?;
            filled.push_str(text);
            filled.push_str(value);
            rest = after;
        }
        filled.push_str(rest);
        Ok(filled)
    }

    /// Returns the names and values of one component's variables. `templates` is the table
    /// `[component.<id>.variables]` of the manifest, with the name and the template of each variable of the
    /// component. The component sees no other variables.
    pub(crate) fn of_component(
        &self,
        templates: &BTreeMap<String, String>,
    ) -> Result<BTreeMap<String, String>> {
        templates
            .iter()
            .map(|(name, template)| Ok((name.clone(), self.fill(template).with_context(|| name.clone())?)))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn strings(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()
    }

    fn declared() -> BTreeMap<String, Variable> {
        toml::from_str("a_1 = { default = 'default' }\nmust = { required = true }").unwrap()
    }

    #[test]
    fn variable_name_that_spin_refuses_is_refused() {
        for good in ["a", "abc", "a1b2", "a_1", "a_1_b"] {
            assert_eq!(check_name(good), Ok(()), "{good}");
        }
        for bad in ["", "aX", "1bc", "_x", "x.y", "x_", "a__b", "x-y", "é"] {
            assert!(check_name(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn value_comes_from_the_flag_else_the_environment_else_dotenv_else_the_default() {
        let mut sources = Sources { flags: strings(&[("must", "m")]), ..Default::default() };
        let expect = |sources: &Sources, value: &str| {
            assert_eq!(Variables::resolve(&declared(), sources).unwrap().0["a_1"], value);
        };
        expect(&sources, "default");
        sources.dotenv = strings(&[("SPIN_VARIABLE_A_1", "dotenv")]);
        expect(&sources, "dotenv");
        sources.environment = strings(&[("SPIN_VARIABLE_A_1", "environment")]);
        expect(&sources, "environment");
        sources.flags.insert("a_1".into(), "flag".into());
        expect(&sources, "flag");
    }

    #[test]
    fn variable_that_is_set_to_an_empty_text_is_empty() {
        let sources = Sources {
            flags: strings(&[("must", "")]),
            environment: BTreeMap::new(),
            dotenv: BTreeMap::new(),
        };
        assert_eq!(Variables::resolve(&declared(), &sources).unwrap().0["must"], "");
    }

    #[test]
    fn missing_required_variable_is_an_error_with_the_remedy() {
        let error = Variables::resolve(&declared(), &Sources::default()).unwrap_err().to_string();
        assert!(error.contains("must") && error.contains("SPIN_VARIABLE_MUST"), "{error}");
    }

    #[test]
    fn dotenv_file_in_the_folder_is_read() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join(".env"), "# comment\nSPIN_VARIABLE_MUST=\"from file\"\n").unwrap();
        let sources = Sources::read(Vec::new(), folder.path()).unwrap();
        assert_eq!(Variables::resolve(&declared(), &sources).unwrap().0["must"], "from file");
    }

    #[test]
    fn template_is_filled_with_values() {
        let variables = Variables(strings(&[("a", "1"), ("b", "{{ a }}")]));
        for (template, expected) in [
            ("", Some("")),
            ("plain } {", Some("plain } {")),
            ("{{a}}", Some("1")),
            ("x-{{ a }}-{{a}}", Some("x-1-1")),
            ("{{ a }}{{ a }}", Some("11")),
            // The value of `b` looks like a template, and stays as it is.
            ("{{ b }}", Some("{{ a }}")),
            ("{{ c }}", None),
            ("{{ a", None),
            ("{{ }}", None),
        ] {
            assert_eq!(variables.fill(template).ok().as_deref(), expected, "{template}");
        }
    }

    #[test]
    fn component_gets_only_the_variables_of_its_table() {
        let variables = Variables(strings(&[("a", "1"), ("secret", "2")]));
        let own = variables.of_component(&strings(&[("mine", "<{{ a }}>")])).unwrap();
        assert_eq!(own, strings(&[("mine", "<1>")]));
        assert!(variables.of_component(&strings(&[("mine", "{{ no }}")])).is_err());
    }
}
