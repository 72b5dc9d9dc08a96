//! The cluster as one node sees it: for clients that route by themselves, and for operators.

use roomkeeper_consensus::{Role, Status};
use roomkeeper_types::{ClusterId, Epoch, NodeId, ReplicaId, ShardId};
use serde::Serialize;

use crate::load::NodeLoad;
use crate::meta::{NodeRecord, NodeState, Plan, ShardRecord};
use crate::node::Shared;

/// Nodes and shards.
#[derive(Debug, Clone, Serialize)]
pub struct ClusterMap {
    /// The cluster.
    pub cluster: ClusterId,
    /// By shard id. None before the first placement.
    pub shards: Vec<ShardEntry>,
    /// By node id.
    pub nodes: Vec<NodeEntry>,
}

/// One node.
#[derive(Debug, Clone, Serialize)]
pub struct NodeEntry {
    /// The node.
    pub node: NodeId,
    /// Client URL.
    pub url: String,
    /// Peer address.
    pub peer: String,
    /// Admin address, if the node tells it.
    pub admin: Option<String>,
    /// What it fails together with.
    pub zone: Option<String>,
    /// Share of the load relative to other nodes.
    pub weight: u32,
    /// What it is to the cluster.
    pub state: NodeState,
    /// It votes in meta.
    pub votes: bool,
    /// Heard from within the last 3 s, as this node sees it.
    pub alive: bool,
    /// What it has to do, as it said last; `None`: it never said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub load: Option<NodeLoad>,
}

/// One shard.
#[derive(Debug, Clone, Serialize)]
pub struct ShardEntry {
    /// The shard.
    pub shard: ShardId,
    /// Its owner, as far as this node knows; `None` while one is being elected.
    pub owner: Option<NodeId>,
    /// The highest epoch that this node knows of.
    pub epoch: Epoch,
    /// The node that should own it.
    pub preferred: NodeId,
    /// In order of preference. While it moves: all that its group may have.
    pub replicas: Vec<ReplicaEntry>,
    /// The nodes that it is moving to, in order of preference, if it moves.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub moving_to: Option<Vec<NodeId>>,
}

/// One copy of a shard.
#[derive(Debug, Clone, Serialize)]
pub struct ReplicaEntry {
    /// Where it is.
    pub node: NodeId,
    /// Which replica.
    pub replica: ReplicaId,
    /// Entries behind the owner's log; known on the owner only.
    pub lag: Option<u64>,
    /// It is in quarantine: less than it was, or unreadable. Known on its own node only.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub quarantined: bool,
}

impl Shared {
    pub(crate) fn map(&self) -> ClusterMap {
        let state = self.meta.state();
        ClusterMap {
            cluster: self.identity.cluster,
            shards: state.shards().map(|(shard, record)| self.shard_entry(shard, record)).collect(),
            nodes: state.nodes.iter().map(|(node, record)| self.node_entry(*node, record)).collect(),
        }
    }

    fn node_entry(&self, node: NodeId, record: &NodeRecord) -> NodeEntry {
        let spec = record.spec.clone();
        let alive = node == self.identity.node || self.pings.is_alive(node);
        let voters = self.meta.group().map(|group| group.status().voters).unwrap_or_default();
        NodeEntry {
            node,
            url: spec.client_url,
            peer: spec.peer,
            admin: spec.admin,
            zone: spec.zone,
            weight: spec.weight,
            state: record.state,
            votes: voters.iter().any(|voter| voter.node == node),
            alive,
            load: self.loads.load(node),
        }
    }

    fn shard_entry(&self, shard: ShardId, record: &ShardRecord) -> ShardEntry {
        let known = self.table.known(shard);
        let owner = known.owner(self.identity.node);
        let status = self.shards.get(shard).map(|local| local.group.status());
        let status = status.filter(|status| status.role == Role::Leader);
        let replicas = record.replicas.iter().map(|member| ReplicaEntry {
            node: member.node,
            replica: member.replica,
            lag: status.as_ref().and_then(|status| lag(status, member.replica)),
            quarantined: member.node == self.identity.node && self.quarantine.holds(member.replica),
        });
        let replicas = replicas.collect();
        let nodes = |plan: &Plan| plan.target.iter().map(|member| member.node).collect();
        let moving_to = record.plan.as_ref().map(nodes);
        ShardEntry { shard, owner, epoch: known.epoch, preferred: record.preferred, replicas, moving_to }
    }
}

/// How far a replica is behind the leader whose status this is.
pub(crate) fn lag(status: &Status, replica: ReplicaId) -> Option<u64> {
    if status.leader.is_some_and(|leader| leader.replica == replica) {
        return Some(0);
    }
    let last = status.last.map_or(0, |last| last.get());
    let matched = status.matched.get(&replica).copied().flatten()?;
    Some(last.saturating_sub(matched.get()))
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use roomkeeper_types::LogIndex;

    use super::*;
    use crate::shard::testing::leader_status;

    #[test]
    fn lag_is_known_of_replicas_that_were_heard() {
        let mut status = leader_status(3, Instant::now());
        status.last = Some(LogIndex(10));
        status.matched.insert(ReplicaId(20), Some(LogIndex(7)));
        status.matched.insert(ReplicaId(30), None);
        let lags = [10, 20, 30, 40].map(|replica| lag(&status, ReplicaId(replica)));
        assert_eq!(lags, [Some(0), Some(3), None, None]);
    }
}
