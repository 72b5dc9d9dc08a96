//! A client's JSON frames, written.

use bytes::Bytes;
use roomkeeper_types::{RoomName, UserId};

use super::write::{Object, write_array, write_number, write_object, write_text};
use crate::{Command, From, Isolation, Request, RoomRef};

pub(in crate::codec) fn encode_request(request: &Request) -> Bytes {
    let mut out = Vec::with_capacity(request_len(&request.command));
    write_object(&mut out, |frame| {
        frame.number("id", request.id.into());
        frame.object(request.command.name(), |fields| command_fields(fields, &request.command));
    });
    out.into()
}

fn request_len(command: &Command) -> usize {
    match command {
        Command::Publish(publish) => {
            256 + publish.messages.iter().map(|message| 96 + message.data.bytes().len()).sum::<usize>()
        }
        _ => 256,
    }
}

fn command_fields(fields: &mut Object<'_>, command: &Command) {
    match command {
        Command::Hello(hello) => {
            fields.optional_text("token", hello.token.as_deref());
            fields.optional_text("user", hello.user.as_ref().map(UserId::as_str));
            fields.optional_text("device", hello.device.as_deref());
            fields.optional_text("session", hello.session.as_deref());
            fields.optional_text("client", hello.client.as_deref());
        }
        Command::Join(join) => {
            room_fields(fields, &join.room);
            write_from(fields.key("from"), join.from);
            fields.optional_text("consumer", join.consumer.as_deref());
            fields.optional_number("credit", join.credit);
            isolation_field(fields, join.isolation);
            if let Some(presence) = join.presence {
                fields.boolean("presence", presence);
            }
        }
        Command::Leave(room) | Command::Delete(room) => room_fields(fields, room),
        Command::Publish(publish) => {
            room_fields(fields, &publish.room);
            fields.array("messages", &publish.messages, |out, message| {
                write_object(out, |fields| {
                    fields.uuid("id", &message.id.0);
                    fields.data(&message.data);
                    fields.optional_number("sent", message.sent.map(|sent| sent.0));
                });
            });
            fields.optional_number("expect", publish.expect.map(|offset| offset.0));
            fields.optional_number("hold_ms", publish.hold_ms);
            fields.optional_number("timeout_ms", publish.timeout_ms);
        }
        Command::History(history) => {
            room_fields(fields, &history.room);
            write_from(fields.key("from"), history.from);
            fields.optional_number("limit", history.limit.map(u64::from));
            isolation_field(fields, history.isolation);
        }
        Command::Rooms(rooms) => {
            fields.optional_text("prefix", rooms.prefix.as_deref());
            fields.optional_text("after", rooms.after.as_deref());
            fields.optional_number("limit", rooms.limit.map(u64::from));
            fields.optional_number("page", rooms.page.map(u64::from));
        }
        Command::Create(create) => {
            fields.optional_text("room", create.room.as_ref().map(RoomName::as_str));
            fields.optional_text("placement", create.placement.as_deref());
        }
        Command::Unsupported(_) => {}
    }
}

fn room_fields(fields: &mut Object<'_>, room: &RoomRef) {
    fields.optional_text("room", room.room.as_ref().map(RoomName::as_str));
    if let Some(life) = room.life {
        fields.text("life", &life.to_string());
    }
}

fn isolation_field(fields: &mut Object<'_>, isolation: Isolation) {
    if isolation == Isolation::Uncommitted {
        fields.text("isolation", "uncommitted");
    }
}

fn write_from(out: &mut Vec<u8>, from: From) {
    match from {
        From::Latest => write_text(out, "latest"),
        From::Beginning => write_text(out, "beginning"),
        From::Committed => write_text(out, "committed"),
        From::Offset(offset) => write_object(out, |fields| fields.number("offset", offset.0)),
        From::Range(first, last) => write_object(out, |fields| {
            write_array(fields.key("range"), [first.0, last.0], write_number);
        }),
    }
}
