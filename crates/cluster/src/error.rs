//! Why a node does not start.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use roomkeeper_consensus::{GroupError, OpenError, PeerError};
use roomkeeper_types::{ClusterId, NodeId};

use crate::config::ConfigError;

/// Why a node does not start. Each variant is one thing for the operator to do; the binary gives each its own
/// exit code. Only [`StartError::JoinTimeout`] and [`StartError::FoundingTimeout`] may go away by themselves.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A setting makes no sense.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The peer port is open to the network without a secret.
    #[error("peers listen on {address}, which is not loopback: set the cluster's shared secret")]
    SecretMissing {
        /// Where peers listen.
        address: SocketAddr,
    },
    /// The listener for peers cannot be used.
    #[error("the peer port cannot be used: {0}")]
    PeerPort(#[source] std::io::Error),
    /// The thread that tells other nodes that this one is there cannot be started.
    #[error("the system gives no thread for pings: {0}")]
    Pings(#[source] std::io::Error),
    /// The directory's node is in another cluster than the seeds are.
    #[error("the data directory belongs to cluster {found}, but the seeds are in cluster {expected}")]
    DataDirOfAnotherCluster {
        /// The directory's cluster.
        found: ClusterId,
        /// The seeds' cluster.
        expected: ClusterId,
    },
    /// The directory holds no node, but something else.
    #[error("{path} holds no node, but is not empty either (it has '{entry}'): name another data directory")]
    DataDirNotEmpty {
        /// The data directory.
        path: PathBuf,
        /// What is in it.
        entry: String,
    },
    /// The directory holds no node, and neither founding nor joining a cluster was asked for.
    #[error("{path} holds no node: found a cluster with --bootstrap, or join one with --join")]
    NoIdentity {
        /// The data directory.
        path: PathBuf,
    },
    /// Another process uses the directory.
    #[error("another process uses {path}")]
    Locked {
        /// The data directory.
        path: PathBuf,
    },
    /// The directory cannot be read or made.
    #[error("{path} cannot be used: {source}")]
    DataDir {
        /// The path that failed.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A database in the directory cannot be used.
    #[error(transparent)]
    Storage(#[from] roomkeeper_storage::Error),
    /// What says which node the directory belongs to cannot be read.
    #[error("the identity in the data directory is unreadable: {0}")]
    IdentityUnreadable(String),
    /// The directory has replicas, but no identity.
    #[error(
        "the file 'identity' is gone from {path}, though there are replicas: put it back, or join the cluster anew \
         with an empty directory"
    )]
    IdentityLost {
        /// The data directory.
        path: PathBuf,
    },
    /// The directory's log is gone, though its node took part in the cluster.
    #[error(
        "the log of the meta group is gone from the data directory: join the cluster anew with an empty one"
    )]
    LogLost,
    /// The node's replica of meta is damaged or less than it was, and no other node has one to build it anew from.
    #[error(
        "the replica of meta cannot be used and there is no other to rebuild it from ({reason}): put the data \
         directory back from where it was last whole, or begin anew with an empty one"
    )]
    MetaLost {
        /// What is wrong with it.
        reason: String,
    },
    /// The cluster does not take this node.
    #[error("the cluster refused this node: {0}")]
    JoinRefused(String),
    /// The node was removed from its cluster.
    #[error(
        "{0} was removed from the cluster and cannot come back: join anew as another node, with an empty data directory"
    )]
    Removed(NodeId),
    /// No seed let this node join in time. It is safe to try again.
    #[error("no seed let this node join within {waited:?}: {last}")]
    JoinTimeout {
        /// How long was waited.
        waited: Duration,
        /// What the last attempt met.
        last: String,
    },
    /// A new cluster could not write its first entry in time. It is safe to try again.
    #[error("the new cluster was not founded within {waited:?}: {last}")]
    FoundingTimeout {
        /// How long was waited.
        waited: Duration,
        /// What the last attempt met.
        last: String,
    },
    /// Another node answers at the address that this one advertises.
    #[error("{found} answers at the advertised peer address {address}, but this is {expected}")]
    WrongNode {
        /// The advertised address.
        address: String,
        /// This node.
        expected: NodeId,
        /// The one that answered.
        found: NodeId,
    },
    /// The meta group's replica could not be started.
    #[error("the meta group cannot be started: {0}")]
    Meta(#[from] GroupError),
    /// The same, because of what is on its disk.
    #[error("the replica of meta cannot be opened: {0}")]
    MetaReplica(#[from] OpenError),
    /// The transport to peers failed in a way that does not pass.
    #[error(transparent)]
    Peer(#[from] PeerError),
}
