//! Damage to any file of the raft log is found out when a replica is opened: it is either all there, or refused.
//! Never does a log come back shorter, or with other entries or an older vote, without an error.
//!
//! Every file × every damage; what is refused must be refused, not lost: see each table.
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod support;

use std::fs;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use roomkeeper_storage::{Error, LogEngine, LogOptions};
use roomkeeper_types::{LogIndex, ReplicaId};
use support::{append, files};

const REPLICAS: [ReplicaId; 2] = [ReplicaId(3), ReplicaId(4)];
const ENTRIES: u64 = 60;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Damage {
    FlipFirst,
    FlipMiddle,
    FlipLast,
    TruncateHalf,
    TruncateLast,
    Empty,
    Zero,
    ZeroTail,
    Swap,
    Missing,
}

const ALL: [Damage; 10] = [
    Damage::FlipFirst,
    Damage::FlipMiddle,
    Damage::FlipLast,
    Damage::TruncateHalf,
    Damage::TruncateLast,
    Damage::Empty,
    Damage::Zero,
    Damage::ZeroTail,
    Damage::Swap,
    Damage::Missing,
];

impl Damage {
    fn apply(self, file: &Path) {
        let mut bytes = fs::read(file).unwrap();
        // A preallocated file ends in zeros: the last byte that says something is meant.
        let end = bytes.iter().rposition(|byte| *byte != 0).unwrap_or(0);
        match self {
            Self::FlipFirst => bytes[0] ^= 0x10,
            Self::FlipMiddle => bytes[end / 2] ^= 0x10,
            Self::FlipLast => bytes[end] ^= 0x10,
            Self::TruncateHalf => bytes.truncate(end / 2),
            Self::TruncateLast => bytes.truncate(end),
            Self::Empty => bytes.clear(),
            Self::Zero => bytes.fill(0),
            Self::ZeroTail => bytes[end.saturating_sub(100)..].fill(0),
            Self::Swap => {
                // Two neighbouring pieces change places.
                let piece = (end / 4).clamp(1, 4096);
                let (left, right) = bytes.split_at_mut(end / 2);
                let from = left.len() - piece.min(left.len());
                let piece = piece.min(left.len()).min(right.len());
                left[from..from + piece].swap_with_slice(&mut right[..piece]);
            }
            Self::Missing => return fs::remove_file(file).unwrap(),
        }
        fs::write(file, bytes).unwrap();
    }
}

fn entry(replica: ReplicaId, index: u64) -> Bytes {
    Bytes::from(format!("{replica} {index} {}", "x".repeat(500)))
}

fn options(write_buffer_bytes: usize) -> LogOptions {
    LogOptions { write_buffer_bytes, ..LogOptions::default() }
}

/// Two replicas with entries of which some are purged, and a vote each.
async fn write(dir: &Path, options: LogOptions) {
    let engine = LogEngine::open_with(dir, options).unwrap();
    for index in 1..=ENTRIES {
        for replica in REPLICAS {
            let log = engine.group(replica).unwrap();
            append(&log, index, vec![entry(replica, index)]).await.unwrap();
            if index == ENTRIES / 2 {
                log.purge(LogIndex(5), Bytes::from_static(b"mark")).await.unwrap();
                log.save_vote(Bytes::from_static(b"vote")).await.unwrap();
            }
        }
    }
    engine.close();
}

/// What a start finds: how many replicas are refused. The others have all that they had.
fn refused(dir: &Path) -> usize {
    let engine = match LogEngine::open(dir) {
        Ok(engine) => engine,
        Err(Error::Open { .. } | Error::Corrupt { .. }) => return REPLICAS.len(),
        Err(other) => panic!("{other:?}"),
    };
    let mut refused = 0;
    for replica in REPLICAS {
        let log = match engine.group(replica) {
            Ok(log) => log,
            Err(Error::Forgotten { .. } | Error::Corrupt { .. }) => {
                refused += 1;
                continue;
            }
            Err(other) => panic!("{other:?}"),
        };
        let state = log.state();
        assert_eq!(state.vote.as_deref(), Some(&b"vote"[..]), "{replica} forgot its vote");
        let first = state.first.unwrap().0;
        let whole: Vec<Bytes> = (first..=ENTRIES).map(|index| entry(replica, index)).collect();
        assert!(first <= 6, "{replica} begins at {first}");
        assert_eq!(log.entries(.., usize::MAX).unwrap(), whole, "{replica}");
    }
    refused
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &to);
        } else {
            fs::copy(entry.path(), to).unwrap();
        }
    }
}

/// Damages the file that `which` names in a fresh copy, in each way; returns how many replicas were refused.
async fn grid(options: LogOptions, which: impl Fn(&Path) -> PathBuf) -> Vec<(Damage, usize)> {
    let whole = tempfile::tempdir().unwrap();
    write(whole.path(), options).await;
    ALL.into_iter()
        .map(|damage| {
            let dir = tempfile::tempdir().unwrap();
            copy(whole.path(), dir.path());
            damage.apply(&which(dir.path()));
            (damage, refused(dir.path()))
        })
        .collect()
}

