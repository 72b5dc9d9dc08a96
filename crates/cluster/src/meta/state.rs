//! The state of meta, and what commands do to it. Pure: equal on every replica.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use roomkeeper_consensus::Member;
use roomkeeper_types::{ClusterId, NodeId, ReplicaId, ShardCount, ShardId};
use serde::{Deserialize, Serialize};

use super::{Joined, MetaCommand, MetaReply, NodeSpec, Refusal, ShardRecord};
use crate::identity::{FOUNDER, FOUNDER_META, JoinNonce};
use crate::versioned::{self, DecodeError};

/// 2: plans of moves, and states of nodes.
const STATE_VERSION: u8 = 2;

/// Everything the cluster agreed on. Some kilobytes; stored as one row.
///
/// - `nodes`, `shards` and the ids are empty or at their first values until the cluster is founded.
/// - Node and replica ids are allocated here only, ascending, and never used again. So a lower id than the next
///   one that is not here any more was removed for good.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct MetaState {
    pub(crate) founded: Option<Founded>,
    pub(crate) nodes: BTreeMap<NodeId, NodeRecord>,
    /// By shard id. Empty until the first placement.
    pub(crate) shards: Vec<ShardRecord>,
    pub(super) next_node: NodeId,
    pub(super) next_replica: ReplicaId,
}

/// What a cluster is, for ever.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Founded {
    pub(crate) cluster: ClusterId,
    pub(crate) format: u32,
    pub(crate) shards: ShardCount,
    /// Copies of each shard, where there are nodes enough.
    pub(crate) replicas: u32,
    /// The shards are placed when there are this many nodes.
    pub(crate) initial_nodes: u32,
}

/// One node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct NodeRecord {
    pub(crate) spec: NodeSpec,
    pub(crate) meta_replica: ReplicaId,
    /// The replica of meta that it had before, if that one was renewed.
    pub(crate) former_meta: Option<ReplicaId>,
    /// The intention to join that brought it here; none for the founder.
    pub(crate) nonce: Option<JoinNonce>,
    pub(crate) state: NodeState,
}

impl NodeRecord {
    /// Whether its replica of meta is or was this one.
    pub(crate) fn has_meta(&self, replica: ReplicaId) -> bool {
        self.meta_replica == replica || self.former_meta == Some(replica)
    }
}

/// What a node is to the cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NodeState {
    /// Holds shards and takes part in meta.
    Active,
    /// An operator wants it to hold nothing: its shards move to other nodes, and it does not vote in meta.
    Draining,
    /// Silent for longer than `replace_after`: as long as there are other nodes enough, they hold its shards.
    Lost,
}

impl Default for MetaState {
    fn default() -> Self {
        Self {
            founded: None,
            nodes: BTreeMap::new(),
            shards: Vec::new(),
            next_node: FOUNDER,
            next_replica: FOUNDER_META,
        }
    }
}

impl MetaState {
    pub(crate) fn encode(&self) -> Bytes {
        versioned::encode(STATE_VERSION, self)
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        versioned::decode(STATE_VERSION, bytes)
    }

    /// Whether the node was in this cluster once and never will be again.
    pub(crate) fn was_removed(&self, node: NodeId) -> bool {
        node < self.next_node && !self.nodes.contains_key(&node)
    }

    /// Whether the replica was allocated once and is in no group any more, nor ever will be: what is left of it on a
    /// disk may go.
    pub(crate) fn was_dropped(&self, replica: ReplicaId) -> bool {
        let of_meta = |record: &NodeRecord| record.meta_replica == replica;
        replica < self.next_replica
            && !self.nodes.values().any(of_meta)
            && !self.shards.iter().any(|record| record.has(replica))
    }

    pub(crate) fn shard(&self, shard: ShardId) -> Option<&ShardRecord> {
        self.shards.get(usize::try_from(shard.0).ok()?)
    }

    /// All shards with their ids; none before the first placement.
    pub(crate) fn shards(&self) -> impl Iterator<Item = (ShardId, &ShardRecord)> {
        (0..).map(ShardId).zip(&self.shards)
    }

    /// Whether shards are to be placed now.
    pub(crate) fn wants_placement(&self) -> bool {
        let initial_nodes = |founded: &Founded| founded.initial_nodes as usize;
        self.shards.is_empty()
            && self.founded.as_ref().is_some_and(|it| self.nodes.len() >= initial_nodes(it))
    }

