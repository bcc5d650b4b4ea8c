//! Settings: the application's variables, by their one-word names (design section 4).

use thiserror::Error;

/// The port for settings.
pub trait Settings {
    /// The value of a variable; the empty string where it is set to nothing.
    ///
    /// Read each one once per run: with Azure Key Vault behind it a read is an HTTPS call.
    fn setting(&self, name: &str) -> Result<String, SettingsError>;
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
