//! The member `to` of a call: finds the conversations that it names.

use bot_framework::json::{FieldError, Fields};
use bot_framework::{ChannelAccount, ConversationReference, channel_id};
use futures_util::{StreamExt, stream};
use platform::Host;
use serde_json::Value;
use state::ledger::Status;
use state::{ByKey, Conversation, ConversationKey, Conversations, Known, Tag, of_key};

use super::caller::Caller;
use super::grant::{Grant, Scope};
use crate::limits::MAX_TARGETS;
use crate::rejection::{AlertRejection, HookRejection, Rejection};
use crate::settings::BotSettings;

/// How many elements of `to` are looked up at once. The number is small, because the lookup of one person
/// makes several calls at once.
const FOUND_AT_ONCE: usize = 8;

/// The expected form of a tag, for errors.
pub(super) const A_TAG: &str = "a word of at most 64 letters, digits and -_.:#@+";

/// One element of `to`, and its path in the body.
#[derive(Debug, PartialEq)]
pub(super) struct To {
    path: String,
    form: Form,
}

impl To {
    /// A conversation that the bot has already looked up, and that the caller may reach.
    pub(super) fn known(target: Target) -> Self {
        Self { path: "to".into(), form: Form::Known(Box::new(target)) }
    }

    /// The path, the tag and the tenant, if the element is a tag.
    pub(super) fn as_tag(&self) -> Option<(&str, &Tag, Option<&str>)> {
        match &self.form {
            Form::Tag { tag, tenant } => Some((&self.path, tag, tenant.as_deref())),
            _ => None,
        }
    }

    /// Refuses an element that the caller's key may not name, before any lookup.
    pub(super) fn expect_allowed(&self, caller: &Caller) -> Result<(), AlertRejection> {
        let Self { path, form } = self;
        match form {
            Form::Address(_) => caller.require(Scope::Address),
            Form::Tag { tag, tenant } => {
                caller.require_tag(path, Some(tag))?;
                tenant.as_ref().map_or(Ok(()), |tenant| caller.require_tenant(path, tenant))
            }
            Form::Conversation(_) | Form::User { .. } | Form::AadObject(_) => caller.require_tag(path, None),
            Form::Known(_) => Ok(()),
        }
    }

    /// The key of the conversation, if the element names the conversation itself.
    fn names(&self) -> Option<ConversationKey> {
        match &self.form {
            Form::Conversation(text) => ConversationKey::parse(text),
            Form::Address(address) => Some(ConversationKey::of(address)),
            Form::User { .. } | Form::AadObject(_) | Form::Tag { .. } | Form::Known(_) => None,
        }
    }
}

#[derive(Debug, PartialEq)]
enum Form {
    Conversation(String),
    User { channel_id: String, id: String },
    AadObject(String),
    Tag { tag: Tag, tenant: Option<String> },
    Address(Box<ConversationReference>),
    Known(Box<Target>),
}

/// A conversation to alert.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Target {
    pub(super) key: ConversationKey,
    pub(super) address: ConversationReference,
    /// The reason why the conversation gets no alert now, or `None` if it gets one.
    pub(super) held: Option<Held>,
    /// The first tag by which the call found the conversation, if a tag named it. The caller does not know
    /// the subscribers of a tag, so an alert that is too large for one of them is still sent to the others.
    pub(super) tag: Option<Tag>,
}

impl Target {
    /// A conversation that the bot knows.
    pub(super) fn known(key: ConversationKey, conversation: Conversation, settings: &BotSettings) -> Self {
        let Conversation { address, stopped, paused, .. } = conversation;
        let untrusted =
            settings.trust.check(&address.service_url).is_err() || !settings.tenants.allow(&address);
        let held = held_by_person(stopped, paused).or(untrusted.then_some(Held::Untrusted));
        Self { key, address, held, tag: None }
    }

    /// A conversation that a tag named.
    pub(super) fn subscriber(
        key: ConversationKey,
        conversation: Conversation,
        settings: &BotSettings,
        tag: &Tag,
    ) -> Self {
        Self { tag: Some(tag.clone()), ..Self::known(key, conversation, settings) }
    }
}

/// Why a conversation gets no alert.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Held {
    /// The person said `stop`.
    Stopped,
    /// The channel reported that the person cannot be reached.
    Paused,
    /// The Connector is not trusted, or the tenant is not in `tenants`. The bot stored the conversation when
    /// `authmode` or other variables had other values.
    Untrusted,
}

