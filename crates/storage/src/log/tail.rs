//! A group's log as memory knows it: its bounds and marks, and the newest entries.
//!
//! ```text
//!   purged │ on disk only │ in memory, perhaps on disk │
//!          first          cached_from                  next
//! ```
//!
//! Entries enter when they are queued and leave, oldest first, once they are on disk and over the budget. All
//! methods are called under the group's lock, in the same order as the jobs enter the queue.

use std::collections::VecDeque;
use std::ops::Range;

use bytes::Bytes;
use roomkeeper_types::LogIndex;

use super::LogState;

/// Counted per cached entry on top of its bytes.
const ENTRY_OVERHEAD: usize = 64;

/// Number of a job within its group, from 1, in the order of the queue.
pub(super) type JobNumber = u64;

/// What the database holds of a group when it is opened.
#[derive(Debug, Default)]
pub(super) struct Recovered {
    /// Entries there are.
    pub entries: Range<u64>,
    /// The index that entries are kept from and the mark of the last purge.
    pub purged: Option<(u64, Bytes)>,
    /// How many votes were saved, and the last one.
    pub vote: Option<(u64, Bytes)>,
    pub committed: Option<Bytes>,
}

#[derive(Debug)]
pub(super) struct Tail {
    /// First entry kept; equal to `next` in an empty log.
    first: u64,
    /// The index behind the last entry.
    next: u64,
    purged: Option<(u64, Bytes)>,
    vote: Option<(u64, Bytes)>,
    committed: Option<Bytes>,
    /// The entries from `next - cached.len()` to `next`.
    cached: VecDeque<Cached>,
    cached_bytes: usize,
    /// Jobs queued so far.
    queued: JobNumber,
    /// The last job that is on disk.
    written: JobNumber,
    /// Grows whenever entries go away, so that a reader of the disk can tell that it has to start again.
    cuts: u64,
    removed: bool,
}

#[derive(Debug)]
struct Cached {
    entry: Bytes,
    /// The job that writes it. Not the index: after a truncation the same index is written once more.
    job: JobNumber,
}

impl Cached {
    fn bytes(&self) -> usize {
        self.entry.len() + ENTRY_OVERHEAD
    }
}

impl Tail {
    pub(super) fn new(recovered: Recovered) -> Self {
        let Recovered { entries, purged, vote, committed } = recovered;
        let kept_from = purged.as_ref().map_or(0, |(kept_from, _)| *kept_from);
        let entries = if entries.is_empty() { kept_from..kept_from } else { entries };
        Self {
            first: entries.start,
            next: entries.end,
            purged,
            vote,
            committed,
            cached: VecDeque::new(),
            cached_bytes: 0,
            queued: 0,
            written: 0,
            cuts: 0,
            removed: false,
        }
    }

    pub(super) fn state(&self) -> LogState {
        let entries = !self.is_empty();
        LogState {
            first: entries.then_some(LogIndex(self.first)),
            last: entries.then(|| LogIndex(self.next - 1)),
            purged: self.purged.as_ref().map(|(_, mark)| mark.clone()),
            vote: self.vote.as_ref().map(|(_, vote)| vote.clone()),
            committed: self.committed.clone(),
        }
    }

    pub(super) fn bounds(&self) -> Range<u64> {
        self.first..self.next
    }

    pub(super) fn cuts(&self) -> u64 {
        self.cuts
    }

    pub(super) fn is_removed(&self) -> bool {
        self.removed
    }

    fn is_empty(&self) -> bool {
        self.first == self.next
    }

    /// The index of the oldest entry in memory, or `next` if none is.
    pub(super) fn cached_from(&self) -> u64 {
        self.next - self.cached.len() as u64
    }

    /// The only index that an append may start at; `None` if any will do, in a log that never had entries.
    pub(super) fn expected(&self) -> Option<u64> {
        if self.is_empty() && self.purged.is_none() { None } else { Some(self.next) }
    }

    /// The number of the next job. Taken only for a job that is queued before the lock is released.
    pub(super) fn number_job(&mut self) -> JobNumber {
        self.queued += 1;
        self.queued
    }

    /// Adds entries that job `job` will write. `first` is as expected and the indices do not overflow.
    pub(super) fn append(&mut self, first: u64, entries: Vec<Bytes>, job: JobNumber) {
        if self.is_empty() {
            self.first = first;
            self.next = first;
        }
        self.next += entries.len() as u64;
        for entry in entries {
            let cached = Cached { entry, job };
            self.cached_bytes += cached.bytes();
            self.cached.push_back(cached);
        }
    }

