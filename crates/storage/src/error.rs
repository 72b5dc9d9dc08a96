//! What can go wrong on disk.

use std::path::PathBuf;

use roomkeeper_types::ReplicaId;

/// A disk error. None is worth a retry in place: the caller takes the replica or the node down.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    /// A database could not be opened.
    #[error("cannot open the database in {path}: {reason}")]
    Open {
        /// Its folder.
        path: PathBuf,
        /// RocksDB's words.
        reason: String,
    },
    /// A read or write failed.
    #[error("{action} failed: {reason}")]
    Io {
        /// What was attempted.
        action: &'static str,
        /// RocksDB's words.
        reason: String,
    },
    /// Bytes that make no sense.
    #[error("{what} is unreadable: {reason}")]
    Corrupt {
        /// What was read.
        what: String,
        /// What is wrong with it.
        reason: String,
    },
    /// No store of this replica is here.
    #[error("no store of replica {0} on this node")]
    NoReplica(ReplicaId),
    /// The writer stopped after an earlier error; the node must restart.
    #[error("the log writer stopped: {0}")]
    Stopped(String),
}

impl From<Error> for std::io::Error {
    fn from(error: Error) -> Self {
        Self::other(error)
    }
}
