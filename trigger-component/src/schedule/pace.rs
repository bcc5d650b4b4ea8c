//! Who must not start before which moment.

use std::time::Duration;

/// A list, and not a map: a run has some dozens of lanes at a time, however long the queue is.
#[derive(Debug)]
pub(super) struct NotBefore<K>(Vec<(K, Duration)>);

impl<K> Default for NotBefore<K> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<K: PartialEq> NotBefore<K> {
    /// The moment; long ago, if there is none.
    pub(super) fn until(&self, key: &K) -> Duration {
        self.0.iter().find(|(other, _)| other == key).map(|(_, until)| *until).unwrap_or_default()
    }

    /// Sets it, and forgets whoever has rested.
    pub(super) fn set(&mut self, key: K, until: Duration, now: Duration) {
        self.0.retain(|(other, until)| *until > now && *other != key);
        self.0.push((key, until));
    }
}
