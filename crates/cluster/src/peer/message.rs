//! Messages between nodes: a version byte, then postcard. New variants go at the end.

use bytes::Bytes;
use roomkeeper_consensus::{GroupId, Standing};
use roomkeeper_types::{ClusterId, Epoch, NodeId, ReplicaId, ShardId};
use serde::{Deserialize, Serialize};

use crate::failover::{Accusation, Testimony};
use crate::forward::Inquiry;
use crate::identity::JoinNonce;
use crate::meta::{Joined, NodeSpec, Refusal};
use crate::operate::Operation;
use crate::quarantine::Recollection;
use crate::versioned::{self, DecodeError};

const VERSION: u8 = 1;

/// A question to a node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Request {
    /// Which cluster, which node? Anybody may ask.
    WhoAreYou,
    /// Let me in. Anybody may ask; the leader of meta decides.
    Join(JoinRequest),
    /// These owners are new.
    Announce(Vec<Fact>),
    /// These are all owners that I know; what do you know better?
    Digest(Vec<Fact>),
    /// An encoded command for the leader of meta.
    Propose(Bytes),
    /// The state of meta with everything committed so far, from its leader.
    FreshState,
    /// A leader is suspected: what do your replicas of its groups say?
    Accuse(Accusation),
    /// The leader in this epoch wants this replica to lead instead.
    TakeOver { group: GroupId, replica: ReplicaId, epoch: Epoch },
    /// An operator's request, for the leader of meta.
    Operate(Operation),
    /// Is this node still of the cluster? Anybody may ask.
    AmIIn(NodeId),
    /// So far are my replicas on disk. Remember it.
    Standings(Vec<(ReplicaId, Standing)>),
    /// What do you remember of these replicas of mine, of meta or else of shards?
    Recall { meta: bool, replicas: Vec<ReplicaId> },
    /// So much have I to do: an encoded report, which has a version of its own.
    Load(Bytes),
    /// Where is this room? For the owner of the name's hash shard.
    Locate(Inquiry),
}

/// A node that wants in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct JoinRequest {
    pub(crate) nonce: JoinNonce,
    pub(crate) format: u32,
    pub(crate) node: NodeSpec,
}

/// Who owned a shard in an epoch. True for ever: an epoch has one owner at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Fact {
    pub(crate) shard: ShardId,
    pub(crate) epoch: Epoch,
    pub(crate) owner: NodeId,
}

/// The answer to a [`Request`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Answer {
    /// To `WhoAreYou`.
    Me { cluster: ClusterId, node: NodeId },
    /// To `Join`: what was granted, and where the other nodes are.
    Granted { joined: Joined, peers: Vec<(NodeId, String)> },
    /// To `Join`: never.
    Refused(Refusal),
    /// Another node leads meta, or none does.
    NotLeader { leader: Option<NodeId>, address: Option<String> },
    /// Not now; ask again in a moment.
    Later(String),
    /// To `Announce` and `Digest`: what this node knows better.
    Facts(Vec<Fact>),
    /// To `Propose`: meta's encoded reply.
    Reply(Bytes),
    /// To `FreshState`: meta's encoded state.
    State(Bytes),
    /// To `Accuse`: of every group that this node has a replica of.
    Testimonies(Vec<(GroupId, Testimony)>),
    /// To `TakeOver`: the replica campaigns. To `AmIIn`: as far as is known here. To `Standings`: they are remembered. To `Load`: it is taken note of, if it
    /// was readable.
    Done,
    /// To anything from a node that was removed from the cluster.
    Removed,
    /// To `Operate`: carried out, or why not.
    Operated { refused: Option<String> },
    /// To `Recall`.
    Recalled(Recollection),
    /// To `Locate`: the shard that holds the name's room, or would hold it.
    Located(ShardId),
}

impl Request {
    pub(crate) fn encode(&self) -> Bytes {
        versioned::encode(VERSION, self)
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        versioned::decode(VERSION, bytes)
    }
}

impl Answer {
    pub(crate) fn encode(&self) -> Bytes {
        versioned::encode(VERSION, self)
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        versioned::decode(VERSION, bytes)
    }
}
