//! Finds or creates the conversation of an alert before the alert is sent. There are three kinds of such
//! conversations:
//!
//! - A personal chat with a person. The poller first looks for the chat in the *address book*, the table of
//!   the conversations that the bot knows. If the address book does not have the chat, the poller creates the
//!   chat.
//! - A thread in a Teams channel. The poller creates the thread.
//! - A new personal chat, if Teams has purged (deleted) the old chat. The poller creates the new chat.

use std::mem;

use bot_framework::{
    ChannelAccount, Class, Connector, ConversationAccount, ConversationReference, Created, Member,
    ServiceUrl, Verdict,
};
use chrono::TimeDelta;
use envelope::{Creation, CreationOf};
use platform::{Host, Level};
use serde_json::json;
use state::{ConversationKey, Sign, StateError};

use super::delivery_path::{DeliveryPath, message_of};
use super::outcome::NotReached;
use super::standing::Plan;
use super::{Attempts, Outcome, PoisonReason, Wanted};
use crate::schedule::Leased;

/// The largest number of teams and chats in which the poller looks for a person by e-mail address. The poller
/// takes the teams and chats with the latest activity.
const MOST_ROSTERS: usize = 20;

/// The shortest pause between two calls that ask the Connector to create the chat of the same alert. The
/// Connector refuses such a call if the bot is not installed for the person. During the pause, the poller
/// only looks for the person in the address book. If the bot is installed during the pause, Teams sends the
/// bot an activity, and the bot adds the person to the address book. The poller then finds the person there.
const ASK_EVERY: TimeDelta = TimeDelta::minutes(30);

/// Returns the outcome that moves a message to the poison queue, because every later try would fail, too. For
/// example, the alert's address names no person.
fn permanent(reason: &str) -> Outcome {
    Outcome::poison(PoisonReason::Permanent, reason)
}

