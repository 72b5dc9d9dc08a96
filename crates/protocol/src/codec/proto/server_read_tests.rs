//! Bad input by protobuf: each gets the same named error as by JSON (`tests/bad_requests.rs`).

use bytes::Bytes;
use prost::Message;

use super::super::pb::{self, client_frame::Command as Wire};
use super::decode_request;
use crate::{Command, ErrorCode, Limits};

const BAD: ErrorCode = ErrorCode::BadRequest;
const LARGE: ErrorCode = ErrorCode::TooLarge;
const TOO_BIG: u64 = 1 << 53;

fn limits() -> Limits {
    Limits { max_frame: 4_096, max_message: 16, max_batch: 3 }
}

fn refused_frame(frame: &[u8], id: u32, code: ErrorCode, says: &str) {
    let refused = decode_request(&Bytes::copy_from_slice(frame), &limits()).unwrap_err();
    let error = &refused.error;
    assert_eq!((refused.id, error.code, error.retry), (id, code, false), "{says}: {error}");
    assert!(error.message.contains(says), "'{}' should say '{says}'", error.message);
}

fn refused(command: Wire, code: ErrorCode, says: &str) {
    let frame = pb::ClientFrame { id: 7, command: Some(command) };
    refused_frame(&frame.encode_to_vec(), 7, code, says);
}

fn text(text: &str) -> Option<String> {
    Some(text.to_owned())
}

fn start(start: pb::start::Start) -> Option<pb::Start> {
    Some(pb::Start { start: Some(start) })
}

fn json(data: &'static str) -> Option<pb::Data> {
    Some(pb::Data { data: Some(pb::data::Data::Json(Bytes::from_static(data.as_bytes()))) })
}

fn message(n: u8) -> pb::NewMessage {
    pb::NewMessage { id: Bytes::copy_from_slice(&[n; 16]), data: json("1"), sent: None }
}

fn publish() -> pb::Publish {
    pb::Publish { messages: vec![message(1)], ..Default::default() }
}

