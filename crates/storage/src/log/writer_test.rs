//! The engine over a disk that tests hold up, watch and break.

use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;
use roomkeeper_types::{LogIndex, ReplicaId};
use tempfile::TempDir;

use super::disk::{self, Disk, RocksDisk};
use super::marks::Marks;
use super::queue::{Job, Op};
use super::{Done, GroupLog, LogEngine, LogOptions};
use crate::Error;

/// What the disk does with a write once the test lets it go on.
enum Verdict {
    Write,
    Fail,
    Full,
}

/// A write as the disk saw it: what was in it, and whether it was synced.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Seen {
    ops: Vec<String>,
    sync: bool,
}

struct GatedDisk {
    inner: RocksDisk,
    verdicts: Receiver<Verdict>,
    seen: Arc<Mutex<Vec<Seen>>>,
}

impl Disk for GatedDisk {
    fn write(&mut self, run: &[Job], sync: bool) -> Result<(), Error> {
        let ops = run.iter().map(|job| format!("{} {}", job.group.replica(), describe(&job.op))).collect();
        self.seen.lock().push(Seen { ops, sync });
        // A test that is over lets everything go on.
        match self.verdicts.recv().unwrap_or(Verdict::Write) {
            Verdict::Write => self.inner.write(run, sync),
            Verdict::Full => Err(Error::NoSpace { action: "writing", reason: "no block is free".to_owned() }),
            Verdict::Fail => Err(Error::Io { action: "syncing", reason: "the disk is gone".to_owned() }),
        }
    }
}

fn describe(op: &Op) -> String {
    match op {
        Op::Append { first, entries } => format!("append {first}+{}", entries.len()),
        Op::Vote { .. } => "vote".to_owned(),
        Op::Committed(_) => "committed".to_owned(),
        Op::Truncate { gone, .. } => format!("truncate {gone:?}"),
        Op::Purge { gone, .. } => format!("purge {gone:?}"),
        Op::Remove => "remove".to_owned(),
    }
}

/// Fields in the order to drop them: a writer that waits for a verdict goes on when there will be none.
struct Gated {
    verdicts: Sender<Verdict>,
    engine: LogEngine,
    seen: Arc<Mutex<Vec<Seen>>>,
    _dir: TempDir,
}

impl Gated {
    fn new(options: &LogOptions) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let db = Arc::new(disk::open(&dir.path().join("db"), options).unwrap());
        let marks = Marks::open(&dir.path().join("marks")).unwrap();
        let (verdicts, waiting) = channel();
        let seen = Arc::default();
        let inner = RocksDisk::new(Arc::clone(&db));
        let disk = GatedDisk { inner, verdicts: waiting, seen: Arc::clone(&seen) };
        let engine = LogEngine::start(Path::new("gated"), db, disk, marks, options).unwrap();
        Self { engine, verdicts, seen, _dir: dir }
    }

    fn group(&self, replica: u64) -> GroupLog {
        self.engine.group(ReplicaId(replica)).unwrap()
    }

    fn allow(&self, writes: usize) {
        for _ in 0..writes {
            self.verdicts.send(Verdict::Write).unwrap();
        }
    }

    /// Has the writer wait in a write of its own, so that what is queued next waits together.
    async fn hold_up(&self) {
        let (done, _) = recorder();
        self.group(u64::MAX).append(LogIndex(1), vec![entry(0)], done).await.unwrap();
        while self.seen.lock().is_empty() {
            tokio::task::yield_now().await;
        }
    }

    /// What was written after [`Gated::hold_up`].
    fn seen_behind(&self) -> Vec<Seen> {
        self.seen.lock()[1..].to_vec()
    }
}

fn entry(n: u64) -> Bytes {
    Bytes::from(format!("entry {n}"))
}

fn entries(range: std::ops::Range<u64>) -> Vec<Bytes> {
    range.map(entry).collect()
}

/// A callback and the place where its result arrives.
fn recorder() -> (Done, Receiver<Result<(), Error>>) {
    let (sender, results) = channel();
    (Box::new(move |result| sender.send(result).unwrap_or(())), results)
}

#[tokio::test]
async fn appends_of_many_groups_waiting_together_are_one_synced_write() {
    let gated = Gated::new(&LogOptions::default());
    gated.hold_up().await;
    let mut results = Vec::new();
    for replica in 0..32 {
        for index in 1..=2 {
            let (done, result) = recorder();
            gated.group(replica).append(LogIndex(index), vec![entry(index)], done).await.unwrap();
            results.push(result);
        }
    }
    gated.allow(2);
    for result in results {
        result.recv().unwrap().unwrap();
    }
    assert_eq!(gated.engine.synced_writes(), 2);
    assert_eq!(gated.seen_behind()[0].ops.len(), 64);
}

