//! The calls that an instance makes to its host.

use serde::{Deserialize, Serialize};

/// The numbers of calls to the host.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HostCalls {
    /// Reads of variables.
    pub variables: u64,
    /// Reads of one key.
    pub key_value_reads: u64,
    /// Sets and deletions of one key.
    pub key_value_writes: u64,
    /// Outbound requests.
    pub outbound_calls: u64,
}
