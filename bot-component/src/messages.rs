//! `POST /api/messages`: an activity comes in, an envelope goes on the queue, the person is told.

use std::time::Duration;

use bot_framework::{
    Activity, ActivityKind, Caller, Class, Connector, ConversationReference, OutgoingMessage, ServiceUrl,
    Tokens, TriggerName,
};
use bytes::Bytes;
use envelope::{ALL_MARKS, Envelope, EnvelopeId, SEEN, words};
use http::header::CONTENT_TYPE;
use http::{HeaderMap, Request, Response, StatusCode};
use platform::{Deadline, Host, Level, Marks, RequestBody, answer};
use serde_json::json;
use storage_queue::QueueClient;

use crate::commands::{self, Wish};
use crate::conversation;
use crate::outbox::put_options;
use crate::rejection::Rejection;
use crate::settings::BotSettings;
use crate::trigger_activity;

/// The Bot Framework's own limit of an activity is about this.
pub(crate) const MAX_BODY_BYTES: usize = 256 * 1024;

/// A channel waits 15 s for an answer (and Teams then sends the activity again): storing gets half of it, so that the
/// person can still be told. Keys are fetched once a day at most, and have to leave room for the rest.
const KEYS_WITHIN: Duration = Duration::from_secs(4);
const STORE_WITHIN: Duration = Duration::from_secs(7);
const ANSWER_WITHIN: Duration = Duration::from_secs(12);

/// After how many messages, on average, marks that are over are looked for.
const SWEEP_ONE_IN: u64 = 32;

pub(crate) async fn post<H: Host>(
    host: &H,
    request: Request<impl RequestBody>,
) -> Result<Response<Bytes>, Rejection> {
    let deadline = Deadline::after(host, ANSWER_WITHIN);
    let settings = BotSettings::read(host)?;
    let (head, body) = request.into_parts();
    // Before the body is looked at: a stranger gets no parser to play with.
    let token = match &settings.inbound {
        Some(inbound) => Some(inbound.verify(host, &head.headers, Deadline::after(host, KEYS_WITHIN)).await?),
        None => {
            host.event(Level::Warn, "auth.anonymous", json!({"note": "no caller is verified"}));
            None
        }
    };
    if !is_json(&head.headers) {
        return Err(Rejection::NotJson);
    }
    let activity = Activity::parse(&body.read(MAX_BODY_BYTES).await?)?;
    let caller = token.map(|token| token.admit(&activity)).transpose()?;
    let claim = activity.service_url.as_deref().unwrap_or_default();
    let service_url = settings.trust.check(claim)?;
    let tokens = settings.bot.as_ref().map(|bot| Tokens::new(host, bot));
    let turn = Turn {
        host,
        settings: &settings,
        tokens: tokens.as_ref(),
        service_url,
        // In anonymous mode there is nobody who could vouch for it.
        service_url_verified: caller.as_ref().is_some_and(Caller::vouches_for_service_url),
        deadline,
    };
    conversation::note(host, &activity, turn.service_url_verified).await;
    match activity.kind {
        ActivityKind::Message => turn.queue_message(&activity).await,
        ActivityKind::ConversationUpdate if activity.adds_the_bot() => {
            turn.say(&ConversationReference::of(&activity)?, words::GREETING, Answers::Nothing).await;
            Ok(answer::json(StatusCode::OK, &json!({})))
        }
        ActivityKind::Invoke => Err(Rejection::InvokeNotImplemented),
        ActivityKind::Event | ActivityKind::Trigger if TriggerName::read(host)?.names(&activity) => {
            let id = turn.id_for(&ConversationReference::of(&activity)?);
            trigger_activity::answer(host, &settings, &turn.connector(), &activity, id).await
        }
        ActivityKind::ConversationUpdate
        | ActivityKind::InstallationUpdate
        | ActivityKind::EndOfConversation
        | ActivityKind::DeleteUserData
        | ActivityKind::Event
        | ActivityKind::Trigger
        | ActivityKind::Other(_) => Ok(answer::json(StatusCode::OK, &json!({}))),
    }
}

pub(crate) fn is_json(headers: &HeaderMap) -> bool {
    let value = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    value.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case("application/json")
}

/// One activity being worked on.
struct Turn<'a, H> {
    host: &'a H,
    settings: &'a BotSettings,
    tokens: Option<&'a Tokens<'a, H>>,
    service_url: ServiceUrl,
    /// Whether the caller's token vouched for it.
    service_url_verified: bool,
    deadline: Deadline,
}

