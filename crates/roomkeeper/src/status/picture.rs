//! What the nodes' views add up to: a pure function of them.

use std::collections::{BTreeMap, BTreeSet};

use roomkeeper_client::types::{ClusterId, Epoch, NodeId, ReplicaId, ShardId};
use roomkeeper_client::{ClusterMap, NodeLoad, ShardEntry};
use serde::Serialize;

use super::gather::View;

/// A replica further behind than this many entries is worth a word.
const LAG_MAX: u64 = 1_000;

/// The cluster's state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Picture {
    status: &'static str,
    pub(super) cluster: Option<ClusterId>,
    pub(crate) nodes: Vec<NodeState>,
    pub(super) shards: Vec<ShardState>,
}

/// One node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct NodeState {
    pub(crate) node: NodeId,
    pub(crate) url: String,
    pub(crate) zone: Option<String>,
    pub(crate) weight: u32,
    /// What it is to the cluster.
    pub(crate) state: roomkeeper_client::NodeState,
    /// It votes in meta.
    pub(crate) votes: bool,
    /// It answered just now.
    pub(crate) answers: bool,
    /// It answered that it is ready.
    pub(crate) ready: bool,
    /// Why it does not answer or is not ready.
    pub(crate) reason: Option<String>,
    /// Whether it asks its clients for a token; unknown when it does not answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) asks_for_token: Option<bool>,
    /// Nodes that answered and count it as alive.
    pub(crate) seen_by: Vec<NodeId>,
    /// Shards it owns.
    pub(crate) owned: usize,
    /// Shards it has a replica of.
    pub(crate) replicas: usize,
    /// Entries that its replica that is the furthest behind lacks, as far as the owners tell.
    pub(crate) lag: Option<u64>,
    /// What it has to do, by the newest that it told anybody who answers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) load: Option<NodeLoad>,
}

/// One shard.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct ShardState {
    pub(super) shard: ShardId,
    /// The owner in the highest epoch that any node knows of.
    pub(super) owner: Option<NodeId>,
    pub(super) epoch: Epoch,
    pub(super) preferred: Option<NodeId>,
    pub(super) replicas: Vec<ReplicaState>,
    pub(super) problems: Vec<Problem>,
    /// It is not where the ring wants it: no harm, but worth knowing.
    pub(super) away: bool,
    /// The nodes that it is moving to, if it moves.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) moving_to: Option<Vec<NodeId>>,
}

/// One copy of a shard.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct ReplicaState {
    pub(super) node: NodeId,
    pub(super) replica: ReplicaId,
    /// Entries behind the owner, as the owner says; unknown when it does not answer.
    pub(super) lag: Option<u64>,
}

/// What is wrong with a shard.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Problem {
    /// Nobody owns it.
    NoOwner,
    /// The last known owner does not answer.
    OwnerSilent(NodeId),
    /// Two nodes are named as its owner in the same epoch. Must never happen.
    TwoOwners(NodeId, NodeId),
    /// A replica's node does not answer.
    ReplicaSilent(NodeId),
    /// A replica is that many entries behind.
    ReplicaBehind(NodeId, u64),
    /// The owner has not heard of a replica.
    ReplicaUnknown(NodeId),
    /// A replica is in quarantine; its group gets another one in its place.
    ReplicaQuarantined(NodeId),
    /// On most of its nodes, these, the replica is in quarantine: its group cannot go on by itself.
    MajorityQuarantined(Vec<NodeId>),
}

impl Picture {
    /// Puts the views together.
    pub(crate) fn of(views: &[View]) -> Self {
        let maps: Vec<(NodeId, &ClusterMap)> =
            views.iter().filter_map(|view| Some((view.node.node, view.map.as_ref().ok()?))).collect();
        let answers = |node: NodeId| maps.iter().any(|(who, _)| *who == node);
        let mut entries: BTreeMap<ShardId, Vec<(NodeId, &ShardEntry)>> = BTreeMap::new();
        for (who, map) in &maps {
            for shard in &map.shards {
                entries.entry(shard.shard).or_default().push((*who, shard));
            }
        }
        let shards: Vec<ShardState> =
            entries.values().filter_map(|said| judge_shard(said, &answers)).collect();
        let nodes: Vec<NodeState> = views.iter().map(|view| judge_node(view, &maps, &shards)).collect();
        let whole =
            nodes.iter().all(|node| node.ready) && shards.iter().all(|shard| shard.problems.is_empty());
        Self {
            status: if whole { "healthy" } else { "degraded" },
            cluster: maps.first().map(|(_, map)| map.cluster),
            nodes,
            shards,
        }
    }

    /// Every node is ready, and every shard has an owner and all its replicas.
    pub(super) fn is_healthy(&self) -> bool {
        self.status == "healthy"
    }
}

