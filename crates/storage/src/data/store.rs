//! The data database of a node and the replicas that have a store in it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;

use parking_lot::Mutex;
use rocksdb::{
    BoundColumnFamily, Cache, ColumnFamilyDescriptor, DB, DEFAULT_COLUMN_FAMILY_NAME, Options, ReadOptions,
    WriteBatch, WriteOptions,
};
use roomkeeper_types::ReplicaId;

use super::damage::{Damage, table_in};
use super::replica::Cell;
use super::{DataOptions, ReplicaStore, keys};
use crate::rocks::VALUE_VERSION;
use crate::{Error, rocks};

/// The data database of a node. Cheap to clone. All calls block.
#[derive(Clone)]
pub struct DataStore {
    database: Arc<Database>,
}

/// What all handles share.
pub(super) struct Database {
    pub db: Arc<DB>,
    pub options: DataOptions,
    cache: Cache,
    damage: Damage,
    /// The stores there are. Locked while one is made or removed, so that both see the rows they decide on.
    replicas: Mutex<BTreeMap<ReplicaId, Arc<Cell>>>,
}

impl fmt::Debug for DataStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DataStore").field("path", &self.database.db.path()).finish_non_exhaustive()
    }
}

impl DataStore {
    /// Opens or creates the database in `path`.
    ///
    /// # Errors
    /// [`Error::Open`], also when another process has it open; [`Error::Corrupt`].
    pub fn open(path: &Path) -> Result<Self, Error> {
        Self::open_with(path, DataOptions::default())
    }

    /// [`DataStore::open`] with other sizes.
    pub fn open_with(path: &Path, options: DataOptions) -> Result<Self, Error> {
        let cache = Cache::new_lru_cache(options.block_cache_bytes);
        let names = rocks::families(path)?;
        let families = names.iter().map(|name| {
            let options = match name.as_str() {
                DEFAULT_COLUMN_FAMILY_NAME => rocks::default_family_options(),
                _ => options.family(&cache),
            };
            ColumnFamilyDescriptor::new(name, options)
        });
        let db = Arc::new(rocks::open(path, &options.database(), families.collect())?);
        let damage = Damage::open(path)?;
        let database = Database { db, options, cache, damage, replicas: Mutex::default() };

        let pointers = database.pointers()?;
        let mut leftovers: BTreeSet<String> = names.into_iter().collect();
        leftovers.remove(DEFAULT_COLUMN_FAMILY_NAME);
        for (&replica, &generation) in &pointers {
            if !leftovers.remove(&keys::family(replica, generation)) {
                let reason = format!("its column family, generation {generation}, is missing");
                return Err(Error::corrupt(format!("the store of {replica}"), reason));
            }
        }
        for name in leftovers {
            tracing::info!(family = name, "dropping a column family that nothing points to");
            database.db.drop_cf(&name).map_err(Error::rocks("dropping a column family"))?;
        }
        *database.replicas.lock() = pointers
            .into_iter()
            .map(|(replica, generation)| (replica, Arc::new(Cell::new(replica, generation))))
            .collect();
        Ok(Self { database: Arc::new(database) })
    }

    /// Replicas that have a store here, in order.
    pub fn replicas(&self) -> Vec<ReplicaId> {
        self.database.replicas.lock().keys().copied().collect()
    }

    /// Replicas that were removed from this node, in order. Whatever else there is of them can go.
    pub fn tombstones(&self) -> Result<Vec<ReplicaId>, Error> {
        let (from, to) = keys::TOMBSTONES;
        let mut found = Vec::new();
        self.database.scan_default(&from, &to, &mut |key, _| {
            found.push(keys::replica_of(key)?);
            Ok(ControlFlow::Continue(()))
        })?;
        Ok(found)
    }

    /// The store of a replica, created empty (synced) if there is none.
    ///
    /// # Errors
    /// [`Error::Tombstoned`] when it was removed before, [`Error::Corrupt`] when a part of it was found unreadable
    /// before.
    pub fn replica(&self, replica: ReplicaId) -> Result<ReplicaStore, Error> {
        if self.database.damage.has(replica) {
            return Err(Error::corrupt(format!("a part of the rows of {replica}"), "it was found before"));
        }
        let mut replicas = self.database.replicas.lock();
        let cell = if let Some(cell) = replicas.get(&replica) {
            Arc::clone(cell)
        } else {
            if self.database.get_default(&keys::tombstone(replica))?.is_some() {
                return Err(Error::Tombstoned(replica));
            }
            let first = 1;
            self.database.create_family(&keys::family(replica, first))?;
            self.database.point(replica, first)?;
            let cell = Arc::new(Cell::new(replica, first));
            replicas.insert(replica, Arc::clone(&cell));
            cell
        };
        Ok(ReplicaStore::new(Arc::clone(&self.database), cell))
    }

