//! What this component reads from its variables.

use bot_framework::outbound::{kick_key, seal_key};
use bot_framework::{AuthMode, BotCredentials, DirectLineSettings, Tenants, Tokens, TrustPolicy};
use envelope::{SealKey, Unsealed};
use platform::{Deadline, Host, Joined, Secret, Settings, SettingsError};
use state::Tables;
use storage_account::STORAGE_SCOPE;
use storage_queue::QueueSettings;

use crate::run::RunError;

/// The variables that a run needs, read together: one call of the host. `pollkey` is read by itself: a caller of the HTTP
/// door without a key costs nothing else.
pub const JOINED: [Joined; 1] = [Joined {
    variable: "run",
    names: &[
        "authmode",
        "microsoftappid",
        "microsoftapppassword",
        "microsoftapptype",
        "microsoftapptenantid",
        "tenants",
        "federatedtoken",
        "certificate",
        "channelservice",
        "servicehosts",
        "loginendpoint",
        "storageconnection",
        "queuename",
        "tableprefix",
        "sealkey",
        "unsealed",
        "triggername",
        "delivery",
        "directlinesecret",
        "directlineendpoint",
        "pace",
    ],
}];

/// Checked settings of one run.
#[derive(Debug)]
pub(crate) struct DrainSettings {
    pub(crate) trust: TrustPolicy,
    /// Whose people may be alerted.
    pub(crate) tenants: Tenants,
    /// There with `delivery=directline`.
    pub(crate) direct_line: Option<DirectLineSettings>,
    /// Who the bot is; `None` in anonymous mode.
    pub(crate) bot: Option<BotCredentials>,
    pub(crate) queue: QueueSettings,
    pub(crate) tables: Tables,
    pub(crate) seal_key: Option<SealKey>,
    pub(crate) unsealed: Unsealed,
    /// Messages a second per channel and tenant; 0 is no limit.
    pub(crate) pace: u32,
}

impl DrainSettings {
    /// Gets what opens the storage account: where its connection string holds neither key nor SAS, that is a token of the bot's
    /// own.
    pub(crate) async fn open_storage<H: Host>(
        &mut self,
        host: &H,
        deadline: Deadline,
    ) -> Result<(), RunError> {
        if !self.queue.account.needs_token() {
            return Ok(());
        }
        let wrong = |problem: &str| SettingsError::new("storageconnection", problem);
        let bot = self.bot.as_ref();
        let bot =
            bot.ok_or_else(|| wrong("needs AccountKey or SharedAccessSignature with authmode=anonymous"))?;
        let token = Tokens::for_scope(host, bot, STORAGE_SCOPE).bearer(deadline).await?;
        let account = self.queue.account.clone().with_token(token);
        self.queue.account = account.map_err(|error| wrong(&error.to_string()))?;
        Ok(())
    }

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
            tenants: Tenants::read(settings, bot.as_ref().map(|bot| &bot.identity))?,
            queue: QueueSettings::read(settings)?,
            tables: Tables::read(settings)?,
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

/// The key that the bot calls with, whether `pollkey` is set or not.
pub(crate) fn bot_key(settings: &impl Settings) -> Result<Secret, SettingsError> {
    kick_key(settings, BotCredentials::read(AuthMode::read(settings)?, settings)?.as_ref())
}
