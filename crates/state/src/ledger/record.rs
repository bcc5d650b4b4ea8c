//! The record of one alert in the ledger, and the changes of the alert's status. A *run* is one execution of
//! the poller. A *Put* is the storage call that puts a message on the queue. The *sender* is the program that
//! sent the alert to the bot by an API call.

use chrono::{DateTime, Utc};
use serde_json::{Map, Value};
use storage_table::Entity;

use super::key::{AlertId, RecordKey};
use super::last_replay::LastReplay;
use super::terms::{KEPT, KEY_TERM};

pub(super) const VERSION: i64 = 1;

/// The first word of the `reason` in an alert's record, if the bot is not installed for the person, or in the
/// team, that gets the alert. The alert waits for the installation until the alert expires. An alert without
/// an expiry waits at most a day.
pub const NOT_INSTALLED: &str = "notInstalled";

/// The status of an alert.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Status {
    /// The bot has accepted the alert, and no run has recorded a status. Perhaps a run has dequeued the
    /// alert's message, but has made the message visible again, e.g. because the run came to its end.
    Queued,
    /// A run has dequeued the alert's message, but the alert has to wait, e.g. for the next try.
    Waiting,
    /// The Connector accepted the alert.
    Delivered,
    /// The alert was cancelled before a run sent the alert, e.g. because the sender cancelled the alert or
    /// ended the alert's series.
    Cancelled,
    /// The alert expired before it could be delivered.
    Expired,
    /// The person does not want the alert: the person has sent `stop`, or has asked to be forgotten.
    Stopped,
    /// When the bot accepted the alert, the conversation was paused: the channel (such as Teams) had reported
    /// that it cannot reach the conversation. So the bot did not queue the alert.
    Paused,
    /// When the bot accepted the alert, the bot's variables did not allow the Connector or the tenant in the
    /// conversation's address. So the bot did not queue the alert.
    Untrusted,
    /// The alert was too large for the channel, or too large for a queue message together with the
    /// conversation's address. So the bot did not queue the alert.
    TooLarge,
    /// The alert is in the poison queue.
    Dead,
    /// The result of an attempt is unknown, so the alert was perhaps delivered. The alert is not sent again,
    /// because the sender chose this for an unknown result (`onUncertain: drop`).
    Dropped,
    /// The Put failed, and the queue certainly does not hold the message. The sender got an error.
    Failed,
    /// The bot got no clear response to the Put, so perhaps the queue holds the message.
    Unconfirmed,
    /// A run did not send the alert, because another alert makes this alert superfluous. For example, the
    /// other alert is newer and has the same `key`. If this alert changes a chat message, the other alert can
    /// be a later change of the same chat message.
    Replaced,
    /// The sender took the alert back: a run has deleted the alert's chat message.
    Withdrawn,
    /// A person has answered the alert. No record stores this status, because [`Record::shown_status`]
    /// derives the status from [`Record::answered_at`].
    Answered,
}

impl Status {
    pub(super) const ALL: [Self; 16] = [
        Self::Queued,
        Self::Waiting,
        Self::Delivered,
        Self::Cancelled,
        Self::Expired,
        Self::Stopped,
        Self::Paused,
        Self::Untrusted,
        Self::TooLarge,
        Self::Dead,
        Self::Dropped,
        Self::Failed,
        Self::Unconfirmed,
        Self::Replaced,
        Self::Withdrawn,
        Self::Answered,
    ];

    /// The word for this status, in records and in HTTP responses.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Waiting => "waiting",
            Self::Delivered => "delivered",
            Self::Cancelled => "cancelled",
            Self::Expired => "expired",
            Self::Stopped => "stopped",
            Self::Paused => "paused",
            Self::Untrusted => "untrusted",
            Self::TooLarge => "tooLarge",
            Self::Dead => "dead",
            Self::Dropped => "dropped",
            Self::Failed => "failed",
            Self::Unconfirmed => "unconfirmed",
            Self::Replaced => "replaced",
            Self::Withdrawn => "withdrawn",
            Self::Answered => "answered",
        }
    }

    /// The status with this word; `None` if this version of the program does not know the word.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.as_str() == word)
    }

    /// Whether the status is final, i.e. whether no run sends the alert any more. If an operator replays a
    /// dead alert, the ledger replaces the final status [`Status::Dead`] by [`Status::Queued`].
    pub fn is_final(self) -> bool {
        !matches!(self, Self::Queued | Self::Waiting | Self::Failed | Self::Unconfirmed)
    }
}

