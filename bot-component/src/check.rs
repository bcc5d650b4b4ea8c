//! Reads every Spin variable of the bot. `cargo dev doctor` uses this module to find wrong values before a
//! deployment.

use bot_framework::outbound::seal_keys;
use bot_framework::{
    AuthMode, BotCredentials, BotIdentity, Credential, InboundAuth, Tenants, TriggerName, TrustPolicy,
    UnboundUsers,
};
use callbacks::{CallbackHosts, CallbackSecrets};
use platform::{Settings, SettingsError};
use state::Tables;
use state::ledger::Allowance;
use storage_queue::{QueueName, QueueSettings};

use crate::alerts;
use crate::hook_token::HookKeys;
use crate::kick::Kick;
use crate::public_url::PublicUrl;
use crate::settings::{BotSettings, CallerSettings, Replies, Subscriptions};
use crate::trigger_activity::unsealed;

/// Returns an error for each variable that the bot cannot use. When the bot handles a request, it reads the
/// same variables, but stops at the first error.
pub fn check_settings(settings: &impl Settings) -> Vec<SettingsError> {
    let mut faults = Faults(alerts::check_keys(settings));
    let queue = faults.keep_error(QueueSettings::read(settings));
    let name = settings.setting("queuename").map(|name| QueueName::parse(&name));
    faults.keep_error(
        name.and_then(|name| name.map_err(|error| SettingsError::new("queuename", error.to_string()))),
    );
    faults.keep_error(Tables::read(settings));
    faults.keep_error(Allowance::read(settings));
    faults.keep_error(Replies::read(settings));
    faults.keep_error(CallbackSecrets::read(settings));
    faults.keep_error(TriggerName::read(settings));
    faults.keep_error(unsealed(settings));
    faults.keep_error(PublicUrl::read(settings));
    if let Some(mode) = faults.keep_error(AuthMode::read(settings)) {
        faults.keep_error(TrustPolicy::read(mode, settings));
        faults.keep_error(CallbackHosts::read(settings, mode));
        faults.keep_error(Subscriptions::read(settings, mode));
        faults.keep_error(UnboundUsers::read(settings, mode));
        let bot = match mode {
            AuthMode::Anonymous => Some(None),
            AuthMode::Required => {
                let identity = faults.keep_error(BotIdentity::read(settings));
                let credential = faults.keep_error(Credential::read(settings));
                if let Some(identity) = &identity {
                    faults.keep_error(InboundAuth::read(settings, identity));
                    faults.keep_error(Tenants::read(settings, Some(identity)));
                }
                let bot = identity.zip(credential);
                bot.map(|(identity, credential)| Some(BotCredentials { identity, credential }))
            }
        };
        if let (Some(bot), Some(queue)) = (bot, queue) {
            faults.keep_error(seal_keys(settings, bot.as_ref(), queue.name.as_str()));
            faults.keep_error(Kick::read(settings, bot.as_ref(), &queue.name));
            faults.keep_error(HookKeys::read(settings, bot.as_ref()));
        }
    }
    // Perhaps the code above lacks a variable that a request needs. So if there is no error so far, the
    // function also calls the two functions that read the variables for a request.
    if faults.0.is_empty() {
        let caller = CallerSettings::read(settings);
        faults.keep_error(caller.and_then(|caller| BotSettings::read(settings, caller)));
    }
    faults.0
}

/// The errors that were found, without duplicates.
struct Faults(Vec<SettingsError>);

impl Faults {
    /// Returns the value that was read. If the read failed, keeps the error, and returns `None`.
    fn keep_error<T>(&mut self, read: Result<T, SettingsError>) -> Option<T> {
        match read {
            Ok(value) => Some(value),
            Err(error) => {
                if !self.0.contains(&error) {
                    self.0.push(error);
                }
                None
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use platform::testing::FakeHost;

    use super::*;

    const VALID: [(&str, &str); 6] = [
        ("authmode", "required"),
        ("microsoftappid", "11111111-2222-3333-4444-555555555555"),
        ("microsoftapppassword", "secret"),
        ("microsoftapptenantid", "11111111-2222-3333-4444-555555555556"),
        ("storageconnection", "AccountName=contoso;AccountKey=c2VjcmV0"),
        ("queuename", "bot-queue"),
    ];

    fn names_of_wrong_variables(changes: &[(&str, &str)]) -> Vec<String> {
        let host = FakeHost::with_settings(VALID);
        for (name, value) in changes {
            host.settings.borrow_mut().insert((*name).into(), (*value).into());
        }
        check_settings(&host).into_iter().map(|error| error.name).collect()
    }

    #[test]
    fn check_settings_with_several_wrong_variables_names_each_of_them() {
        assert_eq!(names_of_wrong_variables(&[]), [""; 0]);
        let every = [
            ("authmode", "no"),
            ("queuename", "A"),
            ("tableprefix", "7"),
            ("alertkey", "short"),
            ("alertkeys", "x"),
            ("repliesperminute", "many"),
            ("unsealedtriggers", "perhaps"),
        ];
        let mut found = names_of_wrong_variables(&every);
        let mut expected = every.map(|(name, _)| name.to_owned());
        found.sort();
        expected.sort();
        assert_eq!(found, expected);
        for (name, value) in [
            ("microsoftappid", ""),
            ("microsoftapppassword", ""),
            ("microsoftapptenantid", ""),
            ("microsoftapptype", "MSI"),
            ("tenants", "everybody"),
            ("channelservice", "mars"),
            ("servicehosts", "https://x"),
            ("loginendpoint", "x"),
            ("openidmetadata", "x"),
            ("emulatortokens", "x"),
            ("storageconnection", "x"),
            ("unboundusers", "x"),
            ("sealkey", "short"),
            ("subscriptions", "x"),
            ("kick", "x"),
            ("replies", "x"),
            ("callbackhosts", "https://x"),
            ("callbacksecret", "x"),
            ("hookkey", "short"),
            ("publicurl", "http://bot.example.com"),
        ] {
            assert!(names_of_wrong_variables(&[(name, value)]).contains(&name.to_owned()), "{name}={value}");
        }
        assert_eq!(
            names_of_wrong_variables(&[("microsoftappid", ""), ("microsoftapppassword", "")]).len(),
            2
        );
    }
}
