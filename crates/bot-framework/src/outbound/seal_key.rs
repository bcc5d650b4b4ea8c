//! The key that envelopes are sealed with.

use platform::{Secret, Settings, SettingsError};

use super::credential::BotCredentials;
use super::key::{KeyPurpose, derive_key};

/// Shorter ones can be guessed by whoever sees one sealed envelope.
const SHORTEST_BYTES: usize = 16;

/// Derives the key from the variable `sealkey`, else from the bot's password or the certificate's key. `None` if there
/// is nothing that lasts: with a federated token, and in anonymous mode.
///
/// Both components read the same variables, and so have the same key. One that is derived from a password changes with
/// the password: what stands sealed on the queue then no longer opens, which `sealkey` avoids.
pub fn seal_key(
    settings: &impl Settings,
    bot: Option<&BotCredentials>,
) -> Result<Option<[u8; 32]>, SettingsError> {
    match Secret::new(settings.setting("sealkey")?.trim()) {
        Some(secret) if secret.expose().len() < SHORTEST_BYTES => {
            let problem = format!("must be at least {SHORTEST_BYTES} characters long, and random");
            Err(SettingsError::new("sealkey", problem))
        }
        Some(secret) => Ok(Some(derive_key(secret.expose().as_bytes(), KeyPurpose::EnvelopeSeal))),
        None => Ok(bot.and_then(|bot| bot.credential.seal_key())),
    }
}

#[cfg(test)]
mod tests {
    use platform::testing::FakeHost;

    use super::*;
    use crate::auth_mode::AuthMode;

    const CERTIFICATE: &str =
        concat!(include_str!("../../tests/keys/pkcs8.pem"), include_str!("../../tests/keys/certificate.pem"));

    /// A host with the variables of a single-tenant bot, and these.
    fn host(variables: &[(&str, &str)]) -> FakeHost {
        let host =
            FakeHost::with_settings([("microsoftappid", "app-id"), ("microsoftapptenantid", "own-tenant")]);
        for (name, value) in variables {
            host.settings.borrow_mut().insert((*name).into(), (*value).into());
        }
        host
    }

    #[test]
    fn where_the_seal_key_comes_from() {
        let key = |variables: &[(&str, &str)]| {
            let host = host(variables);
            let bot = BotCredentials::read(AuthMode::Required, &host).unwrap();
            seal_key(&host, bot.as_ref()).unwrap()
        };
        let given = ("sealkey", "a key of its own, 16+");
        let (password, federated) = (("microsoftapppassword", "hunter2"), ("federatedtoken", "a.b.c"));
        let pkcs8 = ("certificate", CERTIFICATE);
        let pkcs1 = concat!(
            include_str!("../../tests/keys/certificate.pem"),
            include_str!("../../tests/keys/pkcs1.pem")
        );
        assert_ne!(key(&[password]), key(&[("microsoftapppassword", "hunter3")]));
        assert_eq!(key(&[given, password]), key(&[given, federated]), "sealkey goes before everything");
        assert_ne!(key(&[given, password]), key(&[password]));
        let old = "a password of 16+";
        let before = key(&[("microsoftapppassword", old)]);
        assert_eq!(key(&[("sealkey", old), password]), before, "so that a password can be changed");
        assert_eq!(key(&[federated]), None, "it changes every hour");
        assert_eq!(key(&[pkcs8]), key(&[("certificate", pkcs1)]), "the same key in another dress");
        assert!(key(&[pkcs8]).is_some() && key(&[pkcs8]) != key(&[password]));
        let anonymous = |variables: &[(&str, &str)]| seal_key(&host(variables), None).unwrap();
        assert_eq!(anonymous(&[password]), None);
        assert_eq!(anonymous(&[given]), key(&[given, password]));
        let error = seal_key(&host(&[("sealkey", "hunter2")]), None).expect_err("too short");
        assert!(error.name == "sealkey" && !error.to_string().contains("hunter2"), "{error}");
    }
}
