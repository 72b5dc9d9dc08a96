//! What the tests of this crate share.
#![allow(dead_code, clippy::unwrap_used, reason = "helpers of tests, of which each binary uses a part")]

use std::ops::{ControlFlow, Range};
use std::path::{Path, PathBuf};

use bytes::Bytes;
use roomkeeper_room::{Rows, RowsError, Write};
use roomkeeper_storage::{Error, GroupLog, ReplicaStore};
use roomkeeper_types::LogIndex;

pub(crate) fn entry(index: u64) -> Bytes {
    Bytes::from(format!("entry {index}"))
}

pub(crate) fn entries(range: Range<u64>) -> Vec<Bytes> {
    range.map(entry).collect()
}

/// Appends, and waits until it is on disk.
pub(crate) async fn append(log: &GroupLog, first: u64, entries: Vec<Bytes>) -> Result<(), Error> {
    let (sender, written) = tokio::sync::oneshot::channel();
    log.append(LogIndex(first), entries, Box::new(move |result| sender.send(result).unwrap())).await?;
    written.await.unwrap()
}

pub(crate) fn put(key: impl Into<Bytes>, value: impl Into<Bytes>) -> Write {
    Write::Put(key.into(), value.into())
}

/// Writes as soon as the disk takes it.
pub(crate) fn write(store: &ReplicaStore, writes: &[Write]) {
    while let Err(error) = store.write(writes) {
        assert!(error.may_pass(), "{error}");
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
}

/// Rows from `from` to `to`, as text.
pub(crate) fn rows_between(
    rows: &impl Rows,
    from: &str,
    to: &str,
) -> Result<Vec<(String, String)>, RowsError> {
    let mut found = Vec::new();
    rows.scan(from.as_bytes(), to.as_bytes(), &mut |key, value| {
        found.push((String::from_utf8_lossy(key).into_owned(), String::from_utf8_lossy(value).into_owned()));
        ControlFlow::Continue(())
    })?;
    Ok(found)
}

/// All rows whose keys are text.
pub(crate) fn all_rows(rows: &impl Rows) -> Result<Vec<(String, String)>, RowsError> {
    rows_between(rows, "", "\u{7f}")
}

/// Files below `dir` that end so, in order.
pub(crate) fn files(dir: &Path, end: &str) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = std::fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.to_string_lossy().ends_with(end))
        .collect();
    found.sort();
    found
}

/// Flips one bit of a file.
pub(crate) fn flip(file: &Path, at: usize) {
    let mut bytes = std::fs::read(file).unwrap();
    bytes[at] ^= 0x10;
    std::fs::write(file, bytes).unwrap();
}
