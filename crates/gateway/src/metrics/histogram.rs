//! A histogram of times without a lock: prometheus-client's own takes one for each time.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use prometheus_client::encoding::{EncodeMetric, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;

/// How often times were in which range.
#[derive(Debug, Clone)]
pub(crate) struct Histogram(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    /// Upper bounds, inclusive, ascending.
    bounds: &'static [Duration],
    /// One for each bound, and one for what is above the last.
    counts: Box<[AtomicU64]>,
    /// Microseconds: 64 bits of them are half a million years.
    sum_us: AtomicU64,
}

impl Histogram {
    /// A histogram with these upper bounds, inclusive and ascending.
    pub(crate) fn new(bounds: &'static [Duration]) -> Self {
        let counts = (0..=bounds.len()).map(|_| AtomicU64::new(0)).collect();
        Self(Arc::new(Inner { bounds, counts, sum_us: AtomicU64::new(0) }))
    }

    /// Counts a time: two atomic additions.
    pub(crate) fn observe(&self, time: Duration) {
        let Inner { bounds, counts, sum_us } = &*self.0;
        let range = bounds.partition_point(|bound| *bound < time);
        // There is one more range than bounds.
        counts[range].fetch_add(1, Ordering::Relaxed);
        sum_us.fetch_add(u64::try_from(time.as_micros()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }
}

impl EncodeMetric for Histogram {
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> Result<(), fmt::Error> {
        let Inner { bounds, counts, sum_us } = &*self.0;
        let ends = bounds.iter().map(Duration::as_secs_f64).chain([f64::INFINITY]);
        let buckets: Vec<_> =
            ends.zip(counts.iter()).map(|(end, count)| (end, count.load(Ordering::Relaxed))).collect();
        let count = buckets.iter().map(|(_, count)| count).sum();
        let sum = Duration::from_micros(sum_us.load(Ordering::Relaxed)).as_secs_f64();
        encoder.encode_histogram::<NoLabelSet>(sum, count, &buckets, None)
    }

    fn metric_type(&self) -> MetricType {
        MetricType::Histogram
    }
}

#[cfg(test)]
mod tests {
    use prometheus_client::encoding::prometheus_text::encode;
    use prometheus_client::registry::Registry;

    use super::*;

    #[test]
    fn histogram_counts_a_time_in_every_range_that_ends_above_it() {
        static BOUNDS: [Duration; 2] = [Duration::from_millis(1), Duration::from_millis(250)];
        let histogram = Histogram::new(&BOUNDS);
        for ms in [1, 2, 250, 251, 3_000] {
            histogram.observe(Duration::from_millis(ms));
        }
        let mut registry = Registry::default();
        registry.register("t", "Times", histogram);
        let mut text = String::new();
        encode(&mut text, &registry).unwrap();
        let samples: Vec<_> = text.lines().filter(|line| !line.starts_with('#')).collect();
        let expected = [
            "t_bucket{le=\"0.001\"} 1",
            "t_bucket{le=\"0.25\"} 3",
            "t_bucket{le=\"+Inf\"} 5",
            "t_sum 3.504",
            "t_count 5",
        ];
        assert_eq!(samples, expected);
    }
}
