//! Applying entries: the only place that decides existence, life, dedupe, `expect` and rules.

use roomkeeper_sabotage::{self as sabotage, Bug};
use roomkeeper_types::{LifeId, LogPosition, MessageId, Offset, RoomName, ShardCount, ShardId};

pub use crate::outcome::{Effect, Outcome, Refusal};

use crate::hash::Digest;
use crate::overlay::{OpenRoom, Overlay, Place, Slot, Stamp};
use crate::{Batch, Command, Create, Delete, NewMessage, Publish, Rows, RowsError, Write};

/// Applies a run of entries over a view of the rows; later entries see the writes of earlier ones. The
/// caller then makes all writes in one atomic step together with its own applied row.
pub struct Applier<'r, R> {
    shard: ShardId,
    shards: ShardCount,
    overlay: Overlay<'r, R>,
    scratch: Scratch,
    failed: bool,
}

/// Memory that is used again from command to command. Nothing in it outlives one.
#[derive(Default)]
struct Scratch {
    ids: Vec<MessageId>,
    digests: Vec<Digest>,
    bytes: Vec<u8>,
}

/// Why a command is not carried out.
enum Stop {
    /// It is answered so, and the next one is applied.
    Refused(Refusal),
    /// Nobody knows what it should do; the run is over.
    Failed(RowsError),
}

impl From<Refusal> for Stop {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl From<RowsError> for Stop {
    fn from(error: RowsError) -> Self {
        Self::Failed(error)
    }
}

impl<'r, R: Rows> Applier<'r, R> {
    /// An applier for `shard` of `shards` over `rows`, which nobody may change meanwhile.
    pub fn new(rows: &'r R, shard: ShardId, shards: ShardCount) -> Self {
        Self { shard, shards, overlay: Overlay::new(rows), scratch: Scratch::default(), failed: false }
    }

    /// Applies one entry. One outcome per command, in order; effects are appended to `effects` in log order.
    ///
    /// The decisions of a command fall in this order, and the first that refuses ends it: it is well formed;
    /// its room's name belongs to this shard; the room exists (or is created); it is the life that was named;
    /// the ids are known (all with the same sender and content: answered as stored, whatever `expect` says);
    /// `expect`.
    ///
    /// Invariants:
    /// - Rows, outcomes and effects follow from the rows before and the entries alone, and do not depend on
    ///   how the entries are cut into runs.
    /// - A refused command changes nothing; a publish appends all its messages or none, and creates a room
    ///   only together with its first message.
    /// - A room's offsets are dense from 1. A life is never used again: entries are applied once each, in
    ///   the order of their index.
    /// - Rows are read by `get` only: at most two per room of the run, and one per message.
    ///
    /// # Errors
    /// The rows could not be read. The run must be dropped as a whole, its outcomes and effects too.
    pub fn apply(
        &mut self,
        at: LogPosition,
        batch: Batch,
        effects: &mut Vec<Effect>,
    ) -> Result<Vec<Outcome>, RowsError> {
        let mut outcomes = Vec::with_capacity(batch.commands.len());
        for (ordinal, command) in (0..).zip(batch.commands) {
            let life = LifeId { shard: self.shard, index: at.index.get(), ordinal };
            let stamp = Stamp { epoch: at.epoch, time: batch.time, life };
            let decided = match command {
                Command::Create(create) => self.create(stamp, create),
                Command::Delete(delete) => self.delete(delete, effects),
                Command::Publish(publish) => self.publish(stamp, publish, effects),
            };
            outcomes.push(match decided {
                Ok(outcome) => outcome,
                Err(Stop::Refused(refusal)) => Outcome::Refused(refusal),
                Err(Stop::Failed(error)) => {
                    self.failed = true;
                    return Err(error);
                }
            });
        }
        Ok(outcomes)
    }

    /// Everything that the run changed.
    ///
    /// # Panics
    /// After a failed [`Applier::apply`]: part of an entry must never be written.
    pub fn into_writes(self) -> Vec<Write> {
        assert!(!self.failed, "a run that could not read its rows was to be written");
        self.overlay.into_writes()
    }

    fn create(&mut self, stamp: Stamp, create: Create) -> Result<Outcome, Stop> {
        let slot = self.enter(&create.room)?;
        match self.overlay.room(slot) {
            Some(_) if create.exclusive => Err(Refusal::AlreadyExists.into()),
            Some(room) => Ok(Outcome::Created { life: room.life, existed: true }),
            None => {
                self.overlay.create(slot, &create.room, stamp);
                Ok(Outcome::Created { life: stamp.life, existed: false })
            }
        }
    }

