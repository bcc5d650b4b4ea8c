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
