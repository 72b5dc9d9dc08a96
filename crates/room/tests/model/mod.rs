//! Rooms as plain lists: what the applier should do, told again in the simplest way.

use std::collections::BTreeMap;

use roomkeeper_room::{Batch, Command, Effect, Item, Outcome, Publish, Refusal};
use roomkeeper_types::{LifeId, LogPosition, Offset, RoomName, ShardId, Timestamp};

/// One room: its life and its log.
#[derive(Clone)]
pub(crate) struct Room {
    pub(crate) life: LifeId,
    pub(crate) created: Timestamp,
    pub(crate) log: Vec<Item>,
}

impl Room {
    pub(crate) fn next(&self) -> Offset {
        Offset(self.log.len() as u64 + 1)
    }
}

/// A shard's rooms. Every name belongs to it.
#[derive(Clone, Default)]
pub(crate) struct Model {
    pub(crate) rooms: BTreeMap<RoomName, Room>,
}

impl Model {
    pub(crate) fn apply(
        &mut self,
        at: LogPosition,
        batch: &Batch,
        effects: &mut Vec<Effect>,
    ) -> Vec<Outcome> {
        let mut outcomes = Vec::new();
        for (ordinal, command) in (0..).zip(&batch.commands) {
            let fresh = LifeId { shard: ShardId(0), index: at.index.get(), ordinal };
            let outcome = self.decide(at, batch.time, fresh, command);
            match (&outcome, command) {
                (Outcome::Deleted { life }, _) => {
                    effects.push(Effect::Deleted { room: command.room().unwrap().clone(), life: *life });
                }
                (Outcome::Published { life, offsets, duplicates, .. }, _) if !duplicates[0] => {
                    let log = &self.rooms[command.room().unwrap()].log;
                    let items = log[log.len() - offsets.len()..].into();
                    effects.push(Effect::Appended {
                        room: command.room().unwrap().clone(),
                        life: *life,
                        items,
                    });
                }
                _ => {}
            }
            outcomes.push(outcome);
        }
        outcomes
    }

    fn decide(&mut self, at: LogPosition, time: Timestamp, fresh: LifeId, command: &Command) -> Outcome {
        let room = self.rooms.get(command.room().unwrap());
        let new = Room { life: fresh, created: time, log: Vec::new() };
        match (command, room) {
            (Command::Create(create), Some(_)) if create.exclusive => {
                Outcome::Refused(Refusal::AlreadyExists)
            }
            (Command::Create(_), Some(room)) => Outcome::Created { life: room.life, existed: true },
            (Command::Create(create), None) => {
                self.rooms.insert(create.room.clone(), new);
                Outcome::Created { life: fresh, existed: false }
            }
            (Command::Delete(_), None) => Outcome::Refused(Refusal::NotFound),
            (Command::Delete(delete), Some(room)) => {
                let now = room.life;
                if delete.life.is_some_and(|life| life != now) {
                    return Outcome::Refused(Refusal::Recreated { now });
                }
                self.rooms.remove(&delete.room);
                Outcome::Deleted { life: now }
            }
            (Command::Publish(publish), None) if publish.messages.is_empty() => malformed(publish),
            (Command::Publish(publish), None) if publish.life.is_some() || !publish.create => {
                if has_twins(publish) { malformed(publish) } else { Outcome::Refused(Refusal::NotFound) }
            }
            (Command::Publish(publish), room) => {
                let mut room = room.cloned().unwrap_or(new);
                let outcome = publish_to(&mut room, at, time, publish);
                if !matches!(outcome, Outcome::Refused(_)) {
                    self.rooms.insert(publish.room.clone(), room);
                }
                outcome
            }
            _ => unreachable!("not in these logs yet"),
        }
    }
}

fn publish_to(room: &mut Room, at: LogPosition, time: Timestamp, publish: &Publish) -> Outcome {
    if publish.messages.is_empty() || has_twins(publish) {
        return malformed(publish);
    }
    if publish.life.is_some_and(|life| life != room.life) {
        return Outcome::Refused(Refusal::Recreated { now: room.life });
    }
    let known: Vec<Option<&Item>> =
        publish.messages.iter().map(|new| room.log.iter().find(|item| item.id == new.id)).collect();
    for (new, known) in publish.messages.iter().zip(&known) {
        if known.is_some_and(|item| item.from != publish.from || item.payload != new.payload) {
            return Outcome::Refused(Refusal::IdReused(new.id));
        }
    }
    if known.iter().any(Option::is_some) {
        if let Some(unknown) = known.iter().position(Option::is_none) {
            return Outcome::Refused(Refusal::PartlyKnown(publish.messages[unknown].id));
        }
        let known: Vec<&Item> = known.into_iter().flatten().collect();
        return Outcome::Published {
            life: room.life,
            epoch: known.iter().map(|item| item.epoch).max().unwrap(),
            offsets: known.iter().map(|item| item.offset).collect(),
            duplicates: vec![true; known.len()],
        };
    }
    let next = room.next();
    if let Some(expected) = publish.expect.filter(|expected| *expected != next) {
        return Outcome::Refused(Refusal::Expected { expected, next });
    }
    let mut offsets = Vec::new();
    for new in &publish.messages {
        offsets.push(room.next());
        room.log.push(Item {
            offset: room.next(),
            epoch: at.epoch,
            id: new.id,
            from: publish.from.clone(),
            time,
            sent: new.sent,
            payload: new.payload.clone(),
        });
    }
    let duplicates = vec![false; offsets.len()];
    Outcome::Published { life: room.life, epoch: at.epoch, offsets, duplicates }
}

fn has_twins(publish: &Publish) -> bool {
    let ids: Vec<_> = publish.messages.iter().map(|new| new.id).collect();
    ids.iter().enumerate().any(|(index, id)| ids[..index].contains(id))
}

fn malformed(publish: &Publish) -> Outcome {
    let reason = if publish.messages.is_empty() {
        "a publish has at least one message"
    } else {
        "a message id stands twice in the publish"
    };
    Outcome::Refused(Refusal::Malformed(reason))
}
