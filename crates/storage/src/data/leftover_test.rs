//! Column families as a crash in the middle of a change leaves them.

use bytes::Bytes;
use rocksdb::DB;
use roomkeeper_room::{Rows, Write};
use roomkeeper_types::ReplicaId;

use super::store::Database;
use super::{DataStore, keys};
use crate::Error;

const REPLICA: ReplicaId = ReplicaId(7);

fn row(key: &'static str) -> Write {
    Write::Put(Bytes::from(key), Bytes::from("1"))
}

/// What a process does that dies after `steps`, with one flushed row in its store.
fn dies_after(dir: &std::path::Path, steps: impl FnOnce(&Database)) {
    let data = DataStore::open(dir).unwrap();
    let store = data.replica(REPLICA).unwrap();
    store.write(&[row("old")]).unwrap();
    store.flush().unwrap();
    steps(data.database());
}

fn families(dir: &std::path::Path) -> Vec<String> {
    DB::list_cf(&rocksdb::Options::default(), dir).unwrap()
}

#[test]
fn crash_before_the_pointer_of_an_install_keeps_the_old_rows() {
    let dir = tempfile::tempdir().unwrap();
    dies_after(dir.path(), |database| {
        let next = keys::family(REPLICA, 2);
        database.create_family(&next).unwrap();
        database.db.put_cf(&database.family(&next).unwrap(), "new", "1").unwrap();
    });
    let store = DataStore::open(dir.path()).unwrap().replica(REPLICA).unwrap();
    assert!(store.get(b"old").unwrap().is_some());
    assert!(store.get(b"new").unwrap().is_none());
    drop(store);
    assert_eq!(families(dir.path()), ["default", "r7.1"]);
}

#[test]
fn crash_behind_the_pointer_of_an_install_keeps_the_new_rows() {
    let dir = tempfile::tempdir().unwrap();
    dies_after(dir.path(), |database| {
        let next = keys::family(REPLICA, 2);
        database.create_family(&next).unwrap();
        database.db.put_cf(&database.family(&next).unwrap(), "new", "1").unwrap();
        database.point(REPLICA, 2).unwrap();
    });
    let store = DataStore::open(dir.path()).unwrap().replica(REPLICA).unwrap();
    assert!(store.get(b"old").unwrap().is_none());
    assert!(store.get(b"new").unwrap().is_some());
    drop(store);
    assert_eq!(families(dir.path()), ["default", "r7.2"]);
}

#[test]
fn crash_before_the_pointer_of_a_new_replica_leaves_none() {
    let dir = tempfile::tempdir().unwrap();
    dies_after(dir.path(), |database| database.create_family(&keys::family(ReplicaId(8), 1)).unwrap());
    assert_eq!(DataStore::open(dir.path()).unwrap().replicas(), [REPLICA]);
    assert_eq!(families(dir.path()), ["default", "r7.1"]);
}

#[test]
fn crash_behind_the_tombstone_of_a_removal_leaves_no_rows() {
    let dir = tempfile::tempdir().unwrap();
    dies_after(dir.path(), |database| {
        let mut batch = rocksdb::WriteBatch::default();
        batch.put(keys::tombstone(REPLICA), [crate::rocks::VALUE_VERSION]);
        batch.delete(keys::pointer(REPLICA));
        database.write_default(batch).unwrap();
    });
    let data = DataStore::open(dir.path()).unwrap();
    assert!(matches!(data.replica(REPLICA), Err(Error::Tombstoned(REPLICA))));
    drop(data);
    assert_eq!(families(dir.path()), ["default"]);
}

#[test]
fn pointer_to_a_family_that_is_missing_is_corrupt() {
    let dir = tempfile::tempdir().unwrap();
    dies_after(dir.path(), |database| database.point(REPLICA, 5).unwrap());
    let opened = DataStore::open(dir.path());
    assert!(matches!(opened, Err(Error::Corrupt { .. })), "{opened:?}");
    // And nothing was dropped for it.
    assert_eq!(families(dir.path()), ["default", "r7.1"]);
}

#[test]
fn pointer_that_cannot_be_read_is_corrupt() {
    for value in [&b""[..], b"\x02\0\0\0\0\0\0\0\x01", b"\x01\0", b"\x01\0\0\0\0\0\0\0\x01more"] {
        let dir = tempfile::tempdir().unwrap();
        dies_after(dir.path(), |database| database.db.put(keys::pointer(REPLICA), value).unwrap());
        assert!(matches!(DataStore::open(dir.path()), Err(Error::Corrupt { .. })), "{value:?}");
    }
}
