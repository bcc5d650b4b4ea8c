//! The alerts of one page of a call before the ledger accepts them: each with its record and its message.

use bot_framework::ConversationReference;
use chrono::{DateTime, Utc};
use envelope::{Creation, Envelope, EnvelopeId, Keyed, TooLarge};
use platform::Traceparent;
use serde_json::{Value, json};
use state::ledger::{AlertId, CallId, NewAlert, Record, Status};

use super::body::{AlertCall, Identity};
use super::paging::Cursor;
use super::target::{self, Target};
use crate::outbox::{Message, put_options};
use crate::rejection::AlertRejection;
use crate::settings::BotSettings;

/// The word in the answer for a queued alert whose conversation the poller has to create or find first.
const CREATING: &str = "creating";

/// A valid call, and the conversations of one page.
pub(super) struct Draft<'a> {
    pub(super) call: &'a AlertCall,
    pub(super) targets: Vec<Target>,
    pub(super) now: DateTime<Utc>,
    /// The name of the caller's key, to which the alerts belong.
    pub(super) sender: &'a str,
    /// The trace of the call.
    pub(super) trace: Option<&'a Traceparent>,
    pub(super) is_first: bool,
    pub(super) next: Option<Cursor>,
}

impl Draft<'_> {
    /// Makes every alert of the page. An alert that is too large is found before the ledger accepts any
    /// alert.
    pub(super) fn alerts(
        &self,
        settings: &BotSettings,
        id: &CallId,
        identity: Option<&Identity>,
    ) -> Result<Vec<Alert>, AlertRejection> {
        let mut alerts = Vec::with_capacity(self.targets.len());
        let mut too_large = None;
        for (index, target) in (0..).zip(&self.targets) {
            let id = id.alert(index);
            let mut held = target.held.map(target::Held::status);
            let message = match held {
                Some(_) => None,
                // A call with a key may be repeated while its Put runs, so its messages have the mark `once`.
                None => match self.message(settings, &id, target.into(), self.now, identity.is_some()) {
                    Ok(message) => Some(message),
                    // If the address of one subscriber is too long, the other subscribers still get the
                    // alert.
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
                tag: target.tag.as_ref().map(|tag| tag.as_str().to_owned()),
                call: identity
                    .filter(|_| index == 0)
                    .map(|identity| identity.note(self.targets.len(), self.next.as_ref())),
                keyed: self.keyed(self.now).as_ref().map(Keyed::to_note),
                ..self.record(id, target.key.as_str())
            };
            let status = Status::Queued;
            let is_creating = target.creation.is_some();
            alerts.push(Alert { alert, message, status, is_creating, is_again: false, is_repeated: false });
        }
        match too_large {
            Some(error)
                if self.is_first
                    && self.next.is_none()
                    && alerts.iter().all(|alert| alert.alert.status == Status::TooLarge) =>
            {
                Err(error)
            }
            _ => Ok(alerts),
        }
    }

    /// The record of a page without alerts. A repeated call finds this record and gets the same empty page,
    /// although subscribers whom another page has alerted may have moved into this page.
    pub(super) fn record_of_empty_page(&self, id: &CallId, identity: &Identity) -> NewAlert {
        NewAlert {
            // A final status, because the page has no alert that could be cancelled.
            status: Status::Expired,
            call: Some(identity.note(0, self.next.as_ref())),
            ..self.record(id.alert(0), "")
        }
    }

    /// The record of an alert of this call, with what all of them have.
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

    /// Makes the message of one alert. It holds the time at which the alert was accepted, because a later
    /// `stop` or `deleteUserData` holds for the alert. `once`: the queue may hold the message already.
    pub(super) fn message(
        &self,
        settings: &BotSettings,
        id: &AlertId,
        to: Destination<'_>,
        accepted_at: DateTime<Utc>,
        once: bool,
    ) -> Result<Message, AlertRejection> {
        let mut envelope = self.envelope(id, to.address, accepted_at);
        envelope.creation = to.creation.cloned();
        envelope.once = once;
        message_of(settings, envelope, self.now)
    }

    /// Makes the envelope of one alert.
    pub(super) fn envelope(
        &self,
        id: &AlertId,
        address: &ConversationReference,
        accepted_at: DateTime<Utc>,
    ) -> Envelope {
        let id = EnvelopeId::from_text(id.as_str());
        let mut envelope = Envelope::new(id, address.clone(), self.call.text.as_str(), accepted_at);
        envelope.activity = self.call.activity.clone();
        (envelope.not_before, envelope.expires) = (self.call.due, self.call.expires);
        envelope.on_uncertain = self.call.on_uncertain;
        (envelope.cancellable, envelope.stoppable) = (true, true);
        envelope.keyed = self.keyed(accepted_at);
        envelope.traceparent = self.trace.cloned();
        envelope
    }
}