/// An alert that the bot is about to accept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewAlert {
    /// The alert's id.
    pub id: AlertId,
    /// The key of the conversation that gets the alert.
    pub conversation: String,
    /// [`Status::Queued`], or the reason why the bot does not queue the alert, e.g. [`Status::Paused`].
    pub status: Status,
    /// When the alert is due; `None` if the alert is due at once.
    pub due: Option<DateTime<Utc>>,
    /// The later of two times: when the alert is due, and when the alert expires. `None` if the alert is due
    /// at once and does not expire. The status can change until this time, so the record is kept for [`KEPT`]
    /// after this time.
    pub until: Option<DateTime<Utc>>,
    /// The tag because of which the conversation gets the alert: the call names the tag as a target, and the
    /// conversation subscribes to the tag. If the call names several such tags, this is the first of them.
    pub tag: Option<String>,
    /// In the first alert of each page of a call with an idempotency key: the description of the page.
    pub call: Option<CallNote>,
    /// The name of the sender's API key, from the variable `alertkeys`; `None` for a person's message.
    pub key: Option<String>,
    /// The id of the first alert of the series, for a recurring alert.
    pub series: Option<String>,
    /// The member `keyed` of the envelope (the content of the queue message), as JSON; `None` if the alert
    /// has no *alert key*. An alert key is not an API key: the conversation shows one chat message for all
    /// alerts with the same alert key. If the sender later changes the alert, the bot copies this member into
    /// the envelope of the change.
    pub keyed: Option<String>,
    /// The alert whose chat message this alert changes or deletes.
    pub changes: Option<AlertId>,
    /// The address (JSON) of the Teams channel, if the alert starts a thread in this channel.
    pub thread: Option<String>,
    /// The question of the alert, encrypted, if people can answer the alert.
    pub question: Option<String>,
}

/// The description of one page of a call with an idempotency key. A *page* is a group of at most 100 alerts:
/// a call with more than 100 alerts has several pages. With the description, the bot distinguishes a repeated
/// call from another call that uses the same idempotency key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallNote {
    /// The fingerprint (a hash) of the body. Equal bodies have equal fingerprints.
    pub fingerprint: String,
    /// The number of alerts on this page of the call.
    pub alerts: u32,
    /// The place at which the following page begins; `None` on the last page. If the bot does not process the
    /// following page in this call, the response has this place as the member `next`. The sender then repeats
    /// the call with this `next`.
    pub next: Option<String>,
}

