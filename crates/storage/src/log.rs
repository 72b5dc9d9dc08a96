//! The raft log of all groups of a node: one database, one writer thread, one fsync for all that waits.
//!
//! A call checks and changes the group's memory ([`tail`]), and in the same moment puts a job into the queue
//! ([`queue`]). The writer thread ([`writer`]) takes all that waits, makes one write of it ([`disk`]), syncs
//! once, and then tells everyone in order. So memory and disk see the same writes in the same order, votes
//! and appends never overtake each other, and a write costs a share of an fsync.
//!
//! Beside the database a small file holds durable marks of what each log had ([`marks`]), so that one that comes
//! back shorter is found out before anybody relies on it.

mod disk;
mod engine;
mod group;
mod keys;
mod marks;
mod queue;
mod recover;
mod tail;
mod times;
mod writer;

#[cfg(test)]
mod fatal_test;
#[cfg(test)]
mod recover_test;
#[cfg(test)]
mod writer_test;

use std::time::Duration;

use bytes::Bytes;
use roomkeeper_types::LogIndex;

use crate::Error;

pub use engine::LogEngine;
pub use group::GroupLog;
pub use times::SyncTimes;

/// Called once, on the writer thread, when the write is on disk (fsynced) or has failed. Must not block: all
/// groups wait for it.
pub type Done = Box<dyn FnOnce(Result<(), Error>) + Send>;

/// What a replica's log holds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LogState {
    /// Index of the first entry kept, if any.
    pub first: Option<LogIndex>,
    /// Index of the last entry, if any.
    pub last: Option<LogIndex>,
    /// What was said with the last purge.
    pub purged: Option<Bytes>,
    /// The last vote saved.
    pub vote: Option<Bytes>,
    /// The last committed mark saved.
    pub committed: Option<Bytes>,
}

/// Sizes of a [`LogEngine`], in bytes, and its patience.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogOptions {
    /// Most that one group's tail cache keeps of entries that are on disk.
    pub group_cache_bytes: usize,
    /// Most that all tail caches together keep of entries that are on disk: each group may use its equal
    /// share of it, and not more than `group_cache_bytes`.
    pub cache_bytes: usize,
    /// Most that may wait for the writer. Writers wait while it is full; a write larger than it goes alone.
    pub queue_bytes: usize,
    /// A run of waiting writes is cut behind this many bytes, so that the first one's sync is not late.
    pub run_bytes: usize,
    /// RocksDB's memtable. Entries that are purged before it is full never reach a table file. As much again is set
    /// aside on disk for its write-ahead log, and needed when it is flushed: a node's ballast has to hold both.
    pub write_buffer_bytes: usize,
    /// A write that finds the disk full is tried again for so long, then it is an error like any other.
    pub space_patience: Duration,
}

impl Default for LogOptions {
    fn default() -> Self {
        Self {
            group_cache_bytes: 4 << 20,
            cache_bytes: 64 << 20,
            queue_bytes: 64 << 20,
            run_bytes: 4 << 20,
            write_buffer_bytes: 32 << 20,
            space_patience: Duration::from_secs(30),
        }
    }
}
