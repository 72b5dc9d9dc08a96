//! Reading rooms from a view of the rows.

use std::ops::{ControlFlow, RangeInclusive};

use bytes::Bytes;
use roomkeeper_types::{ConsumerId, LifeId, Offset, RoomName, ShardId, Timestamp};

use crate::row::{self, CursorRow, HoldRow, NameRow, RoomRow};
use crate::{Due, Item, RoomHash, RoomOptions, Rows, RowsError, keys};

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
    /// Rolling hash of the log up to `next`, trimmed messages included.
    pub hash: RoomHash,
    /// What it was told at its creation.
    pub options: RoomOptions,
}

/// Messages that are neither confirmed nor dropped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenHold {
    /// At least one, in their order, with the offset 0.
    pub items: Vec<Item>,
    /// When they run out. It may be past: they are dropped soon then, and cannot be confirmed any more.
    pub expires: Timestamp,
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

/// The room of this life, if that is not over.
///
/// # Errors
/// The rows could not be read.
pub fn life<R: Rows>(rows: &R, life: LifeId) -> Result<Option<RoomInfo>, RowsError> {
    Ok(room_row(rows, life)?.map(|row| info(life, row)))
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
    let mut from = keys::name_prefix(prefix);
    let to = keys::successor(from.clone());
    if let Some(after) = after {
        let mut behind = keys::name_prefix(after);
        behind.push(0);
        from = from.max(behind);
    }
    let lives = collect(rows, (from, to), limit, |key, value| {
        Ok(match NameRow::decode(key, value)? {
            NameRow::Life(life) => Some(life),
            NameRow::Forward { .. } => None,
        })
    })?;
    lives.into_iter().map(|life| Ok(info(life, room_row(rows, life)?.ok_or_else(|| unkept(life))?))).collect()
}

/// The shard that a name is forwarded to. One that is stays so.
///
/// # Errors
/// The rows could not be read.
pub fn forward<R: Rows>(rows: &R, name: &RoomName) -> Result<Option<ShardId>, RowsError> {
    Ok(match name_row(rows, name)? {
        Some(NameRow::Forward { shard, .. }) => Some(shard),
        Some(NameRow::Life(_)) | None => None,
    })
}

/// The last offset that a consumer has committed in a life, if it ever did.
///
/// # Errors
/// The rows could not be read.
pub fn cursor<R: Rows>(rows: &R, life: LifeId, consumer: &ConsumerId) -> Result<Option<Offset>, RowsError> {
    let key = keys::cursor(life, consumer);
    let Some(value) = rows.get(&key)? else { return Ok(None) };
    Ok(Some(CursorRow::decode(&key, &value)?.offset))
}

/// The holds of a life that are not dropped yet, in the order in which they were made, at most `limit`.
///
/// # Errors
/// The rows could not be read.
pub fn holds<R: Rows>(rows: &R, life: LifeId, limit: usize) -> Result<Vec<OpenHold>, RowsError> {
    collect(rows, keys::life_range(keys::HOLD_TABLE, life), limit, |key, value| {
        let hold = HoldRow::decode(key, &Bytes::copy_from_slice(value))?;
        Ok(Some(OpenHold { items: hold.items(), expires: hold.expires }))
    })
}

/// What is due within these times, the oldest first, at most `limit`.
///
/// Entries add nothing that is due before their own stamp, and stamps do not go back. Whoever found nothing until a
/// time need not look there again: a store may be slow to pass what was deleted there.
///
/// # Errors
/// The rows could not be read.
pub fn due<R: Rows>(rows: &R, times: RangeInclusive<Timestamp>, limit: usize) -> Result<Vec<Due>, RowsError> {
    collect(rows, keys::due_range(times), limit, |key, value| {
        row::check_due(key, value)?;
        keys::read_due_key(key).map(Some)
    })
}

/// What `read` makes of the rows of a range, in key order, at most `limit` of what it makes something of.
fn collect<R: Rows, T>(
    rows: &R,
    (from, to): (Vec<u8>, Vec<u8>),
    limit: usize,
    read: impl Fn(&[u8], &[u8]) -> Result<Option<T>, RowsError>,
) -> Result<Vec<T>, RowsError> {
    let mut all = Vec::new();
    let mut failed = None;
    if limit > 0 {
        rows.scan(&from, &to, &mut |key, value| {
            match read(key, value) {
                Ok(one) => all.extend(one),
                Err(error) => failed = Some(error),
            }
            if failed.is_some() || all.len() == limit {
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(())
            }
        })?;
    }
    failed.map_or(Ok(all), Err)
}

pub(crate) const MISSING: &str = "it is missing";

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
    let life = match name_row(rows, name)? {
        Some(NameRow::Life(life)) => life,
        Some(NameRow::Forward { shard, .. }) => return Ok(Found::Elsewhere(shard)),
        None => return Ok(Found::Absent),
    };
    let row = room_row(rows, life)?.ok_or_else(|| unkept(life))?;
    if row.name != *name {
        return Err(RowsError::corrupt(&keys::room(life), "it is the row of another room"));
    }
    Ok(Found::Here(life, row))
}

/// What this shard's rows say of a name: one get.
///
/// # Errors
/// The rows could not be read.
pub fn name_row<R: Rows>(rows: &R, name: &RoomName) -> Result<Option<NameRow>, RowsError> {
    let key = keys::name(name);
    rows.get(&key)?.map(|value| NameRow::decode(&key, &value)).transpose()
}

pub(crate) fn room_row<R: Rows>(rows: &R, life: LifeId) -> Result<Option<RoomRow>, RowsError> {
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
        options: row.options,
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
            let row = RoomRow::new(of_room.parse().unwrap(), Timestamp(1), RoomOptions::default());
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
