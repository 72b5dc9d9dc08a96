//! What the rows hold, and their byte layouts.

use std::fmt;

use roomkeeper_types::{Epoch, MessageId, Offset, Timestamp, UserId};

use crate::Payload;

/// A room's rolling hash: BLAKE3 over the hash before and the message appended. Equal hashes at equal
/// `next` prove equal logs on two replicas.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RoomHash(pub [u8; 32]);

impl fmt::Display for RoomHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// One stored message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    /// Its place.
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
    pub payload: Payload,
}
