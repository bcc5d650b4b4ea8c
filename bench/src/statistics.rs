//! Medians, spreads and percentiles.

use std::time::Duration;

/// The values of one quantity that was measured several times.
#[derive(Debug, Clone, Default)]
pub struct Samples(Vec<f64>);

impl Samples {
    /// Adds a value.
    pub fn push(&mut self, value: f64) {
        self.0.push(value);
        self.0.sort_by(f64::total_cmp);
    }

    /// The number of values.
    pub fn count(&self) -> usize {
        self.0.len()
    }

    /// The middle value. If the number of values is even, the upper of the two middle values.
    pub fn median(&self) -> f64 {
        self.0.get(self.0.len() / 2).copied().unwrap_or(f64::NAN)
    }

    /// The least and the greatest value.
    pub fn spread(&self) -> (f64, f64) {
        (self.0.first().copied().unwrap_or(f64::NAN), self.0.last().copied().unwrap_or(f64::NAN))
    }
}

/// A percentile of durations, in milliseconds. At least `percent` % of the durations are not longer than the
/// percentile. `sorted` must be in ascending order.
pub fn percentile_milliseconds(sorted: &[Duration], percent: usize) -> f64 {
    let rank = (sorted.len() * percent).div_ceil(100).clamp(1, sorted.len().max(1));
    sorted.get(rank - 1).map_or(f64::NAN, |duration| duration.as_secs_f64() * 1000.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn median_and_percentile_are_not_interpolated() {
        let mut samples = Samples::default();
        for value in [5.0, 1.0, 9.0] {
            samples.push(value);
        }
        assert_eq!((samples.median(), samples.spread(), samples.count()), (5.0, (1.0, 9.0), 3));
        let sorted: Vec<_> = (1..=200).map(Duration::from_millis).collect();
        for (percent, expected) in [(50, 100.0), (99, 198.0), (100, 200.0), (0, 1.0)] {
            assert_eq!(percentile_milliseconds(&sorted, percent), expected, "{percent}");
        }
        assert!(percentile_milliseconds(&[], 50).is_nan());
    }
}
