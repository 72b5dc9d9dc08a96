//! Replicas of which a part turned out to be unreadable while they were in use.
//!
//! They are kept in a file beside the tables, so that none of them is opened again: what is readable of it may be
//! any part. A file because RocksDB takes no more writes, of any replica, once it has met damage while compacting.
//!
//! ```text
//! damaged   | version u8 = 1 | replica u64 | replica u64 | …    big-endian
//! ```

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use parking_lot::Mutex;
use roomkeeper_types::ReplicaId;

use crate::{Error, read_checked, write_checked};

const FILE: &str = "damaged";
const VERSION: u8 = 1;

/// The replicas, and their file.
pub(super) struct Damage {
    path: PathBuf,
    replicas: Mutex<BTreeSet<ReplicaId>>,
}

impl Damage {
    /// From the folder of a database.
    ///
    /// # Errors
    /// [`Error::Corrupt`]: nobody can tell which replicas are damaged.
    pub(super) fn open(folder: &Path) -> Result<Self, Error> {
        let path = folder.join(FILE);
        let replicas = match read_checked(&path)?.as_deref() {
            None => BTreeSet::new(),
            Some([VERSION, replicas @ ..]) => {
                let (replicas, rest) = replicas.as_chunks();
                if !rest.is_empty() {
                    return Err(Error::corrupt(path.display().to_string(), "it ends within a number"));
                }
                replicas.iter().map(|replica| ReplicaId(u64::from_be_bytes(*replica))).collect()
            }
            Some(_) => return Err(Error::corrupt(path.display().to_string(), "its version is unknown")),
        };
        Ok(Self { path, replicas: Mutex::new(replicas) })
    }

    pub(super) fn has(&self, replica: ReplicaId) -> bool {
        self.replicas.lock().contains(&replica)
    }

    /// On disk when it returns, unless that is told as an error in the log: the caller has a worse one. Blocks.
    pub(super) fn add(&self, replica: ReplicaId) {
        let mut replicas = self.replicas.lock();
        if replicas.insert(replica)
            && let Err(error) = self.save(&replicas)
        {
            tracing::error!(%replica, %error, "that a replica is damaged is not kept on disk");
        }
    }

    /// It was removed for good. Blocks.
    ///
    /// # Errors
    /// The disk failed; it counts as damaged after the next start.
    pub(super) fn forget(&self, replica: ReplicaId) -> Result<(), Error> {
        let mut replicas = self.replicas.lock();
        if replicas.remove(&replica) { self.save(&replicas) } else { Ok(()) }
    }

    fn save(&self, replicas: &BTreeSet<ReplicaId>) -> Result<(), Error> {
        let numbers = replicas.iter().flat_map(|replica| replica.0.to_be_bytes());
        let bytes: Vec<u8> = std::iter::once(VERSION).chain(numbers).collect();
        write_checked(&self.path, &bytes)
    }
}

/// The table file that an error of RocksDB names: `000123.sst`.
pub(super) fn table_in(message: &str) -> Option<&str> {
    let end = message.find(".sst")? + ".sst".len();
    let begin = message[..end].rfind('/').map_or(0, |at| at + 1);
    Some(&message[begin..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn table_of_an_error_is_found() {
        let message = "Corruption: block checksum mismatch: stored = 1, computed = 2, type = 4  in /d/data/000123.sst \
                       offset 0 size 4033";
        assert_eq!(table_in(message), Some("000123.sst"));
        assert_eq!(table_in("Corruption: bad entry in block"), None);
    }

    #[test]
    fn damaged_replicas_are_known_after_a_restart_until_they_are_removed() {
        let dir = tempfile::tempdir().unwrap();
        let damage = Damage::open(dir.path()).unwrap();
        damage.add(ReplicaId(7));
        damage.add(ReplicaId(300));
        let damage = Damage::open(dir.path()).unwrap();
        assert!(damage.has(ReplicaId(7)) && damage.has(ReplicaId(300)) && !damage.has(ReplicaId(8)));
        damage.forget(ReplicaId(7)).unwrap();
        let damage = Damage::open(dir.path()).unwrap();
        assert!(!damage.has(ReplicaId(7)) && damage.has(ReplicaId(300)));
        for bytes in [&b"\x02"[..], b"\x01\0\0"] {
            write_checked(&dir.path().join(FILE), bytes).unwrap();
            assert!(Damage::open(dir.path()).is_err(), "{bytes:?}");
        }
    }
}