    /// Carries out a command. What is refused changes nothing.
    pub(crate) fn apply(&mut self, command: MetaCommand) -> MetaReply {
        let done = match command {
            MetaCommand::Bootstrap { cluster, format, shards, replicas, initial_nodes, founder } => {
                self.bootstrap(Founded { cluster, format, shards, replicas, initial_nodes }, founder)
            }
            MetaCommand::Join { nonce, format, node } => self.join(nonce, format, node),
            MetaCommand::UpdateNode { node, spec } => self.update_node(node, spec),
            MetaCommand::Place { table } => self.place(&table),
            MetaCommand::Born { shards } => self.born(&shards),
            MetaCommand::Plan { shard, version, nodes } => self.plan(shard, version, &nodes),
            MetaCommand::Finish { shard, version } => self.finish(shard, version),
            MetaCommand::Renew { replica } => self.renew(replica),
            MetaCommand::Drain { node } => self.drain(node),
            MetaCommand::Undrain { node } => self.undrain(node),
            MetaCommand::Lose { node } => self.lose(node),
            MetaCommand::Find { node } => self.find(node),
            MetaCommand::Remove { node, force } => self.remove(node, force),
        };
        done.unwrap_or_else(MetaReply::Refused)
    }

    fn bootstrap(&mut self, founded: Founded, founder: NodeSpec) -> Result<MetaReply, Refusal> {
        match self.founded {
            Some(known) if known.cluster == founded.cluster => Ok(MetaReply::Done),
            Some(known) => Err(Refusal::AlreadyFounded(known.cluster)),
            None => {
                self.founded = Some(founded);
                self.add_node(founder, None);
                Ok(MetaReply::Done)
            }
        }
    }

    fn join(&mut self, nonce: JoinNonce, format: u32, spec: NodeSpec) -> Result<MetaReply, Refusal> {
        let founded = self.founded.ok_or(Refusal::NotFounded)?;
        if format != founded.format {
            return Err(Refusal::Format { cluster: founded.format, node: format });
        }
        let known = self.nodes.iter().find(|(_, record)| record.nonce == Some(nonce)).map(|(node, _)| *node);
        let node = match known {
            Some(node) => {
                self.update_node(node, spec)?;
                node
            }
            None => self.add_node(spec, Some(nonce)),
        };
        let record = self.nodes.get(&node).ok_or(Refusal::UnknownNode(node))?;
        Ok(MetaReply::Joined(Joined {
            cluster: founded.cluster,
            shards: founded.shards,
            node,
            meta_replica: record.meta_replica,
        }))
    }

    fn update_node(&mut self, node: NodeId, spec: NodeSpec) -> Result<MetaReply, Refusal> {
        self.nodes.get_mut(&node).ok_or(Refusal::UnknownNode(node))?.spec = spec;
        Ok(MetaReply::Done)
    }

    fn place(&mut self, table: &[Vec<NodeId>]) -> Result<MetaReply, Refusal> {
        let founded = self.founded.ok_or(Refusal::NotFounded)?;
        if !self.shards.is_empty() {
            return Err(Refusal::AlreadyPlaced);
        }
        self.check_table(table, founded.shards)?;
        for nodes in table {
            let replicas: Vec<Member> =
                nodes.iter().map(|node| Member { replica: self.next_replica(), node: *node }).collect();
            let preferred = replicas[0].node;
            self.shards.push(ShardRecord::unborn(replicas, preferred));
        }
        Ok(MetaReply::Done)
    }

    /// A table has a row for each shard, and each names nodes of this cluster, none twice.
    fn check_table(&self, table: &[Vec<NodeId>], shards: ShardCount) -> Result<(), Refusal> {
        let rows = table.len();
        if rows != shards.get() as usize {
            return Err(Refusal::Malformed(format!("it has {rows} rows for {} shards", shards.get())));
        }
        (0..).map(ShardId).zip(table).try_for_each(|(shard, nodes)| self.check_row(shard, nodes))
    }

    /// A shard is on nodes of this cluster, on none twice.
    pub(super) fn check_row(&self, shard: ShardId, nodes: &[NodeId]) -> Result<(), Refusal> {
        if nodes.is_empty() {
            return Err(Refusal::Malformed(format!("{shard} is nowhere")));
        }
        let distinct: BTreeSet<&NodeId> = nodes.iter().collect();
        if distinct.len() < nodes.len() {
            return Err(Refusal::Malformed(format!("{shard} is twice on a node")));
        }
        match distinct.into_iter().find(|node| !self.nodes.contains_key(node)) {
            Some(node) => Err(Refusal::UnknownNode(*node)),
            None => Ok(()),
        }
    }

    fn born(&mut self, shards: &[ShardId]) -> Result<MetaReply, Refusal> {
        if let Some(shard) = shards.iter().find(|shard| self.shard(**shard).is_none()) {
            return Err(Refusal::NotPlaced(*shard));
        }
        for shard in shards {
            self.shards[shard.0 as usize].born = true;
        }
        Ok(MetaReply::Done)
    }

    fn add_node(&mut self, spec: NodeSpec, nonce: Option<JoinNonce>) -> NodeId {
        let node = self.next_node;
        self.next_node = NodeId(node.0 + 1);
        let meta_replica = self.next_replica();
        let state = NodeState::Active;
        self.nodes.insert(node, NodeRecord { spec, meta_replica, former_meta: None, nonce, state });
        node
    }

    pub(super) fn next_replica(&mut self) -> ReplicaId {
        let replica = self.next_replica;
        self.next_replica = ReplicaId(replica.0 + 1);
        replica
    }
}
