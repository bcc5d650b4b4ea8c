//! Reads a member of an API call whose value is a time.

use bot_framework::json::{FieldError, Fields};
use chrono::{DateTime, Utc};

/// Takes the member `name` out of a body. The value of the member must be a time of RFC 3339. Returns `None`
/// if the body has no such member.
pub(super) fn take_time(fields: &mut Fields, name: &str) -> Result<Option<DateTime<Utc>>, FieldError> {
    match fields.string(name)? {
        None => Ok(None),
        Some(text) => DateTime::parse_from_rfc3339(&text)
            .map(|time| Some(time.with_timezone(&Utc)))
            .map_err(|_| fields.error(name, "a time of RFC 3339, such as 2027-01-31T12:00:00Z")),
    }
}
