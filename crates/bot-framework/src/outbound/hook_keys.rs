//! The keys with which the bot makes and checks webhook addresses. A *webhook address* is a URL of the bot.
//! If another program sends a POST request to this URL, the bot sends the content of the request to one
//! conversation, as an alert.

use platform::{Settings, SettingsError};

use super::credential::BotCredentials;
use super::key::{KeyPurpose, app_id_of, derive_key};
use super::seal_keys::{given_keys, lasting_keys_or_storage};

/// Derives the keys for webhook addresses. The bot makes new addresses with the first key. An address is
/// valid if any of the keys made the address.
///
/// The function derives the keys from the first of these sources that is set:
///
/// 1. The variable `hookkey`. It can hold two secrets while the operator replaces the secret.
/// 2. The variable `sealkey`. It can hold two secrets, too.
/// 3. With `authmode=required`: the bot's password, or the private key of its certificate. In anonymous mode
///    (`authmode=anonymous`): the variable `storageconnection`.
///
/// If the only source is a federated token, the result is an error, because the token changes every hour.
///
/// If the operator changes the first source that is set, the older webhook addresses become invalid. To keep
/// these addresses valid, the operator writes two secrets into `hookkey` (or into `sealkey`): the new secret,
/// and behind it the old value of the source. No other variable can hold two secrets.
pub fn hook_keys(
    settings: &impl Settings,
    bot: Option<&BotCredentials>,
) -> Result<Vec<[u8; 32]>, SettingsError> {
    let app_id = app_id_of(settings, bot)?;
    let derive = |secret: &[u8]| derive_key(secret, KeyPurpose::Hook, &[&app_id]);
    let given = given_keys(settings, "hookkey")?;
    if given.is_empty() {
        return lasting_keys_or_storage(settings, bot, derive);
    }
    Ok(given.iter().map(|secret| derive(secret.expose().as_bytes())).collect())
}

#[cfg(test)]
mod tests {
    use platform::testing::FakeHost;

    use super::super::{seal_keys, tag_code_keys};
    use super::*;
    use crate::auth_mode::AuthMode;

    const PASSWORD: (&str, &str) = ("microsoftapppassword", "hunter2");

    fn of(mode: AuthMode, variables: &[(&str, &str)]) -> Result<Vec<[u8; 32]>, SettingsError> {
        let host =
            FakeHost::with_settings([("microsoftappid", "app-id"), ("microsoftapptenantid", "own-tenant")]);
        for (name, value) in variables {
            host.settings.borrow_mut().insert((*name).into(), (*value).into());
        }
        let bot = BotCredentials::read(mode, &host).unwrap();
        let keys = hook_keys(&host, bot.as_ref())?;
        // Keys for different purposes differ, although they are derived from the same secret.
        for others in [seal_keys(&host, bot.as_ref(), "bot-queue"), tag_code_keys(&host, bot.as_ref())] {
            assert!(others.unwrap().iter().all(|other| !keys.contains(other)));
        }
        Ok(keys)
    }

    #[test]
    fn hook_keys_come_from_hookkey_sealkey_the_credential_or_storageconnection() {
        let (old, new) = ("an old hook key 16+", "a new hook key 16+");
        let required = |variables: &[(&str, &str)]| of(AuthMode::Required, variables).unwrap();
        let both = format!("{new},{old}");
        let both = required(&[("hookkey", &both), PASSWORD]);
        let one = |key| required(&[("hookkey", key), ("microsoftapppassword", "other")]);
        assert_eq!(both, [one(new), one(old)].concat(), "the password does not matter");
        assert_eq!(required(&[PASSWORD]).len(), 1);
        let two_seal_keys = ("sealkey", "a new seal key 16+,an old seal key 16+");
        assert_eq!(required(&[two_seal_keys, PASSWORD]).len(), 2);
        let anonymous = |storage| of(AuthMode::Anonymous, &[("storageconnection", storage)]).unwrap();
        assert_eq!(anonymous("a").len(), 1);
        assert_ne!(anonymous("a"), anonymous("b"));
    }

    #[test]
    fn hookkey_error_for_a_short_secret_or_three_secrets_does_not_repeat_the_value() {
        for text in ["hunter2", "hunter2 hook key 1,hunter2 hook key 2,hunter2 hook key 3"] {
            let error = of(AuthMode::Required, &[("hookkey", text), PASSWORD]).expect_err(text);
            assert!(error.name == "hookkey" && !error.to_string().contains("hunter2"), "{error}");
        }
    }
}
