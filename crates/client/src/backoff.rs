//! How long to wait before the next attempt: full jitter, so that the clients of a dead node do not come
//! back as one.

use std::time::Duration;

use rand::{Rng, RngExt};

/// The first wait is 0 to this long.
const FIRST: Duration = Duration::from_millis(50);
/// No wait is longer.
const LONGEST: Duration = Duration::from_secs(2);

/// Attempts since the last success.
#[derive(Debug, Default)]
pub(crate) struct Backoff {
    failures: u32,
}

impl Backoff {
    /// The wait before the next attempt: 0 to 50 ms, then 0 to twice as much each time, up to 2 s.
    pub(crate) fn next(&mut self, rng: &mut impl Rng) -> Duration {
        let ceiling = self.ceiling();
        self.failures = self.failures.saturating_add(1);
        rng.random_range(Duration::ZERO..=ceiling)
    }

    /// An attempt succeeded.
    pub(crate) fn reset(&mut self) {
        self.failures = 0;
    }

    fn ceiling(&self) -> Duration {
        let factor = 2u32.saturating_pow(self.failures);
        FIRST.checked_mul(factor).map_or(LONGEST, |wait| wait.min(LONGEST))
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand::rngs::SmallRng;

    use super::*;

    #[test]
    fn wait_repeated_doubles_its_ceiling_to_two_seconds() {
        let mut backoff = Backoff::default();
        let mut rng = SmallRng::seed_from_u64(1);
        let ceilings: Vec<u128> = (0..9)
            .map(|_| {
                let ceiling = backoff.ceiling();
                let wait = backoff.next(&mut rng);
                assert!(wait <= ceiling, "{wait:?} above {ceiling:?}");
                ceiling.as_millis()
            })
            .collect();
        assert_eq!(ceilings, [50, 100, 200, 400, 800, 1600, 2000, 2000, 2000]);
    }

    #[test]
    fn wait_of_many_clients_spreads_over_the_whole_range() {
        let mut rng = SmallRng::seed_from_u64(7);
        let waits: Vec<u128> = (0..400).map(|_| Backoff::default().next(&mut rng).as_millis()).collect();
        for decile in 0..5 {
            let range = decile * 10..(decile + 1) * 10;
            let share = waits.iter().filter(|&wait| range.contains(wait)).count();
            assert!((40..=120).contains(&share), "{share} of 400 waits in {range:?} ms");
        }
    }

    #[test]
    fn wait_after_success_starts_anew() {
        let mut backoff = Backoff { failures: 40 };
        assert_eq!(backoff.ceiling(), LONGEST);
        backoff.reset();
        assert_eq!(backoff.ceiling(), FIRST);
    }
}
