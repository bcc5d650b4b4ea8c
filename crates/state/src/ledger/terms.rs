//! How long the ledger keeps what it knows.

use chrono::TimeDelta;

/// How long a record is kept after its alert was accepted, was due, or reached its final status.
pub const KEPT: TimeDelta = TimeDelta::days(7);

/// How long an idempotency key identifies its call. The term must not be longer than a period, because the
/// bot searches only the current period and the one before.
pub const KEY_TERM: TimeDelta = TimeDelta::hours(24);
