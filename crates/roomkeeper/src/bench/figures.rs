//! Times as percentiles, rounds as medians.

use std::time::Duration;

use hdrhistogram::Histogram;
use serde::Serialize;

/// Largest time that is told apart, in microseconds; longer ones count as this.
const MICROS_MAX: u64 = 60_000_000;

/// A collection of times, exact to a thousandth.
#[derive(Debug, Clone)]
pub(crate) struct Times(Histogram<u64>);

impl Times {
    pub(crate) fn new() -> Self {
        // Fails only for bounds that make no sense.
        #[allow(clippy::expect_used, reason = "constant bounds: 1 is below half of the maximum")]
        Self(Histogram::new_with_bounds(1, MICROS_MAX, 3).expect("bounds of a histogram"))
    }

    pub(crate) fn record(&mut self, time: Duration) {
        let micros = u64::try_from(time.as_micros()).unwrap_or(MICROS_MAX);
        self.0.saturating_record(micros.clamp(1, MICROS_MAX));
    }

    pub(crate) fn add(&mut self, other: &Self) {
        // Both have the same bounds, so that every value fits.
        self.0 += &other.0;
    }

    pub(crate) fn percentiles(&self) -> Percentiles {
        let at = |quantile| self.0.value_at_quantile(quantile) as f64 / 1_000.0;
        Percentiles {
            count: self.0.len(),
            p50: at(0.5),
            p90: at(0.9),
            p99: at(0.99),
            p999: at(0.999),
            max: self.0.max() as f64 / 1_000.0,
        }
    }
}

/// Milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(crate) struct Percentiles {
    pub(crate) count: u64,
    pub(crate) p50: f64,
    pub(crate) p90: f64,
    pub(crate) p99: f64,
    #[serde(rename = "p99.9")]
    pub(crate) p999: f64,
    pub(crate) max: f64,
}

impl std::fmt::Display for Percentiles {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { p50, p90, p99, p999, max, .. } = self;
        write!(f, "p50 {p50:.2} ms, p90 {p90:.2} ms, p99 {p99:.2} ms, p99.9 {p999:.2} ms, max {max:.2} ms")
    }
}

/// The value in the middle, or the mean of the two that are; 0 of none.
pub(crate) fn median(values: impl IntoIterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.into_iter().collect();
    values.sort_by(f64::total_cmp);
    let middle = |index: usize| values.get(index).copied().unwrap_or_default();
    f64::midpoint(middle(values.len().saturating_sub(1) / 2), middle(values.len() / 2))
}

/// Several rounds in words: each value, by `tell`.
pub(crate) fn each<T>(rounds: &[T], tell: impl Fn(&T) -> String) -> String {
    rounds.iter().map(tell).collect::<Vec<_>>().join(" · ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_of_known_times() {
        let (mut even, mut odd) = (Times::new(), Times::new());
        for ms in 1..=1_000 {
            let times = if ms % 2 == 0 { &mut even } else { &mut odd };
            times.record(Duration::from_millis(ms));
        }
        even.add(&odd);
        let found = even.percentiles();
        assert_eq!(found.count, 1_000);
        for (value, expected) in [
            (found.p50, 500.0),
            (found.p90, 900.0),
            (found.p99, 990.0),
            (found.p999, 999.0),
            (found.max, 1000.0),
        ] {
            assert!((value - expected).abs() <= expected / 500.0, "{value} instead of {expected}");
        }
    }

    #[test]
    fn median_is_the_middle() {
        assert!((median([3.0, 1.0, 2.0]) - 2.0).abs() < 1e-9);
        assert!((median([4.0, 1.0, 2.0, 3.0]) - 2.5).abs() < 1e-9);
        assert!(median([]).abs() < 1e-9);
    }

    #[test]
    fn time_beyond_the_range_counts_as_the_longest() {
        let mut times = Times::new();
        times.record(Duration::ZERO);
        times.record(Duration::from_secs(3_600));
        assert!(times.percentiles().max >= 59_000.0);
    }
}
