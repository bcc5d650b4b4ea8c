//! `POST /api/messages`: an activity comes in, an envelope goes on the queue, the person is told.

use std::time::Duration;

use address_book::{AddressBook, ConversationKey, Record};
use bot_framework::{
    Activity, ActivityKind, Caller, Class, Connector, ConversationReference, OutgoingMessage, ServiceUrl,
    Tokens, TriggerName, VerifiedToken,
};
use envelope::{Envelope, EnvelopeId, words};
use http::header::CONTENT_TYPE;
use http::{HeaderMap, Request, StatusCode};
use platform::{Deadline, Host, Level, RequestBody, answer};
use serde_json::json;

use crate::answered::Answered;
use crate::commands::{self, Wish};
use crate::conversation;
use crate::outbox::{Outbox, put_options};
use crate::rejection::Rejection;
use crate::settings::{BotSettings, CallerSettings};
use crate::trigger_activity;

/// The Bot Framework's own limit of an activity is about this.
pub(crate) const MAX_BODY_BYTES: usize = 256 * 1024;

/// A channel waits 15 s for an answer (and Teams then sends the activity again): storing gets half of it, so that the
/// person can still be told. Keys are fetched once a day at most, and have to leave room for the rest.
const KEYS_WITHIN: Duration = Duration::from_secs(4);
const STORE_WITHIN: Duration = Duration::from_secs(7);
const ANSWER_WITHIN: Duration = Duration::from_secs(12);

/// An answer that took longer may have been too late for the channel, which then sends the activity again.
const LATE_AFTER: Duration = Duration::from_secs(5);

pub(crate) async fn post<H: Host>(
    host: &H,
    request: Request<impl RequestBody>,
) -> Result<Answered, Rejection> {
    let begin = host.monotonic();
    let caller = CallerSettings::read(host)?;
    let (head, body) = request.into_parts();
    // Before anything else is looked at: a stranger gets no parser to play with, and costs one read of variables.
    let token = match caller.inbound() {
        Some(inbound) => Some(inbound.verify(host, &head.headers, Deadline::after(host, KEYS_WITHIN)).await?),
        None => {
            host.event(Level::Warn, "auth.anonymous", json!({"note": "no caller is verified"}));
            None
        }
    };
    let settings = BotSettings::read(host, caller)?;
    let sealed = token.as_ref().and_then(VerifiedToken::sealed_token);
    let tokens = settings.bot.as_ref().map(|bot| Tokens::new(host, bot).with_sealed(sealed));
    let request = Request::from_parts(head, body);
    let answered = answer_caller(host, &settings, token.as_ref(), tokens.as_ref(), request, begin).await;
    if let Some(token) = &token {
        let sealed = match &tokens {
            Some(tokens) => tokens.sealed().await,
            None => None,
        };
        token.remember(host, sealed).await;
    }
    answered
}

/// Answers a caller that is let in.
async fn answer_caller<H: Host>(
    host: &H,
    settings: &BotSettings,
    token: Option<&VerifiedToken>,
    tokens: Option<&Tokens<'_, H>>,
    request: Request<impl RequestBody>,
    begin: Duration,
) -> Result<Answered, Rejection> {
    let (head, body) = request.into_parts();
    if !is_json(&head.headers) {
        return Err(Rejection::NotJson);
    }
    let activity = Activity::parse(&body.read(MAX_BODY_BYTES).await?)?;
    let caller = token.map(|token| token.admit(&activity)).transpose()?;
    let claim = activity.service_url.as_deref().unwrap_or_default();
    let service_url = settings.trust.check(claim)?;
    // In anonymous mode there is nobody who could vouch for it.
    let service_url_verified = caller.as_ref().is_some_and(Caller::vouches_for_service_url);
    let record = conversation::note(host, &activity, service_url_verified).await;
    let turn = Turn { host, settings, tokens, service_url, service_url_verified, record, begin };
    match activity.kind {
        ActivityKind::Message => turn.queue_message(&activity).await,
        ActivityKind::ConversationUpdate if activity.adds_the_bot() => {
            turn.say(&ConversationReference::of(&activity)?, words::GREETING, Answers::Nothing).await;
            Ok(answer::json(StatusCode::OK, &json!({})).into())
        }
        ActivityKind::Invoke => Err(Rejection::InvokeNotImplemented),
        ActivityKind::Event | ActivityKind::Trigger if TriggerName::read(host)?.names(&activity) => {
            let id = turn.id_for(&ConversationReference::of(&activity)?);
            let answered = trigger_activity::answer(host, settings, &turn.connector(), &activity, id).await?;
            Ok(answered.into())
        }
        ActivityKind::ConversationUpdate
        | ActivityKind::InstallationUpdate
        | ActivityKind::EndOfConversation
        | ActivityKind::DeleteUserData
        | ActivityKind::Event
        | ActivityKind::Trigger
        | ActivityKind::Other(_) => Ok(answer::json(StatusCode::OK, &json!({})).into()),
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
    /// The conversation's, if it is known.
    record: Option<Record>,
    /// When the request came, on the monotonic clock.
    begin: Duration,
}

/// Whether something the bot says answers the person's activity.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Answers {
    TheActivity,
    Nothing,
}

