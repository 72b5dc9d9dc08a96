//! What a log entry says: a batch of commands and the time its owner stamped on it.

use bytes::Bytes;
use roomkeeper_types::{ConsumerId, LifeId, MessageId, Offset, RoomName, ShardId, Timestamp, UserId};

use crate::due::Due;

/// The payload of one shard log entry: everything that had queued at the owner, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    /// max(owner's clock, last stamp of the shard): apply never reads a clock.
    pub time: Timestamp,
    /// Carried out in order, each seeing what those before it did.
    pub commands: Vec<Command>,
}

/// One operation: a client's, or the owner's own ([`Command::Forward`], [`Command::Sweep`]).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// Create a room.
    Create(Create),
    /// Delete a room, its messages, cursors and holds.
    Delete(Delete),
    /// Append messages, all or none.
    Publish(Publish),
    /// Keep messages without offsets until they are confirmed, rolled back or run out, all or none.
    Hold(Hold),
    /// Append the messages of a hold.
    Confirm(HoldRef),
    /// Drop the messages of a hold.
    Rollback(HoldRef),
    /// Move a consumer's cursor.
    Commit(Commit),
    /// Give a room's name away to another shard, for ever.
    Forward(Forward),
    /// Carry out what is due. What is not due, or no more, is passed over, so that it may be proposed twice.
    Sweep(Vec<Due>),
}

impl Command {
    /// The room it is about; a sweep is about none.
    #[must_use]
    pub fn room(&self) -> Option<&RoomName> {
        match self {
            Self::Create(create) => Some(&create.room),
            Self::Delete(delete) => Some(&delete.room),
            Self::Publish(publish) => Some(&publish.room),
            Self::Hold(hold) => Some(&hold.room),
            Self::Confirm(hold) | Self::Rollback(hold) => Some(&hold.room),
            Self::Commit(commit) => Some(&commit.room),
            Self::Forward(forward) => Some(&forward.room),
            Self::Sweep(_) => None,
        }
    }
}

/// What a room is told at its creation, for its whole life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RoomOptions {
    /// Messages older than this many milliseconds are trimmed, the newest too; soon, not at once.
    pub retain_ms: Option<u64>,
    /// At most so many messages are kept; the newest always is.
    pub retain_messages: Option<u64>,
    /// At most so many bytes of payload are kept; the newest message always is.
    pub retain_bytes: Option<u64>,
    /// Whether the room has presence. Only kept here: presence is no part of the log.
    pub presence: bool,
    /// How many members it may have at a time. Only kept here, as `presence`.
    pub max_members: Option<u32>,
}

impl Default for RoomOptions {
    /// Everything is kept, with presence, for any number of members.
    fn default() -> Self {
        Self { retain_ms: None, retain_messages: None, retain_bytes: None, presence: true, max_members: None }
    }
}

/// Create a room.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Create {
    /// Its name, which hashes to this shard or is forwarded to it.
    pub room: RoomName,
    /// Whether a room that exists is `AlreadyExists` (`create`) or simply returned (`join` with
    /// auto-create), with the options it has.
    pub exclusive: bool,
    /// What it will be like.
    pub options: RoomOptions,
    /// The name's hash shard holds a forward to this shard. Whoever says so has seen it committed there;
    /// forwards stay, so that it is still true when this is applied.
    pub placed: bool,
}

/// Delete a room. One that was placed is deleted in the shard that holds it; its name stays forwarded there.
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
    /// What a room that does not exist is created with; `None`: it is not. Decided at the owner's gateway, since
    /// apply may not read local configuration.
    pub create: Option<RoomOptions>,
    /// As [`Create::placed`].
    pub placed: bool,
}

/// Keep messages without offsets, all or none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hold {
    /// The room.
    pub room: RoomName,
    /// Only this life of it.
    pub life: Option<LifeId>,
    /// The sender, who alone may confirm or roll back.
    pub from: UserId,
    /// At least one message.
    pub messages: Vec<NewMessage>,
    /// How long they are held, from the stamp of their entry; above 0.
    pub hold_ms: u64,
    /// As [`Publish::create`].
    pub create: Option<RoomOptions>,
    /// As [`Create::placed`].
    pub placed: bool,
}

/// The hold that was made of these messages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HoldRef {
    /// The room.
    pub room: RoomName,
    /// Only this life of it.
    pub life: Option<LifeId>,
    /// Who asks: the hold's sender.
    pub from: UserId,
    /// The ids of all its messages, in any order.
    pub ids: Vec<MessageId>,
}

/// Move a consumer's cursor up to `offset`. A cursor never goes back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Commit {
    /// The room.
    pub room: RoomName,
    /// Only this life of it.
    pub life: Option<LifeId>,
    /// Whose cursor.
    pub consumer: ConsumerId,
    /// The last offset that was processed, below the room's next one; 0 only reads the cursor.
    pub offset: Offset,
}

/// Give a name that hashes to this shard away: its room will be in shard `to`. No room of that name may exist
/// here. Never taken back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Forward {
    /// The name.
    pub room: RoomName,
    /// The shard that is to hold its room: another one than this.
    pub to: ShardId,
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
