//! Makes the alerts of one *page* of an API call (at most 100 of the call's conversations). Each alert has a
//! record for the *ledger* (a table) and a message for the queue. The message holds an *envelope*, i.e. the
//! alert as JSON. A *Put* is the storage call that puts a message on the queue. A *run* is one execution of
//! the poller.

use bot_framework::ConversationReference;
use bot_framework::channels::{self, NotShown};
use chrono::{DateTime, SecondsFormat, Utc};
use envelope::{Creation, Envelope, EnvelopeId, Keyed, TooLarge, end_of_question};
use platform::{Randomness, Traceparent};
use serde_json::{Value, json};
use state::ledger::{AlertId, CallId, NewAlert, Record, Status};
use state::runs::RECENTLY;
use zones::Zone;

use super::asks::Asks;
use super::body::{AlertCall, Identity};
use super::paging::Cursor;
use super::to::{self, Target};
use crate::outbox::{Message, put_options};
use crate::rejection::AlertRejection;
use crate::settings::BotSettings;

/// The `status` in the response for a queued alert, if the poller has to create or find the conversation
/// first.
const CREATING: &str = "creating";

/// A valid API call, and the conversations of one page of the call.
pub(super) struct Draft<'a> {
    pub(super) call: &'a AlertCall,
    pub(super) targets: Vec<Target>,
    pub(super) now: DateTime<Utc>,
    /// The name of the caller's API key. The ledger records this name as the sender of the alerts.
    pub(super) sender: &'a str,
    /// The header `traceparent` of the request (W3C Trace Context), if the header is valid.
    pub(super) trace: Option<&'a Traceparent>,
    pub(super) is_first_page: bool,
    pub(super) next: Option<Cursor>,
    /// The encryption keys of the question, and the conversations of the question's escalation. `None` if
    /// people cannot answer the alerts.
    pub(super) asks: Option<Asks>,
}

