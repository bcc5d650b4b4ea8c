//! What this component reads from its variables.

use bot_framework::{AuthMode, TrustPolicy};
use envelope::SealKey;
use platform::{Secret, Settings, SettingsError};
use storage_queue::QueueSettings;

/// Checked settings of one run.
#[derive(Debug)]
pub(crate) struct DrainSettings {
    pub(crate) trust: TrustPolicy,
    pub(crate) queue: QueueSettings,
    pub(crate) seal_key: Option<SealKey>,
    pub(crate) unsealed: Unsealed,
    /// Messages a second per channel and tenant; 0 is no limit.
    pub(crate) pace: u32,
}

/// `unsealed`: what happens to messages of other producers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unsealed {
    /// They are delivered, to trusted hosts only.
    Allow,
    /// They go to the poison queue.
    Refuse,
}

impl DrainSettings {
    pub(crate) fn read(settings: &impl Settings) -> Result<Self, SettingsError> {
        let mode = AuthMode::read(settings)?;
        let unsealed = match settings.setting("unsealed")?.trim() {
            "" | "allow" => Unsealed::Allow,
            "refuse" => Unsealed::Refuse,
            _ => return Err(SettingsError::new("unsealed", "must be `allow` or `refuse`")),
        };
        let pace = settings.setting("pace")?;
        Ok(Self {
            trust: TrustPolicy::read(mode, settings)?,
            queue: QueueSettings::read(settings)?,
            seal_key: None,
            unsealed,
            pace: match pace.trim() {
                "" => 30,
                number => number.parse().map_err(|_| {
                    SettingsError::new("pace", "must be a whole number of messages a second; 0 is no limit")
                })?,
            },
        })
    }
}

/// The key of `POST /internal/poll`; `None` closes the route.
pub(crate) fn poll_key(settings: &impl Settings) -> Result<Option<Secret>, SettingsError> {
    Ok(Secret::new(settings.setting("pollkey")?))
}
