//! One replica's rows.

use std::fmt;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use parking_lot::{Mutex, RwLock};
use rocksdb::{
    BoundColumnFamily, FlushOptions, IngestExternalFileOptions, ReadOptions, WriteBatch, WriteOptions,
};
use roomkeeper_room::{Rows, RowsError, Write};
use roomkeeper_types::ReplicaId;
use tokio::sync::watch;

use super::store::Database;
use super::view::{self, View};
use super::{SnapshotFiles, keys};
use crate::{Error, rocks};

/// One replica's rows. Cheap to clone. Reads see all writes made before. All calls may block.
///
/// All clones see an [`install`](Self::install) at once. When the store was removed, all calls are
/// [`Error::NoReplica`].
#[derive(Clone)]
pub struct ReplicaStore {
    database: Arc<Database>,
    cell: Arc<Cell>,
}

/// Which column family holds a replica's rows now.
pub(super) struct Cell {
    replica: ReplicaId,
    /// Only reads and writes of rows hold it shared, briefly; switching the family holds it alone.
    current: RwLock<Option<Current>>,
    /// One install at a time.
    installing: Mutex<()>,
    damage: watch::Sender<Option<String>>,
}

struct Current {
    generation: u64,
    family: String,
}

impl Current {
    fn new(replica: ReplicaId, generation: u64) -> Self {
        Self { generation, family: keys::family(replica, generation) }
    }
}

impl Cell {
    pub(super) fn new(replica: ReplicaId, generation: u64) -> Self {
        let current = RwLock::new(Some(Current::new(replica, generation)));
        Self { replica, current, installing: Mutex::default(), damage: watch::Sender::default() }
    }

    pub(super) fn replica(&self) -> ReplicaId {
        self.replica
    }

    /// Whether its rows are in that column family.
    pub(super) fn is_in(&self, family: &str) -> bool {
        self.current.read().as_ref().is_some_and(|current| current.family == family)
    }

    /// The first reason stays.
    pub(super) fn tell_damage(&self, reason: &str) {
        self.damage.send_if_modified(|known| {
            let first = known.is_none();
            known.get_or_insert_with(|| reason.to_owned());
            first
        });
    }

    /// Makes `removal`, the synced end of this store, then drops its rows.
    pub(super) fn remove(&self, database: &Database, removal: WriteBatch) -> Result<(), Error> {
        let mut current = self.current.write();
        database.write_default(removal)?;
        match current.take() {
            Some(current) => database.drop_family(&current.family),
            None => Ok(()),
        }
    }
}

impl fmt::Debug for ReplicaStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReplicaStore").field("replica", &self.cell.replica).finish_non_exhaustive()
    }
}

impl ReplicaStore {
    pub(super) fn new(database: Arc<Database>, cell: Arc<Cell>) -> Self {
        Self { database, cell }
    }

    /// Makes all writes in one atomic step, in order. Not on disk until [`ReplicaStore::flush`]; after a crash
    /// the rows are those after some earlier write (a prefix), never a mixture.
    ///
    /// # Errors
    /// [`Error::Stalled`] and [`Error::NoSpace`]: to be tried again. It does not block until the disk is ready.
    pub fn write(&self, writes: &[Write]) -> Result<(), Error> {
        let mut options = WriteOptions::default();
        options.disable_wal(true);
        options.set_no_slowdown(true);
        // Held until the write is made, or it could go to a family that was just replaced.
        let current = self.cell.current.read();
        let family = self.family_of(current.as_ref())?;
        let mut batch = WriteBatch::default();
        for write in writes {
            match write {
                Write::Put(key, value) => batch.put_cf(&family, key, value),
                Write::Delete(key) => batch.delete_cf(&family, key),
                // RocksDB refuses a range that ends before it begins, and with it the whole batch.
                Write::DeleteRange(from, to) if from >= to => {}
                Write::DeleteRange(from, to) => batch.delete_range_cf(&family, from, to),
            }
        }
        let written = self.database.db.write_opt(batch, &options);
        drop(current);
        written.map_err(|error| self.noted(Error::rocks("writing rows")(error)))
    }

    /// Becomes a text when a part of the rows turns out to be unreadable, whoever meets it. Such a replica is not
    /// opened again: its group needs another one.
    #[must_use]
    pub fn damage(&self) -> watch::Receiver<Option<String>> {
        self.cell.damage.subscribe()
    }

    fn noted(&self, error: Error) -> Error {
        self.database.noted(&self.cell, error)
    }

    /// Puts on disk everything written before. Blocks.
    ///
    /// # Errors
    /// As of [`ReplicaStore::write`].
    pub fn flush(&self) -> Result<(), Error> {
        self.database.takes_writes().map_err(|error| self.noted(error))?;
        let mut options = FlushOptions::default();
        options.set_wait(true);
        let flushed = self.database.db.flush_cf_opt(&self.family()?, &options);
        flushed.map_err(|error| self.noted(Error::rocks("flushing rows")(error)))
    }

