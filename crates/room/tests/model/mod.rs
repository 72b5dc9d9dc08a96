//! A shard as plain lists: what the applier should do, told again in the simplest way.

mod room;

use std::collections::{BTreeMap, BTreeSet};

use roomkeeper_room::{
    Batch, Command, Commit, Due, DueKind, Effect, Forward, HoldId, Outcome, Publish, Refusal, RoomOptions,
};
use roomkeeper_types::{Epoch, LifeId, LogPosition, Offset, RoomName, ShardCount, ShardId, Timestamp};

use room::{Decided, malformed};
pub(crate) use room::{Held, Room};

/// The shard of the model, to which `a` and `ab` hash; `aa` hashes to the other one.
pub(crate) const SHARD: ShardId = ShardId(1);

pub(crate) fn shards() -> ShardCount {
    ShardCount::new(2).unwrap()
}

/// A shard's rooms, the names that it gave away, and what is due.
#[derive(Clone, Default)]
pub(crate) struct Model {
    pub(crate) rooms: BTreeMap<RoomName, Room>,
    pub(crate) forwards: BTreeMap<RoomName, ShardId>,
    pub(crate) dues: BTreeSet<Due>,
}

/// What a command comes with.
#[derive(Clone, Copy)]
pub(crate) struct Moment {
    pub(crate) epoch: Epoch,
    pub(crate) now: Timestamp,
    /// Of a room or hold that it makes.
    pub(crate) fresh: LifeId,
}

impl Moment {
    pub(crate) fn hold(self) -> HoldId {
        HoldId { index: self.fresh.index, ordinal: self.fresh.ordinal }
    }
}

impl Model {
    pub(crate) fn apply(
        &mut self,
        at: LogPosition,
        batch: &Batch,
        effects: &mut Vec<Effect>,
    ) -> Vec<Outcome> {
        let command = |(ordinal, command)| {
            let fresh = LifeId { shard: SHARD, index: at.index.get(), ordinal };
            let moment = Moment { epoch: at.epoch, now: batch.time, fresh };
            self.decide(moment, command, effects).unwrap_or_else(Outcome::Refused)
        };
        (0..).zip(&batch.commands).map(command).collect()
    }

    /// Every row that there should be, but for the rooms' own.
    pub(crate) fn row_count(&self) -> usize {
        let rooms = self.rooms.values().map(Room::row_count).sum::<usize>();
        self.forwards.len() + self.dues.len() + rooms
    }

