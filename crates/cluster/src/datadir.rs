//! The data directory: one process at a time, and nothing else in it.
//!
//! ```text
//! LOCK      held by the running process
//! log/      the raft log of all groups, and marks of what it had on disk
//! data/     the rows of all replicas
//! identity  which node this is; join-nonce: what it asked to join as
//! peers     what this node remembers of other nodes' replicas
//! aside/    databases that could not be opened, with the time: for people to look at and delete
//! ballast   nothing: room that is given up when the disk is full
//! scratch/  snapshots on their way; emptied at every start
//! ```

use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use parking_lot::Mutex;
use roomkeeper_storage::{DataStore, Error as StorageError, LogEngine};

use crate::error::StartError;
use crate::identity::{IDENTITY_FILE, NONCE_FILE};
use crate::quarantine::Memory;

const LOCK: &str = "LOCK";
const LOG: &str = "log";
const DATA: &str = "data";
const SCRATCH: &str = "scratch";
const PEERS: &str = "peers";
const ASIDE: &str = "aside";
const BALLAST: &str = "ballast";
/// An ext4 file system's own folder, where the data directory is a mount point.
const LOST_AND_FOUND: &str = "lost+found";
/// What a node's directory may hold.
const OWN: [&str; 10] =
    [LOCK, LOG, DATA, SCRATCH, IDENTITY_FILE, NONCE_FILE, PEERS, ASIDE, BALLAST, LOST_AND_FOUND];

const SETTLE_MAX: Duration = Duration::from_secs(2);
const SETTLE_PAUSE: Duration = Duration::from_millis(20);

/// An open data directory.
pub(crate) struct DataDir {
    path: PathBuf,
    lock: Mutex<Option<File>>,
    pub(crate) log: LogEngine,
    pub(crate) data: DataStore,
    memory: Mutex<Option<Memory>>,
}

impl DataDir {
    /// Opens or creates the directory. Blocks.
    pub(crate) fn open(path: &Path) -> Result<Self, StartError> {
        fs::create_dir_all(path).map_err(|source| io(path, source))?;
        if let Some(entry) = foreign_entry(path).map_err(|source| io(path, source))? {
            return Err(StartError::DataDirNotEmpty { path: path.to_owned(), entry });
        }
        let lock = take_lock(path)?;
        let log_path = path.join(LOG);
        let log = match settled(|| LogEngine::open(&log_path)) {
            Err(error @ StorageError::Corrupt { .. }) => {
                set_aside(path, &LogEngine::database_in(&log_path), LOG, &error)?;
                LogEngine::open(&log_path)?
            }
            opened => opened?,
        };
        let data_path = path.join(DATA);
        let data = match settled(|| DataStore::open(&data_path)) {
            Err(error @ StorageError::Corrupt { .. }) => {
                set_aside(path, &data_path, DATA, &error)?;
                DataStore::open(&data_path)?
            }
            opened => opened?,
        };
        let memory = Memory::open(&path.join(PEERS))?;
        Ok(Self {
            path: path.to_owned(),
            lock: Mutex::new(Some(lock)),
            log,
            data,
            memory: Mutex::new(Some(memory)),
        })
    }

    /// Whether no replica was ever here.
    pub(crate) fn is_unused(&self) -> Result<bool, StartError> {
        Ok(self.data.replicas().is_empty() && self.log.replicas()?.is_empty())
    }

    /// What this node remembers of others, once.
    pub(crate) fn take_memory(&self) -> Option<Memory> {
        self.memory.lock().take()
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The file that only takes up room.
    pub(crate) fn ballast(&self) -> PathBuf {
        self.path.join(BALLAST)
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
        let own = OWN
            .iter()
            .any(|own| name.strip_prefix(own).is_some_and(|end| ["", ".next", ".damaged"].contains(&end)));
        if !own {
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

/// A database that cannot be opened makes way for an empty one: what the replicas lack then is found out when they are
/// opened, and their groups fill new ones. Nothing is deleted.
fn set_aside(dir: &Path, database: &Path, name: &str, error: &StorageError) -> Result<(), StartError> {
    let seconds = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let aside = dir.join(ASIDE);
    let to = aside.join(format!("{name}-{seconds}"));
    tracing::error!(%error, database = %database.display(), aside = %to.display(), "database set aside");
    let moved = fs::create_dir_all(&aside)
        .and_then(|()| fs::rename(database, &to))
        .and_then(|()| File::open(&aside)?.sync_all())
        .and_then(|()| File::open(database.parent().unwrap_or(dir))?.sync_all());
    moved.map_err(|source| io(&to, source))
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
