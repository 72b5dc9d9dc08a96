//! How long a client may be silent before it is asked whether it is there, and given up.

use std::time::Duration;

/// Shortest and longest time between a client's heartbeats, milliseconds.
pub(super) const HEARTBEAT_MS: [u32; 2] = [3_500, 7_000];

/// The next heartbeat of a client is overdue after so long.
const BEAT_OVERDUE: Duration = Duration::from_millis(HEARTBEAT_MS[1] as u64 + 250);

/// How long a client may be silent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Patience {
    /// Then it is pinged.
    pub(crate) quiet: Duration,
    /// And given up after so long again.
    pub(crate) answer: Duration,
}

impl Patience {
    /// With a client that sends heartbeats, or does not. Whoever does needs no ping before the next one is overdue, and
    /// is then as silent as others that are given up; an interval that is shorter than heartbeats holds for all.
    pub(super) fn with(interval: Duration, beats: bool) -> Self {
        let shortest = Duration::from_millis(HEARTBEAT_MS[0].into());
        if beats && (shortest..BEAT_OVERDUE).contains(&interval) {
            return Self { quiet: BEAT_OVERDUE, answer: interval / 2 };
        }
        Self { quiet: interval, answer: interval }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn client_that_sends_heartbeats_is_asked_when_one_is_overdue_and_given_up_in_ten_seconds() {
        let (default, short, long) =
            (Duration::from_secs(4), Duration::from_millis(200), Duration::from_secs(60));
        for interval in [default, short, long] {
            assert_eq!(Patience::with(interval, false), Patience { quiet: interval, answer: interval });
        }
        let Patience { quiet, answer } = Patience::with(default, true);
        assert!(quiet > Duration::from_millis(HEARTBEAT_MS[1].into()), "{quiet:?}");
        assert!(quiet + answer < Duration::from_secs(10), "{quiet:?} {answer:?}");
        for interval in [short, long] {
            assert_eq!(Patience::with(interval, true), Patience::with(interval, false));
        }
    }
}
