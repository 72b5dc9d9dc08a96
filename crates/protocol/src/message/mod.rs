//! The vocabulary of the protocol: commands, replies, pushes. One schema (`proto/`), two codecs.

mod command;
mod push;
mod reply;

use bytes::Bytes;
use roomkeeper_types::{Epoch, MessageId, Offset, Timestamp, UserId};

use crate::Error;

pub use command::*;
pub use push::*;
pub use reply::*;

/// A command's number, the client's own: 1 to 2^32 - 1. 0 marks the error reply to an unreadable frame.
pub type CommandId = u32;

/// What a client sends: one command and its number.
#[derive(Debug, Clone, PartialEq)]
pub struct Request {
    /// The command's number; its reply carries the same. 0 only for a heartbeat in the seed's short form
    /// that came without one: no reply is wanted unless it fails.
    pub id: CommandId,
    /// What to do.
    pub command: Command,
}

/// What a server sends.
#[derive(Debug, Clone, PartialEq)]
pub enum ServerFrame {
    /// The one reply to the command of that number.
    Reply(CommandId, Result<Reply, Error>),
    /// Something that happened.
    Push(Push),
}

/// A message's content, carried byte for byte.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Data {
    /// The text of one JSON value, exactly as the sender wrote it (validated, never re-serialised).
    Json(Bytes),
    /// Bytes that need not be JSON: `data_b64` to JSON clients.
    Binary(Bytes),
}

impl Data {
    /// The content's bytes.
    #[must_use]
    pub fn bytes(&self) -> &Bytes {
        match self {
            Self::Json(bytes) | Self::Binary(bytes) => bytes,
        }
    }
}

/// One stored message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    /// Its place; 0 while it is held, which has none yet.
    pub offset: Offset,
    /// Epoch of the entry that stored it.
    pub epoch: Epoch,
    /// Its sender's id for it.
    pub id: MessageId,
    /// Its sender.
    pub from: UserId,
    /// When the owner ordered it.
    pub time: Timestamp,
    /// When its sender says it was written.
    pub sent: Option<Timestamp>,
    /// Its content.
    pub data: Data,
}

/// One member of a room: a user on a device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// The user.
    pub user: UserId,
    /// The user's device, if it gave one.
    pub device: Option<String>,
    /// Since when.
    pub since: Timestamp,
}
