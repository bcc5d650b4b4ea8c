//! The times in envelopes. The crate writes RFC 3339 in UTC with milliseconds, and reads all of RFC 3339.

use bot_framework::json::{FieldError, Fields};
use chrono::{DateTime, SecondsFormat, Utc};

pub(crate) fn to_text(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Millis, true)
}

pub(crate) fn take(fields: &mut Fields, name: &str) -> Result<Option<DateTime<Utc>>, FieldError> {
    let Some(text) = fields.string(name)? else { return Ok(None) };
    match DateTime::parse_from_rfc3339(&text) {
        Ok(time) => Ok(Some(time.with_timezone(&Utc))),
        Err(_) => Err(fields.error(name, "a time in the form of RFC 3339")),
    }
}