    fn delete(&mut self, delete: Delete, effects: &mut Vec<Effect>) -> Result<Outcome, Stop> {
        let slot = self.enter(&delete.room)?;
        let life = self.overlay.room(slot).ok_or(Refusal::NotFound)?.life;
        check_life(delete.life, life)?;
        self.overlay.delete(slot, &delete.room, life);
        effects.push(Effect::Deleted { room: delete.room, life });
        Ok(Outcome::Deleted { life })
    }

    fn publish(
        &mut self,
        stamp: Stamp,
        mut publish: Publish,
        effects: &mut Vec<Effect>,
    ) -> Result<Outcome, Stop> {
        self.scratch.check_messages(&publish.messages)?;
        let slot = self.enter(&publish.room)?;
        let next = match self.overlay.room(slot) {
            Some(room) => {
                check_life(publish.life, room.life)?;
                self.scratch.digest(&publish);
                if let Some(stored) = self.stored(room, &publish)?.filter(|stored| !forgets(stored, stamp)) {
                    return Ok(stored);
                }
                room.row.next
            }
            // A life that was named is over; it is not the one that a create would begin.
            None if publish.life.is_some() || !publish.create => return Err(Refusal::NotFound.into()),
            None => {
                self.scratch.digest(&publish);
                Offset::FIRST
            }
        };
        if let Some(expected) = publish.expect.filter(|expected| *expected != next) {
            return Err(Refusal::Expected { expected, next }.into());
        }
        if sabotage::is(Bug::PartialBulk) && publish.messages.len() > 3 {
            publish.messages.pop();
        }
        let room = publish.room.clone();
        let (life, items) = self.overlay.append(slot, publish, &self.scratch.digests, stamp);
        let offsets = items.iter().map(|item| item.offset).collect();
        let duplicates = vec![false; items.len()];
        effects.push(Effect::Appended { room, life, items });
        Ok(Outcome::Published { life, epoch: stamp.epoch, offsets, duplicates })
    }

    /// The outcome of a publish that is in the room already, `None` for one that is new.
    fn stored(&self, room: &OpenRoom, publish: &Publish) -> Result<Option<Outcome>, Stop> {
        let mut known = Vec::new();
        let mut unknown = None;
        for (new, digest) in publish.messages.iter().zip(&self.scratch.digests) {
            match self.overlay.known(room, new.id)? {
                Some(row) if row.digest != *digest => return Err(Refusal::IdReused(new.id).into()),
                Some(row) => known.push(row),
                None => unknown = unknown.or(Some(new.id)),
            }
        }
        // The newest epoch; none is known at all when there is none.
        let Some(epoch) = known.iter().map(|row| row.epoch).max() else { return Ok(None) };
        if let Some(id) = unknown {
            return Err(Refusal::PartlyKnown(id).into());
        }
        let offsets = known.iter().map(|row| row.offset).collect();
        let duplicates = vec![true; known.len()];
        Ok(Some(Outcome::Published { life: room.life, epoch, offsets, duplicates }))
    }

    /// The slot of a room's name, which must belong to this shard and not be forwarded.
    fn enter(&mut self, room: &RoomName) -> Result<Slot, Stop> {
        let home = room.hash_shard(self.shards);
        if home != self.shard {
            return Err(Refusal::WrongShard(home).into());
        }
        match self.overlay.find(room)? {
            Place::Here(slot) => Ok(slot),
            Place::Elsewhere(shard) => Err(Refusal::WrongShard(shard).into()),
        }
    }
}

impl Scratch {
    /// A publish has messages, and no id twice.
    fn check_messages(&mut self, messages: &[NewMessage]) -> Result<(), Refusal> {
        if messages.is_empty() {
            return Err(Refusal::Malformed("a publish has at least one message"));
        }
        self.ids.clear();
        self.ids.extend(messages.iter().map(|new| new.id));
        self.ids.sort_unstable();
        if self.ids.windows(2).any(|pair| pair[0] == pair[1]) {
            return Err(Refusal::Malformed("a message id stands twice in the publish"));
        }
        Ok(())
    }

    /// Fills `digests`, one per message.
    fn digest(&mut self, publish: &Publish) {
        let Self { digests, bytes, .. } = self;
        digests.clear();
        digests.extend(publish.messages.iter().map(|new| Digest::of(&publish.from, &new.payload, bytes)));
    }
}

/// Whether what is known of a publish is forgotten with the owner that stored it: never, without sabotage.
fn forgets(stored: &Outcome, stamp: Stamp) -> bool {
    let is_of_this_owner = |stored: &Outcome| match stored {
        Outcome::Published { epoch, .. } => *epoch == stamp.epoch,
        _ => true,
    };
    sabotage::is(Bug::DedupeInMemory) && !is_of_this_owner(stored)
}

fn check_life(named: Option<LifeId>, now: LifeId) -> Result<(), Refusal> {
    match named {
        Some(life) if life != now => Err(Refusal::Recreated { now }),
        _ => Ok(()),
    }
}
