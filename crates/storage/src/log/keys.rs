//! Keys and values of the raft log. All numbers are big-endian, so that rows sort by replica, kind, index.
//!
//! ```text
//! key     | replica u64 | kind u8 | index u64 |    17 bytes; index is 0 where a replica has one such row
//!
//! kind 1  purged     | version u8 | kept_from u64 | mark …  |    no entry below `kept_from` is needed
//!      2  vote       | version u8 | number u64 | vote …     |    how many votes were saved, this one included
//!      3  committed  | version u8 | mark …                  |
//!      4  entry      | version u8 | entry …                 |    one per index, without holes
//! ```

use std::ops::Range;

use roomkeeper_types::ReplicaId;

pub(super) const KEY_LEN: usize = 17;

pub(super) type Key = [u8; KEY_LEN];

/// Which rows a key belongs to. The numbers are stored: never reuse one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Kind {
    Purged = 1,
    Vote = 2,
    Committed = 3,
    Entry = 4,
}

pub(super) fn key(replica: ReplicaId, kind: Kind, index: u64) -> Key {
    raw(replica, kind as u8, index)
}

/// All keys of a replica, those of kinds to come included: start inclusive, end exclusive.
pub(super) fn all_of(replica: ReplicaId) -> Range<Key> {
    raw(replica, 0, 0)..raw(replica, u8::MAX, 0)
}

/// Where the entries of a replica end, exclusive.
pub(super) fn entries_end(replica: ReplicaId) -> Key {
    raw(replica, Kind::Entry as u8 + 1, 0)
}

/// The replica that a key belongs to; `None` if it is no key of this table.
pub(super) fn replica_of(key: &[u8]) -> Option<ReplicaId> {
    let key: &Key = key.try_into().ok()?;
    let (replica, _) = key.split_first_chunk()?;
    Some(ReplicaId(u64::from_be_bytes(*replica)))
}

/// The index of an entry's key; `None` if it is no key of this table.
pub(super) fn index_of(key: &[u8]) -> Option<u64> {
    let key: &Key = key.try_into().ok()?;
    let (_, index) = key.split_last_chunk()?;
    Some(u64::from_be_bytes(*index))
}

fn raw(replica: ReplicaId, kind: u8, index: u64) -> Key {
    let mut key = [0; KEY_LEN];
    key[..8].copy_from_slice(&replica.0.to_be_bytes());
    key[8] = kind;
    key[9..].copy_from_slice(&index.to_be_bytes());
    key
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_of_any_replica_kind_and_index_sort_as_they_do() {
        let mut keys = Vec::new();
        for replica in [0, 1, 255, 256, u64::MAX] {
            for kind in [Kind::Purged, Kind::Vote, Kind::Committed, Kind::Entry] {
                for index in [0, 1, 255, 256, u64::MAX] {
                    keys.push(key(ReplicaId(replica), kind, index));
                }
            }
        }
        assert!(keys.is_sorted());
    }

    #[test]
    fn range_of_a_replica_holds_its_keys_and_no_others() {
        let mine = all_of(ReplicaId(7));
        for kind in [Kind::Purged, Kind::Vote, Kind::Committed, Kind::Entry] {
            assert!(mine.contains(&key(ReplicaId(7), kind, 0)));
            assert!(mine.contains(&key(ReplicaId(7), kind, u64::MAX)));
            assert!(!mine.contains(&key(ReplicaId(6), kind, u64::MAX)));
            assert!(!mine.contains(&key(ReplicaId(8), kind, 0)));
        }
    }

    #[test]
    fn key_read_back_gives_replica_and_index() {
        let key = key(ReplicaId(7), Kind::Entry, 300);
        assert_eq!(replica_of(&key), Some(ReplicaId(7)));
        assert_eq!(index_of(&key), Some(300));
        assert_eq!(index_of(&key[1..]), None);
    }
}
