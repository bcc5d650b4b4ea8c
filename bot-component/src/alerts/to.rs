//! Reads the JSON member `to` of an API call, and finds the conversations that `to` names. An element of `to`
//! can name a *tag*. Conversations subscribe to a tag, and get the alerts to the tag.

mod target;

use bot_framework::json::{FieldError, Fields};
use bot_framework::{ChannelAccount, ConversationReference, channel_id};
use futures_util::{StreamExt, stream};
use platform::Host;
use serde_json::Value;
use state::{ByKey, Conversation, ConversationKey, Known, Tag, of_key};

use super::caller::Caller;
use super::creating::{self, Creating};
use super::grant::{Scope, is_tenant};
use crate::limits::MAX_TARGETS;
use crate::rejection::{AlertRejection, Rejection};
use target::held_by_person;
pub(super) use target::{Held, TEAMS, Target, held_by_settings};

/// How many elements of `to` the bot looks up in parallel. The number is small, because the lookup of one
/// person makes several calls in parallel.
const LOOKUPS_AT_ONCE: usize = 8;

/// The expected form of a tag, for errors.
pub(super) const A_TAG: &str = "a word of at most 64 letters, digits and -_.:#@+";

/// One element of `to`, and its path in the body.
#[derive(Debug, PartialEq)]
pub(super) struct To {
    path: String,
    form: Form,
}

impl To {
    /// Makes an element for a conversation that the bot has already looked up. The caller is allowed to send
    /// to this conversation.
    pub(super) fn known(target: Target) -> Self {
        Self { path: "to".into(), form: Form::Known(Box::new(target)) }
    }

    /// Returns the path of the element, the tag and the tenant of the tag. Returns `None` if the element
    /// names no tag.
    pub(super) fn as_tag(&self) -> Option<(&str, &Tag, Option<&str>)> {
        match &self.form {
            Form::Tag { tag, tenant } => Some((&self.path, tag, tenant.as_deref())),
            _ => None,
        }
    }

    /// Puts `path` before the path of the element. An alert can ask people a question, and can have an
    /// escalation: if no person answers the question, the poller alerts further conversations, step by step.
    /// Each step has a `to` of its own, and the path of this `to` begins with `escalate[<index>]`.
    pub(super) fn below(self, path: &str) -> Self {
        Self { path: format!("{path}.{}", self.path), ..self }
    }

    /// Refuses an element that the caller's API key or token does not allow. This check needs no lookup.
    pub(super) fn expect_allowed(&self, caller: &Caller) -> Result<(), AlertRejection> {
        let Self { path, form } = self;
        match form {
            Form::Address(_) => caller.require(Scope::Address),
            Form::Tag { tag, tenant } => {
                caller.require_tag(path, Some(tag))?;
                tenant.as_ref().map_or(Ok(()), |tenant| caller.require_tenant(path, tenant))
            }
            Form::AadObject { tenant, .. } | Form::Email { tenant, .. } | Form::Channel { tenant, .. } => {
                caller.require_tag(path, None)?;
                tenant.as_ref().map_or(Ok(()), |tenant| caller.require_tenant(path, tenant))
            }
            Form::Conversation(_) | Form::Members(_) | Form::User { .. } => caller.require_tag(path, None),
            Form::Known(_) => Ok(()),
        }
    }

    /// Returns the key of the conversation, if the bot can make the key from the element alone. For example,
    /// an `address` contains the ids for the key. If the element names a person or a tag, returns `None`,
    /// because only a lookup finds the conversation. Also returns `None` for [`Form::Known`], because the bot
    /// has already looked up this conversation.
    fn names(&self) -> Option<ConversationKey> {
        match &self.form {
            Form::Conversation(text) | Form::Members(text) => ConversationKey::parse(text),
            Form::Address(address) => Some(ConversationKey::of(address)),
            Form::Channel { id, .. } => Some(ConversationKey::of_ids(TEAMS, id)),
            Form::User { .. } | Form::AadObject { .. } | Form::Email { .. } | Form::Tag { .. } => None,
            Form::Known(_) => None,
        }
    }
}

#[derive(Debug, PartialEq)]
enum Form {
    Conversation(String),
    User {
        channel_id: String,
        id: String,
    },
    /// A person, named by the person's object id in Entra. The person need not have a conversation with the
    /// bot yet.
    AadObject {
        id: String,
        tenant: Option<String>,
    },
    Email {
        email: String,
        tenant: Option<String>,
    },
    /// A new thread in a channel of Teams.
    Channel {
        id: String,
        tenant: Option<String>,
    },
    /// Each member of a team or chat. The text is the key of the conversation of this team or chat.
    Members(String),
    Tag {
        tag: Tag,
        tenant: Option<String>,
    },
    Address(Box<ConversationReference>),
    Known(Box<Target>),
}

