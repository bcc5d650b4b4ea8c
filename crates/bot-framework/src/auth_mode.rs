//! `authmode`: whether callers have to prove who they are.

use platform::{Settings, SettingsError};

/// Whether callers have to prove who they are. Always chosen by name, never inferred from an empty app id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AuthMode {
    /// Every call needs a valid token.
    Required,
    /// Local testing: calls without a token, answered to loopback only, and never with a token of ours.
    Anonymous,
}

impl AuthMode {
    /// Reads the variable `authmode`.
    pub fn read(settings: &impl Settings) -> Result<Self, SettingsError> {
        match settings.setting("authmode")?.trim() {
            "required" => Ok(Self::Required),
            "anonymous" => Ok(Self::Anonymous),
            _ => Err(SettingsError::new("authmode", "must be `required` or `anonymous`")),
        }
    }
}
