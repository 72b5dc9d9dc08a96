//! Reading rooms from a view of the rows.

use std::ops::ControlFlow;

use bytes::Bytes;
use roomkeeper_types::{LifeId, Offset, RoomName, ShardId, Timestamp};

use crate::row::{NameRow, RoomRow};
use crate::{Item, RoomHash, Rows, RowsError, keys};

/// What is known of one room.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoomInfo {
    /// Its name.
    pub room: RoomName,
    /// Its present life.
    pub life: LifeId,
    /// Stamp of the entry that created it.
    pub created: Timestamp,
    /// First offset kept.
    pub first: Offset,
    /// Offset that the next message will get. `first == next`: empty.
    pub next: Offset,
    /// Messages kept.
    pub messages: u64,
    /// Bytes of their payloads.
    pub bytes: u64,
    /// Rolling hash of the log up to `next`.
    pub hash: RoomHash,
}

/// The room of this name, if this shard holds it.
///
/// # Errors
/// The rows could not be read.
pub fn room<R: Rows>(rows: &R, name: &RoomName) -> Result<Option<RoomInfo>, RowsError> {
    Ok(match find(rows, name)? {
        Found::Here(life, row) => Some(info(life, row)),
        Found::Elsewhere(_) | Found::Absent => None,
    })
}

/// Items of a life from `from` on, up to `last` (inclusive), at most `limit` of them and about `max_bytes`
/// of payload (at least one item). In offset order without gaps; a gap in the rows is an error.
///
/// Offsets that the life does not keep in this view are left out: those below its first, those it has not
/// reached. A life that is over has none.
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
    let Some(room) = room_row(rows, life)? else { return Ok(Vec::new()) };
    let from = from.max(room.first);
    // Exclusive from here on. `next` bounds it, so that `last` may be as large as it likes.
    let end = if last < room.next { last.next() } else { room.next };
    if from >= end || limit == 0 {
        return Ok(Vec::new());
    }
    let mut page = Page { life, next: from, left: limit, bytes_left: max_bytes, items: Vec::new() };
    let mut failed = None;
    rows.scan(&keys::message(life, from), &keys::message(life, end), &mut |key, value| {
        page.take(key, value).unwrap_or_else(|error| {
            failed = Some(error);
            ControlFlow::Break(())
        })
    })?;
    match failed {
        Some(error) => Err(error),
        None if page.full() || page.next == end => Ok(page.items),
        None => Err(RowsError::corrupt(&keys::message(life, page.next), MISSING)),
    }
}