    /// Bytes of memory that hold rows not yet on disk, about; 0 if and only if all are on disk, or the store
    /// was removed.
    pub fn unflushed_bytes(&self) -> u64 {
        let Ok(family) = self.family() else { return 0 };
        let property = |name: &str| match self.database.db.property_int_value_cf(&family, name) {
            Ok(value) => value.unwrap_or(0),
            Err(error) => {
                tracing::warn!(%error, name, "unknown RocksDB property");
                0
            }
        };
        // An empty memtable has a size too.
        let changes =
            property("rocksdb.num-entries-active-mem-table") + property("rocksdb.num-entries-imm-mem-tables");
        if changes == 0 { 0 } else { property("rocksdb.cur-size-all-mem-tables") }
    }

    /// A view that later writes do not change, nor an install or a removal. Of a removed store, reads of the
    /// view fail.
    pub fn view(&self) -> View {
        let current = self.cell.current.read();
        View::new(&self.database, &self.cell, current.as_ref().map(|current| current.family.as_str()))
    }

    /// Writes a consistent copy of all rows into files below `dir` (emptied first), fsynced. Blocks.
    ///
    /// What must agree with these rows is to be read from the same [`View`]: see [`View::export`].
    pub fn export(&self, dir: &Path) -> Result<SnapshotFiles, Error> {
        self.view().export(dir)
    }

    /// Replaces all rows by those of exported files: ingested into a new column family, one synced pointer
    /// row switches, then the old family goes. A crash leaves either the old or the new rows. Blocks.
    ///
    /// The files are moved into the database and must be on its file system. Writes made by others meanwhile
    /// are lost with the old rows.
    pub fn install(&self, files: &SnapshotFiles) -> Result<(), Error> {
        let _one_at_a_time = self.cell.installing.lock();
        let replica = self.cell.replica;
        let generation = match self.cell.current.read().as_ref() {
            Some(current) => current.generation + 1,
            None => return Err(Error::NoReplica(replica)),
        };
        let next = Current::new(replica, generation);
        self.database.create_family(&next.family)?;
        if let Err(error) = self.ingest(&next.family, files) {
            // Without a pointer to it the family means nothing, but its space is wanted.
            self.database.drop_family(&next.family)?;
            return Err(error);
        }
        let mut current = self.cell.current.write();
        if current.is_none() {
            self.database.drop_family(&next.family)?;
            return Err(Error::NoReplica(replica));
        }
        self.database.point(replica, generation)?;
        match current.replace(next) {
            Some(old) => self.database.drop_family(&old.family),
            None => Ok(()),
        }
    }

    fn ingest(&self, family: &str, files: &SnapshotFiles) -> Result<(), Error> {
        if files.files.is_empty() {
            return Ok(());
        }
        let mut options = IngestExternalFileOptions::default();
        options.set_move_files(true);
        let family = self.database.family(family)?;
        let db = &self.database.db;
        db.ingest_external_file_cf_opts(&family, &options, files.files.iter().collect())
            .map_err(Error::rocks("ingesting a snapshot"))?;
        // Ingesting looks at a file's ends only. Read it all before anything relies on it.
        let mut read = ReadOptions::default();
        read.fill_cache(false);
        rocks::scan(db, &family, read, &[], None, &mut |_, _| Ok(ControlFlow::Continue(())))
    }

    fn family(&self) -> Result<Arc<BoundColumnFamily<'_>>, Error> {
        // A family that is dropped while somebody reads it stays until the last handle goes.
        self.family_of(self.cell.current.read().as_ref())
    }

    fn family_of(&self, current: Option<&Current>) -> Result<Arc<BoundColumnFamily<'_>>, Error> {
        match current {
            Some(current) => self.database.family(&current.family),
            None => Err(Error::NoReplica(self.cell.replica)),
        }
    }
}

impl Rows for ReplicaStore {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, RowsError> {
        let row = view::get(&self.database.db, &self.family()?, &ReadOptions::default(), key);
        Ok(row.map_err(|error| self.noted(error))?)
    }

    fn scan(
        &self,
        from: &[u8],
        to: &[u8],
        visit: &mut dyn FnMut(&[u8], &[u8]) -> ControlFlow<()>,
    ) -> Result<(), RowsError> {
        let visit = &mut |key: &[u8], value: &[u8]| Ok(visit(key, value));
        let family = self.family()?;
        let scanned = rocks::scan(&self.database.db, &family, ReadOptions::default(), from, Some(to), visit);
        Ok(scanned.map_err(|error| self.noted(error))?)
    }
}
