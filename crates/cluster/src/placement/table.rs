//! Which shard should be where, and which plans bring that about. Pure.

use std::collections::BTreeMap;

use roomkeeper_ring as ring;
use roomkeeper_types::{NodeId, ShardId};

use crate::meta::{MetaState, NodeState, PlanVersion, ShardRecord, voters};

/// How a node's silence counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Silence {
    /// It is heard.
    None,
    /// It is not heard now: it gets nothing, and keeps what it has.
    Short,
    /// It has not been heard for a while: what it was to get goes to another one.
    Long,
}

/// How much may be under way.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bounds {
    /// Plans that give a node a replica, or take one away.
    pub(super) per_node: usize,
    /// Plans in all.
    pub(super) all: usize,
}

/// A plan to be stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct NewPlan {
    pub(super) shard: ShardId,
    /// Of the plan that it replaces.
    pub(super) version: PlanVersion,
    pub(super) nodes: Vec<NodeId>,
}

/// The nodes that may hold shards, as the ring sees them. Lost ones only while there are too few others: then they
/// keep what they have, since a replica that may come back is better than none.
pub(super) fn members(state: &MetaState, is_silent: impl Fn(NodeId) -> bool) -> Vec<ring::Member> {
    let replicas = state.founded.map_or(1, |founded| founded.replicas as usize);
    let of_state = |wanted: NodeState| {
        state.nodes.iter().filter(move |(_, record)| record.state == wanted && record.spec.weight > 0)
    };
    let needed = of_state(NodeState::Active).count() < replicas;
    let lost = of_state(NodeState::Lost).filter(|_| needed);
    let member = |(node, record): (&NodeId, &crate::meta::NodeRecord)| ring::Member {
        node: *node,
        weight: record.spec.weight,
        zone: record.spec.zone.clone(),
        silent: record.state == NodeState::Lost || is_silent(*node),
    };
    of_state(NodeState::Active).chain(lost).map(member).collect()
}

/// The plans to begin now. Asked again when these are stored or carried out, it goes on from there.
///
/// # Errors
/// No node may hold shards.
pub(super) fn next_plans(
    state: &MetaState,
    silence: impl Fn(NodeId) -> Silence,
    bounds: Bounds,
) -> Result<Vec<NewPlan>, ring::RingError> {
    let Some(founded) = state.founded else { return Ok(Vec::new()) };
    let members = members(state, |node| silence(node) != Silence::None);
    let may_hold = |node: NodeId| members.iter().any(|member| member.node == node);
    let base: Vec<Vec<NodeId>> = state
        .shards()
        .map(|(_, record)| base(record, |node| may_hold(node) && silence(node) != Silence::Long))
        .collect();
    let replicas = (0..).map(ShardId).zip(base).map(|(shard, nodes)| ring::ShardReplicas { shard, nodes });
    let current = ring::Placement { shards: replicas.collect() };
    let next = ring::rebalance(&current, &members, founded.shards, founded.replicas as usize)?;

    let mut busy = Busy::of(state, bounds);
    let mut plans = Vec::new();
    for (((shard, record), before), after) in state.shards().zip(&current.shards).zip(next.shards) {
        let target: Vec<NodeId> = record.wanted().iter().map(|member| member.node).collect();
        // A plan under way is only changed if it cannot be carried out.
        let stands =
            record.plan.is_some() && before.nodes == target && target.iter().all(|node| may_hold(*node));
        if !record.born || stands || after.nodes.is_empty() || is_same(&target, &after.nodes) {
            continue;
        }
        if busy.admit(record, &after.nodes) {
            plans.push(NewPlan { shard, version: record.version, nodes: after.nodes });
        }
    }
    Ok(plans)
}

/// Where a shard is, as far as that counts: on the nodes of its plan, but for those it has not reached and that
/// cannot be relied on.
fn base(record: &ShardRecord, is_reliable: impl Fn(NodeId) -> bool) -> Vec<NodeId> {
    let target = record.wanted().iter();
    let Some(plan) = &record.plan else { return target.map(|member| member.node).collect() };
    let has = |node: NodeId| plan.from.iter().any(|member| member.node == node);
    target.map(|member| member.node).filter(|node| has(*node) || is_reliable(*node)).collect()
}

/// Whether these are the same nodes, with the same one preferred and the same ones voting.
fn is_same(now: &[NodeId], next: &[NodeId]) -> bool {
    let sorted = |nodes: &[NodeId]| {
        let mut sorted = nodes.to_vec();
        sorted.sort();
        sorted
    };
    now.first() == next.first() && sorted(now) == sorted(next) && sorted(voters(now)) == sorted(voters(next))
}

/// What is under way.
struct Busy {
    bounds: Bounds,
    all: usize,
    nodes: BTreeMap<NodeId, usize>,
}

impl Busy {
    fn of(state: &MetaState, bounds: Bounds) -> Self {
        let mut busy = Self { bounds, all: 0, nodes: BTreeMap::new() };
        for (_, record) in state.shards().filter(|(_, record)| record.plan.is_some()) {
            let target: Vec<NodeId> = record.wanted().iter().map(|member| member.node).collect();
            busy.add(&touched(record, &target));
        }
        busy
    }

    /// Whether there is room for one more plan, which is then counted. One that replaces another, or that moves
    /// nothing, is always admitted.
    fn admit(&mut self, record: &ShardRecord, target: &[NodeId]) -> bool {
        let touched = touched(record, target);
        if touched.is_empty() || record.plan.is_some() {
            return true;
        }
        let full = |node: &NodeId| self.nodes.get(node).is_some_and(|count| *count >= self.bounds.per_node);
        if self.all >= self.bounds.all || touched.iter().any(full) {
            return false;
        }
        self.add(&touched);
        true
    }

    fn add(&mut self, touched: &[NodeId]) {
        self.all += 1;
        for node in touched {
            *self.nodes.entry(*node).or_default() += 1;
        }
    }
}

/// Nodes that get a replica or lose theirs.
fn touched(record: &ShardRecord, target: &[NodeId]) -> Vec<NodeId> {
    let from: Vec<NodeId> = match &record.plan {
        Some(plan) => plan.from.iter().map(|member| member.node).collect(),
        None => record.replicas.iter().map(|member| member.node).collect(),
    };
    let gained = target.iter().filter(|node| !from.contains(node));
    gained.chain(from.iter().filter(|node| !target.contains(node))).copied().collect()
}

#[cfg(test)]
#[path = "table_test.rs"]
mod tests;
