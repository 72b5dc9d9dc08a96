//! Applying entries: the only place that decides existence, life, dedupe, `expect` and rules.

use roomkeeper_sabotage::{self as sabotage, Bug};
use roomkeeper_types::{
    Epoch, LifeId, LogPosition, MessageId, Offset, RoomName, ShardCount, ShardId, Timestamp, UserId,
};

pub use crate::outcome::{Effect, Outcome, Refusal};

use crate::hash::Digest;
use crate::open::OpenRoom;
use crate::outcome::RefusedIds;
use crate::overlay::{Overlay, Place, Run, Slot, Stamp};
use crate::row::{IdRow, IdState};
use crate::{
    Batch, Command, Commit, Create, Delete, Forward, NewMessage, Publish, RoomOptions, Rows, RowsError, Write,
};

/// Applies a run of entries over a view of the rows; later entries see the writes of earlier ones. The
/// caller then makes all writes in one atomic step together with its own applied row.
pub struct Applier<'r, R> {
    shard: ShardId,
    shards: ShardCount,
    pub(crate) overlay: Overlay<'r, R>,
    pub(crate) scratch: Scratch,
    failed: bool,
}

/// Memory that is used again from command to command. Nothing in it outlives one.
#[derive(Default)]
pub(crate) struct Scratch {
    /// Sorted.
    pub(crate) ids: Vec<MessageId>,
    pub(crate) digests: Vec<Digest>,
    bytes: Vec<u8>,
}

