//! A room as a run has left it so far.
//!
//! What the run wrote under the room's life is remembered with the room, so that it goes when the room goes. The
//! maps are looked up only, never iterated: their order is another on each replica.

use std::collections::HashMap;
use std::sync::Arc;

use roomkeeper_sabotage::{self as sabotage, Bug};
use roomkeeper_types::{ConsumerId, LifeId, MessageId, Offset, Timestamp, UserId};

use crate::hash::Digest;
use crate::overlay::{Run, Stamp};
use crate::retention::Kept;
use crate::row::{CursorRow, HoldRow, IdRow, IdState, RoomRow};
use crate::{Due, DueKind, HoldId, Item, NewMessage, Rows, RowsError, keys, read};

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

impl OpenRoom {
    pub(crate) fn new(life: LifeId, row: RoomRow, changed: bool) -> Self {
        Self {
            life,
            row,
            changed,
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
        run.reserve(2 * messages.len());
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
