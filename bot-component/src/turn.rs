//! Handles one activity: queues the person's message, and replies to the person. A *turn* is the handling of
//! one activity. The person's message becomes one queue message. A *Put* is one call to Put Message, which
//! puts a message on the queue.

use std::cell::RefCell;
use std::time::Duration;

use bot_framework::{
    Activity, Class, Connector, ConversationReference, OutgoingMessage, ServiceUrl, TextFormat, Tokens,
};
use chrono::{DateTime, TimeDelta, Utc};
use envelope::words::Words;
use envelope::{AnswerJob, By, Envelope, EnvelopeId};
use http::{HeaderMap, StatusCode};
use platform::{Deadline, Host, Level, Traceparent, hex, response};
use serde_json::{Value, json};
use state::ConversationKey;
use state::ledger::{Accepted, AlertId, Allowed, Ledger, NewAlert, Status, Unasked};

use crate::answered::Answered;
use crate::commands::{self, Intent};
use crate::conversation::{Addressed, Asked};
use crate::invoke;
use crate::kick::Kick;
use crate::outbox::{Message, Outbox, log_failed_put, put_options};
use crate::own_count;
use crate::pressing::{self, Answering};
use crate::rejection::Rejection;
use crate::settings::{BotSettings, Replies};
use crate::webhook::PrivateReply;

/// The longest time for recording a person's message and putting the message on the queue. A channel (a
/// messaging service such as Teams) waits 15 s for the response. Teams then sends the activity again.
/// `STORE_WITHIN` is about half of the 15 s, so the bot can still reply to the person.
const STORE_WITHIN: Duration = Duration::from_secs(7);
/// The time after the arrival of a request within which every call to the Connector ends.
const RESPONSE_WITHIN: Duration = Duration::from_secs(12);

/// The longest time for a call to the ledger (the table with one record for each alert) that only counts a
/// reply. If the person's message becomes an alert, the bot needs no such call, because the call that inserts
/// the alert's record also counts the reply.
const COUNT_WITHIN: Duration = Duration::from_secs(3);

/// A request that arrived longer ago than this is *late*: the channel will perhaps send the activity again. A
/// channel waits up to 15 s for the response, and the reply to the person can still take several seconds.
const LATE_AFTER: Duration = Duration::from_secs(5);

/// Returns the time at which the channel sent an activity. If the timestamp is missing, or differs from now
/// by two days or more, returns `now`.
fn sent_at(activity: &Activity, now: DateTime<Utc>) -> DateTime<Utc> {
    let sent = activity.rest.get("timestamp").and_then(Value::as_str);
    let sent = sent.and_then(|text| DateTime::parse_from_rfc3339(text).ok()).map(|time| time.to_utc());
    sent.filter(|sent| (*sent - now).abs() < TimeDelta::days(2)).unwrap_or(now)
}

/// Acts on one activity of a channel: queues the person's message, and replies.
pub(crate) struct Turn<'a, H> {
    pub(crate) host: &'a H,
    pub(crate) settings: &'a BotSettings,
    pub(crate) tokens: Option<&'a Tokens<'a, H>>,
    pub(crate) service_url: ServiceUrl,
    /// When the request arrived, on the monotonic clock.
    pub(crate) begin: Duration,
    /// The trace of the request. Every HTTP call and every log line about the person's message has the id of
    /// this trace.
    pub(crate) trace: Option<Traceparent>,
    /// The replies so far, if the channel expects the replies in the HTTP response. `None` if the bot sends
    /// each reply to the Connector.
    pub(crate) replies: Option<RefCell<Vec<Value>>>,
    /// The headers of the request.
    pub(crate) headers: &'a HeaderMap,
}

/// Whether the bot's message is a reply to the person's activity.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum InReplyTo {
    TheActivity,
    Nothing,
}

