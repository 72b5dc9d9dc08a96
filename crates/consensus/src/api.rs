//! CONTRACT DRAFT: the public surface, to be spread over files with bodies.
#![allow(missing_docs, clippy::todo)]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures::future::BoxFuture;
use roomkeeper_room::{Outcome, RowsError, Write};
use roomkeeper_storage::{DataStore, LogEngine, ReplicaStore};
use roomkeeper_types::{ClusterId, Epoch, LogIndex, LogPosition, NodeId, ReplicaId, ShardId};
use tokio::sync::watch;

/// Which group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum GroupId {
    Meta,
    Shard(ShardId),
}

/// A replica and the node it lives on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
pub struct Member {
    pub replica: ReplicaId,
    pub node: NodeId,
}

/// Timers of a group.
#[derive(Debug, Clone, Copy)]
pub struct Timing {
    pub heartbeat: Duration,
    pub election_min: Duration,
    pub election_max: Duration,
}

/// One committed entry. `payload` is `None` for Raft's own entries (blank, membership).
#[derive(Debug, Clone)]
pub struct Committed {
    pub at: LogPosition,
    pub payload: Option<Bytes>,
}

/// A machine's answer to the proposer of an entry.
#[derive(Debug)]
pub enum Reply {
    None,
    Outcomes(Vec<Outcome>),
    Bytes(Bytes),
}

/// What a run of entries did.
pub struct Run {
    /// Written in one atomic step together with the group's applied row.
    pub writes: Vec<Write>,
    /// One per entry, in order.
    pub replies: Vec<Reply>,
    /// Called on the apply thread after the writes are visible and before the replies are sent.
    pub after: Option<Box<dyn FnOnce() + Send>>,
}

/// A replicated state machine over a replica's rows. Runs on the group's apply task; must not block on
/// anything but the store.
pub trait Machine: Send + 'static {
    /// Called before the first `apply` and after a snapshot was installed: drop what is cached, read anew.
    fn restore(&mut self, store: &ReplicaStore) -> Result<(), RowsError>;
    /// Applies a run of entries, in order. Equal on every replica. Keys of the writes do not begin with 0x00.
    fn apply(&mut self, store: &ReplicaStore, entries: &[Committed]) -> Result<Run, RowsError>;
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    Leader,
    Follower,
    Candidate,
    Learner,
    Stopped,
}

