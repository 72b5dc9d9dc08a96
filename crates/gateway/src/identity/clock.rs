//! The time that tokens are looked at.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use roomkeeper_types::Timestamp;

/// A clock that does not go back while the process runs: a token that has expired stays so.
#[derive(Debug, Clone)]
pub(crate) struct Clock {
    /// The same moment by both clocks.
    wall: Timestamp,
    monotonic: Instant,
}

impl Clock {
    /// Starts now.
    pub(crate) fn start() -> Self {
        Self { wall: wall(), monotonic: Instant::now() }
    }

    /// The wall clock's time; if that was set back, the time it would have without.
    pub(crate) fn now(&self) -> Timestamp {
        later_of(wall(), self.wall, self.monotonic.elapsed())
    }
}

fn wall() -> Timestamp {
    // Before 1970 no token is valid anyway: `nbf` or not, such a clock is broken.
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp(millis(since))
}

fn later_of(wall: Timestamp, started: Timestamp, elapsed: Duration) -> Timestamp {
    wall.max(Timestamp(started.millis().saturating_add(millis(elapsed))))
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_goes_on_when_the_clock_is_set_back_an_hour() {
        let (started, hour) = (Timestamp(10_000_000), 3_600_000);
        let at = |wall, elapsed| later_of(Timestamp(wall), started, Duration::from_millis(elapsed)).millis();
        assert_eq!(at(10_005_000, 5_000), 10_005_000);
        assert_eq!(at(10_005_000 - hour, 5_000), 10_005_000);
        // Forward it is believed: a machine that slept, or whose clock was late.
        assert_eq!(at(10_005_000 + hour, 5_000), 10_005_000 + hour);
    }
}
