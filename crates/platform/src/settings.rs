//! Settings: the variables of the application. Each name consists of letters only. The section *Variables*
//! of the README lists the variables.

use thiserror::Error;

/// The trait for settings, one of the [ports](crate) to the platform.
pub trait Settings {
    /// Returns the value of a variable. The value can be the empty string.
    ///
    /// Read each variable only once in each request, and only once in each run of the poller. If Azure Key
    /// Vault provides the variables, each read is an HTTPS call.
    fn setting(&self, name: &str) -> Result<String, SettingsError>;

    /// Reads a variable whose value must be one of the words in `choices`. `choices` has a `T` for each word,
    /// and this function returns the `T` of the variable's word. An empty value means the first word.
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

/// The error of a variable that has no usable value, or that the platform cannot read. The error text names
/// the variable and the expected value. The error text never shows the actual value, because this value can
/// be a secret.
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
