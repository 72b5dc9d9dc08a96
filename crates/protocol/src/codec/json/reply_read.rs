//! A server's JSON replies and REST answers, read as a client does.

use std::borrow::Cow;

use bytes::Bytes;
use roomkeeper_types::{ClusterId, Epoch, LifeId, NodeId, Offset, RoomName, Timestamp, UserId};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use super::items::{ItemFields, MemberFields, read_items, read_members};
use crate::codec::{HELD, STORED};
use crate::{
    CommandKind, CommitOk, CreateOk, Error, HelloOk, HistoryOk, HoldOk, JoinOk, Limits, PresenceOk,
    PublishOk, Reply, RoomSummary, RoomsOk,
};

/// The `ok` object alone, as REST answers it.
pub(crate) fn decode_reply(kind: CommandKind, body: &Bytes) -> Result<Reply, Error> {
    let raw = serde_json::from_slice(body).map_err(|error| unreadable("body", &error))?;
    read_reply(kind, raw, body)
}

#[derive(Deserialize)]
struct HelloFields {
    node: NodeId,
    cluster: ClusterId,
    user: UserId,
    session: String,
    heartbeat_ms: [u32; 2],
    limits: Limits,
    #[serde(default)]
    features: Vec<String>,
    expires: Option<Timestamp>,
}

#[derive(Deserialize)]
struct JoinFields {
    room: RoomName,
    owner: NodeId,
    epoch: Epoch,
    #[serde(deserialize_with = "life")]
    life: LifeId,
    first: Offset,
    next: Offset,
    from: Offset,
    members: Option<u64>,
    committed: Option<Offset>,
    unread: Option<u64>,
}

#[derive(Deserialize)]
struct PublishFields {
    epoch: Epoch,
    offsets: Vec<Offset>,
    duplicates: Vec<bool>,
    #[serde(default)]
    held: bool,
    expires: Option<Timestamp>,
}

#[derive(Deserialize)]
struct HistoryFields<'a> {
    #[serde(borrow)]
    items: Vec<ItemFields<'a>>,
    next: Offset,
}

#[derive(Deserialize)]
struct RoomsFields<'a> {
    #[serde(borrow)]
    rooms: Vec<SummaryFields<'a>>,
    next: Option<RoomName>,
}

#[derive(Deserialize)]
struct SummaryFields<'a> {
    room: RoomName,
    #[serde(deserialize_with = "life")]
    life: LifeId,
    owner: Option<NodeId>,
    messages: u64,
    first: Offset,
    next: Offset,
    members: Option<u64>,
    #[serde(borrow, default)]
    items: Vec<ItemFields<'a>>,
}

#[derive(Deserialize)]
struct CreateFields {
    owner: NodeId,
    epoch: Epoch,
    #[serde(deserialize_with = "life")]
    life: LifeId,
}

#[derive(Deserialize)]
struct CommitFields {
    committed: Offset,
}

#[derive(Deserialize)]
struct PresenceFields {
    members: Vec<MemberFields>,
}

#[derive(Deserialize)]
struct HoldFields {
    offsets: Vec<Offset>,
}

/// A life's serde form is its parts; on this wire it is its text.
fn life<'de, D: Deserializer<'de>>(deserializer: D) -> Result<LifeId, D::Error> {
    let text = Cow::<str>::deserialize(deserializer)?;
    text.parse().map_err(serde::de::Error::custom)
}

pub(super) fn read_reply(kind: CommandKind, raw: &RawValue, frame: &Bytes) -> Result<Reply, Error> {
    Ok(match kind {
        CommandKind::Hello => {
            let HelloFields { node, cluster, user, session, heartbeat_ms, limits, features, expires } =
                read(kind, raw)?;
            Reply::Hello(HelloOk { node, cluster, user, session, heartbeat_ms, limits, features, expires })
        }
        CommandKind::Join => {
            let JoinFields { room, owner, epoch, life, first, next, from, members, committed, unread } =
                read(kind, raw)?;
            Reply::Join(JoinOk { room, owner, epoch, life, first, next, from, members, committed, unread })
        }
        CommandKind::Publish => {
            let PublishFields { epoch, offsets, duplicates, held, expires } = read(kind, raw)?;
            Reply::Publish(PublishOk { epoch, offsets, duplicates, held, expires })
        }
        CommandKind::History => {
            let HistoryFields { items, next } = read(kind, raw)?;
            Reply::History(HistoryOk { items: read_items(items, frame, HELD)?, next })
        }
        CommandKind::Rooms => {
            let RoomsFields { rooms, next } = read(kind, raw)?;
            let rooms = rooms.into_iter().map(|room| read_summary(room, frame)).collect::<Result<_, _>>()?;
            Reply::Rooms(RoomsOk { rooms, next })
        }
        CommandKind::Create => {
            let CreateFields { owner, epoch, life } = read(kind, raw)?;
            Reply::Create(CreateOk { owner, epoch, life })
        }
        CommandKind::Leave => Reply::Leave,
        CommandKind::Delete => Reply::Delete,
        CommandKind::Signal => Reply::Signal,
        CommandKind::Commit => {
            let CommitFields { committed } = read(kind, raw)?;
            Reply::Commit(CommitOk { committed })
        }
        CommandKind::Credit => Reply::Credit,
        CommandKind::Heartbeat => Reply::Heartbeat,
        CommandKind::Presence => {
            let PresenceFields { members } = read(kind, raw)?;
            Reply::Presence(PresenceOk { members: read_members(members) })
        }
        CommandKind::Confirm => {
            let HoldFields { offsets } = read(kind, raw)?;
            Reply::Confirm(HoldOk { offsets })
        }
        CommandKind::Rollback => Reply::Rollback,
    })
}

fn read<'a, T: Deserialize<'a>>(kind: CommandKind, raw: &'a RawValue) -> Result<T, Error> {
    serde_json::from_str(raw.get()).map_err(|error| unreadable(kind.name(), &error))
}

fn read_summary(fields: SummaryFields<'_>, frame: &Bytes) -> Result<RoomSummary, Error> {
    let SummaryFields { room, life, owner, messages, first, next, members, items } = fields;
    let items = read_items(items, frame, STORED)?;
    Ok(RoomSummary { room, life, owner, messages, first, next, members, items })
}

/// A server's text that does not read.
pub(super) fn unreadable(what: &str, error: &serde_json::Error) -> Error {
    Error::bad_request(format!("{what}: {error}"))
}
