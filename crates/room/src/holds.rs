//! Applying holds: messages that wait for their sender's word.
//!
//! The ids of a message say what became of it: held, stored or dropped. A hold's row is there for as long as it
//! is open, and after that only until it is swept.

use std::sync::Arc;

use roomkeeper_types::{MessageId, Timestamp};

use crate::apply::{Applier, Scratch, Stop, check_life, created_with, known, stored, stored_before};
use crate::open::OpenRoom;
use crate::outcome::RefusedIds;
use crate::overlay::{Run, Stamp};
use crate::retention::after;
use crate::row::{HoldRow, IdRow, IdState};
use crate::{Effect, Hold, HoldId, HoldRef, Outcome, Refusal, Rows};

impl<R: Rows> Applier<'_, R> {
    /// Holds messages. Held again they are answered as held; confirmed meanwhile, as published.
    pub(crate) fn hold(
        &mut self,
        stamp: Stamp,
        hold: Hold,
        effects: &mut Vec<Effect>,
    ) -> Result<Outcome, Stop> {
        self.scratch.check_messages(&hold.messages)?;
        if hold.hold_ms == 0 {
            return Err(Refusal::Malformed("messages are held for at least 1 ms").into());
        }
        let slot = self.enter(&hold.room, hold.placed)?;
        self.scratch.digest(&hold.from, &hold.messages);
        let options = match self.overlay.open(slot) {
            Some((room, run)) => {
                check_life(hold.life, room.life)?;
                let known = known(room, run, &hold.messages, &self.scratch.digests, stamp.time)?;
                if let Some(known) = known {
                    return held_before(room, run, &hold, &known);
                }
                room.row.options
            }
            None => created_with(hold.life, hold.create)?,
        };
        let Hold { room: name, from, messages, hold_ms, .. } = hold;
        let (epoch, time, expires) = (stamp.epoch, stamp.time, after(stamp.time, hold_ms));
        let row = HoldRow { from, epoch, time, expires, messages };
        let items = row.items().into();
        let (room, run) = self.overlay.open_or_create(slot, &name, options, stamp);
        let life = room.life;
        let id = HoldId { index: stamp.life.index, ordinal: stamp.life.ordinal };
        room.put_hold(run, id, row, &self.scratch.digests);
        effects.push(Effect::Held { room: name, life, items, expires });
        Ok(Outcome::Held { life, epoch, expires, duplicate: false })
    }

    /// Appends the messages of a hold. Confirmed again, they are answered as they were stored; so are messages
    /// that never were held: they stand in the log, which is all that was asked for.
    pub(crate) fn confirm(
        &mut self,
        stamp: Stamp,
        asked: &HoldRef,
        effects: &mut Vec<Effect>,
    ) -> Result<Outcome, Stop> {
        self.scratch.check_hold(&asked.ids)?;
        let slot = self.enter(&asked.room, false)?;
        let (room, run) = self.overlay.open(slot).ok_or(Refusal::NotFound)?;
        check_life(asked.life, room.life)?;
        let mut known = all_known(room, run, &asked.ids, stamp.time)?;
        let is_dropped = |place: usize| known[place].state == IdState::Dropped;
        if (0..known.len()).any(is_dropped) {
            return Err(Refusal::Gone(RefusedIds::of(asked.ids.iter().copied(), is_dropped)).into());
        }
        if known.iter().any(|row| matches!(row.state, IdState::Held(_))) {
            let (id, hold) = one_hold(room, run, asked, &known, &self.scratch)?;
            self.scratch.digest(&hold.from, &hold.messages);
            room.end_hold(run, id, &hold);
            let items = room.append(run, &hold.from, hold.messages.clone(), &self.scratch.digests, stamp);
            let trimmed = room.retain(run, items.len(), stamp.time)?;
            effects.push(Effect::Appended { room: asked.room.clone(), life: room.life, items });
            effects.extend(trimmed);
            known = all_known(room, run, &asked.ids, stamp.time)?;
        }
        let (epoch, offsets) = stored(&known).map_err(|held| Refusal::NotOneHold(asked.ids[held]))?;
        Ok(Outcome::Confirmed { life: room.life, epoch, offsets })
    }

    /// Drops the messages of a hold. Those that were dropped stay so.
    pub(crate) fn roll_back(
        &mut self,
        now: Timestamp,
        asked: &HoldRef,
        effects: &mut Vec<Effect>,
    ) -> Result<Outcome, Stop> {
        self.scratch.check_hold(&asked.ids)?;
        let slot = self.enter(&asked.room, false)?;
        let (room, run) = self.overlay.open(slot).ok_or(Refusal::NotFound)?;
        check_life(asked.life, room.life)?;
        let known = all_known(room, run, &asked.ids, now)?;
        if known.iter().any(|row| matches!(row.state, IdState::Stored { .. })) {
            return Err(Refusal::TooLate.into());
        }
        if known.iter().any(|row| row.state != IdState::Dropped) {
            let (id, hold) = one_hold(room, run, asked, &known, &self.scratch)?;
            effects.push(room.roll_back(run, id, &hold, now));
        }
        Ok(Outcome::RolledBack { life: room.life })
    }
}

