//! Writes OpenMetrics text: <https://github.com/prometheus/OpenMetrics/blob/v1.0.0/specification/OpenMetrics.md>.
//!
//! The text consists of *families*. A family is one metric: the type, the unit, a help text, and the
//! *samples*. A sample is one value with its labels (names and values).
//!
//! The value of a label can be a text from a table. Such a text must not add a line. So the module escapes
//! newlines, quotation marks and backslashes in the values of labels.

use std::fmt::{Display, Write};

use chrono::{DateTime, Utc};

/// The media type of the text.
pub(super) const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// The type of a metric family.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Counter,
    Gauge,
    Histogram,
    Info,
}

impl Kind {
    fn as_str(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
            Self::Info => "info",
        }
    }
}

/// OpenMetrics text. The caller adds one metric family after another.
#[derive(Debug, Default)]
pub(super) struct Exposition(String);

/// A metric family. The caller adds the samples.
#[derive(Debug)]
pub(super) struct Family<'e> {
    text: &'e mut String,
    name: &'static str,
}

/// The labels of a sample: names and values.
type Labels<'l> = &'l [(&'l str, &'l str)];

impl Exposition {
    /// Begins a metric family. `unit` is the last word of the name. If the metric has no unit, `unit` is
    /// empty.
    pub(super) fn family(
        &mut self,
        name: &'static str,
        kind: Kind,
        unit: &'static str,
        help: &'static str,
    ) -> Family<'_> {
        line(&mut self.0, format_args!("# TYPE {name} {}", kind.as_str()));
        if !unit.is_empty() {
            line(&mut self.0, format_args!("# UNIT {name} {unit}"));
        }
        line(&mut self.0, format_args!("# HELP {name} {help}"));
        Family { text: &mut self.0, name }
    }

    /// Returns the whole text.
    pub(super) fn finish(mut self) -> String {
        self.0.push_str("# EOF\n");
        self.0
    }
}

impl Family<'_> {
    /// Adds a sample of a gauge.
    pub(super) fn gauge(&mut self, labels: Labels<'_>, value: impl Display) {
        self.sample("", labels, value);
    }

    /// Adds the sample of a counter. If `since` is set, also adds the time at which the counting began.
    pub(super) fn counter(&mut self, labels: Labels<'_>, value: u64, since: Option<DateTime<Utc>>) {
        self.sample("_total", labels, value);
        self.created(labels, since);
    }

    /// Adds the samples of a histogram. Each element of `buckets` has the upper bound of a bucket, and the
    /// number of values in this bucket alone. `count` is the number of all values, and `sum` is their sum.
    pub(super) fn histogram(
        &mut self,
        buckets: impl Iterator<Item = (Decimal, u64)>,
        count: u64,
        sum: Decimal,
        since: Option<DateTime<Utc>>,
    ) {
        let mut cumulated = 0_u64;
        for (bound, values) in buckets {
            cumulated = cumulated.saturating_add(values);
            self.sample("_bucket", &[("le", &bound.canonical())], cumulated);
        }
        // In OpenMetrics, the count must be at least the cumulative number of each bucket. The stored count
        // is a separate number, perhaps from another version of the poller. So the function raises a count
        // that is lower than the sum of the buckets.
        let count = count.max(cumulated);
        self.sample("_bucket", &[("le", "+Inf")], count);
        self.sample("_count", &[], count);
        self.sample("_sum", &[], sum);
        self.created(&[], since);
    }

    /// Adds the sample of an info metric.
    pub(super) fn info(&mut self, labels: Labels<'_>) {
        self.sample("_info", labels, 1);
    }

    fn created(&mut self, labels: Labels<'_>, since: Option<DateTime<Utc>>) {
        if let Some(since) = since {
            self.sample("_created", labels, Decimal::seconds_since_1970(since));
        }
    }

    fn sample(&mut self, suffix: &str, labels: Labels<'_>, value: impl Display) {
        let mut shown = String::new();
        for (index, (name, text)) in labels.iter().enumerate() {
            let separator = if index == 0 { '{' } else { ',' };
            _ = write!(shown, "{separator}{name}=\"{}\"", escaped(text));
        }
        if !labels.is_empty() {
            shown.push('}');
        }
        line(self.text, format_args!("{}{suffix}{shown} {value}", self.name));
    }
}

