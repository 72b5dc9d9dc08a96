//! What falls due in a room, as the due table's keys say it.

use std::fmt;

use roomkeeper_types::{LifeId, MessageId, Timestamp};

/// The place of the entry that made a hold: unique within a shard, in the order of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HoldId {
    /// Index of the entry.
    pub index: u64,
    /// Which of the entry's commands it was, from 0.
    pub ordinal: u32,
}

impl fmt::Display for HoldId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "h{}-{}", self.index, self.ordinal)
    }
}

/// Something that is to be done to a life of a room from a time on. Ordered by time, then life, then what.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Due {
    /// From when on. Nothing happens by itself then: an entry that is stamped so or later carries it out.
    pub time: Timestamp,
    /// To which life. One that is over makes the due void.
    pub life: LifeId,
    /// What.
    pub what: DueKind,
}

/// What is to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DueKind {
    /// Drop a hold: it ran out.
    Hold(HoldId),
    /// Forget a message id: its message was trimmed or dropped, and no retry of it is expected any more.
    Id(MessageId),
    /// Trim what the room's options do not keep. A room has at most one of these.
    Age,
}
