//! A server's binary frames, read as a client does: what a later version adds is stepped over.

use bytes::Bytes;
use prost::Message;
use roomkeeper_types::{ClusterId, Epoch, MessageId, NodeId, Offset, ShardId, Timestamp};

use super::pb;
use super::pb::{push::Push as WirePush, reply::Outcome, server_frame::Frame};
use super::shared::{parse, read_code, read_data, read_ids, read_items, read_members, read_uuid};
use crate::codec::{DecodeError, HELD, STORED, understood};
use crate::{
    CommandId, CommandKind, CommitOk, CreateOk, Error, HelloOk, HistoryOk, HoldOk, JoinOk, Limits, OwnerHint,
    PresenceOk, PresencePush, PublishOk, Push, RefusedItem, Reply, RoomSummary, RoomsOk, ServerFrame,
};

pub(in crate::codec) fn decode_server(
    frame: &Bytes,
    sent: impl FnOnce(CommandId) -> Option<CommandKind>,
) -> Result<Option<ServerFrame>, DecodeError> {
    let frame = pb::ServerFrame::decode(frame.clone())
        .map_err(|error| DecodeError::unreadable(format!("frame: expected a ServerFrame: {error}")))?;
    match frame.frame {
        Some(Frame::Reply(pb::Reply { id, outcome: Some(outcome) })) => {
            let reply = read_reply(outcome, || sent(id)).map_err(|error| DecodeError { id, error })?;
            Ok(reply.map(|reply| ServerFrame::Reply(id, reply)))
        }
        Some(Frame::Push(pb::Push { push: Some(push) })) => {
            let push = read_push(push).map_err(|error| DecodeError { id: 0, error })?;
            Ok(push.map(ServerFrame::Push))
        }
        Some(Frame::Reply(_) | Frame::Push(_)) | None => Ok(None),
    }
}

/// `None`: a push without a content that this version knows.
fn read_push(push: WirePush) -> Result<Option<Push>, Error> {
    Ok(Some(match push {
        WirePush::Messages(push) => {
            Push::Messages { room: parse("room", &push.room)?, items: read_items(push.items, STORED)? }
        }
        WirePush::Moved(hint) => Push::Moved(read_hint(hint)?),
        WirePush::Redirect(hint) => Push::Redirect(read_hint(hint)?),
        WirePush::Sync(push) => {
            Push::Sync { room: parse("room", &push.room)?, items: read_items(push.items, STORED)? }
        }
        WirePush::Presence(push) => Push::Presence(read_presence(push)?),
        WirePush::Signal(push) => match read_data(push.data) {
            Some(data) => {
                Push::Signal { room: parse("room", &push.room)?, from: parse("from", &push.from)?, data }
            }
            None => return Ok(None),
        },
        WirePush::Held(push) => Push::Held {
            room: parse("room", &push.room)?,
            items: read_items(push.items, HELD)?,
            expires: Timestamp(push.expires),
        },
        WirePush::RolledBack(push) => {
            Push::RolledBack { room: parse("room", &push.room)?, ids: read_ids("ids", &push.ids)? }
        }
    }))
}

fn read_presence(push: pb::PresencePush) -> Result<PresencePush, Error> {
    let members = read_members(push.members)?;
    Ok(PresencePush {
        room: parse("room", &push.room)?,
        joined: read_members(push.joined)?,
        left: read_members(push.left)?,
        count: push.count,
        settled: push.settled.unwrap_or(true),
        members: push.full.then_some(members),
    })
}

/// `None`: a reply that nobody waits for.
fn read_reply(
    outcome: Outcome,
    sent: impl FnOnce() -> Option<CommandKind>,
) -> Result<Option<Result<Reply, Error>>, Error> {
    if let Outcome::Error(error) = outcome {
        return read_error(error).map(|error| Some(Err(error)));
    }
    let Some(kind) = sent() else { return Ok(None) };
    let reply = read_outcome(outcome)?;
    if let Some(other) = reply.as_ref().ok().map(Reply::kind).filter(|other| *other != kind) {
        let text = format!("reply: expected one to {}, got one to {}", kind.name(), other.name());
        return Err(Error::bad_request(text));
    }
    Ok(Some(reply))
}

