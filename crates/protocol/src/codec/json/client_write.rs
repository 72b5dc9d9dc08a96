//! A client's JSON frames, written.

use bytes::Bytes;
use roomkeeper_types::{ConsumerId, RoomName, Token, UserId};

use super::write::{Object, write_array, write_id, write_number, write_object, write_text};
use crate::codec::beat_key;
use crate::{Command, From, Isolation, Placement, Request, RoomOptions, RoomRef, Seen};

pub(in crate::codec) fn encode_request(request: &Request) -> Bytes {
    let mut out = Vec::with_capacity(request_len(&request.command));
    write_object(&mut out, |frame| {
        frame.number("id", request.id.into());
        frame.object(request.command.name(), |fields| command_fields(fields, &request.command));
    });
    out.into()
}

/// The command's object alone.
pub(crate) fn encode_command(command: &Command) -> Bytes {
    let mut out = Vec::with_capacity(request_len(command));
    write_object(&mut out, |fields| command_fields(fields, command));
    out.into()
}

fn request_len(command: &Command) -> usize {
    match command {
        Command::Publish(publish) => {
            256 + publish.messages.iter().map(|message| 96 + message.data.bytes().len()).sum::<usize>()
        }
        Command::Signal(signal) => 256 + signal.data.bytes().len(),
        Command::Heartbeat(heartbeat) => {
            256 + heartbeat.rooms.iter().map(|(_, seen)| 192 + 39 * seen.seen.len()).sum::<usize>()
        }
        Command::Confirm(hold) | Command::Rollback(hold) => 256 + 39 * hold.ids.len(),
        _ => 256,
    }
}

fn command_fields(fields: &mut Object<'_>, command: &Command) {
    match command {
        Command::Hello(hello) => {
            fields.optional_text("token", hello.token.as_ref().map(Token::secret));
            fields.optional_text("user", hello.user.as_ref().map(UserId::as_str));
            fields.optional_text("device", hello.device.as_deref());
            fields.optional_text("session", hello.session.as_deref());
            fields.optional_text("client", hello.client.as_deref());
        }
        Command::Join(join) => {
            room_fields(fields, &join.room);
            write_from(fields.key("from"), join.from);
            fields.optional_text("consumer", join.consumer.as_ref().map(ConsumerId::as_str));
            fields.optional_number("credit", join.credit);
            isolation_field(fields, join.isolation);
            fields.optional_boolean("presence", join.presence);
        }
        Command::Leave(room) | Command::Presence(room) | Command::Delete(room) => room_fields(fields, room),
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
        Command::Signal(signal) => {
            room_fields(fields, &signal.room);
            fields.data(&signal.data);
        }
        Command::History(history) => {
            room_fields(fields, &history.room);
            write_from(fields.key("from"), history.from);
            fields.optional_number("limit", history.limit.map(u64::from));
            isolation_field(fields, history.isolation);
        }
        Command::Commit(commit) => {
            room_fields(fields, &commit.room);
            fields.text("consumer", commit.consumer.as_str());
            fields.number("offset", commit.offset.0);
        }
        Command::Credit(credit) => {
            room_fields(fields, &credit.room);
            fields.number("more", credit.more);
        }
        Command::Heartbeat(heartbeat) => fields.object("rooms", |rooms| {
            for (room, seen) in &heartbeat.rooms {
                rooms.object(beat_key(room.as_ref()), |fields| seen_fields(fields, seen));
            }
        }),
        Command::Rooms(rooms) => {
            fields.optional_text("prefix", rooms.prefix.as_deref());
            fields.optional_text("after", rooms.after.as_deref());
            fields.optional_number("limit", rooms.limit.map(u64::from));
            fields.optional_number("page", rooms.page.map(u64::from));
        }
        Command::Create(create) => {
            fields.optional_text("room", create.room.as_ref().map(RoomName::as_str));
            if create.options != RoomOptions::default() {
                fields.object("options", |fields| option_fields(fields, &create.options));
            }
            fields.optional_text("placement", create.placement.map(Placement::name));
        }
        Command::Confirm(hold) | Command::Rollback(hold) => {
            room_fields(fields, &hold.room);
            fields.array("ids", &hold.ids, write_id);
        }
    }
}

fn room_fields(fields: &mut Object<'_>, room: &RoomRef) {
    fields.optional_text("room", room.room.as_ref().map(RoomName::as_str));
    if let Some(life) = room.life {
        fields.text("life", &life.to_string());
    }
}

fn seen_fields(fields: &mut Object<'_>, seen: &Seen) {
    fields.boolean("here", seen.here);
    fields.array("seen", &seen.seen, write_id);
    fields.optional_number("upto", seen.upto.map(|offset| offset.0));
}

fn option_fields(fields: &mut Object<'_>, options: &RoomOptions) {
    fields.optional_number("retain_ms", options.retain_ms);
    fields.optional_number("retain_messages", options.retain_messages);
    fields.optional_number("retain_bytes", options.retain_bytes);
    fields.optional_boolean("presence", options.presence);
    fields.optional_number("max_members", options.max_members.map(u64::from));
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
