//! Bounds that every placement keeps, whatever the members.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;

use proptest::prelude::*;
use roomkeeper_ring::{Member, Placement, RingError, place};
use roomkeeper_types::{NodeId, ShardCount};

fn equal(nodes: u32) -> Vec<Member> {
    (1..=nodes).map(|node| Member::new(NodeId(node))).collect()
}

fn shards(count: u32) -> ShardCount {
    ShardCount::new(count).unwrap()
}

fn owned(placement: &Placement, node: NodeId) -> usize {
    placement.shards.iter().filter(|shard| shard.nodes[0] == node).count()
}

fn held(placement: &Placement, node: NodeId) -> usize {
    placement.shards.iter().filter(|shard| shard.nodes.contains(&node)).count()
}

/// For each shard, how many copies its fullest zone has.
fn fullest_zones(placement: &Placement, members: &[Member]) -> Vec<usize> {
    let zone_of = |node: &NodeId| {
        let member = members.iter().find(|member| member.node == *node).unwrap();
        member.zone.clone().unwrap_or_else(|| node.to_string())
    };
    let fullest = |nodes: &Vec<NodeId>| {
        let mut zones = BTreeMap::new();
        nodes.iter().for_each(|node| *zones.entry(zone_of(node)).or_insert(0) += 1);
        zones.into_values().max().unwrap()
    };
    placement.shards.iter().map(|shard| fullest(&shard.nodes)).collect()
}

#[test]
fn place_equal_members_balanced_to_one_shard() {
    for count in [32, 256, 4096] {
        for nodes in [1, 3, 5, 7] {
            let members = equal(nodes);
            let placement = place(&members, shards(count), 3).unwrap();
            let owners: Vec<usize> = members.iter().map(|m| owned(&placement, m.node)).collect();
            let copies: Vec<usize> = members.iter().map(|m| held(&placement, m.node)).collect();
            println!("{count} shards, {nodes} nodes: owners {owners:?}, copies {copies:?}");
            for (counts, all) in [(owners, count), (copies, count * nodes.min(3))] {
                assert_eq!(counts.iter().sum::<usize>(), all as usize);
                assert!(counts.iter().max().unwrap() - counts.iter().min().unwrap() <= 1, "{counts:?}");
            }
        }
    }
}

#[test]
fn place_fewer_members_than_replicas_all_hold_all() {
    for nodes in [1, 2] {
        let placement = place(&equal(nodes), shards(32), 3).unwrap();
        assert!(placement.shards.iter().all(|shard| shard.nodes.len() == nodes as usize));
    }
}

#[test]
fn place_weights_share_in_proportion() {
    let mut members = equal(5);
    members[0].weight = 4;
    let placement = place(&members, shards(256), 1).unwrap();
    let owners: Vec<usize> = members.iter().map(|m| owned(&placement, m.node)).collect();
    assert_eq!(owners, [128, 32, 32, 32, 32]);
    // With three copies the heavy node cannot hold its 4/8 of 768; it holds every shard once.
    let placement = place(&members, shards(256), 3).unwrap();
    let owners: Vec<usize> = members.iter().map(|m| owned(&placement, m.node)).collect();
    let copies: Vec<usize> = members.iter().map(|m| held(&placement, m.node)).collect();
    assert_eq!((owners, copies), (vec![128, 32, 32, 32, 32], vec![256, 128, 128, 128, 128]));
}

#[test]
fn place_weight_zero_gets_nothing() {
    let mut members = equal(4);
    members[1].weight = 0;
    let placement = place(&members, shards(32), 3).unwrap();
    assert_eq!(held(&placement, NodeId(2)), 0);
    let without: Vec<Member> = members.into_iter().filter(|member| member.weight > 0).collect();
    assert_eq!(place(&without, shards(32), 3), Ok(placement));
}

#[test]
fn place_enough_zones_keep_copies_apart() {
    let mut members = equal(7);
    for (member, zone) in members.iter_mut().zip(["a", "a", "a", "a", "b", "b", "c"]) {
        member.zone = Some(zone.into());
    }
    let placement = place(&members, shards(256), 3).unwrap();
    assert!(fullest_zones(&placement, &members).iter().all(|&copies| copies == 1));
    let copies: Vec<usize> = members.iter().map(|m| held(&placement, m.node)).collect();
    assert_eq!(copies, [64, 64, 64, 64, 128, 128, 256]);
}

#[test]
fn place_two_zones_never_hold_all_three_copies() {
    let mut members = equal(6);
    for (index, member) in members.iter_mut().enumerate() {
        member.zone = Some(if index < 3 { "a" } else { "b" }.into());
    }
    let placement = place(&members, shards(256), 3).unwrap();
    assert!(fullest_zones(&placement, &members).iter().all(|&copies| copies == 2));
}

#[test]
fn place_senseless_members_refused() {
    let of = |members: &[Member], replicas| place(members, shards(32), replicas).unwrap_err();
    assert_eq!(of(&[], 3), RingError::NoMembers);
    assert_eq!(of(&[Member { weight: 0, ..Member::new(NodeId(1)) }], 3), RingError::NoMembers);
    assert_eq!(of(&equal(3), 0), RingError::NoReplicas);
    let twice = [Member::new(NodeId(2)), Member::new(NodeId(1)), Member::new(NodeId(2))];
    assert_eq!(of(&twice, 3), RingError::DuplicateNode(NodeId(2)));
    let heavy = [Member { weight: 101, ..Member::new(NodeId(1)) }];
    assert_eq!(of(&heavy, 3), RingError::Weight { node: NodeId(1), weight: 101 });
}

