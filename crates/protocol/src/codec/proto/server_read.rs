//! A client's binary frames, read.

use std::fmt::Display;
use std::str::FromStr;

use bytes::Bytes;
use prost::Message;
use roomkeeper_types::{MessageId, Offset, Timestamp, Token};

use super::pb;
use super::pb::client_frame::Command as Wire;
use super::shared::{parse, read_ids, read_uuid};
use crate::codec::{DecodeError, ID_EXPECTED, read_beat_room, read_placement};
use crate::validate::{in_message, in_room, validate};
use crate::{
    Command, Commit, Create, Credit, Data, Error, From, Heartbeat, Hello, History, HoldRef, Isolation, Join,
    Limits, NewMessage, Publish, Request, RoomOptions, RoomRef, Rooms, Seen, Signal,
};

pub(in crate::codec) fn decode_request(frame: &Bytes, limits: &Limits) -> Result<Request, DecodeError> {
    let pb::ClientFrame { id, command } = pb::ClientFrame::decode(frame.clone())
        .map_err(|error| DecodeError::unreadable(format!("frame: expected a ClientFrame: {error}")))?;
    if id == 0 {
        return Err(DecodeError::unreadable(ID_EXPECTED));
    }
    let command = read_command(command, frame).and_then(|command| {
        validate(&command, limits)?;
        Ok(command)
    });
    match command {
        Ok(command) => Ok(Request { id, command }),
        Err(error) => Err(DecodeError { id, error }),
    }
}

fn read_command(command: Option<Wire>, frame: &Bytes) -> Result<Command, Error> {
    let Some(command) = command else {
        return Err(Error::bad_request(
            "command: expected one that this protocol has, got none or a later one",
        ));
    };
    Ok(match command {
        Wire::Hello(hello) => Command::Hello(read_hello(hello)?),
        Wire::Join(join) => Command::Join(read_join(join)?),
        Wire::Leave(leave) => Command::Leave(read_room(leave.room, leave.life)?),
        Wire::Publish(publish) => Command::Publish(read_publish(publish)?),
        Wire::Signal(signal) => Command::Signal(read_signal(signal)?),
        Wire::History(history) => Command::History(read_history(history)?),
        Wire::Commit(commit) => Command::Commit(read_commit(commit)?),
        Wire::Credit(credit) => Command::Credit(read_credit(credit)?),
        Wire::Heartbeat(heartbeat) => Command::Heartbeat(read_heartbeat(heartbeat)?),
        Wire::Presence(presence) => Command::Presence(read_room(presence.room, presence.life)?),
        Wire::Rooms(rooms) => Command::Rooms(read_rooms(rooms)),
        Wire::Create(create) => Command::Create(read_create(create, frame)?),
        Wire::Delete(delete) => Command::Delete(read_room(delete.room, delete.life)?),
        Wire::Confirm(pb::Confirm { room, life, ids }) => Command::Confirm(read_hold(room, life, &ids)?),
        Wire::Rollback(pb::Rollback { room, life, ids }) => Command::Rollback(read_hold(room, life, &ids)?),
    })
}

fn read_hello(hello: pb::Hello) -> Result<Hello, Error> {
    let pb::Hello { token, user, device, session, client } = hello;
    let token = token.map(Token::from);
    Ok(Hello { token, user: parse_optional("user", user)?, device, session, client })
}

fn read_join(join: pb::Join) -> Result<Join, Error> {
    Ok(Join {
        room: read_room(join.room, join.life)?,
        from: match join.from {
            None => From::default(),
            Some(start) => read_from(start)?,
        },
        consumer: parse_optional("consumer", join.consumer)?,
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
    Ok(NewMessage { id, data: read_data(message.data)?, sent: message.sent.map(Timestamp) })
}

#[inline]
fn read_data(data: Option<pb::Data>) -> Result<Data, Error> {
    match data.and_then(|data| data.data) {
        Some(pb::data::Data::Json(text)) => Data::json(text),
        Some(pb::data::Data::Binary(bytes)) => Ok(Data::Binary(bytes)),
        None => Err(Error::bad_request("data: expected json or binary, got nothing")),
    }
}

fn read_signal(signal: pb::Signal) -> Result<Signal, Error> {
    Ok(Signal { room: read_room(signal.room, signal.life)?, data: read_data(signal.data)? })
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

fn read_commit(commit: pb::Commit) -> Result<Commit, Error> {
    Ok(Commit {
        room: read_room(commit.room, commit.life)?,
        consumer: parse("consumer", &commit.consumer)?,
        offset: Offset(commit.offset),
    })
}

fn read_credit(credit: pb::Credit) -> Result<Credit, Error> {
    Ok(Credit { room: read_room(credit.room, credit.life)?, more: credit.more })
}

fn read_heartbeat(heartbeat: pb::Heartbeat) -> Result<Heartbeat, Error> {
    let read = |(key, seen): (String, pb::heartbeat::Seen)| {
        let room = read_beat_room(&key)?;
        let ids = read_ids("seen", &seen.seen).map_err(|error| in_room(&key, error))?;
        let upto = seen.upto.map(Offset);
        Ok((room, Seen { here: seen.here.unwrap_or(true), seen: ids, upto }))
    };
    Ok(Heartbeat { rooms: heartbeat.rooms.into_iter().map(read).collect::<Result<_, Error>>()? })
}

fn read_create(create: pb::Create, frame: &Bytes) -> Result<Create, Error> {
    Ok(Create {
        room: parse_optional("room", create.room)?,
        options: create.options.map(|options| read_options(options, frame)).transpose()?.unwrap_or_default(),
        placement: create.placement.map(|name| read_placement(&name)).transpose()?,
    })
}

/// A room without an option that was asked for would be a surprise: an unknown one is refused, which is one
/// that makes the options longer than those understood.
fn read_options(options: pb::RoomOptions, frame: &Bytes) -> Result<RoomOptions, Error> {
    /// A frame with `create`, as far as to the options, which are left as they are.
    #[derive(Clone, PartialEq, Message)]
    struct RawFrame {
        #[prost(message, optional, tag = "13")]
        create: Option<RawCreate>,
    }
    #[derive(Clone, PartialEq, Message)]
    struct RawCreate {
        #[prost(bytes = "bytes", tag = "2")]
        options: Bytes,
    }
    let raw = RawFrame::decode(frame.clone()).ok().and_then(|frame| frame.create).unwrap_or_default();
    if raw.options.len() != options.encoded_len() {
        return Err(Error::bad_request("options: expected those of this version, each once"));
    }
    let pb::RoomOptions { retain_ms, retain_messages, retain_bytes, presence, max_members } = options;
    Ok(RoomOptions { retain_ms, retain_messages, retain_bytes, presence, max_members })
}

fn read_hold(room: Option<String>, life: Option<String>, ids: &[Bytes]) -> Result<HoldRef, Error> {
    Ok(HoldRef { room: read_room(room, life)?, ids: read_ids("ids", ids)? })
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
