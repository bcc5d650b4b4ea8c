//! Settings: the application's variables, by their one-word names (the README's table).

use thiserror::Error;

/// The port for settings.
pub trait Settings {
    /// The value of a variable; the empty string where it is set to nothing.
    ///
    /// Read each one once per run: with Azure Key Vault behind it a read is an HTTPS call.
    fn setting(&self, name: &str) -> Result<String, SettingsError>;

    /// What a variable means whose value is one of some words; empty, it means the first.
    fn choice<T: Copy>(&self, name: &str, choices: &[(&str, T)]) -> Result<T, SettingsError> {
        let value = self.setting(name)?;
        let chosen = match value.trim() {
            "" => choices.first(),
            word => choices.iter().find(|(choice, _)| *choice == word),
        };
        let quoted =
            || choices.iter().map(|(choice, _)| format!("`{choice}`")).collect::<Vec<_>>().join(" or ");
        chosen
            .map(|(_, meaning)| *meaning)
            .ok_or_else(|| SettingsError::new(name, format!("must be {}", quoted())))
    }
}

/// A variable cannot be read, or has a value that nothing can be done with. The text names the variable and what was
/// expected; it never holds the value, which may be a secret.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("variable {name}: {problem}")]
pub struct SettingsError {
    /// The variable's name.
    pub name: String,
    /// What is wrong with it, and what was expected.
    pub problem: String,
}

impl SettingsError {
    /// An error for the variable `name`.
    pub fn new(name: impl Into<String>, problem: impl Into<String>) -> Self {
        Self { name: name.into(), problem: problem.into() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::FakeHost;

    #[test]
    fn a_choice_is_one_of_its_words() {
        let expected = Err(SettingsError::new("unsealed", "must be `allow` or `refuse`"));
        for (value, meaning) in [
            ("", Ok(1)),
            ("allow", Ok(1)),
            (" refuse ", Ok(2)),
            ("Allow", expected.clone()),
            ("no", expected),
        ] {
            let host = FakeHost::with_settings([("unsealed", value)]);
            assert_eq!(host.choice("unsealed", &[("allow", 1), ("refuse", 2)]), meaning, "{value:?}");
        }
    }
}
