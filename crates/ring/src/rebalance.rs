//! From a placement and the members of today to the next placement, with as few moves as possible.

use std::collections::VecDeque;

use roomkeeper_types::{NodeId, ShardCount};

use crate::place::{Plan, check, zone_max, zones};
use crate::quota::{Bounds, deal};
use crate::walk::Ring;
use crate::{Member, Placement, RingError};

/// Adapts a placement to these members, within the bounds of [`place`](crate::place): copies on nodes that are no
/// members any more go to others, and nodes with too many copies or shards to own give some to those with too few.
/// Everything else stays where it is; a placement that is within its bounds stays as it is. The ring's order of
/// preference only decides where a copy goes that has to be made anyway.
///
/// A member that is silent keeps its copies up to its share and gets none, so that a shard may have fewer copies than
/// asked for.
///
/// # Errors
/// The members make no sense, or there are none of weight above 0.
pub fn rebalance(
    current: &Placement,
    members: &[Member],
    shards: ShardCount,
    replicas: usize,
) -> Result<Placement, RingError> {
    let members = check(members, replicas)?;
    let mut plan = Plan::from_current(current, &members, shards, replicas.min(members.len()));
    let ring = Ring::new(&members);
    for shard in shards.iter() {
        let index = shard.0 as usize;
        plan.drop_surplus(index);
        plan.choose_copies(index, ring.walk(shard));
        plan.fill_anyhow(index);
    }
    for member in 0..members.len() {
        while plan.holdable[member] < 0 && plan.relieve(member) {}
    }
    let is_member = |node: &NodeId| members.iter().any(|member| member.node == *node);
    let (owned, orphaned): (Vec<usize>, Vec<usize>) = (0..plan.held.len()).partition(|&shard| {
        current.shards.get(shard).and_then(|shard| shard.nodes.first()).is_some_and(is_member)
    });
    for shard in owned {
        plan.ownable[plan.held[shard][0]] -= 1;
    }
    for shard in orphaned {
        plan.adopt(shard);
    }
    for member in 0..members.len() {
        while plan.ownable[member] < 0 && plan.pass_on(member) {}
    }
    Ok(plan.placement(&members, shards))
}

impl Plan {
    /// The copies of today that may stay, and how many each member may hold and own.
    fn from_current(current: &Placement, members: &[&Member], shards: ShardCount, replicas: usize) -> Self {
        let index = |node: &NodeId| members.binary_search_by_key(node, |member| member.node).ok();
        let held: Vec<Vec<usize>> = shards
            .iter()
            .map(|shard| current.shards.get(shard.0 as usize))
            .map(|held| held.iter().flat_map(|held| &held.nodes).filter_map(index).collect())
            .collect();
        let zones = zones(members);
        let zone_max = zone_max(&zones, replicas);
        let shards = u64::from(shards.get());
        let count = |held: &mut dyn Iterator<Item = usize>| {
            let mut counts = vec![0; members.len()];
            held.for_each(|member| counts[member] += 1);
            counts
        };
        let copies = count(&mut held.iter().flatten().copied());
        let owned = count(&mut held.iter().filter_map(|held| held.first().copied()));
        let seats = (shards * replicas as u64, shards * zone_max as u64);
        let mut holdable = share(members, &zones, shards, seats, &copies);
        for member in held.iter().flatten() {
            holdable[*member] -= 1;
        }
        let ownable = share(members, &zones, shards, (shards, shards), &owned);
        Self {
            replicas,
            zone_max,
            open: members.iter().map(|member| !member.silent).collect(),
            ownable,
            holdable,
            held,
            zones,
        }
    }

    /// Takes away copies beyond the wanted number, and those too many in one zone. The owner's stays.
    fn drop_surplus(&mut self, shard: usize) {
        loop {
            let held = &self.held[shard];
            let in_zone =
                |member: usize| held.iter().filter(|&&other| self.zones[other] == self.zones[member]).count();
            let others = held.iter().copied().enumerate().skip(1);
            let surplus = held.len() > self.replicas;
            let going = others
                .filter(|&(_, member)| surplus || in_zone(member) > self.zone_max)
                // From the fullest zone, then from who holds the most above its share; of several the last.
                .max_by_key(|&(place, member)| (in_zone(member), -self.holdable[member], place));
            let Some((place, member)) = going else { return };
            self.held[shard].remove(place);
            self.holdable[member] += 1;
        }
    }

    /// Zones and shares matter less than the number of copies.
    fn fill_anyhow(&mut self, shard: usize) {
        while self.held[shard].len() < self.replicas {
            let others = (0..self.zones.len())
                .filter(|member| self.open[*member] && !self.held[shard].contains(member));
            let Some(member) = others.rev().max_by_key(|&member| self.holdable[member]) else { return };
            self.hold(shard, member);
        }
    }

    /// A shard whose owner is gone goes to the holder that is the furthest below its share.
    fn adopt(&mut self, shard: usize) {
        let held = &self.held[shard];
        let places = (0..held.len()).rev();
        let best = places.max_by_key(|&place| (self.open[held[place]], self.ownable[held[place]]));
        if let Some(place) = best {
            self.ownable[held[place]] -= 1;
            self.held[shard][..=place].rotate_right(1);
        }
    }

    /// Makes another holder of one of the member's shards its owner, and so on, until one owns less than its share.
    /// The shortest way. `false`: there is none.
    fn pass_on(&mut self, member: usize) -> bool {
        // By member: the shard that it got, and from whom.
        let mut got: Vec<Option<(usize, usize)>> = vec![None; self.zones.len()];
        let mut queue = VecDeque::from([member]);
        while let Some(from) = queue.pop_front() {
            if self.ownable[from] > 0 {
                self.ownable[from] -= 1;
                self.ownable[member] += 1;
                let mut to = from;
                while let Some((shard, from)) = got[to] {
                    let held = &mut self.held[shard];
                    if let Some(place) = held.iter().position(|&held| held == to) {
                        // The others keep their order.
                        held[..=place].rotate_right(1);
                    }
                    to = from;
                }
                return true;
            }
            for (shard, held) in self.held.iter().enumerate().filter(|(_, held)| held.first() == Some(&from))
            {
                for &to in held.iter().skip(1).filter(|&&to| self.open[to]) {
                    if to != member && got[to].is_none() {
                        got[to] = Some((shard, from));
                        queue.push_back(to);
                    }
                }
            }
        }
        false
    }
}

/// Each member's share of the seats, at most one for each shard; a silent member gets no more than it has.
fn share(
    members: &[&Member],
    zones: &[usize],
    shards: u64,
    (seats, zone_max): (u64, u64),
    has: &[u64],
) -> Vec<i64> {
    let weights: Vec<u64> = members.iter().map(|member| u64::from(member.weight)).collect();
    let most = |(member, has): (&&Member, &u64)| if member.silent { shards.min(*has) } else { shards };
    let member_max: Vec<u64> = members.iter().zip(has).map(most).collect();
    let bounds = Bounds { has, member_max: &member_max, zones, zone_max };
    deal(&weights, seats, &bounds).into_iter().map(|seats| seats as i64).collect()
}
