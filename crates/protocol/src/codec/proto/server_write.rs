//! Replies, errors and pushes, written as protobuf.

use bytes::Bytes;
use prost::Message;
use roomkeeper_types::{Offset, RoomName, Timestamp};

use super::pb;
use super::pb::{push::Push as WirePush, reply::Outcome, server_frame::Frame};
use super::shared::{write_code, write_data, write_ids, write_items, write_members, write_uuid};
use crate::{
    CommandId, CreateOk, Error, HelloOk, HistoryOk, Item, JoinOk, OwnerHint, PresencePush, PublishOk, Push,
    Reply, RoomSummary, RoomsOk,
};

pub(in crate::codec) fn encode_reply(id: CommandId, reply: &Result<Reply, Error>) -> Bytes {
    let outcome = match reply {
        Ok(Reply::Hello(hello)) => Outcome::Hello(write_hello(hello)),
        Ok(Reply::Join(join)) => Outcome::Join(write_join(join)),
        Ok(Reply::Leave) => Outcome::Leave(pb::Done {}),
        Ok(Reply::Publish(publish)) => Outcome::Publish(write_publish(publish)),
        Ok(Reply::Signal) => Outcome::Signal(pb::Done {}),
        Ok(Reply::History(history)) => Outcome::History(write_history(history)),
        Ok(Reply::Commit(commit)) => Outcome::Commit(pb::CommitOk { committed: commit.committed.0 }),
        Ok(Reply::Credit) => Outcome::Credit(pb::Done {}),
        Ok(Reply::Heartbeat) => Outcome::Heartbeat(pb::Done {}),
        Ok(Reply::Presence(presence)) => {
            Outcome::Presence(pb::PresenceOk { members: write_members(&presence.members) })
        }
        Ok(Reply::Rooms(rooms)) => Outcome::Rooms(write_rooms(rooms)),
        Ok(Reply::Create(create)) => Outcome::Create(write_create(create)),
        Ok(Reply::Delete) => Outcome::Delete(pb::Done {}),
        Ok(Reply::Confirm(hold)) => Outcome::Confirm(pb::HoldOk { offsets: write_offsets(&hold.offsets) }),
        Ok(Reply::Rollback) => Outcome::Rollback(pb::HoldOk::default()),
        Err(error) => Outcome::Error(write_error(error)),
    };
    encode(Frame::Reply(pb::Reply { id, outcome: Some(outcome) }))
}

pub(in crate::codec) fn encode_push(push: &Push) -> Bytes {
    match push {
        Push::Messages { room, items } => encode_messages(room, items),
        Push::Sync { room, items } => encode_sync(room, items),
        Push::Presence(presence) => encode_wire_push(WirePush::Presence(write_presence(presence))),
        Push::Signal { room, from, data } => encode_wire_push(WirePush::Signal(pb::SignalPush {
            room: room.to_string(),
            from: from.to_string(),
            data: write_data(data),
        })),
        Push::Held { room, items, expires } => encode_wire_push(WirePush::Held(pb::HeldPush {
            room: room.to_string(),
            items: write_items(items),
            expires: expires.0,
        })),
        Push::RolledBack { room, ids } => {
            let push = pb::RolledBackPush { room: room.to_string(), ids: write_ids(ids) };
            encode_wire_push(WirePush::RolledBack(push))
        }
        Push::Moved(hint) => encode_wire_push(WirePush::Moved(write_hint(hint))),
        Push::Redirect(hint) => encode_wire_push(WirePush::Redirect(write_hint(hint))),
    }
}

pub(in crate::codec) fn encode_messages(room: &RoomName, items: &[Item]) -> Bytes {
    encode_wire_push(WirePush::Messages(write_messages(room, items)))
}

pub(in crate::codec) fn encode_sync(room: &RoomName, items: &[Item]) -> Bytes {
    encode_wire_push(WirePush::Sync(write_messages(room, items)))
}

fn write_messages(room: &RoomName, items: &[Item]) -> pb::MessagesPush {
    pb::MessagesPush { room: room.to_string(), items: write_items(items) }
}

