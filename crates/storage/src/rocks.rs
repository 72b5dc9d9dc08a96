//! What both databases need of RocksDB: opening with clear errors, and the one way to iterate.

use std::ops::ControlFlow;
use std::path::Path;

use rocksdb::{
    AsColumnFamilyRef, ColumnFamilyDescriptor, DB, DEFAULT_COLUMN_FAMILY_NAME, LogLevel, Options, ReadOptions,
};

use crate::Error;

/// First byte of every stored value. Another one is a format this build does not know.
pub(crate) const VALUE_VERSION: u8 = 1;

/// The bytes of a stored value behind its version.
pub(crate) fn unversioned<'a>(what: &str, value: &'a [u8]) -> Result<&'a [u8], Error> {
    match value.split_first() {
        Some((&VALUE_VERSION, rest)) => Ok(rest),
        Some((version, _)) => Err(Error::corrupt(what, format!("its format version {version} is unknown"))),
        None => Err(Error::corrupt(what, "it is empty")),
    }
}

/// The big-endian number that a stored value begins with, and the bytes behind it.
pub(crate) fn leading_u64<'a>(what: &str, value: &'a [u8]) -> Result<(u64, &'a [u8]), Error> {
    match value.split_first_chunk() {
        Some((number, rest)) => Ok((u64::from_be_bytes(*number), rest)),
        None => Err(Error::corrupt(what, format!("{} bytes are too short for a number", value.len()))),
    }
}

/// Options of a database that are the same for both.
pub(crate) fn database_options() -> Options {
    let mut options = Options::default();
    options.create_if_missing(true);
    options.create_missing_column_families(true);
    // A node has two databases and few cores; two threads each flush and compact.
    options.set_max_background_jobs(2);
    options.set_log_level(LogLevel::Warn);
    options.set_keep_log_file_num(4);
    options.set_stats_dump_period_sec(0);
    options.set_stats_persist_period_sec(0);
    options
}

/// Options of the family that every database has, of few rows or none. After a full disk RocksDB only goes on when
/// the largest memtable of any family would fit: by default that were 64 MiB for this one.
pub(crate) fn default_family_options() -> Options {
    let mut options = Options::default();
    options.set_write_buffer_size(1 << 20);
    options
}

/// Opens or creates the database in `path` with these column families.
pub(crate) fn open(
    path: &Path,
    options: &Options,
    families: Vec<ColumnFamilyDescriptor>,
) -> Result<DB, Error> {
    DB::open_cf_descriptors(options, path, families).map_err(|error| open_error(path, error))
}

/// The column families of the database in `path`; of a new one, only the default.
pub(crate) fn families(path: &Path) -> Result<Vec<String>, Error> {
    if is_new(path)? {
        return Ok(vec![DEFAULT_COLUMN_FAMILY_NAME.to_owned()]);
    }
    DB::list_cf(&Options::default(), path).map_err(|error| open_error(path, error))
}

/// Whether there is no database in `path` yet.
///
/// RocksDB takes a folder without a `CURRENT` file for new and deletes the files in it: rows would vanish
/// without an error. A creation cut short leaves neither tables nor a WAL, so these tell the two apart.
pub(crate) fn is_new(path: &Path) -> Result<bool, Error> {
    let failed = |reason: String| Error::Open { path: path.to_owned(), reason };
    if path.join("CURRENT").exists() {
        return Ok(false);
    }
    let entries = match std::fs::read_dir(path) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(true),
        Err(error) => return Err(failed(error.to_string())),
    };
    for entry in entries {
        let file = entry.map_err(|error| failed(error.to_string()))?.file_name();
        if Path::new(&file).extension().is_some_and(|end| end == "sst" || end == "log") {
            let file = file.to_string_lossy();
            let what = format!("the database in {}", path.display());
            return Err(Error::corrupt(
                what,
                format!("the file CURRENT is missing although {file} is there"),
            ));
        }
    }
    Ok(true)
}

fn open_error(path: &Path, error: rocksdb::Error) -> Error {
    let kind = error.kind();
    let reason = error.into_string();
    // A file that the database needs and that is not there is as bad as one that is unreadable.
    if kind == rocksdb::ErrorKind::Corruption || reason.contains("No such file") {
        return Error::corrupt(format!("the database in {}", path.display()), reason);
    }
    // RocksDB has no error code for this. "While lock file" is another process's lock, "lock hold by current
    // process" our own.
    let reason = if reason.contains("lock file") || reason.contains("lock hold") {
        format!("another process uses it, or this one has opened it before ({reason})")
    } else {
        reason
    };
    Error::Open { path: path.to_owned(), reason }
}

/// What a visitor of rows says: go on, stop here, or fail.
pub(crate) type Visited = Result<ControlFlow<()>, Error>;

/// Visits the rows from `from` (inclusive) to `to` (exclusive; `None`: the end of the family) in key order.
///
/// The only place that iterates, because an iterator that hits an unreadable block just ends: unless its
/// status is asked for afterwards, half of the rows look like all of them.
pub(crate) fn scan(
    db: &DB,
    family: &impl AsColumnFamilyRef,
    mut options: ReadOptions,
    from: &[u8],
    to: Option<&[u8]>,
    visit: &mut dyn FnMut(&[u8], &[u8]) -> Visited,
) -> Result<(), Error> {
    if let Some(to) = to {
        if from >= to {
            return Ok(());
        }
        options.set_iterate_upper_bound(to);
    }
    let mut rows = db.raw_iterator_cf_opt(family, options);
    rows.seek(from);
    while let Some((key, value)) = rows.item() {
        if visit(key, value)?.is_break() {
            return Ok(());
        }
        rows.next();
    }
    rows.status().map_err(Error::rocks("reading rows"))
}