/// Where a message goes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Destination<'a> {
    pub(super) address: &'a ConversationReference,
    /// The conversation has to be created or found first.
    pub(super) creation: Option<&'a Creation>,
}

impl<'a> From<&'a Target> for Destination<'a> {
    fn from(target: &'a Target) -> Self {
        Self { address: &target.address, creation: target.creation.as_ref() }
    }
}

/// Makes the message of an envelope.
pub(super) fn message_of(
    settings: &BotSettings,
    envelope: Envelope,
    now: DateTime<Utc>,
) -> Result<Message, AlertRejection> {
    let text = envelope
        .encode(settings.seal_key.as_ref())
        .map_err(|TooLarge { json_bytes }| AlertRejection::TooLarge { json_bytes })?;
    let options = put_options(&envelope, now);
    Ok(Message { envelope, text, options })
}

/// The alert to one conversation.
#[derive(Debug)]
pub(super) struct Alert {
    pub(super) alert: NewAlert,
    /// The message to put on the queue. `None` if the queue gets no message.
    pub(super) message: Option<Message>,
    /// The status for the answer.
    pub(super) status: Status,
    /// Whether the poller has to create or find the conversation first.
    pub(super) is_creating: bool,
    /// Whether an earlier call with the same key accepted the alert, and may have been cut off before the
    /// Put.
    pub(super) is_again: bool,
    /// Whether an earlier call with the same key accepted the alert.
    pub(super) is_repeated: bool,
}

impl Alert {
    /// An alert that the ledger knows already. It has its message if the message may be missing on the queue.
    pub(super) fn known(record: &Record, id: AlertId, message: Option<Message>, is_creating: bool) -> Self {
        let status = record.shown_status();
        let conversation = record.conversation.clone();
        let alert = NewAlert { status, ..NewAlert::queued(id, conversation) };
        let message = message.filter(|_| record.may_not_be_queued());
        Self { is_again: message.is_some(), is_repeated: true, is_creating, alert, message, status }
    }

    /// Sets the status that an alert with a message has if this call does not put the message on the queue:
    /// `unconfirmed` if an earlier call may have put it there, or `failed` if the ledger has recorded that it
    /// certainly did not.
    pub(super) fn expect_no_put(&mut self) {
        if self.message.is_some() {
            let is_doubtful = self.is_again && self.alert.status != Status::Failed;
            self.status = if is_doubtful { Status::Unconfirmed } else { Status::Failed };
        }
    }

    /// The JSON for the answer. An alert that was delivered meanwhile is shown as `queued`, as in the first
    /// answer.
    pub(super) fn shown(&self) -> Value {
        let conversation = self.alert.conversation.as_str();
        let status = match self.status {
            Status::Stopped | Status::Paused | Status::Untrusted | Status::TooLarge => {
                return json!({"conversation": conversation, "status": self.status.as_str()});
            }
            Status::Waiting | Status::Delivered => Status::Queued,
            other => other,
        };
        let word = if status == Status::Queued && self.is_creating { CREATING } else { status.as_str() };
        json!({"id": self.alert.id.as_str(), "conversation": conversation, "status": word})
    }
}