    /// Removes a replica's store for good: a synced tombstone first, then the column family. Its handles are
    /// [`Error::NoReplica`] from then on; views that are open stay readable. A replica that has no store here
    /// gets its tombstone all the same.
    pub fn remove(&self, replica: ReplicaId) -> Result<(), Error> {
        let mut replicas = self.database.replicas.lock();
        let mut batch = WriteBatch::default();
        batch.put(keys::tombstone(replica), [VALUE_VERSION]);
        batch.delete(keys::pointer(replica));
        match replicas.get(&replica) {
            Some(cell) => cell.remove(&self.database, batch)?,
            None => self.database.write_default(batch)?,
        }
        replicas.remove(&replica);
        self.database.damage.forget(replica)
    }

    #[cfg(test)]
    pub(super) fn database(&self) -> &Database {
        &self.database
    }
}

impl Database {
    /// The generation of each replica's column family.
    fn pointers(&self) -> Result<BTreeMap<ReplicaId, u64>, Error> {
        let (from, to) = keys::POINTERS;
        let mut found = BTreeMap::new();
        self.scan_default(&from, &to, &mut |key, value| {
            let replica = keys::replica_of(key)?;
            found.insert(replica, keys::generation_of(replica, value)?);
            Ok(ControlFlow::Continue(()))
        })?;
        Ok(found)
    }

    /// Makes a family the one of its replica, synced.
    pub(super) fn point(&self, replica: ReplicaId, generation: u64) -> Result<(), Error> {
        let mut batch = WriteBatch::default();
        batch.put(keys::pointer(replica), [&[VALUE_VERSION][..], &generation.to_be_bytes()].concat());
        self.write_default(batch)
    }

    /// Writes rows of the default family, synced.
    pub(super) fn write_default(&self, batch: WriteBatch) -> Result<(), Error> {
        let mut options = WriteOptions::default();
        options.set_sync(true);
        self.db.write_opt(batch, &options).map_err(Error::rocks("writing a row of the node"))
    }

    fn get_default(&self, key: &[u8]) -> Result<Option<Vec<u8>>, Error> {
        self.db.get(key).map_err(Error::rocks("reading a row of the node"))
    }

    fn scan_default(
        &self,
        from: &[u8],
        to: &[u8],
        visit: &mut dyn FnMut(&[u8], &[u8]) -> rocks::Visited,
    ) -> Result<(), Error> {
        let family = self.family(DEFAULT_COLUMN_FAMILY_NAME)?;
        rocks::scan(&self.db, &family, ReadOptions::default(), from, Some(to), visit)
    }

    /// Whether the database takes writes at all, told by one of nothing. To be asked before a flush: each one that is
    /// asked for while the database recovers from a full disk is a job in the background, and the recovery waits
    /// until there are none.
    pub(super) fn takes_writes(&self) -> Result<(), Error> {
        let mut options = WriteOptions::default();
        options.disable_wal(true);
        self.db.write_opt(WriteBatch::default(), &options).map_err(Error::rocks("flushing rows"))
    }

    /// An error of `cell`'s rows: if it is damage, whoever has these rows is not to be opened again, and whoever
    /// follows [`ReplicaStore::damage`] is told.
    pub(super) fn noted(&self, cell: &Cell, error: Error) -> Error {
        let Error::Corrupt { reason, .. } = &error else { return error };
        // A write that is refused because of damage tells what was damaged, mostly of another replica.
        let family = table_in(reason).and_then(|table| self.family_with(table));
        let replicas = self.replicas.lock();
        let named = family.and_then(|family| replicas.values().find(|cell| cell.is_in(&family)).cloned());
        drop(replicas);
        let damaged = named.as_deref().unwrap_or(cell);
        self.damage.add(damaged.replica());
        damaged.tell_damage(reason);
        error
    }

    /// The column family that a table file belongs to.
    fn family_with(&self, table: &str) -> Option<String> {
        let files =
            self.db.live_files().map_err(|error| tracing::warn!(%error, "the tables are not known")).ok()?;
        let file = files.into_iter().find(|file| file.name.trim_start_matches('/') == table)?;
        Some(file.column_family_name)
    }

    pub(super) fn family(&self, name: &str) -> Result<Arc<BoundColumnFamily<'_>>, Error> {
        self.db.cf_handle(name).ok_or_else(|| {
            Error::corrupt("the data database", format!("its column family {name} is missing"))
        })
    }

    pub(super) fn family_options(&self) -> Options {
        self.options.family(&self.cache)
    }

    /// Creates an empty family. A leftover of that name goes first, from an attempt that failed.
    pub(super) fn create_family(&self, name: &str) -> Result<(), Error> {
        if self.db.cf_handle(name).is_some() {
            self.drop_family(name)?;
        }
        self.db.create_cf(name, &self.family_options()).map_err(Error::rocks("creating a column family"))
    }

    pub(super) fn drop_family(&self, name: &str) -> Result<(), Error> {
        self.db.drop_cf(name).map_err(Error::rocks("dropping a column family"))
    }
}
