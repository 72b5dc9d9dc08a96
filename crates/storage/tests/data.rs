//! The data store through its public face.
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod support;

use std::path::Path;
use std::time::{Duration, Instant};

use bytes::Bytes;
use roomkeeper_room::{Rows, Write};
use roomkeeper_storage::{DataOptions, DataStore, Error, ReplicaStore, SnapshotFiles};
use roomkeeper_types::ReplicaId;
use support::{all_rows, files, put, rows_between, write};

const REPLICA: ReplicaId = ReplicaId(1);

fn store(dir: &Path) -> ReplicaStore {
    DataStore::open(dir).unwrap().replica(REPLICA).unwrap()
}

fn pairs(rows: &[(&str, &str)]) -> Vec<(String, String)> {
    rows.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

/// `count` rows with values of `len` bytes.
fn fill(store: &ReplicaStore, count: u32, len: usize) {
    for row in 0..count {
        // Not compressible, so that sizes are what they seem.
        let mut random = u64::from(row) + 1;
        let value: Vec<u8> = (0..len)
            .map(|_| {
                random =
                    random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                (random >> 56) as u8
            })
            .collect();
        write(store, &[put(format!("row {row:06}"), value)]);
    }
}

#[test]
fn writes_of_one_step_are_made_in_order() {
    let dir = tempfile::tempdir().unwrap();
    let store = store(dir.path());
    store.write(&[put("a", "1"), put("b", "1"), put("c", "1"), put("d", "1")]).unwrap();
    let range = |from: &'static str, to: &'static str| Write::DeleteRange(Bytes::from(from), Bytes::from(to));
    store
        .write(&[
            put("b", "2"),
            Write::Delete(Bytes::from("a")),
            put("a", "3"),
            range("b", "d"),
            put("c", "4"),
            range("x", "x"),
            range("z", "a"),
        ])
        .unwrap();
    assert_eq!(all_rows(&store).unwrap(), pairs(&[("a", "3"), ("c", "4"), ("d", "1")]));
    assert_eq!(store.get(b"c").unwrap().as_deref(), Some(&b"4"[..]));
    assert_eq!(store.get(b"b").unwrap(), None);
    assert_eq!(rows_between(&store, "a", "d").unwrap(), pairs(&[("a", "3"), ("c", "4")]));
    assert_eq!(rows_between(&store, "d", "a").unwrap(), []);
}

#[test]
fn replicas_do_not_see_each_other() {
    let dir = tempfile::tempdir().unwrap();
    let data = DataStore::open(dir.path()).unwrap();
    for id in [1, 2, 12] {
        data.replica(ReplicaId(id)).unwrap().write(&[put("key", id.to_string())]).unwrap();
    }
    for id in [1, 2, 12] {
        let rows = all_rows(&data.replica(ReplicaId(id)).unwrap()).unwrap();
        assert_eq!(rows, pairs(&[("key", &id.to_string())]));
    }
    assert_eq!(data.replicas(), [1, 2, 12].map(ReplicaId));
}

#[test]
fn flushed_rows_are_there_after_restart() {
    let dir = tempfile::tempdir().unwrap();
    {
        let data = DataStore::open(dir.path()).unwrap();
        let store = data.replica(REPLICA).unwrap();
        store.write(&[put("a", "1")]).unwrap();
        store.flush().unwrap();
    }
    let data = DataStore::open(dir.path()).unwrap();
    assert_eq!(data.replicas(), [REPLICA]);
    assert_eq!(all_rows(&data.replica(REPLICA).unwrap()).unwrap(), pairs(&[("a", "1")]));
}

#[test]
fn unflushed_bytes_grow_with_any_write_and_are_none_after_a_flush() {
    let dir = tempfile::tempdir().unwrap();
    let store = store(dir.path());
    assert_eq!(store.unflushed_bytes(), 0);
    store.write(&[put("a", vec![0; 100_000])]).unwrap();
    assert!(store.unflushed_bytes() >= 100_000);
    store.flush().unwrap();
    assert_eq!(store.unflushed_bytes(), 0);
    store.write(&[Write::DeleteRange(Bytes::from("a"), Bytes::from("b"))]).unwrap();
    assert!(store.unflushed_bytes() > 0);
    store.flush().unwrap();
    store.write(&[Write::Delete(Bytes::from("a"))]).unwrap();
    assert!(store.unflushed_bytes() > 0);
}

#[test]
fn memtables_of_all_replicas_over_their_bound_are_written_out_without_being_asked() {
    let dir = tempfile::tempdir().unwrap();
    let options = DataOptions { unflushed_bytes: 4 << 20, ..DataOptions::default() };
    let data = DataStore::open_with(dir.path(), options).unwrap();
    let stores: Vec<_> = (1..=8).map(|id| data.replica(ReplicaId(id)).unwrap()).collect();
    // 4 MB each: none fills its own memtable.
    for row in 0..200 {
        for store in &stores {
            write(store, &[put(format!("row {row}"), vec![7; 20_000])]);
        }
    }
    // RocksDB looks at the bound when it writes.
    let unflushed = || stores.iter().map(ReplicaStore::unflushed_bytes).sum::<u64>();
    let deadline = Instant::now() + Duration::from_secs(30);
    while unflushed() > 4 << 20 {
        assert!(Instant::now() < deadline, "{} bytes unflushed", unflushed());
        write(&stores[0], &[put("another", "row")]);
        std::thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn view_taken_before_writes_install_and_removal_shows_the_old_rows() {
    let dir = tempfile::tempdir().unwrap();
    let data = DataStore::open(&dir.path().join("db")).unwrap();
    let store = data.replica(REPLICA).unwrap();
    store.write(&[put("a", "old"), put("b", "old")]).unwrap();
    let view = store.view();
    store.write(&[put("a", "new"), Write::Delete(Bytes::from("b")), put("c", "new")]).unwrap();
    let exported = store.export(&dir.path().join("files")).unwrap();
    store.write(&[put("d", "lost")]).unwrap();
    store.install(&exported).unwrap();
    data.remove(REPLICA).unwrap();
    assert_eq!(all_rows(&view).unwrap(), pairs(&[("a", "old"), ("b", "old")]));
    assert_eq!(view.get(b"a").unwrap().as_deref(), Some(&b"old"[..]));
    assert_eq!(view.get(b"c").unwrap(), None);
    // It owns what it reads from.
    drop((store, data));
    assert_eq!(all_rows(&view).unwrap(), pairs(&[("a", "old"), ("b", "old")]));
}

#[test]
fn export_of_a_view_holds_the_rows_of_its_moment() {
    let dir = tempfile::tempdir().unwrap();
    let data = DataStore::open(&dir.path().join("db")).unwrap();
    let store = data.replica(REPLICA).unwrap();
    store.write(&[put("a", "1"), put("b", "1"), put("c", "1")]).unwrap();
    store.write(&[Write::DeleteRange(Bytes::from("b"), Bytes::from("c"))]).unwrap();
    let view = store.view();
    store.write(&[put("a", "2"), put("z", "2")]).unwrap();
    let exported = view.export(&dir.path().join("files")).unwrap();
    let other = data.replica(ReplicaId(2)).unwrap();
    other.write(&[put("q", "its own")]).unwrap();
    other.install(&exported).unwrap();
    assert_eq!(all_rows(&other).unwrap(), pairs(&[("a", "1"), ("c", "1")]));
}

#[test]
fn exported_rows_in_several_files_installed_elsewhere_are_the_same_for_every_handle_and_restart() {
    let dir = tempfile::tempdir().unwrap();
    let options = DataOptions { snapshot_file_bytes: 200_000, ..DataOptions::default() };
    let from = DataStore::open_with(&dir.path().join("from"), options).unwrap().replica(REPLICA).unwrap();
    fill(&from, 1000, 1000);
    let folder = dir.path().join("files");
    std::fs::create_dir(&folder).unwrap();
    std::fs::write(folder.join("stale.sst"), b"from before").unwrap();
    let exported = from.export(&folder).unwrap();
    assert!(exported.files.len() >= 4, "{exported:?}");
    assert_eq!(files(&folder, ""), exported.files);

    let to = dir.path().join("to");
    let expected = all_rows(&from).unwrap();
    {
        let data = DataStore::open(&to).unwrap();
        let (store, clone) = (data.replica(REPLICA).unwrap(), data.replica(REPLICA).unwrap());
        store.write(&[put("an old row", "1")]).unwrap();
        store.install(&exported).unwrap();
        assert_eq!(all_rows(&clone).unwrap(), expected);
        clone.write(&[put("zz", "new")]).unwrap();
        assert_eq!(store.get(b"zz").unwrap().as_deref(), Some(&b"new"[..]));
        clone.write(&[Write::Delete(Bytes::from("zz"))]).unwrap();
    }
    assert_eq!(all_rows(&store(&to)).unwrap(), expected);
}

#[test]
fn empty_snapshot_installed_leaves_no_rows() {
    let dir = tempfile::tempdir().unwrap();
    let data = DataStore::open(&dir.path().join("db")).unwrap();
    let exported = data.replica(ReplicaId(2)).unwrap().export(&dir.path().join("files")).unwrap();
    assert_eq!(exported.files.len(), 0);
    let store = data.replica(REPLICA).unwrap();
    store.write(&[put("a", "1")]).unwrap();
    store.install(&exported).unwrap();
    assert_eq!(all_rows(&store).unwrap(), []);
}

#[test]
fn damaged_or_missing_snapshot_file_is_refused_and_the_old_rows_stay() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("db");
    {
        let data = DataStore::open(&path).unwrap();
        let from = data.replica(ReplicaId(2)).unwrap();
        fill(&from, 300, 1000);
        let store = data.replica(REPLICA).unwrap();
        store.write(&[put("a", "1")]).unwrap();
        let folder = dir.path().join("files");
        let size = from.export(&folder).unwrap().files[0].metadata().unwrap().len();
        for permille in [1, 100, 500, 900, 999] {
            let exported = from.export(&folder).unwrap();
            support::flip(&exported.files[0], (size * permille / 1000) as usize);
            let refused = store.install(&exported);
            assert!(refused.is_err(), "a flip at {permille} ‰ was not seen");
        }
        let missing = SnapshotFiles { files: vec![folder.join("nothing.sst")] };
        store.install(&missing).unwrap_err();
        assert_eq!(all_rows(&store).unwrap(), pairs(&[("a", "1")]));
        store.install(&from.export(&folder).unwrap()).unwrap();
        assert_eq!(all_rows(&store).unwrap().len(), 300);
    }
    assert_eq!(all_rows(&store(&path)).unwrap().len(), 300);
}

#[test]
fn removed_replica_is_refused_for_good() {
    let dir = tempfile::tempdir().unwrap();
    {
        let data = DataStore::open(dir.path()).unwrap();
        let store = data.replica(REPLICA).unwrap();
        store.write(&[put("a", "1")]).unwrap();
        data.remove(REPLICA).unwrap();
        data.remove(REPLICA).unwrap();
        data.remove(ReplicaId(9)).unwrap();
        assert!(matches!(store.write(&[put("a", "1")]), Err(Error::NoReplica(REPLICA))));
        assert!(matches!(store.flush(), Err(Error::NoReplica(REPLICA))));
        assert!(matches!(store.install(&SnapshotFiles { files: vec![] }), Err(Error::NoReplica(REPLICA))));
        store.get(b"a").unwrap_err();
        store.view().get(b"a").unwrap_err();
        assert_eq!(store.unflushed_bytes(), 0);
        assert!(matches!(data.replica(REPLICA), Err(Error::Tombstoned(REPLICA))));
    }
    let data = DataStore::open(dir.path()).unwrap();
    assert_eq!(data.replicas(), []);
    assert_eq!(data.tombstones().unwrap(), [REPLICA, ReplicaId(9)]);
    assert!(matches!(data.replica(REPLICA), Err(Error::Tombstoned(REPLICA))));
    assert!(matches!(data.replica(ReplicaId(9)), Err(Error::Tombstoned(_))));
    data.replica(ReplicaId(2)).unwrap();
}

#[test]
fn flipped_bit_in_a_table_is_an_error_of_scan_and_get_not_fewer_rows() {
    let dir = tempfile::tempdir().unwrap();
    {
        let store = store(dir.path());
        fill(&store, 1000, 300);
        store.flush().unwrap();
    }
    let table =
        files(dir.path(), ".sst").into_iter().max_by_key(|file| file.metadata().unwrap().len()).unwrap();
    let middle = (table.metadata().unwrap().len() / 2) as usize;
    support::flip(&table, middle);
    let store = store(dir.path());
    let scanned = all_rows(&store);
    assert!(scanned.is_err(), "{} rows without an error", scanned.unwrap().len());
    let failed = (0..1000).filter(|row| store.get(format!("row {row:06}").as_bytes()).is_err()).count();
    assert!((1..100).contains(&failed), "{failed} rows are unreadable");
    store.export(&dir.path().join("files")).unwrap_err();
}

#[test]
fn replica_with_damage_is_known_and_not_opened_again() {
    let dir = tempfile::tempdir().unwrap();
    let other = ReplicaId(2);
    {
        let data = DataStore::open(dir.path()).unwrap();
        let store = data.replica(REPLICA).unwrap();
        fill(&store, 1000, 300);
        store.flush().unwrap();
        data.replica(other).unwrap().write(&[put("a", "1")]).unwrap();
        data.replica(other).unwrap().flush().unwrap();
    }
    let table =
        files(dir.path(), ".sst").into_iter().max_by_key(|file| file.metadata().unwrap().len()).unwrap();
    support::flip(&table, (table.metadata().unwrap().len() / 2) as usize);
    {
        let data = DataStore::open(dir.path()).unwrap();
        let store = data.replica(REPLICA).unwrap();
        let (damage, others) = (store.damage(), data.replica(other).unwrap().damage());
        assert_eq!(*damage.borrow(), None);
        // A view of it meets it: whoever follows the store is told.
        all_rows(&store.view()).unwrap_err();
        assert!(damage.borrow().as_ref().unwrap().contains("checksum"), "{:?}", *damage.borrow());
        assert_eq!(*others.borrow(), None);
    }
    let data = DataStore::open(dir.path()).unwrap();
    assert!(matches!(data.replica(REPLICA), Err(Error::Corrupt { .. })));
    assert_eq!(all_rows(&data.replica(other).unwrap()).unwrap(), pairs(&[("a", "1")]));
    data.remove(REPLICA).unwrap();
    drop(data);
    let data = DataStore::open(dir.path()).unwrap();
    assert!(matches!(data.replica(REPLICA), Err(Error::Tombstoned(REPLICA))));
    data.replica(ReplicaId(9)).unwrap();
}

#[test]
fn damage_met_while_compacting_is_put_down_to_the_replica_that_has_it() {
    let dir = tempfile::tempdir().unwrap();
    let (guilty, other) = (REPLICA, ReplicaId(2));
    {
        let store = store(dir.path());
        fill(&store, 1000, 300);
        store.flush().unwrap();
    }
    // The one with the rows: others are as small as what RocksDB keeps of itself.
    let largest = files(dir.path(), ".sst").into_iter().max_by_key(|file| file.metadata().unwrap().len());
    support::flip(&largest.unwrap(), 5000);
    let data = DataStore::open(dir.path()).unwrap();
    let (store, innocent) = (data.replica(guilty).unwrap(), data.replica(other).unwrap());
    // Overlapping files, until RocksDB compacts them; then it refuses writes of all replicas.
    let refused = (0..100).find_map(|round| {
        let rows = [put("row 000000", round.to_string()), put("row 000999", round.to_string())];
        let written = store.write(&rows).and_then(|()| store.flush());
        std::thread::sleep(Duration::from_millis(20));
        written.and_then(|()| innocent.write(&[put("a", "1")])).err()
    });
    assert!(matches!(refused, Some(Error::Corrupt { .. })), "{refused:?}");
    innocent.write(&[put("a", "1")]).unwrap_err();
    assert!(store.damage().borrow().is_some(), "nobody knows whose it is");
    assert!(innocent.damage().borrow().is_none(), "put down to another replica");
}

#[test]
fn database_open_twice_is_refused_with_the_reason() {
    let dir = tempfile::tempdir().unwrap();
    let _data = DataStore::open(dir.path()).unwrap();
    let refused = DataStore::open(dir.path()).unwrap_err().to_string();
    assert!(refused.contains("another process uses it"), "{refused}");
}
