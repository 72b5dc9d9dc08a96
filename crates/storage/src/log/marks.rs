//! Durable marks against a log that comes back shorter: what each replica had on disk, kept outside the database.
//!
//! RocksDB's point-in-time recovery forgets everything behind a flipped bit in its WAL, and says nothing. So each
//! replica that has a log has a slot in a small file of its own ([`table`]), and the order of writes makes a slot
//! never say more than the log had on disk, and at most one run of the writer less:
//!
//! 1. A replica's slot is on disk before its first row; a truncation lowers the mark, synced, before it cuts.
//! 2. The run is written to the database and synced.
//! 3. The marks follow. Of a vote they are on disk before it is answered, so it is synced in two places. Appends
//!    do not wait for them: a thread of their own ([`keeper`]) syncs them while the next run is written, and that
//!    run is answered only when they are on disk.
//!
//! When a group is opened, what the database holds is compared with its slot ([`Marks::check`]) before anybody
//! may rely on it. A log without a slot is damaged too: a mark file that is lost or unreadable is never "nothing
//! there".

mod keeper;
mod table;

#[cfg(test)]
mod table_test;

use std::path::Path;

use rocksdb::DB;
use roomkeeper_types::{LogIndex, ReplicaId};
use xxhash_rust::xxh3::xxh3_64;

use self::keeper::Keeper;
pub(super) use self::keeper::{MarkDisk, MarkFile};
use self::table::{Last, Mark};
use super::queue::{Job, Op};
use super::recover;
use super::tail::{Recovered, Room};
use crate::Error;

/// The marks of a node's logs.
pub(super) struct Marks {
    keeper: Keeper,
}

impl Marks {
    /// Reads the file at `path`, if it is there, and starts the thread that writes it.
    ///
    /// # Errors
    /// It cannot be read at all. What is in it may be damaged: then the logs that it covered are found so.
    pub(super) fn open(path: &Path) -> Result<Self, Error> {
        let (file, bytes) = MarkFile::open(path).map_err(Error::io("opening the marks of the logs"))?;
        Self::start(file, &bytes)
    }

    /// Over these contents of a file.
    pub(super) fn start(disk: impl MarkDisk, bytes: &[u8]) -> Result<Self, Error> {
        let keeper = Keeper::start(disk, table::Table::read(bytes))
            .map_err(Error::io("starting the thread of the marks"))?;
        Ok(Self { keeper })
    }

    /// The replicas that have a mark, in order.
    pub(super) fn replicas(&self) -> Vec<ReplicaId> {
        self.keeper.with(|table| table.replicas())
    }

    /// Whether the database holds what it once had of this replica.
    ///
    /// # Errors
    /// [`Error::Forgotten`] when it does not, or when nobody can tell.
    pub(super) fn check(&self, db: &DB, replica: ReplicaId, found: &Recovered) -> Result<(), Error> {
        let forgotten = |reason: String| Error::Forgotten { replica, reason };
        let Some(mark) = self.keeper.with(|table| table.get(replica)) else {
            let pristine = found.entries.is_empty() && found.purged.is_none() && found.vote.is_none();
            return match pristine && found.committed.is_none() {
                true => Ok(()),
                false => Err(forgotten("there is a log but no readable mark of what it had".to_owned())),
            };
        };
        let votes = found.vote.as_ref().map_or(0, |(number, _)| *number);
        if votes < mark.votes {
            return Err(forgotten(format!(
                "vote number {} was on disk, the last one is {votes}",
                mark.votes
            )));
        }
        let Some(last) = mark.last else { return Ok(()) };
        if found.purged.as_ref().is_some_and(|(kept_from, _)| last.index < *kept_from) {
            return Ok(());
        }
        if !found.entries.contains(&last.index) {
            let index = LogIndex(last.index);
            let end = found.entries.end.checked_sub(1).map_or("nothing".to_owned(), |end| format!("i{end}"));
            return Err(forgotten(format!("entry {index} was on disk, the log ends at {end}")));
        }
        let mut entry = Vec::new();
        let range = last.index..last.index + 1;
        recover::read(db, replica, range, &mut Room::new(usize::MAX), &mut entry)?;
        match (entry.first(), last.digest) {
            (Some(entry), Some(digest)) if xxh3_64(entry) != digest => {
                Err(forgotten(format!("entry {} is another one than was on disk", LogIndex(last.index))))
            }
            _ => Ok(()),
        }
    }

    /// Before a run is written: slots of new replicas, and lower marks where it cuts. Waits for the disk if there
    /// is anything to write, which there rarely is.
    pub(super) fn before(&self, run: &[Job]) -> Result<(), Error> {
        let changed = self.keeper.with(|table| {
            let mut changed = false;
            for job in run {
                let replica = job.group.replica();
                match &job.op {
                    Op::Remove => {}
                    Op::Truncate { gone, kept } => {
                        changed |= table.change(replica, |mark| lower(mark, gone.start, *kept));
                    }
                    _ => changed |= table.change(replica, |_| {}),
                }
            }
            changed
        });
        match changed {
            true => self.keeper.wait(self.keeper.hand_over()),
            false => Ok(()),
        }
    }

    /// After a run was written and synced; on the writer's thread only, like [`Marks::before`]. Waits until the marks of the run before are on disk; of a run with a
    /// vote or a removal in it, until its own are.
    pub(super) fn after(&self, run: &[Job]) -> Result<(), Error> {
        let before = self.keeper.handed_over();
        let (mut changed, mut own) = (false, false);
        self.keeper.with(|table| {
            for job in run {
                let replica = job.group.replica();
                changed |= match &job.op {
                    Op::Append { first, entries } => entries.last().is_some_and(|entry| {
                        let index = first + entries.len() as u64 - 1;
                        let last = Last { index, digest: Some(xxh3_64(entry)) };
                        table.change(replica, |mark| mark.last = Some(last))
                    }),
                    Op::Truncate { gone, kept } => {
                        table.change(replica, |mark| lower(mark, gone.start, *kept))
                    }
                    Op::Vote { number, .. } => {
                        own = true;
                        table.change(replica, |mark| mark.votes = *number)
                    }
                    Op::Remove => {
                        own = true;
                        table.free(replica)
                    }
                    Op::Committed(_) | Op::Purge { .. } => false,
                };
            }
        });
        let now = if changed { self.keeper.hand_over() } else { before };
        self.keeper.wait(if own { now } else { before })
    }
}

/// The mark of a log of which everything from `cut` on goes. The last entry that is kept is there, but unread.
fn lower(mark: &mut Mark, cut: u64, kept: Option<u64>) {
    if mark.last.is_some_and(|last| last.index >= cut) {
        mark.last = kept.map(|index| Last { index, digest: None });
    }
}