#[test]
fn frame_that_does_not_parse_is_refused_under_zero() {
    refused_frame(b"\xff", 0, BAD, "frame: expected a ClientFrame");
    refused_frame(br#"{"id": 7, "leave": {}}"#, 0, BAD, "frame: expected a ClientFrame");
    // Two fields of a string that is not UTF-8: id 7, then leave { room: FF }.
    refused_frame(b"\x08\x07\x22\x03\x0a\x01\xff", 0, BAD, "frame: expected a ClientFrame");
}

#[test]
fn id_that_is_none_is_refused_under_zero() {
    let frame = pb::ClientFrame { id: 0, command: Some(Wire::Leave(pb::Leave::default())) };
    refused_frame(&frame.encode_to_vec(), 0, BAD, "id: expected a whole number from 1 to 4294967295");
    refused_frame(b"", 0, BAD, "id: expected");
}

#[test]
fn frame_without_a_known_command_is_refused_under_its_id() {
    refused_frame(b"\x08\x07", 7, BAD, "command: expected one");
    // Field 31, which no version has yet.
    refused_frame(b"\x08\x07\xfa\x01\x00", 7, BAD, "command: expected one");
}

#[test]
fn room_and_life_outside_their_grammar_are_refused() {
    for (room, life, says) in [
        (text(""), None, "room: a room name has 1 to 128 characters"),
        (text("a b"), None, "room: a room name is made of"),
        (text("~ann"), None, "~user:name"),
        (None, text("1"), "life: '1' is not a life"),
    ] {
        refused(Wire::Leave(pb::Leave { room: room.clone(), life: life.clone() }), BAD, says);
        refused(Wire::Delete(pb::Delete { room: room.clone(), life: life.clone() }), BAD, says);
        refused(Wire::Presence(pb::Presence { room: room.clone(), life: life.clone() }), BAD, says);
        let confirm = pb::Confirm { room: room.clone(), life: life.clone(), ids: Vec::new() };
        refused(Wire::Confirm(confirm), BAD, says);
        refused(
            Wire::Join(pb::Join { room: room.clone(), life: life.clone(), ..Default::default() }),
            BAD,
            says,
        );
        refused(Wire::Publish(pb::Publish { room, life, ..publish() }), BAD, says);
    }
    refused(Wire::Create(pb::Create { room: text("a/b"), ..Default::default() }), BAD, "room: a room name");
}

#[test]
fn hello_with_a_bad_field_is_refused() {
    let long = || Some("x".repeat(257));
    let hello = pb::Hello::default;
    refused(Wire::Hello(pb::Hello { token: text(""), ..hello() }), BAD, "token: expected 1 to 16384 bytes");
    refused(Wire::Hello(pb::Hello { user: text(""), ..hello() }), BAD, "user: a user name has");
    refused(Wire::Hello(pb::Hello { device: long(), ..hello() }), BAD, "device: expected 1 to 256 bytes");
    refused(Wire::Hello(pb::Hello { session: long(), ..hello() }), BAD, "session: expected 1 to 256 bytes");
    refused(Wire::Hello(pb::Hello { client: long(), ..hello() }), BAD, "client: expected 1 to 256 bytes");
}

#[test]
fn start_that_is_none_is_refused() {
    use pb::start::Start;
    for (from, says) in [
        (Some(pb::Start::default()), "from: expected"),
        (start(Start::Keyword(9)), "from: expected a keyword"),
        (start(Start::Offset(0)), "from.offset: expected a whole number from 1 to 9007199254740991"),
        (start(Start::Offset(TOO_BIG)), "from.offset: expected a whole number from 1"),
        (start(Start::Range(pb::Range { first: 0, last: 2 })), "from.range: expected"),
        (start(Start::Range(pb::Range { first: 2, last: 1 })), "from.range: expected [a, b] with a <= b"),
        (start(Start::Range(pb::Range { first: 1, last: TOO_BIG })), "from.range: expected"),
    ] {
        refused(Wire::Join(pb::Join { from, ..Default::default() }), BAD, says);
        refused(Wire::History(pb::History { from, ..Default::default() }), BAD, says);
    }
}

#[test]
fn join_with_a_bad_field_is_refused() {
    let join = pb::Join::default;
    let committed = start(pb::start::Start::Keyword(2));
    refused(Wire::Join(pb::Join { from: committed, ..join() }), BAD, "consumer: expected");
    refused(Wire::Join(pb::Join { consumer: text(""), ..join() }), BAD, "consumer: a consumer name has");
    refused(
        Wire::Join(pb::Join { credit: Some(TOO_BIG), ..join() }),
        BAD,
        "credit: expected a whole number from 0",
    );
    refused(Wire::Join(pb::Join { isolation: 5, ..join() }), BAD, "isolation: expected");
}

#[test]
fn history_with_a_bad_field_is_refused() {
    let from =
        |keyword| pb::History { from: start(pb::start::Start::Keyword(keyword)), ..Default::default() };
    refused(Wire::History(pb::History::default()), BAD, "from: expected a start, got nothing");
    refused(Wire::History(from(0)), BAD, "from: history starts at");
    refused(Wire::History(from(2)), BAD, "from: history starts at");
    for limit in [0, 1_001, u32::MAX] {
        refused(
            Wire::History(pb::History { limit: Some(limit), ..from(1) }),
            BAD,
            "limit: expected a whole number",
        );
    }
}

#[test]
fn rooms_and_create_with_a_bad_field_are_refused() {
    let long = Some("x".repeat(129));
    let rooms = pb::Rooms::default;
    refused(Wire::Rooms(pb::Rooms { prefix: long.clone(), ..rooms() }), BAD, "prefix: expected 0 to 128");
    refused(Wire::Rooms(pb::Rooms { after: long.clone(), ..rooms() }), BAD, "after: expected 0 to 128");
    refused(Wire::Rooms(pb::Rooms { limit: Some(0), ..rooms() }), BAD, "limit: expected a whole number");
    refused(
        Wire::Rooms(pb::Rooms { page: Some(101), ..rooms() }),
        BAD,
        "page: expected a whole number from 0 to 100",
    );
    refused(
        Wire::Create(pb::Create { placement: long, ..Default::default() }),
        BAD,
        "placement: expected \"hash\" or \"least_loaded\"",
    );
    let bad_options = |options, says| {
        refused(Wire::Create(pb::Create { options: Some(options), ..Default::default() }), BAD, says);
    };
    let none = pb::RoomOptions::default;
    bad_options(
        pb::RoomOptions { retain_ms: Some(0), ..none() },
        "options.retain_ms: expected a whole number",
    );
    bad_options(
        pb::RoomOptions { retain_messages: Some(TOO_BIG), ..none() },
        "options.retain_messages: expected",
    );
    bad_options(pb::RoomOptions { retain_bytes: Some(0), ..none() }, "options.retain_bytes: expected");
    bad_options(pb::RoomOptions { max_members: Some(0), ..none() }, "options.max_members: expected");
}

/// It would be stepped over, and the room created without it.
#[test]
fn create_with_an_option_of_a_later_version_is_refused() {
    let create = |options: &[u8]| {
        // id 7, then create { options }: fields 1, 13 and 2.
        let len = options.len() as u8;
        [&[0x08, 7, 0x6a, len + 2, 0x12, len], options].concat()
    };
    // retain_ms 5, then field 6.
    let known = create(b"\x08\x05");
    let request = decode_request(&known.into(), &limits()).unwrap();
    let Command::Create(read) = request.command else { panic!("not a create") };
    assert_eq!(read.options.retain_ms, Some(5));
    refused_frame(&create(b"\x08\x05\x30\x01"), 7, BAD, "options: expected those of this version");
    refused_frame(&create(b"\x30\x01"), 7, BAD, "options: expected those of this version");
}

#[test]
fn signal_commit_and_credit_with_a_bad_field_are_refused() {
    refused(Wire::Signal(pb::Signal::default()), BAD, "data: expected json or binary, got nothing");
    refused(
        Wire::Signal(pb::Signal { data: json("{"), ..Default::default() }),
        BAD,
        "data: expected the text",
    );
    let long = json("\"123456789012345\"");
    refused(
        Wire::Signal(pb::Signal { data: long, ..Default::default() }),
        LARGE,
        "data: expected at most 16",
    );
    let commit = || pb::Commit { consumer: "c".to_owned(), ..Default::default() };
    refused(Wire::Commit(pb::Commit::default()), BAD, "consumer: a consumer name has");
    refused(
        Wire::Commit(pb::Commit { offset: TOO_BIG, ..commit() }),
        BAD,
        "offset: expected a whole number from 0",
    );
    for more in [0, TOO_BIG] {
        refused(
            Wire::Credit(pb::Credit { more, ..Default::default() }),
            BAD,
            "more: expected a whole number from 1",
        );
    }
}

#[test]
fn hold_without_good_ids_is_refused() {
    let ids = |ids: &[u8]| ids.iter().map(|n| Bytes::copy_from_slice(&[*n; 16])).collect::<Vec<_>>();
    for (ids, code, says) in [
        (ids(&[]), BAD, "ids: expected 1 to 3, got none"),
        (ids(&[1, 2, 3, 4]), LARGE, "ids: expected 1 to 3, got 4"),
        (ids(&[1, 1]), BAD, "ids[1]: expected distinct ids"),
        (vec![Bytes::from_static(b"short")], BAD, "ids[0]: expected the 16 bytes of a UUID, got 5"),
    ] {
        refused(Wire::Confirm(pb::Confirm { ids: ids.clone(), ..Default::default() }), code, says);
        refused(Wire::Rollback(pb::Rollback { ids, ..Default::default() }), code, says);
    }
}

#[test]
fn heartbeat_with_a_bad_field_is_refused_by_its_room() {
    let beat = |room: &str, seen| {
        Wire::Heartbeat(pb::Heartbeat { rooms: [(room.to_owned(), seen)].into_iter().collect() })
    };
    let seen = pb::heartbeat::Seen::default;
    refused(beat("a b", seen()), BAD, "rooms: 'a b': a room name is made of");
    let short = vec![Bytes::from_static(b"short")];
    let bad = pb::heartbeat::Seen { seen: short, ..seen() };
    refused(beat("a", bad), BAD, "rooms.a.seen[0]: expected the 16 bytes of a UUID");
    refused(
        beat("a", pb::heartbeat::Seen { upto: Some(TOO_BIG), ..seen() }),
        BAD,
        "rooms.a.upto: expected a whole number from 0",
    );
}

#[test]
fn heartbeat_that_leaves_here_out_means_here() {
    let rooms = [(String::new(), pb::heartbeat::Seen::default())].into_iter().collect();
    let command = Some(Wire::Heartbeat(pb::Heartbeat { rooms }));
    let frame = pb::ClientFrame { id: 7, command }.encode_to_vec().into();
    let Command::Heartbeat(heartbeat) = decode_request(&frame, &limits()).unwrap().command else {
        panic!("not a heartbeat")
    };
    let [(None, seen)] = &heartbeat.rooms[..] else { panic!("not the socket's room: {heartbeat:?}") };
    assert!(seen.here);
}

#[test]
fn publish_with_a_bad_field_is_refused() {
    let empty = pb::Publish::default();
    refused(Wire::Publish(empty), BAD, "messages: expected 1 to 3, got none");
    for expect in [0, TOO_BIG] {
        refused(Wire::Publish(pb::Publish { expect: Some(expect), ..publish() }), BAD, "expect: expected");
    }
    for hold_ms in [0, 86_400_001] {
        refused(Wire::Publish(pb::Publish { hold_ms: Some(hold_ms), ..publish() }), BAD, "hold_ms: expected");
    }
    for timeout_ms in [0, 60_001] {
        refused(
            Wire::Publish(pb::Publish { timeout_ms: Some(timeout_ms), ..publish() }),
            BAD,
            "timeout_ms: expected",
        );
    }
    let both = pb::Publish { hold_ms: Some(5), expect: Some(4), ..publish() };
    refused(Wire::Publish(both), BAD, "expect: expected nothing with hold_ms");
}

#[test]
fn message_with_a_bad_field_is_refused_by_its_place() {
    let second = |second: pb::NewMessage, code, says| {
        let messages = vec![message(1), second];
        refused(Wire::Publish(pb::Publish { messages, ..Default::default() }), code, says);
    };
    let short = Bytes::from_static(&[2; 15]);
    second(
        pb::NewMessage { id: short, ..message(2) },
        BAD,
        "messages[1].id: expected the 16 bytes of a UUID, got 15",
    );
    second(pb::NewMessage { data: None, ..message(2) }, BAD, "messages[1].data: expected json or binary");
    second(
        pb::NewMessage { data: Some(pb::Data::default()), ..message(2) },
        BAD,
        "messages[1].data: expected",
    );
    second(pb::NewMessage { sent: Some(TOO_BIG), ..message(2) }, BAD, "messages[1].sent: expected");
    second(message(1), BAD, "messages[1].id: expected distinct ids");
    for text in ["", "{", "1 2", " 1", "1\n", "nul", "\"\u{1}\""] {
        second(
            pb::NewMessage { data: json(text), ..message(2) },
            BAD,
            "messages[1].data: expected the text of exactly one",
        );
    }
    second(
        pb::NewMessage { data: json("\"123456789012345\""), ..message(2) },
        LARGE,
        "messages[1].data: expected at most 16 bytes, got 17",
    );
}

#[test]
fn publish_refused_for_some_of_its_messages_names_each() {
    let large = |n| pb::NewMessage { data: json("\"123456789012345\""), ..message(n) };
    let publish = pb::Publish { messages: vec![large(1), message(2), large(3)], ..Default::default() };
    let frame = pb::ClientFrame { id: 7, command: Some(Wire::Publish(publish)) };
    let refused = decode_request(&frame.encode_to_vec().into(), &limits()).unwrap_err();
    let items: Vec<_> = refused.error.items.iter().map(|item| (item.index, item.id.0[15])).collect();
    assert_eq!((refused.error.code, items), (LARGE, vec![(0, 1), (2, 3)]), "{}", refused.error);
}

#[test]
fn batch_above_the_limit_is_too_large() {
    let messages = (0..4).map(message).collect();
    let publish = pb::Publish { messages, ..Default::default() };
    refused(Wire::Publish(publish), LARGE, "messages: expected 1 to 3, got 4");
}

#[test]
fn unknown_fields_are_ignored() {
    let leave =
        pb::ClientFrame { id: 7, command: Some(Wire::Leave(pb::Leave { room: text("a"), life: None })) };
    let mut frame = leave.encode_to_vec();
    // Field 31, which no version has yet, beside the command.
    frame.extend_from_slice(b"\xfa\x01\x00");
    let request = decode_request(&frame.into(), &limits()).unwrap();
    assert!(matches!(request.command, Command::Leave(_)));
}
