//! How little a placement changes when its members do, and that it keeps its bounds.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use proptest::prelude::*;
use roomkeeper_ring::{Member, Placement, moves, place, rebalance};
use roomkeeper_types::{NodeId, ShardCount};

const REPLICAS: usize = 3;

fn equal(nodes: impl IntoIterator<Item = u32>) -> Vec<Member> {
    nodes.into_iter().map(|node| Member::new(NodeId(node))).collect()
}

fn shards(count: u32) -> ShardCount {
    ShardCount::new(count).unwrap()
}

fn first(members: &[Member], count: u32) -> Placement {
    place(members, shards(count), REPLICAS).unwrap()
}

/// The next placement, which does not change again.
fn next(current: &Placement, members: &[Member]) -> Placement {
    let count = shards(current.shards.len() as u32);
    let next = rebalance(current, members, count, REPLICAS).unwrap();
    assert_eq!(rebalance(&next, members, count, REPLICAS).unwrap(), next, "it is at rest");
    next
}

/// How many shards get another owner, and how many copies have to be made.
fn cost(from: &Placement, to: &Placement) -> (usize, usize) {
    let moves = moves(from, to);
    let owners = moves.iter().filter(|change| change.owner.is_some()).count();
    (owners, moves.iter().map(|change| change.added.len()).sum())
}

fn owned(placement: &Placement, node: NodeId) -> usize {
    placement.shards.iter().filter(|shard| shard.nodes[0] == node).count()
}

fn held(placement: &Placement, node: NodeId) -> usize {
    placement.shards.iter().filter(|shard| shard.nodes.contains(&node)).count()
}

/// Owners and copies are even to one, and every shard is on as many nodes as it can be, on none twice.
fn assert_even(placement: &Placement, members: &[Member]) {
    let even = |counts: Vec<usize>| {
        assert!(counts.iter().max().unwrap() - counts.iter().min().unwrap() <= 1, "{counts:?}");
    };
    even(members.iter().map(|member| owned(placement, member.node)).collect());
    even(members.iter().map(|member| held(placement, member.node)).collect());
    for shard in &placement.shards {
        let mut nodes = shard.nodes.clone();
        nodes.sort();
        nodes.dedup();
        assert_eq!((nodes.len(), shard.nodes.len()), (REPLICAS.min(members.len()), nodes.len()));
    }
}

#[test]
fn rebalance_after_a_join_moves_the_new_node_s_share_and_nothing_else() {
    for count in [32_u32, 256, 4096] {
        for nodes in 3..=9_u32 {
            let members = equal(1..=nodes);
            let from = first(&members, count);
            let joined = equal(1..=nodes + 1);
            let to = next(&from, &joined);
            assert_even(&to, &joined);
            let (owners, copies) = cost(&from, &to);
            println!("{count} shards, {nodes} -> {}: {owners} owners, {copies} copies", nodes + 1);
            assert!(owners <= (count.div_ceil(nodes + 1) + 1) as usize, "{owners} owners");
            assert!(copies <= (count * 3).div_ceil(nodes + 1) as usize, "{copies} copies");
        }
    }
}

#[test]
fn rebalance_three_hundred_nodes_moves_the_new_one_s_share() {
    let from = first(&equal(1..=300), 4096);
    let to = next(&from, &equal(1..=301));
    let (owners, copies) = cost(&from, &to);
    // 4096 / 301 are 14. Few of the new node's shards are those of owners that have one too many: others pass theirs on.
    assert!(owners <= 28 && copies <= 41, "{owners} owners, {copies} copies");
}

#[test]
fn rebalance_one_node_to_three_fills_both_and_keeps_the_first_one_s_copies() {
    let one = first(&equal([1]), 32);
    for steps in [vec![equal([1, 2]), equal([1, 2, 3])], vec![equal([1, 2, 3])]] {
        let mut now = one.clone();
        for members in &steps {
            now = next(&now, members);
            assert_even(&now, members);
            assert_eq!(held(&now, NodeId(1)), 32);
        }
    }
}

#[test]
fn rebalance_after_a_death_with_a_spare_node_moves_the_dead_node_s_share_only() {
    for (nodes, dead) in [(4, 2), (5, 1), (7, 7)] {
        let from = first(&equal(1..=nodes), 256);
        let rest = equal((1..=nodes).filter(|node| *node != dead));
        let to = next(&from, &rest);
        assert_even(&to, &rest);
        let (owners, copies) = cost(&from, &to);
        let lost = held(&from, NodeId(dead));
        // One copy may have to make room for another one.
        assert!((lost..=lost + 2).contains(&copies), "{copies} copies, {lost} were lost");
        // Those it owned, and at most one per node to be even again.
        assert!(owners <= owned(&from, NodeId(dead)) + nodes as usize, "{owners}");
    }
}

