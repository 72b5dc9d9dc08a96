//! Holds.

use bytes::{BufMut, Bytes};
use roomkeeper_types::{Epoch, Offset, Timestamp, UserId};

use super::{Item, V1, read_v1};
use crate::wire::{WriteExt, messages_len};
use crate::{NewMessage, RowsError};

/// Messages of one publish that wait for their confirmation.
///
/// ```text
/// version u8 = 1 │ epoch u64 │ time u64 │ expires u64 │ from: len u8, text │ messages: count u32, message …
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HoldRow {
    /// Their sender.
    pub from: UserId,
    /// Epoch of the entry that made the hold.
    pub epoch: Epoch,
    /// Stamp of that entry.
    pub time: Timestamp,
    /// From when on the hold counts as dropped, whether it is dropped yet or not.
    pub expires: Timestamp,
    /// At least one, in the order in which they are appended when they are confirmed.
    pub messages: Vec<NewMessage>,
}

impl HoldRow {
    /// The row's value.
    #[must_use]
    pub fn encode(&self) -> Bytes {
        let len = 26 + self.from.as_str().len() + messages_len(&self.messages);
        let mut out = Vec::with_capacity(len);
        out.put_u8(V1);
        out.put_u64(self.epoch.get());
        out.put_time(self.time);
        out.put_time(self.expires);
        out.put_name(self.from.as_str());
        out.put_messages(&self.messages);
        debug_assert_eq!(out.len(), len, "the length is known");
        out.into()
    }

    /// Reads the value of the row under `key`. The data are slices of `value`.
    ///
    /// # Errors
    /// [`RowsError::Corrupt`].
    pub fn decode(key: &[u8], value: &Bytes) -> Result<Self, RowsError> {
        read_v1(key, value, |row| {
            let (epoch, time, expires) = (Epoch(row.u64()?), row.time()?, row.time()?);
            let (from, messages) = (row.user()?, row.messages(value)?);
            if messages.is_empty() {
                return Err("a hold has at least one message");
            }
            Ok(Self { from, epoch, time, expires, messages })
        })
    }

    /// The messages as those who may see them before they are confirmed do.
    #[must_use]
    pub fn items(&self) -> Vec<Item> {
        let item = |new: &NewMessage| Item {
            offset: Offset(0),
            epoch: self.epoch,
            id: new.id,
            from: self.from.clone(),
            time: self.time,
            sent: new.sent,
            payload: new.payload.clone(),
        };
        self.messages.iter().map(item).collect()
    }
}
