//! How many shards each node gets: the share of its weight, in whole shards.

/// What bounds a member's number of seats, besides its weight.
pub(crate) struct Bounds<'a> {
    /// How many seats each member has now, by index: of several that are next, one that has more than it was dealt
    /// so far goes first, so that seats stay where they are.
    pub(crate) has: &'a [u64],
    /// Most seats of each member, by index.
    pub(crate) member_max: &'a [u64],
    /// Each member's zone, by index.
    pub(crate) zones: &'a [usize],
    /// Most seats of one zone together.
    pub(crate) zone_max: u64,
}

/// Deals out `seats` one by one, each to the member that has the fewest for its weight and is below its bounds
/// (the first of several). Adams' method of apportionment, made to stop at bounds.
///
/// No member gets more than its share rounded up. The share is seats × weight / all weights where no bound is
/// met; what a bound keeps from one member or zone is shared out among the others in the same way. Of equal
/// members in equal zones none has more than one seat above another.
///
/// The bounds must leave room for all seats; those that find none are not dealt.
pub(crate) fn deal(weights: &[u64], seats: u64, bounds: &Bounds<'_>) -> Vec<u64> {
    let mut dealt = vec![0; weights.len()];
    let mut in_zone = vec![0; bounds.zones.iter().max().map_or(0, |last| last + 1)];
    for _ in 0..seats {
        let open = (0..weights.len())
            .filter(|&m| dealt[m] < bounds.member_max[m] && in_zone[bounds.zones[m]] < bounds.zone_max);
        // dealt / weight without fractions, then whether it has the seat already.
        let before = |a: usize, b: usize| {
            let order = (dealt[a] * weights[b]).cmp(&(dealt[b] * weights[a]));
            order.then_with(|| (dealt[b] < bounds.has[b]).cmp(&(dealt[a] < bounds.has[a])))
        };
        let least = open.reduce(|a, b| if before(b, a).is_lt() { b } else { a });
        let Some(least) = least else { break };
        dealt[least] += 1;
        in_zone[bounds.zones[least]] += 1;
    }
    dealt
}

#[cfg(test)]
mod tests {
    use super::*;

    fn deal_freely(weights: &[u64], seats: u64) -> Vec<u64> {
        let zones: Vec<usize> = (0..weights.len()).collect();
        let member_max = vec![seats; weights.len()];
        deal(
            weights,
            seats,
            &Bounds { has: &vec![0; weights.len()], member_max: &member_max, zones: &zones, zone_max: seats },
        )
    }

    #[test]
    fn equal_weights_get_equal_seats_but_for_the_remainder() {
        assert_eq!(deal_freely(&[1, 1, 1], 32), [11, 11, 10]);
        assert_eq!(deal_freely(&[3, 3, 3], 32), [11, 11, 10]);
    }

    #[test]
    fn weights_share_in_proportion_and_nobody_exceeds_its_share_rounded_up() {
        assert_eq!(deal_freely(&[1, 3], 32), [8, 24]);
        for seats in 1..200 {
            let weights = [1, 2, 50, 7, 100];
            for (got, weight) in deal_freely(&weights, seats).into_iter().zip(weights) {
                assert!(got <= (seats * weight).div_ceil(160), "{seats} seats, weight {weight}: {got}");
            }
        }
    }

    #[test]
    fn seats_that_remain_stay_where_they_are() {
        let zones = [0, 1, 2];
        let with = |has: &[u64]| {
            deal(&[1; 3], 32, &Bounds { has, member_max: &[32; 3], zones: &zones, zone_max: 32 })
        };
        assert_eq!(with(&[10, 11, 11]), [10, 11, 11]);
        assert_eq!(with(&[11, 21, 0]), [11, 11, 10]);
    }

    #[test]
    fn what_a_full_member_cannot_take_goes_to_the_others() {
        let bounds = Bounds { has: &[0; 3], member_max: &[10; 3], zones: &[0, 1, 2], zone_max: 30 };
        assert_eq!(deal(&[10, 1, 1], 20, &bounds), [10, 5, 5]);
    }

    #[test]
    fn what_a_full_zone_cannot_take_goes_to_the_others() {
        let bounds = Bounds { has: &[0; 5], member_max: &[12; 5], zones: &[0, 0, 0, 1, 2], zone_max: 12 };
        assert_eq!(deal(&[1; 5], 36, &bounds), [4, 4, 4, 12, 12]);
    }
}
