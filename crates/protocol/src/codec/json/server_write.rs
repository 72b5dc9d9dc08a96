//! Replies, errors and pushes, written as JSON.

use bytes::Bytes;
use roomkeeper_types::{Offset, RoomName};

use super::write::{Object, write_array, write_id, write_number, write_object, write_text};
use crate::{
    CommandId, CreateOk, Error, HelloOk, HistoryOk, Item, JoinOk, Member, OwnerHint, PresencePush, PublishOk,
    Push, Reply, RoomSummary, RoomsOk,
};

/// What an item takes beside its data and its sender's name, and a frame beside its items. An estimate: a
/// longer one grows.
const ITEM_LEN: usize = 160;
const FRAME_LEN: usize = 192;
/// What a member takes, and an id in an array.
const MEMBER_LEN: usize = 96;
const ID_LEN: usize = 39;

pub(in crate::codec) fn encode_reply(id: CommandId, reply: &Result<Reply, Error>) -> Bytes {
    write(reply.as_ref().map_or(FRAME_LEN, reply_len), |out| {
        write_object(out, |frame| {
            frame.number("id", id.into());
            match reply {
                Ok(reply) => frame.object("ok", |ok| reply_fields(ok, reply)),
                Err(error) => frame.object("error", |body| error_fields(body, error)),
            }
        });
    })
}

pub(in crate::codec) fn encode_push(push: &Push) -> Bytes {
    match push {
        Push::Messages { room, items } => encode_messages(room, items),
        Push::Sync { room, items } => encode_sync(room, items),
        Push::Presence(presence) => {
            let members = presence.joined.len() + presence.left.len();
            let members = members + presence.members.as_ref().map_or(0, Vec::len);
            encode_named_push("presence", MEMBER_LEN * members, |push| presence_fields(push, presence))
        }
        Push::Signal { room, from, data } => encode_named_push("signal", data.bytes().len(), |push| {
            push.text("room", room.as_str());
            push.text("from", from.as_str());
            push.data(data);
        }),
        Push::Held { room, items, expires } => encode_named_push("held", items_len(items), |push| {
            push.text("room", room.as_str());
            push.array("items", items, write_item);
            push.number("expires", expires.0);
        }),
        Push::RolledBack { room, ids } => encode_named_push("rolled_back", ID_LEN * ids.len(), |push| {
            push.text("room", room.as_str());
            push.array("ids", ids, write_id);
        }),
        Push::Moved(hint) => encode_named_push("moved", 0, |push| hint_fields(push, hint)),
        Push::Redirect(hint) => encode_named_push("redirect", 0, |push| hint_fields(push, hint)),
    }
}

pub(in crate::codec) fn encode_messages(room: &RoomName, items: &[Item]) -> Bytes {
    encode_items_push("messages", room, items)
}

pub(in crate::codec) fn encode_sync(room: &RoomName, items: &[Item]) -> Bytes {
    encode_items_push("sync", room, items)
}

fn encode_items_push(name: &str, room: &RoomName, items: &[Item]) -> Bytes {
    encode_named_push(name, items_len(items), |push| {
        push.text("room", room.as_str());
        push.array("items", items, write_item);
    })
}

