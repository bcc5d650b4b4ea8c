//! The figures of a queue: the counts over all runs of the queue, and some facts about the last run. A *run*
//! is one execution of the poller. Only the run that holds the *run lock* works on the queue.
//!
//! A run counts in memory. The run stores the figures in the record of the run lock. The run has to write
//! this record regularly anyway, to renew the lock. So the figures cost no additional storage call.
//!
//! The same record lists the messages that the run has *in hand*: the run has dequeued them, and has not
//! finished them. When a message has left the queue, the run counts the message. One write stores the new
//! count, and removes the message from this list. So no count is lost, even in these cases:
//!
//! - The run is killed before this write. The next run finds the message in the list. If the queue no longer
//!   holds the message, the next run counts the message.
//! - The Delete of the message fails. The run does not count the message. A later run deletes the message,
//!   and counts it.

use std::collections::BTreeMap;
use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

/// The upper bounds of the buckets of [`Delays`], in milliseconds. A delay above the last bound counts in
/// no bucket.
pub const DELAY_BOUNDS_MILLISECONDS: [u64; 12] =
    [100, 250, 500, 1_000, 2_500, 5_000, 10_000, 30_000, 60_000, 300_000, 900_000, 3_600_000];

/// The greatest number of messages in `Figures::missing`.
const MAX_MISSING: usize = 200;

/// The greatest number of conversations in [`Figures::paused`].
pub const MAX_PAUSED: usize = 20;

/// The figures of a queue. Times are in milliseconds since 1970. A time of zero means that the event has not
/// happened.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Figures {
    /// When counting began.
    pub since: i64,
    /// The number of messages that runs have dequeued for the first time. A run stores this number with its
    /// next write. If the run is killed before this write, the number is too low. Then
    /// [`Figures::raise_accepted`] corrects the number. When all messages have left the queue, the number is
    /// right again.
    pub accepted: u64,
    /// The numbers of messages that have left the queue, by the word for the final status of the alert. The
    /// messages on the poison queue count in `dead` instead. Two further words are no status:
    ///
    /// - `copy`: another message had already ended the same alert.
    /// - `unrecorded`: a killed run has probably deleted the message, and the final status is unknown.
    pub ended: BTreeMap<String, u64>,
    /// The numbers of messages that runs have moved to the poison queue, by the word for the reason.
    pub dead: BTreeMap<String, u64>,
    /// The numbers of attempts after which the alert had to wait, by the result of the attempt: `throttled`,
    /// `retried`, `hostOut` (the Connector's host is down), `notInstalled` (the bot is not installed),
    /// `possiblyDelivered`, `notDue`. The report that each run writes to the log uses the same words.
    pub waits: BTreeMap<String, u64>,
    /// The delays of delivered alerts.
    pub delays: Delays,
    /// The number of *missing* messages (see `missing`) that a later run has dequeued. These messages were
    /// counted by mistake in `ended` or `dead`.
    pub found_again: u64,
    /// The last time at which the Connector accepted an alert.
    pub delivered_at: i64,
    /// The last time at which a run ended without a failure.
    pub succeeded_at: i64,
    /// The last run that held the run lock.
    pub last_run: LastRun,
    /// The Connector hosts that the last run treated as down when it ended. On Teams, each region counts as a
    /// host.
    pub hosts_out: Vec<String>,
    /// The conversations that runs have paused. The conversation with the newest pause is the last one.
    pub paused: Vec<PausedConversation>,
    /// The ids of the *missing* messages. The newest id is the last one. A message becomes missing in three
    /// steps:
    ///
    /// 1. A run has the message in hand, and is killed.
    /// 2. The next run tries to make the message visible. The queue refuses the *pop receipt*, the text with
    ///    which a run deletes or updates a message that it has dequeued.
    /// 3. The next run assumes that the killed run has deleted the message. So the next run counts the
    ///    message in `ended` or `dead`, and adds the message to this list.
    ///
    /// This assumption can be wrong. Perhaps the killed run has hidden the message until the next try. Then
    /// the old pop receipt is invalid, too. Later, a run dequeues the message, and counts the message in
    /// `found_again`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub missing: Vec<String>,
}

/// The delays of delivered alerts. A delay begins when the bot accepts the alert, or when the alert is due,
/// whichever is later. The delay ends when the Connector accepts the alert.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Delays {
    /// The number of alerts in each bucket of [`DELAY_BOUNDS_MILLISECONDS`]. Each alert counts in at most one
    /// bucket.
    pub buckets: [u64; DELAY_BOUNDS_MILLISECONDS.len()],
    /// The number of delivered alerts.
    pub count: u64,
    /// The sum of the delays.
    pub sum_milliseconds: u64,
}

/// The last run that held the run lock.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct LastRun {
    /// The run's id in the log.
    pub id: String,
    /// The entry point that started the run: `cron`, `http`, or `kick` (the call that the bot makes after it
    /// has put a message on the queue).
    pub entry_point: String,
    /// When the run began.
    pub began_at: i64,
    /// When the run released the lock; zero while the run works, or if the run was killed.
    pub ended_at: i64,
    /// The number of messages that the run dequeued.
    pub received: u64,
    /// The number of alerts that the run delivered.
    pub delivered: u64,
    /// The reason why the run failed or stopped early, as text for people. Empty if the run succeeded.
    pub failure: String,
}

/// A conversation that a run has paused.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct PausedConversation {
    /// The conversation's key.
    pub conversation: String,
    /// When the pause ends. If a person writes to the bot in this conversation, or installs the bot again,
    /// the pause ends earlier.
    pub until: i64,
}

