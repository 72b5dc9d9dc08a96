//! What a log entry says: a batch of commands and the time its owner stamped on it.

use bytes::Bytes;
use roomkeeper_types::{LifeId, MessageId, Offset, RoomName, Timestamp, UserId};

/// The payload of one shard log entry: everything that had queued at the owner, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    /// max(owner's clock, last stamp of the shard): apply never reads a clock.
    pub time: Timestamp,
    /// Carried out in order, each seeing what those before it did.
    pub commands: Vec<Command>,
}

/// One client operation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// Create a room.
    Create(Create),
    /// Delete a room and all its messages.
    Delete(Delete),
    /// Append messages, all or none.
    Publish(Publish),
}

impl Command {
    /// The room it is about.
    #[must_use]
    pub fn room(&self) -> &RoomName {
        match self {
            Self::Create(create) => &create.room,
            Self::Delete(delete) => &delete.room,
            Self::Publish(publish) => &publish.room,
        }
    }
}

/// Create a room.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Create {
    /// Its name, which hashes to this shard.
    pub room: RoomName,
    /// Whether a room that exists is `AlreadyExists` (`create`) or simply returned (`join` with
    /// auto-create).
    pub exclusive: bool,
}

/// Delete a room.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delete {
    /// Its name.
    pub room: RoomName,
    /// Only this life of it.
    pub life: Option<LifeId>,
}

/// Append messages with neighbouring offsets, all or none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Publish {
    /// The room.
    pub room: RoomName,
    /// Only this life of it.
    pub life: Option<LifeId>,
    /// The sender.
    pub from: UserId,
    /// At least one message.
    pub messages: Vec<NewMessage>,
    /// Only if this is the room's next offset.
    pub expect: Option<Offset>,
    /// Whether a room that does not exist is created; decided at the owner's gateway, since apply may not
    /// read local configuration.
    pub create: bool,
}

/// One message to append.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewMessage {
    /// The sender's UUID for it.
    pub id: MessageId,
    /// When the sender says it was written.
    pub sent: Option<Timestamp>,
    /// Its content.
    pub payload: Payload,
}

/// A message's content, opaque to the room.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Payload {
    /// What the bytes are.
    pub kind: PayloadKind,
    /// The bytes as the sender wrote them.
    pub bytes: Bytes,
}

/// What a payload's bytes are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PayloadKind {
    /// One JSON value as text.
    Json,
    /// Anything.
    Binary,
}

impl PayloadKind {
    /// Its number in entries, rows and hashes. Part of the stored format: never change one.
    #[must_use]
    pub const fn code(self) -> u8 {
        match self {
            Self::Json => 0,
            Self::Binary => 1,
        }
    }

    /// The kind of this number.
    #[must_use]
    pub const fn from_code(code: u8) -> Option<Self> {
        match code {
            0 => Some(Self::Json),
            1 => Some(Self::Binary),
            _ => None,
        }
    }
}