impl Draft<'_> {
    /// Makes the alerts of the page. The ledger has not accepted these alerts yet, so the bot can still
    /// refuse the call if an alert is too large.
    ///
    /// If an alert is too large, but `to` names the conversation by a tag, the bot does not refuse the call.
    /// Instead, the alert gets the status `TooLarge`, and the other subscribers of the tag still get their
    /// alerts. But if the call has only one page, and all alerts of the page are too large, the bot refuses
    /// the call.
    pub(super) fn alerts(
        &self,
        host: &impl Randomness,
        settings: &BotSettings,
        id: &CallId,
        identity: Option<&Identity>,
    ) -> Result<Vec<Alert>, AlertRejection> {
        let mut alerts = Vec::with_capacity(self.targets.len());
        let mut too_large = None;
        for (index, target) in (0..).zip(&self.targets) {
            let call = id;
            let id = id.alert(index);
            let mut held = target.held.map(to::Held::status);
            let mut warnings = Vec::new();
            if held.is_none() {
                match self.warnings(target) {
                    Ok(found) => warnings = found,
                    Err(error) if target.tag.is_some() => {
                        held = Some(Status::TooLarge);
                        too_large = Some(error);
                    }
                    Err(error) => return Err(error),
                }
            }
            let due = self.due(target);
            let message = match held {
                Some(_) => None,
                // If the call has an idempotency key, the caller can repeat the call before the Put has
                // ended. The queue can then hold two messages of the alert. So the message gets the mark
                // `once`: before a run sends this message, the run reads in the ledger whether the alert was
                // sent already.
                None => match self.message(
                    settings,
                    &id,
                    &Recipient::of(target, due),
                    self.now,
                    identity.is_some(),
                ) {
                    Ok(message) => Some(message),
                    // This conversation subscribes to a tag in `to`. Perhaps the message is too long for the
                    // queue because of the conversation's address. The other subscribers of the tag still get
                    // the alert.
                    Err(error) if target.tag.is_some() => {
                        held = Some(Status::TooLarge);
                        too_large = Some(error);
                        None
                    }
                    Err(error) => return Err(error),
                },
            };
            let alert = NewAlert {
                status: held.unwrap_or(Status::Queued),
                due,
                until: due.max(self.call.expires),
                tag: target.tag.as_ref().map(|tag| tag.as_str().to_owned()),
                call: identity
                    .filter(|_| index == 0)
                    .map(|identity| identity.note(self.targets.len(), self.next.as_ref())),
                series: self.call.series.as_ref().map(|_| id.as_str().to_owned()),
                keyed: self.keyed(self.now).as_ref().map(Keyed::to_note),
                thread: target.channel_of_thread(),
                ..self.record(id, target.key.as_str())
            };
            let question = self.question(host, &alert.id, alert.due, call)?;
            let (alert, is_creating) = (NewAlert { question, ..alert }, target.creation.is_some());
            let quiet_until = due.filter(|_| due != self.call.due);
            alerts.push(Alert { warnings, quiet_until, ..Alert::new(alert, message, is_creating) });
        }
        match too_large {
            Some(error)
                if self.is_first_page
                    && self.next.is_none()
                    && alerts.iter().all(|alert| alert.record.status == Status::TooLarge) =>
            {
                Err(error)
            }
            _ => Ok(alerts),
        }
    }

    /// The record of a page without alerts. If a caller repeats the call, the bot finds this record, and the
    /// page is empty again. Without the record, the bot would read the conversations of the page anew.
    /// Perhaps some of these conversations were on another page during the first call. These conversations
    /// would get the alert twice.
    pub(super) fn record_of_empty_page(&self, id: &CallId, identity: &Identity) -> NewAlert {
        NewAlert {
            // The status is final, because the page has no alert that a caller could cancel.
            status: Status::Expired,
            call: Some(identity.note(0, self.next.as_ref())),
            ..self.record(id.alert(0), "")
        }
    }

    /// The record of an alert of this call, with all values that are the same for every alert of the call.
    pub(super) fn record(&self, id: AlertId, conversation: &str) -> NewAlert {
        NewAlert {
            due: self.call.due,
            until: self.call.due.max(self.call.expires),
            key: Some(self.sender.to_owned()),
            ..NewAlert::queued(id, conversation)
        }
    }

    fn keyed(&self, accepted_at: DateTime<Utc>) -> Option<Keyed> {
        self.call.keyed.as_ref().map(|keyed| keyed.keyed(self.sender, accepted_at, self.call.due))
    }

    /// Returns a warning for each part of the alert that the target's channel does not show. Returns an error
    /// if the channel would refuse the whole alert.
    pub(super) fn warnings(&self, target: &Target) -> Result<Vec<String>, AlertRejection> {
        let AlertCall { text, look, activity, .. } = self.call;
        let content = channels::Content { text, format: look.format, mentions: &look.mentions, activity };
        let address = &target.address;
        let not_shown =
            channels::parts_not_shown(&address.channel_id, address.conversation.is_group(), &content);
        if let Some(why) = not_shown.iter().find(|not_shown| not_shown.is_refusal()) {
            let path = target.path.clone().unwrap_or_else(|| "to".into());
            return Err(AlertRejection::NotShown { path, why: why.clone() });
        }
        Ok(not_shown.iter().map(NotShown::to_string).collect())
    }

    /// Returns the time at which the alert is due, or `None` if it is due at once.
    ///
    /// If the due time is in quiet hours (the hours in which the person wants no alerts), the alert is due
    /// when the quiet hours end. If the alert is due in ten minutes ([`RECENTLY`]) or later, the function
    /// ignores the quiet hours, because the person can still change the quiet hours. In this case, the poller
    /// applies the quiet hours when the alert is due.
    pub(super) fn due(&self, target: &Target) -> Option<DateTime<Utc>> {
        let due = self.call.due;
        let moment = due.unwrap_or(self.now);
        let is_soon = (moment - self.now).to_std().unwrap_or_default() < RECENTLY;
        let quiet = target.quiet.filter(|_| is_soon && !self.call.is_important());
        quiet.and_then(|quiet| quiet.end_after(moment)).or(due)
    }

    /// Encrypts the question of the alert `id`, for the alert's record in the ledger. Returns `None` if
    /// people cannot answer the alert. `call` is the id of the API call. The alert belongs to this call, or
    /// to the call's escalation.
    pub(super) fn question(
        &self,
        host: &impl Randomness,
        id: &AlertId,
        due: Option<DateTime<Utc>>,
        call: &CallId,
    ) -> Result<Option<String>, AlertRejection> {
        let until = end_of_question(self.now, due, self.call.expires);
        let has_others = self.targets.len() > 1;
        self.asks.as_ref().map(|asks| asks.sealed(host, self.call, id, until, call, has_others)).transpose()
    }

    /// Makes the queue message of one alert. The message holds the time at which the alert was accepted. If
    /// the person sends `stop` or asks to be forgotten after that time, the poller does not send the alert.
    /// `once` is true if the caller can repeat the call. The queue can then hold two messages of the alert.
    pub(super) fn message(
        &self,
        settings: &BotSettings,
        id: &AlertId,
        recipient: &Recipient<'_>,
        accepted_at: DateTime<Utc>,
        once: bool,
    ) -> Result<Message, AlertRejection> {
        let mut envelope = self.envelope(id, recipient, accepted_at);
        envelope.creation = recipient.creation.cloned();
        envelope.once = once;
        message_of(settings, envelope, self.now)
    }

    /// Makes the envelope of one alert.
    pub(super) fn envelope(
        &self,
        id: &AlertId,
        recipient: &Recipient<'_>,
        accepted_at: DateTime<Utc>,
    ) -> Envelope {
        let question = self.call.asking.as_ref().map(|asking| asking.question_of(id, None));
        let id = EnvelopeId::from_text(id.as_str());
        let Recipient { address, zone, due, .. } = *recipient;
        let start = self.call.due.unwrap_or(accepted_at);
        let series = self.call.series.as_ref().map(|series| series.first(&id, start, zone));
        let mut envelope = Envelope::new(id, address.clone(), self.call.text.as_str(), accepted_at);
        envelope.activity = self.call.activity.clone();
        envelope.look = self.call.look.clone();
        envelope.series = series;
        envelope.question = question;
        (envelope.not_before, envelope.expires) = (due, self.call.expires);
        envelope.on_uncertain = self.call.on_uncertain;
        (envelope.cancellable, envelope.stoppable) = (true, true);
        envelope.keyed = self.keyed(accepted_at);
        envelope.traceparent = self.trace.cloned();
        envelope
    }
}

