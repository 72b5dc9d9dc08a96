//! Applying entries: the only place that decides existence, life, dedupe, `expect` and rules.

use std::sync::Arc;

use roomkeeper_types::{Epoch, LifeId, LogPosition, Offset, RoomName, ShardCount, ShardId};

use crate::{Batch, Item, Rows, RowsError, Write};

/// What became of one command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The room exists now; `existed`: it did before (only for a create that is not exclusive).
    Created {
        /// Its life.
        life: LifeId,
        /// Whether it was there already.
        existed: bool,
    },
    /// The room is gone.
    Deleted {
        /// The life that ended.
        life: LifeId,
    },
    /// The messages stand in the log, since now or since an earlier publish of the same ids.
    Published {
        /// The life they are in.
        life: LifeId,
        /// Epoch of the entry that stored them (of the newest one, where several did).
        epoch: Epoch,
        /// One per message.
        offsets: Vec<Offset>,
        /// One per message: whether it was stored before.
        duplicates: Vec<bool>,
    },
    /// Nothing was done.
    Refused(Refusal),
}

/// Why nothing was done. Deterministic: every replica refuses the same.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The room does not exist and the command does not create it.
    #[error("the room does not exist")]
    NotFound,
    /// An exclusive create of a room that exists.
    #[error("the room exists already")]
    AlreadyExists,
    /// The life named is not the room's present one.
    #[error("the room was deleted and created again since; its life is now {now}")]
    Recreated {
        /// The present life.
        now: LifeId,
    },
    /// `expect` is not the next offset.
    #[error("expected {expected} to be the next offset, but it is {next}")]
    Expected {
        /// What the client expected.
        expected: Offset,
        /// The room's next offset.
        next: Offset,
    },
    /// A message id is known with another sender or other data.
    #[error("message id {0} is already used by another message of this room")]
    IdReused(roomkeeper_types::MessageId),
    /// Some ids of the batch are known, and some are not; or an id stands twice in it.
    #[error("only a part of this batch is known: {0} is not; send the batch as it was sent first")]
    PartlyKnown(roomkeeper_types::MessageId),
    /// The room's name belongs to another shard.
    #[error("the room belongs to {0}")]
    WrongShard(ShardId),
    /// The command is malformed (an empty publish): a client's gateway should have refused it.
    #[error("{0}")]
    Malformed(&'static str),
}

/// What others want to know of an applied command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// Messages were appended: neighbouring offsets, in order.
    Appended {
        /// The room.
        room: RoomName,
        /// Its life.
        life: LifeId,
        /// At least one.
        items: Arc<[Item]>,
    },
    /// The room ended.
    Deleted {
        /// The room.
        room: RoomName,
        /// The life that ended.
        life: LifeId,
    },
}

/// Applies a run of entries over a view of the rows; later entries see the writes of earlier ones. The
/// caller then makes all writes in one atomic step together with its own applied row.
pub struct Applier<'r, R> {
    rows: &'r R,
    shard: ShardId,
    shards: ShardCount,
}

impl<'r, R: Rows> Applier<'r, R> {
    /// An applier for `shard` of `shards` over `rows`, which nobody may change meanwhile.
    pub fn new(rows: &'r R, shard: ShardId, shards: ShardCount) -> Self {
        Self { rows, shard, shards }
    }

    /// Applies one entry. One outcome per command, in order; effects are appended to `effects` in log order.
    ///
    /// # Errors
    /// The rows could not be read. The run must be dropped as a whole.
    pub fn apply(
        &mut self,
        at: LogPosition,
        batch: Batch,
        effects: &mut Vec<Effect>,
    ) -> Result<Vec<Outcome>, RowsError> {
        let _ = (self.rows, self.shard, self.shards, at, batch, effects);
        todo!()
    }

    /// Everything that the run changed.
    pub fn into_writes(self) -> Vec<Write> {
        todo!()
    }
}
