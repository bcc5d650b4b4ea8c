//! Gets the bot's own tokens for the calls to the Connector, and derives the bot's keys from its secrets.
//!
//! The module gets tokens from Entra by OAuth 2.0 client credentials. The source is "Authenticate requests
//! from your bot to the Bot Connector service" on
//! <https://learn.microsoft.com/azure/bot-service/rest-api/bot-framework-rest-connector-authentication>.
//!
//! For an hour, anyone who has such a token can send messages as the bot to all conversations of the bot. So
//! the module stores the token only encrypted ("sealed"), and never logs it. The Connector client sends the
//! token only to a [`crate::ServiceUrl`] that the rules of `authmode=required` allow
//! ([`crate::TrustPolicy::Listed`]).

mod access_token;
mod assertion;
mod certificate;
mod credential;
mod error;
mod hook_keys;
mod key;
mod kick_key;
mod request;
mod response;
mod seal_keys;
mod sealed_cache;
mod tokens;

pub use certificate::Certificate;
pub use credential::{BotCredentials, Credential};
pub use error::TokenError;
pub use hook_keys::hook_keys;
pub use kick_key::kick_key;
pub use seal_keys::{question_keys, seal_keys, tag_code_keys};
pub use tokens::Tokens;

pub(crate) use access_token::AccessToken;
