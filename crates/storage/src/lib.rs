//! Disk: the only crate that names RocksDB.
//!
//! Per node one raft-log database with group commit ([`LogEngine`]) and one data database with a column
//! family per replica ([`DataStore`]). Keys are by replica id, never by shard: a shard that leaves a node
//! and comes back finds nothing of its former copy.
//!
//! Every call that reads or waits for the disk blocks its thread, unless it is `async`.

mod checked_file;
mod data;
mod error;
mod log;
mod rocks;

pub use checked_file::{read_checked, write_checked};
pub use data::{DataOptions, DataStore, ReplicaStore, SnapshotFiles, View};
pub use error::Error;
pub use log::{Done, GroupLog, LogEngine, LogOptions, LogState, SyncTimes};
