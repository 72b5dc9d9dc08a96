//! One replica's log, as its raft group uses it.

use std::fmt;
use std::ops::{Bound, Range, RangeBounds};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use parking_lot::{Mutex, MutexGuard};
use roomkeeper_types::{LogIndex, ReplicaId};
use tokio::sync::OwnedSemaphorePermit;

use super::engine::Engine;
use super::queue::{Ack, Job, Op};
use super::tail::{JobNumber, Recovered, Room, Tail};
use super::{Done, LogState, recover};
use crate::Error;

/// One replica's log. Entries, votes and marks are opaque bytes to this crate. Cheap to clone; all clones
/// share the tail cache. Writes of all groups go through one FIFO, in call order.
///
/// A write whose future is dropped while it waits for room in the queue is not made; one that is dropped while
/// it waits for the disk is.
#[derive(Clone)]
pub struct GroupLog {
    engine: Arc<Engine>,
    group: Arc<Group>,
}

/// What engine, writer and handles share of a group.
pub(super) struct Group {
    replica: ReplicaId,
    tail: Mutex<Tail>,
}

impl Group {
    pub(super) fn new(replica: ReplicaId, recovered: Recovered) -> Self {
        Self { replica, tail: Mutex::new(Tail::new(recovered)) }
    }

    pub(super) fn replica(&self) -> ReplicaId {
        self.replica
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Tail> {
        self.tail.lock()
    }

    /// The group's append `job` is on disk.
    pub(super) fn written(&self, job: JobNumber, cache: &CacheShare) {
        self.tail.lock().written(job, cache.bytes());
    }
}

/// How much of the memory for tail caches a group may use: an equal part.
#[derive(Debug)]
pub(super) struct CacheShare {
    pub group_bytes: usize,
    pub all_bytes: usize,
    pub groups: AtomicUsize,
}

impl CacheShare {
    fn bytes(&self) -> usize {
        self.group_bytes.min(self.all_bytes / self.groups.load(Ordering::Relaxed).max(1))
    }
}

impl fmt::Debug for GroupLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GroupLog").field("replica", &self.group.replica).finish_non_exhaustive()
    }
}

impl GroupLog {
    pub(super) fn new(engine: Arc<Engine>, group: Arc<Group>) -> Self {
        Self { engine, group }
    }

    /// What is there, including writes that are queued but not yet on disk. Empty once it was removed.
    pub fn state(&self) -> LogState {
        self.group.lock().state()
    }

    /// Appends neighbouring entries from `first` on. When this returns they are readable; `done` is called
    /// when they are on disk. Waits only while the writer's queue is full.
    ///
    /// The first entry after a purge must be the one behind it; a log that was never purged may start
    /// anywhere. Entries are kept in memory as given: a slice of a larger buffer keeps that buffer.
    ///
    /// # Errors
    /// [`Error::NotNext`] when the entries do not continue the log, [`Error::Stopped`], [`Error::NoReplica`].
    /// Nothing is written then, and `done` is not called.
    pub async fn append(&self, first: LogIndex, entries: Vec<Bytes>, done: Done) -> Result<(), Error> {
        let op = Op::Append { first: first.0, entries: entries.clone() };
        let permit = self.permit(&op).await?;
        let mut tail = self.writable()?;
        let expected = tail.expected().unwrap_or(first.0);
        if first.0 != expected || first.0.checked_add(entries.len() as u64).is_none() {
            let expected = LogIndex(expected);
            return Err(Error::NotNext { replica: self.group.replica, expected, got: first });
        }
        let number = self.send(&mut tail, op, Ack::new(done), permit)?;
        tail.append(first.0, entries, number);
        Ok(())
    }

    /// Saves the vote; returns when it is on disk, in the log and in its mark.
    pub async fn save_vote(&self, vote: Bytes) -> Result<(), Error> {
        let permit = self.permit(&Op::Vote { number: 0, vote: vote.clone() }).await?;
        let (ack, waiter) = Ack::channel();
        {
            let mut tail = self.writable()?;
            let number = tail.number_vote();
            self.send(&mut tail, Op::Vote { number, vote: vote.clone() }, ack, permit)?;
            tail.set_vote(number, vote);
        }
        waiter.wait().await
    }

    /// Saves the committed mark, without waiting for the disk (it travels with the next synced write).
    pub async fn save_committed(&self, committed: Option<Bytes>) -> Result<(), Error> {
        let op = Op::Committed(committed.clone());
        let permit = self.permit(&op).await?;
        let mut tail = self.writable()?;
        self.send(&mut tail, op, Ack::none(), permit)?;
        tail.set_committed(committed);
        Ok(())
    }

