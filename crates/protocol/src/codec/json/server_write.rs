//! Replies, errors and pushes, written as JSON.

use bytes::Bytes;
use roomkeeper_types::RoomName;

use super::write::{Object, write_array, write_number, write_object, write_text};
use crate::{
    CommandId, CreateOk, Error, HelloOk, HistoryOk, Item, JoinOk, OwnerHint, PublishOk, Push, Reply,
    RoomSummary, RoomsOk,
};

/// What an item takes beside its data and its sender's name, and a frame beside its items. An estimate: a
/// longer one grows.
const ITEM_LEN: usize = 160;
const FRAME_LEN: usize = 192;

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
        Push::Moved(hint) => encode_hint_push("moved", hint),
        Push::Redirect(hint) => encode_hint_push("redirect", hint),
    }
}

pub(in crate::codec) fn encode_messages(room: &RoomName, items: &[Item]) -> Bytes {
    write(FRAME_LEN + items_len(items), |out| {
        write_object(out, |frame| {
            frame.object("messages", |push| {
                push.text("room", room.as_str());
                push.array("items", items, write_item);
            });
        });
    })
}

fn encode_hint_push(name: &str, hint: &OwnerHint) -> Bytes {
    write(FRAME_LEN, |out| write_object(out, |frame| frame.object(name, |push| hint_fields(push, hint))))
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

/// The body of an HTTP redirect: `{"owner","url","epoch"}`.
pub(crate) fn encode_hint(hint: &OwnerHint) -> Bytes {
    write(FRAME_LEN, |out| {
        write_object(out, |body| {
            body.optional_number("owner", hint.node.map(|node| node.0.into()));
            body.optional_text("url", hint.url.as_deref());
            body.number("epoch", hint.epoch.0);
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
        Reply::Rooms(rooms) => rooms_fields(ok, rooms),
        Reply::Create(create) => create_fields(ok, create),
        Reply::Leave | Reply::Delete => {}
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
}

fn publish_fields(ok: &mut Object<'_>, publish: &PublishOk) {
    ok.number("epoch", publish.epoch.0);
    ok.array("offsets", &publish.offsets, |out, offset| write_number(out, offset.0));
    ok.array("duplicates", &publish.duplicates, |out, known| {
        out.extend_from_slice(if *known { b"true" } else { b"false" });
    });
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
        fields.number("offset", item.offset.0);
        fields.number("epoch", item.epoch.0);
        fields.uuid("id", &item.id.0);
        fields.text("from", item.from.as_str());
        fields.number("time", item.time.0);
        fields.optional_number("sent", item.sent.map(|sent| sent.0));
        fields.data(&item.data);
    });
}

fn hint_fields(push: &mut Object<'_>, hint: &OwnerHint) {
    push.text("room", hint.room.as_str());
    push.optional_number("node", hint.node.map(|node| node.0.into()));
    push.optional_text("url", hint.url.as_deref());
    push.number("epoch", hint.epoch.0);
    push.number("retry_after_ms", hint.retry_after_ms.into());
}

fn error_fields(body: &mut Object<'_>, error: &Error) {
    body.text("code", error.code.name());
    body.text("message", &error.message);
    body.boolean("retry", error.retry);
    body.optional_number("first", error.first);
    body.optional_number("next", error.next);
    if !error.items.is_empty() {
        write_array(body.key("items"), &error.items, |out, item| {
            write_object(out, |refused| {
                refused.uuid("id", &item.id.0);
                refused.text("reason", &item.reason);
            });
        });
    }
}
