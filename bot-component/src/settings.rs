//! What this component reads from its variables.

use bot_framework::outbound::seal_key;
use bot_framework::{AuthMode, BotCredentials, InboundAuth, TrustPolicy};
use envelope::SealKey;
use platform::{Settings, SettingsError};
use storage_queue::QueueSettings;

/// Checked settings of one request.
#[derive(Debug)]
pub(crate) struct BotSettings {
    pub(crate) trust: TrustPolicy,
    /// Who the bot is; `None` in anonymous mode.
    pub(crate) bot: Option<BotCredentials>,
    /// Whom it lets in; `None` in anonymous mode.
    pub(crate) inbound: Option<InboundAuth>,
    pub(crate) seal_key: Option<SealKey>,
    pub(crate) queue: QueueSettings,
}

impl BotSettings {
    pub(crate) fn read(settings: &impl Settings) -> Result<Self, SettingsError> {
        let auth_mode = AuthMode::read(settings)?;
        let bot = BotCredentials::read(auth_mode, settings)?;
        let inbound = bot.as_ref().map(|bot| InboundAuth::read(settings, &bot.identity)).transpose()?;
        Ok(Self {
            seal_key: seal_key(settings, bot.as_ref())?.map(SealKey::new),
            bot,
            inbound,
            trust: TrustPolicy::read(auth_mode, settings)?,
            queue: QueueSettings::read(settings)?,
        })
    }
}
