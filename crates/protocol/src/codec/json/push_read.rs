//! The pushes of a server but `messages`, read as a client does.

use std::borrow::Cow;

use bytes::Bytes;
use roomkeeper_types::{Epoch, MessageId, NodeId, RoomName, ShardId, Timestamp, UserId};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::client_read::MessagesFields;
use super::items::{ItemFields, MemberFields, null_too, read_data, read_items, read_members};
use super::reply_read::unreadable;
use crate::codec::{HELD, STORED};
use crate::{Error, OwnerHint, PresencePush, Push};

#[derive(Deserialize)]
struct PushFields<'a> {
    #[serde(borrow)]
    sync: Option<MessagesFields<'a>>,
    presence: Option<PresenceFields>,
    #[serde(borrow)]
    signal: Option<SignalFields<'a>>,
    #[serde(borrow)]
    held: Option<HeldFields<'a>>,
    rolled_back: Option<RolledBackFields>,
    moved: Option<HintFields>,
    redirect: Option<HintFields>,
}

/// `None`: a push that this version does not know, or one without a content that it knows.
pub(super) fn read_other_push(text: &str, frame: &Bytes) -> Result<Option<Push>, Error> {
    let fields: PushFields<'_> = serde_json::from_str(text).map_err(|error| unreadable("push", &error))?;
    Ok(Some(match fields {
        PushFields { sync: Some(MessagesFields { room, items }), .. } => {
            Push::Sync { room, items: read_items(items, frame, STORED)? }
        }
        PushFields { presence: Some(presence), .. } => Push::Presence(presence.into_presence()),
        PushFields { signal: Some(SignalFields { room, from, data, data_b64 }), .. } => {
            let Some(data) = read_data(data, data_b64.as_deref(), frame)? else { return Ok(None) };
            Push::Signal { room, from, data }
        }
        PushFields { held: Some(HeldFields { room, items, expires }), .. } => {
            Push::Held { room, items: read_items(items, frame, HELD)?, expires }
        }
        PushFields { rolled_back: Some(RolledBackFields { room, ids }), .. } => {
            Push::RolledBack { room, ids }
        }
        PushFields { moved: Some(hint), .. } => Push::Moved(hint.into_hint()),
        PushFields { redirect: Some(hint), .. } => Push::Redirect(hint.into_hint()),
        PushFields { .. } => return Ok(None),
    }))
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
