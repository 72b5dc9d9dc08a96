//! Reads what the database holds of a group, and refuses a log with holes.

use std::ops::{ControlFlow, Range};

use bytes::Bytes;
use rocksdb::{DB, ReadOptions};
use roomkeeper_sabotage::{self as sabotage, Bug};
use roomkeeper_types::{LogIndex, ReplicaId};

use super::disk;
use super::keys::{self, Kind};
use super::tail::{Recovered, Room};
use crate::{Error, rocks};

/// All of a group but its entries' bytes. Reads the whole log once, so that an unreadable block is found here
/// and not when a peer asks for it.
pub(super) fn group(db: &DB, replica: ReplicaId) -> Result<Recovered, Error> {
    let numbered = |kind| match mark(db, replica, kind)? {
        Some(row) => {
            let (number, mark) = rocks::leading_u64(&name(replica, kind), &row)?;
            Ok::<_, Error>(Some((number, row.slice_ref(mark))))
        }
        None => Ok(None),
    };
    let purged = numbered(Kind::Purged)?;
    Ok(Recovered {
        entries: entries(db, replica, purged.as_ref().map(|(kept_from, _)| *kept_from))?,
        purged,
        vote: numbered(Kind::Vote)?,
        committed: mark(db, replica, Kind::Committed)?,
    })
}

fn mark(db: &DB, replica: ReplicaId, kind: Kind) -> Result<Option<Bytes>, Error> {
    let family = disk::family(db)?;
    let row =
        db.get_pinned_cf(&family, keys::key(replica, kind, 0)).map_err(Error::rocks("reading a mark"))?;
    row.map(|row| rocks::unversioned(&name(replica, kind), &row).map(Bytes::copy_from_slice)).transpose()
}

/// A row as errors call it.
fn name(replica: ReplicaId, kind: Kind) -> String {
    match kind {
        Kind::Purged => format!("the purge mark of {replica}"),
        Kind::Vote => format!("the vote of {replica}"),
        Kind::Committed => format!("the committed mark of {replica}"),
        Kind::Entry => format!("an entry in the log of {replica}"),
    }
}

/// The entries there are. After a purge they begin where it ended, and they have no holes.
fn entries(db: &DB, replica: ReplicaId, kept_from: Option<u64>) -> Result<Range<u64>, Error> {
    let mut expected = kept_from;
    let mut found = 0..0;
    visit(db, replica, kept_from.unwrap_or(0), None, &mut |index, _| {
        if let Some(expected) = expected.filter(|expected| *expected != index) {
            let gap = format!("entry {} is missing, the next one is {}", LogIndex(expected), LogIndex(index));
            return Err(Error::corrupt(format!("the log of {replica}"), gap));
        }
        if found.is_empty() {
            found.start = index;
        }
        found.end = index + 1;
        expected = Some(found.end);
        Ok(ControlFlow::Continue(()))
    })?;
    if sabotage::is(Bug::ShortLogVotes) && found.end - found.start > 100 {
        found.end -= 10;
    }
    Ok(found)
}

/// Entries of `range` that the database holds, in order and without holes, until there is no more room or one
/// is missing.
pub(super) fn read(
    db: &DB,
    replica: ReplicaId,
    range: Range<u64>,
    room: &mut Room,
    out: &mut Vec<Bytes>,
) -> Result<(), Error> {
    let mut next = range.start;
    visit(db, replica, range.start, Some(range.end), &mut |index, entry| {
        if index != next || !room.take(entry.len()) {
            return Ok(ControlFlow::Break(()));
        }
        out.push(Bytes::copy_from_slice(entry));
        next += 1;
        Ok(ControlFlow::Continue(()))
    })
}

fn visit(
    db: &DB,
    replica: ReplicaId,
    from: u64,
    to: Option<u64>,
    entry: &mut dyn FnMut(u64, &[u8]) -> rocks::Visited,
) -> Result<(), Error> {
    let what = name(replica, Kind::Entry);
    let from = keys::key(replica, Kind::Entry, from);
    let to = to.map_or(keys::entries_end(replica), |to| keys::key(replica, Kind::Entry, to));
    let family = disk::family(db)?;
    rocks::scan(db, &family, ReadOptions::default(), &from, Some(&to), &mut |key, value| {
        let index = keys::index_of(key)
            .filter(|index| *index < u64::MAX)
            .ok_or_else(|| Error::corrupt(what.as_str(), format!("its key {key:02x?} is none")))?;
        entry(index, rocks::unversioned(&what, value)?)
    })
}

/// The replicas that have rows here, in order.
pub(super) fn replicas(db: &DB) -> Result<Vec<ReplicaId>, Error> {
    let family = disk::family(db)?;
    let mut found = Vec::new();
    let mut from = Vec::new();
    loop {
        let mut next = None;
        rocks::scan(db, &family, ReadOptions::default(), &from, None, &mut |key, _| {
            let replica = keys::replica_of(key)
                .ok_or_else(|| Error::corrupt("the raft log", format!("it has a foreign key {key:02x?}")))?;
            next = Some(replica);
            Ok(ControlFlow::Break(()))
        })?;
        let Some(replica) = next else { return Ok(found) };
        found.push(replica);
        from = keys::all_of(replica).end.to_vec();
    }
}
