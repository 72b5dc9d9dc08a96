//! Reading rooms from a view of the rows.

use roomkeeper_types::{LifeId, Offset, RoomName};

use crate::{Item, RoomHash, Rows, RowsError};

/// What is known of one room.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoomInfo {
    /// Its name.
    pub room: RoomName,
    /// Its present life.
    pub life: LifeId,
    /// First offset kept.
    pub first: Offset,
    /// Offset that the next message will get. `first == next`: empty.
    pub next: Offset,
    /// Rolling hash of the log up to `next`.
    pub hash: RoomHash,
}

/// The room of this name, if it exists.
///
/// # Errors
/// The rows could not be read.
pub fn room<R: Rows>(rows: &R, name: &RoomName) -> Result<Option<RoomInfo>, RowsError> {
    let _ = (rows, name);
    todo!()
}

/// Items of a life from `from` on, up to `last` (inclusive), at most `limit` of them and about `max_bytes`
/// of payload (at least one item). In offset order without gaps; a gap in the rows is an error.
///
/// # Errors
/// The rows could not be read, or one that must be there is not.
pub fn history<R: Rows>(
    rows: &R,
    life: LifeId,
    from: Offset,
    last: Offset,
    limit: usize,
    max_bytes: usize,
) -> Result<Vec<Item>, RowsError> {
    let _ = (rows, life, from, last, limit, max_bytes);
    todo!()
}

/// Rooms in the order of their names: those that begin with `prefix`, after `after` (exclusive), at most
/// `limit`.
///
/// # Errors
/// The rows could not be read.
pub fn rooms<R: Rows>(
    rows: &R,
    prefix: &str,
    after: Option<&str>,
    limit: usize,
) -> Result<Vec<RoomInfo>, RowsError> {
    let _ = (rows, prefix, after, limit);
    todo!()
}