impl<H: Host> Attempts<'_, H> {
    /// Finds or creates the chat with a person, and sends the alert there. Returns the *verdict* (the
    /// classified response) of the call that sends the alert. If an earlier call to the Connector fails,
    /// returns the verdict of the failed call.
    pub(super) async fn send_creating(
        &self,
        leased: &mut Leased,
        creation: &Creation,
        service_url: &ServiceUrl,
    ) -> Result<Verdict, NotReached> {
        let connector = self.creating_connector()?;
        let tenant_id = tenant_of(&leased.envelope.address)?;
        self.expect_newest(leased).await?;
        let mut address = leased.envelope.address.clone();
        if let CreationOf::Member { email } = &creation.of {
            address.user = match self.member(connector, leased, &tenant_id, email).await? {
                Ok(member) => Some(account_of(&member)),
                Err(verdict) => return Ok(verdict),
            };
        }
        let known = self.known_chat(leased, &address, &tenant_id).await?;
        let is_new = known.is_none();
        let address = match known {
            Some(known) => known,
            None => {
                match self.create_chat(connector, leased, creation, address, &tenant_id, service_url).await? {
                    Ok(created) => created,
                    Err(verdict) => return Ok(verdict),
                }
            }
        };
        self.expect_wanted(leased, &address).await?;
        let service_url = match self.trust.check(&address.service_url) {
            Ok(service_url) => service_url,
            Err(reason) => {
                return Err(Outcome::poison(PoisonReason::UntrustedHost, reason.to_string()).into());
            }
        };
        match is_new {
            false => self.send_to(leased, address, &service_url, is_new, Self::send).await,
            true => self.send_to(leased, address, &service_url, is_new, Self::send_as_planned).await,
        }
    }

    /// Sends an alert to the conversation with the address `address`. The *envelope* (the alert as JSON in
    /// the queue message) contains another address, which names only the person or the purged chat. The
    /// steps:
    ///
    /// 1. Put `address` into the envelope.
    /// 2. Make a plan (`standing.rs`). An alert with a `key` (the name that the sender gives to a problem)
    ///    can change a chat message in the conversation. The plan names this chat message.
    /// 3. Send the alert with the function `send`.
    /// 4. Put the envelope's own address back. The message then stays in its *lane* (the run's list of the
    ///    messages with this address).
    /// 5. If `leased.sent_to` is empty, store `address` there. When the run later records the outcome in the
    ///    ledger (the table of all alerts), the run records `sent_to` as the alert's conversation.
    ///
    /// `is_new`: whether the run has just created the conversation.
    async fn send_to(
        &self,
        leased: &mut Leased,
        address: ConversationReference,
        service_url: &ServiceUrl,
        is_new: bool,
        send: impl AsyncFnOnce(&Self, &mut Leased, Option<Plan>, &ServiceUrl) -> Result<Verdict, NotReached>,
    ) -> Result<Verdict, NotReached> {
        let own = mem::replace(&mut leased.envelope.address, address);
        let sent = match self.plan(leased, is_new).await {
            Ok(plan) => send(self, leased, plan, service_url).await,
            Err(outcome) => Err(outcome.into()),
        };
        let other = mem::replace(&mut leased.envelope.address, own);
        leased.sent_to.get_or_insert(other);
        sent
    }

    /// Carries out `plan`, which describes a call to the Connector. If `plan` is `None`, sends the alert as a
    /// new chat message.
    async fn send_as_planned(
        &self,
        leased: &mut Leased,
        plan: Option<Plan>,
        service_url: &ServiceUrl,
    ) -> Result<Verdict, NotReached> {
        // The reads of the tables before this line can take seconds. The *run lock* ensures that only one run
        // sends alerts. If the lock has expired, this run must not send the alert, because another run can
        // hold the lock now.
        if self.host.monotonic() >= self.may_send_until.get() {
            return Err(Outcome::TooLate.into());
        }
        match plan {
            Some(plan) => self.carry_out(leased, plan, service_url).await,
            None => self.send_new(leased, service_url).await,
        }
    }

    /// Sends an alert as a new chat message, or as the first message of a new thread.
    pub(super) async fn send_new(
        &self,
        leased: &mut Leased,
        service_url: &ServiceUrl,
    ) -> Result<Verdict, NotReached> {
        match leased.envelope.creation.as_ref().map(|creation| &creation.of) {
            Some(CreationOf::Thread) => self.send_thread(leased, service_url).await,
            _ => Ok(self.delivery_path.deliver(leased, service_url, self.trust, self.keys_of(leased)).await),
        }
    }

    /// Sends an alert. If Teams has purged the personal chat, creates a new chat, and sends the alert there.
    pub(super) async fn send(
        &self,
        leased: &mut Leased,
        plan: Option<Plan>,
        service_url: &ServiceUrl,
    ) -> Result<Verdict, NotReached> {
        let verdict = self.send_as_planned(leased, plan, service_url).await?;
        let is_missing = verdict.class == Class::DestinationGone && verdict.status == Some(404);
        match &self.delivery_path {
            DeliveryPath::Connector(connector) if is_missing => {
                self.send_anew(connector, leased, service_url, verdict).await
            }
            _ => Ok(verdict),
        }
    }

    /// Creates a new chat with the person, and sends the alert there. Returns one of these verdicts:
    ///
    /// - If there is a new chat: the verdict of the call that sends the alert to the new chat.
    /// - If the creation of the chat failed and can succeed later: the verdict of the creation.
    /// - In all other cases: `missing`, the verdict of the call to the old chat.
    async fn send_anew(
        &self,
        connector: &Connector<'_, H>,
        leased: &mut Leased,
        service_url: &ServiceUrl,
        missing: Verdict,
    ) -> Result<Verdict, NotReached> {
        let old = &leased.envelope.address;
        let is_personal = old.conversation.conversation_type() == Some("personal");
        let (Some(user), Some(tenant_id), true) = (&old.user, old.vouched_tenant(), is_personal) else {
            return Ok(missing);
        };
        let trace = leased.envelope.traceparent.as_ref();
        let created = match connector.create_chat(self.trust, service_url, &user.id, tenant_id, trace).await {
            Created::Conversation(created) if created.id != old.conversation.id => created,
            Created::Failed(verdict) if can_be_repeated(verdict.class) => return Ok(verdict),
            _ => return Ok(missing),
        };
        let mut address = old.clone();
        address.activity_id = None;
        address.conversation = ConversationAccount::of_teams(created.id, "personal", tenant_id);
        if let Some(service_url) = created.service_url {
            address.service_url = service_url;
        }
        let old = ConversationKey::of(old);
        self.log_created(leased, &address, "conversation.replaced");
        if let Err(error) = self.conversations.replace(&old, &address).await {
            self.log_not_stored(leased, &error);
        }
        self.expect_wanted(leased, &address).await?;
        let Ok(service_url) = self.trust.check(&address.service_url) else { return Ok(missing) };
        self.send_to(leased, address, &service_url, true, Self::send_as_planned).await
    }

    /// Creates a thread in a Teams channel. The alert is the first message of the thread.
    async fn send_thread(
        &self,
        leased: &mut Leased,
        service_url: &ServiceUrl,
    ) -> Result<Verdict, NotReached> {
        let connector = self.creating_connector()?;
        let address = &leased.envelope.address;
        let tenant_id = tenant_of(address)?;
        let channel = &address.conversation.id;
        let message = message_of(&leased.envelope, self.keys_of(leased));
        match connector.create_thread(self.trust, service_url, channel, &tenant_id, message).await {
            Created::Conversation(created) => {
                let mut thread = address.clone();
                thread.conversation = ConversationAccount::of_teams(created.id, "channel", &tenant_id);
                if let Some(service_url) = created.service_url {
                    thread.service_url = service_url;
                }
                leased.sent_to = Some(thread);
                Ok(created.verdict)
            }
            Created::NotInstalled(verdict) => Err(NotReached::NotInstalled(verdict)),
            Created::UnknownPerson(verdict) | Created::Failed(verdict) => Ok(verdict),
        }
    }

    fn creating_connector(&self) -> Result<&Connector<'_, H>, Outcome> {
        match &self.delivery_path {
            DeliveryPath::Connector(connector) => Ok(connector),
            DeliveryPath::DirectLine(_) => Err(permanent(
                "creation: delivery=directline creates no conversation; use delivery=connector",
            )),
        }
    }

    /// Looks for the person with the e-mail address `email` in at most [`MOST_ROSTERS`] of the bot's teams
    /// and chats in the tenant. The result is one of these:
    ///
    /// - `Ok(Ok(..))` with the person.
    /// - `Ok(Err(..))` with the verdict of the failed call to the Connector.
    /// - `Err` with the outcome of the alert, e.g. because no team and no chat has such a member.
    async fn member(
        &self,
        connector: &Connector<'_, H>,
        leased: &Leased,
        tenant_id: &str,
        email: &str,
    ) -> Result<Result<Member, Verdict>, Outcome> {
        let rosters = self.conversations.rosters(tenant_id, MOST_ROSTERS).await;
        let rosters = rosters.map_err(|error| self.state_unknown(leased, &error))?;
        let mut asked = 0;
        for roster in rosters {
            let Ok(service_url) = self.trust.check(&roster.service_url) else { continue };
            asked += 1;
            match connector.member(&service_url, &roster.conversation_id, email).await {
                Ok(None) => {}
                Ok(Some(member)) => return Ok(Ok(member)),
                Err(verdict) => return Ok(Err(verdict)),
            }
        }
        let reason = format!(
            "email: the poller asked {asked} teams and chats of the bot in the tenant, and none has a member \
             with this e-mail address; add the bot to a team of the person, or use the person's object id"
        );
        Err(Outcome::Poison { why: PoisonReason::UnknownPerson, reason, status: Some(404) })
    }

    /// Looks for the chat with the person in the address book. Returns `None` if the address book has no chat
    /// with the person in this tenant. If the chat is paused, because the bot could not reach the person,
    /// returns an error, and the alert waits.
    async fn known_chat(
        &self,
        leased: &Leased,
        address: &ConversationReference,
        tenant_id: &str,
    ) -> Result<Option<ConversationReference>, NotReached> {
        let found = match (address.vouched_aad_object_id(), &address.user) {
            (Some(id), _) => self.conversations.of_aad_object(id).await,
            (None, Some(user)) => self.conversations.of_user(&address.channel_id, &user.id).await,
            (None, None) => {
                return Err(permanent("creation: the address names no person; name one").into());
            }
        };
        let found = found.map_err(|error| self.state_unknown(leased, &error))?;
        let is_in_tenant = |address: &ConversationReference| {
            address.vouched_tenant().is_some_and(|tenant| tenant.eq_ignore_ascii_case(tenant_id))
        };
        match found.map(|(_, conversation)| conversation).filter(|found| is_in_tenant(&found.address)) {
            Some(found) if found.paused => {
                Err(not_installed("the channel reported that it cannot reach the person"))
            }
            found => Ok(found.map(|found| found.address)),
        }
    }

    /// Creates the chat with the person, and stores the chat in the address book. The poller then finds the
    /// chat there for the next alert to the person. If the bot is not installed for the person, or the tenant
    /// has no such person, returns `Err`. If the creation fails for another reason, returns `Ok(Err(..))`
    /// with the verdict of the call.
    async fn create_chat(
        &self,
        connector: &Connector<'_, H>,
        leased: &mut Leased,
        creation: &Creation,
        mut address: ConversationReference,
        tenant_id: &str,
        service_url: &ServiceUrl,
    ) -> Result<Result<ConversationReference, Verdict>, NotReached> {
        let now = self.host.now();
        if creation.asked_at.is_some_and(|asked_at| now - asked_at < ASK_EVERY) {
            return Err(not_installed("the bot is not installed for the person yet"));
        }
        let Some(person) = address.user.as_ref().map(|user| user.id.as_str()) else {
            return Err(not_installed("the address names no person"));
        };
        let trace = leased.envelope.traceparent.as_ref();
        match connector.create_chat(self.trust, service_url, person, tenant_id, trace).await {
            Created::Conversation(created) => {
                address.conversation = ConversationAccount::of_teams(created.id, "personal", tenant_id);
                if let Some(service_url) = created.service_url {
                    address.service_url = service_url;
                }
            }
            Created::NotInstalled(verdict) => {
                leased.envelope.creation = Some(Creation { asked_at: Some(now), ..creation.clone() });
                return Err(NotReached::NotInstalled(verdict));
            }
            Created::UnknownPerson(Verdict { reason, status, .. }) => {
                let reason = format!("{reason}: the tenant has no such person");
                return Err(Outcome::Poison { why: PoisonReason::UnknownPerson, reason, status }.into());
            }
            Created::Failed(verdict) => return Ok(Err(verdict)),
        }
        self.log_created(leased, &address, "conversation.created");
        // If this write fails, the poller asks the Connector for the chat again at the next alert to the
        // person. The Connector then returns the same chat.
        if let Err(error) = self.conversations.record_activity(&address, Sign::Update, None).await {
            self.log_not_stored(leased, &error);
        }
        Ok(Ok(address))
    }

    /// Checks whether the person wants the alert in the conversation `address`, which the run has found or
    /// created. The checks of `checks.rs` did not know this conversation. If the person does not want the
    /// alert, the error is the outcome of the alert.
    async fn expect_wanted(&self, leased: &Leased, address: &ConversationReference) -> Result<(), Outcome> {
        match self.read_wanted(leased, &ConversationKey::of(address)).await {
            Ok(Wanted::Yes) => Ok(()),
            Ok(Wanted::Cancelled) => Err(Outcome::Cancelled),
            Ok(Wanted::Stopped) => Err(Outcome::PersonStopped),
            Ok(Wanted::Forgotten) => Err(Outcome::Forgotten),
            Ok(Wanted::Quiet { until }) => Err(self.wait_for_quiet(leased, until)),
            Err(error) => Err(self.state_unknown(leased, &error)),
        }
    }

    fn log_created(&self, leased: &Leased, address: &ConversationReference, event: &str) {
        let conversation = ConversationKey::of(address);
        let fields = json!({
            "run": self.run, "envelope": leased.envelope.id.excerpt(), "conversation": conversation.as_str(),
        });
        self.host.event(Level::Info, event, leased.traced(fields));
    }

    fn log_not_stored(&self, leased: &Leased, error: &StateError) {
        let fields = json!({
            "run": self.run, "envelope": leased.envelope.id.excerpt(), "reason": error.to_string(),
        });
        self.host.event(Level::Warn, "conversation.not-stored", leased.traced(fields));
    }
}

/// Returns the id of the Teams tenant that the address of a conversation names. If the address names no
/// tenant, the error is the outcome of the alert.
fn tenant_of(address: &ConversationReference) -> Result<String, Outcome> {
    let tenant_id = address.vouched_tenant().map(str::to_owned);
    tenant_id.ok_or_else(|| permanent("creation: the address names no tenant of Teams; name one"))
}

/// Returns the account of a member, in the form of the sender (`from`) of an activity.
fn account_of(Member { id, aad_object_id, name }: &Member) -> ChannelAccount {
    ChannelAccount::with_id(id).named(name.as_deref(), aad_object_id.as_deref())
}

/// Whether the creation of a chat can succeed later, after a call that failed with the class `class`.
fn can_be_repeated(class: Class) -> bool {
    matches!(class, Class::Throttled | Class::Unavailable | Class::Unauthorized | Class::NoToken)
}

/// Makes the result for an alert that waits until the bot is installed. The verdict has no HTTP status,
/// because the poller made no call to the Connector.
fn not_installed(reason: &str) -> NotReached {
    NotReached::NotInstalled(Verdict {
        class: Class::DestinationGone,
        status: None,
        reason: reason.to_owned(),
        retry_after: None,
        activity_id: None,
    })
}
