//! What can go wrong on disk.

use std::path::PathBuf;

use roomkeeper_types::{LogIndex, ReplicaId};

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
    /// Bytes that make no sense, or entries that are missing.
    #[error("{what} is unreadable: {reason}")]
    Corrupt {
        /// What was read.
        what: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The log came back with less than was on disk, or nobody can tell what was. This replica must not take part in
    /// its group as its former self.
    #[error("the log of {replica} has forgotten something: {reason}")]
    Forgotten {
        /// Whose log.
        replica: ReplicaId,
        /// What is missing.
        reason: String,
    },
    /// An append that does not continue the log. Nothing was written; the caller has a bug.
    #[error("append to the log of {replica} at {got}, but its next entry is {expected}")]
    NotNext {
        /// Whose log.
        replica: ReplicaId,
        /// The only index that an append may start at.
        expected: LogIndex,
        /// The index that was given.
        got: LogIndex,
    },
    /// No store of this replica is here, or it was removed.
    #[error("no store of replica {0} on this node")]
    NoReplica(ReplicaId),
    /// This replica was removed from this node for good; its id is never used again.
    #[error("replica {0} was removed from this node and cannot come back")]
    Tombstoned(ReplicaId),
    /// The writer stopped, after an error or because it was closed; the node must restart.
    #[error("the log writer stopped: {0}")]
    Stopped(String),
}

impl Error {
    /// RocksDB's error while doing `action`. What RocksDB itself calls corruption is [`Error::Corrupt`].
    pub(crate) fn rocks(action: &'static str) -> impl FnOnce(rocksdb::Error) -> Self {
        move |error| match error.kind() {
            rocksdb::ErrorKind::Corruption => {
                Self::Corrupt { what: format!("the database ({action})"), reason: error.into_string() }
            }
            _ => Self::Io { action, reason: error.into_string() },
        }
    }

    /// A file system error while doing `action`.
    pub(crate) fn io(action: &'static str) -> impl FnOnce(std::io::Error) -> Self {
        move |error| Self::Io { action, reason: error.to_string() }
    }

    pub(crate) fn corrupt(what: impl Into<String>, reason: impl Into<String>) -> Self {
        Self::Corrupt { what: what.into(), reason: reason.into() }
    }
}

impl From<Error> for std::io::Error {
    fn from(error: Error) -> Self {
        Self::other(error)
    }
}

impl From<Error> for roomkeeper_room::RowsError {
    fn from(error: Error) -> Self {
        Self::Io(Box::new(error))
    }
}
