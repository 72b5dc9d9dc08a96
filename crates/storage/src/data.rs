//! The data of all replicas of a node: one database, a column family per replica, no WAL for data (the raft
//! log is its WAL).

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use roomkeeper_room::{Rows, RowsError, Write};
use roomkeeper_types::ReplicaId;

use crate::Error;

/// The data database of a node. Cheap to clone.
#[derive(Clone)]
pub struct DataStore;

impl DataStore {
    /// Opens or creates the database in `path`.
    pub fn open(path: &Path) -> Result<Self, Error> {
        let _ = path;
        todo!()
    }

    /// Replicas that have a store here.
    pub fn replicas(&self) -> Vec<ReplicaId> {
        todo!()
    }

    /// The store of a replica, created empty (synced) if there is none.
    pub fn replica(&self, replica: ReplicaId) -> Result<ReplicaStore, Error> {
        let _ = replica;
        todo!()
    }

    /// Removes a replica's store for good: a synced tombstone first, then the column family.
    pub fn remove(&self, replica: ReplicaId) -> Result<(), Error> {
        let _ = replica;
        todo!()
    }

    /// A small row of the node itself (identity and the like), synced.
    pub fn put_node_row(&self, key: &str, value: &[u8]) -> Result<(), Error> {
        let _ = (key, value);
        todo!()
    }

    /// Reads a row of the node itself.
    pub fn node_row(&self, key: &str) -> Result<Option<Bytes>, Error> {
        let _ = key;
        todo!()
    }
}

/// One replica's rows. Cheap to clone. Reads see all writes made before.
#[derive(Clone)]
pub struct ReplicaStore;

impl ReplicaStore {
    /// Makes all writes in one atomic step, in order. Not on disk until [`ReplicaStore::flush`]; after a crash
    /// the rows are those after some earlier write (a prefix), never a mixture.
    pub fn write(&self, writes: &[Write]) -> Result<(), Error> {
        let _ = writes;
        todo!()
    }

    /// Puts on disk everything written before. Blocks.
    pub fn flush(&self) -> Result<(), Error> {
        todo!()
    }

    /// Bytes written since the last flush, about.
    pub fn unflushed_bytes(&self) -> u64 {
        todo!()
    }

    /// A view that later writes do not change.
    pub fn view(&self) -> View {
        todo!()
    }

    /// Writes a consistent copy of all rows into files below `dir` (emptied first). Blocks.
    pub fn export(&self, dir: &Path) -> Result<SnapshotFiles, Error> {
        let _ = dir;
        todo!()
    }

    /// Replaces all rows by those of exported files: ingested into a new column family, one synced pointer
    /// row switches, then the old family goes. A crash leaves either the old or the new rows. Blocks.
    pub fn install(&self, files: &SnapshotFiles) -> Result<(), Error> {
        let _ = files;
        todo!()
    }
}

/// Exported rows.
#[derive(Debug, Clone)]
pub struct SnapshotFiles {
    /// SST files with neighbouring key ranges; none for an empty store.
    pub files: Vec<PathBuf>,
}

impl Rows for ReplicaStore {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, RowsError> {
        let _ = key;
        todo!()
    }

    fn scan(
        &self,
        from: &[u8],
        to: &[u8],
        visit: &mut dyn FnMut(&[u8], &[u8]) -> ControlFlow<()>,
    ) -> Result<(), RowsError> {
        let _ = (from, to, visit);
        todo!()
    }
}

/// A view of a replica's rows at one moment.
pub struct View;

impl Rows for View {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, RowsError> {
        let _ = key;
        todo!()
    }

    fn scan(
        &self,
        from: &[u8],
        to: &[u8],
        visit: &mut dyn FnMut(&[u8], &[u8]) -> ControlFlow<()>,
    ) -> Result<(), RowsError> {
        let _ = (from, to, visit);
        todo!()
    }
}
