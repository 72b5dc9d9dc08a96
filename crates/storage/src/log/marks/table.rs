//! The file of marks: a slot per replica, changed in place. All numbers are big-endian.
//!
//! ```text
//! slot 0   | "ROOMKEEPER MARKS" | version u8 = 1 | zero …                                            |  64 bytes
//! slot n   | check u64 | flags u8 | zero 7 | replica u64 | votes u64 | last u64 | digest u64 | zero 16 |  64 bytes
//!
//! check    xxh3 of the other 56 bytes; a free slot is all zero
//! flags    1 used, 2 with last, 4 with digest
//! ```
//!
//! A slot lies within one sector, which a disk writes as a whole: after a power cut each slot is the old or the
//! new one. A slot that is neither free nor as it was written is damage: it is dropped, and with it the mark that
//! a log must have. The same goes for a file whose first slot is not readable.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use roomkeeper_types::ReplicaId;
use xxhash_rust::xxh3::xxh3_64;

const SLOT: usize = 64;
const MAGIC: &[u8; 16] = b"ROOMKEEPER MARKS";
const VERSION: u8 = 1;

const USED: u8 = 1;
const WITH_LAST: u8 = 2;
const WITH_DIGEST: u8 = 4;

/// The file grows by so many bytes: a write within it changes no metadata, so that syncing it is cheap.
const GROWTH: usize = 1024 * SLOT;

/// What a replica's log had on disk.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Mark {
    /// How many votes were saved.
    pub votes: u64,
    /// Its last entry; `None` if it had none or all were cut off.
    pub last: Option<Last>,
}

/// An entry that was on disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Last {
    pub index: u64,
    /// xxh3 of its bytes; `None` where only the index is known, after a truncation.
    pub digest: Option<u64>,
}

/// The contents of the file, and what of them is not on disk yet.
#[derive(Debug)]
pub(super) struct Table {
    image: Vec<u8>,
    /// Slot numbers.
    used: BTreeMap<ReplicaId, usize>,
    free: BTreeSet<usize>,
    /// Bytes that differ from what is on disk.
    dirty: Option<Range<usize>>,
}

impl Table {
    /// What is in a file. Nothing of what cannot be read.
    pub(super) fn read(bytes: &[u8]) -> Self {
        let mut header = [0; SLOT];
        header[..MAGIC.len()].copy_from_slice(MAGIC);
        header[MAGIC.len()] = VERSION;
        let mut image = header.to_vec();
        image.resize(bytes.len().next_multiple_of(SLOT).max(SLOT), 0);
        let mut table = Self { image, used: BTreeMap::new(), free: BTreeSet::new(), dirty: None };
        let Some((_, slots)) = bytes.split_at_checked(SLOT).filter(|(found, _)| *found == header) else {
            if !bytes.is_empty() {
                tracing::error!(bytes = bytes.len(), "the file of marks is not readable");
            }
            // All of it is written anew, or old slots could come back behind a new beginning.
            table.free.extend(1..table.image.len() / SLOT);
            table.touch(0..table.image.len());
            return table;
        };
        let (mut damaged, mut twice) = (0, BTreeSet::new());
        for (number, slot) in (1..).zip(slots.chunks(SLOT)) {
            match decode(slot) {
                Slot::Used(replica, _) => {
                    table.image[number * SLOT..][..SLOT].copy_from_slice(slot);
                    if let Some(other) = table.used.insert(replica, number) {
                        twice.insert(replica);
                        table.clear(other);
                    }
                }
                Slot::Free => drop(table.free.insert(number)),
                Slot::Damaged => {
                    damaged += 1;
                    table.clear(number);
                }
            }
        }
        for replica in &twice {
            table.free(*replica);
        }
        if damaged > 0 || !twice.is_empty() {
            tracing::error!(damaged, ?twice, "marks of logs are damaged");
        }
        table
    }

    pub(super) fn replicas(&self) -> Vec<ReplicaId> {
        self.used.keys().copied().collect()
    }

