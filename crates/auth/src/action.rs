//! What can be done with a room.

use std::fmt;
use std::str::FromStr;

use serde::de::{SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Something that can be done with a room, as tokens grant it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Action {
    /// Append messages, hold them back, confirm them; signal.
    Publish,
    /// Receive its messages; commit cursors.
    Subscribe,
    /// Read its log.
    History,
    /// Create it, also by joining or publishing to it first.
    Create,
    /// Delete it and all its messages.
    Delete,
    /// See who is there.
    Presence,
}

impl Action {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::Publish, Self::Subscribe, Self::History, Self::Create, Self::Delete, Self::Presence];

    /// The name in tokens.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Publish => "publish",
            Self::Subscribe => "subscribe",
            Self::History => "history",
            Self::Create => "create",
            Self::Delete => "delete",
            Self::Presence => "presence",
        }
    }

    const fn bit(self) -> u8 {
        1 << self as u8
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The name of no action.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected publish, subscribe, history, create, delete or presence")]
pub struct UnknownAction;

impl FromStr for Action {
    type Err = UnknownAction;

    fn from_str(text: &str) -> Result<Self, UnknownAction> {
        Self::ALL.into_iter().find(|action| action.name() == text).ok_or(UnknownAction)
    }
}

/// A set of actions. In a token: an array of their names, of which unknown ones grant nothing, so that a token
/// that grants more than this release knows is still good for the rest.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Actions(u8);

impl Actions {
    /// None of them.
    pub const NONE: Self = Self(0);
    /// All of them.
    pub const ALL: Self = Self((1 << Action::ALL.len()) - 1);

    /// Whether the action is one of them.
    #[must_use]
    pub const fn has(self, action: Action) -> bool {
        self.0 & action.bit() != 0
    }

    /// Those of either set.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether there are none.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Each of them.
    pub fn iter(self) -> impl Iterator<Item = Action> {
        Action::ALL.into_iter().filter(move |action| self.has(*action))
    }
}

impl FromIterator<Action> for Actions {
    fn from_iter<I: IntoIterator<Item = Action>>(actions: I) -> Self {
        actions.into_iter().fold(Self::NONE, |set, action| Self(set.0 | action.bit()))
    }
}

impl Serialize for Actions {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.iter().map(Action::name))
    }
}

impl<'de> Deserialize<'de> for Actions {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Names;

        impl<'de> Visitor<'de> for Names {
            type Value = Actions;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an array of actions")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut names: A) -> Result<Actions, A::Error> {
                let mut actions = Actions::NONE;
                while let Some(name) = names.next_element::<String>()? {
                    actions = actions.and(name.parse::<Action>().into_iter().collect());
                }
                Ok(actions)
            }
        }

        deserializer.deserialize_seq(Names)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn action_of_any_name_is_read_back() {
        for action in Action::ALL {
            assert_eq!(action.to_string().parse(), Ok(action));
            assert!(Actions::ALL.has(action) && !Actions::NONE.has(action));
        }
        for wrong in ["", "Publish", "publish ", "*", "admin"] {
            assert_eq!(wrong.parse::<Action>(), Err(UnknownAction), "{wrong}");
        }
    }

    #[test]
    fn actions_that_are_unknown_grant_nothing() {
        let read: Actions = serde_json::from_str(r#"["history", "moderate", "publish"]"#).unwrap();
        assert_eq!(read, [Action::Publish, Action::History].into_iter().collect());
        assert_eq!(serde_json::to_string(&read).unwrap(), r#"["publish","history"]"#);
        for wrong in ["\"publish\"", "[1]", "{}", "null"] {
            assert!(serde_json::from_str::<Actions>(wrong).is_err(), "{wrong}");
        }
    }
}
