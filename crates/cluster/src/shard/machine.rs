//! A shard's state machine: the room core over the replica's rows.

use std::sync::Arc;

use bytes::Bytes;
use roomkeeper_consensus::{Committed, Machine, Reply, Run};
use roomkeeper_room::{Applier, Batch, CommandError, Effect, Rows, RowsError, Write};
use roomkeeper_storage::ReplicaStore;
use roomkeeper_types::{LogPosition, ShardCount, ShardId, Timestamp};

use super::stamps::Stamps;
use crate::Observer;
use crate::load::Traffic;

/// Key of the shard's last stamp: a table byte that the room core does not use. Value: version u8 = 1, then
/// milliseconds u64, big-endian.
const STAMP_KEY: &[u8] = &[0x08];
const STAMP_VERSION: u8 = 1;

/// An entry that this node cannot carry out. The replica stops: going on would lose what the entry says.
#[derive(Debug, thiserror::Error)]
#[error("entry {at} of {shard} is unreadable: {source}")]
struct UnreadableEntry {
    shard: ShardId,
    at: LogPosition,
    source: CommandError,
}

/// A shard's state machine.
pub(crate) struct ShardMachine {
    shard: ShardId,
    shards: ShardCount,
    stamps: Arc<Stamps>,
    traffic: Arc<Traffic>,
    observer: Arc<dyn Observer>,
}

impl ShardMachine {
    pub(crate) fn new(
        shard: ShardId,
        shards: ShardCount,
        stamps: Arc<Stamps>,
        traffic: Arc<Traffic>,
        observer: Arc<dyn Observer>,
    ) -> Self {
        Self { shard, shards, stamps, traffic, observer }
    }

    /// Applies a run over any rows.
    fn run<R: Rows>(&self, rows: &R, entries: &[Committed]) -> Result<Applied, RowsError> {
        let mut applier = Applier::new(rows, self.shard, self.shards);
        let mut replies = Vec::with_capacity(entries.len());
        let mut effects = Vec::new();
        let mut time = None;
        for Committed { at, payload } in entries {
            let Some(payload) = payload else {
                replies.push(Reply::None);
                continue;
            };
            let batch = Batch::decode(payload.clone()).map_err(|source| {
                RowsError::Io(Box::new(UnreadableEntry { shard: self.shard, at: *at, source }))
            })?;
            time = time.max(Some(batch.time));
            replies.push(Reply::Outcomes(applier.apply(*at, batch, &mut effects)?));
        }
        let mut writes = applier.into_writes();
        if let Some(time) = time {
            writes.push(put_stamp(time));
        }
        Ok(Applied { writes, replies, effects, time })
    }
}

/// What a run came to.
struct Applied {
    writes: Vec<Write>,
    replies: Vec<Reply>,
    effects: Vec<Effect>,
    time: Option<Timestamp>,
}

impl Machine for ShardMachine {
    fn restore(&mut self, store: &ReplicaStore) -> Result<(), RowsError> {
        if let Some(time) = read_stamp(store)? {
            self.stamps.applied(time);
        }
        Ok(())
    }

    fn apply(&mut self, store: &ReplicaStore, entries: &[Committed]) -> Result<Run, RowsError> {
        let Applied { writes, replies, effects, time } = self.run(store, entries)?;
        self.traffic.applied(&effects);
        let (shard, stamps, observer) = (self.shard, self.stamps.clone(), self.observer.clone());
        let after = move || {
            if let Some(time) = time {
                stamps.applied(time);
            }
            if !effects.is_empty() {
                observer.applied(shard, effects);
            }
        };
        Ok(Run { writes, replies, after: Some(Box::new(after)) })
    }
}

pub(super) fn put_stamp(time: Timestamp) -> Write {
    let mut value = Vec::with_capacity(9);
    value.push(STAMP_VERSION);
    value.extend_from_slice(&time.millis().to_be_bytes());
    Write::Put(Bytes::from_static(STAMP_KEY), value.into())
}