    /// Removes the entries after `last` (`None`: all); returns when that is on disk.
    pub async fn truncate_after(&self, last: Option<LogIndex>) -> Result<(), Error> {
        let permit = self.permit(&Op::Truncate { gone: 0..0, kept: None }).await?;
        let (ack, waiter) = Ack::channel();
        {
            let mut tail = self.writable()?;
            let gone = tail.behind(last.map_or(0, |last| last.0.saturating_add(1)));
            let kept = (gone.start > tail.bounds().start).then(|| gone.start - 1);
            self.send(&mut tail, Op::Truncate { gone: gone.clone(), kept }, ack, permit)?;
            tail.truncate(&gone);
        }
        waiter.wait().await
    }

    /// Removes the entries up to `upto` (inclusive) and remembers `mark`, the purged log id, in the same
    /// write. Does not wait for the disk. `upto` may be beyond the last entry, after a snapshot was
    /// installed; one at or below an earlier purge changes nothing.
    pub async fn purge(&self, upto: LogIndex, mark: Bytes) -> Result<(), Error> {
        let waiting = Op::Purge { gone: 0..0, kept_from: 0, mark: mark.clone() };
        let permit = self.permit(&waiting).await?;
        let mut tail = self.writable()?;
        if let Some(kept_from) = tail.purge_to(upto.0) {
            let op = Op::Purge { gone: tail.before(kept_from), kept_from, mark: mark.clone() };
            self.send(&mut tail, op, Ack::none(), permit)?;
            tail.purge(kept_from, mark);
        }
        Ok(())
    }

    /// Entries of the range, in order, at most about `max_bytes` of them (at least one, if there is any).
    /// From memory where they are in the tail cache, otherwise this reads the disk and blocks.
    ///
    /// Of a range that reaches beyond the log's first or last entry, the part that is there.
    ///
    /// # Errors
    /// [`Error::Corrupt`] when an entry that must be there is missing or unreadable.
    pub fn entries(&self, range: impl RangeBounds<u64>, max_bytes: usize) -> Result<Vec<Bytes>, Error> {
        self.engine.queue().gate().check()?;
        loop {
            if let Some(entries) = self.read(&range, max_bytes)? {
                return Ok(entries);
            }
        }
    }

    /// One try to read; `None` when entries were cut away meanwhile and the disk may have shown a mixture.
    fn read(&self, range: &impl RangeBounds<u64>, max_bytes: usize) -> Result<Option<Vec<Bytes>>, Error> {
        let mut entries = Vec::new();
        let mut room = Room::new(max_bytes);
        let mut tail = self.readable()?;
        let wanted = clip(range, &tail.bounds());
        let cuts = tail.cuts();
        let mut next = wanted.start;
        while next < wanted.end && !room.is_full() {
            let cached_from = tail.cached_from();
            if next >= cached_from {
                tail.read(next..wanted.end, &mut room, &mut entries);
                break;
            }
            // Entries only leave memory when they are on disk, so what is not cached can be read there.
            let on_disk = next..wanted.end.min(cached_from);
            drop(tail);
            recover::read(self.engine.db(), self.group.replica, on_disk.clone(), &mut room, &mut entries)?;
            tail = self.readable()?;
            if tail.cuts() != cuts {
                return Ok(None);
            }
            next = wanted.start + entries.len() as u64;
            if next < on_disk.end && !room.is_full() {
                let what = format!("the log of {}", self.group.replica);
                return Err(Error::corrupt(what, format!("entry {} is missing", LogIndex(next))));
            }
        }
        Ok(Some(entries))
    }

    async fn permit(&self, op: &Op) -> Result<OwnedSemaphorePermit, Error> {
        self.engine.queue().permit(op.waiting_bytes()).await
    }

    fn readable(&self) -> Result<MutexGuard<'_, Tail>, Error> {
        let tail = self.group.lock();
        if tail.is_removed() { Err(Error::NoReplica(self.group.replica)) } else { Ok(tail) }
    }

    /// The group's memory, locked. What is done with it until it is unlocked, job and change, is one step.
    fn writable(&self) -> Result<MutexGuard<'_, Tail>, Error> {
        self.engine.queue().gate().check()?;
        self.readable()
    }

    fn send(
        &self,
        tail: &mut Tail,
        op: Op,
        ack: Ack,
        permit: OwnedSemaphorePermit,
    ) -> Result<JobNumber, Error> {
        let number = tail.number_job();
        self.engine.queue().send(Job { group: Arc::clone(&self.group), number, op, ack, _permit: permit })?;
        Ok(number)
    }
}

/// The part of `range` within `bounds`.
fn clip(range: &impl RangeBounds<u64>, bounds: &Range<u64>) -> Range<u64> {
    let from = match range.start_bound() {
        Bound::Included(from) => *from,
        Bound::Excluded(before) => before.saturating_add(1),
        Bound::Unbounded => 0,
    };
    let to = match range.end_bound() {
        Bound::Included(last) => last.saturating_add(1),
        Bound::Excluded(to) => *to,
        Bound::Unbounded => u64::MAX,
    };
    let from = from.clamp(bounds.start, bounds.end);
    from..to.clamp(from, bounds.end)
}
