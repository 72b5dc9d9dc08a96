//! A client's JSON frames and REST bodies, read.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use roomkeeper_types::{MessageId, Offset, Timestamp};
use serde_json::value::RawValue;

use super::fields::{Field, entries, excerpt, fields};
use crate::codec::{DecodeError, ID_EXPECTED, options_unsupported};
use crate::validate::{check_create, check_publish, in_message, validate};
use crate::{
    Command, CommandKind, Create, Data, Error, From, Hello, History, Isolation, Join, Limits, NewMessage,
    Publish, Request, RoomRef, Rooms,
};

const FROM_EXPECTED: &str = r#""latest", "beginning", "committed", {"offset": n} or {"range": [a, b]}"#;

pub(in crate::codec) fn decode_request(frame: &Bytes, limits: &Limits) -> Result<Request, DecodeError> {
    let text = std::str::from_utf8(frame)
        .map_err(|error| DecodeError::unreadable(format!("frame: expected UTF-8 text: {error}")))?;
    let envelope = Envelope::read(text)?;
    let id = envelope.id()?;
    let (kind, fields) = envelope.command().map_err(|error| DecodeError { id, error })?;
    let command = read_command(kind, fields, frame).and_then(|command| {
        validate(&command, limits)?;
        Ok(command)
    });
    match command {
        Ok(command) => Ok(Request { id, command }),
        Err(error) => Err(DecodeError { id, error }),
    }
}

/// The `publish` body of REST: the same object as the command.
pub(crate) fn decode_publish(body: &Bytes, limits: &Limits) -> Result<Publish, Error> {
    let publish = read_publish(read_body(body)?, body)?;
    check_publish(&publish, limits)?;
    Ok(publish)
}

/// The `create` body of REST: the same object as the command.
pub(crate) fn decode_create(body: &Bytes) -> Result<Create, Error> {
    let create = read_create(read_body(body)?)?;
    check_create(&create)?;
    Ok(create)
}

fn read_body(body: &[u8]) -> Result<&RawValue, Error> {
    let wrong =
        |why: &dyn std::fmt::Display| Error::bad_request(format!("body: expected a JSON object: {why}"));
    let text = std::str::from_utf8(body).map_err(|error| wrong(&error))?;
    serde_json::from_str(text).map_err(|error| wrong(&error))
}