impl NodeState {
    /// What it is to the cluster, in a word.
    pub(crate) fn standing(&self) -> &'static str {
        use roomkeeper_client::NodeState as State;
        match self.state {
            State::Active => "active",
            State::Draining if self.replicas == 0 && !self.votes => "drained",
            State::Draining => "draining",
            State::Lost => "lost",
            State::Unknown => "unknown",
        }
    }
}

fn judge_node(view: &View, maps: &[(NodeId, &ClusterMap)], shards: &[ShardState]) -> NodeState {
    let node = view.node.node;
    let entry_of = |map: &ClusterMap| map.nodes.iter().find(|entry| entry.node == node).cloned();
    let says_alive = |map: &ClusterMap| entry_of(map).is_some_and(|entry| entry.alive);
    NodeState {
        node,
        url: view.node.url.clone(),
        zone: view.node.zone.clone(),
        weight: view.node.weight,
        state: view.node.state,
        votes: view.node.votes,
        answers: view.map.is_ok(),
        ready: view.map.is_ok() && view.ready.is_ok(),
        reason: view.map.as_ref().err().or(view.ready.as_ref().err()).cloned(),
        asks_for_token: view.asks_for_token,
        seen_by: maps.iter().filter(|(_, map)| says_alive(map)).map(|(who, _)| *who).collect(),
        owned: shards.iter().filter(|shard| shard.owner == Some(node)).count(),
        replicas: shards.iter().filter(|shard| shard.replicas.iter().any(|r| r.node == node)).count(),
        lag: shards
            .iter()
            .flat_map(|shard| &shard.replicas)
            .filter(|replica| replica.node == node)
            .filter_map(|replica| replica.lag)
            .max(),
        load: maps.iter().filter_map(|(_, map)| entry_of(map)?.load).min_by_key(|load| load.age_ms),
    }
}

/// One shard, from what the nodes said of it. `None` without any.
fn judge_shard(said: &[(NodeId, &ShardEntry)], answers: &impl Fn(NodeId) -> bool) -> Option<ShardState> {
    let newest = said.iter().map(|(_, entry)| entry.epoch).max()?;
    let mut owners =
        said.iter().filter(|(_, entry)| entry.epoch == newest).filter_map(|(_, entry)| entry.owner);
    let owner = owners.next();
    let other = owners.find(|other| Some(*other) != owner);
    // Only the owner knows its replicas' lag, and only it is asked.
    let by_owner = said.iter().find(|(who, _)| Some(*who) == owner);
    let (_, entry) = by_owner.or(said.iter().find(|(_, entry)| entry.epoch == newest))?;
    let replicas: Vec<ReplicaState> = entry
        .replicas
        .iter()
        .map(|replica| ReplicaState { node: replica.node, replica: replica.replica, lag: replica.lag })
        .collect();
    let mut problems = Vec::new();
    let quarantined = in_quarantine(said);
    let nodes: BTreeSet<NodeId> = replicas.iter().map(|replica| replica.node).collect();
    if owner.is_none() && quarantined.len() * 2 > nodes.len() {
        problems.push(Problem::MajorityQuarantined(quarantined.iter().copied().collect()));
    }
    match owner {
        None => problems.push(Problem::NoOwner),
        Some(owner) if !answers(owner) => problems.push(Problem::OwnerSilent(owner)),
        Some(_) => {}
    }
    if let (Some(owner), Some(other)) = (owner, other) {
        problems.push(Problem::TwoOwners(owner, other));
    }
    for replica in replicas.iter().filter(|replica| Some(replica.node) != owner) {
        problems.extend(match replica.lag {
            _ if !answers(replica.node) => Some(Problem::ReplicaSilent(replica.node)),
            _ if quarantined.contains(&replica.node) => Some(Problem::ReplicaQuarantined(replica.node)),
            // Those that it moves to are being filled.
            _ if entry.moving_to.is_some() => None,
            Some(lag) if lag > LAG_MAX => Some(Problem::ReplicaBehind(replica.node, lag)),
            None if by_owner.is_some() => Some(Problem::ReplicaUnknown(replica.node)),
            _ => None,
        });
    }
    let away = owner.is_some() && entry.preferred.is_some() && owner != entry.preferred;
    let (shard, preferred, moving_to) = (entry.shard, entry.preferred, entry.moving_to.clone());
    Some(ShardState { shard, owner, epoch: newest, preferred, replicas, problems, away, moving_to })
}

/// The nodes that say that their replica of the shard is in quarantine.
fn in_quarantine(said: &[(NodeId, &ShardEntry)]) -> BTreeSet<NodeId> {
    let own = |who: NodeId, entry: &ShardEntry| {
        entry.replicas.iter().any(|replica| replica.node == who && replica.quarantined)
    };
    said.iter().filter(|(who, entry)| own(*who, entry)).map(|(who, _)| *who).collect()
}

#[cfg(test)]
#[path = "picture_test.rs"]
mod tests;