/// Rooms in the order of their names: those that begin with `prefix`, after `after` (exclusive), at most
/// `limit`. Those that this shard only forwards to are not among them.
///
/// # Errors
/// The rows could not be read.
pub fn rooms<R: Rows>(
    rows: &R,
    prefix: &str,
    after: Option<&str>,
    limit: usize,
) -> Result<Vec<RoomInfo>, RowsError> {
    if limit == 0 {
        return Ok(Vec::new());
    }
    let mut from = keys::name_prefix(prefix);
    let to = keys::successor(from.clone());
    if let Some(after) = after {
        let mut behind = keys::name_prefix(after);
        behind.push(0);
        from = from.max(behind);
    }
    let mut lives = Vec::new();
    let mut failed = None;
    rows.scan(&from, &to, &mut |key, value| {
        match NameRow::decode(key, value) {
            Ok(NameRow::Life(life)) => lives.push(life),
            Ok(NameRow::Forward { .. }) => {}
            Err(error) => failed = Some(error),
        }
        if failed.is_some() || lives.len() == limit {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    })?;
    if let Some(error) = failed {
        return Err(error);
    }
    lives.into_iter().map(|life| Ok(info(life, room_row(rows, life)?.ok_or_else(|| unkept(life))?))).collect()
}

const MISSING: &str = "it is missing";

/// A page of history on its way.
struct Page {
    life: LifeId,
    /// The offset that must come next.
    next: Offset,
    left: usize,
    bytes_left: usize,
    items: Vec<Item>,
}

impl Page {
    fn full(&self) -> bool {
        self.left == 0
    }

    fn take(&mut self, key: &[u8], value: &[u8]) -> Result<ControlFlow<()>, RowsError> {
        let wanted = keys::message(self.life, self.next);
        if key != wanted {
            return Err(RowsError::corrupt(&wanted, MISSING));
        }
        let item = Item::decode(key, self.next, &Bytes::copy_from_slice(value))?;
        let bytes = item.payload.bytes.len();
        if bytes > self.bytes_left && !self.items.is_empty() {
            self.left = 0;
            return Ok(ControlFlow::Break(()));
        }
        self.bytes_left = self.bytes_left.saturating_sub(bytes);
        self.items.push(item);
        self.next = self.next.next();
        self.left -= 1;
        Ok(if self.full() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
    }
}

/// Where a name's room is.
pub(crate) enum Found {
    /// Nowhere, as far as this shard knows.
    Absent,
    /// In this shard.
    Here(LifeId, RoomRow),
    /// In that shard.
    Elsewhere(ShardId),
}

/// Finds the room of a name: two gets if it is here, else one.
pub(crate) fn find<R: Rows>(rows: &R, name: &RoomName) -> Result<Found, RowsError> {
    let key = keys::name(name);
    let Some(value) = rows.get(&key)? else { return Ok(Found::Absent) };
    let life = match NameRow::decode(&key, &value)? {
        NameRow::Life(life) => life,
        NameRow::Forward { shard, .. } => return Ok(Found::Elsewhere(shard)),
    };
    let row = room_row(rows, life)?.ok_or_else(|| unkept(life))?;
    if row.name != *name {
        return Err(RowsError::corrupt(&keys::room(life), "it is the row of another room"));
    }
    Ok(Found::Here(life, row))
}

fn room_row<R: Rows>(rows: &R, life: LifeId) -> Result<Option<RoomRow>, RowsError> {
    let key = keys::room(life);
    rows.get(&key)?.map(|value| RoomRow::decode(&key, &value)).transpose()
}

/// A name row without the room row it points to.
fn unkept(life: LifeId) -> RowsError {
    RowsError::corrupt(&keys::room(life), MISSING)
}

fn info(life: LifeId, row: RoomRow) -> RoomInfo {
    RoomInfo {
        room: row.name,
        life,
        created: row.created,
        first: row.first,
        next: row.next,
        messages: row.messages,
        bytes: row.bytes,
        hash: row.hash,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{MemRows, Write};

    const LIFE: LifeId = LifeId { shard: ShardId(0), index: 1, ordinal: 0 };

    fn rows_with_name(of_room: Option<&str>) -> MemRows {
        let mut rows = MemRows::default();
        let name = "a".parse().unwrap();
        let mut writes = vec![Write::Put(keys::name(&name).into(), NameRow::Life(LIFE).encode())];
        if let Some(of_room) = of_room {
            let row = RoomRow::new(of_room.parse().unwrap(), Timestamp(1));
            writes.push(Write::Put(keys::room(LIFE).to_vec().into(), row.encode()));
        }
        rows.apply_writes(&writes);
        rows
    }

    fn is_corrupt<T>(result: &Result<T, RowsError>) -> bool {
        matches!(result, Err(RowsError::Corrupt { key, .. }) if *key == keys::room(LIFE))
    }

    #[test]
    fn room_without_its_row_is_corrupt_not_absent() {
        let rows = rows_with_name(None);
        assert!(is_corrupt(&room(&rows, &"a".parse().unwrap())));
        assert!(is_corrupt(&super::rooms(&rows, "", None, 10)));
    }

    #[test]
    fn room_with_the_row_of_another_is_corrupt() {
        let rows = rows_with_name(Some("b"));
        assert!(is_corrupt(&room(&rows, &"a".parse().unwrap())));
        assert!(room(&rows_with_name(Some("a")), &"a".parse().unwrap()).unwrap().is_some());
    }
}
