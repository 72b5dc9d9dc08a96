//! Messages, and what is known of their ids.

use bytes::{BufMut, Bytes};
use roomkeeper_types::{Epoch, MessageId, Offset, Timestamp, UserId};

use super::{V1, V2, read, read_v1};
use crate::hash::Digest;
use crate::wire::{Reader, WriteExt};
use crate::{HoldId, Payload, RowsError};

/// One stored message. Its offset is in the row's key.
///
/// ```text
/// version u8 = 1 │ epoch u64 │ time u64 │ id (16) │ from: len u8, text │ sent: 0, or 1 and u64 │ kind u8 │ data …
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    /// Its place; 0 for one that is held.
    pub offset: Offset,
    /// Epoch of the entry that stored or holds it.
    pub epoch: Epoch,
    /// Its sender's id for it.
    pub id: MessageId,
    /// Its sender.
    pub from: UserId,
    /// When the owner ordered it, or held it.
    pub time: Timestamp,
    /// When its sender says it was written.
    pub sent: Option<Timestamp>,
    /// Its content.
    pub payload: Payload,
}

impl Item {
    /// The row's value.
    #[must_use]
    pub fn encode(&self) -> Bytes {
        let mut out = Vec::with_capacity(44 + self.from.as_str().len() + self.payload.bytes.len());
        out.put_u8(V1);
        out.put_u64(self.epoch.get());
        out.put_time(self.time);
        out.put_slice(&self.id.0);
        out.put_name(self.from.as_str());
        out.put_option(self.sent, WriteExt::put_time);
        out.put_u8(self.payload.kind.code());
        out.put_slice(&self.payload.bytes);
        out.into()
    }

    /// Reads the value of the row under `key`, the key of `offset`. The data is a slice of `value`.
    ///
    /// # Errors
    /// [`RowsError::Corrupt`].
    pub fn decode(key: &[u8], offset: Offset, value: &Bytes) -> Result<Self, RowsError> {
        read_v1(key, value, |row| {
            let (epoch, time, id) = (Epoch(row.u64()?), row.time()?, row.message_id()?);
            let (from, sent, kind) = (row.user()?, row.option(Reader::time)?, row.kind()?);
            let data = row.bytes(row.left())?;
            Ok(Self {
                offset,
                epoch,
                id,
                from,
                time,
                sent,
                payload: Payload { kind, bytes: value.slice_ref(data) },
            })
        })
    }
}

/// What is known of a message id.
///
/// ```text
/// version u8 = 1 │ offset u64 │ epoch u64 │ digest (16)                          stored
/// version u8 = 2 │ 1 │ hold: index u64, ordinal u32 │ digest (16)                held
/// version u8 = 2 │ 2 │ digest (16)                                               dropped
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IdRow {
    /// Digest of its message's sender and content.
    pub digest: Digest,
    /// What became of the message.
    pub state: IdState,
}

/// What became of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IdState {
    /// It is in the log, or was and is trimmed.
    Stored {
        /// Where.
        offset: Offset,
        /// Epoch of the entry that stored it.
        epoch: Epoch,
    },
    /// It is held. The hold may have run out by now, without being dropped yet.
    Held(HoldId),
    /// It was held, and never confirmed.
    Dropped,
}

const HELD: u8 = 1;
const DROPPED: u8 = 2;

impl IdRow {
    /// The row's value.
    #[must_use]
    pub fn encode(&self) -> Bytes {
        let mut out = Vec::with_capacity(33);
        match self.state {
            IdState::Stored { offset, epoch } => {
                out.put_u8(V1);
                out.put_u64(offset.get());
                out.put_u64(epoch.get());
            }
            IdState::Held(hold) => {
                out.put_slice(&[V2, HELD]);
                out.put_hold_id(hold);
            }
            IdState::Dropped => out.put_slice(&[V2, DROPPED]),
        }
        out.put_slice(&self.digest.0);
        out.into()
    }

    /// Reads the value of the row under `key`.
    ///
    /// # Errors
    /// [`RowsError::Corrupt`].
    pub fn decode(key: &[u8], value: &[u8]) -> Result<Self, RowsError> {
        read(key, value, V2, |version, row| {
            let state = if version == V1 {
                IdState::Stored { offset: row.offset()?, epoch: Epoch(row.u64()?) }
            } else {
                match row.u8()? {
                    HELD => IdState::Held(row.hold_id()?),
                    DROPPED => IdState::Dropped,
                    _ => return Err("neither held nor dropped"),
                }
            };
            Ok(Self { digest: Digest(row.array()?), state })
        })
    }
}