/// Reads `to`: one target, or an array of targets.
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
    const FORMS: &str = "exactly one of conversation, user, email, channel, members, tag and address; tenant is allowed only \
                         beside tag, email, channel, and a user that is an Entra object id";
    /// The forms that allow the member `tenant`.
    const IN_A_TENANT: [&str; 4] = ["tag", "user", "email", "channel"];
    let whole = |expected| FieldError { path: path.into(), expected };
    let has_tenant = fields.as_object().keys().any(|name| IN_A_TENANT.contains(&name.as_str()));
    let mut names = fields.as_object().keys().filter(|name| !(has_tenant && *name == "tenant"));
    let (Some(name), None) = (names.next().cloned(), names.next()) else { return Err(whole(FORMS)) };
    match name.as_str() {
        "conversation" => Ok(Form::Conversation(fields.required_string("conversation")?)),
        "members" => Ok(Form::Members(fields.required_string("members")?)),
        "user" => {
            let user = fields.required_string("user")?;
            let tenant = read_tenant_id(&mut fields)?;
            match user.split_once('/') {
                None => Ok(Form::AadObject { id: user, tenant }),
                Some(_) if tenant.is_some() => {
                    Err(fields.error("tenant", "no tenant beside channelId/id, which names one person"))
                }
                Some((channel, id)) => match channel_id(channel).filter(|_| !id.is_empty()) {
                    Some(channel_id) => Ok(Form::User { channel_id, id: id.into() }),
                    None => Err(fields.error("user", "channelId/id or an Entra object id")),
                },
            }
        }
        "email" => {
            let email = fields.required_string("email")?;
            if !creating::is_email(&email) {
                return Err(fields.error("email", "an e-mail address or a user principal name"));
            }
            Ok(Form::Email { email, tenant: read_tenant_id(&mut fields)? })
        }
        "channel" => {
            let id = fields.required_string("channel")?;
            if !creating::is_channel(&id) {
                let expected =
                    "the id of a channel of Teams, such as 19:...@thread.tacv2, without `;messageid=`";
                return Err(fields.error("channel", expected));
            }
            Ok(Form::Channel { id, tenant: read_tenant_id(&mut fields)? })
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
            // The bot signs the envelope (the queue message) that contains this address, so the poller
            // believes the address. The caller must therefore not be able to claim that the `serviceUrl` was
            // verified.
            Ok(Form::Address(Box::new(address.with_service_url_verified(false))))
        }
        _ => Err(whole(FORMS)),
    }
}

/// Reads the member `tenant` beside a person or a channel: the id of a tenant.
fn read_tenant_id(fields: &mut Fields) -> Result<Option<String>, FieldError> {
    match fields.string("tenant")? {
        Some(tenant) if !is_tenant(&tenant) => Err(fields.error("tenant", "the id of a tenant")),
        tenant => Ok(tenant),
    }
}

/// Reads the member `tenant` beside a tag: the id of a tenant, or `none` for conversations in no tenant.
pub(super) fn read_tenant(fields: &mut Fields) -> Result<Option<String>, FieldError> {
    match fields.string("tenant")? {
        Some(tenant) if tenant.is_empty() => Err(fields.error("tenant", "the id of a tenant, or `none`")),
        tenant => Ok(tenant),
    }
}

/// Finds the conversations of all elements of `to` that are not tags. The result has each conversation once.
///
/// The bot alerts the conversations of a call page by page. If one call cannot process all pages, the caller
/// continues with a further call, which has the member `next`. In such a call, `is_first_page` is false.
///
/// If a conversation is unknown in the first call, the bot refuses the whole call, so that the bot never
/// queues only some of the alerts. If a conversation is unknown in a further call, the bot has forgotten the
/// conversation since the first call. The bot then skips this conversation.
pub(super) async fn named<H: Host>(
    creating: &Creating<'_, H>,
    to: &[To],
    is_first_page: bool,
) -> Result<Vec<Target>, Rejection> {
    let known = creating.book.get_all(to.iter().filter_map(To::names)).await.map_err(AlertRejection::from)?;
    let find = async |to: &To| (to.path.clone(), find(creating, &known, to).await);
    let find = &find;
    let mut found = stream::iter(to).map(find).buffered(LOOKUPS_AT_ONCE);
    let mut targets: Vec<Target> = Vec::new();
    while let Some((path, more)) = found.next().await {
        let more = match more {
            Err(Rejection::Alert(AlertRejection::UnknownTarget { .. })) if !is_first_page => Vec::new(),
            more => more?,
        };
        for mut target in more {
            target.path = Some(path.clone());
            if !targets.iter().any(|other| other.key == target.key) {
                targets.push(target);
            }
        }
        // The conversations that the call names without a tag must all fit into the first page. `find` checks
        // the number of members of one team. But several teams together can have too many members.
        if targets.len() > MAX_TARGETS {
            return Err(AlertRejection::TooManyMembers { path: "to".into() }.into());
        }
    }
    Ok(targets)
}

