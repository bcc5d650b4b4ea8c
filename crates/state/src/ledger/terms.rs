//! How long the ledger keeps the records of alerts, and how long idempotency keys are valid.

use chrono::TimeDelta;

/// How long the record of an alert is kept after the latest of these times: the acceptance, the due time, and
/// the last write of a status after the acceptance. Before the first such write, the time at which the alert
/// expires also counts.
pub const KEPT: TimeDelta = TimeDelta::days(7);

/// How long an idempotency key identifies an API call. This time must not be longer than a
/// [`Period`](super::Period) (eight days), because the bot searches for the key only in the current and in
/// the previous period.
pub const KEY_TERM: TimeDelta = TimeDelta::hours(24);
