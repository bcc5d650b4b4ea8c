//! Makes *targets* (conversations to alert) that the bot perhaps does not know yet. There are three kinds:
//!
//! - The personal chat with a person. A caller names the person by the object id in Entra, or by the e-mail
//!   address.
//! - A new thread in a channel.
//! - The personal chats with the members of a team or chat.
//!
//! If the bot does not know a target, the poller later creates or finds the conversation.

use bot_framework::json::FieldError;
use bot_framework::{
    ChannelAccount, Class, Connector, ConversationAccount, ConversationReference, Member, Tokens, Verdict,
    is_guid,
};
use envelope::{Creation, CreationOf};
use futures_util::{StreamExt, stream};
use platform::{Deadline, Host};
use state::{Conversation, ConversationKey, Conversations, without_thread};

use super::caller::Caller;
use super::grant::Scope;
use super::to::{TEAMS, Target};
use crate::limits::MAX_TARGETS;
use crate::rejection::{AlertRejection, Rejection};
use crate::settings::BotSettings;

/// How many members of a team or chat the bot looks up in parallel.
const MEMBERS_AT_ONCE: usize = 8;

/// The highest number of pages that the bot reads from a roster (the Connector's list of members). The bot
/// asks for pages of 100 members, but the Connector can return shorter pages. If the roster has more pages,
/// or more than 100 members, the bot refuses the call.
const MAX_PAGES: usize = 5;

/// The longest e-mail address (RFC 5321), in characters.
const MAX_EMAIL: usize = 254;

/// The longest id of a person or channel, in bytes.
const MAX_ID: usize = 256;

/// Whether a text can be an e-mail address or a user principal name (a person's sign-in name in Entra).
pub(super) fn is_email(text: &str) -> bool {
    let is_word = |part: &str| !part.is_empty() && !part.contains(['/', '@']);
    text.chars().count() <= MAX_EMAIL
        && !text.chars().any(|c| c.is_control() || c.is_whitespace())
        && text.split_once('@').is_some_and(|(user, domain)| is_word(user) && is_word(domain))
}

/// Whether a text can be the id of a channel in Teams. The id of a thread in the channel also has a `;`, so
/// the result for a thread is `false`.
pub(super) fn is_channel(text: &str) -> bool {
    text.len() <= MAX_ID
        && text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b';')
        && text.strip_prefix("19:").is_some_and(|rest| rest.contains("@thread."))
}

/// Makes targets. The poller later creates or finds a target that the bot does not know.
pub(super) struct Creating<'a, H> {
    pub(super) host: &'a H,
    pub(super) book: &'a Conversations<'a, H>,
    pub(super) settings: &'a BotSettings,
    pub(super) caller: &'a Caller,
    /// The deadline of the calls to the Connector.
    pub(super) deadline: Deadline,
}

