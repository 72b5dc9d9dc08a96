//! Hashes that the rows keep: a room's rolling hash and a message's digest. Their layouts are stored formats;
//! they stand apart from the rows' layouts, so that a new row version changes no hash.

use std::fmt;

use bytes::BufMut;
use roomkeeper_types::UserId;

use crate::wire::WriteExt;
use crate::{Item, Payload};

/// A room's rolling hash: BLAKE3 over the hash before and the message appended. Equal hashes at equal
/// `next` prove equal logs on two replicas.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RoomHash(pub [u8; 32]);

impl RoomHash {
    /// The hash after `item` was appended. A room without messages has the default hash, 32 zeros.
    ///
    /// BLAKE3 of, numbers big-endian:
    ///
    /// ```text
    /// hash before (32) │ offset u64 │ epoch u64 │ id (16) │ from: len u8, text │ time u64
    ///   │ sent: 0, or 1 and u64 │ kind u8 │ data: len u64, bytes
    /// ```
    #[must_use]
    pub fn append(self, item: &Item) -> Self {
        self.append_with(item, &mut Vec::new())
    }

    /// As [`RoomHash::append`]; `scratch` saves an allocation per message.
    pub(crate) fn append_with(self, item: &Item, scratch: &mut Vec<u8>) -> Self {
        scratch.clear();
        scratch.put_slice(&self.0);
        scratch.put_u64(item.offset.get());
        scratch.put_u64(item.epoch.get());
        scratch.put_slice(&item.id.0);
        scratch.put_name(item.from.as_str());
        scratch.put_time(item.time);
        scratch.put_option(item.sent, WriteExt::put_time);
        scratch.put_u8(item.payload.kind.code());
        scratch.put_long_bytes(&item.payload.bytes);
        Self(*blake3::hash(scratch).as_bytes())
    }
}

impl fmt::Display for RoomHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// What tells two messages under one id apart: sender, kind and data. `sent` is not part of it: a client that
/// sends a message again may stamp it again.
///
/// The first 16 bytes of BLAKE3 of `from: len u8, text │ kind u8 │ data`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Digest(pub [u8; 16]);

impl Digest {
    /// The digest of a message.
    pub(crate) fn of(from: &UserId, payload: &Payload, scratch: &mut Vec<u8>) -> Self {
        scratch.clear();
        scratch.put_name(from.as_str());
        scratch.put_u8(payload.kind.code());
        scratch.put_slice(&payload.bytes);
        let mut digest = [0; 16];
        digest.copy_from_slice(&blake3::hash(scratch).as_bytes()[..16]);
        Self(digest)
    }
}
