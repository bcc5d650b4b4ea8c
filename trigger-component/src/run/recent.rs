//! The last alerts that a run has delivered. If the run dequeues a copy of a queue message, the run finds the
//! alert here.

use std::collections::VecDeque;
use std::hash::{DefaultHasher, Hash, Hasher};

use state::ledger::{RecordKey, Status};

/// The most alerts in the list. The list can be short, because two copies of a message are close together on
/// the queue: if the response to a Put is lost, the bot repeats the Put within seconds.
const CAPACITY: usize = 512;

/// The last alerts that a run has delivered, by the table keys of their records in the ledger. Each table key
/// is stored with its hash. A comparison of hashes is faster, because the keys begin with the same
/// characters.
#[derive(Debug, Default)]
pub(super) struct Recent(VecDeque<(u64, RecordKey, RecentEnd)>);

/// The end of an alert in [`Recent`].
#[derive(Debug)]
pub(super) struct RecentEnd {
    /// The id of the queue message with which a run ended the alert; `None` if the id is unknown. A message
    /// of the alert with another id is a copy.
    pub(super) message: Option<String>,
    pub(super) status: Status,
}

impl Recent {
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
        let mut recent = Recent::default();
        for index in 0..=CAPACITY {
            recent.insert(record(index), RecentEnd { message: None, status: Status::Delivered });
        }
        let has = |index| recent.find(&record(index)).is_some();
        assert!(!has(0) && has(1) && has(CAPACITY));
    }
}