impl Delays {
    /// Adds the delay of one alert.
    pub fn add(&mut self, delay: Duration) {
        let milliseconds = u64::try_from(delay.as_millis()).unwrap_or(u64::MAX);
        self.count += 1;
        self.sum_milliseconds = self.sum_milliseconds.saturating_add(milliseconds);
        let bucket = DELAY_BOUNDS_MILLISECONDS.iter().position(|bound| milliseconds <= *bound);
        if let Some(count) = bucket.and_then(|bucket| self.buckets.get_mut(bucket)) {
            *count += 1;
        }
    }
}

impl Figures {
    /// Reads the stored figures. If `text` holds no readable figures, all counts begin again at zero.
    pub(super) fn read(text: Option<&str>, now: DateTime<Utc>) -> Self {
        let read: Option<Self> = text.and_then(|text| serde_json::from_slice(text.as_bytes()).ok());
        let mut figures = read.unwrap_or_default();
        if figures.since == 0 {
            figures.since = now.timestamp_millis();
        }
        figures
    }

    pub(super) fn to_json(&self) -> String {
        // Writing JSON into memory does not fail.
        serde_json::to_string(self).unwrap_or_default()
    }

    /// The number of messages that have left the queue.
    pub fn gone_messages(&self) -> u64 {
        let counted: u64 = self.ended.values().chain(self.dead.values()).sum();
        counted.saturating_sub(self.found_again)
    }

    /// Raises `accepted` to the number of messages that have left the queue. If `accepted` is greater
    /// already, changes nothing. `accepted` can be too low because a run was killed before it could store
    /// `accepted`.
    pub fn raise_accepted(&mut self) {
        self.accepted = self.accepted.max(self.gone_messages());
    }

    /// Removes a conversation from `paused`, because an alert was delivered to the conversation.
    pub fn remove_paused(&mut self, conversation: &str) {
        self.paused.retain(|paused| paused.conversation != conversation);
    }

    /// Adds a message to `missing`. If the list is full, removes the oldest message from the list.
    pub fn add_missing(&mut self, message: &str) {
        if self.missing.len() >= MAX_MISSING {
            self.missing.remove(0);
        }
        self.missing.push(message.to_owned());
    }

    /// Removes a message from `missing`, because a run has dequeued the message again. Returns whether the
    /// message was in the list.
    pub fn remove_missing(&mut self, message: &str) -> bool {
        let before = self.missing.len();
        self.missing.retain(|missing| missing != message);
        self.missing.len() != before
    }

    /// Adds a conversation to `paused`, and removes the conversations whose pauses have ended. If the
    /// list is still full, also removes the conversation at the start of the list.
    pub fn add_paused(&mut self, conversation: &str, until: DateTime<Utc>, now: DateTime<Utc>) {
        let ends_later = |paused: &PausedConversation| paused.until > now.timestamp_millis();
        self.paused.retain(|paused| paused.conversation != conversation && ends_later(paused));
        if self.paused.len() >= MAX_PAUSED {
            self.paused.remove(0);
        }
        let until = until.timestamp_millis();
        self.paused.push(PausedConversation { conversation: conversation.to_owned(), until });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delay_counts_in_the_bucket_with_the_lowest_bound_that_is_at_least_the_delay() {
        let mut delays = Delays::default();
        for (milliseconds, bucket) in
            [(0, Some(0)), (100, Some(0)), (101, Some(1)), (3_600_000, Some(11)), (3_600_001, None)]
        {
            let before = delays.clone();
            delays.add(Duration::from_millis(milliseconds));
            let changed =
                (0..delays.buckets.len()).find(|index| delays.buckets[*index] != before.buckets[*index]);
            assert_eq!((changed, delays.count), (bucket, before.count + 1), "{milliseconds}");
        }
    }

    #[test]
    fn figures_of_another_version_keep_the_known_properties_and_unreadable_figures_begin_at_zero() {
        let now = DateTime::from_timestamp_millis(1_795_471_200_000).unwrap();
        let read = Figures::read(Some(r#"{"accepted": 7, "unknown": [], "lastRun": {"id": "r"}}"#), now);
        assert_eq!((read.accepted, read.last_run.id.as_str()), (7, "r"));
        for text in [None, Some(""), Some("[]"), Some(r#"{"accepted":"x"}"#)] {
            let read = Figures::read(text, now);
            assert_eq!((read.accepted, read.since), (0, now.timestamp_millis()), "{text:?}");
        }
        assert_eq!(Figures::read(Some(&read.to_json()), now), read);
    }

    #[test]
    fn accepted_count_below_the_number_of_gone_messages_is_raised_to_this_number() {
        for (accepted, found_again, expected) in [(2, 0, 5), (2, 1, 4), (5, 0, 5), (9, 0, 9)] {
            let mut figures = Figures { accepted, found_again, ..Figures::default() };
            figures.ended = [("delivered".to_owned(), 3), ("copy".to_owned(), 1)].into();
            figures.dead = [("permanent".to_owned(), 1)].into();
            figures.raise_accepted();
            assert_eq!(figures.accepted, expected, "{accepted} accepted, {found_again} found again");
        }
    }

    #[test]
    fn paused_conversations_are_at_most_20_and_are_removed_after_the_pause_ends() {
        let at = |seconds: i64| DateTime::from_timestamp(1_795_471_200 + seconds, 0).unwrap();
        let mut figures = Figures::default();
        for index in 0..30 {
            figures.add_paused(&format!("c{index}"), at(100 + index), at(0));
        }
        figures.add_paused("c29", at(500), at(0));
        let of =
            |figures: &Figures| figures.paused.iter().map(|one| one.conversation.clone()).collect::<Vec<_>>();
        assert_eq!((figures.paused.len(), of(&figures).last().cloned()), (MAX_PAUSED, Some("c29".into())));
        figures.add_paused("new", at(900), at(300));
        assert_eq!(of(&figures), ["c29", "new"]);
    }
}