    /// The number of the next vote. Taken only for one that is queued before the lock is released.
    pub(super) fn number_vote(&self) -> u64 {
        self.vote.as_ref().map_or(0, |(number, _)| *number) + 1
    }

    pub(super) fn set_vote(&mut self, number: u64, vote: Bytes) {
        self.vote = Some((number, vote));
    }

    pub(super) fn set_committed(&mut self, committed: Option<Bytes>) {
        self.committed = committed;
    }

    /// The entries that a cut at `kept_to` (exclusive) takes away.
    pub(super) fn behind(&self, kept_to: u64) -> Range<u64> {
        kept_to.clamp(self.first, self.next)..self.next
    }

    /// Removes the entries from the start of `cut`, a [`Tail::behind`], to the end.
    pub(super) fn truncate(&mut self, cut: &Range<u64>) {
        while self.next > cut.start {
            if let Some(gone) = self.cached.pop_back() {
                self.cached_bytes -= gone.bytes();
                self.next -= 1;
            } else {
                self.next = cut.start;
            }
        }
        self.cuts += 1;
    }

    /// Where the entries are kept from after a purge up to `upto`, inclusive; `None` if it changes nothing.
    pub(super) fn purge_to(&self, upto: u64) -> Option<u64> {
        let kept_from = upto.saturating_add(1);
        match &self.purged {
            Some((now, _)) if kept_from <= *now => None,
            // A log that begins later has nothing below its first entry.
            _ if self.is_empty() => Some(kept_from),
            _ => Some(kept_from.max(self.first)),
        }
    }

    /// The entries that are no longer kept from `kept_from` on.
    pub(super) fn before(&self, kept_from: u64) -> Range<u64> {
        self.first..kept_from.clamp(self.first, self.next)
    }

    /// Removes the entries before `kept_from`, a [`Tail::purge_to`], and remembers the mark.
    pub(super) fn purge(&mut self, kept_from: u64, mark: Bytes) {
        while self.cached_from() < kept_from {
            match self.cached.pop_front() {
                Some(gone) => self.cached_bytes -= gone.bytes(),
                None => break,
            }
        }
        self.next = if self.is_empty() { kept_from } else { self.next.max(kept_from) };
        self.first = kept_from;
        self.purged = Some((kept_from, mark));
        self.cuts += 1;
    }

    /// Forgets everything; the group takes no more writes.
    pub(super) fn remove(&mut self) {
        *self = Self { removed: true, cuts: self.cuts + 1, ..Self::new(Recovered::default()) };
    }

    /// Job `job` is on disk: entries over `budget` bytes may leave memory.
    pub(super) fn written(&mut self, job: JobNumber, budget: usize) {
        self.written = self.written.max(job);
        while self.cached_bytes > budget {
            match self.cached.front() {
                Some(oldest) if oldest.job <= self.written => {
                    self.cached_bytes -= oldest.bytes();
                    self.cached.pop_front();
                }
                _ => break,
            }
        }
    }

    /// Entries of `range` from memory, where they must be, until there is no more room.
    pub(super) fn read(&self, range: Range<u64>, room: &mut Room, out: &mut Vec<Bytes>) {
        let skipped = usize::try_from(range.start - self.cached_from()).unwrap_or(usize::MAX);
        let wanted = usize::try_from(range.end - range.start).unwrap_or(usize::MAX);
        for cached in self.cached.iter().skip(skipped).take(wanted) {
            if !room.take(cached.entry.len()) {
                break;
            }
            out.push(cached.entry.clone());
        }
    }
}

/// How many more bytes a read may return. The first entry always has room.
#[derive(Debug)]
pub(super) struct Room {
    left: usize,
    fresh: bool,
}

impl Room {
    pub(super) fn new(max_bytes: usize) -> Self {
        Self { left: max_bytes, fresh: true }
    }

    /// Takes room for an entry; false, and for ever, if there is none.
    pub(super) fn take(&mut self, bytes: usize) -> bool {
        let fits = self.fresh || bytes <= self.left;
        self.fresh = false;
        self.left = if fits { self.left.saturating_sub(bytes) } else { 0 };
        fits
    }

    /// Whether an entry was refused or nothing is left.
    pub(super) fn is_full(&self) -> bool {
        !self.fresh && self.left == 0
    }
}
