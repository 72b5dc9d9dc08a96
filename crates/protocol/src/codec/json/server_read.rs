//! A client's JSON frames and REST bodies, read.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use roomkeeper_types::{MessageId, Offset, Timestamp, Token};
use serde_json::value::RawValue;

use super::envelope::{Envelope, SHORT_HEARTBEAT};
use super::fields::{Field, entries, fields};
use crate::codec::{DecodeError, excerpt, read_beat_room, read_placement};
use crate::validate::{
    check_commit, check_create, check_hold, check_publish, check_signal, in_message, in_room, validate,
    within,
};
use crate::{
    Command, CommandKind, Commit, Create, Credit, Data, Error, From, Heartbeat, Hello, History, HoldRef,
    Isolation, Join, Limits, NewMessage, Publish, Request, RoomOptions, RoomRef, Rooms, Seen, Signal,
};

const FROM_EXPECTED: &str = r#""latest", "beginning", "committed", {"offset": n} or {"range": [a, b]}"#;

pub(in crate::codec) fn decode_request(frame: &Bytes, limits: &Limits) -> Result<Request, DecodeError> {
    let text = std::str::from_utf8(frame)
        .map_err(|error| DecodeError::unreadable(format!("frame: expected UTF-8 text: {error}")))?;
    let envelope = Envelope::read(text)?;
    let id = envelope.id()?;
    let command = if envelope.is_short_heartbeat() {
        read_short_heartbeat(text)
    } else {
        envelope.command().and_then(|(kind, fields)| read_command(kind, fields, frame))
    };
    let command = command.and_then(|command| {
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

/// The `signal` body of REST: the same object as the command.
pub(crate) fn decode_signal(body: &Bytes, limits: &Limits) -> Result<Signal, Error> {
    let signal = read_signal(read_body(body)?, body)?;
    check_signal(&signal, limits)?;
    Ok(signal)
}

/// The `commit` body of REST: the same object as the command.
pub(crate) fn decode_commit(body: &Bytes) -> Result<Commit, Error> {
    let commit = read_commit(read_body(body)?)?;
    check_commit(&commit)?;
    Ok(commit)
}

/// The `confirm` or `rollback` body of REST: the same object as the command.
pub(crate) fn decode_hold(body: &Bytes, limits: &Limits) -> Result<HoldRef, Error> {
    let hold = read_hold(read_body(body)?, "hold")?;
    check_hold(&hold, limits)?;
    Ok(hold)
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

fn read_command(kind: CommandKind, raw: &RawValue, frame: &Bytes) -> Result<Command, Error> {
    Ok(match kind {
        CommandKind::Hello => Command::Hello(read_hello(raw)?),
        CommandKind::Join => Command::Join(read_join(raw)?),
        CommandKind::Leave => Command::Leave(read_room_only(raw, "leave")?),
        CommandKind::Publish => Command::Publish(read_publish(raw, frame)?),
        CommandKind::Signal => Command::Signal(read_signal(raw, frame)?),
        CommandKind::History => Command::History(read_history(raw)?),
        CommandKind::Commit => Command::Commit(read_commit(raw)?),
        CommandKind::Credit => Command::Credit(read_credit(raw)?),
        CommandKind::Heartbeat => Command::Heartbeat(read_heartbeat(raw)?),
        CommandKind::Presence => Command::Presence(read_room_only(raw, "presence")?),
        CommandKind::Rooms => Command::Rooms(read_rooms(raw)?),
        CommandKind::Create => Command::Create(read_create(raw)?),
        CommandKind::Delete => Command::Delete(read_room_only(raw, "delete")?),
        CommandKind::Confirm => Command::Confirm(read_hold(raw, "confirm")?),
        CommandKind::Rollback => Command::Rollback(read_hold(raw, "rollback")?),
    })
}

fn read_hello(raw: &RawValue) -> Result<Hello, Error> {
    let [token, user, device, session, client] =
        fields(raw, "hello", ["token", "user", "device", "session", "client"])?;
    Ok(Hello {
        token: token.string()?.map(Token::from),
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
        consumer: consumer.parse()?,
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
    Ok(NewMessage { id, data: read_data(data, data_b64, frame)?, sent: sent.number()?.map(Timestamp) })
}

#[inline]
fn read_data(data: Field<'_>, data_b64: Field<'_>, frame: &Bytes) -> Result<Data, Error> {
    match (data.verbatim(), data_b64.text()?) {
        // The text lies within the frame, so that this shares the frame's bytes.
        (Some(raw), None) => Ok(Data::Json(frame.slice_ref(raw.get().as_bytes()))),
        (None, Some(text)) => match STANDARD.decode(text.as_bytes()) {
            Ok(bytes) => Ok(Data::Binary(bytes.into())),
            Err(_) => Err(data_b64.wrong("standard base64 with padding")),
        },
        (None, None) => Err(data.wrong("any JSON value, or data_b64")),
        (Some(_), Some(_)) => Err(Error::bad_request("data: expected either data or data_b64, got both")),
    }
}

fn read_signal(raw: &RawValue, frame: &Bytes) -> Result<Signal, Error> {
    let [room, life, data, data_b64] = fields(raw, "signal", ["room", "life", "data", "data_b64"])?;
    Ok(Signal { room: read_room(room, life)?, data: read_data(data, data_b64, frame)? })
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

fn read_commit(raw: &RawValue) -> Result<Commit, Error> {
    let [room, life, consumer, offset] = fields(raw, "commit", ["room", "life", "consumer", "offset"])?;
    Ok(Commit {
        room: read_room(room, life)?,
        consumer: consumer.parse()?.ok_or_else(|| consumer.wrong("a consumer's name"))?,
        offset: offset.number()?.map(Offset).ok_or_else(|| offset.wrong("a whole number, 0 or more"))?,
    })
}

fn read_credit(raw: &RawValue) -> Result<Credit, Error> {
    let [room, life, more] = fields(raw, "credit", ["room", "life", "more"])?;
    Ok(Credit {
        room: read_room(room, life)?,
        more: more.number()?.ok_or_else(|| more.wrong("a whole number, 1 or more"))?,
    })
}

fn read_heartbeat(raw: &RawValue) -> Result<Heartbeat, Error> {
    let [rooms] = fields(raw, "heartbeat", ["rooms"])?;
    let wrong = || rooms.wrong("an object of {here?, seen?, upto?} by room");
    let mut each = Vec::new();
    let listed = entries(rooms.given().ok_or_else(wrong)?.get(), |key, seen| {
        each.push((key.to_owned(), seen));
        Ok(())
    });
    listed.map_err(|_| wrong())?;
    let read = |(key, seen): (String, &RawValue)| {
        let room = read_beat_room(&key)?;
        let seen = read_seen(seen).map_err(|error| in_room(&key, error))?;
        Ok((room, seen))
    };
    Ok(Heartbeat { rooms: each.into_iter().map(read).collect::<Result<_, Error>>()? })
}

fn read_seen(raw: &RawValue) -> Result<Seen, Error> {
    let [here, seen, upto] = fields(raw, "seen", ["here", "seen", "upto"])?;
    Ok(Seen {
        here: here.boolean()?.unwrap_or(true),
        seen: seen.ids()?.unwrap_or_default(),
        upto: upto.number()?.map(Offset),
    })
}

/// `{"amhere": true, "msgSeen": […]}`: the frame itself has the fields, of the room of the socket.
fn read_short_heartbeat(frame: &str) -> Result<Command, Error> {
    let [here, seen] = fields(read_body(frame.as_bytes())?, "heartbeat", SHORT_HEARTBEAT)?;
    let seen =
        Seen { here: here.boolean()?.unwrap_or(true), seen: seen.ids()?.unwrap_or_default(), upto: None };
    Ok(Command::Heartbeat(Heartbeat { rooms: vec![(None, seen)] }))
}

fn read_create(raw: &RawValue) -> Result<Create, Error> {
    let [room, options, placement] = fields(raw, "create", ["room", "options", "placement"])?;
    Ok(Create {
        room: room.parse()?,
        options: read_options(options)?,
        placement: placement.text()?.map(|name| read_placement(&name)).transpose()?,
    })
}

/// A room without an option that was asked for would be a surprise: an unknown one is refused.
fn read_options(field: Field<'_>) -> Result<RoomOptions, Error> {
    const NAMES: [&str; 5] = ["retain_ms", "retain_messages", "retain_bytes", "presence", "max_members"];
    let Some(raw) = field.given() else { return Ok(RoomOptions::default()) };
    let known = |name: &str, _: &RawValue| match NAMES.contains(&name) {
        true => Ok(()),
        false => Err(format!("'{}' is none of them", excerpt(name))),
    };
    entries(raw.get(), known).map_err(|error| {
        Error::bad_request(format!("options: expected an object of {}: {error}", NAMES.join(", ")))
    })?;
    let [retain_ms, retain_messages, retain_bytes, presence, max_members] = fields(raw, "options", NAMES)?;
    let read = || {
        Ok(RoomOptions {
            retain_ms: retain_ms.number()?,
            retain_messages: retain_messages.number()?,
            retain_bytes: retain_bytes.number()?,
            presence: presence.boolean()?,
            max_members: read_u32(max_members)?,
        })
    };
    read().map_err(|error| within("options", error))
}

fn read_hold(raw: &RawValue, command: &str) -> Result<HoldRef, Error> {
    let [room, life, ids] = fields(raw, command, ["room", "life", "ids"])?;
    Ok(HoldRef {
        room: read_room(room, life)?,
        ids: ids.ids()?.ok_or_else(|| ids.wrong("an array of UUIDs"))?,
    })
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

fn read_u32(field: Field<'_>) -> Result<Option<u32>, Error> {
    let number = field.number()?.map(u32::try_from).transpose();
    number.map_err(|_| field.wrong("a whole number from 1 to 4294967295"))
}

/// A number whose range ends far below 2^32: one beyond is as much out of it as 2^32 - 1 is.
fn read_small(field: Field<'_>) -> Result<Option<u32>, Error> {
    Ok(field.number()?.map(|number| u32::try_from(number).unwrap_or(u32::MAX)))
}
