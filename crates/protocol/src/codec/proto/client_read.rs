//! A server's binary frames, read as a client does: what a later version adds is stepped over.

use bytes::Bytes;
use prost::Message;
use roomkeeper_types::{ClusterId, Epoch, MessageId, NodeId, Offset};

use super::pb;
use super::pb::{push::Push as WirePush, reply::Outcome, server_frame::Frame};
use super::shared::{parse, read_code, read_items, read_uuid};
use crate::codec::{DecodeError, understood};
use crate::{
    CommandId, CommandKind, CreateOk, Error, HelloOk, HistoryOk, JoinOk, Limits, OwnerHint, PublishOk, Push,
    RefusedItem, Reply, RoomSummary, RoomsOk, ServerFrame,
};

pub(in crate::codec) fn decode_server(
    frame: &Bytes,
    sent: impl FnOnce(CommandId) -> Option<CommandKind>,
) -> Result<Option<ServerFrame>, DecodeError> {
    let frame = pb::ServerFrame::decode(frame.clone())
        .map_err(|error| DecodeError::unreadable(format!("frame: expected a ServerFrame: {error}")))?;
    match frame.frame {
        Some(Frame::Reply(pb::Reply { id, outcome })) => {
            let reply = match outcome {
                Some(Outcome::Error(error)) => read_error(error).map(|error| Some(Err(error))),
                Some(outcome) => sent(id).map_or(Ok(None), |kind| read_reply(kind, outcome)),
                None => Ok(None),
            };
            let reply = reply.map_err(|error| DecodeError { id, error })?;
            Ok(reply.map(|reply| ServerFrame::Reply(id, reply)))
        }
        Some(Frame::Push(pb::Push { push: Some(push) })) => {
            let push = read_push(push).map_err(|error| DecodeError { id: 0, error })?;
            Ok(push.map(ServerFrame::Push))
        }
        Some(Frame::Push(pb::Push { push: None })) | None => Ok(None),
    }
}

fn read_push(push: WirePush) -> Result<Option<Push>, Error> {
    Ok(Some(match push {
        WirePush::Messages(push) => {
            Push::Messages { room: parse("room", &push.room)?, items: read_items(push.items)? }
        }
        WirePush::Moved(hint) => Push::Moved(read_hint(hint)?),
        WirePush::Redirect(hint) => Push::Redirect(read_hint(hint)?),
        WirePush::Sync(_)
        | WirePush::Presence(_)
        | WirePush::Signal(_)
        | WirePush::Held(_)
        | WirePush::RolledBack(_) => return Ok(None),
    }))
}

fn read_reply(kind: CommandKind, outcome: Outcome) -> Result<Option<Result<Reply, Error>>, Error> {
    let reply = read_ok(outcome)?;
    if let Some(other) = reply.as_ref().map(Reply::kind).filter(|other| *other != kind) {
        let text = format!("reply: expected one to {}, got one to {}", kind.name(), other.name());
        return Err(Error::bad_request(text));
    }
    Ok(reply.map(Ok))
}

fn read_ok(outcome: Outcome) -> Result<Option<Reply>, Error> {
    Ok(Some(match outcome {
        Outcome::Hello(hello) => Reply::Hello(read_hello(hello)?),
        Outcome::Join(join) => Reply::Join(read_join(join)?),
        Outcome::Leave(_) => Reply::Leave,
        Outcome::Publish(publish) => Reply::Publish(PublishOk {
            epoch: Epoch(publish.epoch),
            offsets: publish.offsets.into_iter().map(Offset).collect(),
            duplicates: publish.duplicates,
        }),
        Outcome::History(history) => {
            Reply::History(HistoryOk { items: read_items(history.items)?, next: Offset(history.next) })
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
        Outcome::Error(_)
        | Outcome::Signal(_)
        | Outcome::Commit(_)
        | Outcome::Credit(_)
        | Outcome::Heartbeat(_)
        | Outcome::Presence(_)
        | Outcome::Confirm(_)
        | Outcome::Rollback(_) => return Ok(None),
    }))
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
        items: read_items(room.items)?,
    })
}

fn read_hint(hint: pb::OwnerHint) -> Result<OwnerHint, Error> {
    Ok(OwnerHint {
        room: parse("room", &hint.room)?,
        node: hint.node.map(NodeId),
        url: hint.url,
        epoch: Epoch(hint.epoch),
        retry_after_ms: hint.retry_after_ms,
    })
}

fn read_error(error: pb::Error) -> Result<Error, Error> {
    let items = error.items.into_iter().map(|item| {
        let id = MessageId(read_uuid("error: items: id", &item.id)?);
        Ok(RefusedItem { id, reason: item.reason })
    });
    Ok(Error {
        code: understood(read_code(error.code), error.retry),
        items: items.collect::<Result<_, Error>>()?,
        message: error.message,
        retry: error.retry,
        first: error.first,
        next: error.next,
    })
}

#[cfg(test)]
#[path = "client_read_tests.rs"]
mod tests;
