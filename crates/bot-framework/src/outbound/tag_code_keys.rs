//! The keys of the codes by which people subscribe to tags.

use platform::{Settings, SettingsError};

use super::credential::BotCredentials;
use super::key::{KeyPurpose, derive_key};

/// Derives the keys from the variable `sealkey`, else from the bot's password or the certificate's key; in anonymous mode,
/// which has none of them, from `storageconnection`. The first key makes codes. While `sealkey` is changed it holds two keys,
/// and the codes of both are good.
pub fn tag_code_keys(
    settings: &impl Settings,
    bot: Option<&BotCredentials>,
) -> Result<Vec<[u8; 32]>, SettingsError> {
    let derive = |secret: &str| derive_key(secret.as_bytes(), KeyPurpose::TagCode);
    let sealkey = settings.setting("sealkey")?;
    let keys: Vec<_> = sealkey.split(',').map(str::trim).filter(|key| !key.is_empty()).map(derive).collect();
    if !keys.is_empty() {
        return Ok(keys);
    }
    let key = match bot {
        Some(bot) => bot.credential.tag_code_key(),
        None => Some(derive(settings.setting("storageconnection")?.trim())),
    };
    let problem = "must be set: nothing that lasts can be derived from federatedtoken";
    Ok(vec![key.ok_or_else(|| SettingsError::new("sealkey", problem))?])
}

#[cfg(test)]
mod tests {
    use platform::testing::FakeHost;

    use super::*;
    use crate::auth_mode::AuthMode;

    fn keys(variables: &[(&str, &str)], mode: AuthMode) -> Result<Vec<[u8; 32]>, SettingsError> {
        let host = FakeHost::with_settings([("microsoftappid", "app"), ("microsoftapptenantid", "tenant")]);
        for (name, value) in variables {
            host.settings.borrow_mut().insert((*name).into(), (*value).into());
        }
        let bot = BotCredentials::read(mode, &host)?;
        tag_code_keys(&host, bot.as_ref())
    }

    #[test]
    fn keys_come_from_what_lasts() {
        let required = |variables: &[(&str, &str)]| keys(variables, AuthMode::Required);
        let (password, federated) = (("microsoftapppassword", "hunter2"), ("federatedtoken", "a.b.c"));
        let of = |secret: &str| derive_key(secret.as_bytes(), KeyPurpose::TagCode);
        assert_eq!(required(&[password]), Ok(vec![of("hunter2")]));
        assert_eq!(required(&[("sealkey", "new, old"), password]), Ok(vec![of("new"), of("old")]));
        assert_eq!(required(&[("sealkey", "new"), federated]), Ok(vec![of("new")]));
        assert_eq!(required(&[federated]).expect_err("it changes every hour").name, "sealkey");
        assert_eq!(keys(&[("storageconnection", "a"), password], AuthMode::Anonymous), Ok(vec![of("a")]));
        assert_ne!(of("hunter2"), derive_key(b"hunter2", KeyPurpose::EnvelopeSeal));
    }
}
