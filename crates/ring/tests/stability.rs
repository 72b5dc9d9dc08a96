//! That the first placement of a cluster does not change with our version.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::ops::RangeInclusive;

use roomkeeper_ring::{Member, Placement, place};
use roomkeeper_types::{NodeId, ShardCount};

fn equal(nodes: RangeInclusive<u32>) -> Vec<Member> {
    nodes.map(|node| Member::new(NodeId(node))).collect()
}

fn place_three(members: &[Member], shards: u32) -> Placement {
    place(members, ShardCount::new(shards).unwrap(), 3).unwrap()
}

/// The ring is part of what an upgrade must not change: other values here mean that nearly every shard of
/// a new cluster would be elsewhere, and tests and figures could not be compared any more.
#[test]
fn place_is_frozen() {
    let owners = |members: &[Member]| -> Vec<u32> {
        place_three(members, 32).shards.iter().map(|shard| shard.nodes[0].0).collect()
    };
    assert_eq!(
        owners(&equal(1..=3)),
        [1, 3, 3, 3, 3, 3, 1, 2, 2, 3, 2, 3, 2, 1, 3, 3, 1, 2, 2, 3, 1, 1, 1, 1, 1, 1, 2, 1, 2, 2, 2, 2]
    );
    assert_eq!(
        owners(&equal(1..=5)),
        [1, 4, 5, 3, 3, 3, 4, 4, 2, 4, 2, 3, 2, 1, 3, 5, 5, 2, 2, 5, 3, 5, 1, 1, 1, 5, 2, 4, 4, 2, 1, 1]
    );

    let zoned = [("a", 1), ("a", 2), ("b", 1), ("b", 1), ("c", 3)];
    let member = |(node, (zone, weight))| Member {
        weight,
        zone: Some(String::from(zone)),
        ..Member::new(NodeId(node))
    };
    let members: Vec<Member> = (1..).zip(zoned).map(member).collect();
    let placement = place_three(&members, 8);
    let nodes: Vec<Vec<u32>> =
        placement.shards.iter().map(|shard| shard.nodes.iter().map(|node| node.0).collect()).collect();
    assert_eq!(
        nodes,
        [[1, 4, 5], [4, 2, 5], [2, 5, 4], [2, 3, 5], [3, 5, 1], [5, 2, 3], [5, 4, 1], [5, 2, 3]]
    );
}
