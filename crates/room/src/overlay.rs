//! What a run has read and changed so far: rooms as values, and the writes that make the changes.
//!
//! Every room is decoded once per run and encoded once at its end, however many publishes it got. A room is met
//! by its name, or by a life that something is due in; either way it is the same value, and a deletion needs no
//! trace here but the room's absence. What a run wrote under a life it remembers with the room.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;

use bytes::Bytes;
use roomkeeper_sabotage::{self as sabotage, Bug};
use roomkeeper_types::{ConsumerId, Epoch, LifeId, MessageId, Offset, RoomName, ShardId, Timestamp, UserId};

use crate::hash::Digest;
use crate::keys;
use crate::read::{self, Found};
use crate::retention::Kept;
use crate::row::{self, CursorRow, HoldRow, IdRow, IdState, NameRow, RoomRow};
use crate::{Due, DueKind, HoldId, Item, NewMessage, RoomOptions, Rows, RowsError, Write};

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
    scratch: Vec<u8>,
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

/// A room that exists, as the run has left it so far.
pub(crate) struct OpenRoom {
    pub(crate) life: LifeId,
    pub(crate) row: RoomRow,
    /// Whether `row` has to be written.
    pub(crate) changed: bool,
    /// Ids that the run wrote; `None`: it forgot them.
    ids: HashMap<MessageId, Option<IdRow>>,
    /// Holds that the run read or made; `None`: it confirmed or dropped them.
    holds: HashMap<HoldId, Option<Arc<HoldRow>>>,
    /// Cursors that the run moved.
    cursors: HashMap<ConsumerId, Offset>,
    /// What the run appended, if the room may have to trim it.
    pub(crate) tail: HashMap<Offset, Kept>,
}

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
                Some(OpenRoom::new(life, row))
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
            OpenRoom { changed: true, ..OpenRoom::new(stamp.life, row) }
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

impl OpenRoom {
    fn new(life: LifeId, row: RoomRow) -> Self {
        Self {
            life,
            row,
            changed: false,
            ids: HashMap::new(),
            holds: HashMap::new(),
            cursors: HashMap::new(),
            tail: HashMap::new(),
        }
    }

    /// What the room knows of a message id at `now`, when a hold that ran out is dropped, whether it was swept or
    /// not: one get, unless the run itself wrote it, and one per hold.
    pub(crate) fn known<R: Rows>(
        &mut self,
        run: &Run<'_, R>,
        id: MessageId,
        now: Timestamp,
    ) -> Result<Option<IdRow>, RowsError> {
        let Some(mut known) = self.id(run, id)? else { return Ok(None) };
        if let IdState::Held(hold) = known.state
            && self.held(run, hold)?.expires <= now
        {
            known.state = IdState::Dropped;
        }
        Ok(Some(known))
    }

    /// What stands in the room's rows of a message id.
    pub(crate) fn id<R: Rows>(&self, run: &Run<'_, R>, id: MessageId) -> Result<Option<IdRow>, RowsError> {
        if let Some(row) = self.ids.get(&id) {
            return Ok(*row);
        }
        let key = keys::id(self.life, id);
        run.rows.get(&key)?.map(|value| IdRow::decode(&key, &value)).transpose()
    }

    fn put_id<R: Rows>(&mut self, run: &mut Run<'_, R>, id: MessageId, row: IdRow) {
        run.put(keys::id(self.life, id), row.encode());
        self.ids.insert(id, Some(row));
    }

    /// Forgets a message id.
    pub(crate) fn delete_id<R: Rows>(&mut self, run: &mut Run<'_, R>, id: MessageId) {
        run.delete(keys::id(self.life, id));
        self.ids.insert(id, None);
    }

    /// A hold, if it is neither confirmed nor dropped.
    pub(crate) fn hold<R: Rows>(
        &mut self,
        run: &Run<'_, R>,
        id: HoldId,
    ) -> Result<Option<Arc<HoldRow>>, RowsError> {
        if let Some(hold) = self.holds.get(&id) {
            return Ok(hold.clone());
        }
        let key = keys::hold(self.life, id);
        let hold = run.rows.get(&key)?.map(|value| HoldRow::decode(&key, &value)).transpose()?.map(Arc::new);
        self.holds.insert(id, hold.clone());
        Ok(hold)
    }

