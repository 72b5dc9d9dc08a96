//! How long another node may be taken to be there.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// An answer is good for so long after its question. An owner that hears of no quorum for as long is none.
const GOOD_FOR: Duration = Duration::from_millis(1_500);

/// Until when another node may be taken to be there: some time after the last question that it answered. What it
/// sends unasked proves nothing, and neither does the time at which an answer is read: this process may have been
/// stopped in between.
pub(super) struct Pulse {
    base: Instant,
    /// Microseconds after `base`.
    until: AtomicU64,
}

impl Default for Pulse {
    fn default() -> Self {
        Self { base: Instant::now(), until: AtomicU64::new(0) }
    }
}

impl Pulse {
    /// Something that was sent at that time was answered.
    pub(super) fn answered(&self, sent: Instant) {
        let until = (sent + GOOD_FOR).saturating_duration_since(self.base).as_micros();
        self.until.fetch_max(u64::try_from(until).unwrap_or(u64::MAX), Ordering::AcqRel);
    }

    /// Whether the node may be taken to be there, now.
    pub(super) fn is_ahead(&self) -> bool {
        self.base.elapsed() < Duration::from_micros(self.until.load(Ordering::Acquire))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ago(millis: u64) -> Instant {
        Instant::now() - Duration::from_millis(millis)
    }

    #[test]
    fn pulse_without_an_answer_is_not_ahead() {
        assert!(!Pulse::default().is_ahead());
    }

    #[test]
    fn answer_counts_from_its_question() {
        for (sent, ahead) in [(0, true), (1_000, true), (1_500, false), (60_000, false)] {
            let pulse = Pulse { base: ago(100_000), until: AtomicU64::new(0) };
            pulse.answered(ago(sent));
            assert_eq!(pulse.is_ahead(), ahead, "asked {sent} ms ago");
        }
    }

    #[test]
    fn answer_to_an_older_question_takes_nothing_back() {
        let pulse = Pulse { base: ago(100_000), until: AtomicU64::new(0) };
        pulse.answered(ago(0));
        pulse.answered(ago(50_000));
        assert!(pulse.is_ahead());
    }
}
