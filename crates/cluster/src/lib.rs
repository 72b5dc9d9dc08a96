//! A node of the cluster: its shards, who owns what, placement and membership.
//!
//! [`Node::start`] opens the data directory, joins or founds a cluster and runs this node's share of it. The
//! gateway asks [`Node::route`] where a room is served; where it is served here, an [`Ownership`] takes commands
//! and reads, and an [`Observer`] is told of everything applied.
//!
//! Absent here: what clients say and are told (gateway), what commands do to rooms (room), Raft (consensus).

// What a node is started with, and why it may not start.
mod config;
mod error;

// The handle, and what it shows.
mod counts;
mod events;
mod forward;
mod map;
mod node;
mod observer;
mod operate;
mod router;
mod shard;

// Its beginning.
mod datadir;
mod identity;
mod join;
mod settle;
mod start;

// What the cluster agrees on, and what follows from it.
mod drain;
mod failover;
mod handover;
mod load;
mod meta;
mod peer;
mod pings;
mod placement;
mod quarantine;

// Small parts.
mod backoff;
mod space;
mod tasks;
mod versioned;

pub use config::{Advertise, ConfigError, NodeConfig, Start, Tuning};
pub use counts::Counts;
pub use drain::Drained;
pub use error::StartError;
pub use events::{Event, EventKind, Recorded};
pub use forward::LocateError;
pub use identity::Identity;
pub use load::{Load, NodeLoad};
pub use map::{ClusterMap, NodeEntry, ReplicaEntry, ShardEntry};
pub use meta::NodeState;
pub use node::Node;
pub use observer::{Audience, Observer};
pub use operate::{OperateError, Operation};
pub use roomkeeper_consensus::Timing;
pub use roomkeeper_storage::{ReplicaStore, SyncTimes};
pub use router::{Owner, Route, Tenure};
pub use shard::{Completion, LocalCopy, Ownership, SubmitError};
