//! What the rows hold, and their byte layouts. Every value begins with its version; bytes that a version does
//! not explain are [`RowsError::Corrupt`]. Numbers are big-endian, and what no layout here draws is drawn in
//! `wire.rs`. A row is written in the oldest version that can say all of it.

mod hold;
mod message;
mod room;

use bytes::{BufMut, Bytes};
use roomkeeper_types::{Offset, Timestamp};

pub use hold::HoldRow;
pub use message::{IdRow, IdState, Item};
pub use room::{NameRow, RoomRow};

use crate::RowsError;
use crate::wire::{Reader, Reason, WriteExt};

/// Versions. A new layout of a row takes the next number and still reads those before.
const V1: u8 = 1;
const V2: u8 = 2;

/// Where a consumer is.
///
/// ```text
/// version u8 = 1 │ offset u64 │ time u64
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CursorRow {
    /// The last offset that it has processed.
    pub offset: Offset,
    /// Stamp of the entry that says so.
    pub time: Timestamp,
}

impl CursorRow {
    /// The row's value.
    #[must_use]
    pub fn encode(&self) -> Bytes {
        let mut out = Vec::with_capacity(17);
        out.put_u8(V1);
        out.put_u64(self.offset.get());
        out.put_time(self.time);
        out.into()
    }

    /// Reads the value of the row under `key`.
    ///
    /// # Errors
    /// [`RowsError::Corrupt`].
    pub fn decode(key: &[u8], value: &[u8]) -> Result<Self, RowsError> {
        read_v1(key, value, |row| Ok(Self { offset: row.offset()?, time: row.time()? }))
    }
}

/// The value of a row of the due table, whose key says everything: a version.
pub(crate) const DUE: &[u8] = &[V1];

/// Checks the value of the due under `key`.
pub(crate) fn check_due(key: &[u8], value: &[u8]) -> Result<(), RowsError> {
    read_v1(key, value, |_| Ok(()))
}

/// Checks the version, reads the parts and that nothing is left.
fn read<'a, T>(
    key: &[u8],
    value: &'a [u8],
    newest: u8,
    parts: impl FnOnce(u8, &mut Reader<'a>) -> Result<T, Reason>,
) -> Result<T, RowsError> {
    let read_all = || {
        let mut row = Reader::new(value);
        let version = row.u8()?;
        if !(V1..=newest).contains(&version) {
            return Err("its version is unknown");
        }
        let read = parts(version, &mut row)?;
        row.end()?;
        Ok(read)
    };
    read_all().map_err(|reason| RowsError::corrupt(key, reason))
}

/// As [`read`], of a row that has one version.
fn read_v1<'a, T>(
    key: &[u8],
    value: &'a [u8],
    parts: impl FnOnce(&mut Reader<'a>) -> Result<T, Reason>,
) -> Result<T, RowsError> {
    read(key, value, V1, |_, row| parts(row))
}
