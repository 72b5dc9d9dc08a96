//! What can go wrong on disk.

use std::path::PathBuf;

use roomkeeper_types::{LogIndex, ReplicaId};

/// A disk error. Only those that [pass](Error::may_pass) are worth a retry in place; for any other the caller takes the
/// replica or the node down.
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
    /// The disk is full. Nothing of it was made, and it may be tried again.
    ///
    /// After a flush that met a full disk RocksDB refuses all writes like this until its own recovery has succeeded:
    /// every 5 s it looks whether there is as much room as a memtable takes, and flushes again. Nothing else makes it
    /// go on, short of opening the database anew.
    #[error("{action} failed, the disk is full: {reason}")]
    NoSpace {
        /// What was attempted.
        action: &'static str,
        /// RocksDB's words.
        reason: String,
    },
    /// The disk is slower than what is written, and memory is full of what waits for it. Nothing of it was made, and it
    /// may be tried again.
    #[error("{action} has to wait for the disk")]
    Stalled {
        /// What was attempted.
        action: &'static str,
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
            rocksdb::ErrorKind::Incomplete => Self::Stalled { action },
            rocksdb::ErrorKind::IOError if is_no_space(error.as_ref()) => {
                Self::NoSpace { action, reason: error.into_string() }
            }
            _ => Self::Io { action, reason: error.into_string() },
        }
    }

    /// Whether the same may succeed later.
    #[must_use]
    pub fn may_pass(&self) -> bool {
        matches!(self, Self::NoSpace { .. } | Self::Stalled { .. })
    }

    /// Whether the disk is full.
    #[must_use]
    pub fn is_no_space(&self) -> bool {
        matches!(self, Self::NoSpace { .. })
    }

    /// A file system error while doing `action`.
    pub(crate) fn io(action: &'static str) -> impl FnOnce(std::io::Error) -> Self {
        move |error| Self::Io { action, reason: error.to_string() }
    }

    pub(crate) fn corrupt(what: impl Into<String>, reason: impl Into<String>) -> Self {
        Self::Corrupt { what: what.into(), reason: reason.into() }
    }
}

/// Whether RocksDB says that a write found no room. A sync that finds none is something else: what was written before
/// it may be lost, so that it is as bad as any other sync that fails.
fn is_no_space(message: &str) -> bool {
    let syncs = ["While fsync", "While fdatasync", "While sync_file_range", "While msync"];
    message.starts_with("IO error: No space left on device")
        && !syncs.iter().any(|sync| message.contains(sync))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn write_without_room_is_told_from_a_sync_without_room_and_from_other_errors() {
        let full = "IO error: No space left on device: While appending to file: /d/000012.sst: No space left on device";
        assert!(is_no_space(full));
        for other in [
            "IO error: No space left on device: While fdatasync: /d/000013.log: No space left on device",
            "IO error: No space left on device: While fsync: a directory: No space left on device",
            "IO error: While appending to file: /d/No space left on device: Input/output error",
            "Corruption: block checksum mismatch",
        ] {
            assert!(!is_no_space(other), "{other}");
        }
    }
}
