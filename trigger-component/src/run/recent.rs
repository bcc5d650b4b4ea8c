//! The alerts that a run has delivered last.

use std::collections::VecDeque;
use std::hash::{DefaultHasher, Hash, Hasher};

use state::ledger::{RecordKey, Status};

/// The most alerts that are kept. If the response to a Put is lost, the producer repeats the Put within
/// seconds. So the two copies are close together on the queue.
const CAPACITY: usize = 512;

/// The alerts that a run has delivered last, by their records. Each key is stored with its hash, because the
/// keys begin alike, so it is slow to compare hundreds of them.
#[derive(Debug, Default)]
pub(super) struct Recent(VecDeque<(u64, RecordKey, RecentEnd)>);

/// How an alert of [`Recent`] has ended.
#[derive(Debug)]
pub(super) struct RecentEnd {
    /// The id of the message with which the alert ended, if the id is known.
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
    fn record_beyond_the_capacity_replaces_the_oldest() {
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
