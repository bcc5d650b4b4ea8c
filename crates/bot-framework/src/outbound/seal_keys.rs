//! Derives keys of three kinds:
//!
//! - Keys for seals. A *seal* is the HMAC of an *envelope* (an alert as a message on the queue).
//! - Keys for the codes with which people subscribe to tags. A *tag* is a topic.
//! - Keys for questions. A *question* is an alert that a person answers by a button.

use platform::{Secret, Settings, SettingsError};

use super::credential::BotCredentials;
use super::key::{KeyPurpose, app_id_of, derive_key};

/// The minimum length of a secret in a variable, in bytes. An attacker who has a sealed envelope can try all
/// possible secrets. With a shorter secret, this would not take long.
const SHORTEST_BYTES: usize = 16;

/// Derives the keys for the seals of envelopes. The bot and the poller make seals with the first key. A seal
/// is valid if any of the keys made the seal.
///
/// The secrets come from the variable `sealkey`, which can hold two secrets while the operator replaces the
/// secret. Each secret gives one key. If `sealkey` is empty, the result depends on `authmode`:
///
/// - `required`: the result is one key, derived from the bot's password or from the certificate's private
///   key. If the bot has only a federated token, the result is an error.
/// - `anonymous`: the result is an empty list, so envelopes have no seal.
///
/// The bot and the poller read the same variables, so both have the same keys. A key is bound to one bot and
/// one queue. So a seal for one bot and queue is not valid for another bot or queue, even if both bots have
/// the same `sealkey`.
pub fn seal_keys(
    settings: &impl Settings,
    bot: Option<&BotCredentials>,
    queue: &str,
) -> Result<Vec<[u8; 32]>, SettingsError> {
    let app_id = app_id_of(settings, bot)?;
    lasting_keys(settings, bot, |secret| derive_key(secret, KeyPurpose::EnvelopeSeal, &[&app_id, queue]))
}

/// Derives the keys for the codes with which people subscribe to tags. The bot makes new codes with the first
/// key. A code is valid if any of the keys made the code.
///
/// The secrets are the same as for [`seal_keys`], with one exception: in anonymous mode without `sealkey`,
/// the secret is `storageconnection`.
pub fn tag_code_keys(
    settings: &impl Settings,
    bot: Option<&BotCredentials>,
) -> Result<Vec<[u8; 32]>, SettingsError> {
    let app_id = app_id_of(settings, bot)?;
    let derive = |secret: &[u8]| derive_key(secret, KeyPurpose::TagCode, &[&app_id]);
    lasting_keys_or_storage(settings, bot, derive)
}

/// Derives the keys for questions, in pairs. The first key of a pair is for buttons. The second key is for
/// the encryption of questions and people's answers in the *ledger* (the table with a record for each alert).
///
/// Each secret gives one pair. The secrets are the same as for [`tag_code_keys`]. For new buttons and for
/// encryption, the bot and the poller use the first pair. To check buttons and to decrypt, the bot and the
/// poller try every pair. The keys are bound to one bot and one queue.
pub fn question_keys(
    settings: &impl Settings,
    bot: Option<&BotCredentials>,
    queue: &str,
) -> Result<Vec<[[u8; 32]; 2]>, SettingsError> {
    let app_id = app_id_of(settings, bot)?;
    let purposes = [KeyPurpose::Button, KeyPurpose::StoredQuestion];
    let derive = |secret: &[u8]| purposes.map(|purpose| derive_key(secret, purpose, &[&app_id, queue]));
    lasting_keys_or_storage(settings, bot, derive)
}

/// Derives keys as [`lasting_keys`] does, but never returns an empty list. In anonymous mode without
/// `sealkey`, the secret is `storageconnection`.
pub(super) fn lasting_keys_or_storage<T>(
    settings: &impl Settings,
    bot: Option<&BotCredentials>,
    derive: impl Fn(&[u8]) -> T,
) -> Result<Vec<T>, SettingsError> {
    let keys = lasting_keys(settings, bot, &derive)?;
    if keys.is_empty() {
        return Ok(vec![derive(settings.setting("storageconnection")?.trim().as_bytes())]);
    }
    Ok(keys)
}

