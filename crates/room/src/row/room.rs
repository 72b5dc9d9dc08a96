//! Names and rooms.

use bytes::{BufMut, Bytes};
use roomkeeper_types::{LifeId, Offset, RoomName, ShardId, Timestamp};

use super::{Item, V1, V2, read, read_v1};
use crate::wire::{Reader, Reason, WriteExt};
use crate::{RoomHash, RoomOptions, RowsError};

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
        /// The place of the forward's entry. Not the room's life: a placed room that is deleted and created
        /// again has another one, and the forward stays.
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
        read_v1(key, value, |row| match row.u8()? {
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
/// version u8 = 2 │ as version 1 │ options │ age_due: 0, or 1 and u64
/// ```
///
/// Version 1 has the default options and no `age_due`, and such a row is written so.
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
    /// What it was told at its creation.
    pub options: RoomOptions,
    /// Time of its [`DueKind::Age`](crate::DueKind::Age) in the due table, if it has one.
    pub age_due: Option<Timestamp>,
}

impl RoomRow {
    /// A room without messages.
    #[must_use]
    pub fn new(name: RoomName, created: Timestamp, options: RoomOptions) -> Self {
        Self {
            name,
            created,
            first: Offset::FIRST,
            next: Offset::FIRST,
            messages: 0,
            bytes: 0,
            hash: RoomHash::default(),
            options,
            age_due: None,
        }
    }

    /// Takes up `item`, whose offset is `next`. `scratch` saves an allocation per message.
    pub(crate) fn append(&mut self, item: &Item, scratch: &mut Vec<u8>) {
        self.hash = self.hash.append_with(item, scratch);
        self.next = item.offset.next();
        self.messages += 1;
        self.bytes += item.payload.bytes.len() as u64;
    }

    /// Leaves out the first message, which has so many bytes. The hash stays: it is that of all there were.
    pub(crate) fn trim(&mut self, bytes: u64) -> Result<(), Reason> {
        let left = self.messages.checked_sub(1).zip(self.bytes.checked_sub(bytes));
        (self.messages, self.bytes) = left.ok_or("its messages are more than it counts")?;
        self.first = self.first.next();
        Ok(())
    }

    /// The row's value.
    #[must_use]
    pub fn encode(&self) -> Bytes {
        let mut out = Vec::with_capacity(120 + self.name.as_str().len());
        out.put_u8(if self.is_plain() { V1 } else { V2 });
        out.put_time(self.created);
        out.put_u64(self.first.get());
        out.put_u64(self.next.get());
        out.put_u64(self.messages);
        out.put_u64(self.bytes);
        out.put_slice(&self.hash.0);
        out.put_name(self.name.as_str());
        if !self.is_plain() {
            out.put_options(&self.options);
            out.put_option(self.age_due, WriteExt::put_time);
        }
        out.into()
    }

    /// Whether the first layout says all of it.
    fn is_plain(&self) -> bool {
        self.options == RoomOptions::default() && self.age_due.is_none()
    }

    /// Reads the value of the row under `key`.
    ///
    /// # Errors
    /// [`RowsError::Corrupt`].
    pub fn decode(key: &[u8], value: &[u8]) -> Result<Self, RowsError> {
        read(key, value, V2, |version, row| {
            let (created, first, next) = (row.time()?, row.offset()?, row.offset()?);
            if first < Offset::FIRST || first > next {
                return Err("its offsets are out of order");
            }
            let (messages, bytes, hash) = (row.u64()?, row.u64()?, RoomHash(row.array()?));
            let (name, mut options, mut age_due) = (row.room()?, RoomOptions::default(), None);
            if version == V2 {
                (options, age_due) = (row.options()?, row.option(Reader::time)?);
            }
            let row = Self { name, created, first, next, messages, bytes, hash, options, age_due };
            if version == V2 && row.is_plain() { Err("a plain room is written otherwise") } else { Ok(row) }
        })
    }
}