/// A number with three decimal places. The field holds the number of thousandths.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Decimal(i64);

impl Decimal {
    /// Converts a duration in milliseconds to seconds.
    pub(super) fn seconds_of_milliseconds(milliseconds: u64) -> Self {
        Self(i64::try_from(milliseconds).unwrap_or(i64::MAX))
    }

    /// Converts a time to the seconds since 1970.
    pub(super) fn seconds_since_1970(time: DateTime<Utc>) -> Self {
        Self(time.timestamp_millis())
    }

    /// The canonical form of a bucket's bound: without zeros at the end, but with at least one decimal place.
    /// Examples are `0.5` and `1.0`. OpenMetrics requires this form in the label of the bucket.
    fn canonical(self) -> String {
        let text = self.to_string();
        let short = text.trim_end_matches('0');
        if short.ends_with('.') { format!("{short}0") } else { short.to_owned() }
    }
}

impl Display for Decimal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let sign = if self.0 < 0 { "-" } else { "" };
        let thousandths = self.0.unsigned_abs();
        write!(f, "{sign}{}.{:03}", thousandths / 1_000, thousandths % 1_000)
    }
}

fn line(text: &mut String, line: std::fmt::Arguments<'_>) {
    // Writing into memory does not fail.
    _ = writeln!(text, "{line}");
}

fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn label_value_of_any_text_adds_no_line() {
        let mut exposition = Exposition::default();
        let mut family = exposition.family("x", Kind::Gauge, "", "A test.");
        family.gauge(&[("a", "\"} 1\n# EOF\nx{a=\"\\"), ("b", "ü {,}")], 7);
        let expected = "# TYPE x gauge\n# HELP x A test.\n\
                        x{a=\"\\\"} 1\\n# EOF\\nx{a=\\\"\\\\\",b=\"ü {,}\"} 7\n# EOF\n";
        assert_eq!(exposition.finish(), expected);
    }

    #[test]
    fn buckets_of_a_histogram_are_cumulative_and_end_with_the_count() {
        let bounds = [100, 500, 1_000, 30_000].map(Decimal::seconds_of_milliseconds);
        // The buckets hold 6 values. A count of 2 is too low, so the text has the count 6 instead.
        for (count, all) in [(9, 9), (2, 6)] {
            let mut exposition = Exposition::default();
            let mut family = exposition.family("x_seconds", Kind::Histogram, "seconds", "A test.");
            let sum = Decimal::seconds_of_milliseconds(12_345);
            family.histogram(bounds.into_iter().zip([1, 2, 0, 3]), count, sum, None);
            let expected = format!(
                "# TYPE x_seconds histogram\n# UNIT x_seconds seconds\n# HELP x_seconds A test.\n\
                 x_seconds_bucket{{le=\"0.1\"}} 1\nx_seconds_bucket{{le=\"0.5\"}} 3\nx_seconds_bucket{{le=\"1.0\"}} 3\n\
                 x_seconds_bucket{{le=\"30.0\"}} 6\nx_seconds_bucket{{le=\"+Inf\"}} {all}\n\
                 x_seconds_count {all}\nx_seconds_sum 12.345\n# EOF\n"
            );
            assert_eq!(exposition.finish(), expected);
        }
    }

    #[test]
    fn decimal_has_three_places_and_a_canonical_form() {
        for (milliseconds, text, canonical) in [
            (0, "0.000", "0.0"),
            (5, "0.005", "0.005"),
            (2_500, "2.500", "2.5"),
            (3_600_000, "3600.000", "3600.0"),
            (-1_250, "-1.250", "-1.25"),
        ] {
            let decimal = Decimal(milliseconds);
            assert_eq!((decimal.to_string().as_str(), decimal.canonical().as_str()), (text, canonical));
        }
    }
}