impl<H: Host> Creating<'_, H> {
    /// Makes the target for a person whom the bot does not know. `object_id` is the person's object id in
    /// Entra.
    ///
    /// The person's tenant is `tenant_id`, or else the tenant of the API key, or else the bot's own tenant.
    /// If there is no tenant at all, returns the error `UnknownTarget`.
    pub(super) async fn person(
        &self,
        path: &str,
        object_id: &str,
        tenant_id: Option<&str>,
    ) -> Result<Target, AlertRejection> {
        let unknown = || AlertRejection::UnknownTarget { path: path.to_owned() };
        // If the caller names a tenant, the bot accepts any text as an object id in Entra. Without a tenant,
        // the text is perhaps no object id, so the bot accepts only a GUID.
        let is_person = tenant_id.is_some() || is_guid(object_id);
        if !is_person || object_id.len() > MAX_ID {
            return Err(unknown());
        }
        let Some(tenant_id) = tenant_id.or(self.default_tenant()) else { return Err(unknown()) };
        self.expect_tenant(path, tenant_id)?;
        let user = ChannelAccount::with_id(object_id).named(None, Some(object_id));
        self.new_person(path, user, object_id, tenant_id, None).await
    }

    /// Makes the target for the person with this e-mail address. The poller later searches for the person in
    /// the tenant's teams and chats.
    pub(super) async fn email(
        &self,
        path: &str,
        email: &str,
        tenant_id: Option<&str>,
    ) -> Result<Target, AlertRejection> {
        let tenant_id = self.tenant(path, tenant_id)?;
        let conversation =
            ConversationAccount::of_teams(Creation::placeholder(tenant_id, email), "personal", tenant_id);
        let address = self.address(path, tenant_id, None, conversation, None).await?;
        let of = CreationOf::Member { email: email.to_owned() };
        Ok(Target::to_create(address, of))
    }

    /// Makes the target for a new thread in a channel. `known` is the bot's record of the channel, if the bot
    /// has one.
    pub(super) async fn channel(
        &self,
        path: &str,
        id: &str,
        tenant_id: Option<&str>,
        known: Option<&state::Known>,
    ) -> Result<Target, AlertRejection> {
        let tenant_id = self.tenant(path, tenant_id)?;
        let conversation = ConversationAccount::of_teams(id, "channel", tenant_id);
        let neighbour =
            known.and_then(|known| known.conversation.as_ref()).map(|known| known.address.clone());
        let address = self.address(path, tenant_id, None, conversation, neighbour).await?;
        Ok(Target::thread_in(address, known))
    }

    /// Makes a target for each member of a team or chat: the member's personal chat with the bot.
    pub(super) async fn members(
        &self,
        path: &str,
        conversation: &Conversation,
    ) -> Result<Vec<Target>, Rejection> {
        let address = &conversation.address;
        let tenant_id = address.vouched_tenant().filter(|_| address.conversation.is_group());
        let Some(tenant_id) = tenant_id else {
            let expected = "the key of a team, a channel or a group chat on Teams";
            return Err(AlertRejection::from(FieldError { path: format!("{path}.members"), expected }).into());
        };
        self.expect_tenant(path, tenant_id)?;
        let members = self.roster(path, address).await?;
        let find = async |member: Member| self.member(path, address, tenant_id, &member).await;
        let find = &find;
        let mut found = stream::iter(members).map(find).buffered(MEMBERS_AT_ONCE);
        let mut targets = Vec::new();
        while let Some(target) = found.next().await {
            targets.push(target?);
        }
        Ok(targets)
    }

    /// Reads the members of the team or chat at `address`, page by page. The result leaves out the bot
    /// itself.
    async fn roster(&self, path: &str, address: &ConversationReference) -> Result<Vec<Member>, Rejection> {
        let service_url = self.settings.trust.check(&address.service_url)?;
        let tokens = self.settings.bot.as_ref().map(|bot| Tokens::new(self.host, bot));
        let connector = Connector::new(self.host, tokens.as_ref(), self.deadline);
        let conversation_id = without_thread(&address.conversation.id);
        let is_bot = |member: &Member| address.bot.as_ref().is_some_and(|bot| bot.id == member.id);
        let mut members: Vec<Member> = Vec::new();
        let mut next: Option<String> = None;
        for _ in 0..MAX_PAGES {
            let page = connector.members(&service_url, conversation_id, next.as_deref()).await;
            let page = page.map_err(|verdict| not_read(path, &verdict))?;
            members.extend(page.members.into_iter().filter(|member| !is_bot(member)));
            next = page.next;
            if next.is_none() || members.len() > MAX_TARGETS {
                break;
            }
        }
        if next.is_some() || members.len() > MAX_TARGETS {
            return Err(AlertRejection::TooManyMembers { path: path.to_owned() }.into());
        }
        if members.is_empty() {
            return Err(AlertRejection::UnknownTarget { path: path.to_owned() }.into());
        }
        Ok(members)
    }

    /// Makes the target for a member of the team or chat `group`. If the bot knows the member's personal
    /// chat, the target is this chat. If not, the poller has to create the chat.
    async fn member(
        &self,
        path: &str,
        group: &ConversationReference,
        tenant_id: &str,
        member: &Member,
    ) -> Result<Target, AlertRejection> {
        let Member { id, aad_object_id, name } = member;
        let found = match aad_object_id {
            Some(id) => self.book.of_aad_object(id).await?,
            None => self.book.of_user(TEAMS, id).await?,
        };
        let is_there = |(_, found): &(ConversationKey, Conversation)| is_in(tenant_id, &found.address);
        if let Some((key, conversation)) = found.filter(is_there) {
            return Ok(Target::known(key, conversation, self.settings));
        }
        let user = ChannelAccount::with_id(id).named(name.as_deref(), aad_object_id.as_deref());
        let person = aad_object_id.as_deref().unwrap_or(id);
        self.new_person(path, user, person, tenant_id, Some(group.clone())).await
    }

    /// Makes the target for a person whom the bot does not know. `person` is the person's object id, or else
    /// the person's id on Teams. The chat has no id yet, so the function makes a provisional id from the
    /// tenant and `person`.
    async fn new_person(
        &self,
        path: &str,
        user: ChannelAccount,
        person: &str,
        tenant_id: &str,
        neighbour: Option<ConversationReference>,
    ) -> Result<Target, AlertRejection> {
        let placeholder = Creation::placeholder(tenant_id, person);
        let conversation = ConversationAccount::of_teams(placeholder, "personal", tenant_id);
        let address = self.address(path, tenant_id, Some(user), conversation, neighbour).await?;
        Ok(Target::to_create(address, CreationOf::Person))
    }

    /// Makes the address of a conversation that the poller has to create or find.
    ///
    /// An address contains the URL of a Connector (the HTTP API for chat messages), and the bot's account.
    /// The function copies both from a *neighbour*, i.e. from a known conversation of the same tenant. If
    /// there is no neighbour, or if the neighbour's URL is not trusted, the function uses the Connector of
    /// Teams for the bot's cloud (public or US government), and makes the bot's account from the app id.
    async fn address(
        &self,
        path: &str,
        tenant_id: &str,
        user: Option<ChannelAccount>,
        conversation: ConversationAccount,
        neighbour: Option<ConversationReference>,
    ) -> Result<ConversationReference, AlertRejection> {
        let settings = self.settings;
        let neighbour = match neighbour {
            Some(neighbour) => Some(neighbour),
            None => self.book.neighbour(tenant_id).await?,
        };
        let neighbour = neighbour.filter(|neighbour| settings.trust.check(&neighbour.service_url).is_ok());
        let bot = neighbour.as_ref().and_then(|neighbour| neighbour.bot.clone());
        let bot = bot.unwrap_or_else(|| {
            let app_id = settings.bot.as_ref().map(|bot| &bot.identity.app_id);
            // In anonymous mode (without authentication, for tests), the bot has no app id, and sends only to
            // programs on loopback addresses. These programs accept any id as the bot's id.
            ChannelAccount::with_id(app_id.map_or_else(|| "bot".to_owned(), |id| format!("28:{id}")))
        });
        let service_url = neighbour.map(|neighbour| neighbour.service_url);
        let service_url = service_url.or_else(|| settings.trust.teams_connector().map(str::to_owned));
        let Some(service_url) = service_url else {
            return Err(AlertRejection::UnknownTarget { path: path.to_owned() });
        };
        let address = ConversationReference::of_teams(service_url, bot, user, conversation);
        if settings.tenants.allow(&address) {
            Ok(address)
        } else {
            Err(AlertRejection::TenantNotAllowed { path: path.to_owned() })
        }
    }

    /// Returns the tenant for an element of `to`, and checks that the caller is allowed to use this tenant.
    /// `named` is the tenant in the element, if the element has one.
    fn tenant<'t>(&'t self, path: &str, named: Option<&'t str>) -> Result<&'t str, AlertRejection> {
        let tenant_id = named.or(self.default_tenant()).ok_or_else(|| FieldError {
            path: format!("{path}.tenant"),
            expected: "the id of a tenant, because the bot has none of its own",
        })?;
        self.expect_tenant(path, tenant_id)?;
        Ok(tenant_id)
    }

    /// The tenant to which the API key is restricted, or else the bot's own tenant.
    fn default_tenant(&self) -> Option<&str> {
        self.caller.grant.tenant().or(self.own_tenant())
    }

    fn own_tenant(&self) -> Option<&str> {
        let bot = self.settings.bot.as_ref()?;
        bot.identity.tenant_id.as_deref().filter(|id| is_guid(id))
    }

    /// Refuses a tenant in which the caller is not allowed to create conversations.
    ///
    /// An API key with `tenant=<id>` allows only the tenant `<id>`. Every other API key allows the bot's own
    /// tenant. For any further tenant, the caller also needs the scope `address`. In anonymous mode every
    /// tenant is allowed, because this mode is for tests.
    fn expect_tenant(&self, path: &str, tenant_id: &str) -> Result<(), AlertRejection> {
        self.caller.require_tenant(path, tenant_id)?;
        let is_own = self.own_tenant().is_some_and(|own| own.eq_ignore_ascii_case(tenant_id));
        if self.settings.bot.is_none() || self.caller.grant.tenant().is_some() || is_own {
            return Ok(());
        }
        self.caller.require(Scope::Address)
    }
}

/// Whether the conversation at `address` is in this tenant. The result is `false` for a conversation outside
/// Teams. There, a person's client can send any tenant id, so the tenant id proves nothing.
pub(super) fn is_in(tenant_id: &str, address: &ConversationReference) -> bool {
    address.vouched_tenant().is_some_and(|tenant| tenant.eq_ignore_ascii_case(tenant_id))
}

/// Converts a failed read of the members into the error for the caller.
fn not_read(path: &str, verdict: &Verdict) -> AlertRejection {
    let path = path.to_owned();
    match verdict.class {
        Class::DestinationGone | Class::Permanent | Class::WrongCloud => {
            AlertRejection::MembersRefused { path, reason: verdict.reason.clone() }
        }
        _ => AlertRejection::MembersUnavailable { path, reason: verdict.reason.clone() },
    }
}
