//! A client's binary frames, written.

use bytes::Bytes;
use prost::Message;
use roomkeeper_types::{Offset, RoomName, Timestamp, UserId};

use super::pb;
use super::pb::client_frame::Command as Wire;
use super::shared::{write_data, write_uuid};
use crate::{
    Command, CommandKind, From, Hello, History, Isolation, Join, NewMessage, Publish, Request, RoomRef, Rooms,
};

pub(in crate::codec) fn encode_request(request: &Request) -> Bytes {
    pb::ClientFrame { id: request.id, command: write_command(&request.command) }.encode_to_vec().into()
}

fn write_command(command: &Command) -> Option<Wire> {
    Some(match command {
        Command::Hello(hello) => Wire::Hello(write_hello(hello)),
        Command::Join(join) => Wire::Join(write_join(join)),
        Command::Leave(room) => {
            let (room, life) = write_room(room);
            Wire::Leave(pb::Leave { room, life })
        }
        Command::Publish(publish) => Wire::Publish(write_publish(publish)),
        Command::History(history) => Wire::History(write_history(history)),
        Command::Rooms(rooms) => Wire::Rooms(write_rooms(rooms)),
        Command::Create(create) => Wire::Create(pb::Create {
            room: create.room.as_ref().map(RoomName::to_string),
            options: None,
            placement: create.placement.clone(),
        }),
        Command::Delete(room) => {
            let (room, life) = write_room(room);
            Wire::Delete(pb::Delete { room, life })
        }
        Command::Unsupported(name) => return write_unsupported(name),
    })
}

/// Only the name: the vocabulary has no fields for these yet. `None` for a name outside the protocol.
fn write_unsupported(name: &str) -> Option<Wire> {
    match CommandKind::from_name(name)? {
        CommandKind::Signal => Some(Wire::Signal(pb::Signal::default())),
        CommandKind::Commit => Some(Wire::Commit(pb::Commit::default())),
        CommandKind::Credit => Some(Wire::Credit(pb::Credit::default())),
        CommandKind::Heartbeat => Some(Wire::Heartbeat(pb::Heartbeat::default())),
        CommandKind::Presence => Some(Wire::Presence(pb::Presence::default())),
        CommandKind::Confirm => Some(Wire::Confirm(pb::Confirm::default())),
        CommandKind::Rollback => Some(Wire::Rollback(pb::Rollback::default())),
        _ => None,
    }
}

fn write_hello(hello: &Hello) -> pb::Hello {
    let Hello { token, user, device, session, client } = hello.clone();
    pb::Hello { token, user: user.as_ref().map(UserId::to_string), device, session, client }
}

fn write_join(join: &Join) -> pb::Join {
    let (room, life) = write_room(&join.room);
    pb::Join {
        room,
        life,
        from: Some(write_from(join.from)),
        consumer: join.consumer.clone(),
        credit: join.credit,
        isolation: write_isolation(join.isolation),
        presence: join.presence,
    }
}

fn write_publish(publish: &Publish) -> pb::Publish {
    let (room, life) = write_room(&publish.room);
    pb::Publish {
        room,
        life,
        messages: publish.messages.iter().map(write_message).collect(),
        expect: publish.expect.map(Offset::get),
        hold_ms: publish.hold_ms,
        timeout_ms: publish.timeout_ms,
    }
}

fn write_message(message: &NewMessage) -> pb::NewMessage {
    pb::NewMessage {
        id: write_uuid(&message.id.0),
        data: write_data(&message.data),
        sent: message.sent.map(Timestamp::millis),
    }
}

fn write_history(history: &History) -> pb::History {
    let (room, life) = write_room(&history.room);
    pb::History {
        room,
        life,
        from: Some(write_from(history.from)),
        limit: history.limit,
        isolation: write_isolation(history.isolation),
    }
}

fn write_rooms(rooms: &Rooms) -> pb::Rooms {
    let Rooms { prefix, after, limit, page } = rooms.clone();
    pb::Rooms { prefix, after, limit, page }
}

fn write_room(room: &RoomRef) -> (Option<String>, Option<String>) {
    (room.room.as_ref().map(RoomName::to_string), room.life.map(|life| life.to_string()))
}

fn write_from(from: From) -> pb::Start {
    use pb::start::{Keyword, Start};
    let start = match from {
        From::Latest => Start::Keyword(Keyword::Latest.into()),
        From::Beginning => Start::Keyword(Keyword::Beginning.into()),
        From::Committed => Start::Keyword(Keyword::Committed.into()),
        From::Offset(offset) => Start::Offset(offset.0),
        From::Range(first, last) => Start::Range(pb::Range { first: first.0, last: last.0 }),
    };
    pb::Start { start: Some(start) }
}

fn write_isolation(isolation: Isolation) -> i32 {
    match isolation {
        Isolation::Committed => pb::Isolation::Committed.into(),
        Isolation::Uncommitted => pb::Isolation::Uncommitted.into(),
    }
}
