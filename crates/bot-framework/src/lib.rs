//! Bot Framework protocol: what arrives ([`Activity`]), where an answer goes ([`ConversationReference`]), whom we may
//! talk to ([`TrustPolicy`], [`ServiceUrl`]), how ([`Connector`]), and what the bot proves itself with ([`outbound`]).
//!
//! Names and shapes follow the Bot Framework's own (`Activity`, `ConversationReference`, `serviceUrl`):
//! <https://github.com/microsoft/Agents/blob/main/specs/activity/protocol-activity.md>, and for the calls
//! `botframework-channel.json` in <https://github.com/microsoft/botframework-sdk>.
#![warn(missing_docs)]

mod account;
mod activity;
mod auth_mode;
mod channel_id;
mod cloud;
mod connector;
mod direct_line;
mod identity;
mod inbound;
pub mod json;
mod lone_surrogates;
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
pub use channel_id::channel_id;
pub use cloud::Cloud;
pub use connector::Connector;
pub use direct_line::{DirectLine, DirectLineSettings};
pub use identity::BotIdentity;
#[cfg(fuzzing)]
pub use inbound::fuzzing;
pub use inbound::{App, AuthError, BrokenRule, Caller, InboundAuth, KeysError, NotAllowed, VerifiedToken};
pub use message::{MORE_MEMBERS, OutgoingMessage};
pub use message_text::is_invisible;
pub use outbound::{BotCredentials, Credential, Tokens};
pub use reference::ConversationReference;
pub use tenants::{TenantRefused, Tenants};
pub use trigger_name::TriggerName;
pub use trust::{NotTrusted, ServiceHosts, ServiceUrl, TrustPolicy};
pub use verdict::{Class, Verdict, classify};
pub use vouching::{UnboundUsers, vouches_for_identity};

// Named here only to pin it for `url`: its version 1.0 carries no Unicode tables, so a host name that is not ASCII does
// not parse. That saves the guest their size, and the trust rules refuse such names anyway.
use idna_adapter as _;