#[tokio::test]
async fn append_before_its_sync_is_readable_and_not_acknowledged() {
    let gated = Gated::new(&LogOptions::default());
    let log = gated.group(1);
    let (done, result) = recorder();
    log.append(LogIndex(1), entries(1..4), done).await.unwrap();
    assert_eq!(log.entries(1..4, usize::MAX).unwrap(), entries(1..4));
    assert_eq!(log.state().last, Some(LogIndex(3)));
    assert!(result.try_recv().is_err());
    assert_eq!(gated.engine.synced_writes(), 0);
    gated.allow(1);
    result.recv().unwrap().unwrap();
}

#[tokio::test]
async fn votes_and_entries_called_in_turn_reach_the_disk_in_that_order() {
    let gated = Gated::new(&LogOptions::default());
    gated.hold_up().await;
    let order = Arc::new(Mutex::new(Vec::new()));
    let log = gated.group(1);
    let done = |name: &'static str| -> Done {
        let order = Arc::clone(&order);
        Box::new(move |_| order.lock().push(name))
    };
    log.append(LogIndex(1), entries(1..3), done("append 1")).await.unwrap();
    let voting = tokio::spawn({
        let (log, order) = (log.clone(), Arc::clone(&order));
        async move {
            log.save_vote(Bytes::from_static(b"v")).await.unwrap();
            order.lock().len()
        }
    });
    while log.state().vote.is_none() {
        tokio::task::yield_now().await;
    }
    log.save_committed(Some(Bytes::from_static(b"c"))).await.unwrap();
    log.append(LogIndex(3), entries(3..4), done("append 3")).await.unwrap();
    gated.allow(2);
    assert!(voting.await.unwrap() >= 1, "the vote was acknowledged before the append in front of it");
    gated.engine.close();
    assert_eq!(*order.lock(), ["append 1", "append 3"]);
    assert_eq!(gated.seen_behind()[0].ops, ["r1 append 1+2", "r1 vote", "r1 committed", "r1 append 3+1"]);
}

#[tokio::test]
async fn marks_and_purges_alone_are_written_without_sync() {
    let gated = Gated::new(&LogOptions::default());
    gated.hold_up().await;
    let log = gated.group(1);
    log.save_committed(Some(entry(1))).await.unwrap();
    log.purge(LogIndex(5), entry(5)).await.unwrap();
    gated.allow(2);
    gated.engine.close();
    assert_eq!(gated.engine.synced_writes(), 1);
    assert!(!gated.seen_behind()[0].sync);
}

#[tokio::test]
async fn truncation_vote_and_removal_alone_are_synced() {
    let gated = Gated::new(&LogOptions::default());
    gated.allow(4);
    let log = gated.group(1);
    let (done, result) = recorder();
    log.append(LogIndex(1), entries(1..4), done).await.unwrap();
    result.recv().unwrap().unwrap();
    log.truncate_after(Some(LogIndex(1))).await.unwrap();
    log.save_vote(entry(1)).await.unwrap();
    gated.engine.remove(ReplicaId(1)).await.unwrap();
    let seen = gated.seen.lock().clone();
    assert_eq!(seen.len(), 4);
    assert!(seen.iter().all(|write| write.sync), "{seen:?}");
}

#[tokio::test]
async fn failed_write_fails_all_that_waits_and_stops_the_engine() {
    let gated = Gated::new(&LogOptions::default());
    let log = gated.group(1);
    gated.hold_up().await;
    let (done, in_the_next_write) = recorder();
    log.append(LogIndex(1), entries(1..2), done).await.unwrap();
    let voting = tokio::spawn({
        let log = log.clone();
        async move { log.save_vote(entry(1)).await }
    });
    while log.state().vote.is_none() {
        tokio::task::yield_now().await;
    }
    gated.verdicts.send(Verdict::Fail).unwrap();
    assert!(matches!(in_the_next_write.recv().unwrap(), Err(Error::Io { .. })));
    assert!(matches!(voting.await.unwrap(), Err(Error::Io { .. })));

    let (done, never) = recorder();
    let appended = log.append(LogIndex(2), entries(2..3), done).await;
    assert!(matches!(appended, Err(Error::Stopped(_))), "{appended:?}");
    assert!(never.recv().is_err(), "the error was returned, so the callback must not be called");
    assert!(matches!(log.save_vote(entry(1)).await, Err(Error::Stopped(_))));
    assert!(matches!(log.save_committed(None).await, Err(Error::Stopped(_))));
    assert!(matches!(log.truncate_after(None).await, Err(Error::Stopped(_))));
    assert!(matches!(log.purge(LogIndex(1), entry(1)).await, Err(Error::Stopped(_))));
    assert!(matches!(log.entries(.., 1), Err(Error::Stopped(_))));
    assert!(matches!(gated.engine.remove(ReplicaId(1)).await, Err(Error::Stopped(_))));
    assert_eq!(gated.seen.lock().len(), 1, "something was written after the failure");
}

