//! A client's frame as a whole: its number and its one command.

use serde_json::value::RawValue;

use super::fields::entries;
use crate::codec::{DecodeError, ID_EXPECTED, excerpt};
use crate::{CommandKind, Error};

/// The fields of the seed's heartbeat.
pub(super) const SHORT_HEARTBEAT: [&str; 2] = ["amhere", "msgSeen"];

/// A frame's outermost object.
#[derive(Default)]
pub(super) struct Envelope<'a> {
    id: Option<&'a RawValue>,
    /// The first keys that are not `id`: one is expected, two can be named in the error or are a heartbeat's
    /// short form, and a third makes them none.
    commands: [Option<(String, &'a RawValue)>; 3],
}

impl<'a> Envelope<'a> {
    pub(super) fn read(text: &'a str) -> Result<Self, DecodeError> {
        let mut envelope = Self::default();
        let scanned = entries(text, |key, value| {
            if key == "id" {
                if envelope.id.replace(value).is_some() {
                    return Err("`id` is given twice".to_owned());
                }
            } else if let Some(free) = envelope.commands.iter_mut().find(|slot| slot.is_none()) {
                *free = Some((excerpt(key), value));
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

    /// Whether this is the seed's heartbeat, which has its fields beside the id or no id at all.
    pub(super) fn is_short_heartbeat(&self) -> bool {
        let [first, ..] = &self.commands;
        let mut keys = self.commands.iter().flatten();
        first.is_some() && keys.all(|(key, _)| SHORT_HEARTBEAT.contains(&key.as_str()))
    }

    /// The command's number; 0 where a short heartbeat has none.
    pub(super) fn id(&self) -> Result<u32, DecodeError> {
        match self.id {
            None if self.is_short_heartbeat() => Ok(0),
            id => {
                let id = id.and_then(|raw| serde_json::from_str(raw.get()).ok());
                id.filter(|id| *id > 0).ok_or_else(|| DecodeError::unreadable(ID_EXPECTED))
            }
        }
    }

    pub(super) fn command(self) -> Result<(CommandKind, &'a RawValue), Error> {
        match self.commands {
            [Some((name, fields)), None, _] => match CommandKind::from_name(&name) {
                Some(kind) => Ok((kind, fields)),
                None => Err(Error::bad_request(format!("'{name}' is not a command of this protocol"))),
            },
            [Some((first, _)), Some((second, _)), _] => Err(Error::bad_request(format!(
                "a frame has one command beside its id, this one has '{first}' and '{second}'"
            ))),
            [None, ..] => Err(Error::bad_request("a frame has one command beside its id, this one has none")),
        }
    }
}
