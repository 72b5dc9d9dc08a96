//! The time that a shard's owner stamps on entries.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use roomkeeper_types::Timestamp;

/// Time as one shard replica sees it: max(clock, last stamp), so that a room's times never run backwards, not
/// even when ownership goes to a node whose clock is behind.
#[derive(Default)]
pub(crate) struct Stamps {
    last: AtomicU64,
    /// How many runs were applied.
    runs: AtomicU64,
}

impl Stamps {
    /// A run of entries was applied and can be read; its newest stamp is this.
    pub(crate) fn applied(&self, time: Timestamp) {
        self.last.fetch_max(time.millis(), Ordering::AcqRel);
        self.runs.fetch_add(1, Ordering::AcqRel);
    }

    /// A number that changes with every run that is applied.
    pub(crate) fn runs(&self) -> u64 {
        self.runs.load(Ordering::Acquire)
    }

    /// The stamp of the next entry.
    pub(crate) fn next(&self) -> Timestamp {
        self.next_at(clock())
    }

    fn next_at(&self, clock: u64) -> Timestamp {
        let last = self.last.fetch_max(clock, Ordering::AcqRel);
        Timestamp(last.max(clock))
    }
}

/// Milliseconds since the Unix epoch; 0 before it.
fn clock() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stamp_with_the_clock_behind_repeats_the_last() {
        let stamps = Stamps::default();
        assert_eq!(stamps.next_at(10), Timestamp(10));
        stamps.applied(Timestamp(50));
        assert_eq!(stamps.next_at(20), Timestamp(50));
        assert_eq!(stamps.next_at(60), Timestamp(60));
        assert_eq!(stamps.next_at(59), Timestamp(60));
    }
}
