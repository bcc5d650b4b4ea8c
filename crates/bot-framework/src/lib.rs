//! The Bot Framework protocol, for a bot that receives activities. The bot can send messages to the
//! conversation of an activity at any later time.
//!
//! The main types, in the order in which a bot uses them:
//!
//! - [`InboundAuth`] checks the token of an inbound request.
//! - [`Activity`] reads the body of the request.
//! - [`ConversationReference`] is the address of a conversation, for a message that is sent later.
//! - [`TrustPolicy`] checks the `serviceUrl` (the URL of the Connector) in this address, because the bot
//!   sends its access token to this URL. If the bot trusts the URL, the policy returns a [`ServiceUrl`].
//! - [`Tokens`] gets the bot's access token for the Connector from Entra (Microsoft's identity service).
//! - [`Connector`] sends the message.
//!
//! [`Connector`] sends the access token only to URLs that a [`TrustPolicy`] has checked. In the key-value
//! store of [`platform::Host`], the crate stores only caches: the issuers' signing keys, records of checked
//! inbound tokens, and the bot's own access tokens in encrypted form. The crate does not depend on queues,
//! tables or Spin.
//!
//! Types and JSON fields have the same names as in the Bot Framework (`Activity`, `ConversationReference`,
//! `serviceUrl`). Activities are specified in
//! <https://github.com/microsoft/Agents/blob/main/specs/activity/protocol-activity.md>. The calls to the
//! Connector are specified in `botframework-channel.json` in <https://github.com/microsoft/botframework-sdk>.
#![warn(missing_docs)]

mod account;
mod activity;
mod auth_mode;
mod changing;
mod channel_id;
pub mod channels;
mod cloud;
mod connector;
mod conversations;
mod direct_line;
mod identity;
mod inbound;
pub mod json;
mod lone_surrogates;
mod look;
mod message;
mod message_text;
pub mod outbound;
mod path;
mod reference;
mod retry_after;
mod tenants;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
mod trigger_name;
mod trust;
mod verdict;
mod vouching;

pub use account::{ChannelAccount, ConversationAccount};
pub use activity::{Activity, ActivityKind};
pub use auth_mode::{AuthMode, ForeignHost};
pub use changing::can_change_messages;
pub use channel_id::channel_id;
pub use cloud::Cloud;
pub use connector::Connector;
pub use conversations::{Created, Member, MemberPage, NewConversation};
pub use direct_line::{DirectLine, DirectLineSettings};
pub use identity::{BotIdentity, endpoint_override, is_guid};
#[cfg(fuzzing)]
pub use inbound::fuzzing;
pub use inbound::{App, AuthError, BrokenRule, Caller, InboundAuth, KeysError, NotAllowed, VerifiedToken};
pub use look::{ADAPTIVE_CARD, Mention, TextFormat, adaptive_cards, each_string, mentioned_names};
pub use message::{MORE_MEMBERS, OutgoingMessage};
pub use message_text::is_invisible;
pub use outbound::{BotCredentials, Credential, Tokens};
pub use reference::ConversationReference;
pub use retry_after::of_headers as retry_after_of;
pub use tenants::{TenantRefused, Tenants};
pub use trigger_name::TriggerName;
pub use trust::{NotTrusted, ServiceHosts, ServiceUrl, TrustPolicy};
pub use verdict::{Class, Verdict, classify};
pub use vouching::{UnboundUsers, vouches_for_identity};

// `url` uses `idna_adapter`. This crate depends on `idna_adapter` only to select version 1.0. Version 1.0 has
// no Unicode tables, so the WebAssembly components become smaller. With version 1.0, `url` cannot parse a
// host name that is not ASCII. This limit does no harm, because the trust rules refuse such host names
// anyway.
use idna_adapter as _;
