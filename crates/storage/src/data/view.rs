//! A view of a replica's rows at one moment.

use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use rocksdb::{AsColumnFamilyRef, BoundColumnFamily, DB, ReadOptions, Snapshot};
use roomkeeper_room::keys::ID_TABLE;
use roomkeeper_room::{Rows, RowsError};
use roomkeeper_sabotage::{self as sabotage, Bug};
use self_cell::self_cell;

use super::replica::Cell;
use super::store::Database;
use super::{SnapshotFiles, files};
use crate::{Error, rocks};

/// A view of a replica's rows at one moment. Old rows stay on disk for it: not to be kept for long.
pub struct View {
    cell: Arc<Cell>,
    pinned: Pinned,
}

/// What keeps the rows of that moment. Borrows the database that it comes with.
struct Moment<'db> {
    snapshot: Snapshot<'db>,
    /// None if the store was removed before.
    family: Option<Arc<BoundColumnFamily<'db>>>,
}

self_cell!(
    struct Pinned {
        owner: Arc<Database>,
        #[covariant]
        dependent: Moment,
    }
);

impl View {
    /// The caller sees to it that `family` is not dropped meanwhile.
    pub(super) fn new(database: &Arc<Database>, cell: &Arc<Cell>, family: Option<&str>) -> Self {
        let pinned = Pinned::new(Arc::clone(database), |database| Moment {
            snapshot: database.db.snapshot(),
            family: family.and_then(|name| database.db.cf_handle(name)),
        });
        Self { cell: Arc::clone(cell), pinned }
    }

    /// Writes all rows of the view into files below `dir` (emptied first), fsynced. Blocks.
    pub fn export(&self, dir: &Path) -> Result<SnapshotFiles, Error> {
        let database = self.pinned.borrow_owner();
        let mut options = self.read_options();
        options.fill_cache(false);
        files::write(dir, &database.family_options(), database.options.snapshot_file_bytes, |visit| {
            let visit = &mut |key: &[u8], value: &[u8]| match key {
                [ID_TABLE, ..] if sabotage::is(Bug::DedupeNotInSnapshot) => Ok(ControlFlow::Continue(())),
                _ => visit(key, value),
            };
            rocks::scan(&database.db, self.family()?, options, &[], None, visit)
        })
        .map_err(|error| database.noted(&self.cell, error))
    }

    fn family(&self) -> Result<&Arc<BoundColumnFamily<'_>>, Error> {
        self.pinned.borrow_dependent().family.as_ref().ok_or(Error::NoReplica(self.cell.replica()))
    }

    fn read_options(&self) -> ReadOptions {
        let mut options = ReadOptions::default();
        options.set_snapshot(&self.pinned.borrow_dependent().snapshot);
        options
    }
}

impl Rows for View {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, RowsError> {
        let database = self.pinned.borrow_owner();
        let row = get(&database.db, self.family()?, &self.read_options(), key);
        Ok(row.map_err(|error| database.noted(&self.cell, error))?)
    }

    fn scan(
        &self,
        from: &[u8],
        to: &[u8],
        visit: &mut dyn FnMut(&[u8], &[u8]) -> ControlFlow<()>,
    ) -> Result<(), RowsError> {
        let database = self.pinned.borrow_owner();
        let visit = &mut |key: &[u8], value: &[u8]| Ok(visit(key, value));
        let scanned = rocks::scan(&database.db, self.family()?, self.read_options(), from, Some(to), visit);
        Ok(scanned.map_err(|error| database.noted(&self.cell, error))?)
    }
}

pub(super) fn get(
    db: &DB,
    family: &impl AsColumnFamilyRef,
    options: &ReadOptions,
    key: &[u8],
) -> Result<Option<Bytes>, Error> {
    let row = db.get_pinned_cf_opt(family, key, options).map_err(Error::rocks("reading a row"))?;
    Ok(row.map(|row| Bytes::copy_from_slice(&row)))
}
