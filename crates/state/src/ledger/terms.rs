//! How long the ledger keeps records and idempotency keys.

use chrono::TimeDelta;

/// How long a record is kept after the alert was accepted, was due, or reached its final status. The latest
/// of these times counts.
pub const KEPT: TimeDelta = TimeDelta::days(7);

/// How long an idempotency key identifies its call. The term must not be longer than a period
/// ([`Period`](super::Period)), because the bot searches for the key only in the current and in the previous
/// period.
pub const KEY_TERM: TimeDelta = TimeDelta::hours(24);
