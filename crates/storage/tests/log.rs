//! The raft log through its public face, on a real disk.
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use roomkeeper_storage::{Error, GroupLog, LogEngine, LogOptions, LogState};
use roomkeeper_types::{LogIndex, ReplicaId};
use support::{append, entries, entry, files};

const REPLICA: ReplicaId = ReplicaId(1);

/// Keeps nothing in memory that is on disk.
fn no_cache() -> LogOptions {
    LogOptions { group_cache_bytes: 0, ..LogOptions::default() }
}

fn all(log: &GroupLog) -> Vec<Bytes> {
    log.entries(.., usize::MAX).unwrap()
}

fn state(first: u64, last: u64) -> LogState {
    LogState { first: Some(LogIndex(first)), last: Some(LogIndex(last)), ..LogState::default() }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn appends_of_many_groups_at_once_take_far_fewer_synced_writes() {
    let dir = tempfile::tempdir().unwrap();
    let engine = LogEngine::open(dir.path()).unwrap();
    let written = Arc::new(AtomicUsize::new(0));
    let mut groups = Vec::new();
    for replica in 1..=32 {
        let (log, written) = (engine.group(ReplicaId(replica)).unwrap(), Arc::clone(&written));
        groups.push(tokio::spawn(async move {
            for index in 1..=100 {
                let written = Arc::clone(&written);
                let done = Box::new(move |result: Result<(), Error>| {
                    result.unwrap();
                    written.fetch_add(1, Ordering::SeqCst);
                });
                log.append(LogIndex(index), vec![entry(index)], done).await.unwrap();
            }
        }));
    }
    for group in groups {
        group.await.unwrap();
    }
    engine.close();
    assert_eq!(written.load(Ordering::SeqCst), 3200);
    // Pipelined: nobody waits for the sync of its own append before the next one.
    assert!(engine.synced_writes() < 800, "{} synced writes", engine.synced_writes());
}

#[tokio::test]
async fn restart_keeps_entries_vote_marks_and_state() {
    let dir = tempfile::tempdir().unwrap();
    let before = {
        let engine = LogEngine::open(dir.path()).unwrap();
        let log = engine.group(REPLICA).unwrap();
        append(&log, 1, entries(1..11)).await.unwrap();
        log.save_vote(Bytes::from_static(b"vote")).await.unwrap();
        log.purge(LogIndex(4), Bytes::from_static(b"purged 4")).await.unwrap();
        log.save_committed(Some(Bytes::from_static(b"committed"))).await.unwrap();
        append(&log, 11, entries(11..13)).await.unwrap();
        log.state()
    };
    let engine = LogEngine::open(dir.path()).unwrap();
    let log = engine.group(REPLICA).unwrap();
    assert_eq!(log.state(), before);
    assert_eq!(before.first, Some(LogIndex(5)));
    assert_eq!(before.last, Some(LogIndex(12)));
    assert_eq!(before.vote.as_deref(), Some(&b"vote"[..]));
    assert_eq!(before.purged.as_deref(), Some(&b"purged 4"[..]));
    assert_eq!(before.committed.as_deref(), Some(&b"committed"[..]));
    assert_eq!(all(&log), entries(5..13));
    append(&log, 13, entries(13..14)).await.unwrap();
}

#[tokio::test]
async fn committed_mark_taken_back_is_gone_after_restart() {
    let dir = tempfile::tempdir().unwrap();
    {
        let engine = LogEngine::open(dir.path()).unwrap();
        let log = engine.group(REPLICA).unwrap();
        log.save_committed(Some(Bytes::from_static(b"c"))).await.unwrap();
        log.save_committed(None).await.unwrap();
    }
    let engine = LogEngine::open(dir.path()).unwrap();
    assert_eq!(engine.group(REPLICA).unwrap().state(), LogState::default());
}

#[tokio::test]
async fn truncated_entries_are_gone_at_once_and_after_restart() {
    for options in [LogOptions::default(), no_cache()] {
        let dir = tempfile::tempdir().unwrap();
        {
            let engine = LogEngine::open_with(dir.path(), options.clone()).unwrap();
            let log = engine.group(REPLICA).unwrap();
            append(&log, 1, entries(1..11)).await.unwrap();
            log.truncate_after(Some(LogIndex(6))).await.unwrap();
            assert_eq!(log.state(), state(1, 6));
            append(&log, 7, entries(107..109)).await.unwrap();
        }
        let engine = LogEngine::open_with(dir.path(), options).unwrap();
        let log = engine.group(REPLICA).unwrap();
        assert_eq!(log.state(), state(1, 8));
        assert_eq!(all(&log), [entries(1..7), entries(107..109)].concat());
        log.truncate_after(Some(LogIndex(100))).await.unwrap();
        assert_eq!(log.state(), state(1, 8));
        log.truncate_after(None).await.unwrap();
        assert_eq!(log.state(), LogState::default());
    }
}

#[tokio::test]
async fn purge_beyond_the_last_entry_empties_the_log_and_fixes_the_next_index() {
    let dir = tempfile::tempdir().unwrap();
    {
        let engine = LogEngine::open(dir.path()).unwrap();
        let log = engine.group(REPLICA).unwrap();
        append(&log, 1, entries(1..4)).await.unwrap();
        log.purge(LogIndex(50), Bytes::from_static(b"snapshot at 50")).await.unwrap();
        assert_eq!((log.state().first, log.state().last), (None, None));
        log.purge(LogIndex(20), Bytes::from_static(b"older")).await.unwrap();
    }
    let engine = LogEngine::open(dir.path()).unwrap();
    let log = engine.group(REPLICA).unwrap();
    assert_eq!(log.state().purged.as_deref(), Some(&b"snapshot at 50"[..]));
    let refused = append(&log, 53, entries(53..54)).await;
    assert!(
        matches!(refused, Err(Error::NotNext { expected: LogIndex(51), got: LogIndex(53), .. })),
        "{refused:?}"
    );
    append(&log, 51, entries(51..53)).await.unwrap();
    assert_eq!(all(&log), entries(51..53));
}

#[tokio::test]
async fn append_that_does_not_continue_the_log_writes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    {
        let engine = LogEngine::open(dir.path()).unwrap();
        let log = engine.group(REPLICA).unwrap();
        append(&log, 7, entries(7..9)).await.unwrap();
        for first in [1, 7, 8, 10, u64::MAX] {
            let refused = append(&log, first, entries(first..first.saturating_add(1))).await;
            assert!(matches!(refused, Err(Error::NotNext { expected: LogIndex(9), .. })), "{refused:?}");
        }
        append(&log, 9, Vec::new()).await.unwrap();
    }
    let engine = LogEngine::open(dir.path()).unwrap();
    assert_eq!(engine.group(REPLICA).unwrap().state(), state(7, 8));
}

