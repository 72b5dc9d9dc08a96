//! Keys of the data store: the rows of one shard replica, sorted as their parts.
//!
//! The first byte names a table, numbers are big-endian, and only the last part of a key may vary in length:
//!
//! ```text
//!           0        1                         17                   25              33
//! shard     00 │ the consensus adapter's own rows (applied position, membership)
//! name      01 │ name, 1 to 128 bytes                                                  → NameRow
//! room      02 │ life (16)                 │                                           → RoomRow
//! message   03 │ life (16)                 │ offset u64         │                      → Item
//! id        04 │ life (16)                 │ message id (16)                    │      → IdRow
//! cursor    05 │ life (16)                 │ consumer, 1 to 128 bytes                  → CursorRow
//! hold      06 │ life (16)                 │ index u64          │ ordinal u32   │      → HoldRow
//! due       07 │ time u64     │ life (16)                      │ kind u8 │ rest         nothing but a version
//! stamp     08 │ alone                                    the shard's last time stamp, owned by cluster
//!
//! kinds and rests of dues      1 │ hold: index u64, ordinal u32     2 │ message id (16)     3 │ nothing
//! ```
//!
//! A life is shard u32, log index u64, ordinal u32 (see [`LifeId::to_bytes`]). No room's rows are found by its
//! name but the first, so that a deleted room's rows can never be taken for those of its successor.

use std::ops::RangeInclusive;

use roomkeeper_types::{ConsumerId, LifeId, MessageId, Offset, RoomName, Timestamp};

use crate::codec::{due_len, put_due, read_due};
use crate::wire::Reader;
use crate::{Due, HoldId, RowsError};

/// Rows of the shard itself, owned by the consensus adapter. The room core neither reads nor writes them.
pub const SHARD_TABLE: u8 = 0x00;
/// Room name → life, or the shard that holds it.
pub const NAME_TABLE: u8 = 0x01;
/// Life → the room's counters and hash.
pub const ROOM_TABLE: u8 = 0x02;
/// Life and offset → message.
pub const MESSAGE_TABLE: u8 = 0x03;
/// Life and message id → what became of the message, and its digest.
pub const ID_TABLE: u8 = 0x04;
/// Life and consumer → committed offset.
pub const CURSOR_TABLE: u8 = 0x05;
/// Life and hold → messages without offsets.
pub const HOLD_TABLE: u8 = 0x06;
/// What is to be done later, by its time.
pub const DUE_TABLE: u8 = 0x07;

const LIFE_END: usize = 1 + LifeId::LEN;

/// Key of the row that says where a room of this name is.
#[must_use]
pub fn name(name: &RoomName) -> Vec<u8> {
    name_prefix(name.as_str())
}

/// What the keys of all names that begin with `prefix` begin with.
#[must_use]
pub fn name_prefix(prefix: &str) -> Vec<u8> {
    let mut key = Vec::with_capacity(1 + prefix.len());
    key.push(NAME_TABLE);
    key.extend_from_slice(prefix.as_bytes());
    key
}

/// Key of a life's counters.
#[must_use]
pub fn room(life: LifeId) -> [u8; LIFE_END] {
    of_life(ROOM_TABLE, life)
}

/// Key of a message.
#[must_use]
pub fn message(life: LifeId, offset: Offset) -> [u8; LIFE_END + 8] {
    let mut key = of_life(MESSAGE_TABLE, life);
    key[LIFE_END..].copy_from_slice(&offset.get().to_be_bytes());
    key
}

/// Key of what is known of a message id.
#[must_use]
pub fn id(life: LifeId, id: MessageId) -> [u8; LIFE_END + 16] {
    let mut key = of_life(ID_TABLE, life);
    key[LIFE_END..].copy_from_slice(&id.0);
    key
}

/// Key of a consumer's cursor.
#[must_use]
pub fn cursor(life: LifeId, consumer: &ConsumerId) -> Vec<u8> {
    let consumer = consumer.as_str().as_bytes();
    let mut key = Vec::with_capacity(LIFE_END + consumer.len());
    key.extend_from_slice(&of_life::<LIFE_END>(CURSOR_TABLE, life));
    key.extend_from_slice(consumer);
    key
}

/// Key of a hold.
#[must_use]
pub fn hold(life: LifeId, hold: HoldId) -> [u8; LIFE_END + 12] {
    let mut key = of_life(HOLD_TABLE, life);
    key[LIFE_END..LIFE_END + 8].copy_from_slice(&hold.index.to_be_bytes());
    key[LIFE_END + 8..].copy_from_slice(&hold.ordinal.to_be_bytes());
    key
}

/// Key of what is due.
#[must_use]
pub fn due(due: &Due) -> Vec<u8> {
    let mut key = Vec::with_capacity(1 + due_len(due));
    key.push(DUE_TABLE);
    put_due(&mut key, due);
    key
}

/// What a key of the due table says.
///
/// # Errors
/// [`RowsError::Corrupt`]: it is no such key.
pub fn read_due_key(key: &[u8]) -> Result<Due, RowsError> {
    let read = || {
        let mut parts = Reader::new(key);
        if parts.u8()? != DUE_TABLE {
            return Err("it is not of the due table");
        }
        let due = read_due(&mut parts)?;
        parts.end()?;
        Ok(due)
    };
    read().map_err(|reason| RowsError::corrupt(key, reason))
}

/// The range of the keys of all that is due within these times: from the first key (inclusive) to the second
/// (exclusive).
#[must_use]
pub fn due_range(times: RangeInclusive<Timestamp>) -> (Vec<u8>, Vec<u8>) {
    let at = |time: &Timestamp| [&[DUE_TABLE], &time.millis().to_be_bytes()[..]].concat();
    (at(times.start()), successor(at(times.end())))
}