impl<H: Host> Turn<'_, H> {
    async fn queue_message(&self, activity: &Activity) -> Result<Answered, Rejection> {
        let address =
            ConversationReference::of(activity)?.with_service_url_verified(self.service_url_verified);
        let text = activity.text_to_the_bot();
        let accepted = answer::json(StatusCode::ACCEPTED, &json!({}));
        if text.is_empty() {
            let pressed_button = activity.rest.get("value").is_some_and(|value| !value.is_null());
            let word = if pressed_button { words::NOTHING_BEHIND_BUTTON } else { words::NOTHING_TO_QUEUE };
            self.say(&address, word, Answers::TheActivity).await;
            return Ok(accepted.into());
        }
        // A channel that got no answer in time sends an activity again. The person is not told again either: two
        // acknowledgements look like two alerts.
        let (id, is_named) = (self.id_for(&address), address.activity_id.is_some());
        let now = self.host.now();
        if is_named && self.record.as_ref().is_some_and(|record| record.was_answered_late(&id.key(), now)) {
            self.host.event(Level::Info, "message.seen", json!({"envelope": id.as_str()}));
            return Ok(accepted.into());
        }
        let (text, after) = match commands::heed(self.host, text, &address).await {
            Wish::Queue { text, after } => (text, after),
            Wish::Say(words) => {
                self.say(&address, &words, Answers::TheActivity).await;
                return Ok(accepted.into());
            }
        };
        let mut envelope = Envelope::new(id, address, text, now);
        envelope.not_before = after.map(|after| now + after);
        envelope.cancellable = after.is_some();
        let Ok(message) = envelope.encode(self.settings.seal_key.as_ref()) else {
            // The person can mend this, the channel cannot: so the channel's call succeeds.
            self.say(&envelope.address, words::TOO_LONG, Answers::TheActivity).await;
            return Ok(accepted.into());
        };
        let outbox = Outbox::new(self.host, &self.settings.queue, Deadline::after(self.host, STORE_WITHIN));
        if let Err(error) = outbox.put(&message, put_options(&envelope, now)).await {
            let fields = json!({"envelope": envelope.id.as_str(), "reason": error.to_string()});
            self.host.event(Level::Error, "queue.put.failed", fields);
            self.say(&envelope.address, words::QUEUE_UNAVAILABLE, Answers::TheActivity).await;
            return Err(Rejection::QueueUnavailable);
        }
        self.host.event(Level::Info, "message.queued", json!({"envelope": envelope.id.as_str()}));
        let noted_before_telling = is_named && self.is_late();
        if noted_before_telling {
            self.note_late(&envelope).await;
        }
        let words = match after {
            None => words::queued(&envelope.text),
            Some(after) => words::reminder_queued(&envelope.text, after),
        };
        let was_told = self.say(&envelope.address, &words, Answers::TheActivity).await;
        if is_named && !noted_before_telling && (self.is_late() || !was_told) {
            self.note_late(&envelope).await;
        }
        let kick = self.settings.kick.clone().filter(|_| outbox.has_due());
        Ok(Answered::with_kick(accepted, kick))
    }

    /// Whether the channel may have stopped waiting for an answer.
    fn is_late(&self) -> bool {
        self.host.monotonic().saturating_sub(self.begin) > LATE_AFTER
    }

    /// Notes that the message is on the queue, for when the channel sends the activity again.
    async fn note_late(&self, envelope: &Envelope) {
        let (id, now) = (envelope.id.key(), self.host.now());
        let key = ConversationKey::of(&envelope.address);
        let noted = AddressBook::new(self.host)
            .change(&key, &mut |record: &mut Record| record.answered_late(&id, now))
            .await;
        let reason = match noted {
            Ok(Some(_)) => return,
            Ok(None) => "the conversation is not stored".to_owned(),
            Err(error) => error.to_string(),
        };
        // The message is safe; if the channel sends the activity again, it is queued again.
        let fields = json!({"envelope": envelope.id.as_str(), "reason": reason});
        self.host.event(Level::Warn, "message.not-noted", fields);
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
        let answer_by = ANSWER_WITHIN.saturating_sub(self.host.monotonic().saturating_sub(self.begin));
        Connector::new(self.host, self.tokens, Deadline::after(self.host, answer_by))
    }

    /// Tells the person; says whether the Connector took it. That it did not is logged and changes nothing else: what
    /// matters is what stands on the queue.
    async fn say(&self, address: &ConversationReference, text: &str, answers: Answers) -> bool {
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
        let was_told = said.class == Class::Accepted;
        if !was_told {
            self.host.event(Level::Warn, "connector.answer.failed", json!({"reason": said.reason}));
        }
        was_told
    }
}
