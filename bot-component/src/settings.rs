//! What this component reads from its variables, in the order in which it needs it.

use bot_framework::outbound::seal_key;
use bot_framework::{AuthMode, BotCredentials, BotIdentity, Credential, InboundAuth, TrustPolicy};
use envelope::SealKey;
use platform::{Joined, Settings, SettingsError};
use storage_queue::QueueSettings;

use crate::kick::Kick;

/// The variables that are read together: one call of the host each. A request that brings no valid token costs the first
/// only. `alertkey` is read by itself: a caller of the alert routes without a key costs nothing else.
pub const JOINED: [Joined; 2] = [
    Joined {
        variable: "inbound",
        names: &[
            "authmode",
            "microsoftappid",
            "microsoftapptype",
            "microsoftapptenantid",
            "channelservice",
            "openidmetadata",
            "loginendpoint",
            "emulatortokens",
            "skillcallers",
        ],
    },
    Joined {
        variable: "outbound",
        names: &[
            "microsoftapppassword",
            "federatedtoken",
            "certificate",
            "servicehosts",
            "storageconnection",
            "queuename",
            "tableprefix",
            "sealkey",
            "unsealedtriggers",
            "triggername",
            "kick",
        ],
    },
];

/// What decides whether a caller is let in.
#[derive(Debug)]
pub(crate) struct CallerSettings {
    auth_mode: AuthMode,
    /// The bot's registration, and whom it lets in; `None` in anonymous mode.
    registered: Option<(BotIdentity, InboundAuth)>,
}

impl CallerSettings {
    pub(crate) fn read(settings: &impl Settings) -> Result<Self, SettingsError> {
        let auth_mode = AuthMode::read(settings)?;
        let registered = match auth_mode {
            AuthMode::Anonymous => None,
            AuthMode::Required => {
                let identity = BotIdentity::read(settings)?;
                let inbound = InboundAuth::read(settings, &identity)?;
                Some((identity, inbound))
            }
        };
        Ok(Self { auth_mode, registered })
    }

    /// Whom the bot lets in; `None` in anonymous mode.
    pub(crate) fn inbound(&self) -> Option<&InboundAuth> {
        self.registered.as_ref().map(|(_, inbound)| inbound)
    }
}

/// What a request needs whose caller is let in.
#[derive(Debug)]
pub(crate) struct BotSettings {
    pub(crate) trust: TrustPolicy,
    /// Who the bot is; `None` in anonymous mode.
    pub(crate) bot: Option<BotCredentials>,
    pub(crate) seal_key: Option<SealKey>,
    pub(crate) queue: QueueSettings,
    /// How the poller is called; `None` with `kick=off`.
    pub(crate) kick: Option<Kick>,
}

impl BotSettings {
    pub(crate) fn read(settings: &impl Settings, caller: CallerSettings) -> Result<Self, SettingsError> {
        let bot = match caller.registered {
            Some((identity, _)) => Some(BotCredentials { identity, credential: Credential::read(settings)? }),
            None => None,
        };
        let queue = QueueSettings::read(settings)?;
        Ok(Self {
            seal_key: seal_key(settings, bot.as_ref())?.map(SealKey::new),
            trust: TrustPolicy::read(caller.auth_mode, settings)?,
            kick: Kick::read(settings, bot.as_ref(), &queue.name)?,
            queue,
            bot,
        })
    }
}
