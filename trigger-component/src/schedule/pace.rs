//! The earliest start of the next message, for each lane or tenant. A *lane* holds the dequeued messages of
//! one conversation.

use std::time::Duration;

/// The earliest starts. `K` is the key of a lane or a tenant. This is a list and not a map, because a run has
/// at most some dozens of lanes at a time, even if the queue is long.
#[derive(Debug)]
pub(super) struct NotBefore<K>(Vec<(K, Duration)>);

impl<K> Default for NotBefore<K> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<K: PartialEq> NotBefore<K> {
    /// Returns the earliest start for a lane or tenant. If the list does not have this lane or tenant,
    /// returns zero, i.e. a moment that has passed already.
    pub(super) fn until(&self, key: &K) -> Duration {
        self.0.iter().find(|(other, _)| other == key).map(|(_, until)| *until).unwrap_or_default()
    }

    /// Sets the earliest start for a lane or tenant, and removes all entries whose moment has passed.
    pub(super) fn set(&mut self, key: K, until: Duration, now: Duration) {
        self.0.retain(|(other, until)| *until > now && *other != key);
        self.0.push((key, until));
    }
}
