//! How long synced writes take.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

const RANGES: usize = SyncTimes::BOUNDS.len() + 1;

/// How many synced writes took how long, since the engine was opened.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SyncTimes {
    /// Writes by the first of [`SyncTimes::BOUNDS`] that they did not exceed; the last: by none.
    pub counts: [u64; RANGES],
    /// What all took together, to the microsecond.
    pub sum: Duration,
}

impl SyncTimes {
    /// Upper bounds, inclusive, ascending.
    pub const BOUNDS: [Duration; 13] = [
        Duration::from_micros(100),
        Duration::from_micros(250),
        Duration::from_micros(500),
        Duration::from_millis(1),
        Duration::from_micros(2_500),
        Duration::from_millis(5),
        Duration::from_millis(10),
        Duration::from_millis(25),
        Duration::from_millis(50),
        Duration::from_millis(100),
        Duration::from_millis(250),
        Duration::from_secs(1),
        Duration::from_secs(5),
    ];

    /// Writes in all.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }
}

/// The same while it is counted: one thread writes, any may read.
#[derive(Debug, Default)]
pub(super) struct Counted {
    counts: [AtomicU64; RANGES],
    sum_us: AtomicU64,
}

impl Counted {
    pub(super) fn add(&self, time: Duration) {
        let range = SyncTimes::BOUNDS.partition_point(|bound| *bound < time);
        // There is one more range than bounds.
        self.counts[range].fetch_add(1, Ordering::Relaxed);
        self.sum_us.fetch_add(u64::try_from(time.as_micros()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    pub(super) fn read(&self) -> SyncTimes {
        SyncTimes {
            counts: std::array::from_fn(|range| self.counts[range].load(Ordering::Relaxed)),
            sum: Duration::from_micros(self.sum_us.load(Ordering::Relaxed)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_at_a_bound_is_within_it_and_one_above_all_is_counted_too() {
        let counted = Counted::default();
        for us in [1, 100, 101, 5_000_001] {
            counted.add(Duration::from_micros(us));
        }
        let times = counted.read();
        assert_eq!((times.counts[0], times.counts[1], times.counts[RANGES - 1]), (2, 1, 1));
        assert_eq!((times.count(), times.sum), (4, Duration::from_micros(5_000_203)));
    }
}
