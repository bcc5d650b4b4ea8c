//! Settings: the variables of the application, by their one-word names (see the table in the README).

use thiserror::Error;

/// The trait ([port](crate)) for settings.
pub trait Settings {
    /// Returns the value of a variable. The value of an empty variable is the empty string.
    ///
    /// Read each variable only once for each request or run: if Azure Key Vault provides the variables, each
    /// read is an HTTPS call.
    fn setting(&self, name: &str) -> Result<String, SettingsError>;

    /// Reads a variable whose value must be one of the words in `choices`. Returns the `T` beside this word.
    /// An empty value means the first choice.
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
            .ok_or_else(|| SettingsError::new(name, format!("expected {}", quoted())))
    }
}

/// A variable cannot be read, or its value cannot be used. The error text names the variable and the expected
/// value. The error text never holds the actual value, because the value can be a secret.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("variable {name}: {problem}")]
pub struct SettingsError {
    /// The variable's name.
    pub name: String,
    /// The problem, and the expected value.
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
    fn choice_of_a_word_that_is_not_listed_is_an_error() {
        let expected = Err(SettingsError::new("unsealed", "expected `allow` or `refuse`"));
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