/// The range of all keys of a life in a table whose keys are (table, life, …): from the first key
/// (inclusive) to the second (exclusive).
#[must_use]
pub fn life_range(table: u8, life: LifeId) -> (Vec<u8>, Vec<u8>) {
    let from: [u8; LIFE_END] = of_life(table, life);
    (from.to_vec(), successor(from.to_vec()))
}

/// The least key above all keys that begin with `prefix`, which has a byte below 255.
#[must_use]
pub fn successor(mut prefix: Vec<u8>) -> Vec<u8> {
    while let Some(last) = prefix.pop() {
        if last < u8::MAX {
            prefix.push(last + 1);
            break;
        }
    }
    prefix
}

fn of_life<const N: usize>(table: u8, life: LifeId) -> [u8; N] {
    let mut key = [0; N];
    key[0] = table;
    key[1..LIFE_END].copy_from_slice(&life.to_bytes());
    key
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use roomkeeper_types::ShardId;

    use super::*;
    use crate::DueKind;

    fn any_life() -> impl Strategy<Value = LifeId> {
        // Small numbers meet each other often, large ones reach the upper bytes.
        let number = || prop_oneof![0..3u64, any::<u64>(), Just(u64::MAX)];
        (number(), number(), number()).prop_map(|(shard, index, ordinal)| LifeId {
            shard: ShardId(shard as u32),
            index,
            ordinal: ordinal as u32,
        })
    }

    fn any_due() -> impl Strategy<Value = Due> {
        let what = prop_oneof![
            (0..3_u64, any::<u32>()).prop_map(|(index, ordinal)| DueKind::Hold(HoldId { index, ordinal })),
            any::<[u8; 16]>().prop_map(|id| DueKind::Id(MessageId(id))),
            Just(DueKind::Age),
        ];
        let time = prop_oneof![0..3_u64, any::<u64>(), Just(u64::MAX)].prop_map(Timestamp);
        (time, any_life(), what).prop_map(|(time, life, what)| Due { time, life, what })
    }

    proptest! {
        #[test]
        fn dues_sort_as_their_parts_and_read_back(
            a in any_due(), b in any_due(), since in any_due(), until in any_due(),
        ) {
            let (key, other) = (due(&a), due(&b));
            prop_assert_eq!(key.cmp(&other), a.cmp(&b));
            prop_assert_eq!(read_due_key(&key).unwrap(), a);
            let times = since.time..=until.time;
            let (from, to) = due_range(times.clone());
            prop_assert_eq!(from <= key && key < to, times.contains(&a.time));
        }

        #[test]
        fn holds_and_cursors_sort_as_their_parts(
            a in (any_life(), any::<u64>(), any::<u32>(), "[a-c]{1,3}"),
            b in (any_life(), any::<u64>(), any::<u32>(), "[a-c]{1,3}"),
        ) {
            let id = |index, ordinal| HoldId { index, ordinal };
            let holds = (id(a.1, a.2), id(b.1, b.2));
            prop_assert_eq!(hold(a.0, holds.0).cmp(&hold(b.0, holds.1)), (a.0, holds.0).cmp(&(b.0, holds.1)));
            let key = |life, name: &str| cursor(life, &name.parse().unwrap());
            prop_assert_eq!(key(a.0, &a.3).cmp(&key(b.0, &b.3)), (a.0, &a.3).cmp(&(b.0, &b.3)));
        }

        #[test]
        fn keys_sort_as_their_parts(
            a in (any_life(), any::<u64>(), any::<[u8; 16]>()),
            b in (any_life(), any::<u64>(), any::<[u8; 16]>()),
        ) {
            prop_assert_eq!(room(a.0).cmp(&room(b.0)), a.0.cmp(&b.0));
            let offsets = (Offset(a.1), Offset(b.1));
            prop_assert_eq!(
                message(a.0, offsets.0).cmp(&message(b.0, offsets.1)),
                (a.0, offsets.0).cmp(&(b.0, offsets.1))
            );
            let ids = (MessageId(a.2), MessageId(b.2));
            prop_assert_eq!(id(a.0, ids.0).cmp(&id(b.0, ids.1)), (a.0, ids.0).cmp(&(b.0, ids.1)));
        }

        #[test]
        fn names_sort_as_their_text(a in "[a-zA-Z0-9._~:-]{1,4}", b in "[a-zA-Z0-9._~:-]{1,4}") {
            prop_assert_eq!(name_prefix(&a).cmp(&name_prefix(&b)), a.cmp(&b));
        }

        #[test]
        fn life_range_holds_the_life_and_no_other(
            a in any_life(), b in any_life(), offset in any::<u64>(), uuid in any::<[u8; 16]>(),
        ) {
            let (from, to) = life_range(MESSAGE_TABLE, a);
            let key = message(b, Offset(offset));
            prop_assert_eq!(from[..] <= key[..] && key[..] < to[..], a == b);
            let (from, to) = life_range(ID_TABLE, a);
            let key = id(b, MessageId(uuid));
            prop_assert_eq!(from[..] <= key[..] && key[..] < to[..], a == b);
            let (from, to) = life_range(HOLD_TABLE, a);
            let key = hold(b, HoldId { index: offset, ordinal: 1 });
            prop_assert_eq!(from[..] <= key[..] && key[..] < to[..], a == b);
            let (from, to) = life_range(CURSOR_TABLE, a);
            let key = cursor(b, &"phone".parse().unwrap());
            prop_assert_eq!(from <= key && key < to, a == b);
        }
    }

    #[test]
    fn successor_of_bytes_that_end_in_255_carries() {
        assert_eq!(successor(vec![1]), [2]);
        assert_eq!(successor(vec![1, 7, 255, 255]), [1, 8]);
    }
}
