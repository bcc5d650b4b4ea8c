//! The earliest start of lanes and tenants.

use std::time::Duration;

/// The moments before which the messages of a key must not start. This is a list and not a map, because a run
/// has at most some dozens of lanes at a time, however long the queue is.
#[derive(Debug)]
pub(super) struct NotBefore<K>(Vec<(K, Duration)>);

impl<K> Default for NotBefore<K> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<K: PartialEq> NotBefore<K> {
    /// Returns the moment of this key; zero, which has passed, if there is none.
    pub(super) fn until(&self, key: &K) -> Duration {
        self.0.iter().find(|(other, _)| other == key).map(|(_, until)| *until).unwrap_or_default()
    }

    /// Sets the moment of this key, and removes moments that have passed.
    pub(super) fn set(&mut self, key: K, until: Duration, now: Duration) {
        self.0.retain(|(other, until)| *until > now && *other != key);
        self.0.push((key, until));
    }
}
