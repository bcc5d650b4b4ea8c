//! What the bot proves itself with to Entra.

use platform::{Secret, Settings, SettingsError};

use super::certificate::Certificate;
use super::key::{KeyPurpose, derive_key};
use crate::auth_mode::AuthMode;
use crate::identity::BotIdentity;

/// The bot's credential: one of three. `Debug` masks it.
#[derive(Debug, Clone)]
pub enum Credential {
    /// `microsoftapppassword`: a client secret.
    Password(Secret),
    /// `federatedtoken`: an assertion that another identity provider wrote (workload identity).
    FederatedToken(Secret),
    /// `certificate`: a private key and its certificate.
    Certificate(Box<Certificate>),
}

const VARIABLES: [&str; 3] = ["microsoftapppassword", "federatedtoken", "certificate"];

impl Credential {
    /// Reads the three variables, of which exactly one has to be set.
    pub fn read(settings: &impl Settings) -> Result<Self, SettingsError> {
        // A secret that was mounted as a file often ends with a line end.
        let mut given = Vec::new();
        for name in VARIABLES {
            given.extend(Secret::new(settings.setting(name)?.trim()).map(|secret| (name, secret)));
        }
        match given.as_slice() {
            [(name, secret)] => Ok(match *name {
                "microsoftapppassword" => Self::Password(secret.clone()),
                "federatedtoken" => Self::FederatedToken(secret.clone()),
                _ => Self::Certificate(Box::new(
                    Certificate::parse(secret.expose())
                        .map_err(|error| SettingsError::new(*name, error.to_string()))?,
                )),
            }),
            [] => {
                let problem =
                    "must be set (or federatedtoken, or certificate): authmode=required needs one credential";
                Err(SettingsError::new(VARIABLES[0], problem))
            }
            [(first, _), others @ ..] => {
                let others: Vec<_> = others.iter().map(|(name, _)| *name).collect();
                let problem =
                    format!("is set together with {}: exactly one credential may be", others.join(" and "));
                Err(SettingsError::new(*first, problem))
            }
        }
    }

    /// The key that envelopes are sealed with. There is none with a federated token: it changes every hour, and with it
    /// would change the key.
    pub(super) fn seal_key(&self) -> Option<[u8; 32]> {
        match self {
            Self::Password(_) | Self::Certificate(_) => {
                Some(derive_key(self.secret_bytes(), KeyPurpose::EnvelopeSeal))
            }
            Self::FederatedToken(_) => None,
        }
    }

    /// The key that the token in key-value is sealed with.
    pub(super) fn cache_key(&self) -> [u8; 32] {
        derive_key(self.secret_bytes(), KeyPurpose::TokenCache)
    }

    /// The key by which the poller knows the bot.
    pub(super) fn kick_key(&self) -> [u8; 32] {
        derive_key(self.secret_bytes(), KeyPurpose::Kick)
    }

    /// The key of the codes by which people subscribe to tags. There is none with a federated token, as with the seal.
    pub(super) fn tag_code_key(&self) -> Option<[u8; 32]> {
        match self {
            Self::Password(_) | Self::Certificate(_) => {
                Some(derive_key(self.secret_bytes(), KeyPurpose::TagCode))
            }
            Self::FederatedToken(_) => None,
        }
    }

    fn secret_bytes(&self) -> &[u8] {
        match self {
            Self::Password(secret) | Self::FederatedToken(secret) => secret.expose().as_bytes(),
            Self::Certificate(certificate) => certificate.secret_bytes(),
        }
    }
}

/// Who the bot is, and what it proves that with.
#[derive(Debug, Clone)]
pub struct BotCredentials {
    /// Its registration.
    pub identity: BotIdentity,
    /// Its credential.
    pub credential: Credential,
}

impl BotCredentials {
    /// Reads the variables of `authmode=required`; in anonymous mode there are no credentials, whatever is set.
    pub fn read(mode: AuthMode, settings: &impl Settings) -> Result<Option<Self>, SettingsError> {
        match mode {
            AuthMode::Anonymous => Ok(None),
            AuthMode::Required => Ok(Some(Self {
                identity: BotIdentity::read(settings)?,
                credential: Credential::read(settings)?,
            })),
        }
    }
}
