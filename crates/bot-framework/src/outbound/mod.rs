//! Gets the bot's own tokens for the calls to the Connector (the HTTP API that delivers messages). The module
//! also derives the bot's keys from its secrets, e.g. the key by which the poller recognizes calls from
//! the bot.
//!
//! The module gets tokens from Entra by the OAuth 2.0 grant *client credentials*. The source is "Authenticate
//! requests from your bot to the Bot Connector service" on
//! <https://learn.microsoft.com/azure/bot-service/rest-api/bot-framework-rest-connector-authentication>.
//!
//! Usually, a token is valid for an hour. In this hour, anyone who has the token can send messages as the bot
//! to all conversations of the bot. So the module encrypts ("seals") each token before it stores the token,
//! and never logs a token. The Connector client sends a token only to a [`crate::ServiceUrl`] that
//! [`crate::TrustPolicy::Listed`] (the rules of `authmode=required`) has checked.

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
