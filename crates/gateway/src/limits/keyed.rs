//! A bucket for each user, or each room.

use std::collections::HashMap;
use std::hash::{BuildHasher, Hash, RandomState};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::bucket::{Bucket, Rate};

/// Locks over the buckets: senders of different keys seldom meet.
const STRIPES: usize = 16;
/// A map that is emptier than one in so many places gives its memory back.
const SLACK: usize = 8;

type Stripe<K> = Mutex<HashMap<K, Bucket, RandomState>>;

/// A bucket for each key, of one rate. One that is full is not kept: so there are as many as keys that were used within
/// the last second, and since the last sweep.
pub(crate) struct Buckets<K> {
    rate: Rate,
    hasher: RandomState,
    stripes: [Stripe<K>; STRIPES],
}

impl<K: Hash + Eq + Clone> Buckets<K> {
    pub(crate) fn new(rate: Rate) -> Self {
        let hasher = RandomState::new();
        let stripes = std::array::from_fn(|_| Mutex::new(HashMap::with_hasher(hasher.clone())));
        Self { rate, hasher, stripes }
    }

    /// The rate of each.
    pub(crate) fn rate(&self) -> Rate {
        self.rate
    }

    /// Takes so much from a key's bucket.
    ///
    /// # Errors
    /// As [`Bucket::take`].
    pub(crate) fn take(&self, key: &K, amount: u64, now: Instant) -> Result<(), Duration> {
        let mut stripe = self.stripe(key).lock();
        if let Some(bucket) = stripe.get_mut(key) {
            return bucket.take(self.rate, amount, now);
        }
        let mut bucket = Bucket::default();
        bucket.take(self.rate, amount, now)?;
        stripe.insert(key.clone(), bucket);
        Ok(())
    }

    /// Puts back what was taken for nothing.
    pub(crate) fn put_back(&self, key: &K, amount: u64) {
        if let Some(bucket) = self.stripe(key).lock().get_mut(key) {
            bucket.put_back(self.rate, amount);
        }
    }

    /// Forgets those that are full.
    pub(crate) fn sweep(&self, now: Instant) {
        for stripe in &self.stripes {
            let mut stripe = stripe.lock();
            stripe.retain(|_, bucket| !bucket.is_full(now));
            if stripe.capacity() > SLACK * (stripe.len() + SLACK) {
                stripe.shrink_to_fit();
            }
        }
    }

    fn stripe(&self, key: &K) -> &Stripe<K> {
        // The remainder is below the number of stripes.
        &self.stripes[self.hasher.hash_one(key) as usize % STRIPES]
    }

    #[cfg(test)]
    fn kept(&self) -> (usize, usize) {
        let sizes = self.stripes.iter().map(|stripe| {
            let stripe = stripe.lock();
            (stripe.len(), stripe.capacity())
        });
        sizes.fold((0, 0), |(len, capacity), (l, c)| (len + l, capacity + c))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn buckets(per_second: u32) -> Buckets<u64> {
        Buckets::new(Rate::new(per_second).unwrap())
    }

    #[test]
    fn each_key_has_a_bucket_of_its_own() {
        let (buckets, now) = (buckets(2), Instant::now());
        for key in 0..100 {
            assert_eq!(buckets.take(&key, 2, now), Ok(()));
        }
        assert!((0..100).all(|key| buckets.take(&key, 1, now).is_err()));
        buckets.put_back(&7, 1);
        assert_eq!((0..100).filter(|key| buckets.take(key, 1, now).is_ok()).collect::<Vec<_>>(), [7]);
    }

    #[test]
    fn bucket_that_is_not_full_outlives_a_sweep() {
        let (buckets, now) = (buckets(10), Instant::now());
        buckets.take(&1, 10, now).unwrap();
        buckets.sweep(now + Duration::from_millis(500));
        assert!(buckets.take(&1, 6, now + Duration::from_millis(500)).is_err());
        buckets.sweep(now + Duration::from_secs(1));
        assert_eq!(buckets.kept().0, 0);
    }

    #[test]
    fn million_keys_that_pass_through_leave_nothing_behind() {
        let buckets = buckets(100);
        let begun = Instant::now();
        let at = |key: u64| begun + Duration::from_micros(10 * key);
        for key in 0..1_000_000 {
            buckets.take(&key, 1, at(key)).unwrap();
            if key % 100_000 == 99_999 {
                buckets.sweep(at(key));
                let (len, capacity) = buckets.kept();
                // Each is full again after 10 ms, in which a thousand others come.
                assert!(len <= 1_000 && capacity <= 20_000, "{len} of {capacity} at {key}");
            }
        }
        buckets.sweep(at(1_001_000));
        let (len, capacity) = buckets.kept();
        assert!(len == 0 && capacity <= STRIPES * SLACK * SLACK, "{len} of {capacity}");
    }
}
