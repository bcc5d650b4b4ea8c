//! Durations of ISO 8601, such as `PT10M`, `P1DT12H` and `P2W`, in members such as `delay`, `every` and
//! `for`.

use std::time::Duration;

/// The units before the `T`, in order: the letter, and the number of seconds. Years and months are not
/// allowed, because their length is not fixed.
const DATE_PARTS: [(char, u64); 2] = [('W', 7 * 24 * 60 * 60), ('D', 24 * 60 * 60)];
/// The units after the `T`, in order.
const TIME_PARTS: [(char, u64); 3] = [('H', 60 * 60), ('M', 60), ('S', 1)];

/// Reads a duration in weeks, days, hours, minutes and seconds, each as a whole number. Returns `None` for
/// any other text.
pub(super) fn parse(text: &str) -> Option<Duration> {
    let text = text.strip_prefix('P')?;
    let (date, time) = match text.split_once('T') {
        Some((date, time)) => (date, Some(time).filter(|time| !time.is_empty())?),
        None => (Some(text).filter(|date| !date.is_empty())?, ""),
    };
    let seconds = sum(date, &DATE_PARTS)?.checked_add(sum(time, &TIME_PARTS)?)?;
    Some(Duration::from_secs(seconds))
}

fn sum(mut text: &str, parts: &[(char, u64)]) -> Option<u64> {
    let mut parts = parts.iter();
    let mut total: u64 = 0;
    while !text.is_empty() {
        let end = text.find(|c: char| !c.is_ascii_digit())?;
        let (number, rest) = text.split_at(end);
        let letter = rest.chars().next()?;
        // The iterator `parts` does not go back. So each letter can occur only once, and the letters must
        // have the order of `parts`.
        let (_, seconds) = parts.find(|(known, _)| *known == letter)?;
        total = total.checked_add(number.parse::<u64>().ok()?.checked_mul(*seconds)?)?;
        text = &rest[letter.len_utf8()..];
    }
    Some(total)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn duration_has_whole_numbers_and_units_in_descending_order() {
        for (text, expected) in [
            ("PT10M", Some(600)),
            ("PT0S", Some(0)),
            ("P1D", Some(86_400)),
            ("P2W", Some(1_209_600)),
            ("P1DT12H", Some(129_600)),
            ("P1W1DT1H1M1S", Some(694_861)),
            ("PT90M", Some(5400)),
            ("PT18446744073709551615S", Some(u64::MAX)),
            ("PT18446744073709551616S", None),
            ("P1DT18446744073709551615S", None),
            ("P30500568904944W", None),
            ("P", None),
            ("PT", None),
            ("P1DT", None),
            ("", None),
            ("10M", None),
            ("P10M", None),
            ("P1Y", None),
            ("PT1D", None),
            ("P1H", None),
            ("PTM", None),
            ("PT1", None),
            ("PT1.5H", None),
            ("PT-1M", None),
            ("-PT1M", None),
            ("PT1M1H", None),
            ("PT1M1M", None),
            ("PT1Mü", None),
            ("PT1ü", None),
            ("pt1m", None),
            (" PT1M", None),
        ] {
            assert_eq!(parse(text), expected.map(Duration::from_secs), "{text}");
        }
    }
}
