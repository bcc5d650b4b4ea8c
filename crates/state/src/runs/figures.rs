//! The figures of a queue: the counts of all its runs since the bot was deployed.
//!
//! A run counts in memory. The run stores the sums in the record of the run lock, with each write that the
//! lock needs anyway. So the figures cost no additional storage call.
//!
//! A message is counted once, when it has left the queue: one write stores the count and removes the message
//! from the list of messages in hand. If the run is killed before this write, the next run finds the message
//! in the list, and counts the message if the queue no longer holds it. If the Delete of a message fails, a
//! later run deletes the message and counts it. So no count is lost.

use std::collections::BTreeMap;
use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

/// The upper bounds of the buckets of [`Delays`], in milliseconds. A delay above the last bound counts in
/// no bucket.
pub const DELAY_BOUNDS_MILLISECONDS: [u64; 12] =
    [100, 250, 500, 1_000, 2_500, 5_000, 10_000, 30_000, 60_000, 300_000, 900_000, 3_600_000];

/// The most messages in `Figures::missing`.
const MAX_MISSING: usize = 200;

/// The most conversations in [`Figures::paused`].
pub const MAX_PAUSED: usize = 20;

/// The counts of all runs of a queue. Times are in milliseconds since 1970; zero means never.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Figures {
    /// When counting began.
    pub since: i64,
    /// Messages that a run has dequeued for the first time. A run dequeues messages with a Get, and stores
    /// this number with its next write. If the run is killed before this write, the number lacks the messages
    /// of the Get. [`Figures::settle`] corrects the number, at the latest when all messages have left the
    /// queue.
    pub accepted: u64,
    /// Messages that have left the queue, by the word of the alert's final status. Dead letters count in
    /// `dead` instead. Two further words name no status. `copy` counts the messages whose alert had already
    /// ended with another message. `unrecorded` counts the messages that a killed run has probably deleted,
    /// if the final status of the alert is unknown.
    pub ended: BTreeMap<String, u64>,
    /// Alerts that were moved to the poison queue, by the word of the reason.
    pub dead: BTreeMap<String, u64>,
    /// Attempts after which the alert had to wait, by their result: `throttled`, `retried`, `hostOut`,
    /// `notInstalled`, `possiblyDelivered`, `notDue`. The report of a run uses the same words.
    pub waits: BTreeMap<String, u64>,
    /// The delays of delivered alerts.
    pub delays: Delays,
    /// The number of messages that a run has dequeued again after they were counted in `ended` or `dead`.
    pub found_again: u64,
    /// When the Connector accepted an alert for the last time.
    pub delivered_at: i64,
    /// When a run ended without a failure for the last time.
    pub succeeded_at: i64,
    /// The last run that had the lock.
    pub last_run: LastRun,
    /// The Connector hosts (on Teams: regions) that counted as down when the last run ended.
    pub hosts_out: Vec<String>,
    /// The conversations that runs have paused, the newest last.
    pub paused: Vec<PausedConversation>,
    /// The ids of missing messages, the newest last. A message comes into this list in three steps:
    ///
    /// 1. A run had the message in hand, and was killed.
    /// 2. The next run wanted to make the message visible, but the queue refused the pop receipt.
    /// 3. So the next run assumed that the killed run had deleted the message, and counted the message as
    ///    gone.
    ///
    /// But perhaps the killed run had only hidden the message, which also makes the old pop receipt invalid.
    /// Then a later run dequeues the message, and counts it in `found_again`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub missing: Vec<String>,
}

/// The delays of delivered alerts. The delay of an alert is the time from its acceptance by the bot, or from
/// its due time, until the Connector accepted the alert.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Delays {
    /// The number of alerts in each bucket of [`DELAY_BOUNDS_MILLISECONDS`]. A bucket does not include the
    /// buckets before it.
    pub buckets: [u64; DELAY_BOUNDS_MILLISECONDS.len()],
    /// The number of delivered alerts.
    pub count: u64,
    /// The sum of the delays.
    pub sum_milliseconds: u64,
}

/// The last run that had the lock.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct LastRun {
    /// The run's id in the log.
    pub id: String,
    /// The run's entry point: `cron`, `http` or `kick`.
    pub entry_point: String,
    /// When the run began.
    pub began_at: i64,
    /// When the run released the lock; zero while the run works, or if the run was killed.
    pub ended_at: i64,
    /// The number of messages that the run dequeued.
    pub received: u64,
    /// The number of alerts that the run delivered.
    pub delivered: u64,
    /// The reason for which the run failed or stopped early, as text for people; otherwise empty.
    pub failure: String,
}

/// A conversation that a run has paused.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct PausedConversation {
    /// The conversation's key.
    pub conversation: String,
    /// When the pause ends, unless the person writes earlier.
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
    /// Reads the stored figures. If they cannot be read, all counts begin again at zero.
    pub(super) fn read(text: Option<&str>, now: DateTime<Utc>) -> Self {
        let read: Option<Self> = text.and_then(|text| serde_json::from_slice(text.as_bytes()).ok());
        let mut figures = read.unwrap_or_default();
        if figures.since == 0 {
            figures.since = now.timestamp_millis();
        }
        figures
    }

    pub(super) fn stored(&self) -> String {
        // Writing JSON into memory does not fail.
        serde_json::to_string(self).unwrap_or_default()
    }

    /// The number of messages that have left the queue.
    pub fn gone(&self) -> u64 {
        let counted: u64 = self.ended.values().chain(self.dead.values()).sum();
        counted.saturating_sub(self.found_again)
    }

    /// Raises `accepted` to the number of messages that have left the queue, if `accepted` is less. If a run
    /// was killed before it could record the messages of a Get, `accepted` lacks these messages.
    pub fn settle(&mut self) {
        self.accepted = self.accepted.max(self.gone());
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

    /// Adds a conversation to `paused`, and removes the conversations whose pauses have ended.
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
    fn figures_of_another_version_keep_the_members_that_this_version_knows() {
        let now = DateTime::from_timestamp_millis(1_795_471_200_000).unwrap();
        let read = Figures::read(Some(r#"{"accepted": 7, "unknown": [], "lastRun": {"id": "r"}}"#), now);
        assert_eq!((read.accepted, read.last_run.id.as_str()), (7, "r"));
        for text in [None, Some(""), Some("[]"), Some(r#"{"accepted":"x"}"#)] {
            let read = Figures::read(text, now);
            assert_eq!((read.accepted, read.since), (0, now.timestamp_millis()), "{text:?}");
        }
        assert_eq!(Figures::read(Some(&read.stored()), now), read);
    }

    #[test]
    fn settle_with_more_messages_gone_than_accepted_raises_the_accepted_count() {
        for (accepted, found_again, settled) in [(2, 0, 5), (2, 1, 4), (5, 0, 5), (9, 0, 9)] {
            let mut figures = Figures { accepted, found_again, ..Figures::default() };
            figures.ended = [("delivered".to_owned(), 3), ("copy".to_owned(), 1)].into();
            figures.dead = [("permanent".to_owned(), 1)].into();
            figures.settle();
            assert_eq!(figures.accepted, settled, "{accepted} accepted, {found_again} found again");
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