/// Finds the conversations of one element of `to`. The result is empty for a tag, has several conversations
/// for `members`, and has one for every other form.
async fn find<H: Host>(
    creating: &Creating<'_, H>,
    named: &ByKey<Known>,
    To { path, form }: &To,
) -> Result<Vec<Target>, Rejection> {
    let Creating { book, settings, caller, .. } = creating;
    let by_key = |text: &str| {
        let key = ConversationKey::parse(text)?;
        let conversation = of_key(named, &key)?.conversation.clone()?;
        Some((key, conversation))
    };
    // An entry of the variable `alertkeys` can restrict an API key to one tenant (`tenant=`). For such a key,
    // conversations of other tenants count as unknown.
    let within_reach =
        |(_, conversation): &(ConversationKey, Conversation)| caller.grant.reaches(&conversation.address);
    let unknown = || AlertRejection::UnknownTarget { path: path.clone() };
    let found = match form {
        Form::Conversation(text) => by_key(text),
        Form::User { channel_id, id } if !settings.unbound_users.admit(channel_id, id) => {
            return Err(AlertRejection::UnboundUser { path: path.clone() }.into());
        }
        Form::User { channel_id, id } => book.of_user(channel_id, id).await.map_err(AlertRejection::from)?,
        Form::AadObject { id, tenant } => {
            let found = book.of_aad_object(id).await.map_err(AlertRejection::from)?;
            let in_wanted_tenant = |(_, found): &(ConversationKey, Conversation)| {
                tenant.as_ref().is_none_or(|tenant| creating::is_in(tenant, &found.address))
            };
            match found.filter(within_reach).filter(in_wanted_tenant) {
                Some(found) => Some(found),
                None => return Ok(vec![creating.person(path, id, tenant.as_deref()).await?]),
            }
        }
        Form::Email { email, tenant } => {
            return Ok(vec![creating.email(path, email, tenant.as_deref()).await?]);
        }
        Form::Channel { id, tenant } => {
            let known = of_key(named, &ConversationKey::of_ids(TEAMS, id));
            return Ok(vec![creating.channel(path, id, tenant.as_deref(), known).await?]);
        }
        Form::Members(text) => {
            let (_, conversation) = by_key(text).filter(within_reach).ok_or_else(unknown)?;
            return creating.members(path, &conversation).await;
        }
        Form::Tag { .. } => return Ok(Vec::new()),
        Form::Known(target) => return Ok(vec![Target::clone(target)]),
        Form::Address(address) => {
            settings.trust.check(&address.service_url)?;
            if !settings.tenants.allow(address) {
                return Err(AlertRejection::TenantNotAllowed { path: path.clone() }.into());
            }
            let key = ConversationKey::of(address);
            // If the person has sent `stop`, the conversation gets no alert, even if the caller names the
            // conversation by its address.
            let known = of_key(named, &key);
            let standing = known.map(|known| known.standing).unwrap_or_default();
            let held = held_by_person(standing.stopped, standing.paused);
            let known = known.and_then(|known| known.conversation.as_ref());
            let app_id = settings.bot.as_ref().map(|bot| bot.identity.app_id.as_str());
            let address = from_the_bot(address, known, app_id, path)?;
            let zone = known.and_then(|known| known.zone);
            let (creation, quiet) = (None, standing.quiet);
            return Ok(vec![Target { key, address, held, tag: None, creation, path: None, zone, quiet }]);
        }
    };
    let (key, conversation) = found.filter(within_reach).ok_or_else(unknown)?;
    Ok(vec![Target::known(key, conversation, settings)])
}

/// Adds the bot's own account to the address, because the Connector needs this account as the sender. If the
/// caller leaves the account out, the account comes from the first of these sources that exists:
///
/// - the address that the bot stored from an earlier activity of the conversation, if this address has the
///   same `serviceUrl`;
/// - on Teams, the bot's app id, from which the bot makes the id of the account;
/// - in anonymous mode (`authmode=anonymous`, for local tests), the fixed id `bot`.
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
    // In anonymous mode the bot has no app id. The bot then calls only programs on this machine (loopback
    // addresses). These programs accept every id.
    let of_anonymous_mode = || app_id.is_none().then(|| ChannelAccount::with_id("bot"));
    address.bot = heard.and_then(|heard| heard.bot.clone()).or_else(of_teams).or_else(of_anonymous_mode);
    match address.bot {
        Some(_) => Ok(address),
        None => Err(FieldError {
            path: format!("{path}.address.bot"),
            expected: "the bot's account as the channel knows it, as {\"id\": \"...\"}",
        }
        .into()),
    }
}

#[cfg(test)]
mod tests;
