//! Patterns of room names.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use roomkeeper_types::RoomName;
use serde::{Deserialize, Serialize};

/// Rooms by their names: a name in which each `*` stands for any characters, also none. Compared byte by byte:
/// case matters, and there are no paths, so `..` and `:` mean nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct RoomPattern(Arc<str>);

/// A text that is no pattern of rooms.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a pattern of rooms is 1 to 128 characters long and made of A-Z a-z 0-9 . _ ~ : - and *")]
pub struct PatternError;

impl RoomPattern {
    /// The pattern as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether the room is one of them. At most as many steps as both lengths multiplied.
    #[must_use]
    pub fn matches(&self, room: &RoomName) -> bool {
        let (pattern, name) = (self.0.as_bytes(), room.as_str().as_bytes());
        let (mut p, mut n) = (0, 0);
        // Behind the last star, and how far into the name it reached.
        let mut retry = None;
        while n < name.len() {
            if pattern.get(p) == Some(&b'*') {
                p += 1;
                retry = Some((p, n));
            } else if pattern.get(p) == Some(&name[n]) {
                p += 1;
                n += 1;
            } else if let Some((behind, reached)) = retry {
                // The star takes one more.
                retry = Some((behind, reached + 1));
                (p, n) = (behind, reached + 1);
            } else {
                return false;
            }
        }
        pattern[p..].iter().all(|byte| *byte == b'*')
    }

    /// What the names of all its rooms begin with: the part before the first star, which may be empty.
    #[must_use]
    pub fn prefix(&self) -> &str {
        self.0.split('*').next().unwrap_or_default()
    }
}

impl FromStr for RoomPattern {
    type Err = PatternError;

    fn from_str(text: &str) -> Result<Self, PatternError> {
        let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '~' | ':' | '-' | '*');
        if (1..=RoomName::MAX_LEN).contains(&text.len()) && text.chars().all(allowed) {
            Ok(Self(text.into()))
        } else {
            Err(PatternError)
        }
    }
}

impl TryFrom<String> for RoomPattern {
    type Error = PatternError;

    fn try_from(text: String) -> Result<Self, PatternError> {
        text.parse()
    }
}

impl From<RoomPattern> for String {
    fn from(pattern: RoomPattern) -> Self {
        pattern.0.as_ref().to_owned()
    }
}

impl fmt::Display for RoomPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn matches(pattern: &str, room: &str) -> bool {
        pattern.parse::<RoomPattern>().unwrap().matches(&room.parse().unwrap())
    }

    #[test]
    fn pattern_matches_by_the_table() {
        let table = [
            ("chat", "chat", true),
            ("chat", "chats", false),
            ("chat", "Chat", false),
            ("chat.*", "chat.a", true),
            ("chat.*", "chat.", true),
            ("chat.*", "chat", false),
            ("chat.*", "xchat.a", false),
            ("chat.*", "chat.a:b-c", true),
            ("*", "a", true),
            ("*", "..", true),
            ("a..b", "a.b", false),
            ("chat.*.log", "chat.x.log", true),
            ("chat.*.log", "chat..log", true),
            ("chat.*.log", "chat.log", false),
            ("chat.*.log", "chat.x.log.y", false),
            ("*.log", "a.log.log", true),
            ("a*b*c", "abc", true),
            ("a*b*c", "axxbyybzc", true),
            ("a*b*c", "acb", false),
            ("**", "a", true),
            ("~ann:*", "~ann:notes", true),
        ];
        for (pattern, room, expected) in table {
            assert_eq!(matches(pattern, room), expected, "{pattern} on {room}");
        }
    }

    #[test]
    fn pattern_outside_the_grammar_is_refused() {
        for wrong in ["", " ", "a b", "a/b", "cha\u{0442}", "a?", "[a]", "a\0", &"a".repeat(129)] {
            assert_eq!(wrong.parse::<RoomPattern>(), Err(PatternError), "{wrong:?}");
        }
    }

    /// The same by the definition, in exponential time.
    fn by_definition(pattern: &[u8], name: &[u8]) -> bool {
        match pattern {
            [] => name.is_empty(),
            [b'*', rest @ ..] => (0..=name.len()).any(|taken| by_definition(rest, &name[taken..])),
            [first, rest @ ..] => name.first() == Some(first) && by_definition(rest, &name[1..]),
        }
    }

    proptest! {
        #[test]
        fn pattern_matches_as_defined(pattern in "[ab*]{1,8}", name in "[ab]{1,10}") {
            let expected = by_definition(pattern.as_bytes(), name.as_bytes());
            prop_assert_eq!(matches(&pattern, &name), expected);
        }

        #[test]
        fn pattern_prefix_begins_all_names_it_matches(pattern in "[ab*]{1,6}", name in "[ab]{1,8}") {
            let parsed: RoomPattern = pattern.parse().unwrap();
            prop_assert!(!matches(&pattern, &name) || name.starts_with(parsed.prefix()));
        }
    }
}
