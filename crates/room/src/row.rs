//! What the rows hold, and their byte layouts. Every value begins with its version; bytes that a version does
//! not explain are [`RowsError::Corrupt`]. Numbers are big-endian.

use bytes::{BufMut, Bytes};
use roomkeeper_types::{Epoch, LifeId, MessageId, Offset, RoomName, ShardId, Timestamp, UserId};

use crate::hash::Digest;
use crate::wire::{Reader, Reason, WriteExt};
use crate::{Payload, RoomHash, RowsError};

/// The one version so far of all rows. A new layout of a row takes the next number and still reads this one.
const V1: u8 = 1;

/// Where the room of a name is.
///
/// ```text
/// version u8 = 1 │ 0 │ life (16)                  Life
/// version u8 = 1 │ 1 │ shard u32 │ life (16)      Forward
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NameRow {
    /// In this shard, with this life.
    Life(LifeId),
    /// In another shard: this is the name's hash shard and keeps the pointer only.
    Forward {
        /// The shard that holds the room.
        shard: ShardId,
        /// The life it holds it under.
        life: LifeId,
    },
}

impl NameRow {
    /// The row's value.
    #[must_use]
    pub fn encode(&self) -> Bytes {
        let mut out = Vec::with_capacity(22);
        out.put_u8(V1);
        match self {
            Self::Life(life) => {
                out.put_u8(0);
                out.put_slice(&life.to_bytes());
            }
            Self::Forward { shard, life } => {
                out.put_u8(1);
                out.put_u32(shard.0);
                out.put_slice(&life.to_bytes());
            }
        }
        out.into()
    }

    /// Reads the value of the row under `key`.
    ///
    /// # Errors
    /// [`RowsError::Corrupt`].
    pub fn decode(key: &[u8], value: &[u8]) -> Result<Self, RowsError> {
        read(key, value, |row| match row.u8()? {
            0 => Ok(Self::Life(row.life()?)),
            1 => Ok(Self::Forward { shard: ShardId(row.u32()?), life: row.life()? }),
            _ => Err("neither a life nor a forward"),
        })
    }
}

/// One life of a room.
///
/// ```text
/// version u8 = 1 │ created u64 │ first u64 │ next u64 │ messages u64 │ bytes u64 │ hash (32) │ name: len u8, text
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoomRow {
    /// The room's name.
    pub name: RoomName,
    /// Stamp of the entry that created it.
    pub created: Timestamp,
    /// First offset kept; `first == next`: none is.
    pub first: Offset,
    /// Offset that the next message will get.
    pub next: Offset,
    /// Messages kept.
    pub messages: u64,
    /// Bytes of their payloads.
    pub bytes: u64,
    /// Rolling hash of all messages below `next`, kept or trimmed.
    pub hash: RoomHash,
}

impl RoomRow {
    /// A room without messages.
    #[must_use]
    pub fn new(name: RoomName, created: Timestamp) -> Self {
        Self {
            name,
            created,
            first: Offset::FIRST,
            next: Offset::FIRST,
            messages: 0,
            bytes: 0,
            hash: RoomHash::default(),
        }
    }

    /// Takes up `item`, whose offset is `next`. `scratch` saves an allocation per message.
    pub(crate) fn append(&mut self, item: &Item, scratch: &mut Vec<u8>) {
        self.hash = self.hash.append_with(item, scratch);
        self.next = item.offset.next();
        self.messages += 1;
        self.bytes += item.payload.bytes.len() as u64;
    }

    /// The row's value.
    #[must_use]
    pub fn encode(&self) -> Bytes {
        let mut out = Vec::with_capacity(74 + self.name.as_str().len());
        out.put_u8(V1);
        out.put_time(self.created);
        out.put_u64(self.first.get());
        out.put_u64(self.next.get());
        out.put_u64(self.messages);
        out.put_u64(self.bytes);
        out.put_slice(&self.hash.0);
        out.put_name(self.name.as_str());
        out.into()
    }

    /// Reads the value of the row under `key`.
    ///
    /// # Errors
    /// [`RowsError::Corrupt`].
    pub fn decode(key: &[u8], value: &[u8]) -> Result<Self, RowsError> {
        read(key, value, |row| {
            let (created, first, next) = (row.time()?, row.offset()?, row.offset()?);
            if first < Offset::FIRST || first > next {
                return Err("its offsets are out of order");
            }
            Ok(Self {
                created,
                first,
                next,
                messages: row.u64()?,
                bytes: row.u64()?,
                hash: RoomHash(row.array()?),
                name: row.room()?,
            })
        })
    }
}

/// What is known of a message id.
///
/// ```text
/// version u8 = 1 │ offset u64 │ epoch u64 │ digest (16)
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DedupeRow {
    /// Where the message stands.
    pub offset: Offset,
    /// Epoch of the entry that stored it.
    pub epoch: Epoch,
    /// Digest of its sender and content.
    pub digest: Digest,
}

impl DedupeRow {
    /// The row's value.
    #[must_use]
    pub fn encode(&self) -> Bytes {
        let mut out = Vec::with_capacity(33);
        out.put_u8(V1);
        out.put_u64(self.offset.get());
        out.put_u64(self.epoch.get());
        out.put_slice(&self.digest.0);
        out.into()
    }

    /// Reads the value of the row under `key`.
    ///
    /// # Errors
    /// [`RowsError::Corrupt`].
    pub fn decode(key: &[u8], value: &[u8]) -> Result<Self, RowsError> {
        read(key, value, |row| {
            Ok(Self { offset: row.offset()?, epoch: Epoch(row.u64()?), digest: Digest(row.array()?) })
        })
    }
}

/// One stored message. Its offset is in the row's key.
///
/// ```text
/// version u8 = 1 │ epoch u64 │ time u64 │ id (16) │ from: len u8, text │ sent: 0, or 1 and u64 │ kind u8 │ data …
/// ```
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
        read(key, value, |row| {
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

/// Checks the version, reads the parts and that nothing is left.
fn read<'a, T>(
    key: &[u8],
    value: &'a [u8],
    parts: impl FnOnce(&mut Reader<'a>) -> Result<T, Reason>,
) -> Result<T, RowsError> {
    let read_all = || {
        let mut row = Reader::new(value);
        if row.u8()? != V1 {
            return Err("its version is unknown");
        }
        let read = parts(&mut row)?;
        row.end()?;
        Ok(read)
    };
    read_all().map_err(|reason| RowsError::corrupt(key, reason))
}
