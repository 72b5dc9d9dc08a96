//! A server's JSON frames, read as a client does: as tolerant as the contract asks, and in one pass, as a
//! subscriber does little else.

use std::borrow::Cow;

use bytes::Bytes;
use roomkeeper_types::{Epoch, MessageId, NodeId, RoomName, ShardId, Timestamp, UserId};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::items::{ItemFields, MemberFields, null_too, read_data, read_items, read_members};
use super::reply_read::{read_reply, unreadable};
use crate::codec::{DecodeError, HELD, STORED, understood};
use crate::{
    CommandId, CommandKind, Error, ErrorCode, OwnerHint, PresencePush, Push, RefusedItem, ServerFrame,
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
            return Ok(Some(ServerFrame::Reply(id, Ok(reply))));
        }
        FrameFields { messages: Some(messages), .. } => {
            let MessagesFields { room, items } = messages;
            read_items(items, frame, STORED).map(|items| Some(Push::Messages { room, items }))
        }
        FrameFields { moved: Some(hint), .. } => Ok(Some(Push::Moved(hint.into_hint()))),
        FrameFields { redirect: Some(hint), .. } => Ok(Some(Push::Redirect(hint.into_hint()))),
        fields => read_rare_push(&fields, frame),
    };
    Ok(push.map_err(|error| DecodeError { id: 0, error })?.map(ServerFrame::Push))
}

/// `None`: a push that this version does not know, or one without a content that it knows.
fn read_rare_push(fields: &FrameFields<'_>, frame: &Bytes) -> Result<Option<Push>, Error> {
    Ok(Some(match *fields {
        FrameFields { sync: Some(raw), .. } => {
            let MessagesFields { room, items } = read_push("sync", raw)?;
            Push::Sync { room, items: read_items(items, frame, STORED)? }
        }
        FrameFields { presence: Some(raw), .. } => {
            Push::Presence(read_push::<PresenceFields>("presence", raw)?.into_presence())
        }
        FrameFields { signal: Some(raw), .. } => {
            let SignalFields { room, from, data, data_b64 } = read_push("signal", raw)?;
            let Some(data) = read_data(data, data_b64.as_deref(), frame)? else { return Ok(None) };
            Push::Signal { room, from, data }
        }
        FrameFields { held: Some(raw), .. } => {
            let HeldFields { room, items, expires } = read_push("held", raw)?;
            Push::Held { room, items: read_items(items, frame, HELD)?, expires }
        }
        FrameFields { rolled_back: Some(raw), .. } => {
            let RolledBackFields { room, ids } = read_push("rolled_back", raw)?;
            Push::RolledBack { room, ids }
        }
        _ => return Ok(None),
    }))
}

fn read_push<'a, T: Deserialize<'a>>(name: &str, raw: &'a RawValue) -> Result<T, Error> {
    serde_json::from_str(raw.get()).map_err(|error| unreadable(name, &error))
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
    // Read only when their turn comes: rare, and this is on the way of every message.
    #[serde(borrow)]
    sync: Option<&'a RawValue>,
    #[serde(borrow)]
    presence: Option<&'a RawValue>,
    #[serde(borrow)]
    signal: Option<&'a RawValue>,
    #[serde(borrow)]
    held: Option<&'a RawValue>,
    #[serde(borrow)]
    rolled_back: Option<&'a RawValue>,
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

#[derive(Deserialize)]
struct PresenceFields {
    room: RoomName,
    #[serde(default)]
    joined: Vec<MemberFields>,
    #[serde(default)]
    left: Vec<MemberFields>,
    count: u64,
    settled: Option<bool>,
    members: Option<Vec<MemberFields>>,
}

impl PresenceFields {
    fn into_presence(self) -> PresencePush {
        PresencePush {
            room: self.room,
            joined: read_members(self.joined),
            left: read_members(self.left),
            count: self.count,
            settled: self.settled.unwrap_or(true),
            members: self.members.map(read_members),
        }
    }
}

#[derive(Deserialize)]
struct SignalFields<'a> {
    room: RoomName,
    from: UserId,
    #[serde(borrow, default, deserialize_with = "null_too")]
    data: Option<&'a RawValue>,
    #[serde(borrow)]
    data_b64: Option<Cow<'a, str>>,
}

#[derive(Deserialize)]
struct HeldFields<'a> {
    room: RoomName,
    #[serde(borrow)]
    items: Vec<ItemFields<'a>>,
    expires: Timestamp,
}

#[derive(Deserialize)]
struct RolledBackFields {
    room: RoomName,
    ids: Vec<MessageId>,
}

#[derive(Deserialize)]
struct HintFields {
    room: RoomName,
    node: Option<NodeId>,
    url: Option<String>,
    epoch: Epoch,
    shard: Option<ShardId>,
    #[serde(default)]
    retry_after_ms: u32,
}

impl HintFields {
    fn into_hint(self) -> OwnerHint {
        let Self { room, node, url, epoch, shard, retry_after_ms } = self;
        OwnerHint { room, node, url, epoch, shard, retry_after_ms }
    }
}
