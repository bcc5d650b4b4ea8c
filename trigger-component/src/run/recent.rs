//! What a run has delivered last.

use std::collections::VecDeque;
use std::hash::{DefaultHasher, Hash, Hasher};

use state::ledger::RecordKey;

/// A Put whose answer was lost is repeated within seconds: the copies stand close together. However long the queue is, a run
/// remembers no more.
const REMEMBERED: usize = 512;

/// The alerts that a run has delivered last, by their records, each with its hash: hundreds of keys that begin alike are not
/// compared for every alert.
#[derive(Debug, Default)]
pub(super) struct Recent(VecDeque<(u64, RecordKey)>);

impl Recent {
    pub(super) fn insert(&mut self, record: RecordKey) {
        if self.0.len() == REMEMBERED {
            self.0.pop_front();
        }
        self.0.push_back((hash_of(&record), record));
    }

    pub(super) fn contains(&self, record: &RecordKey) -> bool {
        let hash = hash_of(record);
        self.0.iter().any(|other| other.0 == hash && other.1 == *record)
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
    fn the_oldest_are_forgotten() {
        let record =
            |index: usize| RecordKey::of_message(&index.to_string(), true, chrono::DateTime::UNIX_EPOCH);
        let mut recent = Recent::default();
        for index in 0..=REMEMBERED {
            recent.insert(record(index));
        }
        assert!(
            !recent.contains(&record(0))
                && recent.contains(&record(1))
                && recent.contains(&record(REMEMBERED))
        );
    }
}