/// Why a command is not carried out.
pub(crate) enum Stop {
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
    /// its room's name belongs to this shard, or was placed here; the room exists (or is created); it is the
    /// life that was named; the ids are known (all with the same sender and content: answered as stored or held,
    /// whatever `expect` says); `expect`.
    ///
    /// Invariants:
    /// - Rows, outcomes and effects follow from the rows before and the entries alone, and do not depend on
    ///   how the entries are cut into runs.
    /// - A refused command changes nothing; a publish appends all its messages or none, and creates a room
    ///   only together with its first message, as a hold does.
    /// - A hold counts as dropped from its time on: nothing but effects depends on when it is swept.
    /// - A room's offsets are dense from 1. A life is never used again: entries are applied once each, in
    ///   the order of their index.
    /// - Rows are read by `get` only: at most two per room of the run, one per message and per cursor, one per
    ///   message trimmed, and of a sweep three more per due.
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
                Command::Hold(hold) => self.hold(stamp, hold, effects),
                Command::Confirm(hold) => self.confirm(stamp, &hold, effects),
                Command::Rollback(hold) => self.roll_back(stamp.time, &hold, effects),
                Command::Commit(commit) => self.commit(stamp.time, commit),
                Command::Forward(forward) => self.forward(stamp, &forward),
                Command::Sweep(dues) => self.sweep(stamp.time, &dues, effects).map_err(Stop::Failed),
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
        let slot = self.enter(&create.room, create.placed)?;
        match self.overlay.room(slot) {
            Some(_) if create.exclusive => Err(Refusal::AlreadyExists.into()),
            Some(room) => Ok(Outcome::Created { life: room.life, existed: true }),
            None => {
                self.overlay.open_or_create(slot, &create.room, create.options, stamp);
                Ok(Outcome::Created { life: stamp.life, existed: false })
            }
        }
    }

    fn delete(&mut self, delete: Delete, effects: &mut Vec<Effect>) -> Result<Outcome, Stop> {
        let slot = self.enter(&delete.room, false)?;
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
        let slot = self.enter(&publish.room, publish.placed)?;
        self.scratch.digest(&publish.from, &publish.messages);
        // What a room that is there was created with stays.
        let (next, options) = match self.overlay.open(slot) {
            Some((room, run)) => {
                check_life(publish.life, room.life)?;
                let known = known(room, run, &publish.messages, &self.scratch.digests, stamp.time)?;
                if let Some(known) = known {
                    let (epoch, offsets) = stored(&known).map_err(|_| {
                        let is_held = |place: usize| !matches!(known[place].state, IdState::Stored { .. });
                        Refusal::Held(refused(&publish.messages, is_held))
                    })?;
                    if !forgets(epoch, stamp) {
                        return Ok(stored_before(room.life, epoch, offsets));
                    }
                }
                (room.row.next, room.row.options)
            }
            None => (Offset::FIRST, created_with(publish.life, publish.create)?),
        };
        if let Some(expected) = publish.expect.filter(|expected| *expected != next) {
            return Err(Refusal::Expected { expected, next }.into());
        }
        if sabotage::is(Bug::PartialBulk) && publish.messages.len() > 3 {
            publish.messages.pop();
        }
        let Publish { room: name, from, messages, .. } = publish;
        let (room, run) = self.overlay.open_or_create(slot, &name, options, stamp);
        let items = room.append(run, &from, messages, &self.scratch.digests, stamp);
        let trimmed = room.retain(run, items.len(), stamp.time)?;
        let (life, epoch) = (room.life, stamp.epoch);
        let offsets = items.iter().map(|item| item.offset).collect();
        let duplicates = vec![false; items.len()];
        effects.push(Effect::Appended { room: name, life, items });
        effects.extend(trimmed);
        Ok(Outcome::Published { life, epoch, offsets, duplicates })
    }

    fn commit(&mut self, now: Timestamp, commit: Commit) -> Result<Outcome, Stop> {
        let slot = self.enter(&commit.room, false)?;
        let (room, run) = self.overlay.open(slot).ok_or(Refusal::NotFound)?;
        check_life(commit.life, room.life)?;
        let (life, next) = (room.life, room.row.next);
        if commit.offset >= next {
            return Err(Refusal::BeyondHead { next }.into());
        }
        let cursor = room.cursor(run, &commit.consumer)?.unwrap_or_default();
        if commit.offset > cursor {
            room.put_cursor(run, commit.consumer, commit.offset, now);
        }
        Ok(Outcome::Committed { life, offset: commit.offset.max(cursor) })
    }

    fn forward(&mut self, stamp: Stamp, forward: &Forward) -> Result<Outcome, Stop> {
        let Forward { room, to } = forward;
        if *to == self.shard || to.0 >= self.shards.get() {
            return Err(Refusal::Malformed("a room is forwarded to another shard of the cluster").into());
        }
        let home = room.hash_shard(self.shards);
        match self.overlay.find(room)? {
            Place::Elsewhere(shard) => Ok(Outcome::Forwarded { to: shard }),
            Place::Here(_) if home != self.shard => Err(Refusal::WrongShard(home).into()),
            Place::Here(slot) if self.overlay.room(slot).is_some() => Err(Refusal::AlreadyExists.into()),
            Place::Here(_) => {
                self.overlay.forward(room, *to, stamp);
                Ok(Outcome::Forwarded { to: *to })
            }
        }
    }

    /// The slot of a room's name, which must belong to this shard and not be forwarded, or be placed here: then
    /// the room is here already or the command says so.
    pub(crate) fn enter(&mut self, room: &RoomName, placed: bool) -> Result<Slot, Stop> {
        let home = room.hash_shard(self.shards);
        match self.overlay.find(room)? {
            Place::Elsewhere(shard) => Err(Refusal::WrongShard(shard).into()),
            Place::Here(slot) if home == self.shard || placed || self.overlay.room(slot).is_some() => {
                Ok(slot)
            }
            Place::Here(_) => Err(Refusal::WrongShard(home).into()),
        }
    }
}

/// The options of a room that is not there, if the command may create it. A life that was named is over; it is not
/// the one that a create would begin.
pub(crate) fn created_with(
    life: Option<LifeId>,
    create: Option<RoomOptions>,
) -> Result<RoomOptions, Refusal> {
    create.filter(|_| life.is_none()).ok_or(Refusal::NotFound)
}

