//! Names that people choose: rooms, users and consumers.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64_with_seed;

use crate::{ShardCount, ShardId};

/// Seed of the hash that spreads rooms over shards. Part of the stored format: never change it.
const ROOM_HASH_SEED: u64 = 0x726f_6f6d_6b65_6570;

/// A name outside the grammar.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// A room's name is not 1 to 128 characters long.
    #[error("a room name has 1 to 128 characters, this one has {0}")]
    RoomLength(usize),
    /// A room's name has a character outside the grammar.
    #[error("a room name is made of A-Z a-z 0-9 . _ ~ : -, and '{0}' is none of them")]
    RoomCharacter(char),
    /// `~` begins the name of a user's own room, `~user:name`.
    #[error("a room name that begins with '~' is a user's own room and reads ~user:name")]
    UserRoom,
    /// A user's name is not 1 to 128 bytes long or has control characters.
    #[error("a user name has 1 to 128 bytes and no control characters")]
    User,
    /// A consumer's name is not 1 to 128 bytes long or has control characters.
    #[error("a consumer name has 1 to 128 bytes and no control characters")]
    Consumer,
}

macro_rules! name_type {
    ($name:ident) => {
        impl $name {
            /// The name as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> Self {
                name.0.as_ref().to_owned()
            }
        }

        impl TryFrom<String> for $name {
            type Error = NameError;

            fn try_from(text: String) -> Result<Self, NameError> {
                text.parse()
            }
        }
    };
}

/// A room's name: 1 to 128 of `A-Z a-z 0-9 . _ ~ : -`; a room local to a user is `~user:name`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct RoomName(Arc<str>);

name_type!(RoomName);

impl RoomName {
    /// Longest name, in bytes.
    pub const MAX_LEN: usize = 128;

    /// The shard whose authority the name is: xxh3-64 of the name's bytes with a fixed seed, modulo the
    /// shard count. Part of the stored format.
    #[must_use]
    pub fn hash_shard(&self, shards: ShardCount) -> ShardId {
        let hash = xxh3_64_with_seed(self.0.as_bytes(), ROOM_HASH_SEED);
        // The remainder is below 4096, so the conversion cannot fail.
        ShardId(u32::try_from(hash % u64::from(shards.get())).unwrap_or_default())
    }

    /// The user whose own room this is (`~user:name`), if it is one.
    #[must_use]
    pub fn user(&self) -> Option<&str> {
        let (user, _) = self.0.strip_prefix('~')?.split_once(':')?;
        Some(user)
    }
}

impl FromStr for RoomName {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        if text.is_empty() || text.len() > Self::MAX_LEN {
            return Err(NameError::RoomLength(text.chars().count()));
        }
        let allowed = |c: &char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '~' | ':' | '-');
        if let Some(c) = text.chars().find(|c| !allowed(c)) {
            return Err(NameError::RoomCharacter(c));
        }
        let name = Self(text.into());
        let names_user = name.user().is_some_and(|user| !user.is_empty() && text.len() > user.len() + 2);
        if text.starts_with('~') && !names_user {
            return Err(NameError::UserRoom);
        }
        Ok(name)
    }
}

/// Who sends and joins: a token's subject, or in development mode what the client says. 1 to 128 bytes
/// of UTF-8 without control characters.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct UserId(Arc<str>);

name_type!(UserId);

impl UserId {
    /// Whoever has not said who it is.
    #[must_use]
    pub fn anonymous() -> Self {
        Self("anonymous".into())
    }
}

impl FromStr for UserId {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        if is_label(text) { Ok(Self(text.into())) } else { Err(NameError::User) }
    }
}

/// Whose cursor a committed offset is: a device, a worker, a service. 1 to 128 bytes of UTF-8 without control
/// characters, unique within a life of a room.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ConsumerId(Arc<str>);

name_type!(ConsumerId);

impl FromStr for ConsumerId {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        if is_label(text) { Ok(Self(text.into())) } else { Err(NameError::Consumer) }
    }
}

fn is_label(text: &str) -> bool {
    (1..=128).contains(&text.len()) && !text.chars().any(char::is_control)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_within_the_grammar_parse() {
        for name in ["a", "rust-lang.general_1", "~ann:notes", "x:y", &"a".repeat(128)] {
            assert_eq!(name.parse::<RoomName>().map(String::from).as_deref(), Ok(name));
        }
        assert_eq!("~ann:notes".parse::<RoomName>().unwrap().user(), Some("ann"));
    }

    #[test]
    fn names_outside_the_grammar_are_refused() {
        assert_eq!("".parse::<RoomName>(), Err(NameError::RoomLength(0)));
        assert_eq!("a".repeat(129).parse::<RoomName>(), Err(NameError::RoomLength(129)));
        for (name, c) in [("a b", ' '), ("a/b", '/'), ("ä", 'ä'), ("a\n", '\n'), ("#ubuntu", '#')] {
            assert_eq!(name.parse::<RoomName>(), Err(NameError::RoomCharacter(c)));
        }
        for name in ["~", "~ann", "~:notes", "~ann:"] {
            assert_eq!(name.parse::<RoomName>(), Err(NameError::UserRoom), "{name}");
        }
    }

    #[test]
    fn labels_have_bounds_and_no_control_characters() {
        for label in ["a", "Ann Lee", "ä:/#", &"x".repeat(128)] {
            assert_eq!(label.parse::<UserId>().unwrap().as_str(), label);
            assert_eq!(label.parse::<ConsumerId>().unwrap().as_str(), label);
        }
        for wrong in ["", "a\nb", "\u{7f}", &"x".repeat(129)] {
            assert_eq!(wrong.parse::<UserId>(), Err(NameError::User), "{wrong:?}");
            assert_eq!(wrong.parse::<ConsumerId>(), Err(NameError::Consumer), "{wrong:?}");
        }
    }

    /// The hash is a stored format: these values may never change.
    #[test]
    fn hash_shard_is_frozen() {
        let shards = ShardCount::DEFAULT;
        let of = |name: &str| name.parse::<RoomName>().unwrap().hash_shard(shards);
        assert_eq!([of("a"), of("general"), of("~ann:notes")].map(|s| s.0), [7, 15, 24]);
    }
}
