//! Sizes, and the RocksDB options that follow from them.

use rocksdb::{BlockBasedOptions, Cache, DBCompressionType, DBRecoveryMode, Options};

use crate::rocks;

/// Sizes of a [`DataStore`](super::DataStore), in bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DataOptions {
    /// Cache of table blocks, filters and indexes, for all replicas together.
    pub block_cache_bytes: usize,
    /// A replica's memtable; full, it is written out in the background.
    pub write_buffer_bytes: usize,
    /// All memtables of the node together: above it the oldest is written out in the background. What is in
    /// memtables is what a crash makes the node apply again. Writers faster than the disk exceed it for a
    /// while, since it is looked at while writing only; writes to a replica with three full memtables are
    /// [`Error::Stalled`](crate::Error::Stalled).
    pub unflushed_bytes: usize,
    /// Target size of the files of a snapshot.
    pub snapshot_file_bytes: u64,
}

impl Default for DataOptions {
    fn default() -> Self {
        Self {
            block_cache_bytes: 64 << 20,
            write_buffer_bytes: 8 << 20,
            unflushed_bytes: 64 << 20,
            snapshot_file_bytes: 64 << 20,
        }
    }
}

/// Files of a replica that may wait to be compacted (RocksDB's default).
const LEVEL_ZERO_FILES_MAX: i32 = 36;

impl DataOptions {
    pub(super) fn database(&self) -> Options {
        let mut options = rocks::database_options();
        options.set_wal_recovery_mode(DBRecoveryMode::PointInTime);
        options.set_db_write_buffer_size(self.unflushed_bytes);
        // Only the default family's few rows are in the WAL.
        options.set_max_total_wal_size(4 << 20);
        options
    }

    /// Options of the replicas' families and, so that ingested files are like those written here, of snapshot
    /// files. `cache` is shared by all of them.
    pub(super) fn family(&self, cache: &Cache) -> Options {
        let mut table = BlockBasedOptions::default();
        table.set_block_cache(cache);
        table.set_cache_index_and_filter_blocks(true);
        table.set_pin_l0_filter_and_index_blocks_in_cache(true);
        // Every message asks once for an id that is not there, to find duplicates.
        table.set_bloom_filter(10.0, false);
        table.set_whole_key_filtering(true);
        let mut options = Options::default();
        options.set_block_based_table_factory(&table);
        options.set_memtable_whole_key_filtering(true);
        options.set_memtable_prefix_bloom_ratio(0.02);
        options.set_compression_type(DBCompressionType::Lz4);
        options.set_write_buffer_size(self.write_buffer_bytes);
        // What an empty memtable takes, and counts for in `unflushed_bytes`. By default it would be an eighth of
        // the write buffer, so that 64 idle replicas alone would reach the bound.
        options.set_arena_block_size(64 << 10);
        options.set_max_write_buffer_number(3);
        // Writers that are told to wait come again: slowing them down would only put their turn off each time. What
        // is left is the full stop, at 36 files that wait to be compacted.
        options.set_level_zero_slowdown_writes_trigger(LEVEL_ZERO_FILES_MAX);
        options.set_level_zero_stop_writes_trigger(LEVEL_ZERO_FILES_MAX);
        options.set_soft_pending_compaction_bytes_limit(0);
        options.set_target_file_size_base(32 << 20);
        options
    }
}
