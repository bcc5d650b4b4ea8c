//! What this component reads from its variables.

use bot_framework::{AuthMode, TrustPolicy};
use envelope::SealKey;
use platform::{Settings, SettingsError};
use storage_queue::QueueSettings;

/// Checked settings of one request.
#[derive(Debug)]
pub(crate) struct BotSettings {
    pub(crate) auth_mode: AuthMode,
    pub(crate) trust: TrustPolicy,
    pub(crate) seal_key: Option<SealKey>,
    pub(crate) queue: QueueSettings,
}

impl BotSettings {
    pub(crate) fn read(settings: &impl Settings) -> Result<Self, SettingsError> {
        let auth_mode = AuthMode::read(settings)?;
        Ok(Self {
            auth_mode,
            trust: TrustPolicy::read(auth_mode, settings)?,
            seal_key: None,
            queue: QueueSettings::read(settings)?,
        })
    }
}
