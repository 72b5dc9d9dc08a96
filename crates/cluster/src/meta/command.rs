//! What meta can be told, and what it answers. Both travel and the commands are stored: a version byte, then
//! postcard. New variants go at the end.

use bytes::Bytes;
use roomkeeper_types::{ClusterId, NodeId, ReplicaId, ShardCount, ShardId};
use serde::{Deserialize, Serialize};

use super::PlanVersion;
use crate::identity::JoinNonce;
use crate::versioned::{self, DecodeError};

const COMMAND_VERSION: u8 = 1;
const REPLY_VERSION: u8 = 1;

/// One entry of meta's log. Each may be proposed again when its fate is unknown: the second time it changes
/// nothing, or is refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum MetaCommand {
    /// The cluster begins, with its founder.
    Bootstrap {
        cluster: ClusterId,
        format: u32,
        shards: ShardCount,
        replicas: u32,
        initial_nodes: u32,
        founder: NodeSpec,
    },
    /// A node wants in. The same nonce gets the same ids.
    Join { nonce: JoinNonce, format: u32, node: NodeSpec },
    /// A node restarted and is reached in another way.
    UpdateNode { node: NodeId, spec: NodeSpec },
    /// The first placement: nodes of every shard, preferred owner first.
    Place { table: Vec<Vec<NodeId>> },
    /// These shards' groups have elected their first owner.
    Born { shards: Vec<ShardId> },
    /// A shard is to be on these nodes, preferred owner first. Only if its last plan is of this version.
    Plan { shard: ShardId, version: PlanVersion, nodes: Vec<NodeId> },
    /// The plan of this version is carried out: the group has exactly its replicas.
    Finish { shard: ShardId, version: PlanVersion },
    /// This replica is lost or quarantined: its group, a shard's or meta, is to have another one with a new id on
    /// the same node instead.
    Renew { replica: ReplicaId },
    /// An operator wants the node to hold nothing.
    Drain { node: NodeId },
    /// The operator does not want that any more.
    Undrain { node: NodeId },
    /// The node was silent for too long: its replicas are replaced, where there are other nodes for them.
    Lose { node: NodeId },
    /// A node that was lost is heard again.
    Find { node: NodeId },
    /// The node never comes back. Unless forced, only if it holds nothing.
    Remove { node: NodeId, force: bool },
}

/// What a node says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct NodeSpec {
    pub(crate) peer: String,
    pub(crate) client_url: String,
    pub(crate) admin: Option<String>,
    pub(crate) zone: Option<String>,
    pub(crate) weight: u32,
}

/// The answer to a command.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum MetaReply {
    /// It is so now, or was before.
    Done,
    /// The node is in.
    Joined(Joined),
    /// Nothing was done.
    Refused(Refusal),
    /// The replica that takes a renewed one's place on its node; none if its shard has left the node.
    Renewed(Option<ReplicaId>),
}

/// What a joining node is given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Joined {
    pub(crate) cluster: ClusterId,
    pub(crate) shards: ShardCount,
    pub(crate) node: NodeId,
    pub(crate) meta_replica: ReplicaId,
}

/// Why nothing was done. Asking again does not help.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub(crate) enum Refusal {
    /// Bootstrap of a cluster that exists.
    #[error("this is cluster {0} already")]
    AlreadyFounded(ClusterId),
    /// Anything but bootstrap before it.
    #[error("the cluster is not founded yet")]
    NotFounded,
    /// A node of another version.
    #[error("the cluster has format {cluster}, the node has {node}: install the same version everywhere")]
    Format { cluster: u32, node: u32 },
    /// A node that never joined, or was removed.
    #[error("{0} is no node of this cluster")]
    UnknownNode(NodeId),
    /// A second first placement.
    #[error("the shards are placed already")]
    AlreadyPlaced,
    /// A table that does not fit the cluster.
    #[error("the placement is malformed: {0}")]
    Malformed(String),
    /// A shard that is not placed.
    #[error("{0} is not placed")]
    NotPlaced(ShardId),
    /// The shard has another plan by now.
    #[error("{shard} has plan {now} by now")]
    OtherPlan { shard: ShardId, now: PlanVersion },
    /// A shard without a first owner yet: its replicas are as they were placed.
    #[error("{0} has had no owner yet")]
    Unborn(ShardId),
    /// A replica that no group has, or not any more.
    #[error("{0} is no replica of this cluster, or not any more")]
    UnknownReplica(ReplicaId),
    /// Without this node there would be none that may hold shards.
    #[error("{0} is the last node that may hold shards: add another one first")]
    LastNode(NodeId),
    /// A node that is to be removed still has replicas.
    #[error(
        "{node} still holds {replicas} replicas: drain it first (`roomkeeper node drain {} --wait`); if it never \
         comes back, `roomkeeper node remove {} --force` gives them up",
        node.0, node.0
    )]
    StillHolds { node: NodeId, replicas: u32 },
}

impl MetaCommand {
    pub(crate) fn encode(&self) -> Bytes {
        versioned::encode(COMMAND_VERSION, self)
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        versioned::decode(COMMAND_VERSION, bytes)
    }
}

impl MetaReply {
    pub(crate) fn encode(&self) -> Bytes {
        versioned::encode(REPLY_VERSION, self)
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        versioned::decode(REPLY_VERSION, bytes)
    }
}
