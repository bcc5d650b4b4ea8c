//! Calls to the Connector that create conversations on Teams (personal chats and threads), or find the
//! members of a conversation.
//!
//! The bodies have the form that Teams accepts. Source for the calls that create conversations:
//! <https://github.com/microsoft/teams.net/blob/main/docs/CreateConversation-API-Behavior.md>. Source for the
//! calls that find members:
//! <https://learn.microsoft.com/microsoftteams/platform/bots/how-to/get-teams-context>.

use bytes::Bytes;
use platform::{Host, Traceparent};
use serde_json::{Value, json};

use crate::connector::{Call, Connector};
use crate::message::OutgoingMessage;
use crate::path::segment;
use crate::trust::{ServiceUrl, TrustPolicy};
use crate::verdict::{Class, Response, Verdict};

/// The largest page of members that the client (the type [`Connector`]) reads, in bytes. One member in the
/// response has about 400 bytes.
const MAX_RESPONSE_BYTES: usize = 512 * 1024;

/// How many members the client requests for one page. Teams allows 50 to 500.
const PAGE_SIZE: usize = 100;

/// Error codes that Teams returns with 403 or 404 for another reason than a missing installation of the bot.
/// With these codes, the result is [`Created::Failed`], and not [`Created::NotInstalled`].
const CODES_NOT_ABOUT_INSTALLATION: [&str; 3] =
    ["BotDisabledByAdmin", "ConversationBlockedByUser", "MessageWritesBlocked"];

/// The result of a call that creates a conversation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Created {
    /// The conversation exists now.
    Conversation(NewConversation),
    /// The bot is not installed for the person or in the team. If a person or an administrator installs the
    /// bot, a later call can succeed.
    NotInstalled(Verdict),
    /// The tenant has no such person. No later call will succeed.
    UnknownPerson(Verdict),
    /// The call failed for another reason.
    Failed(Verdict),
}

/// A conversation that the Connector created.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewConversation {
    /// The id of the conversation. If the bot creates the same personal chat again, the id is the same.
    pub id: String,
    /// The URL of the conversation's Connector. The value is `Some` if the response names a trusted URL, or
    /// if the Connector of GCC (a part of Teams for US authorities) created the conversation.
    pub service_url: Option<String>,
    /// The verdict (the classified response) of the call that created the conversation. If the conversation
    /// is a thread, the verdict has the id of the thread's first message.
    pub verdict: Verdict,
}

/// A member of a team or chat.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// The member's id on Teams, e.g. `29:…`.
    pub id: String,
    /// The person's object id in Entra.
    pub aad_object_id: Option<String>,
    /// The name of the person.
    pub name: Option<String>,
}

/// A page of the members of a team or chat.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemberPage {
    /// The members.
    pub members: Vec<Member>,
    /// The token for the next page; `None` on the last page.
    pub next: Option<String>,
}

impl Member {
    /// Reads a member from its JSON. Teams sends the object id as `objectId`, although the documentation of
    /// Teams says `aadObjectId`.
    fn of(json: &Value) -> Option<Self> {
        let text = |name: &str| json[name].as_str().filter(|text| !text.is_empty()).map(str::to_owned);
        let aad_object_id = text("aadObjectId").or(text("objectId"));
        Some(Self { id: text("id")?, aad_object_id, name: text("name") })
    }
}