#[test]
fn place_three_hundred_nodes_in_zones() {
    let mut members = equal(300);
    for member in &mut members {
        member.zone = Some(format!("z{}", member.node.0 % 3));
    }
    let placement = place(&members, shards(4096), 3).unwrap();
    assert!(fullest_zones(&placement, &members).iter().all(|&copies| copies == 1));
    assert!(members.iter().all(|member| held(&placement, member.node) <= 41));
}

/// Each member's share of the copies: as `place` documents it, in fractions, by looking for the one factor with
/// which min(shards, factor × weight), no more than a zone may hold, adds up to all copies.
fn copy_shares(members: &[Member], shards: f64, replicas: usize) -> BTreeMap<NodeId, f64> {
    let mut zones: BTreeMap<String, Vec<&Member>> = BTreeMap::new();
    for member in members.iter().filter(|member| member.weight > 0) {
        let zone = member.zone.clone().unwrap_or_else(|| member.node.to_string());
        zones.entry(zone).or_default().push(member);
    }
    let room = |max: usize| zones.values().map(|zone| max.min(zone.len())).sum::<usize>();
    let zone_max = shards * (1..).find(|&max| room(max) >= replicas).unwrap() as f64;
    let in_zone = |zone: &[&Member], factor: f64| -> f64 {
        zone.iter().map(|member| (factor * f64::from(member.weight)).min(shards)).sum()
    };
    let factor_for = |total: f64, sum: &dyn Fn(f64) -> f64| {
        let (mut low, mut high) = (0.0, 2.0 * shards);
        for _ in 0..100 {
            let middle = (low + high) / 2.0;
            *(if sum(middle) < total { &mut low } else { &mut high }) = middle;
        }
        high
    };
    let all = |factor| zones.values().map(|zone| in_zone(zone, factor).min(zone_max)).sum();
    let factor = factor_for(shards * replicas as f64, &all);
    let mut shares = BTreeMap::new();
    for zone in zones.values() {
        let factor = if in_zone(zone, factor) > zone_max {
            factor_for(zone_max, &|f| in_zone(zone, f))
        } else {
            factor
        };
        let share = |member: &&Member| (member.node, (factor * f64::from(member.weight)).min(shards));
        shares.extend(zone.iter().map(share));
    }
    shares
}

fn any_members() -> impl Strategy<Value = Vec<Member>> {
    let weight = prop_oneof![4 => Just(1_u32), 3 => 0..6_u32, 1 => Just(20_u32)];
    let zone = prop_oneof![Just(None), (0..4_u32).prop_map(|zone| Some(format!("z{zone}")))];
    proptest::collection::btree_map(1..1000_u32, (weight, zone), 1..12).prop_map(|members| {
        let member = |(node, (weight, zone))| Member { weight, zone, ..Member::new(NodeId(node)) };
        members.into_iter().map(member).collect()
    })
}

proptest! {
    #[test]
    fn place_any_members_keeps_all_bounds(
        members in any_members().prop_shuffle(),
        count in prop_oneof![1..40_u32, 1..300_u32],
        replicas in 1..6_usize,
    ) {
        let live: Vec<&Member> = members.iter().filter(|member| member.weight > 0).collect();
        prop_assume!(!live.is_empty());
        let placement = place(&members, shards(count), replicas).unwrap();
        let mut sorted = members.clone();
        sorted.sort_by_key(|member| member.node);
        prop_assert_eq!(&placement, &place(&sorted, shards(count), replicas).unwrap());

        let replicas = replicas.min(live.len());
        for (shard, id) in placement.shards.iter().zip(shards(count).iter()) {
            prop_assert_eq!(shard.shard, id);
            let mut nodes = shard.nodes.clone();
            nodes.sort();
            nodes.dedup();
            prop_assert_eq!(nodes.len(), replicas);
        }
        let all: u32 = live.iter().map(|member| member.weight).sum();
        let shares = copy_shares(&members, f64::from(count), replicas);
        for member in live {
            let owners = owned(&placement, member.node);
            prop_assert!(owners <= (count * member.weight).div_ceil(all) as usize);
            let (copies, share) = (held(&placement, member.node) as f64, shares[&member.node]);
            prop_assert!(copies < share + 1.0 + 1e-6, "{} holds {copies}, share {share}", member.node);
        }
        let mut zones: BTreeMap<String, usize> = BTreeMap::new();
        for member in members.iter().filter(|member| member.weight > 0) {
            *zones.entry(member.zone.clone().unwrap_or_else(|| member.node.to_string())).or_default() += 1;
        }
        let zone_max =
            (1..).find(|max| zones.values().map(|size| size.min(max)).sum::<usize>() >= replicas).unwrap();
        prop_assert!(fullest_zones(&placement, &members).into_iter().all(|copies| copies <= zone_max));
    }
}
