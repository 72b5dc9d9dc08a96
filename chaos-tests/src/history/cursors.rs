//! Durable cursors in a history: who reads under which name, and what was committed.

use roomkeeper_types::{ConsumerId, Offset, RoomName};
use serde::{Deserialize, Serialize};

use super::asked::Asked;
use super::event::Id;

/// What a subscription that follows a cursor was told when it joined.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Following {
    /// The cursor's name.
    pub consumer: ConsumerId,
    /// How far the server may be ahead of what is committed.
    pub credit: u64,
    /// The cursor.
    pub committed: Offset,
    /// Messages above it.
    pub unread: u64,
}

/// A consumer is about to commit.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CommitInvoke {
    /// This commit.
    pub op: Id,
    /// The subscription that commits.
    pub sub: Id,
    /// The room.
    pub room: RoomName,
    /// Whose cursor.
    pub consumer: ConsumerId,
    /// Where to.
    pub offset: Offset,
}

/// A commit.
#[derive(Debug, Clone)]
pub struct Commit {
    /// The subscription that committed.
    pub sub: Id,
    /// Whose cursor.
    pub consumer: ConsumerId,
    /// Where to.
    pub offset: Offset,
    /// What came of it; the answer is the cursor.
    pub asked: Asked<Offset>,
}
