//! The data directory: one process at a time, and nothing else in it.
//!
//! ```text
//! LOCK      held by the running process
//! log/      the raft log of all groups, and marks of what it had on disk
//! data/     the rows of all replicas, and the node's own
//! scratch/ snapshots on their way; emptied at every start
//! ```

use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use roomkeeper_storage::{DataStore, Error as StorageError, LogEngine};

use crate::error::StartError;

const LOCK: &str = "LOCK";
const LOG: &str = "log";
const DATA: &str = "data";
const SCRATCH: &str = "scratch";
/// An ext4 file system's own folder, where the data directory is a mount point.
const LOST_AND_FOUND: &str = "lost+found";

const SETTLE_MAX: Duration = Duration::from_secs(2);
const SETTLE_PAUSE: Duration = Duration::from_millis(20);

/// An open data directory.
pub(crate) struct DataDir {
    path: PathBuf,
    lock: Mutex<Option<File>>,
    pub(crate) log: LogEngine,
    pub(crate) data: DataStore,
}

impl DataDir {
    /// Opens or creates the directory. Blocks.
    pub(crate) fn open(path: &Path) -> Result<Self, StartError> {
        fs::create_dir_all(path).map_err(|source| io(path, source))?;
        if let Some(entry) = foreign_entry(path).map_err(|source| io(path, source))? {
            return Err(StartError::DataDirNotEmpty { path: path.to_owned(), entry });
        }
        let lock = take_lock(path)?;
        let log = settled(|| LogEngine::open(&path.join(LOG)))?;
        let data = settled(|| DataStore::open(&path.join(DATA)))?;
        Ok(Self { path: path.to_owned(), lock: Mutex::new(Some(lock)), log, data })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn scratch(&self) -> PathBuf {
        self.path.join(SCRATCH)
    }

    /// Lets another process in. Whoever opened the databases' groups has closed them before.
    pub(crate) fn unlock(&self) {
        // Closing the file gives the lock back.
        self.lock.lock().take();
    }
}

/// Something that no node would have put into its directory. It is most likely not meant to be one.
fn foreign_entry(path: &Path) -> std::io::Result<Option<String>> {
    for entry in fs::read_dir(path)? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        if ![LOCK, LOG, DATA, SCRATCH, LOST_AND_FOUND].contains(&name.as_str()) {
            return Ok(Some(name));
        }
    }
    Ok(None)
}

/// Opens a database that a former node of this same process may still hold: it gave the lock back when it had
/// shut down, but the last of Raft's tasks drop their handles a moment later. Blocks, for [`SETTLE_MAX`] at most.
fn settled<T>(open: impl Fn() -> Result<T, StorageError>) -> Result<T, StorageError> {
    let begun = Instant::now();
    loop {
        match open() {
            Err(StorageError::Open { .. }) if begun.elapsed() < SETTLE_MAX => {
                std::thread::sleep(SETTLE_PAUSE)
            }
            result => return result,
        }
    }
}

fn take_lock(path: &Path) -> Result<File, StartError> {
    let file_path = path.join(LOCK);
    let file = File::create(&file_path).map_err(|source| io(&file_path, source))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(StartError::Locked { path: path.to_owned() }),
        Err(TryLockError::Error(source)) => Err(io(&file_path, source)),
    }
}

fn io(path: &Path, source: std::io::Error) -> StartError {
    StartError::DataDir { path: path.to_owned(), source }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directory_with_other_files_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("thesis.tex"), "").unwrap();
        let refused = DataDir::open(dir.path()).err();
        assert!(matches!(refused, Some(StartError::DataDirNotEmpty { entry, .. }) if entry == "thesis.tex"));
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "it was left as it was");
    }

    #[test]
    fn directory_in_use_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let held = take_lock(dir.path()).unwrap();
        assert!(matches!(take_lock(dir.path()), Err(StartError::Locked { .. })));
        drop(held);
        assert!(take_lock(dir.path()).is_ok());
    }

    #[test]
    fn directory_that_cannot_be_made_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("file");
        fs::write(&file, "").unwrap();
        assert!(matches!(DataDir::open(&file.join("data")), Err(StartError::DataDir { .. })));
    }
}
