//! The transport between nodes: per pair of nodes and lane one long-lived stream, shared by all groups.
//!
//! Requests go from the node that opened the stream to the other; a pair of nodes has streams both ways.
//! Nothing is retried here: a request whose stream breaks fails at once, and Raft tries again.

mod caller;
mod link;
mod server;
pub(crate) mod snapshots;

use std::time::Duration;

use bytes::Bytes;
use futures::future::BoxFuture;
use roomkeeper_types::{ClusterId, NodeId};

use crate::GroupId;

pub use caller::ask_address;
pub(crate) use link::{Lane, Link, Links};
pub(crate) use server::PeerServer;

/// Largest message between peers. Entries are at most 1 MiB plus one publish, and an append request holds
/// about 1 MiB of them.
pub(crate) const MAX_MESSAGE: usize = 8 << 20;

/// Messages that may wait for one stream. When it is full the sender waits (append streams) or fails
/// (single requests), so that a slow peer holds nobody else up.
pub(crate) const PIPE_QUEUE: usize = 1024;

/// Names of the metadata of a pipe: who calls whom, and the cluster's secret.
pub(crate) mod header {
    pub(crate) const CLUSTER: &str = "roomkeeper-cluster";
    pub(crate) const FROM: &str = "roomkeeper-from";
    pub(crate) const TO: &str = "roomkeeper-to";
    pub(crate) const SECRET: &str = "roomkeeper-secret";
}

/// A peer could not be asked.
#[derive(Debug, Clone, thiserror::Error)]
pub enum PeerError {
    /// No connection, or it broke before the answer.
    #[error("{0} is unreachable: {1}")]
    Unreachable(String, String),
    /// Connected, but no answer in time.
    #[error("no answer from {0} within {1:?}")]
    Timeout(String, Duration),
    /// The peer is of another cluster, asks for another secret, is another node than the one meant, or could
    /// not do what was asked.
    #[error("{0} refused: {1}")]
    Refused(String, String),
}

/// Who this node is to its peers.
#[derive(Debug, Clone)]
pub struct PeerIdentity {
    /// The cluster; peers of another one are refused.
    pub cluster: ClusterId,
    /// This node.
    pub node: NodeId,
    /// What every peer must say too. `None` only where peers are on loopback.
    pub secret: Option<String>,
}

/// What the layer above answers for: its own messages, and what it knows of nodes and groups.
pub trait PeerHandler: Send + Sync + 'static {
    /// Answers a message. `from` is `None` for a caller that is not a member yet. An `Err` reaches the caller as
    /// [`PeerError::Refused`].
    fn handle(&self, from: Option<NodeId>, body: Bytes) -> BoxFuture<'static, Result<Bytes, String>>;

    /// The peer address (`host:port`) of a node, if it is known.
    fn address(&self, node: NodeId) -> Option<String>;

    /// Whether meta says that the group was initialised: a replica with an empty log in a born group has lost
    /// or not yet received its log, and never votes.
    fn is_born(&self, group: GroupId) -> bool;

    /// Whether this node's disk has room for entries. Without it appends fail as if the node were not reached.
    fn has_room(&self) -> bool {
        true
    }
}