/// The conversation of an alert, and the values that the alert's envelope takes from the conversation.
#[derive(Debug, Clone, Copy)]
pub(super) struct Recipient<'a> {
    pub(super) address: &'a ConversationReference,
    /// How the poller creates or finds the conversation. `None` if the bot knows the conversation.
    pub(super) creation: Option<&'a Creation>,
    /// The person's time zone, if the bot knows it.
    pub(super) zone: Option<Zone>,
    /// When the alert is due. `None` means at once.
    pub(super) due: Option<DateTime<Utc>>,
}

impl<'a> Recipient<'a> {
    pub(super) fn of(target: &'a Target, due: Option<DateTime<Utc>>) -> Self {
        Self { address: &target.address, creation: target.creation.as_ref(), zone: target.zone, due }
    }
}

/// Encodes an envelope as a queue message. Returns an error if the envelope is too long for the queue. If the
/// alert recurs, the function also returns an error if the envelope of a later alert would be too long.
pub(super) fn message_of(
    settings: &BotSettings,
    envelope: Envelope,
    now: DateTime<Utc>,
) -> Result<Message, AlertRejection> {
    let too_large = |TooLarge { json_bytes }| AlertRejection::TooLarge { json_bytes };
    if let Some(longest) = envelope.longest_of_series() {
        longest.encode(settings.seal_key.as_ref()).map_err(too_large)?;
    }
    let text = envelope.encode(settings.seal_key.as_ref()).map_err(too_large)?;
    let options = put_options(&envelope, now);
    Ok(Message { envelope, text, options })
}

