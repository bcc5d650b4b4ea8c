//! The key by which the poller knows that the bot calls it.

use platform::{Secret, Settings, SettingsError, hex};

use super::credential::BotCredentials;
use super::key::{KeyPurpose, derive_key};

/// Derives the key from the bot's credential; in anonymous mode, which has none, from the variable `storageconnection`.
/// Both components read the same variables, and so have the same key, whether `pollkey` is set or not.
pub fn kick_key(settings: &impl Settings, bot: Option<&BotCredentials>) -> Result<Secret, SettingsError> {
    let key = match bot {
        Some(bot) => bot.credential.kick_key(),
        None => derive_key(settings.setting("storageconnection")?.trim().as_bytes(), KeyPurpose::Kick),
    };
    Secret::new(hex(&key)).ok_or_else(|| SettingsError::new("storageconnection", "gives no key"))
}

#[cfg(test)]
mod tests {
    use platform::testing::FakeHost;

    use super::*;
    use crate::auth_mode::AuthMode;

    fn key(variables: &[(&str, &str)], mode: AuthMode) -> String {
        let host = FakeHost::with_settings([("microsoftappid", "app"), ("microsoftapptenantid", "tenant")]);
        for (name, value) in variables {
            host.settings.borrow_mut().insert((*name).into(), (*value).into());
        }
        let bot = BotCredentials::read(mode, &host).unwrap();
        kick_key(&host, bot.as_ref()).unwrap().expose().to_owned()
    }

    #[test]
    fn kick_key_comes_from_the_credential_or_the_storage_account() {
        let of_password = |password| key(&[("microsoftapppassword", password)], AuthMode::Required);
        let of_storage = |storage| key(&[("storageconnection", storage)], AuthMode::Anonymous);
        assert_eq!(of_password("hunter2"), of_password("hunter2"));
        assert_ne!(of_password("hunter2"), of_password("hunter3"));
        assert_ne!(of_storage("a"), of_storage("b"));
        assert_ne!(of_password("a"), of_storage("b"));
        assert_eq!(of_password("hunter2").len(), 64, "32 bytes in hexadecimal");
    }
}
