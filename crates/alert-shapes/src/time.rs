//! Writes times in the form that a card shows.

use chrono::{DateTime, Datelike, Utc};

/// Turns a time of RFC 3339 into the form `2026-11-27 09:12 UTC`. `None` if the text is no time, or if the
/// year is not 1971 to 9999. Alertmanager writes a missing time as a time in the year 1, and a card must not
/// show this time.
pub(crate) fn shown(text: &str) -> Option<String> {
    let time = DateTime::parse_from_rfc3339(text.trim()).ok()?.with_timezone(&Utc);
    is_real(&time).then(|| minutes(&time))
}

/// Turns seconds since 1970 into the form `2026-11-27 09:12 UTC`. `None` if the year is not 1971 to 9999.
pub(crate) fn of_seconds(seconds: i64) -> Option<String> {
    let time = DateTime::from_timestamp(seconds, 0)?;
    is_real(&time).then(|| minutes(&time))
}

fn is_real(time: &DateTime<Utc>) -> bool {
    (1971..=9999).contains(&time.year())
}

fn minutes(time: &DateTime<Utc>) -> String {
    use chrono::Timelike;
    format!(
        "{:04}-{:02}-{:02} {:02}:{:02} UTC",
        time.year(),
        time.month(),
        time.day(),
        time.hour(),
        time.minute()
    )
}
