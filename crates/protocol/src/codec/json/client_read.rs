//! A server's JSON frames and REST answers, read as a client does: as tolerant as the contract asks, and in
//! one pass, as a subscriber does little else.

use std::borrow::Cow;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use roomkeeper_types::{ClusterId, Epoch, LifeId, MessageId, NodeId, Offset, RoomName, Timestamp, UserId};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use crate::codec::{DecodeError, understood};
use crate::{
    CommandId, CommandKind, CreateOk, Data, Error, ErrorCode, HelloOk, HistoryOk, Item, JoinOk, Limits,
    OwnerHint, PublishOk, Push, RefusedItem, Reply, RoomSummary, RoomsOk, ServerFrame,
};

pub(in crate::codec) fn decode_server(
    frame: &Bytes,
    sent: impl FnOnce(CommandId) -> Option<CommandKind>,
) -> Result<Option<ServerFrame>, DecodeError> {
    let text =
        std::str::from_utf8(frame).map_err(|error| DecodeError::unreadable(format!("frame: {error}")))?;
    let fields: FrameFields<'_> =
        serde_json::from_str(text).map_err(|error| DecodeError::unreadable(format!("frame: {error}")))?;
    let push = match fields {
        FrameFields { id: Some(id), error: Some(error), .. } => {
            return Ok(Some(ServerFrame::Reply(id, Err(error.into_error()))));
        }
        FrameFields { id: Some(id), ok: Some(ok), .. } => {
            let Some(kind) = sent(id) else { return Ok(None) };
            let reply = read_reply(kind, ok, frame).map_err(|error| DecodeError { id, error })?;
            return Ok(reply.map(|reply| ServerFrame::Reply(id, Ok(reply))));
        }
        FrameFields { messages: Some(messages), .. } => {
            let items = read_items(messages.items, frame).map_err(|error| DecodeError { id: 0, error })?;
            Push::Messages { room: messages.room, items }
        }
        FrameFields { moved: Some(hint), .. } => Push::Moved(hint.into_hint()),
        FrameFields { redirect: Some(hint), .. } => Push::Redirect(hint.into_hint()),
        FrameFields { .. } => return Ok(None),
    };
    Ok(Some(ServerFrame::Push(push)))
}

/// The `ok` object alone, as REST answers it. `None`: this version knows no reply to that command.
pub(crate) fn decode_reply(kind: CommandKind, body: &Bytes) -> Result<Option<Reply>, Error> {
    let raw = serde_json::from_slice(body).map_err(|error| unreadable("body", &error))?;
    read_reply(kind, raw, body)
}

/// `{"error": {…}}`, as HTTP errors have it.
pub(crate) fn decode_error(body: &Bytes) -> Result<Error, Error> {
    #[derive(Deserialize)]
    struct Body<'a> {
        #[serde(borrow)]
        error: ErrorFields<'a>,
    }
    let body: Body<'_> = serde_json::from_slice(body).map_err(|error| unreadable("body", &error))?;
    Ok(body.error.into_error())
}

fn unreadable(what: &str, error: &serde_json::Error) -> Error {
    Error::bad_request(format!("{what}: {error}"))
}

#[derive(Deserialize)]
struct FrameFields<'a> {
    id: Option<CommandId>,
    #[serde(borrow)]
    ok: Option<&'a RawValue>,
    #[serde(borrow)]
    error: Option<ErrorFields<'a>>,
    #[serde(borrow)]
    messages: Option<MessagesFields<'a>>,
    moved: Option<HintFields>,
    redirect: Option<HintFields>,
}

#[derive(Deserialize)]
struct ErrorFields<'a> {
    #[serde(borrow)]
    code: Cow<'a, str>,
    #[serde(default)]
    message: String,
    #[serde(default)]
    retry: bool,
    first: Option<u64>,
    next: Option<u64>,
    #[serde(default)]
    items: Vec<RefusedItem>,
}

impl ErrorFields<'_> {
    fn into_error(self) -> Error {
        let code = understood(ErrorCode::from_name(&self.code), self.retry);
        let Self { message, retry, first, next, items, .. } = self;
        Error { code, message, retry, first, next, items }
    }
}

#[derive(Deserialize)]
struct MessagesFields<'a> {
    room: RoomName,
    #[serde(borrow)]
    items: Vec<ItemFields<'a>>,
}

