//! The keys of webhook addresses. A *webhook address* is a URL of the bot. If another program posts to this
//! URL, the bot sends the post to one conversation as an alert.

use platform::{Settings, SettingsError};

use super::credential::BotCredentials;
use super::key::{KeyPurpose, app_id_of, derive_key};
use super::seal_keys::{given_keys, lasting_keys_or_storage};

/// Derives the keys that make and check webhook addresses. The first key makes new addresses, and every key
/// checks addresses.
///
/// The keys are derived from the first of these secrets that is set:
///
/// 1. The variable `hookkey`, which can hold two keys while the operator replaces the key.
/// 2. The variable `sealkey`, which can hold two keys, too.
/// 3. The bot's password, or the private key of its certificate. In anonymous mode: `storageconnection`. If
///    the bot has only a federated token, the result is an error.
///
/// After a change of the secret, the older webhook addresses stay valid only if `hookkey` or `sealkey` lists
/// the old secret as its second key.
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
    fn hook_keys_come_from_the_variable_or_from_a_lasting_secret() {
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
    fn hookkey_error_for_a_short_key_or_three_keys_does_not_repeat_the_value() {
        for text in ["hunter2", "a long hook key 1,a long hook key 2,a long hook key 3"] {
            let error = of(AuthMode::Required, &[("hookkey", text), PASSWORD]).expect_err(text);
            assert!(error.name == "hookkey" && !error.to_string().contains("hunter2"), "{error}");
        }
    }
}
