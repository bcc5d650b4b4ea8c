//! Dates in HTTP headers.

use chrono::{DateTime, Datelike, Timelike, Utc};

/// Writes a date in the form that the services of Azure Storage require: RFC 1123, always GMT
/// (`Mon, 23 Nov 2026 22:00:00 GMT`).
///
/// The function does not use chrono's format strings (`%Y`), because chrono's parser of these strings adds
/// 10 KB to the WebAssembly component. The function does not use `format!` either, because this code is
/// faster, and each request has a date.
pub fn rfc_1123(time: DateTime<Utc>) -> String {
    const WEEKDAYS: [&str; 7] = ["Mon, ", "Tue, ", "Wed, ", "Thu, ", "Fri, ", "Sat, ", "Sun, "];
    const MONTHS: [&str; 12] = [
        " Jan ", " Feb ", " Mar ", " Apr ", " May ", " Jun ", " Jul ", " Aug ", " Sep ", " Oct ", " Nov ",
        " Dec ",
    ];
    let two_digits = |number: u32| [number / 10, number].map(|number| char::from(b'0' + (number % 10) as u8));
    let weekday = WEEKDAYS.get(time.weekday().num_days_from_monday() as usize);
    let month = MONTHS.get(time.month0() as usize);
    let year = time.year().unsigned_abs();
    let mut date = String::with_capacity("Mon, 23 Nov 2026 22:00:00 GMT".len());
    date.extend(weekday.copied());
    date.extend(two_digits(time.day()));
    date.extend(month.copied());
    date.extend(two_digits(year / 100));
    date.extend(two_digits(year));
    for (separator, number) in [(' ', time.hour()), (':', time.minute()), (':', time.second())] {
        date.push(separator);
        date.extend(two_digits(number));
    }
    date.push_str(" GMT");
    date
}

/// Reads a date in the form of [`rfc_1123`]. `None` if the text is no date.
pub fn parse_rfc_1123(text: &str) -> Option<DateTime<Utc>> {
    DateTime::parse_from_rfc2822(text).ok().map(|time| time.with_timezone(&Utc))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn date_is_written_in_rfc_1123_and_read_back() {
        for (time, expected) in [
            ("2026-11-23T22:00:00Z", "Mon, 23 Nov 2026 22:00:00 GMT"),
            ("2027-01-02T03:04:05.999Z", "Sat, 02 Jan 2027 03:04:05 GMT"),
            ("2028-02-29T23:59:59+02:00", "Tue, 29 Feb 2028 21:59:59 GMT"),
            ("2026-12-31T00:00:00Z", "Thu, 31 Dec 2026 00:00:00 GMT"),
        ] {
            let time: DateTime<chrono::FixedOffset> = time.parse().unwrap();
            assert_eq!(rfc_1123(time.to_utc()), expected);
            assert_eq!(parse_rfc_1123(expected).map(rfc_1123).as_deref(), Some(expected));
        }
    }
}