#[tokio::test]
async fn entries_of_a_range_come_in_order_and_within_the_bytes_asked_for() {
    for options in [LogOptions::default(), no_cache()] {
        let dir = tempfile::tempdir().unwrap();
        let engine = LogEngine::open_with(dir.path(), options).unwrap();
        let log = engine.group(REPLICA).unwrap();
        append(&log, 1, (1..=9).map(|n| Bytes::from(vec![n; 100])).collect()).await.unwrap();
        log.purge(LogIndex(2), Bytes::new()).await.unwrap();
        let read = |range: std::ops::Range<u64>, bytes| -> Vec<u8> {
            log.entries(range, bytes).unwrap().iter().map(|entry| entry[0]).collect()
        };
        assert_eq!(read(3..6, usize::MAX), [3, 4, 5]);
        assert_eq!(read(3..10, 300), [3, 4, 5]);
        assert_eq!(read(3..10, 299), [3, 4]);
        assert_eq!(read(5..10, 0), [5]);
        assert_eq!(read(0..5, usize::MAX), [3, 4]);
        assert_eq!(read(8..100, usize::MAX), [8, 9]);
        assert_eq!(read(10..100, usize::MAX), [0; 0]);
        assert_eq!(read(5..5, usize::MAX), [0; 0]);
        let inclusive = log.entries(4..=5, usize::MAX).unwrap();
        assert_eq!(inclusive.len(), 2);
    }
}

#[tokio::test]
async fn empty_entry_is_an_entry() {
    let dir = tempfile::tempdir().unwrap();
    for round in 0..2 {
        let engine = LogEngine::open_with(dir.path(), no_cache()).unwrap();
        let log = engine.group(REPLICA).unwrap();
        if round == 0 {
            append(&log, 1, vec![Bytes::new(), Bytes::new()]).await.unwrap();
        }
        assert_eq!(all(&log), [Bytes::new(), Bytes::new()]);
    }
}

#[tokio::test]
async fn groups_of_neighbouring_ids_do_not_see_each_other() {
    let dir = tempfile::tempdir().unwrap();
    let engine = LogEngine::open_with(dir.path(), no_cache()).unwrap();
    let ids = [0, 1, 2, 255, 256, u64::MAX].map(ReplicaId);
    for id in ids {
        append(&engine.group(id).unwrap(), 1, vec![Bytes::from(id.to_string()); 3]).await.unwrap();
    }
    assert_eq!(engine.replicas().unwrap(), ids);
    engine.group(ReplicaId(1)).unwrap().truncate_after(None).await.unwrap();
    engine.remove(ReplicaId(255)).await.unwrap();
    for id in [0, 2, 256, u64::MAX].map(ReplicaId) {
        assert_eq!(all(&engine.group(id).unwrap()), vec![Bytes::from(id.to_string()); 3]);
    }
}

