//! What opening a group says about a log that was damaged behind the engine's back.

use std::path::Path;

use bytes::Bytes;
use rocksdb::DB;
use roomkeeper_types::{LogIndex, ReplicaId};
use tempfile::TempDir;

use super::keys::{self, Kind};
use super::marks::Marks;
use super::{LogEngine, LogOptions, disk};
use crate::Error;

const REPLICA: ReplicaId = ReplicaId(3);

fn entries(range: std::ops::Range<u64>) -> Vec<Bytes> {
    range.map(|index| Bytes::from(format!("entry {index}"))).collect()
}

/// A database with entries 1 to 9 of one replica, of which those to `purged` were purged.
async fn written(purged: Option<u64>) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    let engine = LogEngine::open(dir.path()).unwrap();
    let log = engine.group(REPLICA).unwrap();
    log.append(LogIndex(1), entries(1..10), Box::new(|result| result.unwrap())).await.unwrap();
    if let Some(purged) = purged {
        log.purge(LogIndex(purged), Bytes::from_static(b"mark")).await.unwrap();
    }
    engine.close();
    dir
}

fn damage(dir: &Path, damage: impl FnOnce(&DB)) {
    damage(&disk::open(&dir.join("db"), &LogOptions::default()).unwrap());
}

fn delete(dir: &Path, index: u64) {
    damage(dir, |db| {
        db.delete_cf(&disk::family(db).unwrap(), keys::key(REPLICA, Kind::Entry, index)).unwrap();
    });
}

fn put(dir: &Path, kind: Kind, index: u64, value: &[u8]) {
    damage(dir, |db| {
        db.put_cf(&disk::family(db).unwrap(), keys::key(REPLICA, kind, index), value).unwrap();
    });
}

fn corruption(dir: &Path) -> String {
    match LogEngine::open(dir).unwrap().group(REPLICA) {
        Err(Error::Corrupt { what, reason }) => format!("{what}: {reason}"),
        other => panic!("not seen: {other:?}"),
    }
}

#[tokio::test]
async fn entry_missing_in_the_middle_is_corrupt() {
    let dir = written(None).await;
    delete(dir.path(), 5);
    assert_eq!(corruption(dir.path()), "the log of r3: entry i5 is missing, the next one is i6");
}

#[tokio::test]
async fn first_entry_behind_a_purge_missing_is_corrupt() {
    let dir = written(Some(3)).await;
    delete(dir.path(), 4);
    assert_eq!(corruption(dir.path()), "the log of r3: entry i4 is missing, the next one is i5");
}

#[tokio::test]
async fn value_of_an_unknown_version_is_corrupt() {
    for (kind, index) in [(Kind::Entry, 5), (Kind::Vote, 0), (Kind::Committed, 0), (Kind::Purged, 0)] {
        for value in [&b""[..], b"\x02later", b"\0"] {
            let dir = written(Some(3)).await;
            put(dir.path(), kind, index, value);
            corruption(dir.path());
        }
    }
}

#[tokio::test]
async fn purge_mark_without_its_index_is_corrupt() {
    let dir = written(Some(3)).await;
    put(dir.path(), Kind::Purged, 0, b"\x01short");
    assert_eq!(corruption(dir.path()), "the purge mark of r3: 5 bytes are too short for a number");
}

#[tokio::test]
async fn damaged_replica_leaves_others_readable_and_can_be_removed() {
    let dir = written(None).await;
    delete(dir.path(), 5);
    let engine = LogEngine::open(dir.path()).unwrap();
    let other = engine.group(ReplicaId(4)).unwrap();
    other.append(LogIndex(1), entries(1..3), Box::new(|result| result.unwrap())).await.unwrap();
    engine.group(REPLICA).unwrap_err();
    engine.remove(REPLICA).await.unwrap();
    assert_eq!(engine.replicas().unwrap(), [ReplicaId(4)]);
    assert_eq!(other.entries(.., usize::MAX).unwrap(), entries(1..3));
}

#[tokio::test]
async fn entry_lost_while_the_group_is_open_is_corrupt_not_a_short_answer() {
    let dir = tempfile::tempdir().unwrap();
    let options = LogOptions { group_cache_bytes: 0, ..LogOptions::default() };
    let db = std::sync::Arc::new(disk::open(&dir.path().join("db"), &options).unwrap());
    let marks = Marks::open(&dir.path().join("marks")).unwrap();
    let disk = disk::RocksDisk::new(std::sync::Arc::clone(&db));
    let engine = LogEngine::start(dir.path(), std::sync::Arc::clone(&db), disk, marks, &options).unwrap();
    let log = engine.group(REPLICA).unwrap();
    log.append(LogIndex(1), entries(1..10), Box::new(|result| result.unwrap())).await.unwrap();
    log.save_vote(Bytes::new()).await.unwrap();
    db.delete_cf(&disk::family(&db).unwrap(), keys::key(REPLICA, Kind::Entry, 5)).unwrap();
    assert_eq!(log.entries(1..5, usize::MAX).unwrap(), entries(1..5));
    for range in [1..6, 5..6, 5..10, 1..10] {
        let read = log.entries(range.clone(), usize::MAX);
        assert!(matches!(read, Err(Error::Corrupt { .. })), "{range:?}: {read:?}");
    }
}