impl<H: Host> Connector<'_, H> {
    /// Creates the personal chat with a person. `person` is the person's id on Teams, or the person's object
    /// id in Entra. The call sends no message.
    ///
    /// If the chat exists already, Teams returns the id of this chat. So the bot can repeat the call without
    /// harm, e.g. after a lost response. For this reason, a verdict never has the class
    /// [`Class::PossiblyDelivered`] (a second try can deliver a message twice).
    pub async fn create_chat(
        &self,
        trust: &TrustPolicy,
        service_url: &ServiceUrl,
        person: &str,
        tenant_id: &str,
        trace: Option<&Traceparent>,
    ) -> Created {
        // The body has no `activity`. With an `activity`, Teams would send a message at each call.
        let body = json!({
            "isGroup": false, "members": [{"id": person}], "tenantId": tenant_id,
            "channelData": {"tenant": {"id": tenant_id}},
        });
        match self.create(trust, service_url, &body, trace).await {
            Created::Failed(verdict) => Created::Failed(without_delivery(verdict)),
            created => created,
        }
    }

    /// Creates a thread in a channel of a Teams team, with the thread's first message. Each call creates a
    /// new thread.
    pub async fn create_thread(
        &self,
        trust: &TrustPolicy,
        service_url: &ServiceUrl,
        channel: &str,
        tenant_id: &str,
        message: OutgoingMessage,
    ) -> Created {
        let trace = message.trace.clone();
        let activity = message.into_json();
        let mut body = json!({
            "isGroup": true, "tenantId": tenant_id,
            "channelData": {"channel": {"id": channel}, "tenant": {"id": tenant_id}},
        });
        if let Some(bot) = activity.get("from") {
            body["bot"] = json!({"id": bot["id"]});
        }
        body["activity"] = activity;
        self.create(trust, service_url, &body, trace.as_ref()).await
    }

    async fn create(
        &self,
        trust: &TrustPolicy,
        service_url: &ServiceUrl,
        body: &Value,
        trace: Option<&Traceparent>,
    ) -> Created {
        let body = Bytes::from(body.to_string());
        let call = async |service_url: &ServiceUrl| {
            let uri = format!("{}/v3/conversations", service_url.base());
            self.call(service_url, &Call { trace, ..Call::post(uri, body.clone()) }).await
        };
        let response = call(service_url).await;
        let gcc = trust.gcc_connector().filter(|_| response.verdict.class == Class::WrongCloud);
        match gcc {
            Some(gcc) => created(call(&gcc).await, trust, Some(gcc.to_string())),
            None => created(response, trust, None),
        }
    }

    /// Finds a member of a conversation by an e-mail address, a user principal name or an id. Returns `None`
    /// if the conversation has no such member, or if the bot has left the conversation. In both cases, Teams
    /// returns status 400, 403 or 404.
    pub async fn member(
        &self,
        service_url: &ServiceUrl,
        conversation_id: &str,
        member: &str,
    ) -> Result<Option<Member>, Verdict> {
        let (Some(conversation), Some(member)) = (segment(conversation_id), segment(member)) else {
            return Err(Verdict::unusable_address());
        };
        let uri = format!("{}/v3/conversations/{conversation}/members/{member}", service_url.base());
        let Response { verdict, body, .. } = self.call(service_url, &Call::get(uri)).await;
        match (verdict.class, verdict.status) {
            (Class::Accepted, _) => Ok(Member::of(&body)),
            // Teams does not document the error codes with which it refuses this call. So only the HTTP
            // status counts here.
            (_, Some(400 | 403 | 404)) => Ok(None),
            _ => Err(without_delivery(verdict)),
        }
    }

    /// Reads a page of the members of a conversation: `GET .../pagedmembers`.
    pub async fn members(
        &self,
        service_url: &ServiceUrl,
        conversation_id: &str,
        continuation: Option<&str>,
    ) -> Result<MemberPage, Verdict> {
        let conversation = segment(conversation_id).ok_or_else(Verdict::unusable_address)?;
        let mut uri = format!(
            "{}/v3/conversations/{conversation}/pagedmembers?pageSize={PAGE_SIZE}",
            service_url.base()
        );
        if let Some(token) = continuation.and_then(segment) {
            uri.push_str(&format!("&continuationToken={token}"));
        }
        let call = Call { max_response_bytes: MAX_RESPONSE_BYTES, ..Call::get(uri) };
        let Response { verdict, body, .. } = self.call(service_url, &call).await;
        if verdict.class != Class::Accepted {
            return Err(verdict);
        }
        let members = body["members"].as_array().into_iter().flatten().filter_map(Member::of).collect();
        let next = body["continuationToken"].as_str().filter(|token| !token.is_empty());
        Ok(MemberPage { members, next: next.map(str::to_owned) })
    }
}

/// Classifies the response to a call that creates a conversation.
fn created(response: Response, trust: &TrustPolicy, service_url: Option<String>) -> Created {
    let Response { verdict, code, body } = response;
    let code = code.as_deref();
    match (verdict.class, verdict.status, code) {
        (Class::Accepted, ..) => {
            let Some(id) = body["id"].as_str().filter(|id| segment(id).is_some()).map(str::to_owned) else {
                let reason = format!("{}: the Connector named no conversation", verdict.reason);
                return Created::Failed(Verdict { class: Class::Permanent, reason, ..verdict });
            };
            let named = body["serviceUrl"].as_str().filter(|url| trust.check(url).is_ok());
            let activity_id = body["activityId"].as_str().map(str::to_owned);
            let service_url = named.map(str::to_owned).or(service_url);
            Created::Conversation(NewConversation {
                id,
                service_url,
                verdict: Verdict { activity_id, ..verdict },
            })
        }
        (_, Some(403 | 404), Some(code)) if CODES_NOT_ABOUT_INSTALLATION.contains(&code) => {
            Created::Failed(verdict)
        }
        (Class::WrongCloud, ..) => Created::Failed(verdict),
        (_, Some(403 | 404), _) => Created::NotInstalled(verdict),
        (_, Some(400), Some("MemberNotFoundInConversation" | "BadSyntax")) => Created::UnknownPerson(verdict),
        _ => Created::Failed(verdict),
    }
}

/// Corrects the verdict of a call that sends no message. Such a call cannot deliver a message twice, so the
/// bot can always repeat the call. [`Class::PossiblyDelivered`] and [`Class::GatewayFailed`] warn of a second
/// delivery. So this function replaces both classes with [`Class::Unavailable`].
fn without_delivery(verdict: Verdict) -> Verdict {
    let class = match verdict.class {
        Class::PossiblyDelivered | Class::GatewayFailed => Class::Unavailable,
        class => class,
    };
    Verdict { class, ..verdict }
}

#[cfg(test)]
mod tests;