/// A frame's outermost object.
#[derive(Default)]
struct Envelope<'a> {
    id: Option<&'a RawValue>,
    /// The first two keys that are not `id`: one is expected, two can be named in the error.
    commands: [Option<(String, &'a RawValue)>; 2],
}

impl<'a> Envelope<'a> {
    fn read(text: &'a str) -> Result<Self, DecodeError> {
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

    fn id(&self) -> Result<u32, DecodeError> {
        let id = self.id.and_then(|raw| serde_json::from_str(raw.get()).ok());
        id.filter(|id| *id > 0).ok_or_else(|| DecodeError::unreadable(ID_EXPECTED))
    }

    fn command(self) -> Result<(CommandKind, &'a RawValue), Error> {
        match self.commands {
            [Some((name, fields)), None] => match CommandKind::from_name(&name) {
                Some(kind) => Ok((kind, fields)),
                None => Err(Error::bad_request(format!("'{name}' is not a command of this protocol"))),
            },
            [Some((first, _)), Some((second, _))] => Err(Error::bad_request(format!(
                "a frame has one command beside its id, this one has '{first}' and '{second}'"
            ))),
            [None, _] => Err(Error::bad_request("a frame has one command beside its id, this one has none")),
        }
    }
}

fn read_command(kind: CommandKind, raw: &RawValue, frame: &Bytes) -> Result<Command, Error> {
    Ok(match kind {
        CommandKind::Hello => Command::Hello(read_hello(raw)?),
        CommandKind::Join => Command::Join(read_join(raw)?),
        CommandKind::Leave => Command::Leave(read_room_only(raw, "leave")?),
        CommandKind::Publish => Command::Publish(read_publish(raw, frame)?),
        CommandKind::History => Command::History(read_history(raw)?),
        CommandKind::Rooms => Command::Rooms(read_rooms(raw)?),
        CommandKind::Create => Command::Create(read_create(raw)?),
        CommandKind::Delete => Command::Delete(read_room_only(raw, "delete")?),
        CommandKind::Signal
        | CommandKind::Commit
        | CommandKind::Credit
        | CommandKind::Heartbeat
        | CommandKind::Presence
        | CommandKind::Confirm
        | CommandKind::Rollback => Command::Unsupported(kind.name()),
    })
}

fn read_hello(raw: &RawValue) -> Result<Hello, Error> {
    let [token, user, device, session, client] =
        fields(raw, "hello", ["token", "user", "device", "session", "client"])?;
    Ok(Hello {
        token: token.string()?,
        user: user.parse()?,
        device: device.string()?,
        session: session.string()?,
        client: client.string()?,
    })
}

fn read_join(raw: &RawValue) -> Result<Join, Error> {
    let [room, life, from, consumer, credit, isolation, presence] =
        fields(raw, "join", ["room", "life", "from", "consumer", "credit", "isolation", "presence"])?;
    Ok(Join {
        room: read_room(room, life)?,
        from: read_from(from)?.unwrap_or_default(),
        consumer: consumer.string()?,
        credit: credit.number()?,
        isolation: read_isolation(isolation)?,
        presence: presence.boolean()?,
    })
}

fn read_publish(raw: &RawValue, frame: &Bytes) -> Result<Publish, Error> {
    let [room, life, messages, expect, hold_ms, timeout_ms] =
        fields(raw, "publish", ["room", "life", "messages", "expect", "hold_ms", "timeout_ms"])?;
    let elements = messages
        .elements(["id", "data", "data_b64", "sent"])?
        .ok_or_else(|| messages.wrong("an array of {id, data, sent?}"))?;
    let messages = elements
        .into_iter()
        .enumerate()
        .map(|(index, message)| read_message(message, frame).map_err(|error| in_message(index, error)));
    Ok(Publish {
        room: read_room(room, life)?,
        messages: messages.collect::<Result<_, _>>()?,
        expect: expect.number()?.map(Offset),
        hold_ms: hold_ms.number()?,
        timeout_ms: timeout_ms.number()?,
    })
}

fn read_message([id, data, data_b64, sent]: [Field<'_>; 4], frame: &Bytes) -> Result<NewMessage, Error> {
    let id = id.parse::<MessageId>()?.ok_or_else(|| id.wrong("a UUID"))?;
    let data = match (data.verbatim(), data_b64.text()?) {
        // The text lies within the frame, so that this shares the frame's bytes.
        (Some(raw), None) => Data::Json(frame.slice_ref(raw.get().as_bytes())),
        (None, Some(text)) => match STANDARD.decode(text.as_bytes()) {
            Ok(bytes) => Data::Binary(bytes.into()),
            Err(_) => return Err(data_b64.wrong("standard base64 with padding")),
        },
        (None, None) => return Err(data.wrong("any JSON value, or data_b64")),
        (Some(_), Some(_)) => {
            return Err(Error::bad_request("data: expected either data or data_b64, got both"));
        }
    };
    Ok(NewMessage { id, data, sent: sent.number()?.map(Timestamp) })
}

fn read_history(raw: &RawValue) -> Result<History, Error> {
    let [room, life, from, limit, isolation] =
        fields(raw, "history", ["room", "life", "from", "limit", "isolation"])?;
    Ok(History {
        room: read_room(room, life)?,
        from: read_from(from)?.ok_or_else(|| from.wrong(FROM_EXPECTED))?,
        limit: read_small(limit)?,
        isolation: read_isolation(isolation)?,
    })
}

fn read_rooms(raw: &RawValue) -> Result<Rooms, Error> {
    let [prefix, after, limit, page] = fields(raw, "rooms", ["prefix", "after", "limit", "page"])?;
    Ok(Rooms {
        prefix: prefix.string()?,
        after: after.string()?,
        limit: read_small(limit)?,
        page: read_small(page)?,
    })
}

fn read_create(raw: &RawValue) -> Result<Create, Error> {
    let [room, options, placement] = fields(raw, "create", ["room", "options", "placement"])?;
    if let Some(options) = options.given() {
        let mut empty = true;
        let note = |_: &str, _: &RawValue| {
            empty = false;
            Ok(())
        };
        if entries(options.get(), note).is_err() || !empty {
            return Err(options_unsupported());
        }
    }
    Ok(Create { room: room.parse()?, placement: placement.string()? })
}

fn read_room_only(raw: &RawValue, command: &str) -> Result<RoomRef, Error> {
    let [room, life] = fields(raw, command, ["room", "life"])?;
    read_room(room, life)
}

fn read_room(room: Field<'_>, life: Field<'_>) -> Result<RoomRef, Error> {
    Ok(RoomRef { room: room.parse()?, life: life.parse()? })
}

fn read_isolation(field: Field<'_>) -> Result<Isolation, Error> {
    match field.text()?.as_deref() {
        None => Ok(Isolation::default()),
        Some("committed") => Ok(Isolation::Committed),
        Some("uncommitted") => Ok(Isolation::Uncommitted),
        Some(_) => Err(field.wrong(r#""committed" or "uncommitted""#)),
    }
}

fn read_from(field: Field<'_>) -> Result<Option<From>, Error> {
    let Some(raw) = field.given() else { return Ok(None) };
    let wrong = || field.wrong(FROM_EXPECTED);
    if !raw.get().starts_with('{') {
        return match field.text().map_err(|_| wrong())?.as_deref() {
            Some("latest") => Ok(Some(From::Latest)),
            Some("beginning") => Ok(Some(From::Beginning)),
            Some("committed") => Ok(Some(From::Committed)),
            _ => Err(wrong()),
        };
    }
    let [offset, range] = fields(raw, "from", ["offset", "range"])?;
    match (offset.number().map_err(|_| wrong())?, range.given()) {
        (Some(offset), None) => Ok(Some(From::Offset(Offset(offset)))),
        (None, Some(range)) => match serde_json::from_str::<[u64; 2]>(range.get()) {
            Ok([first, last]) => Ok(Some(From::Range(Offset(first), Offset(last)))),
            Err(_) => Err(wrong()),
        },
        _ => Err(wrong()),
    }
}

/// A number whose range ends far below 2^32: one beyond is as much out of it as 2^32 - 1 is.
fn read_small(field: Field<'_>) -> Result<Option<u32>, Error> {
    Ok(field.number()?.map(|number| u32::try_from(number).unwrap_or(u32::MAX)))
}