/// The record of an alert. If a program other than the bot put the alert on the queue, the bot did not accept
/// the alert. Such an alert gets a record when a run records the alert's status. This record lacks the
/// properties that the bot writes when it accepts an alert.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// The alert's id, from the row key.
    pub id: String,
    /// The status that was recorded last. To report a status, use [`Record::shown_status`].
    pub status: Status,
    /// The word of the recorded status, if a newer version of the program recorded a word that this version
    /// does not know.
    pub newer_status: Option<String>,
    /// The key of the conversation; empty if the bot did not accept the alert.
    pub conversation: String,
    /// When the bot accepted the alert; `None` if the bot did not accept the alert.
    pub accepted_at: Option<DateTime<Utc>>,
    /// When the alert is due; `None` if no due time was recorded. The bot records no due time if the alert is
    /// due at once and does not expire. An earlier version of the bot recorded no due times.
    pub due_at: Option<DateTime<Utc>>,
    /// When the poller or the bot last recorded a status, after the acceptance of the alert.
    pub changed_at: Option<DateTime<Utc>>,
    /// When the record expires. After this time, a cleaning deletes the record.
    pub ends_at: Option<DateTime<Utc>>,
    /// The reason of the status, as text for people.
    pub reason: Option<String>,
    /// The activity id that the Connector returned when it accepted the alert.
    pub activity_id: Option<String>,
    /// True if it is unknown whether the alert was delivered.
    pub uncertain: bool,
    /// The tag because of which the conversation gets the alert ([`NewAlert::tag`]).
    pub tag: Option<String>,
    /// When the bot recorded that the alert is on the queue. Usually the bot does not record this, to save a
    /// storage call. The bot records this only if the sender probably repeats the API call, or the channel
    /// probably sends the person's message again. For example, the Put of another alert of the API call has
    /// failed.
    pub put_at: Option<DateTime<Utc>>,
    /// When the Put of the alert failed.
    pub failed_at: Option<DateTime<Utc>>,
    /// When a Put of the alert had no clear response.
    pub unconfirmed_at: Option<DateTime<Utc>>,
    /// When the sender cancelled the alert.
    pub cancelled_at: Option<DateTime<Utc>>,
    /// When a run found that the alert's queue message was missing. An earlier run had dequeued the message,
    /// and was killed. The run used the pop receipt of the earlier run, but the queue refused this pop
    /// receipt.
    pub missed_at: Option<DateTime<Utc>>,
    /// Perhaps the killed run did not delete the missing message, but only hid the message until the next
    /// try. Then a run probably dequeues the message by this time. If no run has dequeued the message by this
    /// time, the alert counts as delivered ([`Record::is_delivered_unseen`]).
    pub missing_from: Option<DateTime<Utc>>,
    /// When the bot claimed the alert ([`Claim`](super::Claim)); `None` if the bot has released the claim.
    /// The bot claims an alert if the bot itself sends the alert, without the queue.
    pub claimed_at: Option<DateTime<Utc>>,
    /// When an operator replayed the alert.
    pub replayed_at: Option<DateTime<Utc>>,
    /// The counts of the attempts so far, as JSON. The poller writes this text.
    pub tried: Option<String>,
    /// If a run has recorded a final status: the id of the queue message from which this run got the alert.
    /// Every other queue message of the alert is a copy.
    pub message: Option<String>,
    /// If an operator has replayed the alert: the id of the queue message that a run had moved to the poison
    /// queue.
    pub replayed_from: Option<String>,
    /// The description of the page, if this is the first alert of a page, and the call has an idempotency
    /// key.
    pub call: Option<CallNote>,
    /// The name of the sender's API key, from the variable `alertkeys`; `None` if the bot did not accept the
    /// alert from a program.
    pub key: Option<String>,
    /// The id of the first alert of the series, if the alert recurs.
    pub series: Option<String>,
    /// In the first alert of a series: the id of the series' next alert, which the poller has put on the
    /// queue. [`Record::following`] reads this text.
    pub series_next: Option<String>,
    /// In the first alert of a series: when the sender ended the series.
    pub series_ended_at: Option<DateTime<Utc>>,
    /// The member `keyed` of the envelope, as JSON, if the sender gave the alert an alert key
    /// ([`NewAlert::keyed`]).
    pub keyed: Option<String>,
    /// The id of the alert whose chat message this alert changes or deletes.
    pub changes: Option<String>,
    /// The last change of the alert's chat message. The number is the time at which the bot accepted the
    /// change, in milliseconds since 1970. The text is the id of the change, because each change is an alert,
    /// too.
    pub edited: Option<(i64, String)>,
    /// The id of the newer alert that took the place of this alert on the queue.
    pub replaced_by: Option<String>,
    /// The address (JSON) of the Teams channel in which the alert starts a thread. After the delivery, this
    /// is the address of the thread.
    pub thread: Option<String>,
    /// The question of the alert, encrypted, if people can answer the alert.
    pub question: Option<String>,
    /// When a person answered the alert. If the alert takes several answers, this is the time of the last
    /// answer.
    pub answered_at: Option<DateTime<Utc>>,
    /// The last answer, encrypted.
    pub answer: Option<String>,
    /// Whether a newer version of this program wrote the record.
    pub is_newer: bool,
}

impl Record {
    /// Some properties that are always texts. If such a property has another type, another program wrote the
    /// property.
    pub(super) const TEXTS: [&str; 4] = ["status", "conversation", "reason", "activityId"];
    /// Some properties that are always numbers.
    pub(super) const NUMBERS: [&str; 5] = ["version", "acceptedAt", "endsAt", "changedAt", "cancelledAt"];

