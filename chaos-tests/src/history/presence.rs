//! Presence in a history: who joined and left, what subscribers were told of it, and what nodes said in the end.

use roomkeeper_types::{NodeId, RoomName};
use serde::{Deserialize, Serialize};

use super::event::{At, Id};

/// A member is about to join a room.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MemberJoin {
    /// This stay.
    pub member: Id,
    /// The room.
    pub room: RoomName,
    /// User and device, `user/device`: what presence tells members apart by.
    pub name: String,
}

/// What a subscriber was told, and who is there by all that it was told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Company {
    /// Who came.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub joined: Vec<String>,
    /// Who went.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub left: Vec<String>,
    /// How many are there, by the server's count.
    pub count: u64,
    /// Whether the owner knows who is there.
    pub settled: bool,
    /// Who is there.
    pub members: Vec<String>,
}

/// A stay of a member in a room.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// Its number.
    pub member: Id,
    /// User and device.
    pub name: String,
    /// The subscription that is it, where what that was told is noted.
    pub sub: Option<Id>,
    /// When it was about to join.
    pub asked: At,
    /// When it had joined.
    pub joined: Option<At>,
    /// When it was about to leave.
    pub left: Option<At>,
}

/// Who is in a room, as a node answered at the end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Picture {
    /// When.
    pub at: At,
    /// Which node was asked.
    pub node: NodeId,
    /// Its answer.
    pub members: Vec<String>,
}
