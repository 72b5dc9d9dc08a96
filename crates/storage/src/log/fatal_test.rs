//! A sync that fails is the end: nothing is acknowledged afterwards, and all that was before is there again.

use std::io;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use roomkeeper_types::{LogIndex, ReplicaId};

use super::disk::{self, Disk, RocksDisk};
use super::marks::{MarkDisk, MarkFile, Marks};
use super::queue::Job;
use super::{LogEngine, LogOptions};
use crate::Error;

const REPLICA: ReplicaId = ReplicaId(1);

fn eio() -> io::Error {
    io::Error::from_raw_os_error(5)
}

/// A disk whose sync number `left + 1` fails: its write was made, as with a real one.
struct Failing<T> {
    inner: T,
    left: usize,
}

impl<T> Failing<T> {
    fn count_down(&mut self) -> io::Result<()> {
        self.left = self.left.checked_sub(1).ok_or_else(eio)?;
        Ok(())
    }
}

impl Disk for Failing<RocksDisk> {
    fn write(&mut self, run: &[Job], sync: bool) -> Result<(), Error> {
        self.inner.write(run, false)?;
        if sync {
            self.count_down().map_err(Error::io("syncing the raft log"))?;
        }
        Ok(())
    }
}

impl MarkDisk for Failing<MarkFile> {
    fn write(&mut self, at: u64, bytes: &[u8]) -> io::Result<()> {
        self.count_down()?;
        self.inner.write(at, bytes)
    }
}

/// An engine whose log and whose marks fail at a sync.
fn failing(dir: &Path, log_syncs: usize, mark_syncs: usize) -> LogEngine {
    let options = LogOptions::default();
    let db = Arc::new(disk::open(&dir.join("db"), &options).unwrap());
    let (inner, bytes) = MarkFile::open(&dir.join("marks")).unwrap();
    let marks = Marks::start(Failing { inner, left: mark_syncs }, &bytes).unwrap();
    let disk = Failing { inner: RocksDisk::new(Arc::clone(&db)), left: log_syncs };
    LogEngine::start(dir, db, disk, marks, &options).unwrap()
}

/// Writes until it fails; returns the last entry and the last vote that were acknowledged.
async fn write_until_it_fails(engine: &LogEngine) -> (u64, u64) {
    let log = engine.group(REPLICA).unwrap();
    let (mut appended, mut voted) = (0, 0);
    for round in 1..1000 {
        let (sender, written) = tokio::sync::oneshot::channel();
        let done = Box::new(move |result| drop(sender.send(result)));
        let entry = Bytes::from(round.to_string());
        if log.append(LogIndex(round), vec![entry.clone()], done).await.is_err()
            || !matches!(written.await, Ok(Ok(())))
        {
            break;
        }
        appended = round;
        if log.save_vote(entry).await.is_err() {
            break;
        }
        voted = round;
    }
    engine.failed().await;
    let (sender, written) = tokio::sync::oneshot::channel();
    let refused =
        log.append(LogIndex(appended + 2), vec![Bytes::new()], Box::new(|it| drop(sender.send(it))));
    assert!(matches!(refused.await, Err(Error::Stopped(_))), "it went on after a failed sync");
    assert!(written.await.is_err(), "acknowledged after a failed sync");
    (appended, voted)
}

async fn check(dir: &Path, (appended, voted): (u64, u64), label: &str) {
    let engine = LogEngine::open(dir).unwrap();
    let state = engine.group(REPLICA).unwrap().state();
    assert!(state.last.map_or(0, |last| last.0) >= appended, "{label}: {state:?}");
    let vote = state.vote.map_or(0, |vote| std::str::from_utf8(&vote).unwrap().parse().unwrap());
    assert!(vote >= voted, "{label}: {vote}");
}

#[tokio::test]
async fn sync_number_n_of_the_log_fails_and_nothing_is_acknowledged_afterwards() {
    for n in 0..50 {
        let dir = tempfile::tempdir().unwrap();
        let acked = write_until_it_fails(&failing(dir.path(), n, usize::MAX)).await;
        assert_eq!(usize::try_from(acked.0 + acked.1).unwrap(), n, "each was one sync");
        check(dir.path(), acked, &format!("log sync {n}")).await;
    }
}

#[tokio::test]
async fn sync_number_n_of_the_marks_fails_and_nothing_is_acknowledged_afterwards() {
    for n in 0..50 {
        let dir = tempfile::tempdir().unwrap();
        let acked = write_until_it_fails(&failing(dir.path(), usize::MAX, n)).await;
        check(dir.path(), acked, &format!("mark sync {n}")).await;
    }
}
