//! What a run has read and changed so far: rooms as values, and the writes that make the changes.
//!
//! Every room is decoded once per run and encoded once at its end, however many publishes it got. Nothing
//! looks up a former life's rows: everything goes by name to the present life first, so that a deletion
//! needs no trace here but the room's absence.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;

use bytes::Bytes;
use roomkeeper_sabotage::{self as sabotage, Bug};
use roomkeeper_types::{Epoch, LifeId, MessageId, Offset, RoomName, ShardId, Timestamp};

use crate::hash::Digest;
use crate::keys;
use crate::read::{self, Found};
use crate::row::{DedupeRow, NameRow, RoomRow};
use crate::{Item, Publish, Rows, RowsError, Write};

/// Rooms that the run has met, over the rows as they were before it.
pub(crate) struct Overlay<'r, R> {
    rows: &'r R,
    /// Looked up only, never iterated: its order is another on each replica.
    places: HashMap<RoomName, Place>,
    /// In the order in which the run met them; `None`: no room of that name now.
    rooms: Vec<Option<OpenRoom>>,
    /// In the order of the commands, but for the room rows.
    writes: Vec<Write>,
    scratch: Vec<u8>,
}

/// What a command leaves on what it makes.
#[derive(Clone, Copy)]
pub(crate) struct Stamp {
    pub(crate) epoch: Epoch,
    pub(crate) time: Timestamp,
    /// The life of a room that it creates.
    pub(crate) life: LifeId,
}

/// Where a name's room is, or would be.
#[derive(Clone, Copy)]
pub(crate) enum Place {
    /// In this shard.
    Here(Slot),
    /// In that one.
    Elsewhere(ShardId),
}

/// A name's place in the overlay.
#[derive(Clone, Copy)]
pub(crate) struct Slot(usize);

/// A room that exists, as the run has left it so far.
pub(crate) struct OpenRoom {
    pub(crate) life: LifeId,
    pub(crate) row: RoomRow,
    /// Whether `row` has to be written.
    changed: bool,
    /// Ids that the run appended. Looked up only.
    appended: HashMap<MessageId, DedupeRow>,
}

impl OpenRoom {
    fn new(life: LifeId, row: RoomRow, changed: bool) -> Self {
        Self { life, row, changed, appended: HashMap::new() }
    }
}

impl<'r, R: Rows> Overlay<'r, R> {
    pub(crate) fn new(rows: &'r R) -> Self {
        Self { rows, places: HashMap::new(), rooms: Vec::new(), writes: Vec::new(), scratch: Vec::new() }
    }

    /// Where the room of this name is; read from the rows the first time.
    pub(crate) fn find(&mut self, name: &RoomName) -> Result<Place, RowsError> {
        let entry = match self.places.entry(name.clone()) {
            Entry::Occupied(met) => return Ok(*met.get()),
            Entry::Vacant(entry) => entry,
        };
        let room = match read::find(self.rows, name)? {
            Found::Elsewhere(shard) => return Ok(*entry.insert(Place::Elsewhere(shard))),
            Found::Here(life, row) => Some(OpenRoom::new(life, row, false)),
            Found::Absent => None,
        };
        let place = Place::Here(Slot(self.rooms.len()));
        self.rooms.push(room);
        Ok(*entry.insert(place))
    }

    /// The room there, if it exists.
    pub(crate) fn room(&self, slot: Slot) -> Option<&OpenRoom> {
        self.rooms[slot.0].as_ref()
    }

    /// What `room` knows of a message id: one get, unless the run itself appended it.
    pub(crate) fn known(&self, room: &OpenRoom, id: MessageId) -> Result<Option<DedupeRow>, RowsError> {
        if let Some(row) = room.appended.get(&id) {
            return Ok(Some(*row));
        }
        let key = keys::id(room.life, id);
        self.rows.get(&key)?.map(|value| DedupeRow::decode(&key, &value)).transpose()
    }

    /// Creates the room there, unless it exists.
    pub(crate) fn create(&mut self, slot: Slot, name: &RoomName, stamp: Stamp) {
        let Self { rooms, writes, .. } = self;
        open(&mut rooms[slot.0], writes, name, stamp);
    }

    /// Removes the room there and everything under its life.
    pub(crate) fn delete(&mut self, slot: Slot, name: &RoomName, life: LifeId) {
        // The run's own rows of this life were pushed before, so the range takes them too.
        self.rooms[slot.0] = None;
        self.writes.push(Write::Delete(keys::name(name).into()));
        self.writes.push(Write::Delete(copied(&keys::room(life))));
        for table in [keys::MESSAGE_TABLE, keys::ID_TABLE] {
            let (from, to) = keys::life_range(table, life);
            self.writes.push(Write::DeleteRange(from.into(), to.into()));
        }
    }

    /// Appends all messages of a publish to the room there, which is created if there is none. `digests` has
    /// one per message.
    pub(crate) fn append(
        &mut self,
        slot: Slot,
        publish: Publish,
        digests: &[Digest],
        stamp: Stamp,
    ) -> (LifeId, Arc<[Item]>) {
        let Self { rooms, writes, scratch, .. } = self;
        let room = open(&mut rooms[slot.0], writes, &publish.room, stamp);
        writes.reserve(2 * publish.messages.len());
        if sabotage::is(Bug::OffsetReused) && stamp.life.index.is_multiple_of(64) {
            room.row.next = Offset(room.row.next.get().saturating_sub(1).max(1));
        }
        let items = publish.messages.into_iter().zip(digests).map(|(new, &digest)| {
            let item = Item {
                offset: room.row.next,
                epoch: stamp.epoch,
                id: new.id,
                from: publish.from.clone(),
                time: stamp.time,
                sent: new.sent,
                payload: new.payload,
            };
            let known = DedupeRow { offset: item.offset, epoch: item.epoch, digest };
            writes.push(Write::Put(copied(&keys::message(room.life, item.offset)), item.encode()));
            writes.push(Write::Put(copied(&keys::id(room.life, item.id)), known.encode()));
            room.appended.insert(item.id, known);
            room.row.append(&item, scratch);
            item
        });
        let items = items.collect();
        room.changed = true;
        (room.life, items)
    }

    /// All writes, in an order that depends on the entries alone.
    pub(crate) fn into_writes(self) -> Vec<Write> {
        let mut writes = self.writes;
        let changed = self.rooms.into_iter().flatten().filter(|room| room.changed);
        writes.extend(changed.map(|room| Write::Put(copied(&keys::room(room.life)), room.row.encode())));
        writes
    }
}

/// The room of a slot, created if there is none.
fn open<'o>(
    room: &'o mut Option<OpenRoom>,
    writes: &mut Vec<Write>,
    name: &RoomName,
    stamp: Stamp,
) -> &'o mut OpenRoom {
    room.get_or_insert_with(|| {
        writes.push(Write::Put(keys::name(name).into(), NameRow::Life(stamp.life).encode()));
        OpenRoom::new(stamp.life, RoomRow::new(name.clone(), stamp.time), true)
    })
}

fn copied(key: &[u8]) -> Bytes {
    Bytes::copy_from_slice(key)
}
