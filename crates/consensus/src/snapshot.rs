//! Snapshots on their way between nodes: SST files, written when a peer needs them and gone afterwards.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use roomkeeper_storage::{ReplicaStore, SnapshotFiles};

use crate::machine::snapshot_meta;
use crate::raft_types::SnapshotMeta;

/// What openraft passes around as a snapshot's data.
#[derive(Debug)]
pub(crate) enum SnapshotData {
    /// This replica's own rows: exported at the moment they are sent.
    Local(ReplicaStore),
    /// Files that came from the leader.
    Received(TempFiles),
}

/// SST files in a folder of their own that goes when this is dropped.
#[derive(Debug)]
pub(crate) struct TempFiles {
    dir: PathBuf,
    files: SnapshotFiles,
}

impl TempFiles {
    pub(crate) fn new(dir: PathBuf, files: SnapshotFiles) -> Self {
        Self { dir, files }
    }

    /// Names the files, once they are complete.
    pub(crate) fn set_files(&mut self, files: Vec<PathBuf>) {
        self.files.files = files;
    }

    pub(crate) fn files(&self) -> &SnapshotFiles {
        &self.files
    }
}

impl Drop for TempFiles {
    fn drop(&mut self) {
        // What an ingest moved away is gone already; what cannot be removed now goes at the next start.
        if let Err(error) = std::fs::remove_dir_all(&self.dir)
            && error.kind() != io::ErrorKind::NotFound
        {
            tracing::warn!(dir = %self.dir.display(), %error, "snapshot files not removed");
        }
    }
}

/// A folder below `scratch` that no other transfer of this process uses.
pub(crate) fn transfer_dir(scratch: &Path) -> PathBuf {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    scratch.join(format!("transfer-{}", NEXT.fetch_add(1, Ordering::Relaxed)))
}

/// Writes a store's rows to files, and says what they hold: both from one view, so they agree whatever is
/// applied meanwhile. Blocks.
pub(crate) fn export(store: &ReplicaStore, scratch: &Path) -> io::Result<(SnapshotMeta, TempFiles)> {
    let view = store.view();
    let dir = transfer_dir(scratch);
    let files = TempFiles::new(dir.clone(), view.export(&dir)?);
    Ok((snapshot_meta(&view)?, files))
}
