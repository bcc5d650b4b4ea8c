//! The moments before which the next message of a lane or a tenant must not start.

use std::time::Duration;

/// For each lane or tenant: the moment before which its next message must not start. `K` is the key of the
/// lane or the tenant. This is a list and not a map, because a run has at most some dozens of lanes at a
/// time, even if the queue is long.
#[derive(Debug)]
pub(super) struct NotBefore<K>(Vec<(K, Duration)>);

impl<K> Default for NotBefore<K> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<K: PartialEq> NotBefore<K> {
    /// Returns the moment of a lane or tenant. If the list does not have this key, returns zero, i.e. a
    /// moment that has passed already.
    pub(super) fn until(&self, key: &K) -> Duration {
        self.0.iter().find(|(other, _)| other == key).map(|(_, until)| *until).unwrap_or_default()
    }

    /// Sets the moment of a lane or tenant, and removes the moments that have passed.
    pub(super) fn set(&mut self, key: K, until: Duration, now: Duration) {
        self.0.retain(|(other, until)| *until > now && *other != key);
        self.0.push((key, until));
    }
}
