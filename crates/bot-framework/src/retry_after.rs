//! Reads the pause that a service asks for. A service can send the pause in the header `Retry-After` (RFC
//! 9110 section 10.2.3), or in a member of the JSON body.

use std::time::Duration;

use chrono::{DateTime, NaiveDateTime, Utc};
use http::HeaderMap;
use http::header::RETRY_AFTER;
use serde_json::Value;

/// The names that services use for the member that holds the pause. The value of the member is a number of
/// seconds, perhaps with a fraction, or a date.
const MEMBERS: [&str; 4] = ["retryAfter", "retryAfterSeconds", "retry_after", "Retry-After"];

/// JSON pointers to the objects that can have the member:
///
/// - the whole body,
/// - the member `error` in a response of Teams,
/// - the body of another service's response, inside a response of Teams,
/// - the member `parameters` in a response of Telegram.
const PLACES: [&str; 4] = ["", "/error", "/error/innerHttpError/body", "/parameters"];

/// Returns the longest pause that the headers and the body ask for. Each value can come from a different
/// service, and the longest pause satisfies all these services. The function ignores negative numbers, and
/// texts that are neither a number nor a date.
pub(crate) fn of_response(headers: &HeaderMap, body: &Value, now: DateTime<Utc>) -> Option<Duration> {
    let members = PLACES.iter().filter_map(|place| body.pointer(place)).flat_map(|object| {
        MEMBERS.iter().filter_map(|name| match object.get(*name)? {
            Value::Number(number) => read(&number.to_string(), now),
            Value::String(text) => read(text, now),
            _ => None,
        })
    });
    members.chain(of_headers(headers, now)).max()
}

/// Returns the longest pause that the headers ask for.
pub fn of_headers(headers: &HeaderMap, now: DateTime<Utc>) -> Option<Duration> {
    let values = headers.get_all(RETRY_AFTER).iter().filter_map(|value| value.to_str().ok());
    values.filter_map(|value| read(value, now).or_else(|| longest_of_list(value, now))).max()
}

/// Returns the longest pause of a list with commas. A gateway can join two headers into such a list.
fn longest_of_list(value: &str, now: DateTime<Utc>) -> Option<Duration> {
    value.split(',').filter_map(|part| read(part, now)).max()
}

fn read(value: &str, now: DateTime<Utc>) -> Option<Duration> {
    let value = value.trim();
    read_seconds(value).or_else(|| {
        // A date in the past means no pause.
        Some((read_date(value)? - now).to_std().unwrap_or_default())
    })
}

/// Reads a number of seconds, and rounds a fraction up. A number too large for `u64` becomes `u64::MAX`.
fn read_seconds(value: &str) -> Option<Duration> {
    let (whole, fraction) = value.split_once('.').unwrap_or((value, ""));
    let is_number = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || !is_number(whole) || !is_number(fraction) {
        return None;
    }
    let has_fraction = fraction.bytes().any(|digit| digit != b'0');
    let seconds = whole.parse().unwrap_or(u64::MAX);
    Some(Duration::from_secs(seconds.saturating_add(u64::from(has_fraction))))
}

/// Reads a date in one of HTTP's three forms (RFC 9110 section 5.6.7), or in the form of RFC 3339.
fn read_date(value: &str) -> Option<DateTime<Utc>> {
    let obsolete = || {
        let forms = ["%A, %d-%b-%y %H:%M:%S GMT", "%a %b %e %H:%M:%S %Y"];
        forms.iter().find_map(|form| NaiveDateTime::parse_from_str(value, form).ok())
    };
    DateTime::parse_from_rfc2822(value)
        .or_else(|_| DateTime::parse_from_rfc3339(value))
        .map(|date| date.with_timezone(&Utc))
        .ok()
        .or_else(|| Some(obsolete()?.and_utc()))
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use serde_json::json;

    use super::*;

    fn seconds(values: &[&str], body: &Value) -> Option<u64> {
        let now = "2026-11-23T22:00:00Z".parse().unwrap();
        let values = values.iter().map(|value| (RETRY_AFTER, HeaderValue::from_str(value).unwrap()));
        let mut headers = HeaderMap::new();
        values.for_each(|(name, value)| _ = headers.append(name, value));
        of_response(&headers, body, now).map(|after| after.as_secs())
    }

    #[test]
    fn retry_after_header_is_read_as_seconds_or_as_a_date() {
        for (value, expected) in [
            ("0", Some(0)),
            ("7", Some(7)),
            (" 7 ", Some(7)),
            ("007", Some(7)),
            ("1.5", Some(2)),
            ("7.000", Some(7)),
            ("99999999999999999999999", Some(u64::MAX)),
            ("Mon, 23 Nov 2026 22:00:30 GMT", Some(30)),
            ("Mon, 23 Nov 2026 21:00:00 GMT", Some(0)),
            ("Monday, 23-Nov-26 22:00:30 GMT", Some(30)),
            ("Mon Nov 23 22:00:30 2026", Some(30)),
            ("2026-11-23T22:00:30Z", Some(30)),
            ("2026-11-23T23:00:30+01:00", Some(30)),
            ("Mon, 23 Nov 2026", None),
            ("-1", None),
            ("+7", None),
            (".5", None),
            ("1.5.2", None),
            ("7s", None),
            ("soon", None),
            ("", None),
        ] {
            assert_eq!(seconds(&[value], &Value::Null), expected, "{value}");
        }
        assert_eq!(seconds(&[], &Value::Null), None);
    }

    #[test]
    fn longest_pause_in_several_retry_after_headers_or_in_a_list_is_returned() {
        for (values, expected) in [
            (["7", "9"].as_slice(), Some(9)),
            (&["9", "soon"], Some(9)),
            (&["soon", "9"], Some(9)),
            (&["7, 9"], Some(9)),
            (&["7", "Mon, 23 Nov 2026 22:00:30 GMT"], Some(30)),
            (&["-7, x"], None),
        ] {
            assert_eq!(seconds(values, &Value::Null), expected, "{values:?}");
        }
    }

    #[test]
    fn retry_after_in_the_body_is_read() {
        for (body, expected) in [
            (json!({"retryAfter": 7}), Some(7)),
            (json!({"retryAfter": 1.5}), Some(2)),
            (json!({"retryAfter": "7"}), Some(7)),
            (json!({"retryAfter": -7}), None),
            (json!({"retryAfter": null}), None),
            (json!({"error": {"code": "Throttled", "retryAfterSeconds": 7}}), Some(7)),
            (json!({"error": {"innerHttpError": {"statusCode": 429, "body": {"retryAfter": 7}}}}), Some(7)),
            (json!({"ok": false, "parameters": {"retry_after": 7}}), Some(7)),
            (json!({"message": {"retryAfter": 7}}), None),
            (json!([7]), None),
        ] {
            assert_eq!(seconds(&[], &body), expected, "{body}");
        }
        assert_eq!(seconds(&["3"], &json!({"retryAfter": 7})), Some(7));
        assert_eq!(seconds(&["9"], &json!({"retryAfter": 7})), Some(9));
    }
}