impl Held {
    /// The status of the alert in the ledger.
    pub(super) fn status(self) -> Status {
        match self {
            Self::Stopped => Status::Stopped,
            Self::Paused => Status::Paused,
            Self::Untrusted => Status::Untrusted,
        }
    }
}

impl From<Held> for HookRejection {
    fn from(held: Held) -> Self {
        match held {
            Held::Stopped => Self::Stopped,
            Held::Paused => Self::Paused,
            // The sender does not learn which tenants and channels the bot serves.
            Held::Untrusted => Self::Unknown,
        }
    }
}

/// Reads `to`: one target, or an array of them.
pub(super) fn read(fields: &mut Fields) -> Result<Vec<To>, AlertRejection> {
    let elements = match fields.as_object().get("to") {
        Some(Value::Array(_)) => {
            let elements = fields.objects("to")?;
            let paths = (0..elements.len()).map(|index| format!("to[{index}]"));
            paths.zip(elements).collect()
        }
        _ => vec![("to".to_owned(), fields.required_object("to")?)],
    };
    match elements.len() {
        0 => return Err(fields.error("to", "at least one target").into()),
        targets if targets > MAX_TARGETS => {
            return Err(AlertRejection::TooManyTargets { targets });
        }
        _ => {}
    }
    elements.into_iter().map(|(path, element)| Ok(of_element(element, &path)?)).collect()
}

/// Reads one element of `to`, whose path is `path`.
pub(super) fn of_element(element: Fields, path: &str) -> Result<To, FieldError> {
    Ok(To { form: read_form(element, path)?, path: path.to_owned() })
}

fn read_form(mut fields: Fields, path: &str) -> Result<Form, FieldError> {
    const FORMS: &str = "exactly one of conversation, user, tag (with a tenant or without) and address";
    let whole = |expected| FieldError { path: path.into(), expected };
    let has_tag = fields.as_object().contains_key("tag");
    let mut names = fields.as_object().keys().filter(|name| !(has_tag && *name == "tenant"));
    let (Some(name), None) = (names.next().cloned(), names.next()) else { return Err(whole(FORMS)) };
    match name.as_str() {
        "conversation" => Ok(Form::Conversation(fields.required_string("conversation")?)),
        "user" => {
            let user = fields.required_string("user")?;
            match user.split_once('/') {
                None => Ok(Form::AadObject(user)),
                Some((channel, id)) => match channel_id(channel).filter(|_| !id.is_empty()) {
                    Some(channel_id) => Ok(Form::User { channel_id, id: id.into() }),
                    None => Err(fields.error("user", "channelId/id or an Entra object id")),
                },
            }
        }
        "tag" => {
            let tag = Tag::parse(&fields.required_string("tag")?);
            Ok(Form::Tag {
                tag: tag.ok_or_else(|| fields.error("tag", A_TAG))?,
                tenant: read_tenant(&mut fields)?,
            })
        }
        "address" => {
            let address = ConversationReference::from_fields(fields.required_object("address")?)?;
            // The bot seals this address, so the caller must not be able to claim that its serviceUrl was
            // verified.
            Ok(Form::Address(Box::new(address.with_service_url_verified(false))))
        }
        _ => Err(whole(FORMS)),
    }
}

/// Reads the member `tenant` beside a tag.
pub(super) fn read_tenant(fields: &mut Fields) -> Result<Option<String>, FieldError> {
    match fields.string("tenant")? {
        Some(tenant) if tenant.is_empty() => Err(fields.error("tenant", "the id of a tenant, or `none`")),
        tenant => Ok(tenant),
    }
}

/// Finds the conversations of all elements of `to` that are not tags. The result has each conversation once.
/// On the first page the bot refuses the whole call if a conversation is unknown, so that it never queues
/// only a part of the alerts. On a later page the bot skips an unknown conversation, because the conversation
/// was known on the first page.
pub(super) async fn named<H: Host>(
    conversations: &Conversations<'_, H>,
    settings: &BotSettings,
    grant: &Grant,
    to: &[To],
    is_first_page: bool,
) -> Result<Vec<Target>, Rejection> {
    let known = conversations.get_all(to.iter().filter_map(To::names)).await.map_err(AlertRejection::from)?;
    let find = async |to: &To| find(conversations, &known, settings, grant, to).await;
    let find = &find;
    let mut found = stream::iter(to).map(find).buffered(FOUND_AT_ONCE);
    let mut targets: Vec<Target> = Vec::new();
    while let Some(target) = found.next().await {
        let target = match target {
            Err(Rejection::Alert(AlertRejection::UnknownTarget { .. })) if !is_first_page => None,
            target => target?,
        };
        targets.extend(target.filter(|target| !targets.iter().any(|other| other.key == target.key)));
    }
    Ok(targets)
}

