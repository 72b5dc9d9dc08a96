//! From members to a placement.

use std::collections::BTreeMap;

use roomkeeper_types::{NodeId, ShardCount, ShardId};

use crate::quota::{Bounds, deal};
use crate::walk::Ring;
use crate::{Member, RingError};

/// Where every shard is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Placement {
    /// By shard id.
    pub shards: Vec<ShardReplicas>,
}

/// Where one shard is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShardReplicas {
    /// The shard.
    pub shard: ShardId,
    /// The nodes with a copy, at least one and none twice; the first should own the shard.
    pub nodes: Vec<NodeId>,
}

/// Places `shards` shards with `replicas` copies each (one per member of weight above 0, if those are fewer).
/// The result depends on the members only, not on their order.
///
/// A shard goes to the nodes that follow it on the ring, as far as these bounds allow:
/// - **Owners**: no node is the preferred owner of more shards than its share rounded up. The share is
///   shards × weight / all weights.
/// - **Zones**: no zone holds more than one copy of a shard, unless there are too few zones, or too few nodes in
///   the others; then no more than that makes necessary.
/// - **Copies**: no node holds more copies than its share rounded up. The share is copies × weight / all
///   weights as far as weights can be followed: a node holds a shard once at most, however large its weight, and
///   a zone with few nodes holds more than their weights say. Should an owner ever be in the way of a copy that
///   zones leave one place for, that place gets one too many; random placements have not shown it once.
///
/// # Errors
/// The members make no sense, or there are none of weight above 0.
pub fn place(members: &[Member], shards: ShardCount, replicas: usize) -> Result<Placement, RingError> {
    let members = check(members, replicas)?;
    let mut plan = Plan::new(&members, shards, replicas.min(members.len()));
    let ring = Ring::new(&members);
    // All owners first, so that no copy is in an owner's way.
    for shard in shards.iter() {
        plan.choose_owner(shard.0 as usize, ring.walk(shard));
    }
    for shard in shards.iter() {
        plan.choose_copies(shard.0 as usize, ring.walk(shard));
    }
    Ok(plan.placement(&members, shards))
}

/// The members that get shards, sorted by node.
pub(crate) fn check(members: &[Member], replicas: usize) -> Result<Vec<&Member>, RingError> {
    if replicas == 0 {
        return Err(RingError::NoReplicas);
    }
    if let Some(member) = members.iter().find(|member| member.weight > Member::WEIGHT_MAX) {
        return Err(RingError::Weight { node: member.node, weight: member.weight });
    }
    let mut sorted: Vec<&Member> = members.iter().collect();
    sorted.sort_by_key(|member| member.node);
    if let Some(pair) = sorted.windows(2).find(|pair| pair[0].node == pair[1].node) {
        return Err(RingError::DuplicateNode(pair[0].node));
    }
    sorted.retain(|member| member.weight > 0);
    if sorted.is_empty() { Err(RingError::NoMembers) } else { Ok(sorted) }
}

/// A placement on its way. Members, zones and shards go by index.
pub(crate) struct Plan {
    /// Copies of a shard.
    pub(crate) replicas: usize,
    /// By member.
    pub(crate) zones: Vec<usize>,
    /// Most copies of a shard in one zone.
    pub(crate) zone_max: usize,
    /// Whether each member may get copies that it has not.
    pub(crate) open: Vec<bool>,
    /// How many more shards each member may own; below 0: it owns more than its share.
    pub(crate) ownable: Vec<i64>,
    /// How many more copies each member may hold; below 0: it holds more than its share.
    pub(crate) holdable: Vec<i64>,
    /// The members of each shard so far, its owner first.
    pub(crate) held: Vec<Vec<usize>>,
}

impl Plan {
    fn new(members: &[&Member], shards: ShardCount, replicas: usize) -> Self {
        let zones = zones(members);
        let zone_max = zone_max(&zones, replicas);
        let weights: Vec<u64> = members.iter().map(|member| u64::from(member.weight)).collect();
        let shards = u64::from(shards.get());
        let (has, member_max) = (vec![0; members.len()], vec![shards; members.len()]);
        let owners = Bounds { has: &has, member_max: &member_max, zones: &zones, zone_max: shards };
        let copies =
            Bounds { has: &has, member_max: &member_max, zones: &zones, zone_max: shards * zone_max as u64 };
        let whole = |dealt: Vec<u64>| dealt.into_iter().map(|seats| seats as i64).collect();
        Self {
            replicas,
            zone_max,
            open: vec![true; members.len()],
            ownable: whole(deal(&weights, shards, &owners)),
            holdable: whole(deal(&weights, shards * replicas as u64, &copies)),
            held: vec![Vec::with_capacity(replicas); shards as usize],
            zones,
        }
    }

    pub(crate) fn placement(&self, members: &[&Member], shards: ShardCount) -> Placement {
        let nodes = |held: &Vec<usize>| held.iter().map(|&member| members[member].node).collect();
        let replicas =
            shards.iter().zip(&self.held).map(|(shard, held)| ShardReplicas { shard, nodes: nodes(held) });
        Placement { shards: replicas.collect() }
    }

    /// Gives the shard to the first member of its walk that may own one more.
    fn choose_owner(&mut self, shard: usize, mut walk: impl Iterator<Item = usize>) {
        // As many may be owned as there are shards, so that the walk always finds one.
        if let Some(owner) = walk.find(|&member| self.ownable[member] > 0) {
            self.ownable[owner] -= 1;
            self.hold(shard, owner);
        }
    }

    /// Gives the shard's other copies to the first members of its walk that may hold one more and fit.
    pub(crate) fn choose_copies(&mut self, shard: usize, walk: impl Iterator<Item = usize>) {
        for member in walk {
            if self.held[shard].len() == self.replicas {
                return;
            }
            if self.holdable[member] > 0 && self.fits(shard, member, None) {
                self.hold(shard, member);
            }
        }
        while self.held[shard].len() < self.replicas && self.make_room(shard) {}
    }

    pub(crate) fn hold(&mut self, shard: usize, member: usize) {
        self.held[shard].push(member);
        self.holdable[member] -= 1;
    }

    /// Whether the shard may have a copy at `member`, once its copy at `without` is gone.
    pub(crate) fn fits(&self, shard: usize, member: usize, without: Option<usize>) -> bool {
        let mut others = self.held[shard].iter().filter(|&&held| Some(held) != without);
        let in_zone = others.clone().filter(|&&held| self.zones[held] == self.zones[member]).count();
        self.open[member] && in_zone < self.zone_max && others.all(|&held| held != member)
    }
}

/// Each member's zone as an index: that of the first member of the same zone.
pub(crate) fn zones(members: &[&Member]) -> Vec<usize> {
    let first = |member: &Member| members.iter().position(|other| other.zone == member.zone);
    let zone = |(index, member): (usize, &&Member)| match member.zone {
        Some(_) => first(member).unwrap_or(index),
        None => index,
    };
    members.iter().enumerate().map(zone).collect()
}

/// The least number of a shard's copies that every zone must be able to take, so that all find a place.
pub(crate) fn zone_max(zones: &[usize], replicas: usize) -> usize {
    let mut sizes = BTreeMap::new();
    for zone in zones {
        *sizes.entry(zone).or_insert(0_usize) += 1;
    }
    let room = |max: usize| sizes.values().map(|size| max.min(*size)).sum::<usize>();
    (1..replicas).find(|&max| room(max) >= replicas).unwrap_or(replicas)
}
