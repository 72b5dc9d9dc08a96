//! Who is in a room: soft state of its owner, and what subscribers are told of it. No clock: time comes in.
//!
//! A member is a user on a device, however many sockets it has. Changes are numbered, and a subscriber holds the number
//! up to which it was told; what came and went in between cancels out. A new owner knows nobody at first: until its
//! members have had time to come back nobody is announced, and then one full picture settles it.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Instant;

use roomkeeper_protocol::{Member, PresencePush, Push};
use roomkeeper_types::{Epoch, RoomName, Timestamp, UserId};

use super::event::Event;

/// Above so many members only their number is told.
const SHOWN_MAX: usize = 100;
/// Most changes that are kept; who is further behind is told the whole picture.
const CHANGES_MAX: usize = 1024;

/// A user on a device.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct MemberId {
    pub(crate) user: UserId,
    pub(crate) device: Option<String>,
}

/// How far a subscriber was told who is there.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Told {
    /// Nothing yet.
    #[default]
    Nothing,
    /// That it is not known yet.
    Unsettled,
    /// Everything below this change.
    Until(u64),
}

/// The room has as many members as it may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the room has {0} members, as many as it may have")]
pub(crate) struct Full(pub(crate) u32);

/// Who is in a room.
#[derive(Default)]
pub(super) struct Members {
    /// The ownership that knows them.
    epoch: Epoch,
    present: BTreeMap<MemberId, Present>,
    changes: VecDeque<Change>,
    /// Number of the change that comes next.
    next: u64,
    /// Changes below may be told: they are in batches.
    announced: u64,
    settles_at: Option<Instant>,
    /// The newest pushes, as most subscribers are told the same.
    picture: Option<(u64, Arc<Event>)>,
    step: Option<(u64, u64, Arc<Event>)>,
}

struct Present {
    since: Timestamp,
    sockets: u32,
}

struct Change {
    came: bool,
    member: Member,
}

impl Members {
    /// An ownership counts members from here on. Those of an earlier one are forgotten; if there may have been some,
    /// the picture is settled at `settles_at`. Returns whether that is news.
    pub(super) fn begin(&mut self, epoch: Epoch, settles_at: Option<Instant>) -> bool {
        if epoch <= self.epoch {
            return false;
        }
        // Numbers go on, so that nobody is told the changes of one ownership as another's.
        *self = Self { epoch, next: self.next + 1, settles_at, ..Self::default() };
        true
    }

    /// Whether this ownership counts members now.
    pub(super) fn is_of(&self, epoch: Epoch) -> bool {
        self.epoch == epoch
    }

    /// Subscribers may be told of what has changed.
    pub(super) fn announce(&mut self) {
        self.announced = self.next;
    }

    /// One more socket of a member.
    ///
    /// # Errors
    /// It is not there yet, and `max` others are.
    pub(super) fn enter(&mut self, id: &MemberId, now: Timestamp, max: Option<u32>) -> Result<(), Full> {
        if let Some(present) = self.present.get_mut(id) {
            present.sockets += 1;
            return Ok(());
        }
        if let Some(max) = max.filter(|max| self.present.len() >= *max as usize) {
            return Err(Full(max));
        }
        self.present.insert(id.clone(), Present { since: now, sockets: 1 });
        self.note(true, member(id, now));
        Ok(())
    }

    /// One socket less. Of an earlier ownership it does not count.
    pub(super) fn exit(&mut self, id: &MemberId, epoch: Epoch) {
        if epoch != self.epoch {
            return;
        }
        let Some(present) = self.present.get_mut(id) else { return };
        present.sockets -= 1;
        if present.sockets == 0 {
            let since = present.since;
            self.present.remove(id);
            self.note(false, member(id, since));
        }
    }

    fn note(&mut self, came: bool, member: Member) {
        self.changes.push_back(Change { came, member });
        self.next += 1;
        if self.changes.len() > CHANGES_MAX {
            self.changes.pop_front();
        }
    }

    /// Whether whoever was there has had time to come back.
    pub(super) fn is_settled(&self, now: Instant) -> bool {
        self.settles_at.is_none_or(|at| at <= now)
    }

    /// How many are there.
    pub(super) fn count(&self) -> u64 {
        self.present.len() as u64
    }

    /// All of them, by user and device.
    pub(super) fn list(&self) -> Vec<Member> {
        self.present.iter().map(|(id, present)| member(id, present.since)).collect()
    }

    /// What a subscriber is told next, if there is anything, and how far it was told then.
    pub(super) fn tell(&mut self, room: &RoomName, told: Told, now: Instant) -> Option<(Arc<Event>, Told)> {
        if !self.is_settled(now) {
            let unsettled = PresencePush { settled: false, ..self.push(room) };
            return (told == Told::Nothing).then(|| (Event::new(Push::Presence(unsettled)), Told::Unsettled));
        }
        let until = Told::Until(self.next);
        let oldest = self.next - self.changes.len() as u64;
        match told {
            Told::Until(from) if from >= self.announced => None,
            Told::Until(from) if from >= oldest => Some((self.step(room, from), until)),
            // Not told yet, or too far behind.
            _ => Some((self.picture(room), until)),
        }
    }

    fn picture(&mut self, room: &RoomName) -> Arc<Event> {
        if let Some((_, event)) = self.picture.as_ref().filter(|(at, _)| *at == self.next) {
            return event.clone();
        }
        let members = (self.present.len() <= SHOWN_MAX).then(|| self.list());
        let event = Event::new(Push::Presence(PresencePush { members, ..self.push(room) }));
        self.picture = Some((self.next, event.clone()));
        event
    }

    /// What changed from a change on that is still kept.
    fn step(&mut self, room: &RoomName, from: u64) -> Arc<Event> {
        let wanted = (from, self.next);
        if let Some((.., event)) = self.step.as_ref().filter(|(from, to, _)| (*from, *to) == wanted) {
            return event.clone();
        }
        let mut push = self.push(room);
        if self.present.len() <= SHOWN_MAX {
            let skipped = self.changes.len() as u64 - (self.next - from);
            for change in self.changes.iter().skip(skipped as usize) {
                let (same, other) = if change.came {
                    (&mut push.joined, &mut push.left)
                } else {
                    (&mut push.left, &mut push.joined)
                };
                match other.iter().position(|other| is_same(other, &change.member)) {
                    Some(at) => drop(other.remove(at)),
                    None => same.push(change.member.clone()),
                }
            }
        }
        let event = Event::new(Push::Presence(push));
        self.step = Some((wanted.0, wanted.1, event.clone()));
        event
    }

    fn push(&self, room: &RoomName) -> PresencePush {
        let count = self.count();
        PresencePush {
            room: room.clone(),
            joined: Vec::new(),
            left: Vec::new(),
            count,
            settled: true,
            members: None,
        }
    }
}

fn member(id: &MemberId, since: Timestamp) -> Member {
    Member { user: id.user.clone(), device: id.device.clone(), since }
}

fn is_same(a: &Member, b: &Member) -> bool {
    a.user == b.user && a.device == b.device
}

#[cfg(test)]
#[path = "members_test.rs"]
mod tests;
