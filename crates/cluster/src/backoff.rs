//! Pauses between attempts: doubling, with jitter, bounded.

use std::time::Duration;

/// The pauses of one series of attempts.
pub(crate) struct Backoff {
    next: Duration,
    max: Duration,
}

impl Backoff {
    /// From 20 ms to 1 s: where what is waited for takes an election at most.
    pub(crate) fn quick() -> Self {
        Self { next: Duration::from_millis(20), max: Duration::from_secs(1) }
    }

    /// From 200 ms to 5 s: where somebody else must become well first.
    pub(crate) fn patient() -> Self {
        Self { next: Duration::from_millis(200), max: Duration::from_secs(5) }
    }

    /// How long to wait now: between half and all of a time that doubles with each call.
    pub(crate) fn next(&mut self) -> Duration {
        let pause = self.next.mul_f64(rand::random_range(0.5..=1.0));
        self.next = (self.next * 2).min(self.max);
        pause
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_bound() {
        let mut backoff = Backoff::quick();
        let pauses: Vec<Duration> = (0..10).map(|_| backoff.next()).collect();
        assert!(pauses[0] >= Duration::from_millis(10) && pauses[0] <= Duration::from_millis(20));
        assert!(pauses[9] >= Duration::from_millis(500) && pauses[9] <= Duration::from_secs(1));
    }
}
