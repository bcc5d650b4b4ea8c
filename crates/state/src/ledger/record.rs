//! What is known of one alert.

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Map, Value};
use storage_table::Entity;

use super::key::{AlertId, RecordKey};

pub(super) const VERSION: i64 = 1;

/// How long a record is kept after its alert was accepted, or was due, or had its end.
pub const KEPT: TimeDelta = TimeDelta::days(7);

/// How long an idempotency key answers for its call. No longer than a period: only one period before is looked at.
pub const KEY_TERM: TimeDelta = TimeDelta::hours(24);

/// What has become of an alert.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Status {
    /// Accepted; the poller has not seen it, or only to hand it back.
    Queued,
    /// The poller has seen it, and it has to wait.
    Waiting,
    /// The Connector took it.
    Delivered,
    /// Its sender took it back.
    Cancelled,
    /// Its time had passed.
    Expired,
    /// The person wants no alerts from others.
    Stopped,
    /// The conversation was paused when the alert was to be accepted.
    Paused,
    /// The conversation's Connector was on no list when the alert was to be accepted.
    Untrusted,
    /// It did not fit on the queue together with the conversation's address.
    TooLarge,
    /// It is in the poison queue.
    Dead,
    /// Its sender wanted no second try, and nobody knows whether the first one delivered it.
    Dropped,
    /// The queue did not take it, and its sender was told so.
    Failed,
    /// The queue did not say whether it took it, and its sender was told so.
    Unconfirmed,
}

impl Status {
    const ALL: [Self; 13] = [
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
    ];

    /// The word in records and answers.
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
        }
    }

    /// The status of a word.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.as_str() == word)
    }

    /// Whether nothing more becomes of it: no message of it may be sent any more.
    pub fn is_final(self) -> bool {
        !matches!(self, Self::Queued | Self::Waiting | Self::Failed | Self::Unconfirmed)
    }
}

/// An alert that is to be accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewAlert {
    /// Its id.
    pub id: AlertId,
    /// The conversation that it is for.
    pub conversation: String,
    /// [`Status::Queued`], or why it is not queued at all.
    pub status: Status,
    /// The last moment at which something may become of it: when it is due, or its end.
    pub until: Option<DateTime<Utc>>,
    /// In the first alert of a call with an idempotency key: what the call was, and how many alerts it has.
    pub call: Option<CallNote>,
    /// The name of the key with which its sender called; `None` for what a person said.
    pub key: Option<String>,
}

/// What tells a repeated call from another one that uses its key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallNote {
    /// The same for the same body.
    pub fingerprint: String,
    /// How many alerts the call made.
    pub alerts: u32,
    /// Where the call goes on, if there was more than it could take.
    pub next: Option<String>,
}

/// One alert's record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// The alert's id, as its row has it.
    pub id: String,
    /// What has become of it.
    pub status: Status,
    /// The conversation, if the bot accepted it.
    pub conversation: String,
    /// When it was accepted; `None` if the poller met it first.
    pub accepted_at: Option<DateTime<Utc>>,
    /// Since when it is known to be on the queue. Mostly nobody notes that: what is accepted is put there at once.
    pub put_at: Option<DateTime<Utc>>,
    /// When the queue did not take it.
    pub failed_at: Option<DateTime<Utc>>,
    /// When the queue did not say whether it took it.
    pub unconfirmed_at: Option<DateTime<Utc>>,
    /// When its sender cancelled it.
    pub cancelled_at: Option<DateTime<Utc>>,
    /// When a trigger that brought it was taken, and not given back since.
    pub taken_at: Option<DateTime<Utc>>,
    /// What the poller has tried, in its own words.
    pub tried: Option<String>,
    /// If it is in the poison queue: the id that its message had on the queue.
    pub message: Option<String>,
    /// The call that made it, if this is its first alert.
    pub call: Option<CallNote>,
    /// The name of the key with which its sender called, if the bot accepted it from a program.
    pub key: Option<String>,
    /// Whether a newer version of this code wrote it.
    pub is_newer: bool,
}

