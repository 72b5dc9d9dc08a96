//! A disk that is full and then has room again: what was refused is taken, nothing that was accepted is gone, and no
//! database has to be opened anew. On a small file system of its own; skipped where this user may not mount one.
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod support;

use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use roomkeeper_storage::{DataOptions, DataStore, LogEngine, LogOptions};
use roomkeeper_types::{LogIndex, ReplicaId};
use support::{all_rows, append, put};
use tempfile::TempDir;

const REPLICA: ReplicaId = ReplicaId(1);
const MIB: usize = 1 << 20;
/// RocksDB looks every 5 s whether there is room again.
const RECOVERY_MAX: Duration = Duration::from_secs(20);

/// A file system of 48 MiB that goes when this is dropped.
struct SmallDisk(TempDir);

impl SmallDisk {
    fn mount() -> Option<Self> {
        let dir = tempfile::tempdir().unwrap();
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=48m", "roomkeeper-test"])
            .arg(dir.path())
            .stderr(Stdio::null())
            .status();
        let may = mounted.is_ok_and(|status| status.success());
        if !may {
            eprintln!("skipped: this user may not mount a file system");
        }
        may.then(|| Self(dir))
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    /// A file that takes all the room there is.
    fn fill(&self) -> PathBuf {
        let path = self.path().join("filler");
        let mut file = File::create(&path).unwrap();
        let block = vec![7; 4096];
        while file.write_all(&block).is_ok() {}
        path
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let gone = Command::new("umount").arg("--lazy").arg(self.path()).status();
        assert!(gone.is_ok_and(|status| status.success()), "{} stays mounted", self.path().display());
    }
}

fn noise(number: usize) -> Vec<u8> {
    // Does not compress, or much more would have to be written.
    let mut state = number as u64 + 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state as u8
    };
    (0..16 << 10).map(|_| next()).collect()
}

#[test]
fn rows_refused_by_a_full_disk_are_taken_when_there_is_room() {
    let Some(disk) = SmallDisk::mount() else { return };
    let options = DataOptions { write_buffer_bytes: MIB, ..DataOptions::default() };
    let path = disk.path().join("data");
    let data = DataStore::open_with(&path, options.clone()).unwrap();
    let store = data.replica(REPLICA).unwrap();
    let row = |number: usize| put(format!("{number:06}"), noise(number));
    store.write(&[row(0)]).unwrap();
    store.flush().unwrap();

    let filler = disk.fill();
    // Rows go to memory until a flush of it meets the full disk.
    let mut written = 1;
    let refused = loop {
        match store.write(&[row(written)]) {
            Ok(()) => written += 1,
            Err(error) if error.is_no_space() => break error,
            Err(error) => assert!(error.may_pass(), "{error}"),
        }
        assert!(written < 4_000, "64 MiB on a full disk of 48");
    };
    assert!(refused.may_pass());
    assert!(store.flush().unwrap_err().is_no_space());

    fs::remove_file(filler).unwrap();
    let begun = Instant::now();
    while let Err(error) = store.write(&[row(written)]) {
        assert!(error.may_pass(), "{error}");
        assert!(begun.elapsed() < RECOVERY_MAX, "refused although there is room: {error}");
        std::thread::sleep(Duration::from_millis(50));
    }
    written += 1;
    store.flush().unwrap();
    drop((store, data));
    let data = DataStore::open_with(&path, options).unwrap();
    let rows = all_rows(&data.replica(REPLICA).unwrap()).unwrap();
    assert_eq!(rows.len(), written);
}

#[test]
fn flushes_asked_for_again_and_again_do_not_keep_a_database_from_going_on() {
    let Some(disk) = SmallDisk::mount() else { return };
    let options = DataOptions { write_buffer_bytes: MIB, ..DataOptions::default() };
    let data = DataStore::open_with(&disk.path().join("data"), options).unwrap();
    let stores: Vec<_> = (1..=8).map(|replica| data.replica(ReplicaId(replica)).unwrap()).collect();
    for store in &stores {
        store.write(&[put("row", noise(1))]).unwrap();
    }
    let filler = disk.fill();
    // Files that are deleted meanwhile make a little room.
    let mut rounds = 0;
    while stores[0].flush().is_ok() {
        rounds += 1;
        assert!(rounds < 1_000, "a full disk takes everything");
        stores[0].write(&[put(format!("row {rounds:04}"), noise(rounds))]).unwrap();
    }
    let begun = Instant::now();
    std::thread::scope(|scope| {
        for store in &stores {
            scope.spawn(move || {
                while let Err(error) = store.flush() {
                    assert!(error.may_pass(), "{error}");
                    assert!(begun.elapsed() < RECOVERY_MAX, "not flushed although there is room: {error}");
                    std::thread::sleep(Duration::from_millis(20));
                }
            });
        }
        std::thread::sleep(Duration::from_millis(500));
        fs::remove_file(filler).unwrap();
    });
    let counts: Vec<usize> = stores.iter().map(|store| all_rows(store).unwrap().len()).collect();
    assert_eq!(counts, [[rounds + 1].as_slice(), &[1; 7]].concat());
}

#[tokio::test(flavor = "multi_thread")]
async fn log_on_a_full_disk_waits_for_room_and_keeps_what_it_acknowledged() {
    let Some(disk) = SmallDisk::mount() else { return };
    let options = LogOptions { write_buffer_bytes: MIB, ..LogOptions::default() };
    let path = disk.path().join("log");
    let engine = LogEngine::open_with(&path, options.clone()).unwrap();
    let log = engine.group(REPLICA).unwrap();
    append(&log, 1, vec![noise(1).into()]).await.unwrap();

    let filler = disk.fill();
    let writing = tokio::spawn({
        let log = log.clone();
        async move {
            for index in 2..=400_u64 {
                let entry = noise(usize::try_from(index).unwrap()).into();
                append(&log, index, vec![entry]).await.unwrap();
            }
        }
    });
    let begun = Instant::now();
    while engine.sync_stalled_for() < Duration::from_millis(500) {
        assert!(begun.elapsed() < RECOVERY_MAX && !writing.is_finished(), "6 MiB on a full disk");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    fs::remove_file(filler).unwrap();
    tokio::time::timeout(RECOVERY_MAX, writing).await.unwrap().unwrap();
    engine.close();
    drop((log, engine));

    let engine = LogEngine::open_with(&path, options).unwrap();
    let log = engine.group(REPLICA).unwrap();
    let entries = log.entries(.., usize::MAX).unwrap();
    assert_eq!(log.state().last, Some(LogIndex(400)));
    for (index, entry) in (1..).zip(entries) {
        assert_eq!(entry, noise(index), "entry {index}");
    }
}