fn read_outcome(outcome: Outcome) -> Result<Result<Reply, Error>, Error> {
    Ok(Ok(match outcome {
        Outcome::Error(error) => return read_error(error).map(Err),
        Outcome::Hello(hello) => Reply::Hello(read_hello(hello)?),
        Outcome::Join(join) => Reply::Join(read_join(join)?),
        Outcome::Leave(_) => Reply::Leave,
        Outcome::Publish(publish) => Reply::Publish(PublishOk {
            epoch: Epoch(publish.epoch),
            offsets: read_offsets(publish.offsets),
            duplicates: publish.duplicates,
            held: publish.held,
            expires: publish.expires.map(Timestamp),
        }),
        Outcome::Signal(_) => Reply::Signal,
        Outcome::History(history) => {
            Reply::History(HistoryOk { items: read_items(history.items, HELD)?, next: Offset(history.next) })
        }
        Outcome::Commit(commit) => Reply::Commit(CommitOk { committed: Offset(commit.committed) }),
        Outcome::Credit(_) => Reply::Credit,
        Outcome::Heartbeat(_) => Reply::Heartbeat,
        Outcome::Presence(presence) => {
            Reply::Presence(PresenceOk { members: read_members(presence.members)? })
        }
        Outcome::Rooms(rooms) => Reply::Rooms(RoomsOk {
            rooms: rooms.rooms.into_iter().map(read_summary).collect::<Result<_, _>>()?,
            next: rooms.next.map(|next| parse("next", &next)).transpose()?,
        }),
        Outcome::Create(create) => Reply::Create(CreateOk {
            owner: NodeId(create.owner),
            epoch: Epoch(create.epoch),
            life: parse("life", &create.life)?,
        }),
        Outcome::Delete(_) => Reply::Delete,
        Outcome::Confirm(hold) => Reply::Confirm(HoldOk { offsets: read_offsets(hold.offsets) }),
        Outcome::Rollback(_) => Reply::Rollback,
    }))
}

fn read_offsets(offsets: Vec<u64>) -> Vec<Offset> {
    offsets.into_iter().map(Offset).collect()
}

fn read_hello(hello: pb::HelloOk) -> Result<HelloOk, Error> {
    let limits = hello.limits.ok_or_else(|| Error::bad_request("limits: expected, got nothing"))?;
    Ok(HelloOk {
        node: NodeId(hello.node),
        cluster: ClusterId(read_uuid("cluster", &hello.cluster)?),
        user: parse("user", &hello.user)?,
        session: hello.session,
        heartbeat_ms: [hello.heartbeat_ms_min, hello.heartbeat_ms_max],
        limits: Limits {
            max_frame: limits.max_frame,
            max_message: limits.max_message,
            max_batch: limits.max_batch,
        },
        features: hello.features,
        expires: hello.expires.map(Timestamp),
    })
}

fn read_join(join: pb::JoinOk) -> Result<JoinOk, Error> {
    Ok(JoinOk {
        room: parse("room", &join.room)?,
        owner: NodeId(join.owner),
        epoch: Epoch(join.epoch),
        life: parse("life", &join.life)?,
        first: Offset(join.first),
        next: Offset(join.next),
        from: Offset(join.from),
        members: join.members,
        committed: join.committed.map(Offset),
        unread: join.unread,
    })
}

fn read_summary(room: pb::RoomSummary) -> Result<RoomSummary, Error> {
    Ok(RoomSummary {
        room: parse("room", &room.room)?,
        life: parse("life", &room.life)?,
        owner: room.owner.map(NodeId),
        messages: room.messages,
        first: Offset(room.first),
        next: Offset(room.next),
        members: room.members,
        items: read_items(room.items, STORED)?,
    })
}

fn read_hint(hint: pb::OwnerHint) -> Result<OwnerHint, Error> {
    Ok(OwnerHint {
        room: parse("room", &hint.room)?,
        node: hint.node.map(NodeId),
        url: hint.url,
        epoch: Epoch(hint.epoch),
        retry_after_ms: hint.retry_after_ms,
        shard: hint.shard.map(ShardId),
    })
}

fn read_error(error: pb::Error) -> Result<Error, Error> {
    let items = error.items.into_iter().map(|item| {
        let id = MessageId(read_uuid("error: items: id", &item.id)?);
        Ok(RefusedItem { id, index: item.index, reason: item.reason })
    });
    Ok(Error {
        code: understood(read_code(error.code), error.retry),
        items: items.collect::<Result<_, Error>>()?,
        message: error.message,
        retry: error.retry,
        first: error.first,
        next: error.next,
        retry_after_ms: error.retry_after_ms,
    })
}

#[cfg(test)]
#[path = "client_read_tests.rs"]
mod tests;