    fn decide(&mut self, moment: Moment, command: &Command, effects: &mut Vec<Effect>) -> Decided {
        match command {
            Command::Create(create) => {
                self.check_name(&create.room, create.placed)?;
                if let Some(room) = self.rooms.get(&create.room) {
                    let existed = Outcome::Created { life: room.life, existed: true };
                    return if create.exclusive { Err(Refusal::AlreadyExists) } else { Ok(existed) };
                }
                let room = Room::new(&create.room, create.options, moment);
                self.rooms.insert(create.room.clone(), room);
                Ok(Outcome::Created { life: moment.fresh, existed: false })
            }
            Command::Delete(delete) => {
                let life = self.existing(&delete.room, delete.life)?.life;
                self.rooms.remove(&delete.room);
                effects.push(Effect::Deleted { room: delete.room.clone(), life });
                Ok(Outcome::Deleted { life })
            }
            Command::Publish(publish) => self.publish(moment, publish, effects),
            Command::Hold(hold) => {
                malformed(
                    hold.messages.iter().map(|new| new.id),
                    "a publish has at least one message",
                    "a message id stands twice in the publish",
                )?;
                if hold.hold_ms == 0 {
                    return Err(Refusal::Malformed("messages are held for at least 1 ms"));
                }
                self.check_name(&hold.room, hold.placed)?;
                let mut room = self.existing_or_new(&hold.room, hold.life, hold.create, moment)?;
                let outcome = room.hold(moment, hold, &mut self.dues, effects)?;
                self.rooms.insert(hold.room.clone(), room);
                Ok(outcome)
            }
            Command::Confirm(asked) | Command::Rollback(asked) => {
                malformed(
                    asked.ids.iter().copied(),
                    "a hold is named by all ids of its messages, and none is given",
                    "a message id is named twice",
                )?;
                let mut room = self.existing(&asked.room, asked.life)?.clone();
                let outcome = match command {
                    Command::Confirm(_) => room.confirm(moment, asked, &mut self.dues, effects)?,
                    _ => room.roll_back(moment.now, asked, &mut self.dues, effects)?,
                };
                self.rooms.insert(asked.room.clone(), room);
                Ok(outcome)
            }
            Command::Commit(Commit { room, life, consumer, offset }) => {
                self.existing(room, *life)?;
                let room = self.rooms.get_mut(room).unwrap();
                let next = room.next();
                if *offset >= next {
                    return Err(Refusal::BeyondHead { next });
                }
                let cursor = room.cursors.get(consumer).copied().unwrap_or(Offset(0)).max(*offset);
                if cursor > Offset(0) {
                    room.cursors.insert(consumer.clone(), cursor);
                }
                Ok(Outcome::Committed { life: room.life, offset: cursor })
            }
            Command::Forward(Forward { room, to }) => {
                if *to == SHARD || to.0 >= shards().get() {
                    return Err(Refusal::Malformed("a room is forwarded to another shard of the cluster"));
                }
                if let Some(to) = self.forwards.get(room) {
                    return Ok(Outcome::Forwarded { to: *to });
                }
                let home = room.hash_shard(shards());
                if home != SHARD {
                    return Err(Refusal::WrongShard(home));
                }
                if self.rooms.contains_key(room) {
                    return Err(Refusal::AlreadyExists);
                }
                self.forwards.insert(room.clone(), *to);
                Ok(Outcome::Forwarded { to: *to })
            }
            Command::Sweep(dues) => {
                dues.iter().for_each(|due| self.carry_out(*due, moment.now, effects));
                Ok(Outcome::Swept)
            }
        }
    }

    fn publish(&mut self, moment: Moment, publish: &Publish, effects: &mut Vec<Effect>) -> Decided {
        malformed(
            publish.messages.iter().map(|new| new.id),
            "a publish has at least one message",
            "a message id stands twice in the publish",
        )?;
        self.check_name(&publish.room, publish.placed)?;
        let mut room = self.existing_or_new(&publish.room, publish.life, publish.create, moment)?;
        let outcome = room.publish(moment, publish, &mut self.dues, effects)?;
        self.rooms.insert(publish.room.clone(), room);
        Ok(outcome)
    }

    /// The name belongs here, or its room is here, or it is placed here.
    fn check_name(&self, name: &RoomName, placed: bool) -> Result<(), Refusal> {
        let home = name.hash_shard(shards());
        match self.forwards.get(name) {
            Some(to) => Err(Refusal::WrongShard(*to)),
            None if home == SHARD || placed || self.rooms.contains_key(name) => Ok(()),
            None => Err(Refusal::WrongShard(home)),
        }
    }

    fn existing(&self, name: &RoomName, life: Option<LifeId>) -> Result<&Room, Refusal> {
        self.check_name(name, false)?;
        let room = self.rooms.get(name).ok_or(Refusal::NotFound)?;
        if life.is_some_and(|life| life != room.life) {
            return Err(Refusal::Recreated { now: room.life });
        }
        Ok(room)
    }

    /// A copy of the room, or a new one.
    fn existing_or_new(
        &self,
        name: &RoomName,
        life: Option<LifeId>,
        create: Option<RoomOptions>,
        moment: Moment,
    ) -> Result<Room, Refusal> {
        if self.rooms.contains_key(name) {
            return self.existing(name, life).cloned();
        }
        match create {
            Some(options) if life.is_none() => Ok(Room::new(name, options, moment)),
            _ => Err(Refusal::NotFound),
        }
    }

    fn carry_out(&mut self, due: Due, now: Timestamp, effects: &mut Vec<Effect>) {
        if due.time > now || !self.dues.remove(&due) {
            return;
        }
        let Some(room) = self.rooms.values_mut().find(|room| room.life == due.life) else { return };
        match due.what {
            DueKind::Hold(id) => room.drop_hold(id, now, &mut self.dues, effects),
            DueKind::Id(id) => room.forget(id),
            DueKind::Age => room.age(now, &mut self.dues, effects),
        }
    }
}