/// A push whose fields, beside short ones, take about `len` bytes.
fn encode_named_push(name: &str, len: usize, fill: impl FnOnce(&mut Object<'_>)) -> Bytes {
    write(FRAME_LEN + len, |out| write_object(out, |frame| frame.object(name, fill)))
}

/// The `ok` object alone: a REST answer's body.
pub(crate) fn encode_reply_body(reply: &Reply) -> Bytes {
    write(reply_len(reply), |out| write_object(out, |ok| reply_fields(ok, reply)))
}

/// `{"error": {…}}`: the body of every HTTP error answer.
pub(crate) fn encode_error(error: &Error) -> Bytes {
    write(FRAME_LEN, |out| {
        write_object(out, |body| body.object("error", |fields| error_fields(fields, error)));
    })
}

/// One room as in a list.
pub(crate) fn encode_summary(summary: &RoomSummary) -> Bytes {
    write(FRAME_LEN + items_len(&summary.items), |out| write_summary(out, summary))
}

/// The body of an HTTP redirect: `{"owner","url","epoch","shard"?}`.
pub(crate) fn encode_hint(hint: &OwnerHint) -> Bytes {
    write(FRAME_LEN, |out| {
        write_object(out, |body| {
            body.optional_number("owner", hint.node.map(|node| node.0.into()));
            body.optional_text("url", hint.url.as_deref());
            body.number("epoch", hint.epoch.0);
            body.optional_number("shard", hint.shard.map(|shard| shard.0.into()));
        });
    })
}

fn write(len: usize, fill: impl FnOnce(&mut Vec<u8>)) -> Bytes {
    let mut out = Vec::with_capacity(len);
    fill(&mut out);
    out.into()
}

fn reply_len(reply: &Reply) -> usize {
    match reply {
        Reply::History(history) => FRAME_LEN + items_len(&history.items),
        Reply::Rooms(rooms) => {
            rooms.rooms.iter().map(|room| FRAME_LEN + items_len(&room.items)).sum::<usize>() + FRAME_LEN
        }
        Reply::Publish(publish) => FRAME_LEN + 16 * publish.offsets.len(),
        Reply::Confirm(hold) => FRAME_LEN + 16 * hold.offsets.len(),
        Reply::Presence(presence) => FRAME_LEN + MEMBER_LEN * presence.members.len(),
        _ => 2 * FRAME_LEN,
    }
}

fn items_len(items: &[Item]) -> usize {
    items.iter().map(|item| ITEM_LEN + item.from.as_str().len() + item.data.bytes().len()).sum()
}

fn reply_fields(ok: &mut Object<'_>, reply: &Reply) {
    match reply {
        Reply::Hello(hello) => hello_fields(ok, hello),
        Reply::Join(join) => join_fields(ok, join),
        Reply::Publish(publish) => publish_fields(ok, publish),
        Reply::History(history) => history_fields(ok, history),
        Reply::Commit(commit) => ok.number("committed", commit.committed.0),
        Reply::Presence(presence) => ok.array("members", &presence.members, write_member),
        Reply::Rooms(rooms) => rooms_fields(ok, rooms),
        Reply::Create(create) => create_fields(ok, create),
        Reply::Confirm(hold) => offsets_field(ok, &hold.offsets),
        Reply::Rollback => offsets_field(ok, &[]),
        Reply::Leave | Reply::Signal | Reply::Credit | Reply::Heartbeat | Reply::Delete => {}
    }
}

fn hello_fields(ok: &mut Object<'_>, hello: &HelloOk) {
    ok.number("node", hello.node.0.into());
    ok.uuid("cluster", &hello.cluster.0);
    ok.text("user", hello.user.as_str());
    ok.text("session", &hello.session);
    ok.array("heartbeat_ms", hello.heartbeat_ms, |out, ms| write_number(out, ms.into()));
    ok.object("limits", |limits| {
        limits.number("max_frame", hello.limits.max_frame.into());
        limits.number("max_message", hello.limits.max_message.into());
        limits.number("max_batch", hello.limits.max_batch.into());
    });
    ok.array("features", &hello.features, |out, feature| write_text(out, feature));
    ok.optional_number("expires", hello.expires.map(|time| time.0));
}

fn join_fields(ok: &mut Object<'_>, join: &JoinOk) {
    ok.text("room", join.room.as_str());
    ok.number("owner", join.owner.0.into());
    ok.number("epoch", join.epoch.0);
    ok.text("life", &join.life.to_string());
    ok.number("first", join.first.0);
    ok.number("next", join.next.0);
    ok.number("from", join.from.0);
    ok.optional_number("members", join.members);
    ok.optional_number("committed", join.committed.map(|offset| offset.0));
    ok.optional_number("unread", join.unread);
}

fn publish_fields(ok: &mut Object<'_>, publish: &PublishOk) {
    ok.number("epoch", publish.epoch.0);
    offsets_field(ok, &publish.offsets);
    ok.array("duplicates", &publish.duplicates, |out, known| {
        out.extend_from_slice(if *known { b"true" } else { b"false" });
    });
    if publish.held {
        ok.boolean("held", true);
        ok.optional_number("expires", publish.expires.map(|time| time.0));
    }
}

fn offsets_field(ok: &mut Object<'_>, offsets: &[Offset]) {
    ok.array("offsets", offsets, |out, offset| write_number(out, offset.0));
}

fn history_fields(ok: &mut Object<'_>, history: &HistoryOk) {
    ok.array("items", &history.items, write_item);
    ok.number("next", history.next.0);
}

fn rooms_fields(ok: &mut Object<'_>, rooms: &RoomsOk) {
    ok.array("rooms", &rooms.rooms, write_summary);
    ok.optional_text("next", rooms.next.as_ref().map(RoomName::as_str));
}

fn create_fields(ok: &mut Object<'_>, create: &CreateOk) {
    ok.number("owner", create.owner.0.into());
    ok.number("epoch", create.epoch.0);
    ok.text("life", &create.life.to_string());
}

fn write_summary(out: &mut Vec<u8>, summary: &RoomSummary) {
    write_object(out, |room| {
        room.text("room", summary.room.as_str());
        room.text("life", &summary.life.to_string());
        room.optional_number("owner", summary.owner.map(|owner| owner.0.into()));
        room.number("messages", summary.messages);
        room.number("first", summary.first.0);
        room.number("next", summary.next.0);
        room.optional_number("members", summary.members);
        room.array("items", &summary.items, write_item);
    });
}

fn write_item(out: &mut Vec<u8>, item: &Item) {
    write_object(out, |fields| {
        if item.offset != Offset(0) {
            fields.number("offset", item.offset.0);
        }
        fields.number("epoch", item.epoch.0);
        fields.uuid("id", &item.id.0);
        fields.text("from", item.from.as_str());
        fields.number("time", item.time.0);
        fields.optional_number("sent", item.sent.map(|sent| sent.0));
        fields.data(&item.data);
    });
}

fn write_member(out: &mut Vec<u8>, member: &Member) {
    write_object(out, |fields| {
        fields.text("user", member.user.as_str());
        fields.optional_text("device", member.device.as_deref());
        fields.number("since", member.since.0);
    });
}

fn presence_fields(push: &mut Object<'_>, presence: &PresencePush) {
    push.text("room", presence.room.as_str());
    push.array("joined", &presence.joined, write_member);
    push.array("left", &presence.left, write_member);
    push.number("count", presence.count);
    if !presence.settled {
        push.boolean("settled", false);
    }
    if let Some(members) = &presence.members {
        push.array("members", members, write_member);
    }
}

fn hint_fields(push: &mut Object<'_>, hint: &OwnerHint) {
    push.text("room", hint.room.as_str());
    push.optional_number("node", hint.node.map(|node| node.0.into()));
    push.optional_text("url", hint.url.as_deref());
    push.number("epoch", hint.epoch.0);
    push.optional_number("shard", hint.shard.map(|shard| shard.0.into()));
    push.number("retry_after_ms", hint.retry_after_ms.into());
}

fn error_fields(body: &mut Object<'_>, error: &Error) {
    body.text("code", error.code.name());
    body.text("message", &error.message);
    body.boolean("retry", error.retry);
    body.optional_number("first", error.first);
    body.optional_number("next", error.next);
    body.optional_number("retry_after_ms", error.retry_after_ms.map(u64::from));
    if !error.items.is_empty() {
        write_array(body.key("items"), &error.items, |out, item| {
            write_object(out, |refused| {
                refused.uuid("id", &item.id.0);
                refused.number("index", item.index.into());
                refused.text("reason", &item.reason);
            });
        });
    }
}
