//! The last alerts that this run has delivered, or has *withdrawn* (the run has deleted the alert's chat
//! message). The list also has alerts of the last run, if their final status is perhaps missing in the
//! *ledger* (the table with one record for each alert). Of these alerts, the list has only the delivered ones
//! and the *dropped* ones (a dropped alert was perhaps delivered, and is not sent again). The queue can hold
//! a second message of an alert (a *copy*). If the run dequeues a copy, the run finds the alert in this list,
//! and does not send the alert again.

use std::collections::VecDeque;
use std::hash::{DefaultHasher, Hash, Hasher};

use state::ledger::{RecordKey, Status};

/// The greatest number of alerts in the list. The list can be short, because the two messages of an alert are
/// close together on the queue: if the response to a Put Message call is lost, the bot repeats the call
/// within seconds.
const CAPACITY: usize = 512;

/// The list of alerts, the oldest first. Each entry has a hash of a table key, the table key, and the end of
/// the alert. The table key belongs to the alert's record in the ledger. The list compares the hashes first,
/// because this is faster: the table keys begin with the same characters.
#[derive(Debug, Default)]
pub(super) struct RecentEnds(VecDeque<(u64, RecordKey, RecentEnd)>);

/// How an alert in [`RecentEnds`] has ended.
#[derive(Debug)]
pub(super) struct RecentEnd {
    /// The id of the queue message from which a run got the alert; `None` if the id is unknown. If the alert
    /// has another queue message, that message is a copy.
    pub(super) message: Option<String>,
    pub(super) status: Status,
}

impl RecentEnds {
    pub(super) fn insert(&mut self, record: RecordKey, end: RecentEnd) {
        if self.0.len() == CAPACITY {
            self.0.pop_front();
        }
        self.0.push_back((hash_of(&record), record, end));
    }

    pub(super) fn find(&self, record: &RecordKey) -> Option<&RecentEnd> {
        let hash = hash_of(record);
        self.0.iter().find(|other| other.0 == hash && other.1 == *record).map(|(.., end)| end)
    }
}

fn hash_of(record: &RecordKey) -> u64 {
    let mut hasher = DefaultHasher::new();
    record.hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn insert_beyond_the_capacity_removes_the_oldest_alert() {
        let record =
            |index: usize| RecordKey::of_message(&index.to_string(), true, chrono::DateTime::UNIX_EPOCH);
        let mut recent = RecentEnds::default();
        for index in 0..=CAPACITY {
            recent.insert(record(index), RecentEnd { message: None, status: Status::Delivered });
        }
        let has = |index| recent.find(&record(index)).is_some();
        assert!(!has(0) && has(1) && has(CAPACITY));
    }
}