fn write_presence(presence: &PresencePush) -> pb::PresencePush {
    pb::PresencePush {
        room: presence.room.to_string(),
        joined: write_members(&presence.joined),
        left: write_members(&presence.left),
        count: presence.count,
        settled: (!presence.settled).then_some(false),
        members: presence.members.as_deref().map(write_members).unwrap_or_default(),
        full: presence.members.is_some(),
    }
}

fn encode_wire_push(push: WirePush) -> Bytes {
    encode(Frame::Push(pb::Push { push: Some(push) }))
}

fn encode(frame: Frame) -> Bytes {
    pb::ServerFrame { frame: Some(frame) }.encode_to_vec().into()
}

fn write_hello(hello: &HelloOk) -> pb::HelloOk {
    let [heartbeat_ms_min, heartbeat_ms_max] = hello.heartbeat_ms;
    pb::HelloOk {
        node: hello.node.0,
        cluster: write_uuid(&hello.cluster.0),
        user: hello.user.to_string(),
        session: hello.session.clone(),
        heartbeat_ms_min,
        heartbeat_ms_max,
        limits: Some(pb::Limits {
            max_frame: hello.limits.max_frame,
            max_message: hello.limits.max_message,
            max_batch: hello.limits.max_batch,
        }),
        features: hello.features.clone(),
        expires: hello.expires.map(Timestamp::millis),
    }
}

fn write_join(join: &JoinOk) -> pb::JoinOk {
    pb::JoinOk {
        room: join.room.to_string(),
        owner: join.owner.0,
        epoch: join.epoch.0,
        life: join.life.to_string(),
        first: join.first.0,
        next: join.next.0,
        from: join.from.0,
        members: join.members,
        committed: join.committed.map(Offset::get),
        unread: join.unread,
    }
}

fn write_publish(publish: &PublishOk) -> pb::PublishOk {
    pb::PublishOk {
        epoch: publish.epoch.0,
        offsets: write_offsets(&publish.offsets),
        duplicates: publish.duplicates.clone(),
        held: publish.held,
        expires: publish.expires.map(Timestamp::millis),
    }
}

fn write_offsets(offsets: &[Offset]) -> Vec<u64> {
    offsets.iter().map(|offset| offset.0).collect()
}

fn write_history(history: &HistoryOk) -> pb::HistoryOk {
    pb::HistoryOk { items: write_items(&history.items), next: history.next.0 }
}

fn write_rooms(rooms: &RoomsOk) -> pb::RoomsOk {
    pb::RoomsOk {
        rooms: rooms.rooms.iter().map(write_summary).collect(),
        next: rooms.next.as_ref().map(RoomName::to_string),
    }
}

fn write_summary(room: &RoomSummary) -> pb::RoomSummary {
    pb::RoomSummary {
        room: room.room.to_string(),
        life: room.life.to_string(),
        owner: room.owner.map(|owner| owner.0),
        messages: room.messages,
        first: room.first.0,
        next: room.next.0,
        members: room.members,
        items: write_items(&room.items),
    }
}

fn write_create(create: &CreateOk) -> pb::CreateOk {
    pb::CreateOk { owner: create.owner.0, epoch: create.epoch.0, life: create.life.to_string() }
}

fn write_hint(hint: &OwnerHint) -> pb::OwnerHint {
    pb::OwnerHint {
        room: hint.room.to_string(),
        node: hint.node.map(|node| node.0),
        url: hint.url.clone(),
        epoch: hint.epoch.0,
        retry_after_ms: hint.retry_after_ms,
        shard: hint.shard.map(|shard| shard.0),
    }
}

fn write_error(error: &Error) -> pb::Error {
    let refused = error.items.iter();
    pb::Error {
        code: write_code(error.code).into(),
        message: error.message.clone(),
        retry: error.retry,
        first: error.first,
        next: error.next,
        retry_after_ms: error.retry_after_ms,
        items: refused
            .map(|item| pb::RefusedItem {
                id: write_uuid(&item.id.0),
                index: item.index,
                reason: item.reason.clone(),
            })
            .collect(),
    }
}
