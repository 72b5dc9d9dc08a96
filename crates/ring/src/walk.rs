//! The consistent-hash ring: each shard's order of preference among the nodes.

use std::hash::{Hash, Hasher};

use hashring::HashRing;
use roomkeeper_types::{NodeId, ShardId};

use crate::Member;

/// Points per unit of weight. With fewer the ring alone would spread shards unevenly and the bounds would have
/// to send more of them elsewhere; more cost time and hardly help.
const POINTS_PER_WEIGHT: u32 = 128;

/// One of a node's points on the ring.
#[derive(Debug, Clone, Copy)]
struct Point {
    /// Index of the member.
    member: usize,
    node: NodeId,
    number: u32,
}

/// A shard's place on the ring.
struct Key(ShardId);

/// Which of the two a hash is of. They must not fall on each other's hashes by having equal bytes.
const POINT: u8 = 1;
const KEY: u8 = 2;

// By hand: what `derive(Hash)` feeds to the hasher depends on the platform and on std's version, and a change
// of it would move nearly every shard of every cluster.
impl Hash for Point {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let mut bytes = [POINT; 9];
        bytes[1..5].copy_from_slice(&self.node.0.to_le_bytes());
        bytes[5..].copy_from_slice(&self.number.to_le_bytes());
        state.write(&bytes);
    }
}

impl Hash for Key {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let mut bytes = [KEY; 5];
        bytes[1..].copy_from_slice(&self.0.0.to_le_bytes());
        state.write(&bytes);
    }
}

/// The ring of some members, in the order in which they are given.
pub(crate) struct Ring {
    ring: HashRing<Point>,
    /// The points' members around the ring.
    around: Vec<usize>,
    /// Where each member's points stand in `around`, by number.
    places: Vec<Vec<usize>>,
}

impl Ring {
    pub(crate) fn new(members: &[&Member]) -> Self {
        let mut points = Vec::new();
        for (index, member) in members.iter().enumerate() {
            let numbers = 0..member.weight * POINTS_PER_WEIGHT;
            points.extend(numbers.map(|number| Point { member: index, node: member.node, number }));
        }
        let mut ring = HashRing::new();
        // At once: `add` sorts each time.
        ring.batch_add(points);
        let mut around = Vec::with_capacity(ring.len());
        let mut places: Vec<Vec<usize>> =
            members.iter().map(|member| vec![0; (member.weight * POINTS_PER_WEIGHT) as usize]).collect();
        for (place, point) in ring.clone().into_iter().enumerate() {
            around.push(point.member);
            places[point.member][point.number as usize] = place;
        }
        Self { ring, around, places }
    }

    /// Indices of the members in the order of a shard's preference. A member comes up again for each of its
    /// points; the first time counts.
    pub(crate) fn walk(&self, shard: ShardId) -> impl Iterator<Item = usize> {
        // Not `get_with_replicas`: it copies the ring each time and does not stop at the members' first points.
        let start =
            self.ring.get(&Key(shard)).map_or(0, |point| self.places[point.member][point.number as usize]);
        let (before, after) = self.around.split_at(start);
        after.iter().chain(before).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn walk_begins_at_the_ring_s_choice_and_meets_every_point() {
        let members = [1, 2, 9].map(|node| Member::new(NodeId(node)));
        let members: Vec<&Member> = members.iter().collect();
        let ring = Ring::new(&members);
        for shard in (0..64).map(ShardId) {
            let walk: Vec<usize> = ring.walk(shard).collect();
            assert_eq!(Some(walk[0]), ring.ring.get(&Key(shard)).map(|point| point.member));
            for member in 0..3 {
                assert_eq!(walk.iter().filter(|met| **met == member).count(), 128);
            }
        }
    }
}