fn the_largest(dir: &Path, end: &str) -> PathBuf {
    files(&dir.join("db"), end).into_iter().max_by_key(|file| file.metadata().unwrap().len()).unwrap()
}

#[tokio::test]
async fn undamaged_log_is_opened() {
    for write_buffer_bytes in [16 << 10, 64 << 20] {
        let dir = tempfile::tempdir().unwrap();
        write(dir.path(), options(write_buffer_bytes)).await;
        assert_eq!(refused(dir.path()), 0);
    }
}

#[tokio::test]
async fn wal_damaged_is_refused() {
    for (damage, refused) in grid(options(64 << 20), |dir| the_largest(dir, ".log")).await {
        // The end of the WAL holds the last entry of one replica only.
        let at_the_end = matches!(damage, Damage::FlipLast | Damage::TruncateLast | Damage::ZeroTail);
        assert!(refused == 2 || (at_the_end && refused == 1), "{damage:?}: {refused} refused");
    }
}

#[tokio::test]
async fn table_damaged_is_refused_or_does_not_matter() {
    let mut seen = 0;
    for (damage, refused) in grid(options(16 << 10), |dir| the_largest(dir, ".sst")).await {
        seen += usize::from(refused > 0);
        // A flip at the end meets the magic number; one in an index block nobody used may not be read.
        let must = !matches!(damage, Damage::FlipFirst | Damage::FlipMiddle);
        assert!(refused > 0 || !must, "{damage:?} was not seen");
    }
    assert!(seen >= 8, "only {seen} were seen");
}

#[tokio::test]
async fn manifest_damaged_is_refused_or_does_not_matter() {
    let manifest = |dir: &Path| {
        let mut found: Vec<PathBuf> = fs::read_dir(dir.join("db"))
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .filter(|path| path.to_string_lossy().contains("MANIFEST"))
            .collect();
        found.sort();
        found.pop().unwrap()
    };
    for (damage, refused) in grid(options(16 << 10), manifest).await {
        // The check is that what is opened is whole; what must be refused is what leaves no manifest.
        let must = matches!(damage, Damage::Empty | Damage::Zero | Damage::Missing | Damage::FlipFirst);
        assert!(refused > 0 || !must, "{damage:?} was not seen");
    }
}

#[tokio::test]
async fn current_damaged_is_refused() {
    for (damage, refused) in grid(options(16 << 10), |dir| dir.join("db/CURRENT")).await {
        assert_eq!(refused, 2, "{damage:?}");
    }
}

#[tokio::test]
async fn marks_damaged_quarantine_what_they_covered() {
    for (damage, refused) in grid(options(64 << 20), |dir| dir.join("marks")).await {
        // The last slot is one replica's; all others cover both.
        let expected = match damage {
            Damage::FlipLast | Damage::TruncateLast | Damage::FlipMiddle => 1,
            _ => 2,
        };
        assert_eq!(refused, expected, "{damage:?}");
    }
}

#[tokio::test]
async fn log_database_gone_while_its_marks_stay_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), LogOptions::default()).await;
    fs::remove_dir_all(dir.path().join("db")).unwrap();
    assert_eq!(refused(dir.path()), 2);
}

#[tokio::test]
async fn old_database_under_newer_marks_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let options = LogOptions::default();
    write(dir.path(), options.clone()).await;
    let old = tempfile::tempdir().unwrap();
    copy(&dir.path().join("db"), old.path());
    {
        let engine = LogEngine::open_with(dir.path(), options).unwrap();
        // One gets an entry, the other a vote.
        append(&engine.group(REPLICAS[0]).unwrap(), ENTRIES + 1, vec![Bytes::new()]).await.unwrap();
        engine.group(REPLICAS[1]).unwrap().save_vote(Bytes::from_static(b"later")).await.unwrap();
        engine.close();
    }
    fs::remove_dir_all(dir.path().join("db")).unwrap();
    copy(old.path(), &dir.path().join("db"));
    assert_eq!(refused(dir.path()), 2);
}

#[tokio::test]
async fn truncation_and_a_shorter_log_behind_it_are_no_damage() {
    let dir = tempfile::tempdir().unwrap();
    {
        let engine = LogEngine::open(dir.path()).unwrap();
        let log = engine.group(REPLICAS[0]).unwrap();
        append(&log, 1, (0..9).map(|_| Bytes::from_static(b"old")).collect()).await.unwrap();
        log.truncate_after(Some(LogIndex(4))).await.unwrap();
        engine.close();
    }
    for (next, entry) in [(5, &b"new"[..]), (6, b"newer")] {
        let engine = LogEngine::open(dir.path()).unwrap();
        let log = engine.group(REPLICAS[0]).unwrap();
        assert_eq!(log.state().last, Some(LogIndex(next - 1)));
        append(&log, next, vec![Bytes::from_static(entry)]).await.unwrap();
        engine.close();
    }
    let engine = LogEngine::open(dir.path()).unwrap();
    engine.group(REPLICAS[0]).unwrap().truncate_after(None).await.unwrap();
    engine.close();
    drop(engine);
    let engine = LogEngine::open(dir.path()).unwrap();
    assert_eq!(engine.group(REPLICAS[0]).unwrap().state().last, None);
}