/// Whether something the bot says answers the person's activity.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Answers {
    TheActivity,
    Nothing,
}

impl<H: Host> Turn<'_, H> {
    async fn queue_message(&self, activity: &Activity) -> Result<Response<Bytes>, Rejection> {
        let address =
            ConversationReference::of(activity)?.with_service_url_verified(self.service_url_verified);
        let text = activity.text_to_the_bot();
        let accepted = answer::json(StatusCode::ACCEPTED, &json!({}));
        if text.is_empty() {
            let pressed_button = activity.rest.get("value").is_some_and(|value| !value.is_null());
            let word = if pressed_button { words::NOTHING_BEHIND_BUTTON } else { words::NOTHING_TO_QUEUE };
            self.say(&address, word, Answers::TheActivity).await;
            return Ok(accepted);
        }
        // A channel that got no answer in time sends an activity again. The person is not told again either: two
        // acknowledgements look like two alerts.
        let (id, is_named) = (self.id_for(&address), address.activity_id.is_some());
        if is_named && SEEN.has(self.host, &id.key()).await {
            self.host.event(Level::Info, "message.seen", json!({"envelope": id.as_str()}));
            return Ok(accepted);
        }
        let (text, after) = match commands::heed(self.host, text, &address).await {
            Wish::Queue { text, after } => (text, after),
            Wish::Say(words) => {
                self.say(&address, &words, Answers::TheActivity).await;
                return Ok(accepted);
            }
        };
        let now = self.host.now();
        let mut envelope = Envelope::new(id, address, text, now);
        envelope.not_before = after.map(|after| now + after);
        envelope.cancellable = after.is_some();
        let Ok(message) = envelope.encode(self.settings.seal_key.as_ref()) else {
            // The person can mend this, the channel cannot: so the channel's call succeeds.
            self.say(&envelope.address, words::TOO_LONG, Answers::TheActivity).await;
            return Ok(accepted);
        };
        let queue = &self.settings.queue;
        let client = QueueClient::new(
            self.host,
            &queue.account,
            &queue.name,
            Deadline::after(self.host, STORE_WITHIN),
        );
        let options = put_options(&envelope, now);
        if let Err(error) = client.put_creating_queue_if_missing(&message, options).await {
            let fields = json!({"envelope": envelope.id.as_str(), "reason": error.to_string()});
            self.host.event(Level::Error, "queue.put.failed", fields);
            self.say(&envelope.address, words::QUEUE_UNAVAILABLE, Answers::TheActivity).await;
            return Err(Rejection::QueueUnavailable);
        }
        self.host.event(Level::Info, "message.queued", json!({"envelope": envelope.id.as_str()}));
        if is_named {
            // A store that fails makes a double possible; the message is safe.
            _ = SEEN.set(self.host, &envelope.id.key()).await;
        }
        let words = match after {
            None => words::queued(&envelope.text),
            Some(after) => words::reminder_queued(&envelope.text, after),
        };
        self.say(&envelope.address, &words, Answers::TheActivity).await;
        // The poller sweeps when it has nothing else to do; where it has a store of its own, this keeps ours bounded.
        if self.host.up_to(SWEEP_ONE_IN - 1) == 0 {
            Marks::sweep(&ALL_MARKS, self.host).await;
        }
        Ok(accepted)
    }

    fn id_for(&self, address: &ConversationReference) -> EnvelopeId {
        match &address.activity_id {
            Some(activity) => {
                EnvelopeId::of_activity(&address.channel_id, &address.conversation.id, activity)
            }
            None => {
                let mut bytes = [0; 16];
                self.host.fill(&mut bytes);
                EnvelopeId::random(bytes)
            }
        }
    }

    fn connector(&self) -> Connector<'_, H> {
        Connector::new(self.host, self.tokens, self.deadline)
    }

    /// Tells the person. That it failed is logged and changes nothing: what matters is what stands on the queue.
    async fn say(&self, address: &ConversationReference, text: &str, answers: Answers) {
        let connector = self.connector();
        let message = OutgoingMessage::new(address, text);
        let conversation = &address.conversation.id;
        let said = match &address.activity_id {
            Some(activity) if answers == Answers::TheActivity => {
                let reply = message.in_reply_to(address);
                connector.reply(&self.service_url, conversation, activity, &reply).await
            }
            _ => connector.send(&self.service_url, conversation, &message).await,
        };
        if said.class != Class::Accepted {
            self.host.event(Level::Warn, "connector.answer.failed", json!({"reason": said.reason}));
        }
    }
}
