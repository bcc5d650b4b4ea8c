//! The bot's own tokens: from a credential to the `Authorization` header that a trusted Connector sees.
//!
//! OAuth 2.0 client credentials against Entra, "Authenticate requests from your bot to the Bot Connector service" on
//! <https://learn.microsoft.com/azure/bot-service/rest-api/bot-framework-rest-connector-authentication>. Whoever holds such
//! a token speaks as the bot in every one of its conversations, for an hour. So it is kept sealed, shown to no log, and
//! leaves for nothing but a [`crate::ServiceUrl`] of `authmode=required`.

mod access_token;
mod answer;
mod assertion;
mod certificate;
mod credential;
mod error;
mod key;
mod kick_key;
mod request;
mod seal_keys;
mod sealed_cache;
mod tokens;

pub use certificate::Certificate;
pub use credential::{BotCredentials, Credential};
pub use error::TokenError;
pub use kick_key::kick_key;
pub use seal_keys::{seal_keys, tag_code_keys};
pub use tokens::Tokens;

pub(crate) use access_token::AccessToken;