/// All optional: an item without data is stepped over, whatever else it lacks.
#[derive(Deserialize)]
struct ItemFields<'a> {
    offset: Option<Offset>,
    epoch: Option<Epoch>,
    id: Option<MessageId>,
    from: Option<UserId>,
    time: Option<Timestamp>,
    sent: Option<Timestamp>,
    #[serde(borrow, default, deserialize_with = "null_too")]
    data: Option<&'a RawValue>,
    #[serde(borrow)]
    data_b64: Option<Cow<'a, str>>,
}

/// `null` is data like any other value.
fn null_too<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<&'de RawValue>, D::Error> {
    Deserialize::deserialize(deserializer).map(Some)
}

fn read_items(items: Vec<ItemFields<'_>>, frame: &Bytes) -> Result<Vec<Item>, Error> {
    let mut read = Vec::with_capacity(items.len());
    for item in items {
        let data = match (item.data, &item.data_b64) {
            // The text lies within the frame, so that this shares the frame's bytes.
            (Some(raw), _) => Data::Json(frame.slice_ref(raw.get().as_bytes())),
            (None, Some(text)) => match STANDARD.decode(text.as_bytes()) {
                Ok(bytes) => Data::Binary(bytes.into()),
                Err(error) => return Err(Error::bad_request(format!("items: data_b64: {error}"))),
            },
            (None, None) => continue,
        };
        let (Some(offset), Some(epoch), Some(id), Some(from), Some(time)) =
            (item.offset, item.epoch, item.id, item.from, item.time)
        else {
            return Err(Error::bad_request(
                "items: expected offset, epoch, id, from and time with each data",
            ));
        };
        read.push(Item { offset, epoch, id, from, time, sent: item.sent, data });
    }
    Ok(read)
}

#[derive(Deserialize)]
struct HintFields {
    room: RoomName,
    node: Option<NodeId>,
    url: Option<String>,
    epoch: Epoch,
    #[serde(default)]
    retry_after_ms: u32,
}

impl HintFields {
    fn into_hint(self) -> OwnerHint {
        let Self { room, node, url, epoch, retry_after_ms } = self;
        OwnerHint { room, node, url, epoch, retry_after_ms }
    }
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
}

#[derive(Deserialize)]
struct PublishFields {
    epoch: Epoch,
    offsets: Vec<Offset>,
    duplicates: Vec<bool>,
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

/// A life's serde form is its parts; on this wire it is its text.
fn life<'de, D: Deserializer<'de>>(deserializer: D) -> Result<LifeId, D::Error> {
    let text = Cow::<str>::deserialize(deserializer)?;
    text.parse().map_err(serde::de::Error::custom)
}

fn read_reply(kind: CommandKind, raw: &RawValue, frame: &Bytes) -> Result<Option<Reply>, Error> {
    let reply = match kind {
        CommandKind::Hello => {
            let HelloFields { node, cluster, user, session, heartbeat_ms, limits, features } =
                read(kind, raw)?;
            Reply::Hello(HelloOk { node, cluster, user, session, heartbeat_ms, limits, features })
        }
        CommandKind::Join => {
            let JoinFields { room, owner, epoch, life, first, next, from, members } = read(kind, raw)?;
            Reply::Join(JoinOk { room, owner, epoch, life, first, next, from, members })
        }
        CommandKind::Publish => {
            let PublishFields { epoch, offsets, duplicates } = read(kind, raw)?;
            Reply::Publish(PublishOk { epoch, offsets, duplicates })
        }
        CommandKind::History => {
            let HistoryFields { items, next } = read(kind, raw)?;
            Reply::History(HistoryOk { items: read_items(items, frame)?, next })
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
        CommandKind::Signal
        | CommandKind::Commit
        | CommandKind::Credit
        | CommandKind::Heartbeat
        | CommandKind::Presence
        | CommandKind::Confirm
        | CommandKind::Rollback => return Ok(None),
    };
    Ok(Some(reply))
}

fn read<'a, T: Deserialize<'a>>(kind: CommandKind, raw: &'a RawValue) -> Result<T, Error> {
    serde_json::from_str(raw.get()).map_err(|error| unreadable(kind.name(), &error))
}

fn read_summary(fields: SummaryFields<'_>, frame: &Bytes) -> Result<RoomSummary, Error> {
    let SummaryFields { room, life, owner, messages, first, next, members, items } = fields;
    let items = read_items(items, frame)?;
    Ok(RoomSummary { room, life, owner, messages, first, next, members, items })
}
