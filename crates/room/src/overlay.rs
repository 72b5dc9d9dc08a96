//! What a run has read and changed so far: rooms as values, and the writes that make the changes.
//!
//! Every room is decoded once per run and encoded once at its end, however many publishes it got. A room is met
//! by its name, or by a life that something is due in; either way it is the same value, and a deletion needs no
//! trace here but the room's absence.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use bytes::Bytes;
use roomkeeper_types::{Epoch, LifeId, RoomName, ShardId, Timestamp};

use crate::keys;
use crate::open::OpenRoom;
use crate::read::{self, Found};
use crate::row::{self, NameRow, RoomRow};
use crate::{Due, RoomOptions, Rows, RowsError, Write};

/// Rooms that the run has met, over the rows as they were before it.
pub(crate) struct Overlay<'r, R> {
    /// Looked up only, never iterated, as all maps here: their order is another on each replica.
    places: HashMap<RoomName, Place>,
    /// Where each life that the run has met stands, or stood before it ended.
    lives: HashMap<LifeId, Slot>,
    /// In the order in which the run met them; `None`: no room of that name now.
    rooms: Vec<Option<OpenRoom>>,
    run: Run<'r, R>,
}

/// The rows before the run, and what it writes.
pub(crate) struct Run<'r, R> {
    pub(crate) rows: &'r R,
    /// In the order of the commands, but for the room rows.
    writes: Vec<Write>,
    /// What the run put into the due table (`true`) or took out of it.
    dues: HashMap<Due, bool>,
    pub(crate) scratch: Vec<u8>,
}

/// What a command leaves on what it makes.
#[derive(Clone, Copy)]
pub(crate) struct Stamp {
    pub(crate) epoch: Epoch,
    pub(crate) time: Timestamp,
    /// The life of a room that it creates. Its index and ordinal are also the id of a hold that it makes.
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

impl<'r, R: Rows> Overlay<'r, R> {
    pub(crate) fn new(rows: &'r R) -> Self {
        let run = Run { rows, writes: Vec::new(), dues: HashMap::new(), scratch: Vec::new() };
        Self { places: HashMap::new(), lives: HashMap::new(), rooms: Vec::new(), run }
    }

    /// Where the room of this name is; read from the rows the first time.
    pub(crate) fn find(&mut self, name: &RoomName) -> Result<Place, RowsError> {
        let entry = match self.places.entry(name.clone()) {
            Entry::Occupied(met) => return Ok(*met.get()),
            Entry::Vacant(entry) => entry,
        };
        let slot = Slot(self.rooms.len());
        let room = match read::find(self.run.rows, name)? {
            Found::Elsewhere(shard) => return Ok(*entry.insert(Place::Elsewhere(shard))),
            Found::Here(life, row) => {
                self.lives.insert(life, slot);
                Some(OpenRoom::new(life, row, false))
            }
            Found::Absent => None,
        };
        self.rooms.push(room);
        Ok(*entry.insert(Place::Here(slot)))
    }

    /// Where the room of this life is, if the life is not over.
    pub(crate) fn find_life(&mut self, life: LifeId) -> Result<Option<Slot>, RowsError> {
        if !self.lives.contains_key(&life) {
            let Some(row) = read::room_row(self.run.rows, life)? else { return Ok(None) };
            self.find(&row.name)?;
        }
        // A name that the run met before it met the life has brought the life along, if the rows make sense.
        let slot = self.lives.get(&life).copied();
        let slot =
            slot.ok_or_else(|| RowsError::corrupt(&keys::room(life), "its name belongs to another life"))?;
        Ok(self.room(slot).is_some_and(|room| room.life == life).then_some(slot))
    }

    /// The room there, if it exists.
    pub(crate) fn room(&self, slot: Slot) -> Option<&OpenRoom> {
        self.rooms[slot.0].as_ref()
    }

    /// The room there, if it exists, and what is needed to change it.
    pub(crate) fn open(&mut self, slot: Slot) -> Option<(&mut OpenRoom, &mut Run<'r, R>)> {
        Some((self.rooms[slot.0].as_mut()?, &mut self.run))
    }

    /// The room there, created if there is none.
    pub(crate) fn open_or_create(
        &mut self,
        slot: Slot,
        name: &RoomName,
        options: RoomOptions,
        stamp: Stamp,
    ) -> (&mut OpenRoom, &mut Run<'r, R>) {
        let Self { rooms, lives, run, .. } = self;
        let room = rooms[slot.0].get_or_insert_with(|| {
            lives.insert(stamp.life, slot);
            run.put(keys::name(name), NameRow::Life(stamp.life).encode());
            let row = RoomRow::new(name.clone(), stamp.time, options);
            OpenRoom::new(stamp.life, row, true)
        });
        (room, run)
    }

    /// Removes the room there and everything under its life. What is due in it finds it gone.
    pub(crate) fn delete(&mut self, slot: Slot, name: &RoomName, life: LifeId) {
        // The run's own rows of this life were pushed before, so the range takes them too.
        self.rooms[slot.0] = None;
        self.run.delete(keys::name(name));
        self.run.delete(keys::room(life));
        for table in [keys::MESSAGE_TABLE, keys::ID_TABLE, keys::CURSOR_TABLE, keys::HOLD_TABLE] {
            let (from, to) = keys::life_range(table, life);
            self.run.writes.push(Write::DeleteRange(from.into(), to.into()));
        }
    }

    /// Gives away a name that no room here has.
    pub(crate) fn forward(&mut self, name: &RoomName, shard: ShardId, stamp: Stamp) {
        self.places.insert(name.clone(), Place::Elsewhere(shard));
        self.run.put(keys::name(name), NameRow::Forward { shard, life: stamp.life }.encode());
    }

    /// The rows and what the run writes.
    pub(crate) fn run(&mut self) -> &mut Run<'r, R> {
        &mut self.run
    }

    /// All writes, in an order that depends on the entries alone.
    pub(crate) fn into_writes(self) -> Vec<Write> {
        let mut writes = self.run.writes;
        let changed = self.rooms.into_iter().flatten().filter(|room| room.changed);
        writes.extend(changed.map(|room| Write::Put(copied(&keys::room(room.life)), room.row.encode())));
        writes
    }
}

impl<R: Rows> Run<'_, R> {
    /// Makes room for so many more writes.
    pub(crate) fn reserve(&mut self, writes: usize) {
        self.writes.reserve(writes);
    }

    pub(crate) fn put(&mut self, key: impl AsRef<[u8]>, value: Bytes) {
        self.writes.push(Write::Put(copied(key.as_ref()), value));
    }

    pub(crate) fn delete(&mut self, key: impl AsRef<[u8]>) {
        self.writes.push(Write::Delete(copied(key.as_ref())));
    }

    /// Whether this stands in the due table.
    pub(crate) fn is_due(&self, due: &Due) -> Result<bool, RowsError> {
        if let Some(is_due) = self.dues.get(due) {
            return Ok(*is_due);
        }
        let key = keys::due(due);
        let Some(value) = self.rows.get(&key)? else { return Ok(false) };
        row::check_due(&key, &value)?;
        Ok(true)
    }

    pub(crate) fn put_due(&mut self, due: Due) {
        self.put(keys::due(&due), Bytes::from_static(row::DUE));
        self.dues.insert(due, true);
    }

    pub(crate) fn delete_due(&mut self, due: Due) {
        self.delete(keys::due(&due));
        self.dues.insert(due, false);
    }
}

fn copied(key: &[u8]) -> Bytes {
    Bytes::copy_from_slice(key)
}