/// Reads a variable that holds one secret, or two secrets while the operator replaces the secret. If the
/// variable is empty, the list is empty. The result is an error for a third secret or a short secret.
pub(super) fn given_keys(settings: &impl Settings, name: &str) -> Result<Vec<Secret>, SettingsError> {
    let error = |problem: String| SettingsError::new(name, problem);
    let text = settings.setting(name)?;
    let given: Vec<_> = text.split(',').filter_map(|key| Secret::new(key.trim())).collect();
    if given.len() > 2 {
        return Err(error("must be one key, or two separated by a comma".into()));
    }
    if given.iter().any(|secret| secret.expose().len() < SHORTEST_BYTES) {
        return Err(error(format!("must be at least {SHORTEST_BYTES} characters long, and random")));
    }
    Ok(given)
}

/// Derives keys from `sealkey`. If `sealkey` is empty, the function derives one key from the bot's
/// credential. If this credential is a federated token, the result is an error, because the token changes
/// every hour. If there is no credential (in anonymous mode), the list is empty.
fn lasting_keys<T>(
    settings: &impl Settings,
    bot: Option<&BotCredentials>,
    derive: impl Fn(&[u8]) -> T,
) -> Result<Vec<T>, SettingsError> {
    let given = given_keys(settings, "sealkey")?;
    if !given.is_empty() {
        return Ok(given.iter().map(|secret| derive(secret.expose().as_bytes())).collect());
    }
    match bot.map(|bot| bot.credential.lasting_secret()) {
        None => Ok(Vec::new()),
        Some(Some(secret)) => Ok(vec![derive(secret)]),
        Some(None) => Err(SettingsError::new(
            "sealkey",
            "must be set, because no lasting key can be derived from federatedtoken, which changes every hour",
        )),
    }
}

#[cfg(test)]
mod tests {
    use platform::testing::FakeHost;

    use super::*;
    use crate::auth_mode::AuthMode;

    const CERTIFICATE: &str =
        concat!(include_str!("../../tests/keys/pkcs8.pem"), include_str!("../../tests/keys/certificate.pem"));
    const PASSWORD: (&str, &str) = ("microsoftapppassword", "hunter2");

    /// Makes a host with the variables of a single-tenant bot, and with `variables`.
    fn host(variables: &[(&str, &str)]) -> FakeHost {
        let host =
            FakeHost::with_settings([("microsoftappid", "app-id"), ("microsoftapptenantid", "own-tenant")]);
        for (name, value) in variables {
            host.settings.borrow_mut().insert((*name).into(), (*value).into());
        }
        host
    }

    /// Derives the seal keys with `authmode=required`.
    fn read(queue: &str, variables: &[(&str, &str)]) -> Result<Vec<[u8; 32]>, SettingsError> {
        let host = host(variables);
        let bot = BotCredentials::read(AuthMode::Required, &host).unwrap();
        seal_keys(&host, bot.as_ref(), queue)
    }

    fn keys(variables: &[(&str, &str)]) -> Vec<[u8; 32]> {
        read("bot-queue", variables).unwrap()
    }

    fn anonymous(variables: &[(&str, &str)]) -> Result<Vec<[u8; 32]>, SettingsError> {
        seal_keys(&host(variables), None, "bot-queue")
    }

    #[test]
    fn question_keys_are_pairs_that_differ_by_queue_and_secret() {
        let read =
            |queue: &str, variables: &[(&str, &str)]| question_keys(&host(variables), None, queue).unwrap();
        let storage = |account| [("storageconnection", account)];
        let this = read("bot-queue", &storage("a"));
        assert_ne!(this[0][0], this[0][1], "the key of buttons must not decrypt stored questions");
        assert_ne!(this, read("other-queue", &storage("a")));
        assert_ne!(this, read("bot-queue", &storage("b")));
        let two = [("sealkey", "the new key of 16 characters,the old key of 16 characters")];
        let old = [("sealkey", "the old key of 16 characters")];
        assert_eq!(read("bot-queue", &two)[1], read("bot-queue", &old)[0]);
    }

