//! A client's binary frames, read.

use std::fmt::Display;
use std::str::FromStr;

use bytes::Bytes;
use prost::Message;
use roomkeeper_types::{MessageId, Offset, Timestamp};

use super::pb;
use super::pb::client_frame::Command as Wire;
use super::shared::{parse, read_uuid};
use crate::codec::{DecodeError, ID_EXPECTED, options_unsupported};
use crate::validate::{in_message, validate};
use crate::{
    Command, CommandKind, Create, Data, Error, From, Hello, History, Isolation, Join, Limits, NewMessage,
    Publish, Request, RoomRef, Rooms,
};

pub(in crate::codec) fn decode_request(frame: &Bytes, limits: &Limits) -> Result<Request, DecodeError> {
    let frame = pb::ClientFrame::decode(frame.clone())
        .map_err(|error| DecodeError::unreadable(format!("frame: expected a ClientFrame: {error}")))?;
    let id = frame.id;
    if id == 0 {
        return Err(DecodeError::unreadable(ID_EXPECTED));
    }
    let command = read_command(frame.command).and_then(|command| {
        validate(&command, limits)?;
        Ok(command)
    });
    match command {
        Ok(command) => Ok(Request { id, command }),
        Err(error) => Err(DecodeError { id, error }),
    }
}

fn read_command(command: Option<Wire>) -> Result<Command, Error> {
    let Some(command) = command else {
        return Err(Error::bad_request(
            "command: expected one that this protocol has, got none or a later one",
        ));
    };
    let kind = match command {
        Wire::Hello(hello) => return read_hello(hello).map(Command::Hello),
        Wire::Join(join) => return read_join(join).map(Command::Join),
        Wire::Leave(leave) => return read_room(leave.room, leave.life).map(Command::Leave),
        Wire::Publish(publish) => return read_publish(publish).map(Command::Publish),
        Wire::History(history) => return read_history(history).map(Command::History),
        Wire::Rooms(rooms) => return Ok(Command::Rooms(read_rooms(rooms))),
        Wire::Create(create) => return read_create(create).map(Command::Create),
        Wire::Delete(delete) => return read_room(delete.room, delete.life).map(Command::Delete),
        Wire::Signal(_) => CommandKind::Signal,
        Wire::Commit(_) => CommandKind::Commit,
        Wire::Credit(_) => CommandKind::Credit,
        Wire::Heartbeat(_) => CommandKind::Heartbeat,
        Wire::Presence(_) => CommandKind::Presence,
        Wire::Confirm(_) => CommandKind::Confirm,
        Wire::Rollback(_) => CommandKind::Rollback,
    };
    Ok(Command::Unsupported(kind.name()))
}

fn read_hello(hello: pb::Hello) -> Result<Hello, Error> {
    let pb::Hello { token, user, device, session, client } = hello;
    Ok(Hello { token, user: parse_optional("user", user)?, device, session, client })
}

fn read_join(join: pb::Join) -> Result<Join, Error> {
    Ok(Join {
        room: read_room(join.room, join.life)?,
        from: match join.from {
            None => From::default(),
            Some(start) => read_from(start)?,
        },
        consumer: join.consumer,
        credit: join.credit,
        isolation: read_isolation(join.isolation)?,
        presence: join.presence,
    })
}

fn read_publish(publish: pb::Publish) -> Result<Publish, Error> {
    let messages = publish
        .messages
        .into_iter()
        .enumerate()
        .map(|(index, message)| read_message(message).map_err(|error| in_message(index, error)));
    Ok(Publish {
        room: read_room(publish.room, publish.life)?,
        messages: messages.collect::<Result<_, _>>()?,
        expect: publish.expect.map(Offset),
        hold_ms: publish.hold_ms,
        timeout_ms: publish.timeout_ms,
    })
}

fn read_message(message: pb::NewMessage) -> Result<NewMessage, Error> {
    let id = MessageId(read_uuid("id", &message.id)?);
    let data = match message.data.and_then(|data| data.data) {
        Some(pb::data::Data::Json(text)) => Data::json(text)?,
        Some(pb::data::Data::Binary(bytes)) => Data::Binary(bytes),
        None => return Err(Error::bad_request("data: expected json or binary, got nothing")),
    };
    Ok(NewMessage { id, data, sent: message.sent.map(Timestamp) })
}

fn read_history(history: pb::History) -> Result<History, Error> {
    let start = history.from.ok_or_else(|| Error::bad_request("from: expected a start, got nothing"))?;
    Ok(History {
        room: read_room(history.room, history.life)?,
        from: read_from(start)?,
        limit: history.limit,
        isolation: read_isolation(history.isolation)?,
    })
}

fn read_rooms(rooms: pb::Rooms) -> Rooms {
    let pb::Rooms { prefix, after, limit, page } = rooms;
    Rooms { prefix, after, limit, page }
}

fn read_create(create: pb::Create) -> Result<Create, Error> {
    if create.options.is_some_and(|options| options != pb::RoomOptions::default()) {
        return Err(options_unsupported());
    }
    Ok(Create { room: parse_optional("room", create.room)?, placement: create.placement })
}

fn read_room(room: Option<String>, life: Option<String>) -> Result<RoomRef, Error> {
    Ok(RoomRef { room: parse_optional("room", room)?, life: parse_optional("life", life)? })
}

fn read_from(start: pb::Start) -> Result<From, Error> {
    use pb::start::{Keyword, Start};
    match start.start {
        Some(Start::Keyword(number)) => match Keyword::try_from(number) {
            Ok(Keyword::Latest) => Ok(From::Latest),
            Ok(Keyword::Beginning) => Ok(From::Beginning),
            Ok(Keyword::Committed) => Ok(From::Committed),
            Err(_) => Err(Error::bad_request(format!("from: expected a keyword of 0 to 2, got {number}"))),
        },
        Some(Start::Offset(offset)) => Ok(From::Offset(Offset(offset))),
        Some(Start::Range(range)) => Ok(From::Range(Offset(range.first), Offset(range.last))),
        None => Err(Error::bad_request("from: expected a keyword, an offset or a range, got nothing")),
    }
}

fn read_isolation(number: i32) -> Result<Isolation, Error> {
    match pb::Isolation::try_from(number) {
        Ok(pb::Isolation::Committed) => Ok(Isolation::Committed),
        Ok(pb::Isolation::Uncommitted) => Ok(Isolation::Uncommitted),
        Err(_) => Err(Error::bad_request(format!("isolation: expected 0 or 1, got {number}"))),
    }
}

fn parse_optional<T: FromStr<Err: Display>>(field: &str, text: Option<String>) -> Result<Option<T>, Error> {
    text.map(|text| parse(field, &text)).transpose()
}

#[cfg(test)]
#[path = "server_read_tests.rs"]
mod tests;
