//! Guests in a history: clients whose tokens allow little, and run out.

use roomkeeper_types::{Offset, RoomName};
use serde::{Deserialize, Serialize};

use super::event::{At, Id, NodeIndex};

/// A guest was let in.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GuestIn {
    /// This guest, on one socket.
    pub guest: Id,
    /// The node that it is on.
    pub node: NodeIndex,
    /// Rooms that it may read; it may do nothing else.
    pub rooms: Vec<RoomName>,
    /// When its token runs out.
    pub expires: At,
}

/// A guest asked for something and was answered.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GuestAsked {
    /// Which guest.
    pub guest: Id,
    /// Of which room.
    pub room: RoomName,
    /// What: a command's name.
    pub command: String,
    /// When it asked.
    #[serde(default)]
    pub since: At,
    /// The error's code; `None`: it was done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
}

/// A guest was sent something of a room.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GuestTold {
    /// Which guest.
    pub guest: Id,
    /// Of which room.
    pub room: RoomName,
    /// The push's name.
    pub push: String,
    /// The last message of it, if there was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last: Option<Offset>,
}

/// A guest's socket ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GuestEnd {
    /// Which guest.
    pub guest: Id,
    /// The close code, where the server said one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<u16>,
    /// Whether the guest went by itself.
    #[serde(default)]
    pub left: bool,
}

/// A guest.
#[derive(Debug, Clone)]
pub struct Guest {
    /// Since when it was in.
    pub since: At,
    /// Who it is and what it may do.
    pub guest: GuestIn,
    /// What it asked for, in order, by the time of the answers.
    pub asked: Vec<(At, GuestAsked)>,
    /// What it was sent, in order.
    pub told: Vec<(At, GuestTold)>,
    /// When and how its socket ended.
    pub end: Option<(At, GuestEnd)>,
}

impl Guest {
    /// Whether it may be told of a room, and may ask this of it.
    #[must_use]
    pub fn may(&self, room: &RoomName, command: &str) -> bool {
        self.guest.rooms.contains(room) && matches!(command, "join" | "leave" | "history" | "heartbeat")
    }
}
