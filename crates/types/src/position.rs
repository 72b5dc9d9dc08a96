//! Positions: where something stands in a log, and when.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Largest value of a number that clients see: JSON numbers are exact below 2^53.
const MAX_JSON_NUMBER: u64 = (1 << 53) - 1;

macro_rules! position {
    ($(#[$doc:meta])* $name:ident, $prefix:literal) => {
        $(#[$doc])*
        #[derive(
            Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
        )]
        #[serde(transparent)]
        pub struct $name(pub u64);

        impl $name {
            /// The largest value a client can be shown (2^53 - 1).
            pub const MAX: Self = Self(MAX_JSON_NUMBER);

            /// The position after this one.
            #[must_use]
            pub const fn next(self) -> Self {
                Self(self.0 + 1)
            }

            /// The plain number.
            #[must_use]
            pub const fn get(self) -> u64 {
                self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!($prefix, "{}"), self.0)
            }
        }
    };
}

position! {
    /// The Raft term under which a shard's owner was elected: the fencing token that clients and tools see.
    /// Grows with every change of owner, is durable and is never reused. 0: no owner was ever elected.
    Epoch, "e"
}
position! {
    /// Position of an entry in a shard's Raft log. Consensus plane only: clients never see it.
    LogIndex, "i"
}
position! {
    /// Place of a message in a room's log: dense, from 1, continuing across owners. For one life of a
    /// room, an offset names one message for ever. 0 stands before the first message.
    Offset, "o"
}

impl Offset {
    /// The first message's offset.
    pub const FIRST: Self = Self(1);
}

/// Milliseconds since the Unix epoch, stamped by a shard's owner inside the log entry.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Timestamp(pub u64);

impl Timestamp {
    /// Milliseconds since the Unix epoch.
    #[must_use]
    pub const fn millis(self) -> u64 {
        self.0
    }
}

/// Where an entry stands in a shard's log and which owner wrote it. Ordered by epoch, then index, as
/// Raft compares logs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct LogPosition {
    /// The term of the entry.
    pub epoch: Epoch,
    /// The entry's index.
    pub index: LogIndex,
}

impl fmt::Display for LogPosition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.epoch, self.index)
    }
}
