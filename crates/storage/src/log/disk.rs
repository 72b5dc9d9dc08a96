//! How jobs become one write of RocksDB.

use std::path::Path;
use std::sync::Arc;

use rocksdb::{
    BlockBasedOptions, BoundColumnFamily, Cache, ColumnFamilyDescriptor, DB, DBCompressionType,
    DBRecoveryMode, DEFAULT_COLUMN_FAMILY_NAME, Options, WriteBatch, WriteOptions,
};
use roomkeeper_sabotage::{self as sabotage, Bug};
use roomkeeper_types::ReplicaId;

use super::LogOptions;
use super::keys::{self, Kind};
use super::queue::{Job, Op};
use crate::rocks::VALUE_VERSION;
use crate::{Error, rocks};

const FAMILY: &str = "raft";

/// Reads go to the tail caches; blocks are read for laggards and after a restart only.
const BLOCK_CACHE_BYTES: usize = 16 << 20;

/// Where the writer thread writes to. A trait so that tests can hold it up and let it fail.
pub(super) trait Disk: Send + 'static {
    /// Writes all jobs in one atomic step, in order; with `sync` they, and all earlier ones, are on disk when
    /// it returns. [`Error::NoSpace`]: none of it is written, and it may be tried again. After any other error nothing
    /// may be written any more: what the disk holds is unknown.
    fn write(&mut self, run: &[Job], sync: bool) -> Result<(), Error>;
}

pub(super) struct RocksDisk {
    db: Arc<DB>,
    /// Room to put a version before a value.
    value: Vec<u8>,
}

impl RocksDisk {
    pub(super) fn new(db: Arc<DB>) -> Self {
        Self { db, value: Vec::new() }
    }

    fn put(&mut self, batch: &mut WriteBatch, family: &Family<'_>, key: keys::Key, parts: &[&[u8]]) {
        self.value.clear();
        self.value.push(VALUE_VERSION);
        for part in parts {
            self.value.extend_from_slice(part);
        }
        batch.put_cf(family, key, &self.value);
    }

    fn add(&mut self, batch: &mut WriteBatch, family: &Family<'_>, replica: ReplicaId, op: &Op) {
        match op {
            Op::Append { first, entries } => {
                for (index, entry) in (*first..).zip(entries) {
                    self.put(batch, family, keys::key(replica, Kind::Entry, index), &[entry]);
                }
            }
            Op::Vote { number, vote } => {
                self.put(batch, family, keys::key(replica, Kind::Vote, 0), &[&number.to_be_bytes(), vote]);
            }
            Op::Committed(Some(mark)) => {
                self.put(batch, family, keys::key(replica, Kind::Committed, 0), &[mark]);
            }
            Op::Committed(None) => batch.delete_cf(family, keys::key(replica, Kind::Committed, 0)),
            Op::Truncate { gone, .. } => delete(batch, family, replica, gone.clone()),
            Op::Purge { gone, kept_from, mark } => {
                // Point deletes: range tombstones pile up and slow every read down, by orders of magnitude.
                delete(batch, family, replica, gone.clone());
                let row = keys::key(replica, Kind::Purged, 0);
                self.put(batch, family, row, &[&kept_from.to_be_bytes(), mark]);
            }
            Op::Remove => {
                let all = keys::all_of(replica);
                batch.delete_range_cf(family, all.start, all.end);
            }
        }
    }
}

fn delete(batch: &mut WriteBatch, family: &Family<'_>, replica: ReplicaId, gone: std::ops::Range<u64>) {
    for index in gone {
        batch.delete_cf(family, keys::key(replica, Kind::Entry, index));
    }
}

impl Disk for RocksDisk {
    fn write(&mut self, run: &[Job], sync: bool) -> Result<(), Error> {
        let db = Arc::clone(&self.db);
        let family = family(&db)?;
        let mut batch = WriteBatch::default();
        for job in run {
            self.add(&mut batch, &family, job.group.replica(), &job.op);
        }
        let mut options = WriteOptions::default();
        // With the bug only what is written with a vote reaches the disk, or there would be no log at all.
        let has_vote = run.iter().any(|job| matches!(job.op, Op::Vote { .. }));
        options.set_sync(sync && (has_vote || !sabotage::is(Bug::AckBeforeFsync)));
        db.write_opt(batch, &options).map_err(Error::rocks("writing the raft log"))
    }
}

pub(super) type Family<'db> = Arc<BoundColumnFamily<'db>>;

pub(super) fn family(db: &DB) -> Result<Family<'_>, Error> {
    db.cf_handle(FAMILY).ok_or_else(|| Error::corrupt("the raft log", "its column family is missing"))
}

/// Opens or creates the database.
pub(super) fn open(path: &Path, options: &LogOptions) -> Result<DB, Error> {
    rocks::is_new(path)?;
    let mut database = rocks::database_options();
    // A torn last record is what a power cut leaves; "absolute" would refuse it, and "tolerate" a zeroed tail.
    database.set_wal_recovery_mode(DBRecoveryMode::PointInTime);
    // Refuses to open when a WAL file that was closed and is still needed is missing or shorter than it was. Says
    // nothing of the file in use.
    database.set_track_and_verify_wals_in_manifest(true);

    let mut table = BlockBasedOptions::default();
    table.set_block_cache(&Cache::new_lru_cache(BLOCK_CACHE_BYTES));
    let mut family = Options::default();
    family.set_block_based_table_factory(&table);
    family.set_compression_type(DBCompressionType::None);
    family.set_write_buffer_size(options.write_buffer_bytes);
    family.set_max_write_buffer_number(3);
    // Few levels: most rows are deleted before they would reach a deep one.
    family.set_num_levels(4);
    let families = vec![
        ColumnFamilyDescriptor::new(DEFAULT_COLUMN_FAMILY_NAME, rocks::default_family_options()),
        ColumnFamilyDescriptor::new(FAMILY, family),
    ];
    rocks::open(path, &database, families)
}