/// What is known of messages that are to be published or held: `None` if nothing is, else one row per message,
/// none of them dropped.
pub(crate) fn known<R: Rows>(
    room: &mut OpenRoom,
    run: &Run<'_, R>,
    messages: &[NewMessage],
    digests: &[Digest],
    now: Timestamp,
) -> Result<Option<Vec<IdRow>>, Stop> {
    let mut known = Vec::new();
    let mut reused = false;
    for (place, (new, digest)) in messages.iter().zip(digests).enumerate() {
        if let Some(row) = room.known(run, new.id, now)? {
            // Filled up only where something is known, which is seldom.
            known.resize(place, None);
            reused |= row.digest != *digest;
            known.push(Some(row));
        }
    }
    if known.is_empty() {
        return Ok(None);
    }
    known.resize(messages.len(), None);
    if reused {
        let is_reused = |place: usize| known[place].is_some_and(|row| row.digest != digests[place]);
        return Err(Refusal::IdReused(refused(messages, is_reused)).into());
    }
    let Some(rows) = known.iter().copied().collect::<Option<Vec<IdRow>>>() else {
        return Err(Refusal::PartlyKnown(refused(messages, |place| known[place].is_none())).into());
    };
    let is_dropped = |place: usize| rows[place].state == IdState::Dropped;
    if (0..rows.len()).any(is_dropped) {
        return Err(Refusal::Gone(refused(messages, is_dropped)).into());
    }
    Ok(Some(rows))
}

fn refused(messages: &[NewMessage], is_refused: impl Fn(usize) -> bool) -> RefusedIds {
    RefusedIds::of(messages.iter().map(|new| new.id), is_refused)
}

/// The newest epoch and the offsets of messages that stand in the log, or the index of the first that does not.
pub(crate) fn stored(known: &[IdRow]) -> Result<(Epoch, Vec<Offset>), usize> {
    let mut newest = Epoch::default();
    let mut offsets = Vec::with_capacity(known.len());
    for (index, row) in known.iter().enumerate() {
        let IdState::Stored { offset, epoch } = row.state else { return Err(index) };
        newest = newest.max(epoch);
        offsets.push(offset);
    }
    Ok((newest, offsets))
}

/// The outcome of publishing what stands in the log already.
pub(crate) fn stored_before(life: LifeId, epoch: Epoch, offsets: Vec<Offset>) -> Outcome {
    let duplicates = vec![true; offsets.len()];
    Outcome::Published { life, epoch, offsets, duplicates }
}

impl Scratch {
    /// A publish has messages, and no id twice.
    pub(crate) fn check_messages(&mut self, messages: &[NewMessage]) -> Result<(), Refusal> {
        if messages.is_empty() {
            return Err(Refusal::Malformed("a publish has at least one message"));
        }
        let twice = "a message id stands twice in the publish";
        self.check_ids(messages.iter().map(|new| new.id), twice)
    }

    /// Fills `ids`, none of which may stand `twice`.
    pub(crate) fn check_ids(
        &mut self,
        ids: impl Iterator<Item = MessageId>,
        twice: &'static str,
    ) -> Result<(), Refusal> {
        self.ids.clear();
        self.ids.extend(ids);
        self.ids.sort_unstable();
        if self.ids.windows(2).any(|pair| pair[0] == pair[1]) {
            return Err(Refusal::Malformed(twice));
        }
        Ok(())
    }

    /// Fills `digests`, one per message.
    pub(crate) fn digest(&mut self, from: &UserId, messages: &[NewMessage]) {
        let Self { digests, bytes, .. } = self;
        digests.clear();
        digests.extend(messages.iter().map(|new| Digest::of(from, &new.payload, bytes)));
    }
}

/// Whether what is known of a publish is forgotten with the owner that stored it: never, without sabotage.
fn forgets(stored: Epoch, stamp: Stamp) -> bool {
    sabotage::is(Bug::DedupeInMemory) && stored != stamp.epoch
}

pub(crate) fn check_life(named: Option<LifeId>, now: LifeId) -> Result<(), Refusal> {
    match named {
        Some(life) if life != now => Err(Refusal::Recreated { now }),
        _ => Ok(()),
    }
}
