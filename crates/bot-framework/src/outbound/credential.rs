//! The credential with which the bot proves its identity to Entra (Microsoft's identity service).

use platform::{Secret, Settings, SettingsError};

use super::certificate::Certificate;
use crate::auth_mode::AuthMode;
use crate::identity::BotIdentity;

/// The bot's credential, in one of three forms. `Debug` masks the credential.
#[derive(Debug, Clone)]
pub enum Credential {
    /// `microsoftapppassword`: a client secret.
    Password(Secret),
    /// `federatedtoken`: a token that another identity provider issued. Entra calls this *workload identity
    /// federation*.
    FederatedToken(Secret),
    /// `certificate`: a private key and its certificate.
    Certificate(Box<Certificate>),
}

const VARIABLES: [&str; 3] = ["microsoftapppassword", "federatedtoken", "certificate"];

impl Credential {
    /// Reads the three variables `microsoftapppassword`, `federatedtoken` and `certificate`. Exactly one
    /// variable must be set.
    pub fn read(settings: &impl Settings) -> Result<Self, SettingsError> {
        // The values are trimmed, because a secret that was mounted as a file often has a line end.
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
                let problem = "is empty, like federatedtoken and certificate; authmode=required needs \
                               exactly one of the three";
                Err(SettingsError::new(VARIABLES[0], problem))
            }
            [(first, _), others @ ..] => {
                let others: Vec<_> = others.iter().map(|(name, _)| *name).collect();
                let problem = format!("is set together with {}; set only one of them", others.join(" and "));
                Err(SettingsError::new(*first, problem))
            }
        }
    }

    /// The secret from which the bot derives keys that must stay the same for days. An example is the key for
    /// the seals (HMACs) of queue messages. The result is `None` for a federated token. A federated token
    /// changes every hour, so the derived keys would change every hour, too.
    pub(super) fn lasting_secret(&self) -> Option<&[u8]> {
        match self {
            Self::Password(_) | Self::Certificate(_) => Some(self.secret_bytes()),
            Self::FederatedToken(_) => None,
        }
    }

    /// The bytes of the secret: of the password, the federated token or the private key.
    pub(super) fn secret_bytes(&self) -> &[u8] {
        match self {
            Self::Password(secret) | Self::FederatedToken(secret) => secret.expose().as_bytes(),
            Self::Certificate(certificate) => certificate.secret_bytes(),
        }
    }
}

/// The bot's registration in Entra, and the credential that proves the bot's identity.
#[derive(Debug, Clone)]
pub struct BotCredentials {
    /// The bot's registration.
    pub identity: BotIdentity,
    /// The bot's credential.
    pub credential: Credential,
}

impl BotCredentials {
    /// Reads the registration and the credential if `authmode=required`. If `authmode=anonymous`, the result
    /// is `None`.
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
