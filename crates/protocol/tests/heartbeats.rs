//! Heartbeats by JSON: the contract's form and the seed's short one, good and bad.
#![allow(clippy::unwrap_used, reason = "tests")]

mod common;

use bytes::Bytes;
use common::refusal::{BAD, refused};
use common::{id, room};
use roomkeeper_protocol::{Codec, Command, Frame, Heartbeat, Limits, Request, Seen};
use roomkeeper_types::Offset;

/// The request that a frame is, under the default limits.
fn read(text: &str) -> Request {
    Codec::Json.decode_request(&Frame::Text(text.to_owned().into()), &Limits::default()).unwrap()
}

fn heartbeat(text: &str) -> Vec<(Option<roomkeeper_types::RoomName>, Seen)> {
    match read(text).command {
        Command::Heartbeat(Heartbeat { rooms }) => rooms,
        other => panic!("{text} was taken as {other:?}"),
    }
}

fn seen(here: bool, ids: &[u8], upto: Option<u64>) -> Seen {
    Seen { here, seen: ids.iter().map(|n| id(*n)).collect(), upto: upto.map(Offset) }
}

fn uuids(ids: impl IntoIterator<Item = u8>) -> String {
    let ids: Vec<_> = ids.into_iter().map(|n| format!("\"{}\"", id(n))).collect();
    format!("[{}]", ids.join(","))
}

#[test]
fn each_room_is_read_with_what_was_left_out_filled_in() {
    let text = format!(
        r#"{{"id": 7, "heartbeat": {{"rooms": {{
            "a": {{"here": false, "seen": {}, "upto": 0, "later": 1}}, "b": {{}}, "": {{"here": null}}
        }}}}}}"#,
        uuids([1, 2])
    );
    let expected = [
        (Some(room("a")), seen(false, &[1, 2], Some(0))),
        (Some(room("b")), seen(true, &[], None)),
        (None, seen(true, &[], None)),
    ];
    assert_eq!(heartbeat(&text), expected);
    assert_eq!(heartbeat(r#"{"id": 7, "heartbeat": {"rooms": {}}}"#), []);
}

#[test]
fn short_form_is_of_the_sockets_room() {
    for (fields, expected) in [
        (format!(r#""amhere": true, "msgSeen": {}"#, uuids([1, 2])), seen(true, &[1, 2], None)),
        (format!(r#""msgSeen": {}, "amhere": false"#, uuids([3])), seen(false, &[3], None)),
        (r#""amhere": true"#.to_owned(), seen(true, &[], None)),
        (r#""msgSeen": [], "amhere": null"#.to_owned(), seen(true, &[], None)),
    ] {
        let expected = Command::Heartbeat(Heartbeat { rooms: vec![(None, expected)] });
        for (text, id) in [
            (format!("{{{fields}}}"), 0),
            (format!(r#"{{"id": 7, {fields}}}"#), 7),
            (format!(r#"{{{fields}, "id": 4294967295}}"#), u32::MAX),
        ] {
            assert_eq!(read(&text), Request { id, command: expected.clone() }, "{text}");
        }
    }
}

#[test]
fn short_form_with_a_bad_field_is_refused() {
    for (fields, says) in [
        (r#""amhere": 1"#, "amhere: expected true or false"),
        (r#""msgSeen": {}"#, "msgSeen: expected an array of UUIDs"),
        (r#""msgSeen": ["x"]"#, "expected an array of UUIDs: UUID parsing failed"),
        (r#""amhere": true, "amhere": true"#, "`amhere` is given twice"),
        (r#""amhere": true, "msgSeen": [], "msgSeen": []"#, "`msgSeen` is given twice"),
    ] {
        refused(&format!("{{{fields}}}"), 0, BAD, says);
        refused(&format!(r#"{{"id": 7, {fields}}}"#), 7, BAD, says);
    }
    let many = format!(r#""msgSeen": [{}]"#, vec![format!("\"{}\"", id(1)); 90].join(","));
    assert_eq!(heartbeat(&format!("{{{many}}}"))[0].1.seen.len(), 90);
}

/// Nothing that stands beside it goes unanswered.
#[test]
fn short_form_beside_a_command_is_refused() {
    let says = "a frame has one command beside its id";
    refused(r#"{"id": 7, "amhere": true, "leave": {}}"#, 7, BAD, says);
    refused(r#"{"id": 7, "leave": {}, "msgSeen": []}"#, 7, BAD, says);
    refused(r#"{"id": 7, "amhere": true, "msgSeen": [], "leave": {}}"#, 7, BAD, says);
    refused(r#"{"amhere": true, "msgSeen": [], "leave": {}}"#, 0, BAD, "id: expected");
}

#[test]
fn short_form_with_a_bad_id_is_refused_under_zero() {
    for id in ["0", "-1", "null", "\"7\"", "4294967296"] {
        refused(&format!(r#"{{"id": {id}, "amhere": true}}"#), 0, BAD, "id: expected a whole number from 1");
    }
}

#[test]
fn heartbeat_with_a_bad_field_is_refused_by_its_room() {
    for (rooms, says) in [
        ("null", "rooms: expected an object of {here?, seen?, upto?} by room, got nothing"),
        ("[]", "rooms: expected an object"),
        (r#"{"a b": {}}"#, "rooms: 'a b': a room name is made of"),
        (r#"{"a": 1}"#, "rooms.a.seen: expected an object"),
        (r#"{"a": {"here": "yes"}}"#, "rooms.a.here: expected true or false"),
        (r#"{"a": {"seen": [7]}}"#, "rooms.a.seen: expected an array of UUIDs"),
        (r#"{"a": {"upto": -1}}"#, "rooms.a.upto: expected a whole number"),
        (
            r#"{"a": {"upto": 9007199254740992}}"#,
            "rooms.a.upto: expected a whole number from 0 to 9007199254740991",
        ),
        (r#"{"a": {}, "b": {}, "a": {}}"#, "rooms: expected each room once"),
        (r#"{"": {}, "": {}}"#, "rooms: expected each room once"),
    ] {
        refused(&format!(r#"{{"id": 7, "heartbeat": {{"rooms": {rooms}}}}}"#), 7, BAD, says);
    }
    refused(r#"{"id": 7, "heartbeat": {}}"#, 7, BAD, "rooms: expected an object");
}

#[test]
fn heartbeat_that_lists_more_than_a_thousand_is_refused_in_both_codecs() {
    let beat = |count| {
        let seen = Seen { here: true, seen: vec![id(1); count], upto: None };
        let heartbeat = Heartbeat { rooms: vec![(Some(room("a")), seen)] };
        Request { id: 7, command: Command::Heartbeat(heartbeat) }
    };
    for codec in Codec::ALL {
        let full = beat(1_000);
        assert_eq!(codec.decode_request(&codec.encode_request(&full), &Limits::default()), Ok(full));
        let frame = codec.encode_request(&beat(1_001));
        let error = codec.decode_request(&frame, &Limits::default()).unwrap_err();
        assert_eq!((error.id, error.error.code), (7, BAD));
        assert_eq!(error.error.message, "rooms.a.seen: expected at most 1000 ids, got 1001");
    }
    let short = format!(r#"{{"msgSeen": {}}}"#, uuids(std::iter::repeat_n(1, 1_001)));
    let error = Codec::Json.decode_request(&Frame::Text(Bytes::from(short)), &Limits::default()).unwrap_err();
    assert!(error.error.message.contains("expected at most 1000 ids"), "{}", error.error.message);
}
