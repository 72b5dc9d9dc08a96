//! A client's frame as a whole: its number and its one command.

use serde_json::value::RawValue;

use super::fields::entries;
use crate::codec::{DecodeError, ID_EXPECTED, excerpt};
use crate::{CommandKind, Error};

/// The fields of the seed's heartbeat, which has no command around them.
pub(super) const SHORT_HEARTBEAT: [&str; 2] = ["amhere", "msgSeen"];

/// A frame's outermost object.
#[derive(Default)]
pub(super) struct Envelope<'a> {
    id: Option<&'a RawValue>,
    /// The first keys that are not `id`: one is expected, two can be named in the error or are a short
    /// heartbeat's, which a third is not.
    keys: [Option<(Key, &'a RawValue)>; 3],
}

enum Key {
    Command(CommandKind),
    /// A field of a short heartbeat.
    Short(&'static str),
    /// Its beginning.
    Unknown(String),
}

impl Key {
    fn read(key: &str) -> Self {
        if let Some(kind) = CommandKind::from_name(key) {
            return Self::Command(kind);
        }
        let short = SHORT_HEARTBEAT.into_iter().find(|name| *name == key);
        short.map_or_else(|| Self::Unknown(excerpt(key)), Self::Short)
    }

    fn name(&self) -> &str {
        match self {
            Self::Command(kind) => kind.name(),
            Self::Short(name) => name,
            Self::Unknown(name) => name,
        }
    }
}

impl<'a> Envelope<'a> {
    pub(super) fn read(text: &'a str) -> Result<Self, DecodeError> {
        let mut envelope = Self::default();
        let scanned = entries(text, |key, value| {
            if key == "id" {
                if envelope.id.replace(value).is_some() {
                    return Err("`id` is given twice".to_owned());
                }
            } else if let Some(free) = envelope.keys.iter_mut().find(|slot| slot.is_none()) {
                *free = Some((Key::read(key), value));
            }
            Ok(())
        });
        scanned.map_err(|error| {
            DecodeError::unreadable(format!(
                "frame: expected one JSON object, {{\"id\": …, COMMAND: …}}: {error}"
            ))
        })?;
        Ok(envelope)
    }

    /// Whether this is the seed's heartbeat: its fields beside an id, or without one.
    pub(super) fn is_short_heartbeat(&self) -> bool {
        let mut keys = self.keys.iter().flatten();
        self.keys[0].is_some() && keys.all(|(key, _)| matches!(key, Key::Short(_)))
    }

    /// The command's number; 0 where a short heartbeat has none.
    pub(super) fn id(&self) -> Result<u32, DecodeError> {
        if self.id.is_none() && self.is_short_heartbeat() {
            return Ok(0);
        }
        let id = self.id.and_then(|raw| serde_json::from_str(raw.get()).ok());
        id.filter(|id| *id > 0).ok_or_else(|| DecodeError::unreadable(ID_EXPECTED))
    }

    pub(super) fn command(&self) -> Result<(CommandKind, &'a RawValue), Error> {
        match &self.keys {
            [Some((Key::Command(kind), fields)), None, _] => Ok((*kind, fields)),
            [Some((key, _)), None, _] => {
                Err(Error::bad_request(format!("'{}' is not a command of this protocol", key.name())))
            }
            [Some((first, _)), Some((second, _)), _] => Err(Error::bad_request(format!(
                "a frame has one command beside its id, this one has '{}' and '{}'",
                first.name(),
                second.name()
            ))),
            [None, ..] => Err(Error::bad_request("a frame has one command beside its id, this one has none")),
        }
    }
}