    #[test]
    fn seal_key_is_derived_from_sealkey_or_from_a_lasting_credential() {
        let given = ("sealkey", "a key of its own 16+");
        let federated = ("federatedtoken", "a.b.c");
        let pkcs8 = ("certificate", CERTIFICATE);
        let pkcs1 = concat!(
            include_str!("../../tests/keys/certificate.pem"),
            include_str!("../../tests/keys/pkcs1.pem")
        );
        assert_ne!(keys(&[PASSWORD]), keys(&[("microsoftapppassword", "hunter3")]));
        assert_ne!(keys(&[given, PASSWORD]), keys(&[PASSWORD]));
        assert_eq!(keys(&[pkcs8]), keys(&[("certificate", pkcs1)]), "the same key in another form");
        assert_eq!(keys(&[pkcs8]).len(), 1);
        assert_ne!(keys(&[pkcs8]), keys(&[PASSWORD]));
        assert_eq!(anonymous(&[PASSWORD]), Ok(vec![]));
        assert_eq!(keys(&[given, PASSWORD]), keys(&[given, federated]), "sealkey has precedence");
        assert_eq!(anonymous(&[given]).unwrap(), keys(&[given, PASSWORD]));
        let error = read("bot-queue", &[federated]).expect_err("no lasting secret");
        assert!(error.name == "sealkey" && error.problem.contains("federatedtoken"), "{error}");
    }

    #[test]
    fn two_secrets_in_sealkey_give_two_seal_keys_in_the_same_order() {
        let (old, new) = ("an old key of 16+", "a new key of 16+");
        let both = format!("{new} , {old}");
        let both = keys(&[("sealkey", &both), PASSWORD]);
        assert_eq!(both, [keys(&[("sealkey", new), PASSWORD]), keys(&[("sealkey", old), PASSWORD])].concat());
        // Without `sealkey`, the bot derives the seal key from its password. Later, the operator sets
        // `sealkey`, with the password as the second secret. So the older envelopes stay valid.
        let with_password = keys(&[("sealkey", &format!("{new},{old}")), ("microsoftapppassword", "next")]);
        assert_eq!(with_password[1..], keys(&[("microsoftapppassword", old)]));
        assert_eq!(keys(&[("sealkey", &format!("{old},")), PASSWORD]).len(), 1);
    }

    #[test]
    fn sealkey_error_for_a_short_key_or_three_keys_does_not_repeat_the_value() {
        let long = "hunter2-hunter2-";
        for text in [
            "hunter2".to_owned(),
            "hunter2-hunter2".to_owned(),
            format!("{long},hunter2"),
            format!("hunter2,{long}"),
            format!("{long},{long},{long}"),
        ] {
            for result in
                [anonymous(&[("sealkey", &text)]), read("bot-queue", &[("sealkey", &text), PASSWORD])]
            {
                let error = result.expect_err(&text);
                assert!(error.name == "sealkey" && !error.to_string().contains("hunter2"), "{error}");
            }
        }
        assert_eq!(anonymous(&[("sealkey", long)]).unwrap().len(), 1);
    }

    #[test]
    fn seal_key_for_another_bot_or_queue_differs() {
        let given = ("sealkey", "a key for two bots");
        for secret in [given, ("pace", "")] {
            let this = keys(&[secret, PASSWORD]);
            assert_ne!(read("other-queue", &[secret, PASSWORD]).unwrap(), this, "another queue");
            let other = ("microsoftappid", "other-app-id");
            assert_ne!(keys(&[secret, PASSWORD, other]), this, "another bot");
            let same = ("microsoftappid", " APP-ID ");
            assert_eq!(
                keys(&[secret, PASSWORD, same]),
                this,
                "an id in upper case with spaces around it is the same id"
            );
        }
        let this = anonymous(&[given]).unwrap();
        assert_ne!(anonymous(&[given, ("microsoftappid", "other")]).unwrap(), this);
    }

    #[test]
    fn tag_code_keys_differ_from_seal_keys_and_can_come_from_storageconnection() {
        let of = |variables: &[(&str, &str)], mode| {
            let host = host(variables);
            tag_code_keys(&host, BotCredentials::read(mode, &host).unwrap().as_ref()).unwrap()
        };
        let both = ("sealkey", "a new key of 16+, an old key of 16+");
        assert_eq!(of(&[both, PASSWORD], AuthMode::Required).len(), 2);
        assert_ne!(of(&[PASSWORD], AuthMode::Required), keys(&[PASSWORD]));
        let anonymous = |storage| of(&[("storageconnection", storage)], AuthMode::Anonymous);
        assert_eq!(anonymous("a").len(), 1);
        assert_ne!(anonymous("a"), anonymous("b"));
    }
}
