//! When a heartbeat is due: at a random moment within what the server asks for, so that many clients' spread.

use std::time::Duration;

use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};
use tokio::time::Instant;

/// Shortest interval, whatever the server asks for.
const SHORTEST: Duration = Duration::from_millis(10);

/// When the next one is due.
#[derive(Debug)]
pub(crate) struct Heartbeats {
    rng: SmallRng,
    shortest: Duration,
    longest: Duration,
    due: Option<Instant>,
}

impl Heartbeats {
    /// None until [`Heartbeats::start`]; a seed makes the same intervals again.
    pub(crate) fn new(seed: u64) -> Self {
        let never = Duration::MAX;
        Self { rng: SmallRng::seed_from_u64(seed), shortest: never, longest: never, due: None }
    }

    /// The server has said how often: shortest and longest interval, milliseconds.
    pub(crate) fn set_interval(&mut self, [shortest, longest]: [u32; 2]) {
        self.shortest = Duration::from_millis(shortest.into()).max(SHORTEST);
        self.longest = Duration::from_millis(longest.into()).max(self.shortest);
    }

    /// The longest interval, as far as the server has said.
    pub(crate) fn longest(&self) -> Duration {
        self.longest
    }

    /// From now on there is something to tell of.
    pub(crate) fn start(&mut self, now: Instant) {
        self.due = now.checked_add(self.interval());
    }

    /// There is nothing more to tell of.
    pub(crate) fn stop(&mut self) {
        self.due = None;
    }

    /// When the next one is due, if one will be.
    pub(crate) fn next(&self) -> Option<Instant> {
        self.due
    }

    /// Whether one is due; if so the next is due an interval later.
    pub(crate) fn is_due(&mut self, now: Instant) -> bool {
        let is_due = self.due.is_some_and(|due| due <= now);
        if is_due {
            self.start(now);
        }
        is_due
    }

    fn interval(&mut self) -> Duration {
        self.rng.random_range(self.shortest..=self.longest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intervals_spread_over_what_the_server_asks_for() {
        let mut heartbeats = Heartbeats::new(1);
        heartbeats.set_interval([3_500, 7_000]);
        let begun = Instant::now();
        heartbeats.start(begun);
        let mut last = begun;
        let mut intervals = Vec::new();
        for tenth in 0..36_000 {
            let now = begun + Duration::from_millis(100 * tenth);
            if heartbeats.is_due(now) {
                intervals.push((now - last).as_millis());
                last = now;
            }
        }
        assert!(intervals.len() > 600, "{}", intervals.len());
        assert!(intervals.iter().all(|ms| (3_500..=7_100).contains(ms)), "{intervals:?}");
        for part in [3_500..4_400, 6_100..7_100] {
            let share = intervals.iter().filter(|ms| part.contains(*ms)).count();
            assert!(share * 8 > intervals.len(), "{share} of {} in {part:?} ms", intervals.len());
        }
    }

    #[test]
    fn none_is_due_before_the_start_after_the_end_or_while_the_interval_is_not_known() {
        let now = Instant::now();
        let mut heartbeats = Heartbeats::new(1);
        let hour = Duration::from_secs(3_600);
        heartbeats.start(now);
        assert!(!heartbeats.is_due(now + hour));
        heartbeats.set_interval([10, 20]);
        assert!(!heartbeats.is_due(now + hour));
        heartbeats.start(now);
        heartbeats.stop();
        assert!(!heartbeats.is_due(now + hour));
    }
}
