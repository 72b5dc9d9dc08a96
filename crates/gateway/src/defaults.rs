//! What rooms are created with that nobody said anything else of.

use std::time::Duration;

use roomkeeper_protocol as protocol;
use roomkeeper_room::RoomOptions;
use serde::{Deserialize, Serialize};

use crate::config::ConfigError;

/// The options of a room that names no others. They are the room's from its creation on: changing them here changes no
/// room that is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RoomDefaults {
    /// Messages older than this are trimmed. Written as `"7d"`; left out: none for their age.
    #[serde(with = "humantime_serde", skip_serializing_if = "Option::is_none")]
    pub retain: Option<Duration>,
    /// Messages beyond this many are trimmed, the oldest first; left out: none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retain_messages: Option<u64>,
    /// Bytes of data beyond this many are trimmed, the oldest messages first; left out: none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retain_bytes: Option<u64>,
    /// Whether members are counted and told of each other.
    pub presence: bool,
    /// Members beyond this many are refused; left out: none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_members: Option<u32>,
}

impl Default for RoomDefaults {
    /// Everything is kept, with presence, for any number of members.
    fn default() -> Self {
        let RoomOptions { retain_messages, retain_bytes, presence, max_members, .. } = RoomOptions::default();
        Self { retain: None, retain_messages, retain_bytes, presence, max_members }
    }
}

impl From<RoomDefaults> for RoomOptions {
    fn from(defaults: RoomDefaults) -> Self {
        let millis = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        Self {
            retain_ms: defaults.retain.map(millis),
            retain_messages: defaults.retain_messages,
            retain_bytes: defaults.retain_bytes,
            presence: defaults.presence,
            max_members: defaults.max_members,
        }
    }
}

impl RoomDefaults {
    /// What a room is created with for which this much was said.
    pub(crate) fn with(self, said: &protocol::RoomOptions) -> RoomOptions {
        let defaults = RoomOptions::from(self);
        RoomOptions {
            retain_ms: said.retain_ms.or(defaults.retain_ms),
            retain_messages: said.retain_messages.or(defaults.retain_messages),
            retain_bytes: said.retain_bytes.or(defaults.retain_bytes),
            presence: said.presence.unwrap_or(defaults.presence),
            max_members: said.max_members.or(defaults.max_members),
        }
    }

    pub(crate) fn validate(&self) -> Result<(), ConfigError> {
        let wrong = |field, problem| Err(ConfigError { field, problem });
        if self.retain.is_some_and(|retain| retain < Duration::from_millis(1)) {
            return wrong("room_defaults.retain", "expected 1ms or more, or nothing");
        }
        let counts = [
            ("room_defaults.retain_messages", self.retain_messages),
            ("room_defaults.retain_bytes", self.retain_bytes),
            ("room_defaults.max_members", self.max_members.map(u64::from)),
        ];
        match counts.into_iter().find(|(_, count)| *count == Some(0)) {
            Some((field, _)) => wrong(field, "expected 1 or more, or nothing"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEFAULTS: RoomDefaults = RoomDefaults {
        retain: Some(Duration::from_secs(60)),
        retain_messages: Some(100),
        retain_bytes: None,
        presence: false,
        max_members: Some(7),
    };

    #[test]
    fn option_that_was_named_wins_over_the_default() {
        let nothing = protocol::RoomOptions::default();
        assert_eq!(DEFAULTS.with(&nothing), RoomOptions::from(DEFAULTS));
        assert_eq!(RoomDefaults::default().with(&nothing), RoomOptions::default());
        let said = protocol::RoomOptions {
            retain_ms: Some(5),
            retain_bytes: Some(9),
            presence: Some(true),
            ..nothing
        };
        let expected = RoomOptions {
            retain_ms: Some(5),
            retain_messages: Some(100),
            retain_bytes: Some(9),
            presence: true,
            max_members: Some(7),
        };
        assert_eq!(DEFAULTS.with(&said), expected);
    }

    #[test]
    fn default_of_nothing_at_all_is_refused() {
        type Break = fn(&mut RoomDefaults);
        let broken: [(&str, Break); 4] = [
            ("room_defaults.retain", |it| it.retain = Some(Duration::from_micros(9))),
            ("room_defaults.retain_messages", |it| it.retain_messages = Some(0)),
            ("room_defaults.retain_bytes", |it| it.retain_bytes = Some(0)),
            ("room_defaults.max_members", |it| it.max_members = Some(0)),
        ];
        for (field, break_it) in broken {
            let mut defaults = DEFAULTS;
            break_it(&mut defaults);
            assert_eq!(defaults.validate().unwrap_err().field, field);
        }
        assert_eq!(DEFAULTS.validate(), Ok(()));
    }
}
