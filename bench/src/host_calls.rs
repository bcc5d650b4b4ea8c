//! Counts of *host calls*: the calls of a component to its host, the program that runs the component.

use serde::{Deserialize, Serialize};

/// The number of host calls of each kind.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HostCalls {
    /// Reads of variables.
    pub variables: u64,
    /// Reads from the key-value store, each of one key.
    pub key_value_reads: u64,
    /// Writes and deletions in the key-value store, each of one key.
    pub key_value_writes: u64,
    /// Outbound HTTP requests.
    pub outbound_calls: u64,
}
