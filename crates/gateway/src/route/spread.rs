//! Over which time clients that lose their node together come back.

use std::time::Duration;

/// So few do no harm, whenever they come.
const SHORTEST: Duration = Duration::from_millis(50);
/// Nobody is asked to wait longer.
const LONGEST: Duration = Duration::from_secs(5);
/// What a node takes well on two cores: four handshakes, joins and pages of the log per millisecond.
const PER_MILLISECOND: usize = 4;

/// The time over which so many clients come back.
pub(crate) fn spread(clients: usize) -> Duration {
    let millis = u64::try_from(clients / PER_MILLISECOND).unwrap_or(u64::MAX);
    Duration::from_millis(millis).clamp(SHORTEST, LONGEST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spread_grows_with_the_clients_between_its_bounds() {
        let millis = [0, 100, 2_000, 10_000, 65_536, usize::MAX].map(|clients| spread(clients).as_millis());
        assert_eq!(millis, [50, 50, 500, 2_500, 5_000, 5_000]);
    }
}