#[test]
fn rebalance_dead_node_replaced_by_a_new_one_gives_that_one_its_share() {
    for nodes in [3, 5, 7] {
        let from = first(&equal(1..=nodes), 256);
        let replaced = equal((1..=nodes + 1).filter(|node| *node != 2));
        let to = next(&from, &replaced);
        assert_even(&to, &replaced);
        let (owners, copies) = cost(&from, &to);
        assert_eq!(copies, held(&from, NodeId(2)));
        // The dead one's shards go to another of their nodes first, and from there some to the new one.
        assert!(owners <= 2 * owned(&from, NodeId(2)), "{owners} of {}", owned(&from, NodeId(2)));
    }
}

#[test]
fn rebalance_node_that_leaves_and_returns_costs_its_share_twice() {
    let five = equal(1..=5);
    let from = first(&five, 256);
    let without = next(&from, &equal([1, 2, 3, 5]));
    let back = next(&without, &five);
    assert_even(&back, &five);
    assert!(cost(&without, &back).1 <= held(&from, NodeId(4)) + 1);
}

#[test]
fn rebalance_silent_node_keeps_its_copies_and_gets_none() {
    let from = first(&equal(1..=3), 32);
    let mut members = equal(1..=4);
    members[1].silent = true;
    members[3].silent = true;
    let to = next(&from, &members);
    assert_eq!(held(&to, NodeId(4)), 0, "it joined and fell silent");
    assert_eq!(to, from);
    // Another one comes: the silent one's share becomes smaller, too.
    members[3].silent = false;
    let to = next(&from, &members);
    assert_eq!((held(&to, NodeId(2)), held(&to, NodeId(4))), (24, 24));
}

#[test]
fn rebalance_zones_named_later_are_kept_apart() {
    let mut members = equal(1..=6);
    let from = first(&members, 64);
    for member in &mut members {
        member.zone = Some(format!("z{}", member.node.0 % 3));
    }
    let to = next(&from, &members);
    for shard in &to.shards {
        let mut zones: Vec<u32> = shard.nodes.iter().map(|node| node.0 % 3).collect();
        zones.sort_unstable();
        assert_eq!(zones, [0, 1, 2]);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Nodes come, go, die and return in any order: loads stay even, and every step costs what it must.
    #[test]
    fn rebalance_any_history_stays_even_and_cheap(
        sets in proptest::collection::vec(proptest::collection::btree_set(1..12_u32, 1..9), 2..8),
        count in 8..200_u32,
    ) {
        let mut members = equal(sets[0].iter().copied());
        let mut now = first(&members, count);
        for set in &sets[1..] {
            let others = equal(set.iter().copied());
            let after = next(&now, &others);
            assert_even(&after, &others);
            let sum = |members: Vec<&Member>, placement| -> usize {
                members.iter().map(|member| held(placement, member.node)).sum()
            };
            let gone = sum(members.iter().filter(|member| !others.contains(member)).collect(), &now);
            let came = sum(others.iter().filter(|member| !members.contains(member)).collect(), &after);
            // Copies that there were too few nodes for.
            let new = count as usize * (REPLICAS.min(others.len()) - REPLICAS.min(members.len()).min(others.len()));
            let copies = cost(&now, &after).1;
            prop_assert!(
                copies <= (gone + new).max(came) + 2 * others.len(),
                "{copies} copies: {gone} gone, {came} came, {new} new"
            );
            (members, now) = (others, after);
        }
    }

    /// Unequal weights and zones: every shard has its copies, on no node twice, and it comes to rest.
    #[test]
    fn rebalance_any_members_places_every_copy(
        before in proptest::collection::btree_map(1..20_u32, (0..4_u32, 0..4_u32), 1..9),
        after in proptest::collection::btree_map(1..20_u32, (0..4_u32, 0..4_u32), 1..9),
        count in 1..80_u32,
    ) {
        let members = |map: &std::collections::BTreeMap<u32, (u32, u32)>| -> Vec<Member> {
            let zone = |zone: u32| (zone > 0).then(|| format!("z{zone}"));
            let member = |(node, &(weight, z)): (&u32, &(u32, u32))| {
                Member { weight, zone: zone(z), ..Member::new(NodeId(*node)) }
            };
            map.iter().map(member).collect()
        };
        let (before, after) = (members(&before), members(&after));
        prop_assume!(before.iter().any(|m| m.weight > 0) && after.iter().any(|m| m.weight > 0));
        let from = first(&before, count);
        let to = rebalance(&from, &after, shards(count), REPLICAS).unwrap();
        let live: Vec<&Member> = after.iter().filter(|member| member.weight > 0).collect();
        for shard in &to.shards {
            let mut nodes = shard.nodes.clone();
            nodes.sort();
            nodes.dedup();
            prop_assert_eq!(nodes.len(), REPLICAS.min(live.len()));
            prop_assert!(nodes.iter().all(|node| live.iter().any(|member| member.node == *node)));
        }
        prop_assert_eq!(&rebalance(&to, &after, shards(count), REPLICAS).unwrap(), &to);
    }
}
