//! Rows of the default column family: the node's own, all synced. Numbers are big-endian.
//!
//! ```text
//! | 1 | replica u64 |  →  | version u8 | generation u64 |    the replica's rows are in the family "r7.3":
//!                                                          replica 7, generation 3
//! | 2 | replica u64 |  →  | version u8 |                   tombstone: removed, never to come back
//! ```
//!
//! First byte 3 was the node's own rows; they are files now (decision 6) and it is not used again.

use roomkeeper_types::ReplicaId;

use crate::{Error, rocks};

const POINTER: u8 = 1;
const TOMBSTONE: u8 = 2;

/// Where the pointers begin and end (exclusive).
pub(super) const POINTERS: ([u8; 1], [u8; 1]) = ([POINTER], [POINTER + 1]);

/// Where the tombstones begin and end (exclusive).
pub(super) const TOMBSTONES: ([u8; 1], [u8; 1]) = ([TOMBSTONE], [TOMBSTONE + 1]);

pub(super) fn pointer(replica: ReplicaId) -> [u8; 9] {
    numbered(POINTER, replica)
}

pub(super) fn tombstone(replica: ReplicaId) -> [u8; 9] {
    numbered(TOMBSTONE, replica)
}

/// The replica of a pointer's or tombstone's key.
pub(super) fn replica_of(key: &[u8]) -> Result<ReplicaId, Error> {
    match <[u8; 9]>::try_from(key) {
        Ok([_, replica @ ..]) => Ok(ReplicaId(u64::from_be_bytes(replica))),
        Err(_) => Err(Error::corrupt("the table of replicas", format!("its key {key:02x?} is none"))),
    }
}

pub(super) fn generation_of(replica: ReplicaId, value: &[u8]) -> Result<u64, Error> {
    let what = format!("the pointer of {replica}");
    match rocks::leading_u64(&what, rocks::unversioned(&what, value)?)? {
        (generation, []) => Ok(generation),
        (_, rest) => Err(Error::corrupt(what, format!("{} bytes too many", rest.len()))),
    }
}

/// The name of the column family with a replica's rows. Each installed snapshot makes a new generation.
pub(super) fn family(replica: ReplicaId, generation: u64) -> String {
    format!("{replica}.{generation}")
}

fn numbered(table: u8, replica: ReplicaId) -> [u8; 9] {
    let mut key = [table; 9];
    key[1..].copy_from_slice(&replica.0.to_be_bytes());
    key
}
