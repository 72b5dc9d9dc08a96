//! A client's binary frames, written.

use bytes::Bytes;
use prost::Message;
use roomkeeper_types::{ConsumerId, Offset, RoomName, Timestamp, UserId};

use super::pb;
use super::pb::client_frame::Command as Wire;
use super::shared::{write_data, write_ids, write_uuid};
use crate::codec::beat_key;
use crate::{
    Command, Commit, Create, Credit, From, Heartbeat, Hello, History, HoldRef, Isolation, Join, NewMessage,
    Publish, Request, RoomOptions, RoomRef, Rooms, Seen, Signal,
};

pub(in crate::codec) fn encode_request(request: &Request) -> Bytes {
    pb::ClientFrame { id: request.id, command: Some(write_command(&request.command)) }.encode_to_vec().into()
}

fn write_command(command: &Command) -> Wire {
    match command {
        Command::Hello(hello) => Wire::Hello(write_hello(hello)),
        Command::Join(join) => Wire::Join(write_join(join)),
        Command::Leave(room) => {
            let (room, life) = write_room(room);
            Wire::Leave(pb::Leave { room, life })
        }
        Command::Publish(publish) => Wire::Publish(write_publish(publish)),
        Command::Signal(signal) => Wire::Signal(write_signal(signal)),
        Command::History(history) => Wire::History(write_history(history)),
        Command::Commit(commit) => Wire::Commit(write_commit(commit)),
        Command::Credit(credit) => Wire::Credit(write_credit(credit)),
        Command::Heartbeat(heartbeat) => Wire::Heartbeat(write_heartbeat(heartbeat)),
        Command::Presence(room) => {
            let (room, life) = write_room(room);
            Wire::Presence(pb::Presence { room, life })
        }
        Command::Rooms(rooms) => Wire::Rooms(write_rooms(rooms)),
        Command::Create(create) => Wire::Create(write_create(create)),
        Command::Delete(room) => {
            let (room, life) = write_room(room);
            Wire::Delete(pb::Delete { room, life })
        }
        Command::Confirm(hold) => Wire::Confirm(write_confirm(hold)),
        Command::Rollback(hold) => Wire::Rollback(write_rollback(hold)),
    }
}

fn write_hello(hello: &Hello) -> pb::Hello {
    let Hello { token, user, device, session, client } = hello.clone();
    let token = token.map(|token| token.secret().to_owned());
    pb::Hello { token, user: user.as_ref().map(UserId::to_string), device, session, client }
}

fn write_join(join: &Join) -> pb::Join {
    let (room, life) = write_room(&join.room);
    pb::Join {
        room,
        life,
        from: Some(write_from(join.from)),
        consumer: join.consumer.as_ref().map(ConsumerId::to_string),
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

fn write_signal(signal: &Signal) -> pb::Signal {
    let (room, life) = write_room(&signal.room);
    pb::Signal { room, life, data: write_data(&signal.data) }
}

fn write_commit(commit: &Commit) -> pb::Commit {
    let (room, life) = write_room(&commit.room);
    pb::Commit { room, life, consumer: commit.consumer.to_string(), offset: commit.offset.0 }
}

fn write_credit(credit: &Credit) -> pb::Credit {
    let (room, life) = write_room(&credit.room);
    pb::Credit { room, life, more: credit.more }
}

fn write_heartbeat(heartbeat: &Heartbeat) -> pb::Heartbeat {
    let rooms = heartbeat.rooms.iter();
    pb::Heartbeat {
        rooms: rooms.map(|(room, seen)| (beat_key(room.as_ref()).to_owned(), write_seen(seen))).collect(),
    }
}

fn write_seen(seen: &Seen) -> pb::heartbeat::Seen {
    pb::heartbeat::Seen {
        here: Some(seen.here),
        seen: write_ids(&seen.seen),
        upto: seen.upto.map(Offset::get),
    }
}

fn write_create(create: &Create) -> pb::Create {
    let asked = create.options != RoomOptions::default();
    pb::Create {
        room: create.room.as_ref().map(RoomName::to_string),
        options: asked.then(|| write_options(create.options)),
        placement: create.placement.map(|placement| placement.name().to_owned()),
    }
}

fn write_options(options: RoomOptions) -> pb::RoomOptions {
    let RoomOptions { retain_ms, retain_messages, retain_bytes, presence, max_members } = options;
    pb::RoomOptions { retain_ms, retain_messages, retain_bytes, presence, max_members }
}

fn write_confirm(hold: &HoldRef) -> pb::Confirm {
    let (room, life) = write_room(&hold.room);
    pb::Confirm { room, life, ids: write_ids(&hold.ids) }
}

fn write_rollback(hold: &HoldRef) -> pb::Rollback {
    let (room, life) = write_room(&hold.room);
    pb::Rollback { room, life, ids: write_ids(&hold.ids) }
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