    /// Reads a record. A property that cannot be read counts as missing. If this version does not know the
    /// status, the record gets [`Status::Queued`], so that no run drops the alert.
    pub(super) fn read(entity: &Entity) -> Self {
        // A merge cannot remove a property. So the ledger writes zero or an empty text instead.
        let time = |name: &str| {
            entity.int(name).and_then(DateTime::from_timestamp_millis).filter(|at| *at > DateTime::UNIX_EPOCH)
        };
        let text = |name: &str| entity.str(name).filter(|text| !text.is_empty()).map(str::to_owned);
        let call = text("fingerprint").map(|fingerprint| CallNote {
            fingerprint,
            alerts: entity.int("alerts").and_then(|alerts| u32::try_from(alerts).ok()).unwrap_or(1),
            next: text("next"),
        });
        let status = entity.str("status").map(|word| (word, Status::from_word(word)));
        Self {
            id: entity.key.row.clone(),
            status: status.and_then(|(_, status)| status).unwrap_or(Status::Queued),
            newer_status: status.filter(|(_, status)| status.is_none()).map(|(word, _)| shortened(word)),
            conversation: text("conversation").unwrap_or_default(),
            accepted_at: time("acceptedAt"),
            due_at: time("dueAt"),
            changed_at: time("changedAt"),
            ends_at: time("endsAt"),
            reason: text("reason"),
            activity_id: text("activityId"),
            uncertain: entity.bool("uncertain") == Some(true),
            tag: text("tag"),
            put_at: time("putAt"),
            failed_at: time("failedAt"),
            unconfirmed_at: time("unconfirmedAt"),
            cancelled_at: time("cancelledAt"),
            missed_at: time("missedAt"),
            missing_from: time("missingFrom"),
            claimed_at: time("takenAt"),
            replayed_at: time("replayedAt"),
            tried: text("tried"),
            message: text("message"),
            replayed_from: text("replayedFrom"),
            call,
            key: text("key"),
            series: text("series"),
            series_next: text("seriesNext"),
            series_ended_at: time("seriesEndedAt"),
            keyed: text("keyed"),
            changes: text("changes"),
            edited: entity.int("editedAt").zip(text("editedBy")),
            replaced_by: text("replacedBy"),
            thread: text("thread"),
            question: text("question"),
            answered_at: time("answeredAt"),
            answer: text("answer"),
            is_newer: entity.int("version").is_some_and(|version| version > VERSION),
        }
    }

    /// The status to report. A run records its result in `status`. The bot records the results of its Puts in
    /// `put_at`, `failed_at` and `unconfirmed_at`. The result of a run takes precedence: if a run has a
    /// result, the alert was on the queue, although a Put had failed or had no clear response.
    pub fn shown_status(&self) -> Status {
        match self.status {
            Status::Delivered | Status::Dropped if self.answered_at.is_some() => Status::Answered,
            status if status.is_final() => status,
            // The answer shows that the alert was delivered, although no run has recorded the delivery yet.
            _ if self.answered_at.is_some() => Status::Answered,
            _ if self.cancelled_at.is_some() => Status::Cancelled,
            // If one Put failed and the result of another Put is unknown, perhaps the alert is on the queue.
            Status::Queued if self.put_at.is_none() && self.unconfirmed_at.is_some() => Status::Unconfirmed,
            Status::Queued if self.put_at.is_none() && self.failed_at.is_some() => Status::Failed,
            status => status,
        }
    }

    /// Whether the queue perhaps has no message of the alert, e.g. because the Put failed, or because the bot
    /// was killed before the Put. Usually the bot does not record a successful Put in `put_at`. So the result
    /// is often true although the queue has the message.
    pub fn is_perhaps_not_queued(&self) -> bool {
        !self.shown_status().is_final() && self.put_at.is_none()
    }

    /// Whether the idempotency key of the alert's call still identifies this call. The key identifies the
    /// call for 24 hours ([`KEY_TERM`]) after the acceptance of the alert.
    pub fn is_within_key_term(&self, now: DateTime<Utc>) -> bool {
        self.accepted_at.is_some_and(|accepted| now - accepted < KEY_TERM)
    }
}

/// A new status of an alert, for the alert's record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transition {
    /// The alert's record.
    pub key: RecordKey,
    /// The new status.
    pub status: Status,
    /// The reason, as text for people.
    pub reason: Option<String>,
    /// The key of the conversation, if the poller has created or found the conversation for the alert. With
    /// `None`, the record keeps its conversation.
    pub conversation: Option<String>,
    /// The address (JSON) of the thread in which the alert sent or changed a chat message, if the alert went
    /// to a Teams channel.
    pub thread: Option<String>,
    /// The activity id that the Connector returned when it accepted the alert.
    pub activity_id: Option<String>,
    /// True if it is unknown whether the alert was delivered.
    pub uncertain: bool,
    /// The counts of the attempts so far, as JSON. The poller writes this text.
    pub tried: Option<String>,
    /// If the status is final: the id of the queue message from which the run got the alert.
    pub message: Option<String>,
    /// The later of two times: when the alert is due, and when the next alert of its series (recurring alert)
    /// is due. The record is kept for [`KEPT`] after this time, because a run perhaps dequeues a copy of the
    /// queue message late. From the record, the run then learns e.g. that the alert was cancelled.
    pub until: Option<DateTime<Utc>>,
    /// The last replay that the caller found in the record. If an operator has replayed the alert after that,
    /// the ledger does not record the transition. With `None`, the ledger does not check for a replay.
    pub known_replay: Option<LastReplay>,
    /// If true, the ledger records the transition only if the record has no final status. Such a transition
    /// takes separate storage calls.
    pub unless_ended: bool,
}

