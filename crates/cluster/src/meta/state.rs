//! The state of meta, and what commands do to it. Pure: equal on every replica.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use roomkeeper_consensus::Member;
use roomkeeper_types::{ClusterId, NodeId, ReplicaId, ShardCount, ShardId};
use serde::{Deserialize, Serialize};

use super::{Joined, MetaCommand, MetaReply, NodeSpec, Refusal};
use crate::identity::{FOUNDER, FOUNDER_META, JoinNonce};
use crate::versioned::{self, DecodeError};

const STATE_VERSION: u8 = 1;

/// Everything the cluster agreed on. Some kilobytes; stored as one row.
///
/// - `nodes`, `shards` and the ids are empty or at their first values until the cluster is founded.
/// - Node and replica ids are allocated here only, ascending, and never used again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct MetaState {
    pub(crate) founded: Option<Founded>,
    pub(crate) nodes: BTreeMap<NodeId, NodeRecord>,
    /// By shard id. Empty until the first placement.
    pub(crate) shards: Vec<ShardRecord>,
    next_node: NodeId,
    next_replica: ReplicaId,
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
    /// The intention to join that brought it here; none for the founder.
    pub(crate) nonce: Option<JoinNonce>,
    pub(crate) state: NodeState,
}

/// What a node is to the cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum NodeState {
    /// Holds shards and takes part in meta.
    Active,
}

/// One shard.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ShardRecord {
    /// Its replicas in order of preference.
    pub(crate) replicas: Vec<Member>,
    /// The node that should own it.
    pub(crate) preferred: NodeId,
    /// Its group has had an owner: nobody may initialise it again.
    pub(crate) born: bool,
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

impl ShardRecord {
    /// The replica on this node, if it has one.
    pub(crate) fn on(&self, node: NodeId) -> Option<Member> {
        self.replicas.iter().find(|member| member.node == node).copied()
    }
}

impl MetaState {
    pub(crate) fn encode(&self) -> Bytes {
        versioned::encode(STATE_VERSION, self)
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        versioned::decode(STATE_VERSION, bytes)
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
            self.shards.push(ShardRecord { replicas, preferred, born: false });
        }
        Ok(MetaReply::Done)
    }

    /// A table has a row for each shard, and each names nodes of this cluster, none twice.
    fn check_table(&self, table: &[Vec<NodeId>], shards: ShardCount) -> Result<(), Refusal> {
        let rows = table.len();
        if rows != shards.get() as usize {
            return Err(Refusal::Malformed(format!("it has {rows} rows for {} shards", shards.get())));
        }
        for (shard, nodes) in (0..).map(ShardId).zip(table) {
            if nodes.is_empty() {
                return Err(Refusal::Malformed(format!("{shard} is nowhere")));
            }
            let distinct: BTreeSet<&NodeId> = nodes.iter().collect();
            if distinct.len() < nodes.len() {
                return Err(Refusal::Malformed(format!("{shard} is twice on a node")));
            }
            if let Some(node) = distinct.into_iter().find(|node| !self.nodes.contains_key(node)) {
                return Err(Refusal::UnknownNode(*node));
            }
        }
        Ok(())
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
        self.nodes.insert(node, NodeRecord { spec, meta_replica, nonce, state: NodeState::Active });
        node
    }

    fn next_replica(&mut self) -> ReplicaId {
        let replica = self.next_replica;
        self.next_replica = ReplicaId(replica.0 + 1);
        replica
    }
}