impl<H: Host> Turn<'_, H> {
    /// Handles a person's message: stores an answer, executes a command, or puts the text on the queue.
    /// `asked` says whether the conversation has an open question that the person can answer by a text.
    pub(crate) async fn queue_message(
        &self,
        activity: &Activity,
        text: String,
        addressed: Addressed,
        mut asked: Asked,
    ) -> Result<Answered, Rejection> {
        let accepted = response::json(StatusCode::ACCEPTED, &json!({}));
        if let Some(data) = pressing::data_of(activity) {
            let answering = Answering::new(self.host, self.settings, &addressed, self.trace.as_ref())?;
            let recorded = answering.press(activity, data).await;
            if let Some(reply) = answering.reply_after_submit(&recorded) {
                self.say_if_allowed(&addressed.address, &reply, TextFormat::Plain).await;
            }
            return Ok(Answered::with_kick(accepted, self.kick(answering.has_due())));
        }
        let words = Words::of(&addressed.address);
        if text.is_empty() {
            let word = if invoke::is_press_without_text(activity) {
                words.nothing_behind_button
            } else {
                words.nothing_to_queue
            };
            self.say_if_allowed(&addressed.address, word, TextFormat::Plain).await;
            return Ok(accepted.into());
        }
        let executed = commands::execute(self.host, self.settings, text, &addressed.address, self.headers);
        let (text, after) = match executed.await {
            Intent::Queue { text, after } => (text, after),
            // The bot has executed the command already. If the conversation has used up its replies of this
            // minute, the bot leaves out only the reply. So the limit never prevents a `stop`.
            Intent::Reply(reply) => {
                self.say_if_allowed(&addressed.address, &reply, TextFormat::Plain).await;
                return Ok(accepted.into());
            }
            Intent::ReplyInMarkdown(reply) => {
                self.say_if_allowed(&addressed.address, &reply, TextFormat::Markdown).await;
                return Ok(accepted.into());
            }
            Intent::ReplyInPrivate(reply) => {
                self.say_in_private_if_allowed(&addressed.address, &reply).await;
                return Ok(accepted.into());
            }
        };
        let now = self.host.now();
        let conversation = &addressed.key;
        let id = self.alert_id(activity, conversation);
        let mut envelope =
            Envelope::new(EnvelopeId::from_text(id.as_str()), addressed.address.clone(), text, now);
        envelope.not_before = after.map(|after| now + after);
        envelope.cancellable = after.is_some();
        if self.settings.replies == Replies::Queue && after.is_none() {
            envelope.answer = Some(AnswerJob::Message { by: By::of(&envelope.address) });
        }
        envelope.traceparent.clone_from(&self.trace);
        let seal_key = self.settings.seal_key.as_ref();
        let Ok(text) = envelope.encode(seal_key) else {
            // The response is 202, so that the channel does not send the activity again. A second attempt
            // would fail, too, because the text is too long. The person has to shorten the text.
            self.say_if_allowed(&envelope.address, words.too_long, TextFormat::Plain).await;
            return Ok(accepted.into());
        };
        let deadline = Deadline::after(self.host, STORE_WITHIN);
        let (account, tables) = (&self.settings.queue.account, &self.settings.tables);
        let ledger = Ledger::new(self.host, account, tables, deadline);
        let alert = NewAlert {
            due: envelope.not_before,
            until: envelope.not_before,
            ..NewAlert::queued(id, conversation.as_str())
        };
        // A reminder (`remind me in 1 hour tea`) never answers a question. In a group, a person answers a
        // question by a reply in the thread of the question. For such a reply, `asked` names the alert of the
        // question. For other messages in a group, the bot does not look for a question.
        let is_group = addressed.address.conversation.is_group();
        let accepted_message = loop {
            let unasked = match &asked {
                _ if after.is_some() => Unasked::Ignored,
                Asked::By(alert) => {
                    let answered = self.answer_question(activity, &addressed, alert, &envelope.text);
                    if let Some(answered) = answered.await? {
                        return Ok(answered);
                    }
                    Unasked::Ignored
                }
                Asked::Unknown | Asked::No if is_group => Unasked::Ignored,
                Asked::Unknown => Unasked::Perhaps,
                Asked::No => Unasked::Surely,
            };
            match ledger.accept_message(&alert, self.settings.allowance, unasked).await {
                Ok(Some(accepted)) => break Ok(accepted),
                Err(error) => break Err(error),
                Ok(None) => {}
            }
            asked = match self.settings.conversations(self.host, deadline).asked(conversation).await {
                Ok(alert) => alert.map_or(Asked::No, Asked::By),
                Err(error) => {
                    // The response is 503, so that the channel sends the activity again. The text is perhaps
                    // the answer to a question. If the bot queued the text now, the answer would be lost.
                    self.log_failure("answer.question-not-read", &envelope, &error);
                    if self.may_say_without_ledger(conversation).await {
                        let (word, format) = (words.ledger_unavailable, TextFormat::Plain);
                        self.say(&envelope.address, word, format, InReplyTo::TheActivity).await;
                    }
                    return Err(Rejection::StateUnavailable);
                }
            };
        };
        let known = match accepted_message {
            Ok(Allowed::Yes(Accepted::New)) => None,
            Ok(Allowed::Yes(Accepted::Known(record))) => Some(record),
            Ok(Allowed::No { begins }) => {
                self.log_silence(conversation, begins);
                return Ok(accepted.into());
            }
            Err(error) => {
                self.log_failure("ledger.accept.failed", &envelope, &error);
                if self.may_say_without_ledger(conversation).await {
                    self.say(
                        &envelope.address,
                        words.ledger_unavailable,
                        TextFormat::Plain,
                        InReplyTo::TheActivity,
                    )
                    .await;
                }
                return Err(Rejection::StateUnavailable);
            }
        };
        // The channel has sent this activity before, and the bot put the message on the queue at that time.
        if known.as_ref().is_some_and(|record| !record.is_perhaps_not_queued()) {
            self.log(Level::Info, "message.seen", json!({"envelope": envelope.id.as_str()}));
            return Ok(accepted.into());
        }
        let outbox = Outbox::new(self.host, self.settings, deadline);
        let options = put_options(&envelope, now);
        let mut message = Message { envelope, text, options };
        let shown = known.as_ref().map(|record| record.shown_status());
        if let Some(record) = known {
            // The message gets the time of the first attempt, not the present time. The poller does not
            // deliver messages from before the last `deleteUserData` of the person. With the present time,
            // the poller would deliver a message that the person sent before `deleteUserData`.
            message.envelope.enqueued_at = record.accepted_at.unwrap_or(now);
            // The queue perhaps holds the message already, so the message gets the mark `once`. For a message
            // with this mark, the poller first reads in the ledger whether the alert was sent.
            if let Some(text) = message.marked(seal_key) {
                (message.envelope.once, message.text) = (true, text);
            }
        }
        let put = outbox.put(&message).await;
        let envelope = &message.envelope;
        if let Err(error) = put.result {
            // Perhaps an earlier request with this activity has put the message on the queue. Exception: the
            // ledger says that the Put of the earlier request failed.
            let is_doubtful = put.is_doubtful || shown.is_some_and(|shown| shown != Status::Failed);
            log_failed_put(self.host, envelope, &error, is_doubtful);
            let id = std::iter::once(&alert.id);
            let recorded = if is_doubtful {
                ledger.record_unconfirmed_put(id).await
            } else {
                ledger.record_failed_put(id).await
            };
            if let Err(error) = recorded {
                self.log_failure("ledger.not-noted", envelope, &error);
            }
            let reply = match (is_doubtful, after) {
                (false, _) => words.queue_unavailable,
                (true, None) => words.perhaps_queued,
                (true, Some(_)) => words.reminder_perhaps_queued,
            };
            self.say(&envelope.address, reply, TextFormat::Plain, InReplyTo::TheActivity).await;
            return Err(Rejection::QueueUnavailable);
        }
        self.log(Level::Info, "message.queued", json!({"envelope": envelope.id.as_str()}));
        // The channel can send the activity again after the reply `Queued: …`. The person must not get this
        // reply twice, because two replies look like two alerts. To prevent a second reply, the bot records
        // the Put in the ledger. If the activity then arrives again, the bot neither queues the message nor
        // replies (`message.seen` above). But the record costs a storage call. So the bot records the Put
        // before the reply only in two cases: the channel has sent the activity before, or the request is so
        // late that the channel will perhaps send the activity again.
        let is_put_recorded = shown.is_some() || self.is_late();
        if is_put_recorded {
            self.record_put(&ledger, &alert.id).await;
        }
        if shown.is_none_or(|shown| matches!(shown, Status::Failed | Status::Unconfirmed)) {
            let reply = match after {
                None => words.queued(&envelope.text),
                Some(after) => words.reminder_queued(&envelope.text, after),
            };
            let is_reply_sent =
                self.say(&envelope.address, &reply, TextFormat::Plain, InReplyTo::TheActivity).await;
            if !is_put_recorded && (self.is_late() || !is_reply_sent) {
                self.record_put(&ledger, &alert.id).await;
            }
        }
        Ok(Answered::with_kick(accepted, self.kick(outbox.has_due())))
    }

    /// Stores a text as the answer to the question of `alert` (an alert id), and replies. Returns `None` if
    /// the text does not answer the question.
    async fn answer_question(
        &self,
        activity: &Activity,
        addressed: &Addressed,
        alert: &str,
        text: &str,
    ) -> Result<Option<Answered>, Rejection> {
        let answering = Answering::new(self.host, self.settings, addressed, self.trace.as_ref())?;
        // If the bot cannot read the question, the response is 503, so that the channel sends the activity
        // again. If the bot queued the text as an ordinary message instead, the answer would be lost.
        let recorded =
            answering.text(activity, alert, text).await.map_err(|_| Rejection::StateUnavailable)?;
        let Some(recorded) = recorded else { return Ok(None) };
        let reply = answering.text_of(&recorded);
        self.say_if_allowed(&addressed.address, &reply, TextFormat::Plain).await;
        let accepted = response::json(StatusCode::ACCEPTED, &json!({}));
        Ok(Some(Answered::with_kick(accepted, self.kick(answering.has_due()))))
    }

    /// Returns the *kick* (the call by which the bot starts the poller), if the queue has a new message that
    /// is due. Otherwise, returns `None`.
    pub(crate) fn kick(&self, has_due: bool) -> Option<Kick> {
        self.settings.kick.clone().filter(|_| has_due)
    }

    /// Whether the response is so late that the channel will perhaps send the activity again (see
    /// [`LATE_AFTER`]).
    fn is_late(&self) -> bool {
        self.host.monotonic().saturating_sub(self.begin) > LATE_AFTER
    }

    /// Records that the message is on the queue. Without this record, the bot puts the message on the queue
    /// again if the activity arrives again. The poller still sends the message only once.
    async fn record_put(&self, ledger: &Ledger<'_, H>, id: &AlertId) {
        if let Err(error) = ledger.record_put(std::iter::once(id)).await {
            let fields = json!({"envelope": id.as_str(), "reason": error.to_string()});
            self.log(Level::Warn, "message.not-noted", fields);
        }
    }

    fn log_failure(&self, event: &str, envelope: &Envelope, error: &dyn std::error::Error) {
        let fields = json!({"envelope": envelope.id.as_str(), "reason": error.to_string()});
        self.log(Level::Error, event, fields);
    }

    /// Writes a log line about the activity, with the id of the request's trace.
    fn log(&self, level: Level, event: &str, fields: Value) {
        self.host.event(level, event, Traceparent::add_to(self.trace.as_ref(), fields));
    }

    /// Returns the id of the alert that the bot makes from the activity. If the channel sends the same
    /// activity again, the id is the same.
    fn alert_id(&self, activity: &Activity, conversation: &ConversationKey) -> AlertId {
        let now = self.host.now();
        match &activity.id {
            Some(id) => AlertId::of_activity(sent_at(activity, now), conversation, id),
            None => {
                let mut bytes = [0; 16];
                self.host.fill(&mut bytes);
                AlertId::of_activity(now, conversation, &hex(&bytes))
            }
        }
    }

    /// Returns the id for the envelope in a trigger activity, if the envelope has no id of its own.
    pub(crate) fn id_for(&self, address: &ConversationReference) -> EnvelopeId {
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

    pub(crate) fn connector(&self) -> Connector<'_, H> {
        let answer_by = RESPONSE_WITHIN.saturating_sub(self.host.monotonic().saturating_sub(self.begin));
        Connector::new(self.host, self.tokens, Deadline::after(self.host, answer_by))
    }

    /// Sends a reply to a message that the bot does not queue. Sends nothing if the conversation has used up
    /// its replies of this minute. If the ledger cannot count the replies, the count of this Spin host
    /// decides.
    pub(crate) async fn say_if_allowed(
        &self,
        address: &ConversationReference,
        text: &str,
        format: TextFormat,
    ) {
        let conversation = ConversationKey::of(address);
        let counted = self.ledger().count_reply(&conversation, self.settings.allowance).await;
        if self.may_say(&conversation, counted, |()| true).await {
            self.say(address, text, format, InReplyTo::TheActivity).await;
        }
    }

    /// Sends the text of `reply` to the person's own chat, and the note of `reply` to the group in which the
    /// person wrote. If the bot cannot send the text to the own chat, the bot sends the text to the group,
    /// without the note. Sends nothing if the group has used up its replies of this minute.
    async fn say_in_private_if_allowed(&self, address: &ConversationReference, reply: &PrivateReply) {
        let PrivateReply { to, text, note } = reply;
        let conversation = ConversationKey::of(address);
        let counted = self.ledger().count_reply(&conversation, self.settings.allowance).await;
        if !self.may_say(&conversation, counted, |()| true).await {
            return;
        }
        let message = OutgoingMessage::new(to, text).in_format(TextFormat::Markdown);
        let message = message.in_trace(self.trace.as_ref());
        let is_reply_sent = match self.settings.trust.check(&to.service_url) {
            Ok(service_url) => {
                let sent = self.connector().send(&service_url, &to.conversation.id, &message).await;
                sent.class == Class::Accepted
            }
            Err(_) => false,
        };
        let (here, format) =
            if is_reply_sent { (note, TextFormat::Plain) } else { (text, TextFormat::Markdown) };
        self.say(address, here, format, InReplyTo::TheActivity).await;
    }

    /// Greets the conversation to which the bot was added. If the channel sends the activity twice, the bot
    /// greets only once.
    pub(crate) async fn greet(
        &self,
        activity: &Activity,
        Addressed { address, key }: &Addressed,
    ) -> Result<(), Rejection> {
        let minute = || (self.host.now().timestamp() / 60).to_string();
        let what = format!("greeting {}", activity.id.clone().unwrap_or_else(minute));
        let ledger = self.ledger();
        let counted = ledger.count_reply_once(key, &what, self.settings.allowance).await;
        if self.may_say(key, counted, |is_new| is_new).await {
            self.say(address, Words::of(address).greeting, TextFormat::Plain, InReplyTo::Nothing).await;
        }
        Ok(())
    }

    fn ledger(&self) -> Ledger<'_, H> {
        let deadline = Deadline::after(self.host, COUNT_WITHIN);
        Ledger::new(self.host, &self.settings.queue.account, &self.settings.tables, deadline)
    }

    /// Whether the bot is allowed to send a reply now. `counted` is the result of the call by which the
    /// ledger counts the reply. If this call failed, the count of this Spin host decides. If the ledger
    /// allows the reply, `is_new` gets the value in [`Allowed::Yes`], and says whether the reply is new. For
    /// example, a greeting that the bot has sent before is not new.
    async fn may_say<T>(
        &self,
        conversation: &ConversationKey,
        counted: Result<Allowed<T>, impl std::error::Error>,
        is_new: impl Fn(T) -> bool,
    ) -> bool {
        match counted {
            Ok(Allowed::Yes(counted)) => is_new(counted),
            Ok(Allowed::No { begins }) => {
                self.log_silence(conversation, begins);
                false
            }
            Err(error) => {
                let fields = json!({"reason": error.to_string()});
                self.host.event(Level::Warn, "reply.not-counted", fields);
                self.may_say_without_ledger(conversation).await
            }
        }
    }

    /// Whether the conversation has replies left in this minute, according to the count of this Spin host.
    async fn may_say_without_ledger(&self, conversation: &ConversationKey) -> bool {
        match own_count::count(self.host, conversation, self.settings.allowance).await {
            Allowed::Yes(()) => true,
            Allowed::No { begins } => {
                self.log_silence(conversation, begins);
                false
            }
        }
    }

    /// Writes a log line when a silence begins. In a silence, the bot does not reply, because the
    /// conversation has used up its replies. Further messages in the silence add no line.
    fn log_silence(&self, conversation: &ConversationKey, begins: bool) {
        if begins {
            let fields = json!({"conversation": conversation.as_str(), "reason": "repliesperminute"});
            self.host.event(Level::Warn, "conversation.silenced", fields);
        }
    }

    /// Sends a chat message to the conversation in `address`, and returns whether the Connector accepted this
    /// message. If the channel expects the replies in the HTTP response, adds the message to the replies, and
    /// returns true. If the Connector does not accept the message, the bot only writes a log line, because a
    /// reply matters less than the alert on the queue.
    pub(crate) async fn say(
        &self,
        address: &ConversationReference,
        text: &str,
        format: TextFormat,
        in_reply_to: InReplyTo,
    ) -> bool {
        let message = OutgoingMessage::new(address, text).in_format(format).in_trace(self.trace.as_ref());
        let activity = address.activity_id.as_ref().filter(|_| in_reply_to == InReplyTo::TheActivity);
        let message = if activity.is_some() { message.in_reply_to(address) } else { message };
        if let Some(replies) = &self.replies {
            replies.borrow_mut().push(message.into_json());
            return true;
        }
        let (connector, conversation) = (self.connector(), &address.conversation.id);
        let said = match activity {
            Some(activity) => connector.reply(&self.service_url, conversation, activity, &message).await,
            None => connector.send(&self.service_url, conversation, &message).await,
        };
        let is_reply_sent = said.class == Class::Accepted;
        if !is_reply_sent {
            self.log(Level::Warn, "connector.answer.failed", json!({"reason": said.reason}));
        }
        is_reply_sent
    }
}
