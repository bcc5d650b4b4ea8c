//! What this component reads from its variables.

use bot_framework::outbound::seal_key;
use bot_framework::{AuthMode, BotCredentials, DirectLineSettings, TrustPolicy};
use envelope::{SealKey, Unsealed};
use platform::{Secret, Settings, SettingsError};
use storage_queue::QueueSettings;

/// Checked settings of one run.
#[derive(Debug)]
pub(crate) struct DrainSettings {
    pub(crate) trust: TrustPolicy,
    /// There with `delivery=directline`.
    pub(crate) direct_line: Option<DirectLineSettings>,
    /// Who the bot is; `None` in anonymous mode.
    pub(crate) bot: Option<BotCredentials>,
    pub(crate) queue: QueueSettings,
    pub(crate) seal_key: Option<SealKey>,
    pub(crate) unsealed: Unsealed,
    /// Messages a second per channel and tenant; 0 is no limit.
    pub(crate) pace: u32,
}

impl DrainSettings {
    pub(crate) fn read(settings: &impl Settings) -> Result<Self, SettingsError> {
        let mode = AuthMode::read(settings)?;
        let trust = TrustPolicy::read(mode, settings)?;
        let direct_line = settings.choice("delivery", &[("connector", false), ("directline", true)])?;
        let unsealed =
            settings.choice("unsealed", &[("allow", Unsealed::Allow), ("refuse", Unsealed::Refuse)])?;
        let bot = BotCredentials::read(mode, settings)?;
        let seal_key = seal_key(settings, bot.as_ref())?.map(SealKey::new);
        if unsealed == Unsealed::Refuse && seal_key.is_none() {
            let problem = "must be set, because unsealed=refuse and there is nothing else to make a key of";
            return Err(SettingsError::new("sealkey", problem));
        }
        let pace = settings.setting("pace")?;
        Ok(Self {
            direct_line: direct_line.then(|| DirectLineSettings::read(settings, mode, &trust)).transpose()?,
            trust,
            queue: QueueSettings::read(settings)?,
            bot,
            seal_key,
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