impl Record {
    /// Reads one. What makes no sense counts as not there: a status that nobody knows is [`Status::Queued`], so that
    /// nothing is dropped for it.
    pub(super) fn read(entity: &Entity) -> Self {
        let time = |name: &str| entity.int(name).and_then(DateTime::from_timestamp_millis);
        let text = |name: &str| entity.str(name).map(str::to_owned);
        let call = text("fingerprint").map(|fingerprint| CallNote {
            fingerprint,
            alerts: entity.int("alerts").and_then(|alerts| u32::try_from(alerts).ok()).unwrap_or(1),
            next: text("next"),
        });
        Self {
            id: entity.key.row.clone(),
            status: entity.str("status").and_then(Status::from_word).unwrap_or(Status::Queued),
            conversation: text("conversation").unwrap_or_default(),
            accepted_at: time("acceptedAt"),
            put_at: time("putAt"),
            failed_at: time("failedAt"),
            unconfirmed_at: time("unconfirmedAt"),
            cancelled_at: time("cancelledAt"),
            taken_at: time("takenAt").filter(|at| *at > DateTime::UNIX_EPOCH),
            tried: text("tried"),
            message: text("message"),
            call,
            key: text("key"),
            is_newer: entity.int("version").is_some_and(|version| version > VERSION),
        }
    }

    /// Its status for whoever asks. What the poller says counts before what the bot says: a Put that failed may have been done.
    pub fn shown_status(&self) -> Status {
        match self.status {
            status if status.is_final() => status,
            _ if self.cancelled_at.is_some() => Status::Cancelled,
            // An attempt of which nobody knows is not undone by one that certainly failed.
            Status::Queued if self.put_at.is_none() && self.unconfirmed_at.is_some() => Status::Unconfirmed,
            Status::Queued if self.put_at.is_none() && self.failed_at.is_some() => Status::Failed,
            status => status,
        }
    }

    /// Whether its message may be missing on the queue: whoever accepted it was cut off, or the queue did not take it.
    pub fn may_not_be_queued(&self) -> bool {
        !self.shown_status().is_final() && self.put_at.is_none()
    }

    /// Whether the key of its call still answers for it.
    pub fn answers_for_key(&self, now: DateTime<Utc>) -> bool {
        self.accepted_at.is_some_and(|accepted| now - accepted < KEY_TERM)
    }
}

/// Something became of an alert.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transition {
    /// Whose.
    pub key: RecordKey,
    /// What.
    pub status: Status,
    /// Why, in words for people.
    pub reason: Option<String>,
    /// What the Connector calls it.
    pub activity_id: Option<String>,
    /// Whether nobody knows if it was delivered.
    pub uncertain: bool,
    /// What was tried, in the poller's own words.
    pub tried: Option<String>,
    /// The message that stands in the poison queue, by the id that it had on the queue.
    pub message: Option<String>,
    /// When the alert is due. A copy of its message is good until some days after that, so the record has to last as long: it
    /// may say that the alert was cancelled.
    pub until: Option<DateTime<Utc>>,
}

impl Transition {
    /// With nothing else to tell.
    pub fn to(key: RecordKey, status: Status) -> Self {
        Self {
            key,
            status,
            reason: None,
            activity_id: None,
            uncertain: false,
            tried: None,
            message: None,
            until: None,
        }
    }

    pub(super) fn entity(&self, now: DateTime<Utc>) -> Entity {
        let mut entity = Entity::new(self.key.to_key());
        let mut set = |name: &str, value: Option<Value>| {
            if let Some(value) = value {
                entity.properties.insert(name.to_owned(), value);
            }
        };
        set("version", Some(VERSION.into()));
        set("status", Some(self.status.as_str().into()));
        set("reason", self.reason.as_deref().map(|reason| shortened(reason).into()));
        set("activityId", self.activity_id.as_deref().map(|id| shortened(id).into()));
        set("uncertain", self.uncertain.then_some(true.into()));
        set("tried", self.tried.clone().map(Value::from));
        set("message", self.message.clone().map(Value::from));
        entity.int64("changedAt", now.timestamp_millis());
        // Of a message that the poller met first, nobody else writes the end.
        if self.status.is_final() {
            entity.int64("endsAt", ends_at(now, self.until));
        }
        entity
    }
}

impl NewAlert {
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
        entity.properties = properties;
        entity.int64("acceptedAt", now.timestamp_millis());
        entity.int64("endsAt", ends_at(now, self.until));
        entity
    }
}

/// When a record may be taken away.
pub(super) fn ends_at(now: DateTime<Utc>, until: Option<DateTime<Utc>>) -> i64 {
    let last = until.map_or(now, |until| until.max(now));
    last.timestamp_millis().saturating_add(KEPT.num_milliseconds())
}

/// A reason may quote what a Connector answered: the first thousand characters tell enough.
fn shortened(text: &str) -> String {
    text.chars().take(1000).collect()
}
