//! How long an accuser leaves a suspect in peace that others hear.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use roomkeeper_types::NodeId;

const FIRST: Duration = Duration::from_millis(500);
const MAX: Duration = Duration::from_secs(30);
/// A suspect that nobody spoke for in this time begins anew.
const FORGET: Duration = Duration::from_secs(60);

/// One accuser's patience with each suspect. Pure: the clock is an argument.
#[derive(Default)]
pub(super) struct Patience {
    by_suspect: HashMap<NodeId, (Duration, Instant)>,
}

impl Patience {
    /// A voter hears the suspect. Returns how long to leave it in peace: twice as long as the last time.
    pub(super) fn was_alive(&mut self, suspect: NodeId, now: Instant) -> Duration {
        let known = self.by_suspect.get(&suspect).filter(|(_, at)| now.duration_since(*at) < FORGET);
        let pause = known.map_or(FIRST, |(last, _)| (*last * 2).min(MAX));
        self.by_suspect.insert(suspect, (pause, now));
        pause
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn suspect_that_lives_is_left_in_peace_longer_each_time() {
        let (mut patience, now) = (Patience::default(), Instant::now());
        let pauses: Vec<u64> =
            (0..8).map(|_| patience.was_alive(NodeId(1), now).as_millis() as u64).collect();
        assert_eq!(pauses, [500, 1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000]);
        assert_eq!(patience.was_alive(NodeId(2), now), FIRST);
        assert_eq!(patience.was_alive(NodeId(1), now + FORGET), FIRST);
    }
}
