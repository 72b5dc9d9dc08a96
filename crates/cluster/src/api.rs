//! CONTRACT DRAFT: the surface that the gateway uses, to be spread over files with bodies.
#![allow(missing_docs, clippy::todo)]

use std::time::Instant;

use roomkeeper_room::{Command, Effect, Outcome};
pub use roomkeeper_storage::ReplicaStore;
use roomkeeper_types::{ClusterId, Epoch, LogPosition, NodeId, ReplicaId, RoomName, ShardCount, ShardId};
use serde::Serialize;

/// Told of what was applied, on every replica (an owner or not), in log order, on the apply thread, after the
/// rows are visible. Must not block.
pub trait Observer: Send + Sync + 'static {
    fn applied(&self, shard: ShardId, effects: Vec<Effect>);
}

/// A running node. Cheap to clone.
#[derive(Clone)]
pub struct Node;

/// Who this node is.
#[derive(Debug, Clone)]
pub struct Identity {
    pub cluster: ClusterId,
    pub node: NodeId,
    /// What clients reach this node by: `http://host:port`, no trailing slash.
    pub client_url: String,
}

/// Another node that owns a shard.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Owner {
    pub node: NodeId,
    pub url: String,
    pub epoch: Epoch,
}

/// Where a shard's rooms are served.
#[derive(Clone)]
pub enum Route {
    /// Here.
    Owned(Ownership),
    /// There.
    Elsewhere(Owner),
    /// Nowhere for a moment; the last epoch known.
    Electing { epoch: Epoch },
}

/// Why a command got no outcome.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SubmitError {
    /// It is definitely not in the log: this node no longer owns the shard.
    #[error("not proposed: this node no longer owns the shard")]
    NotProposed,
    /// It may be in the log: send it again with the same ids.
    #[error("outcome unknown: {0}")]
    Unknown(String),
}

/// Called exactly once with a command's outcome; never on the caller's stack before `submit` returned ok. Must not block.
pub type Completion = Box<dyn FnOnce(Result<Outcome, SubmitError>) + Send>;

/// This node's ownership of a shard in one epoch. Cheap to clone; it does not keep ownership alive.
#[derive(Clone)]
pub struct Ownership;

impl Ownership {
    pub fn shard(&self) -> ShardId {
        todo!()
    }
    pub fn epoch(&self) -> Epoch {
        todo!()
    }
    /// Leader, own term applied, quorum heard less than 1.5 s ago, and still this epoch.
    pub fn is_current(&self) -> bool {
        todo!()
    }
    /// Returns when ownership in this epoch is over.
    pub async fn lost(&self) {
        todo!()
    }
    /// Queues a command for the shard's next entry. Waits while the queue is full (the caller's socket is not
    /// read meanwhile). Commands of one caller that awaits each call keep their order.
    pub async fn submit(&self, command: Command, done: Completion) {
        let _ = (command, done);
        todo!()
    }
    /// ReadIndex, then the rows: they hold everything acked before the call. Reading rows blocks: use
    /// `spawn_blocking` for more than a few gets.
    pub async fn read(&self) -> Result<ReplicaStore, SubmitError> {
        todo!()
    }
    /// The rows without a check (for catching a subscriber up with what is already committed).
    pub fn store(&self) -> &ReplicaStore {
        todo!()
    }
}

/// This node's own copy of a shard, whoever owns it.
pub struct LocalCopy {
    pub replica: ReplicaId,
    pub applied: Option<LogPosition>,
    pub store: ReplicaStore,
}

#[derive(Debug, Clone, Serialize)]
pub struct ClusterMap {
    pub cluster: ClusterId,
    pub shards: Vec<ShardEntry>,
    pub nodes: Vec<NodeEntry>,
}

#[derive(Debug, Clone, Serialize)]
pub struct NodeEntry {
    pub node: NodeId,
    /// Client URL.
    pub url: String,
    pub peer: String,
    pub admin: Option<String>,
    pub zone: Option<String>,
    /// Heard from within the last seconds, as this node sees it.
    pub alive: bool,
}

#[derive(Debug, Clone, Serialize)]
pub struct ShardEntry {
    pub shard: ShardId,
    pub owner: Option<NodeId>,
    pub epoch: Epoch,
    pub preferred: NodeId,
    pub replicas: Vec<ReplicaEntry>,
}

#[derive(Debug, Clone, Serialize)]
pub struct ReplicaEntry {
    pub node: NodeId,
    pub replica: ReplicaId,
    /// Entries behind the owner's log; known on the owner only.
    pub lag: Option<u64>,
}

impl Node {
    pub fn identity(&self) -> &Identity {
        todo!()
    }
    pub fn shards(&self) -> ShardCount {
        todo!()
    }
    pub fn shard_of(&self, room: &RoomName) -> ShardId {
        room.hash_shard(self.shards())
    }
    /// Where the shard is served, as far as this node knows now.
    pub fn route(&self, shard: ShardId) -> Route {
        let _ = shard;
        todo!()
    }
    /// The same, but waits until `deadline` while there is no owner, or while the known owner's epoch is not
    /// above `stale` (an owner that answered it is none).
    pub async fn wait_route(&self, shard: ShardId, stale: Option<Epoch>, deadline: Instant) -> Route {
        let _ = (shard, stale, deadline);
        todo!()
    }
    /// A hint from another node (a relay's answer): taken if its epoch is higher than what is known.
    pub fn learn_owner(&self, shard: ShardId, node: NodeId, epoch: Epoch) {
        let _ = (shard, node, epoch);
        todo!()
    }
    /// This node's copy of the shard, if it has one.
    pub fn local(&self, shard: ShardId) -> Option<LocalCopy> {
        let _ = shard;
        todo!()
    }
    /// Nodes and shards, as this node sees them.
    pub fn map(&self) -> ClusterMap {
        todo!()
    }
    /// Ready: meta has a quorum, and an owner is known of every shard. Else why not.
    pub fn ready(&self) -> Result<(), String> {
        todo!()
    }
    /// Returns when the node cannot go on (a storage error): the process must exit.
    pub async fn failed(&self) -> String {
        todo!()
    }
    pub async fn shutdown(&self) {
        todo!()
    }
}
