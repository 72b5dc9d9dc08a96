//! Identities: clusters, nodes, shards, replicas, lives of rooms, messages.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// An id's text form could not be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{text}' is not a {what}: expected {expected}")]
pub struct ParseIdError {
    /// Which id was expected.
    pub what: &'static str,
    /// What its text looks like.
    pub expected: &'static str,
    /// What was given instead, shortened to 64 characters.
    pub text: String,
}

impl ParseIdError {
    fn new(what: &'static str, expected: &'static str, text: &str) -> Self {
        Self { what, expected, text: text.chars().take(64).collect() }
    }
}

macro_rules! number_id {
    ($(#[$doc:meta])* $name:ident($inner:ty), $prefix:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub $inner);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!($prefix, "{}"), self.0)
            }
        }
    };
}

number_id! {
    /// A machine of the cluster, allocated by meta when it joins and bound to its data directory. From 1.
    NodeId(u32), "n"
}
number_id! {
    /// One Raft group, many rooms. From 0.
    ShardId(u32), "s"
}
number_id! {
    /// One copy of one group on one node: the Raft node id. Allocated once by meta and never used again,
    /// since a replica that comes back under an old id could vote twice. From 1.
    ReplicaId(u64), "r"
}

/// Number of shards of a cluster, fixed when it is born: 1 to 4096.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "u32", into = "u32")]
pub struct ShardCount(u32);

impl ShardCount {
    /// The default of new clusters.
    pub const DEFAULT: Self = Self(32);
    /// The most shards a cluster may have.
    pub const MAX: u32 = 4096;

    /// A count in 1..=4096, else `None`.
    #[must_use]
    pub const fn new(count: u32) -> Option<Self> {
        if count >= 1 && count <= Self::MAX { Some(Self(count)) } else { None }
    }

    /// The plain number.
    #[must_use]
    pub const fn get(self) -> u32 {
        self.0
    }

    /// All shards, in order.
    pub fn iter(self) -> impl Iterator<Item = ShardId> {
        (0..self.0).map(ShardId)
    }
}

impl TryFrom<u32> for ShardCount {
    type Error = String;

    fn try_from(count: u32) -> Result<Self, String> {
        Self::new(count).ok_or_else(|| format!("a cluster has 1 to {} shards, not {count}", Self::MAX))
    }
}

impl From<ShardCount> for u32 {
    fn from(count: ShardCount) -> Self {
        count.0
    }
}

macro_rules! uuid_id {
    ($(#[$doc:meta])* $name:ident, $what:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub [u8; 16]);

        impl $name {
            /// A fresh time-ordered id (UUIDv7).
            #[must_use]
            pub fn generate() -> Self {
                Self(Uuid::now_v7().into_bytes())
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                Uuid::from_bytes(self.0).hyphenated().fmt(f)
            }
        }

        impl FromStr for $name {
            type Err = ParseIdError;

            fn from_str(text: &str) -> Result<Self, ParseIdError> {
                Uuid::try_parse(text)
                    .map(|uuid| Self(uuid.into_bytes()))
                    .map_err(|_| ParseIdError::new($what, "a UUID", text))
            }
        }

        impl Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                Uuid::from_bytes(self.0).serialize(serializer)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                Uuid::deserialize(deserializer).map(|uuid| Self(uuid.into_bytes()))
            }
        }
    };
}

uuid_id! {
    /// A cluster's identity, drawn when its first node bootstraps. Data of one cluster never serves another.
    ClusterId, "cluster id"
}
uuid_id! {
    /// A message's id, the client's own UUID: publishing it again stores nothing and returns the first offset.
    MessageId, "message id"
}

/// One life of a room: a room that is deleted and created again has another one, and starts anew at
/// offset 1. Opaque to clients; it is the place in the log where the room was created, so it is unique
/// without coordination. Data keys begin with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct LifeId {
    /// Shard whose log holds the creating entry.
    pub shard: ShardId,
    /// Index of that entry.
    pub index: u64,
    /// Which of the entry's commands created it, from 0.
    pub ordinal: u32,
}

impl LifeId {
    /// Bytes of the binary form.
    pub const LEN: usize = 16;

    /// Binary form, sorted as the id: shard u32, index u64, ordinal u32, all big-endian.
    #[must_use]
    pub fn to_bytes(self) -> [u8; Self::LEN] {
        let mut bytes = [0; Self::LEN];
        bytes[..4].copy_from_slice(&self.shard.0.to_be_bytes());
        bytes[4..12].copy_from_slice(&self.index.to_be_bytes());
        bytes[12..].copy_from_slice(&self.ordinal.to_be_bytes());
        bytes
    }

    /// Reads [`LifeId::to_bytes`] back.
    #[must_use]
    pub fn from_bytes(bytes: [u8; Self::LEN]) -> Self {
        let [a, b, c, d, index @ .., e, f, g, h] = bytes;
        Self {
            shard: ShardId(u32::from_be_bytes([a, b, c, d])),
            index: u64::from_be_bytes(index),
            ordinal: u32::from_be_bytes([e, f, g, h]),
        }
    }
}

impl fmt::Display for LifeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:x}-{:x}-{:x}", self.shard.0, self.index, self.ordinal)
    }
}

impl FromStr for LifeId {
    type Err = ParseIdError;

    fn from_str(text: &str) -> Result<Self, ParseIdError> {
        let mut parts = text.split('-');
        let mut part = || parts.next().and_then(|hex| u64::from_str_radix(hex, 16).ok());
        let life = (|| {
            let shard = ShardId(u32::try_from(part()?).ok()?);
            let index = part()?;
            let ordinal = u32::try_from(part()?).ok()?;
            Some(Self { shard, index, ordinal })
        })();
        // Only the form that Display writes is a life: '+1-0-0' or '01-0-0' is none.
        life.filter(|life| life.to_string() == text)
            .ok_or_else(|| ParseIdError::new("life", "the opaque string that a join returned", text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn life_bytes_keep_order_and_round_trip() {
        let mut lives = vec![
            LifeId { shard: ShardId(0), index: 1, ordinal: 0 },
            LifeId { shard: ShardId(0), index: 1, ordinal: 7 },
            LifeId { shard: ShardId(0), index: 300, ordinal: 0 },
            LifeId { shard: ShardId(9), index: 2, ordinal: 1 },
        ];
        lives.sort_by_key(|life| life.to_bytes());
        assert!(lives.is_sorted());
        for life in lives {
            assert_eq!(LifeId::from_bytes(life.to_bytes()), life);
            assert_eq!(life.to_string().parse(), Ok(life));
        }
    }

    #[test]
    fn life_text_that_display_never_writes_is_refused() {
        for text in ["", "1", "1-2", "1-2-3-4", "+1-2-3", "01-2-3", "g-1-1", "A-1-1"] {
            assert!(text.parse::<LifeId>().is_err(), "{text}");
        }
    }

    #[test]
    fn shard_count_has_bounds() {
        assert_eq!(ShardCount::new(0), None);
        assert_eq!(ShardCount::new(4097), None);
        assert_eq!(ShardCount::DEFAULT.iter().count(), 32);
    }
}