impl OpenRoom {
    /// Drops a hold and says so.
    pub(crate) fn roll_back<R: Rows>(
        &mut self,
        run: &mut Run<'_, R>,
        id: HoldId,
        hold: &HoldRow,
        now: Timestamp,
    ) -> Effect {
        self.drop_hold(run, id, hold, now);
        let ids = hold.messages.iter().map(|new| new.id).collect();
        Effect::RolledBack { room: self.row.name.clone(), life: self.life, ids }
    }
}

impl Scratch {
    /// A hold is named by ids, none of them twice.
    fn check_hold(&mut self, ids: &[MessageId]) -> Result<(), Refusal> {
        if ids.is_empty() {
            return Err(Refusal::Malformed("a hold is named by all ids of its messages, and none is given"));
        }
        self.check_ids(ids.iter().copied(), "a message id is named twice")
    }
}

/// The outcome of holding messages that are all known, and not dropped.
fn held_before<R: Rows>(
    room: &mut OpenRoom,
    run: &Run<'_, R>,
    hold: &Hold,
    known: &[IdRow],
) -> Result<Outcome, Stop> {
    if let Ok((epoch, offsets)) = stored(known) {
        return Ok(stored_before(room.life, epoch, offsets));
    }
    let id = same_hold(known).map_err(|other| Refusal::NotOneHold(hold.messages[other].id))?;
    let first = room.held(run, id)?;
    let (epoch, expires) = (first.epoch, first.expires);
    Ok(Outcome::Held { life: room.life, epoch, expires, duplicate: true })
}

/// What is known of each id of a hold.
fn all_known<R: Rows>(
    room: &mut OpenRoom,
    run: &Run<'_, R>,
    ids: &[MessageId],
    now: Timestamp,
) -> Result<Vec<IdRow>, Stop> {
    let known = |&id| room.known(run, id, now)?.ok_or(Stop::Refused(Refusal::UnknownId(id)));
    ids.iter().map(known).collect()
}

/// The hold that is asked for, which is one, its sender's, and whole. `scratch` has the ids, sorted.
fn one_hold<R: Rows>(
    room: &mut OpenRoom,
    run: &Run<'_, R>,
    asked: &HoldRef,
    known: &[IdRow],
    scratch: &Scratch,
) -> Result<(HoldId, Arc<HoldRow>), Stop> {
    let id = same_hold(known).map_err(|other| Refusal::NotOneHold(asked.ids[other]))?;
    let hold = room.held(run, id)?;
    if hold.from != asked.from {
        return Err(Refusal::NotSender.into());
    }
    match hold.messages.iter().find(|new| scratch.ids.binary_search(&new.id).is_err()) {
        Some(missing) => Err(Refusal::NotOneHold(missing.id).into()),
        None => Ok((id, hold)),
    }
}

/// The hold that all these are in, of which there is at least one; else the index of the first that is not in the
/// hold of those before it, or in none.
fn same_hold(known: &[IdRow]) -> Result<HoldId, usize> {
    let mut same = None;
    for (index, row) in known.iter().enumerate() {
        match row.state {
            IdState::Held(hold) if same.is_none_or(|same| same == hold) => same = Some(hold),
            _ => return Err(index),
        }
    }
    same.ok_or(0)
}
