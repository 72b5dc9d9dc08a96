//! What this node remembers of other nodes' replicas: how far they said they are on disk.
//!
//! Kept in a file, so that it outlives a stop of the whole cluster. Each replica only ever gets further, so the
//! furthest that was heard is kept.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use parking_lot::Mutex;
use roomkeeper_consensus::Standing;
use roomkeeper_storage::{Error, read_checked, write_checked};
use roomkeeper_types::ReplicaId;
use serde::{Deserialize, Serialize};

use crate::versioned;

const VERSION: u8 = 1;

/// An answer to "what do you remember of these replicas?".
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Recollection {
    /// False: the answerer has lost its memory, so that silence about a replica says nothing.
    pub(crate) complete: bool,
    /// What it remembers of those that it was asked for.
    pub(crate) standings: Vec<(ReplicaId, Standing)>,
}

/// The memory and its file.
pub(crate) struct Memory {
    path: PathBuf,
    complete: bool,
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    standings: BTreeMap<ReplicaId, Standing>,
    changed: bool,
}

impl Memory {
    /// From its file; empty if there is none. One that cannot be read is kept beside it, under another name: this
    /// node then says that it does not know, for as long as it runs. Blocks.
    ///
    /// # Errors
    /// The disk failed.
    pub(crate) fn open(path: &Path) -> Result<Self, Error> {
        let read = read_checked(path).map(|bytes| bytes.map(|bytes| versioned::decode(VERSION, &bytes)));
        let (complete, standings) = match read {
            Ok(None) => (true, BTreeMap::new()),
            Ok(Some(Ok(standings))) => (true, standings),
            Ok(Some(Err(error))) => (false, set_aside(path, &error)?),
            Err(error @ Error::Corrupt { .. }) => (false, set_aside(path, &error)?),
            Err(error) => return Err(error),
        };
        let known = Mutex::new(Known { standings, changed: false });
        Ok(Self { path: path.to_owned(), complete, known })
    }

    /// Remembers what a node said of its replicas.
    pub(crate) fn remember(&self, said: &[(ReplicaId, Standing)]) {
        let mut known = self.known.lock();
        for (replica, standing) in said {
            let last = known.standings.entry(*replica).or_default();
            if *standing > *last {
                *last = *standing;
                known.changed = true;
            }
        }
    }

    /// What is remembered of these.
    pub(crate) fn recall(&self, replicas: &[ReplicaId]) -> Recollection {
        let known = self.known.lock();
        let recall = |replica: &ReplicaId| Some((*replica, *known.standings.get(replica)?));
        Recollection { complete: self.complete, standings: replicas.iter().filter_map(recall).collect() }
    }

    /// Forgets the replicas that are gone for good.
    pub(crate) fn forget(&self, is_gone: impl Fn(ReplicaId) -> bool) {
        let mut known = self.known.lock();
        let before = known.standings.len();
        known.standings.retain(|replica, _| !is_gone(*replica));
        known.changed |= known.standings.len() < before;
    }

    /// Puts it on disk if it has changed. Blocks.
    pub(crate) fn save(&self) -> Result<(), Error> {
        let bytes = {
            let mut known = self.known.lock();
            if !std::mem::take(&mut known.changed) {
                return Ok(());
            }
            versioned::encode(VERSION, &known.standings)
        };
        write_checked(&self.path, &bytes).inspect_err(|_| self.known.lock().changed = true)
    }
}

fn set_aside(path: &Path, error: &dyn std::fmt::Display) -> Result<BTreeMap<ReplicaId, Standing>, Error> {
    let aside = path.with_extension("damaged");
    tracing::error!(%error, aside = %aside.display(), "what this node remembered of others is unreadable");
    std::fs::rename(path, &aside)
        .map_err(|error| Error::Io { action: "setting a file aside", reason: error.to_string() })?;
    Ok(BTreeMap::new())
}

#[cfg(test)]
mod tests {
    use roomkeeper_types::{Epoch, LogIndex, LogPosition};

    use super::*;

    fn standing(term: u64, index: u64) -> Standing {
        let last = Some(LogPosition { epoch: Epoch(term), index: LogIndex(index) });
        Standing { term: Epoch(term), elected: true, last }
    }

    #[test]
    fn furthest_standing_is_remembered_across_a_restart() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("peers");
        let memory = Memory::open(&path).unwrap();
        let (a, b) = (ReplicaId(1), ReplicaId(2));
        memory.remember(&[(a, standing(2, 9)), (b, standing(1, 1))]);
        memory.remember(&[(a, standing(2, 7))]);
        memory.save().unwrap();
        let again = Memory::open(&path).unwrap();
        let all = again.recall(&[a, b, ReplicaId(3)]);
        assert_eq!(all.standings, [(a, standing(2, 9)), (b, standing(1, 1))]);
        assert!(all.complete);
        again.forget(|replica| replica == a);
        assert_eq!(again.recall(&[a]).standings, []);
    }

    #[test]
    fn memory_that_is_damaged_is_kept_aside_and_says_that_it_knows_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("peers");
        std::fs::write(&path, b"nonsense and more of it").unwrap();
        let memory = Memory::open(&path).unwrap();
        assert!(!memory.recall(&[]).complete);
        assert!(path.with_extension("damaged").exists());
        memory.remember(&[(ReplicaId(1), standing(1, 1))]);
        memory.save().unwrap();
        assert!(!memory.recall(&[]).complete, "what it heard since is not all that it knew");
    }
}