/// The alert to one conversation: its record, its queue message, and values for the response.
#[derive(Debug)]
pub(super) struct Alert {
    pub(super) record: NewAlert,
    /// The queue message. `None` if the bot puts no message on the queue.
    pub(super) message: Option<Message>,
    /// The alert's status, for the response.
    pub(super) status: Status,
    /// Whether the poller has to create or find the conversation first.
    pub(super) is_creating: bool,
    /// Whether this call puts a message on the queue for an alert that an earlier call accepted. Perhaps the
    /// earlier call was cut off before the alert's Put.
    pub(super) is_again: bool,
    /// Whether an earlier call with the same idempotency key accepted the alert.
    pub(super) is_repeated: bool,
    /// A warning for each part that the channel does not show.
    pub(super) warnings: Vec<String>,
    /// The end of the person's quiet hours, if the alert waits for this end.
    pub(super) quiet_until: Option<DateTime<Utc>>,
}

impl Alert {
    /// Makes an alert that no earlier call has accepted.
    pub(super) fn new(record: NewAlert, message: Option<Message>, is_creating: bool) -> Self {
        Self {
            record,
            message,
            status: Status::Queued,
            is_creating,
            is_again: false,
            is_repeated: false,
            warnings: Vec::new(),
            quiet_until: None,
        }
    }

    /// Makes an alert whose record an earlier call has inserted. `message` is a new queue message of the
    /// alert. The result contains `message` only if the queue perhaps lacks the message of the earlier call.
    pub(super) fn known(record: &Record, id: AlertId, message: Option<Message>, is_creating: bool) -> Self {
        let status = record.shown_status();
        let conversation = record.conversation.clone();
        let due = record.due_at;
        let alert = NewAlert { status, due, ..NewAlert::queued(id, conversation) };
        let message = message.filter(|_| record.is_perhaps_not_queued());
        let (warnings, quiet_until) = (Vec::new(), None);
        let (is_again, is_repeated) = (message.is_some(), true);
        Self { is_again, is_repeated, is_creating, record: alert, message, status, warnings, quiet_until }
    }

    /// Sets the status that applies if this call does not put the alert's message on the queue. If an earlier
    /// call has perhaps put a message of the alert there, the status is `unconfirmed`. Otherwise the queue
    /// certainly has no message of the alert, and the status is `failed`.
    pub(super) fn expect_no_put(&mut self) {
        if self.message.is_some() {
            let is_doubtful = self.is_again && self.record.status != Status::Failed;
            self.status = if is_doubtful { Status::Unconfirmed } else { Status::Failed };
        }
    }

    /// Sets the status to the status in the alert's record. The bot calls this function after the ledger has
    /// accepted the alert.
    pub(super) fn accepted(mut self) -> Self {
        self.status = self.record.status;
        self
    }

    /// The JSON for the response, if the alert belongs to an escalation. This JSON also has the alert's due
    /// time.
    pub(super) fn shown_as_step(&self) -> Value {
        let mut shown = self.shown();
        if let Some(due) = self.record.due {
            shown["dueAt"] = due.to_rfc3339_opts(SecondsFormat::Millis, true).into();
        }
        shown
    }

    /// The JSON for the response. If a caller repeats a call, a run has perhaps already delivered an alert of
    /// the call. The `status` of this alert is still `queued` or `creating`, as in the first response.
    pub(super) fn shown(&self) -> Value {
        let conversation = self.record.conversation.as_str();
        let status = match self.status {
            Status::Stopped | Status::Paused | Status::Untrusted | Status::TooLarge => {
                return json!({"conversation": conversation, "status": self.status.as_str()});
            }
            Status::Waiting | Status::Delivered => Status::Queued,
            other => other,
        };
        let word = if status == Status::Queued && self.is_creating { CREATING } else { status.as_str() };
        let mut shown = json!({"id": self.record.id.as_str(), "conversation": conversation, "status": word});
        if let Some(until) = self.quiet_until {
            shown["quietUntil"] = until.to_rfc3339_opts(SecondsFormat::Secs, true).into();
        }
        if !self.warnings.is_empty() {
            shown["warnings"] = self.warnings.clone().into();
        }
        shown
    }
}