    pub(super) fn get(&self, replica: ReplicaId) -> Option<Mark> {
        let slot = &self.image[self.used.get(&replica)? * SLOT..][..SLOT];
        match decode(slot) {
            Slot::Used(_, mark) => Some(mark),
            Slot::Free | Slot::Damaged => None,
        }
    }

    /// Changes a replica's mark, which is empty if it had none. Whether that is to be written.
    pub(super) fn change(&mut self, replica: ReplicaId, change: impl FnOnce(&mut Mark)) -> bool {
        let known = self.get(replica);
        let mut mark = known.unwrap_or_default();
        change(&mut mark);
        if known == Some(mark) {
            return false;
        }
        let number = match self.used.get(&replica) {
            Some(number) => *number,
            None => self.take(replica),
        };
        self.put(number, encode(replica, mark));
        true
    }

    /// Gives a replica's slot back. Whether that is to be written.
    pub(super) fn free(&mut self, replica: ReplicaId) -> bool {
        let Some(number) = self.used.remove(&replica) else { return false };
        self.clear(number);
        true
    }

    /// Takes the part that is to be written: where it goes, and its bytes.
    pub(super) fn take_dirty(&mut self) -> Option<(u64, Vec<u8>)> {
        let dirty = self.dirty.take()?;
        Some((dirty.start as u64, self.image[dirty].to_vec()))
    }

    fn take(&mut self, replica: ReplicaId) -> usize {
        let number = match self.free.pop_first() {
            Some(number) => number,
            None => {
                let (from, to) = (self.image.len(), self.image.len() + GROWTH);
                self.image.resize(to, 0);
                self.touch(from..to);
                self.free.extend(from / SLOT + 1..to / SLOT);
                from / SLOT
            }
        };
        self.used.insert(replica, number);
        number
    }

    fn clear(&mut self, number: usize) {
        self.put(number, [0; SLOT]);
        self.free.insert(number);
    }

    fn put(&mut self, number: usize, slot: [u8; SLOT]) {
        let at = number * SLOT;
        self.image[at..at + SLOT].copy_from_slice(&slot);
        self.touch(at..at + SLOT);
    }

    fn touch(&mut self, range: Range<usize>) {
        self.dirty = Some(match self.dirty.take() {
            Some(dirty) => dirty.start.min(range.start)..dirty.end.max(range.end),
            None => range,
        });
    }
}

enum Slot {
    Free,
    Used(ReplicaId, Mark),
    Damaged,
}

fn encode(replica: ReplicaId, mark: Mark) -> [u8; SLOT] {
    let last = mark.last.unwrap_or(Last { index: 0, digest: None });
    let with = |present: bool, flag: u8| if present { flag } else { 0 };
    let mut slot = [0; SLOT];
    slot[8] = USED | with(mark.last.is_some(), WITH_LAST) | with(last.digest.is_some(), WITH_DIGEST);
    for (at, number) in
        [(16, replica.0), (24, mark.votes), (32, last.index), (40, last.digest.unwrap_or_default())]
    {
        slot[at..at + 8].copy_from_slice(&number.to_be_bytes());
    }
    let check = xxh3_64(&slot[8..]);
    slot[..8].copy_from_slice(&check.to_be_bytes());
    slot
}

fn decode(slot: &[u8]) -> Slot {
    if slot.iter().all(|byte| *byte == 0) {
        return Slot::Free;
    }
    let number = |at: usize| {
        let bytes = slot.get(at..at + 8)?;
        bytes.try_into().ok().map(u64::from_be_bytes)
    };
    let read = || {
        let flags = *slot.get(8)?;
        let whole = slot.len() == SLOT && number(0)? == xxh3_64(&slot[8..]) && flags & USED != 0;
        let digest = (flags & WITH_DIGEST != 0).then_some(number(40)?);
        let last = (flags & WITH_LAST != 0).then_some(Last { index: number(32)?, digest });
        whole.then_some(Slot::Used(ReplicaId(number(16)?), Mark { votes: number(24)?, last }))
    };
    read().unwrap_or(Slot::Damaged)
}