/// Finds the conversation of one element of `to`. Returns `None` for a tag.
async fn find<H: Host>(
    conversations: &Conversations<'_, H>,
    named: &ByKey<Known>,
    settings: &BotSettings,
    grant: &Grant,
    To { path, form }: &To,
) -> Result<Option<Target>, Rejection> {
    let found = match form {
        Form::Conversation(text) => ConversationKey::parse(text).and_then(|key| {
            let conversation = of_key(named, &key)?.conversation.clone()?;
            Some((key, conversation))
        }),
        Form::User { channel_id, id } if !settings.unbound_users.admit(channel_id, id) => {
            return Err(AlertRejection::UnboundUser { path: path.clone() }.into());
        }
        Form::User { channel_id, id } => {
            conversations.of_user(channel_id, id).await.map_err(AlertRejection::from)?
        }
        Form::AadObject(id) => conversations.of_aad_object(id).await.map_err(AlertRejection::from)?,
        Form::Tag { .. } => return Ok(None),
        Form::Known(target) => return Ok(Some(Target::clone(target))),
        Form::Address(address) => {
            settings.trust.check(&address.service_url)?;
            if !settings.tenants.allow(address) {
                return Err(AlertRejection::TenantNotAllowed { path: path.clone() }.into());
            }
            let key = ConversationKey::of(address);
            // A `stop` in the conversation also holds if the caller names the conversation by its address.
            let known = of_key(named, &key);
            let standing = known.map(|known| known.standing).unwrap_or_default();
            let held = held_by_person(standing.stopped, standing.paused);
            let known = known.and_then(|known| known.conversation.as_ref());
            let app_id = settings.bot.as_ref().map(|bot| bot.identity.app_id.as_str());
            let address = from_the_bot(address, known, app_id, path)?;
            return Ok(Some(Target { key, address, held, tag: None }));
        }
    };
    // For a key with `tenant=`, conversations of other tenants are unknown.
    match found.filter(|(_, conversation)| grant.reaches(&conversation.address)) {
        Some((key, conversation)) => Ok(Some(Target::known(key, conversation, settings))),
        None => Err(AlertRejection::UnknownTarget { path: path.clone() }.into()),
    }
}

/// Adds the bot's own account to the address, because the Connector needs it as the sender. A caller may
/// leave the account out if the bot knows it: from an earlier activity of the conversation, or on Teams,
/// where the bot's id is made of its app id.
fn from_the_bot(
    address: &ConversationReference,
    known: Option<&Conversation>,
    app_id: Option<&str>,
    path: &str,
) -> Result<ConversationReference, AlertRejection> {
    let mut address = address.clone();
    if address.bot.is_some() {
        return Ok(address);
    }
    let heard = known.map(|known| &known.address).filter(|known| known.service_url == address.service_url);
    let of_teams = || {
        let app_id = app_id.filter(|_| address.channel_id == "msteams")?;
        Some(ChannelAccount::with_id(format!("28:{app_id}")))
    };
    // In anonymous mode the bot has no app id. It talks only to programs on loopback, which accept every id.
    let of_tests = || app_id.is_none().then(|| ChannelAccount::with_id("bot"));
    address.bot = heard.and_then(|heard| heard.bot.clone()).or_else(of_teams).or_else(of_tests);
    match address.bot {
        Some(_) => Ok(address),
        None => Err(FieldError {
            path: format!("{path}.address.bot"),
            expected: "the bot's account as the channel knows it, as {\"id\": \"...\"}",
        }
        .into()),
    }
}

fn held_by_person(stopped: bool, paused: bool) -> Option<Held> {
    if stopped { Some(Held::Stopped) } else { paused.then_some(Held::Paused) }
}

#[cfg(test)]
mod tests;