#[tokio::test]
async fn queue_full_makes_an_append_wait_until_there_is_room() {
    let gated = Gated::new(&LogOptions { queue_bytes: 4096, ..LogOptions::default() });
    gated.hold_up().await;
    let log = gated.group(1);
    let (done, first) = recorder();
    log.append(LogIndex(1), vec![Bytes::from(vec![0; 3000])], done).await.unwrap();
    let (done, second) = recorder();
    let mut waiting = Box::pin(log.append(LogIndex(2), vec![Bytes::from(vec![0; 3000])], done));
    tokio::select! {
        biased;
        result = &mut waiting => panic!("it did not wait: {result:?}"),
        () = std::future::ready(()) => {}
    }
    assert_eq!(log.state().last, Some(LogIndex(1)), "an append that waits must not be visible");
    gated.allow(3);
    waiting.await.unwrap();
    first.recv().unwrap().unwrap();
    second.recv().unwrap().unwrap();
}

#[tokio::test]
async fn append_larger_than_the_queue_is_written_alone() {
    let gated = Gated::new(&LogOptions { queue_bytes: 1024, ..LogOptions::default() });
    gated.allow(1);
    let (done, result) = recorder();
    gated.group(1).append(LogIndex(1), vec![Bytes::from(vec![7; 100_000])], done).await.unwrap();
    result.recv().unwrap().unwrap();
}

#[tokio::test]
async fn run_of_many_bytes_is_cut_into_several_writes() {
    let gated = Gated::new(&LogOptions { run_bytes: 1000, ..LogOptions::default() });
    gated.hold_up().await;
    let log = gated.group(1);
    for index in 1..=4 {
        let (done, _) = recorder();
        log.append(LogIndex(index), vec![Bytes::from(vec![0; 400])], done).await.unwrap();
    }
    gated.allow(3);
    gated.engine.close();
    let sizes: Vec<usize> = gated.seen_behind().iter().map(|write| write.ops.len()).collect();
    assert_eq!(sizes, [2, 2]);
}

#[tokio::test]
async fn entries_over_the_cache_stay_until_written_and_come_from_disk_then() {
    let gated = Gated::new(&LogOptions { group_cache_bytes: 0, ..LogOptions::default() });
    let log = gated.group(1);
    let (done, result) = recorder();
    log.append(LogIndex(1), entries(1..101), done).await.unwrap();
    assert_eq!(log.entries(1..101, usize::MAX).unwrap(), entries(1..101));
    gated.allow(1);
    result.recv().unwrap().unwrap();
    // These wait for the disk, so the first hundred can only come from there.
    let (done, _) = recorder();
    log.append(LogIndex(101), entries(101..103), done).await.unwrap();
    assert_eq!(log.entries(.., usize::MAX).unwrap(), entries(1..103));
}

#[tokio::test]
async fn entries_that_wait_while_older_ones_are_evicted_stay_in_memory() {
    let gated = Gated::new(&LogOptions { group_cache_bytes: 0, ..LogOptions::default() });
    let log = gated.group(1);
    let (done, older) = recorder();
    log.append(LogIndex(1), entries(1..6), done).await.unwrap();
    while gated.seen.lock().is_empty() {
        tokio::task::yield_now().await;
    }
    let (done, _) = recorder();
    log.append(LogIndex(6), entries(6..11), done).await.unwrap();
    gated.allow(1);
    older.recv().unwrap().unwrap();
    assert_eq!(log.entries(.., usize::MAX).unwrap(), entries(1..11));
}

#[tokio::test]
async fn index_written_again_after_truncation_is_not_read_from_the_old_write() {
    let gated = Gated::new(&LogOptions { group_cache_bytes: 0, ..LogOptions::default() });
    let log = gated.group(1);
    gated.allow(1);
    let (done, old) = recorder();
    log.append(LogIndex(1), entries(1..6), done).await.unwrap();
    old.recv().unwrap().unwrap();
    // Truncation and new entries are queued; the disk still has the old ones.
    let truncating = tokio::spawn({
        let log = log.clone();
        async move { log.truncate_after(Some(LogIndex(2))).await }
    });
    while log.state().last != Some(LogIndex(2)) {
        tokio::task::yield_now().await;
    }
    let (done, _) = recorder();
    log.append(LogIndex(3), entries(13..16), done).await.unwrap();
    let expected = [entries(1..3), entries(13..16)].concat();
    assert_eq!(log.entries(.., usize::MAX).unwrap(), expected);
    gated.allow(2);
    truncating.await.unwrap().unwrap();
    gated.engine.close();
}

