//! The raft log of all groups of a node: one database, one writer thread, one fsync for all that waits.

use std::ops::RangeBounds;
use std::path::Path;

use bytes::Bytes;
use roomkeeper_types::{LogIndex, ReplicaId};

use crate::Error;

/// Called once, on the writer thread, when the write is on disk (fsynced) or has failed.
pub type Done = Box<dyn FnOnce(Result<(), Error>) + Send>;

/// The raft log database of a node. Cheap to clone.
#[derive(Clone)]
pub struct LogEngine;

impl LogEngine {
    /// Opens or creates the database in `path` and starts its writer thread.
    pub fn open(path: &Path) -> Result<Self, Error> {
        let _ = path;
        todo!()
    }

    /// The log of one replica, empty if it never had one. At most one handle per replica may be written to.
    pub fn group(&self, replica: ReplicaId) -> Result<GroupLog, Error> {
        let _ = replica;
        todo!()
    }

    /// Removes all of a replica's log, synced.
    pub async fn remove(&self, replica: ReplicaId) -> Result<(), Error> {
        let _ = replica;
        todo!()
    }

    /// Writes out what is queued, then stops the writer thread.
    pub fn close(&self) {
        todo!()
    }
}

/// One replica's log. Entries, votes and marks are opaque bytes to this crate. Cheap to clone; all clones
/// share the tail cache. Writes of all groups go through one FIFO, in call order.
#[derive(Clone)]
pub struct GroupLog;

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

impl GroupLog {
    /// What is there, including writes that are queued but not yet on disk.
    pub fn state(&self) -> LogState {
        todo!()
    }

    /// Appends neighbouring entries from `first` on. When this returns they are readable; `done` is called
    /// when they are on disk. Waits only while the writer's queue is full.
    pub async fn append(&self, first: LogIndex, entries: Vec<Bytes>, done: Done) -> Result<(), Error> {
        let _ = (first, entries, done);
        todo!()
    }

    /// Saves the vote; returns when it is on disk.
    pub async fn save_vote(&self, vote: Bytes) -> Result<(), Error> {
        let _ = vote;
        todo!()
    }

    /// Saves the committed mark, without waiting for the disk (it travels with the next synced write).
    pub async fn save_committed(&self, committed: Option<Bytes>) -> Result<(), Error> {
        let _ = committed;
        todo!()
    }

    /// Removes the entries after `last` (`None`: all); returns when that is on disk.
    pub async fn truncate_after(&self, last: Option<LogIndex>) -> Result<(), Error> {
        let _ = last;
        todo!()
    }

    /// Removes the entries up to `upto` (inclusive) and remembers `mark`, the purged log id, in the same write.
    pub async fn purge(&self, upto: LogIndex, mark: Bytes) -> Result<(), Error> {
        let _ = (upto, mark);
        todo!()
    }

    /// Entries of the range, in order, at most about `max_bytes` of them (at least one, if there is any).
    /// From memory where they are in the tail cache.
    pub fn entries(&self, range: impl RangeBounds<u64>, max_bytes: usize) -> Result<Vec<Bytes>, Error> {
        let _ = (range, max_bytes);
        todo!()
    }
}