/// What a replica knows of its group.
#[derive(Debug, Clone)]
pub struct Status {
    pub role: Role,
    /// The current term.
    pub epoch: Epoch,
    pub leader: Option<Member>,
    /// The leader's own term's first entry is applied here (leader only).
    pub term_applied: bool,
    /// When a quorum last acknowledged this leader (leader only).
    pub quorum_acked: Option<Instant>,
    pub last: Option<LogIndex>,
    pub applied: Option<LogPosition>,
    pub voters: Vec<Member>,
    pub learners: Vec<Member>,
    /// Leader only: last index known to be on each other replica.
    pub matched: BTreeMap<ReplicaId, Option<LogIndex>>,
    /// Why the replica stopped, if it did.
    pub stopped: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProposeError {
    /// Definitely not in the log: this replica does not lead, or not in the epoch named.
    #[error("not the leader of the epoch")]
    NotLeader,
    /// It may be in the log or not.
    #[error("outcome unknown: {0}")]
    Unknown(String),
}

/// A group operation other than propose failed.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{0}")]
pub struct GroupError(pub String);

/// One replica of one group. Cheap to clone.
#[derive(Clone)]
pub struct Group;

impl Group {
    pub fn id(&self) -> GroupId {
        todo!()
    }
    pub fn replica(&self) -> ReplicaId {
        todo!()
    }
    pub fn store(&self) -> &ReplicaStore {
        todo!()
    }
    /// First start of a group: makes this replica campaign with these members. Once per group, ever.
    pub async fn initialize(&self, members: &[Member]) -> Result<(), GroupError> {
        let _ = members;
        todo!()
    }
    /// Whether the replica's log has anything in it.
    pub async fn is_initialized(&self) -> Result<bool, GroupError> {
        todo!()
    }
    /// Appends one entry and waits until it is applied here. With an epoch: only if this replica still leads in it.
    pub async fn propose(
        &self,
        epoch: Option<Epoch>,
        payload: Bytes,
    ) -> Result<(LogPosition, Reply), ProposeError> {
        let _ = (epoch, payload);
        todo!()
    }
    /// ReadIndex: when it returns ok, what is applied here holds everything committed before the call.
    pub async fn read_index(&self) -> Result<(), GroupError> {
        todo!()
    }
    /// Present status; the receiver changes with it (role, epoch, leader, term_applied; not with every entry).
    pub fn status(&self) -> Status {
        todo!()
    }
    pub fn watch(&self) -> watch::Receiver<Arc<Status>> {
        todo!()
    }
    /// Leader only: adds learners, waits until they caught up, then makes these replicas the voters.
    pub async fn change_voters(&self, voters: &[Member]) -> Result<(), GroupError> {
        let _ = voters;
        todo!()
    }
    /// Leader only: hands leadership to a replica that has caught up.
    pub async fn transfer(&self, to: ReplicaId) -> Result<(), GroupError> {
        let _ = to;
        todo!()
    }
}

/// Node-level messages between peers, opaque to this crate (join, owner announcements, digests).
pub trait PeerHandler: Send + Sync + 'static {
    /// `from` is `None` for a caller that is not a member yet.
    fn handle(&self, from: Option<NodeId>, body: Bytes) -> BoxFuture<'static, Result<Bytes, String>>;
    /// The peer address (`host:port`) of a node, if it is known.
    fn address(&self, node: NodeId) -> Option<String>;
    /// Whether meta says that the group was initialised: an empty replica of a born group never votes.
    fn is_born(&self, group: GroupId) -> bool;
}

#[derive(Debug, Clone, thiserror::Error)]
pub enum PeerError {
    #[error("{0} is unreachable: {1}")]
    Unreachable(String, String),
    #[error("no answer from {0} within {1:?}")]
    Timeout(String, Duration),
    /// The peer is of another cluster, has another secret, or is not who we thought.
    #[error("{0} refused: {1}")]
    Refused(String, String),
}

pub struct Settings {
    pub cluster: ClusterId,
    pub node: NodeId,
    /// Shared by all nodes of the cluster; asked for on the peer port.
    pub secret: Option<String>,
}

/// A node's share of consensus. Cheap to clone.
#[derive(Clone)]
pub struct Consensus;

impl Consensus {
    pub fn new(settings: Settings, log: LogEngine, data: DataStore, handler: Arc<dyn PeerHandler>) -> Self {
        let _ = (settings, log, data, handler);
        todo!()
    }
    /// Serves peers on this listener until the node shuts down.
    pub async fn serve(&self, listener: tokio::net::TcpListener) -> Result<(), PeerError> {
        let _ = listener;
        todo!()
    }
    /// Starts this node's replica of a group, from what is on disk (nothing, for a new one).
    pub async fn open(
        &self,
        group: GroupId,
        replica: ReplicaId,
        timing: Timing,
        machine: impl Machine,
    ) -> Result<Group, GroupError> {
        let _ = (group, replica, timing, machine);
        todo!()
    }
    /// Asks a node; the answer is what its handler returned.
    pub async fn ask(&self, node: NodeId, body: Bytes, timeout: Duration) -> Result<Bytes, PeerError> {
        let _ = (node, body, timeout);
        todo!()
    }
    pub async fn shutdown(&self) {
        todo!()
    }
}

/// Asks whoever listens at a peer address, before this node has an identity.
pub async fn ask_address(
    address: &str,
    secret: Option<&str>,
    body: Bytes,
    timeout: Duration,
) -> Result<Bytes, PeerError> {
    let _ = (address, secret, body, timeout);
    todo!()
}
