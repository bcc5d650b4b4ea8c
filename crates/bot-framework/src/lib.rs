//! The Bot Framework protocol, for a bot that receives activities and sends messages later.
//!
//! Use this crate to check a request's token ([`InboundAuth`]), to read its body ([`Activity`]), to keep the
//! address of a conversation ([`ConversationReference`]), to decide whether the bot's token may go to that
//! address ([`TrustPolicy`], [`ServiceUrl`]), to get the token ([`outbound`]), and to send ([`Connector`]).
//!
//! [`Connector`] never sends the bot's token to an address that a [`TrustPolicy`] has not checked. The crate
//! stores only caches, in the key-value store of the host: signing keys, records of checked tokens, and
//! sealed tokens. It does not depend on queues, tables or Spin.
//!
//! Names and shapes are the Bot Framework's own (`Activity`, `ConversationReference`, `serviceUrl`). The
//! specification is <https://github.com/microsoft/Agents/blob/main/specs/activity/protocol-activity.md>; for
//! the calls, it is `botframework-channel.json` in <https://github.com/microsoft/botframework-sdk>.
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

// The crate is named here only to pin its version for `url`. Version 1.0 has no Unicode tables, which makes
// the components smaller. A host name that is not ASCII then does not parse, and the trust rules refuse such
// names anyway.
use idna_adapter as _;
