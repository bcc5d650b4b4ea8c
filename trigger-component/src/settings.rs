//! The settings of the poller, read from its variables.

use bot_framework::outbound::{kick_key, seal_keys};
use bot_framework::{AuthMode, BotCredentials, DirectLineSettings, Tenants, Tokens, TrustPolicy};
use callbacks::{CallbackHosts, CallbackSecrets};
use envelope::{SealKey, Unsealed};
use platform::{Deadline, Host, Joined, Secret, Settings, SettingsError};
use state::Tables;
use storage_account::STORAGE_SCOPE;
use storage_queue::QueueSettings;

use crate::run::RunError;

/// The variables that a run needs. One call to the Spin host reads all of them. The list does not contain
/// `pollkey`, the key of `POST /internal/poll`. The poller reads `pollkey` in an earlier call to the host. So
/// the poller can refuse a request without the right key before it reads these variables. Exception: if the
/// request has `Prefer: respond-async`, it can be the bot's call. To check the bot's key (`bot_key`), the
/// poller needs these variables.
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
        "callbackhosts",
        "callbacksecret",
    ],
}];

/// The checked settings of one run.
#[derive(Debug)]
pub(crate) struct RunSettings {
    pub(crate) trust: TrustPolicy,
    /// The tenants whose people the poller is allowed to alert.
    pub(crate) tenants: Tenants,
    /// The settings of Direct Line; `None` unless `delivery` is `directline`.
    pub(crate) direct_line: Option<DirectLineSettings>,
    /// The bot's credentials; `None` in anonymous mode.
    pub(crate) bot: Option<BotCredentials>,
    pub(crate) queue: QueueSettings,
    pub(crate) tables: Tables,
    /// The key of the seal, i.e. of the HMAC that the bot adds to each queue message; `None` if there is no
    /// such key.
    pub(crate) seal_key: Option<SealKey>,
    /// Whether the poller delivers queue messages without a seal.
    pub(crate) unsealed: Unsealed,
    /// The maximum number of chat messages a second to one tenant on one channel (e.g. Teams); 0 means no
    /// limit.
    pub(crate) pace: u32,
    /// The hosts to which the poller is allowed to send *callbacks*. A callback brings a person's answer to a
    /// program.
    pub(crate) callback_hosts: CallbackHosts,
    /// The secrets that sign the callbacks; `None` if `callbacksecret` is empty.
    pub(crate) callback_secrets: Option<CallbackSecrets>,
}

impl RunSettings {
    /// Prepares the access to the storage account. If the connection string has neither an account key nor a
    /// SAS, fetches a token for the storage account with the bot's credentials.
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
        let bot = bot.ok_or_else(|| {
            wrong("authmode=anonymous needs AccountKey or SharedAccessSignature; add one of them")
        })?;
        let token = Tokens::for_scope(host, bot, STORAGE_SCOPE).bearer(deadline).await?;
        let account = self.queue.account.clone().with_token(token);
        self.queue.account = account.map_err(|error| wrong(&error.to_string()))?;
        Ok(())
    }

    pub(crate) fn read(settings: &impl Settings) -> Result<Self, SettingsError> {
        let mode = AuthMode::read(settings)?;
        let trust = TrustPolicy::read(mode, settings)?;
        let direct_line = settings.choice("delivery", &[("connector", false), ("directline", true)])?;
        let bot = BotCredentials::read(mode, settings)?;
        let queue = QueueSettings::read(settings)?;
        let seal_key = SealKey::of(&seal_keys(settings, bot.as_ref(), queue.name.as_str())?);
        let unsealed = unsealed(settings, mode)?;
        if unsealed == Unsealed::Refuse && seal_key.is_none() {
            let problem =
                "unsealed=refuse needs a seal key, and none is set; set sealkey, or set unsealed=allow";
            return Err(SettingsError::new("sealkey", problem));
        }
        let pace = pace(settings)?;
        Ok(Self {
            direct_line: direct_line.then(|| DirectLineSettings::read(settings, mode, &trust)).transpose()?,
            trust,
            tenants: Tenants::read(settings, bot.as_ref().map(|bot| &bot.identity))?,
            queue,
            tables: Tables::read(settings)?,
            bot,
            seal_key,
            unsealed,
            pace,
            callback_hosts: CallbackHosts::read(settings, mode)?,
            callback_secrets: CallbackSecrets::read(settings)?,
        })
    }
}

