//! What applying a command comes to: an outcome for its sender, effects for everybody else.

use std::sync::Arc;

use roomkeeper_types::{Epoch, LifeId, MessageId, Offset, RoomName, ShardId};

use crate::Item;

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
    IdReused(MessageId),
    /// Some ids of the batch are known, and this one is not.
    #[error("only a part of this batch is known: {0} is not; send the batch as it was sent first")]
    PartlyKnown(MessageId),
    /// The room's name belongs to another shard.
    #[error("the room belongs to {0}")]
    WrongShard(ShardId),
    /// The command is malformed (an empty publish, or an id that stands twice in one): a client's gateway
    /// should have refused it.
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