#[tokio::test]
async fn removed_replica_takes_no_calls_and_leaves_nothing() {
    let dir = tempfile::tempdir().unwrap();
    {
        let engine = LogEngine::open(dir.path()).unwrap();
        let log = engine.group(REPLICA).unwrap();
        append(&log, 1, entries(1..4)).await.unwrap();
        log.save_vote(Bytes::from_static(b"v")).await.unwrap();
        engine.remove(REPLICA).await.unwrap();
        engine.remove(REPLICA).await.unwrap();
        assert!(matches!(append(&log, 4, entries(4..5)).await, Err(Error::NoReplica(REPLICA))));
        assert!(matches!(log.save_vote(Bytes::new()).await, Err(Error::NoReplica(REPLICA))));
        assert!(matches!(log.entries(.., 1), Err(Error::NoReplica(REPLICA))));
        assert!(matches!(engine.group(REPLICA), Err(Error::NoReplica(REPLICA))));
        assert_eq!(log.state(), LogState::default());
    }
    let engine = LogEngine::open(dir.path()).unwrap();
    assert_eq!(engine.replicas().unwrap(), []);
    assert_eq!(engine.group(REPLICA).unwrap().state(), LogState::default());
}

#[tokio::test]
async fn reads_while_entries_are_purged_and_evicted_are_never_short() {
    let dir = tempfile::tempdir().unwrap();
    let options = LogOptions { group_cache_bytes: 2000, ..LogOptions::default() };
    let engine = LogEngine::open_with(dir.path(), options).unwrap();
    let log = engine.group(REPLICA).unwrap();
    append(&log, 1, entries(1..101)).await.unwrap();
    let reader = std::thread::spawn({
        let log = log.clone();
        move || {
            let mut reads = 0;
            loop {
                let read = log.entries(.., usize::MAX).unwrap();
                let number = |entry: &Bytes| -> u64 {
                    std::str::from_utf8(entry).unwrap().strip_prefix("entry ").unwrap().parse().unwrap()
                };
                let (first, last) = (number(&read[0]), number(&read[read.len() - 1]));
                assert_eq!(read, entries(first..last + 1));
                reads += 1;
                if last >= 2000 {
                    return reads;
                }
            }
        }
    });
    for next in (101..2001).step_by(10) {
        append(&log, next, entries(next..next + 10)).await.unwrap();
        log.purge(LogIndex(next - 50), Bytes::new()).await.unwrap();
    }
    assert!(reader.join().unwrap() > 0);
}

#[tokio::test]
async fn database_open_twice_is_refused_with_the_reason() {
    let dir = tempfile::tempdir().unwrap();
    let _engine = LogEngine::open(dir.path()).unwrap();
    let refused = LogEngine::open(dir.path()).unwrap_err().to_string();
    assert!(refused.contains("another process uses it"), "{refused}");
}

#[tokio::test]
async fn database_without_its_current_file_is_refused_and_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    {
        let engine = LogEngine::open(dir.path()).unwrap();
        append(&engine.group(REPLICA).unwrap(), 1, entries(1..4)).await.unwrap();
    }
    let (current, away) = (dir.path().join("db/CURRENT"), dir.path().join("db/away"));
    std::fs::rename(&current, &away).unwrap();
    let refused = LogEngine::open(dir.path()).unwrap_err().to_string();
    assert!(refused.contains("CURRENT is missing"), "{refused}");
    std::fs::rename(&away, &current).unwrap();
    let engine = LogEngine::open(dir.path()).unwrap();
    assert_eq!(all(&engine.group(REPLICA).unwrap()), entries(1..4));
}

#[tokio::test]
async fn flipped_bit_in_a_table_is_an_error_when_the_group_is_opened() {
    let dir = tempfile::tempdir().unwrap();
    {
        let options = LogOptions { write_buffer_bytes: 64 << 10, ..LogOptions::default() };
        let engine = LogEngine::open_with(dir.path(), options).unwrap();
        let log = engine.group(REPLICA).unwrap();
        for index in 1..200 {
            append(&log, index, vec![Bytes::from(vec![b'x'; 2000])]).await.unwrap();
        }
    }
    // Recovery writes what was in the WAL to tables.
    drop(LogEngine::open(dir.path()).unwrap());
    let table = files(&dir.path().join("db"), ".sst")
        .into_iter()
        .max_by_key(|file| file.metadata().unwrap().len())
        .unwrap();
    support::flip(&table, 1000);
    let opened = LogEngine::open(dir.path()).and_then(|engine| engine.group(REPLICA).map(|_| ()));
    assert!(matches!(opened, Err(Error::Corrupt { .. } | Error::Open { .. })), "{opened:?}");
}