#[tokio::test]
async fn write_that_finds_the_disk_full_is_tried_again_and_acknowledged_once() {
    let gated = Gated::new(&LogOptions::default());
    let log = gated.group(1);
    let (done, written) = recorder();
    for _ in 0..3 {
        gated.verdicts.send(Verdict::Full).unwrap();
    }
    log.append(LogIndex(1), entries(1..3), done).await.unwrap();
    while gated.seen.lock().len() < 3 {
        tokio::task::yield_now().await;
    }
    assert!(gated.engine.sync_stalled_for() > Duration::from_millis(50), "a disk that is full shows");
    assert!(written.try_recv().is_err(), "acknowledged before it was written");
    gated.allow(1);
    written.recv().unwrap().unwrap();
    gated.engine.close();
    assert_eq!(gated.engine.synced_writes(), 1);
    assert_eq!(log.state().last, Some(LogIndex(2)));
}

#[tokio::test]
async fn disk_that_stays_full_is_fatal_after_the_patience() {
    let patience = Duration::from_millis(200);
    let gated = Gated::new(&LogOptions { space_patience: patience, ..LogOptions::default() });
    let log = gated.group(1);
    let (done, written) = recorder();
    for _ in 0..100 {
        gated.verdicts.send(Verdict::Full).unwrap();
    }
    log.append(LogIndex(1), entries(1..3), done).await.unwrap();
    assert!(matches!(written.recv().unwrap(), Err(Error::NoSpace { .. })));
    gated.engine.failed().await;
}

#[tokio::test]
async fn close_does_not_wait_for_room_on_the_disk() {
    let gated = Gated::new(&LogOptions::default());
    let log = gated.group(1);
    let (done, written) = recorder();
    for _ in 0..3 {
        gated.verdicts.send(Verdict::Full).unwrap();
    }
    log.append(LogIndex(1), entries(1..3), done).await.unwrap();
    while gated.seen.lock().len() < 2 {
        tokio::task::yield_now().await;
    }
    gated.engine.close();
    assert!(matches!(written.recv().unwrap(), Err(Error::NoSpace { .. })));
}

#[tokio::test]
async fn close_writes_out_what_is_queued_and_refuses_the_rest() {
    let gated = Gated::new(&LogOptions::default());
    gated.hold_up().await;
    let log = gated.group(1);
    let (done, queued) = recorder();
    log.append(LogIndex(1), entries(1..3), done).await.unwrap();
    gated.allow(2);
    gated.engine.close();
    queued.try_recv().unwrap().unwrap();
    let (done, _) = recorder();
    assert!(matches!(log.append(LogIndex(3), entries(3..4), done).await, Err(Error::Stopped(_))));
    gated.engine.close();
}

#[tokio::test]
async fn last_handle_dropped_in_a_callback_ends_the_writer() {
    let gated = Gated::new(&LogOptions::default());
    let log = gated.group(1);
    let (sender, dropped) = channel();
    let last = log.clone();
    let done: Done = Box::new(move |_| {
        drop(last);
        sender.send(()).unwrap();
    });
    log.append(LogIndex(1), entries(1..2), done).await.unwrap();
    let Gated { engine, verdicts, seen, _dir } = gated;
    drop((log, engine));
    verdicts.send(Verdict::Write).unwrap();
    dropped.recv().unwrap();
    // The disk goes with the writer thread, and its record of writes with it.
    while Arc::strong_count(&seen) > 1 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn writer_that_panics_leaves_no_caller_waiting() {
    let gated = Gated::new(&LogOptions::default());
    gated.hold_up().await;
    let log = gated.group(1);
    log.append(LogIndex(1), entries(1..2), Box::new(|_| panic!("a callback's bug"))).await.unwrap();
    let voting = tokio::spawn({
        let log = log.clone();
        async move { log.save_vote(entry(1)).await }
    });
    while log.state().vote.is_none() {
        tokio::task::yield_now().await;
    }
    gated.allow(2);
    assert!(matches!(voting.await.unwrap(), Err(Error::Stopped(_))));
    assert!(matches!(log.save_vote(entry(1)).await, Err(Error::Stopped(_))));
}