/// Stamp of the last entry that the rows have.
pub(super) fn read_stamp<R: Rows>(rows: &R) -> Result<Option<Timestamp>, RowsError> {
    let Some(row) = rows.get(STAMP_KEY)? else { return Ok(None) };
    match row.as_ref() {
        [STAMP_VERSION, millis @ ..] => millis
            .try_into()
            .map(|millis| Some(Timestamp(u64::from_be_bytes(millis))))
            .map_err(|_| RowsError::corrupt(STAMP_KEY, "a stamp has 8 bytes")),
        _ => Err(RowsError::corrupt(STAMP_KEY, "it is of an unknown version")),
    }
}

#[cfg(test)]
mod tests {
    use parking_lot::Mutex;
    use roomkeeper_room::{Command, Create, MemRows, Outcome, RoomOptions};
    use roomkeeper_types::{Epoch, LogIndex, RoomName};

    use super::*;

    #[derive(Default)]
    struct Seen(Mutex<Vec<ShardId>>);

    impl Observer for Seen {
        fn applied(&self, shard: ShardId, _effects: Vec<Effect>) {
            self.0.lock().push(shard);
        }
    }

    fn machine() -> ShardMachine {
        let shards = ShardCount::new(1).unwrap();
        ShardMachine::new(ShardId(0), shards, Arc::default(), Arc::default(), Arc::new(Seen::default()))
    }

    fn entry(index: u64, payload: Option<Bytes>) -> Committed {
        Committed { at: LogPosition { epoch: Epoch(1), index: LogIndex(index) }, payload }
    }

    fn create(time: u64, room: &str) -> Option<Bytes> {
        let room: RoomName = room.parse().unwrap();
        let commands = vec![Command::Create(Create {
            room,
            exclusive: true,
            options: RoomOptions::default(),
            placed: false,
        })];
        Some(Batch { time: Timestamp(time), commands }.encode())
    }

    #[test]
    fn run_of_entries_replies_to_each_and_keeps_the_last_stamp() {
        let mut rows = MemRows::default();
        let entries = [entry(1, None), entry(2, create(70, "a")), entry(3, create(70, "a"))];
        let applied = machine().run(&rows, &entries).unwrap();
        assert!(matches!(applied.replies[0], Reply::None));
        assert!(
            matches!(&applied.replies[1], Reply::Outcomes(o) if matches!(o[..], [Outcome::Created { .. }]))
        );
        assert!(matches!(&applied.replies[2], Reply::Outcomes(o) if matches!(o[..], [Outcome::Refused(_)])));
        rows.apply_writes(&applied.writes);
        assert_eq!(read_stamp(&rows).unwrap(), Some(Timestamp(70)));
    }

    #[test]
    fn run_cut_in_two_leaves_the_same_rows() {
        let entries = [entry(1, create(5, "a")), entry(2, create(9, "b")), entry(3, create(9, "c"))];
        let mut whole = MemRows::default();
        whole.apply_writes(&machine().run(&whole, &entries).unwrap().writes);
        let mut parts = MemRows::default();
        for part in entries.chunks(2) {
            let writes = machine().run(&parts, part).unwrap().writes;
            parts.apply_writes(&writes);
        }
        assert_eq!(whole, parts);
    }

    #[test]
    fn entry_that_is_unreadable_stops_the_replica() {
        let broken = [entry(1, Some(Bytes::from_static(b"\x09nonsense")))];
        let error = machine().run(&MemRows::default(), &broken).err().unwrap();
        assert!(error.to_string().contains("entry e1/i1 of s0 is unreadable"), "{error}");
    }

    #[test]
    fn stamp_row_that_is_unreadable_is_an_error() {
        for value in [&b""[..], b"\x01\x00", b"\x02\0\0\0\0\0\0\0\0"] {
            let mut rows = MemRows::default();
            let write = Write::Put(Bytes::from_static(STAMP_KEY), Bytes::copy_from_slice(value));
            rows.apply_writes(&[write]);
            assert!(read_stamp(&rows).is_err(), "{value:?}");
        }
    }
}
