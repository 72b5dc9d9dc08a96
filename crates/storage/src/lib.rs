//! Disk: the only crate that names RocksDB.
//!
//! Per node one raft-log database with group commit ([`LogEngine`]) and one data database with a column
//! family per replica ([`DataStore`]). Keys are by replica id, never by shard: a shard that leaves a node
//! and comes back finds nothing of its former copy.

mod data;
mod error;
mod log;

pub use data::{DataStore, ReplicaStore, SnapshotFiles, View};
pub use error::Error;
pub use log::{Done, GroupLog, LogEngine, LogState};