    /// A hold that a message id names, so that it must be there.
    pub(crate) fn held<R: Rows>(&mut self, run: &Run<'_, R>, id: HoldId) -> Result<Arc<HoldRow>, RowsError> {
        self.hold(run, id)?.ok_or_else(|| RowsError::corrupt(&keys::hold(self.life, id), read::MISSING))
    }

    /// Keeps a new hold. `digests` has one per message.
    pub(crate) fn put_hold<R: Rows>(
        &mut self,
        run: &mut Run<'_, R>,
        id: HoldId,
        hold: HoldRow,
        digests: &[Digest],
    ) {
        run.put(keys::hold(self.life, id), hold.encode());
        run.put_due(Due { time: hold.expires, life: self.life, what: DueKind::Hold(id) });
        for (new, &digest) in hold.messages.iter().zip(digests) {
            self.put_id(run, new.id, IdRow { digest, state: IdState::Held(id) });
        }
        self.holds.insert(id, Some(Arc::new(hold)));
    }

    /// Ends a hold. What becomes of its messages' ids is the caller's to say.
    pub(crate) fn end_hold<R: Rows>(&mut self, run: &mut Run<'_, R>, id: HoldId, hold: &HoldRow) {
        run.delete(keys::hold(self.life, id));
        run.delete_due(Due { time: hold.expires, life: self.life, what: DueKind::Hold(id) });
        self.holds.insert(id, None);
    }

    /// Ends a hold and drops its messages.
    pub(crate) fn drop_hold<R: Rows>(
        &mut self,
        run: &mut Run<'_, R>,
        id: HoldId,
        hold: &HoldRow,
        now: Timestamp,
    ) {
        self.end_hold(run, id, hold);
        for new in &hold.messages {
            let digest = Digest::of(&hold.from, &new.payload, &mut run.scratch);
            self.put_id(run, new.id, IdRow { digest, state: IdState::Dropped });
            self.forget_later(run, new.id, hold.time, now);
        }
    }

    /// Where a consumer's cursor stands.
    pub(crate) fn cursor<R: Rows>(
        &self,
        run: &Run<'_, R>,
        consumer: &ConsumerId,
    ) -> Result<Option<Offset>, RowsError> {
        match self.cursors.get(consumer) {
            Some(offset) => Ok(Some(*offset)),
            None => read::cursor(run.rows, self.life, consumer),
        }
    }

    pub(crate) fn put_cursor<R: Rows>(
        &mut self,
        run: &mut Run<'_, R>,
        consumer: ConsumerId,
        offset: Offset,
        time: Timestamp,
    ) {
        run.put(keys::cursor(self.life, &consumer), CursorRow { offset, time }.encode());
        self.cursors.insert(consumer, offset);
    }

    /// Appends messages. `digests` has one per message.
    pub(crate) fn append<R: Rows>(
        &mut self,
        run: &mut Run<'_, R>,
        from: &UserId,
        messages: Vec<NewMessage>,
        digests: &[Digest],
        stamp: Stamp,
    ) -> Arc<[Item]> {
        run.writes.reserve(2 * messages.len());
        if sabotage::is(Bug::OffsetReused) && stamp.life.index.is_multiple_of(64) {
            self.row.next = Offset(self.row.next.get().saturating_sub(1).max(1));
        }
        let items = messages.into_iter().zip(digests).map(|(new, &digest)| {
            let item = Item {
                offset: self.row.next,
                epoch: stamp.epoch,
                id: new.id,
                from: from.clone(),
                time: stamp.time,
                sent: new.sent,
                payload: new.payload,
            };
            run.put(keys::message(self.life, item.offset), item.encode());
            let state = IdState::Stored { offset: item.offset, epoch: item.epoch };
            self.put_id(run, item.id, IdRow { digest, state });
            if self.may_trim() {
                self.tail.insert(item.offset, Kept::of(&item));
            }
            self.row.append(&item, &mut run.scratch);
            item
        });
        let items = items.collect();
        self.changed = true;
        items
    }
}

fn copied(key: &[u8]) -> Bytes {
    Bytes::copy_from_slice(key)
}
