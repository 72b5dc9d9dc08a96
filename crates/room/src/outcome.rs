//! What applying a command comes to: an outcome for its sender, effects for everybody else.

use std::fmt;
use std::sync::Arc;

use roomkeeper_types::{Epoch, LifeId, MessageId, Offset, RoomName, ShardId, Timestamp};

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
    /// The messages are held, since now or since an earlier hold of the same ids.
    Held {
        /// The life they are in.
        life: LifeId,
        /// Epoch of the entry that holds them.
        epoch: Epoch,
        /// When the hold runs out.
        expires: Timestamp,
        /// Whether they were held before; `epoch` and `expires` are then those of the first time.
        duplicate: bool,
    },
    /// The messages of the hold stand in the log, since now or since an earlier confirmation.
    Confirmed {
        /// The life they are in.
        life: LifeId,
        /// Epoch of the entry that confirmed them.
        epoch: Epoch,
        /// One per id of the command, in its order.
        offsets: Vec<Offset>,
    },
    /// The messages of the hold are dropped, since now or since before.
    RolledBack {
        /// The life they were held in.
        life: LifeId,
    },
    /// The cursor stands, now or since before.
    Committed {
        /// The life it is in.
        life: LifeId,
        /// Where it stands: 0 if the consumer never committed.
        offset: Offset,
    },
    /// The name is forwarded, since now or since before.
    Forwarded {
        /// The shard that it is forwarded to, whichever the command named.
        to: ShardId,
    },
    /// Of the dues, those that were there and due were carried out.
    Swept,
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
    /// Message ids are known with another sender or other data (conflict).
    #[error("message id {0} is already used by another message of this room")]
    IdReused(RefusedIds),
    /// Some ids of the batch are known, and these are not (conflict).
    #[error("only a part of this batch is known: {0} is not; send the batch as it was sent first")]
    PartlyKnown(RefusedIds),
    /// The room's name belongs to another shard.
    #[error("the room belongs to {0}")]
    WrongShard(ShardId),
    /// An id of a hold that nobody made, or that was forgotten since (not found).
    #[error("message id {0} is not known in this room")]
    UnknownId(MessageId),
    /// The ids are not exactly those of one hold (conflict). Names one that is too much, or one that is missing.
    #[error("the ids are not all those of one hold, and no others: see {0}")]
    NotOneHold(MessageId),
    /// The messages are somebody else's (forbidden).
    #[error("only the sender of the held messages may confirm them or roll them back")]
    NotSender,
    /// A rollback of messages that stand in the log (too late).
    #[error("the messages stand in the log already")]
    TooLate,
    /// Messages were held and dropped: rolled back, or their hold ran out (gone).
    #[error("message id {0} was held, and rolled back or not confirmed in time; use a new id")]
    Gone(RefusedIds),
    /// A plain publish of ids that are held (conflict).
    #[error("message id {0} is held: confirm it or roll it back")]
    Held(RefusedIds),
    /// A commit of an offset that the room has not reached (bad request).
    #[error("the offset is beyond the last one: the next one is {next}")]
    BeyondHead {
        /// The room's next offset.
        next: Offset,
    },
    /// The command is malformed (no message or id, one that stands twice, a hold of no time, a forward to
    /// nowhere): a client's gateway should have refused it.
    #[error("{0}")]
    Malformed(&'static str),
}

impl Refusal {
    /// Which of the command's messages were the reason, where it was some of them, and what is wrong with each.
    #[must_use]
    pub fn items(&self) -> Option<(&RefusedIds, &'static str)> {
        match self {
            Self::IdReused(ids) => Some((ids, "the id is another message's")),
            Self::PartlyKnown(ids) => Some((ids, "it is not known, and others of the batch are")),
            Self::Gone(ids) => Some((ids, "it was held and dropped")),
            Self::Held(ids) => Some((ids, "it is held")),
            _ => None,
        }
    }
}

/// Messages of a command that are refused: for each its place there, from 0, and its id. At least one, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefusedIds(pub Vec<(u32, MessageId)>);

impl RefusedIds {
    /// Those of `ids` whose place is asked for.
    pub(crate) fn of(ids: impl Iterator<Item = MessageId>, is_refused: impl Fn(usize) -> bool) -> Self {
        let places = (0..).zip(ids).enumerate().filter(|(place, _)| is_refused(*place));
        Self(places.map(|(_, refused)| refused).collect())
    }
}

impl fmt::Display for RefusedIds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.as_slice() {
            [] => Ok(()),
            [(_, id)] => write!(f, "{id}"),
            [(_, id), more @ ..] => write!(f, "{id} (and {} more)", more.len()),
        }
    }
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
    /// Messages are held.
    Held {
        /// The room.
        room: RoomName,
        /// Its life.
        life: LifeId,
        /// At least one, in the order of the hold, stamped by its entry. They have the offset 0.
        items: Arc<[Item]>,
        /// When the hold runs out.
        expires: Timestamp,
    },
    /// The messages of a hold were dropped: it was rolled back, or ran out.
    RolledBack {
        /// The room.
        room: RoomName,
        /// Its life.
        life: LifeId,
        /// All of the hold's, in its order.
        ids: Vec<MessageId>,
    },
    /// Messages were trimmed.
    Trimmed {
        /// The room.
        room: RoomName,
        /// Its life.
        life: LifeId,
        /// The first offset that is kept now.
        first: Offset,
    },
}