impl Transition {
    /// Whether the ledger has to read the record before it records the transition.
    pub(super) fn is_conditional(&self) -> bool {
        self.known_replay.is_some() || self.unless_ended
    }

    /// Makes a transition to `status`, without further details.
    pub fn to(key: RecordKey, status: Status) -> Self {
        Self {
            key,
            status,
            reason: None,
            conversation: None,
            thread: None,
            activity_id: None,
            uncertain: false,
            tried: None,
            message: None,
            until: None,
            known_replay: None,
            unless_ended: false,
        }
    }

    pub(super) fn entity(&self, now: DateTime<Utc>) -> Entity {
        let mut entity = Entity::new(self.key.to_key());
        let mut set = |name: &str, value: Option<Value>| {
            if let Some(value) = value {
                entity.properties.insert(name.to_owned(), value);
            }
        };
        // This write does not contain `version`. If a newer version of the program wrote the record, the
        // record keeps the newer `version`.
        set("status", Some(self.status.as_str().into()));
        set("reason", self.reason.as_deref().map(|reason| shortened(reason).into()));
        set("conversation", self.conversation.as_deref().map(Value::from));
        set("thread", self.thread.as_deref().map(Value::from));
        set("activityId", self.activity_id.as_deref().map(|id| shortened(id).into()));
        set("uncertain", self.uncertain.then_some(true.into()));
        set("tried", self.tried.clone().map(Value::from));
        set("message", self.message.clone().map(Value::from));
        entity.int64("changedAt", now.timestamp_millis());
        // If the bot did not accept the alert, perhaps no earlier write has set `endsAt`. A record without
        // `endsAt` would never be deleted.
        entity.int64("endsAt", ends_at(now, self.until));
        entity
    }
}

impl NewAlert {
    /// Makes an alert that is due at once. All optional members are empty.
    pub fn queued(id: AlertId, conversation: impl Into<String>) -> Self {
        Self {
            id,
            conversation: conversation.into(),
            status: Status::Queued,
            due: None,
            until: None,
            tag: None,
            call: None,
            key: None,
            series: None,
            keyed: None,
            changes: None,
            thread: None,
            question: None,
        }
    }

    pub(super) fn entity(&self, key: &RecordKey, now: DateTime<Utc>) -> Entity {
        let mut entity = Entity::new(key.to_key());
        let mut properties = Map::new();
        properties.insert("version".into(), VERSION.into());
        properties.insert("status".into(), self.status.as_str().into());
        properties.insert("conversation".into(), self.conversation.as_str().into());
        if let Some(call) = &self.call {
            properties.insert("fingerprint".into(), call.fingerprint.as_str().into());
            properties.insert("alerts".into(), call.alerts.into());
            if let Some(next) = &call.next {
                properties.insert("next".into(), next.as_str().into());
            }
        }
        if let Some(key) = &self.key {
            properties.insert("key".into(), key.as_str().into());
        }
        if let Some(series) = &self.series {
            properties.insert("series".into(), series.as_str().into());
        }
        if let Some(keyed) = &self.keyed {
            properties.insert("keyed".into(), keyed.as_str().into());
        }
        if let Some(changes) = &self.changes {
            properties.insert("changes".into(), changes.as_str().into());
        }
        if let Some(thread) = &self.thread {
            properties.insert("thread".into(), thread.as_str().into());
        }
        if let Some(tag) = &self.tag {
            properties.insert("tag".into(), tag.as_str().into());
        }
        if let Some(question) = &self.question {
            properties.insert("question".into(), question.as_str().into());
        }
        entity.properties = properties;
        entity.int64("acceptedAt", now.timestamp_millis());
        // If `dueAt` is missing, `Record::due` computes the due time from `endsAt`. With `until`, this
        // computed time would be too late. So an alert with `until` needs `dueAt`.
        if let Some(due) = self.due.or(self.until.map(|_| now)) {
            entity.int64("dueAt", due.timestamp_millis());
        }
        entity.int64("endsAt", ends_at(now, self.until));
        entity
    }
}

/// Returns when a record expires, in milliseconds since 1970: [`KEPT`] after `now` or `until`, whichever is
/// later.
pub(super) fn ends_at(now: DateTime<Utc>, until: Option<DateTime<Utc>>) -> i64 {
    let last = until.map_or(now, |until| until.max(now));
    last.timestamp_millis().saturating_add(KEPT.num_milliseconds())
}

/// Returns the first thousand characters of a text. A reason can be longer, because a reason can quote a
/// response of a Connector.
pub(super) fn shortened(text: &str) -> String {
    text.chars().take(1000).collect()
}
