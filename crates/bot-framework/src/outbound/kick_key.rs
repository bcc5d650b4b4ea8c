//! The key with which the bot proves its identity to the poller. The bot sends this key with the *kick*, a
//! call that starts a run of the poller.

use platform::{Secret, Settings, SettingsError, hex};

use super::credential::BotCredentials;
use super::key::{KeyPurpose, app_id_of, derive_key};

/// Derives the key from the bot's credential. In anonymous mode (`authmode=anonymous`), the bot has no
/// credential, so the function derives the key from the variable `storageconnection`.
///
/// The bot and the poller read the same variables, so both derive the same key. The key is bound to one bot
/// and one queue, so the poller of another queue refuses the key. The key does not depend on the variable
/// `pollkey`, which holds the key of schedulers. Schedulers also call the poller.
pub fn kick_key(
    settings: &impl Settings,
    bot: Option<&BotCredentials>,
    queue: &str,
) -> Result<Secret, SettingsError> {
    let app_id = app_id_of(settings, bot)?;
    let derive = |secret: &[u8]| derive_key(secret, KeyPurpose::Kick, &[&app_id, queue]);
    let key = match bot {
        Some(bot) => derive(bot.credential.secret_bytes()),
        None => derive(settings.setting("storageconnection")?.trim().as_bytes()),
    };
    Secret::new(hex(&key))
        .ok_or_else(|| SettingsError::new("storageconnection", "no key can be derived from this value"))
}

#[cfg(test)]
mod tests {
    use platform::testing::FakeHost;

    use super::*;
    use crate::auth_mode::AuthMode;

    /// Derives the key of the bot `app` for `queue`, with the values in `variables`.
    fn key_for(queue: &str, variables: &[(&str, &str)], mode: AuthMode) -> String {
        let host = FakeHost::with_settings([("microsoftappid", "app"), ("microsoftapptenantid", "tenant")]);
        for (name, value) in variables {
            host.settings.borrow_mut().insert((*name).into(), (*value).into());
        }
        let bot = BotCredentials::read(mode, &host).unwrap();
        kick_key(&host, bot.as_ref(), queue).unwrap().expose().to_owned()
    }

    fn key(variables: &[(&str, &str)], mode: AuthMode) -> String {
        key_for("bot-queue", variables, mode)
    }

    #[test]
    fn kick_key_is_derived_from_the_credential_or_storageconnection() {
        let of_password = |password| key(&[("microsoftapppassword", password)], AuthMode::Required);
        let of_storage = |storage| key(&[("storageconnection", storage)], AuthMode::Anonymous);
        assert_eq!(of_password("hunter2"), of_password("hunter2"));
        assert_ne!(of_password("hunter2"), of_password("hunter3"));
        assert_ne!(of_storage("a"), of_storage("b"));
        assert_ne!(of_password("a"), of_storage("b"));
        assert_eq!(of_password("hunter2").len(), 64, "32 bytes in hexadecimal");
    }

    #[test]
    fn kick_key_for_another_bot_or_queue_differs() {
        for (mode, secret) in
            [(AuthMode::Required, "microsoftapppassword"), (AuthMode::Anonymous, "storageconnection")]
        {
            let this = key_for("bot-queue", &[(secret, "a")], mode);
            assert_ne!(key_for("other-queue", &[(secret, "a")], mode), this, "{mode:?}");
            assert_ne!(key_for("bot-queue", &[(secret, "a"), ("microsoftappid", "other")], mode), this);
            assert_eq!(key_for("bot-queue", &[(secret, "a"), ("microsoftappid", "APP")], mode), this);
        }
    }
}
