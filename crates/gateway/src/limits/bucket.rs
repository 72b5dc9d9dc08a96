//! A token bucket.

use std::num::NonZeroU32;
use std::time::{Duration, Instant};

/// A full bucket holds what its rate brings in this time.
const BURST: Duration = Duration::from_secs(1);

/// How much of something may come in a second.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Rate(NonZeroU32);

impl Rate {
    /// So much a second; `None` of 0, which means without a limit.
    pub(crate) fn new(per_second: u32) -> Option<Self> {
        NonZeroU32::new(per_second).map(Self)
    }

    /// How much a second.
    pub(crate) fn per_second(self) -> u32 {
        self.0.get()
    }

    /// The time in which so much comes.
    fn time_of(self, amount: u64) -> Duration {
        let nanos = u128::from(amount) * 1_000_000_000 / u128::from(self.0.get());
        Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }
}

/// A bucket that fills at a rate, up to a second's worth. It is full at the beginning.
///
/// Kept as the time at which it is full again (the generic cell rate algorithm). So one that is full is worth nothing:
/// it can be forgotten and begun anew.
///
/// More than it can ever hold is given to who finds it full, and is paid off afterwards: a batch that is larger than
/// the rate of a second gets through now and then, and the rate holds all the same.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Bucket {
    full_at: Option<Instant>,
}

impl Bucket {
    /// Takes so much.
    ///
    /// # Errors
    /// It does not hold so much; it would after this time, if nothing is taken until then.
    pub(crate) fn take(&mut self, rate: Rate, amount: u64, now: Instant) -> Result<(), Duration> {
        let time = rate.time_of(amount);
        let missing = self.missing(now);
        let wait = (missing + time.min(BURST)).saturating_sub(BURST);
        if wait.is_zero() {
            self.full_at = Some(now + missing + time);
            Ok(())
        } else {
            Err(wait)
        }
    }

    /// Puts back what was taken for nothing.
    pub(crate) fn put_back(&mut self, rate: Rate, amount: u64) {
        self.full_at = self.full_at.and_then(|at| at.checked_sub(rate.time_of(amount)));
    }

    /// Whether it is full.
    pub(crate) fn is_full(&self, now: Instant) -> bool {
        self.missing(now).is_zero()
    }

    /// How long it takes until it is full.
    fn missing(&self, now: Instant) -> Duration {
        self.full_at.map_or(Duration::ZERO, |at| at.saturating_duration_since(now))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rate(per_second: u32) -> Rate {
        Rate::new(per_second).unwrap()
    }

    fn ms(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    #[test]
    fn full_bucket_gives_a_seconds_worth_at_once_and_then_what_comes() {
        let (mut bucket, begun) = (Bucket::default(), Instant::now());
        for _ in 0..10 {
            assert_eq!(bucket.take(rate(10), 1, begun), Ok(()));
        }
        assert_eq!(bucket.take(rate(10), 1, begun), Err(ms(100)));
        assert_eq!(bucket.take(rate(10), 3, begun), Err(ms(300)));
        assert_eq!(bucket.take(rate(10), 1, begun + ms(99)), Err(ms(1)));
        assert_eq!(bucket.take(rate(10), 1, begun + ms(100)), Ok(()));
        assert_eq!(bucket.take(rate(10), 1, begun + ms(100)), Err(ms(100)));
        // Refusals cost nothing.
        assert_eq!(bucket.take(rate(10), 10, begun + ms(1_100)), Ok(()));
    }

    #[test]
    fn whatever_is_asked_for_the_rate_holds_within_a_tenth() {
        for (amount, every_us) in [(1, 500), (1, 7_919), (7, 1_000), (250, 10_000)] {
            let (mut bucket, begun) = (Bucket::default(), Instant::now());
            let mut given = 0;
            let seconds = 60;
            for step in 0..seconds * 1_000_000 / every_us {
                let now = begun + Duration::from_micros(step * every_us);
                given += if bucket.take(rate(100), amount, now).is_ok() { amount } else { 0 };
            }
            // And the burst that it had at the beginning.
            let expected = 100 * (seconds + 1);
            assert!((given as f64 / expected as f64 - 1.0).abs() < 0.1, "{amount}: {given} of {expected}");
        }
    }

    #[test]
    fn more_than_it_holds_is_given_to_who_finds_it_full_and_paid_off_afterwards() {
        let (mut bucket, begun) = (Bucket::default(), Instant::now());
        assert_eq!(bucket.take(rate(100), 1_000, begun), Ok(()));
        assert_eq!(bucket.take(rate(100), 1, begun), Err(ms(9_010)));
        assert_eq!(bucket.take(rate(100), 1, begun + ms(9_010)), Ok(()));
        assert_eq!(bucket.take(rate(100), 1_000, begun + ms(10_000)), Err(ms(10)));
        assert_eq!(bucket.take(rate(100), 1_000, begun + ms(10_010)), Ok(()));
    }

    #[test]
    fn what_is_put_back_can_be_taken_again() {
        let (mut bucket, now) = (Bucket::default(), Instant::now());
        bucket.take(rate(10), 10, now).unwrap();
        bucket.put_back(rate(10), 4);
        assert_eq!(bucket.take(rate(10), 5, now), Err(ms(100)));
        assert_eq!(bucket.take(rate(10), 4, now), Ok(()));
    }

    #[test]
    fn bucket_is_full_again_when_all_that_was_taken_has_come_back() {
        let (mut bucket, now) = (Bucket::default(), Instant::now());
        assert!(bucket.is_full(now));
        bucket.take(rate(10), 5, now).unwrap();
        assert!(!bucket.is_full(now + ms(499)));
        assert!(bucket.is_full(now + ms(500)));
    }

    #[test]
    fn rate_of_zero_is_none() {
        assert_eq!(Rate::new(0), None);
    }
}