/// Reads `pace`, the maximum number of chat messages a second to one tenant on one channel.
fn pace(settings: &impl Settings) -> Result<u32, SettingsError> {
    match settings.setting("pace")?.trim() {
        "" => Ok(30),
        number => number.parse().map_err(|_| {
            SettingsError::new("pace", "expected a whole number of messages a second; 0 means no limit")
        }),
    }
}

/// Checks the poller's variables. A run checks its variables one after the other, and ends at the first
/// error. This function returns that error. It also checks `pace`, `pollkey`, `unsealed` and `delivery`
/// separately, and returns their errors, too. `bot_component::check_settings` checks the variables that both
/// components read.
pub fn check_settings(settings: &impl Settings) -> Vec<SettingsError> {
    let mut faults: Vec<_> = RunSettings::read(settings).err().into_iter().collect();
    let mode = AuthMode::read(settings).unwrap_or(AuthMode::Required);
    let delivery = settings.choice("delivery", &[("connector", ()), ("directline", ())]);
    let errors =
        [pace(settings).err(), poll_key(settings).err(), unsealed(settings, mode).err(), delivery.err()];
    for error in errors.into_iter().flatten() {
        if !faults.contains(&error) {
            faults.push(error);
        }
    }
    faults
}

/// The minimum length of `pollkey`. An attacker could guess a shorter key.
const SHORTEST_POLL_KEY_BYTES: usize = 16;

/// Reads `pollkey`, the key of `POST /internal/poll`, and removes the white space around the key. Returns
/// `None` if the variable is empty. Then the route returns 404 to every caller except the bot.
pub(crate) fn poll_key(settings: &impl Settings) -> Result<Option<Secret>, SettingsError> {
    let key = Secret::new(settings.setting("pollkey")?.trim());
    if key.as_ref().is_some_and(|key| key.expose().len() < SHORTEST_POLL_KEY_BYTES) {
        let problem =
            format!("expected at least {SHORTEST_POLL_KEY_BYTES} random characters; set a longer key");
        return Err(SettingsError::new("pollkey", problem));
    }
    Ok(key)
}

/// Derives the key that the bot uses to call the poller. This key does not depend on `pollkey`.
pub(crate) fn bot_key(settings: &impl Settings) -> Result<Secret, SettingsError> {
    let bot = BotCredentials::read(AuthMode::read(settings)?, settings)?;
    kick_key(settings, bot.as_ref(), settings.setting("queuename")?.trim())
}

/// Reads whether the poller delivers queue messages without a seal. The bot seals its messages, so a message
/// without a seal usually comes from another program that writes to the queue. The default is `allow` in
/// anonymous mode, and otherwise `refuse`.
fn unsealed(settings: &impl Settings, mode: AuthMode) -> Result<Unsealed, SettingsError> {
    let (allow, refuse) = (("allow", Unsealed::Allow), ("refuse", Unsealed::Refuse));
    match mode {
        AuthMode::Required => settings.choice("unsealed", &[refuse, allow]),
        AuthMode::Anonymous => settings.choice("unsealed", &[allow, refuse]),
    }
}

#[cfg(test)]
mod tests {
    use platform::testing::FakeHost;

    use super::*;

    #[test]
    fn check_settings_with_several_wrong_variables_names_each_of_them() {
        let host = FakeHost::with_settings([
            ("authmode", "anonymous"),
            ("storageconnection", "AccountName=contoso;AccountKey=c2VjcmV0"),
            ("queuename", "bot-queue"),
        ]);
        let wrong = || -> Vec<_> { check_settings(&host).into_iter().map(|error| error.name).collect() };
        assert_eq!(wrong(), [""; 0]);
        let every = [("pace", "fast"), ("pollkey", "short"), ("unsealed", "perhaps"), ("delivery", "pigeon")];
        for (name, value) in every {
            host.settings.borrow_mut().insert(name.into(), value.into());
        }
        let mut found = wrong();
        found.sort();
        assert_eq!(found, ["delivery", "pace", "pollkey", "unsealed"]);
    }
}
