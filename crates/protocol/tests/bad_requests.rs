//! Bad frames and fields by JSON: each gets the named error, under the command's own number, in words that
//! name the field. Publishes have a file of their own, and protobuf has `codec/proto/server_read_tests.rs`.
#![allow(clippy::unwrap_used, reason = "tests")]

mod common;

use bytes::Bytes;
use common::refusal::*;
use roomkeeper_protocol::{Codec, Command, CommandKind, Create, Frame, Isolation};

/// Each `(fields, what the error says)` of a command is refused under id 7.
fn fields_refused(command: &str, table: &[(&str, &str)]) {
    for (fields, says) in table {
        refused(&format!(r#"{{"id": 7, "{command}": {fields}}}"#), 7, BAD, says);
    }
}

#[test]
fn frame_that_does_not_parse_is_refused_under_zero() {
    let deep = "[".repeat(4_000);
    for text in
        ["", " ", "{", "{}x", "[]", "7", "null", "\"a\"", r#"{"id": 7, "join": {}"#, r#"{"id": 7, "#, &deep]
    {
        refused(text, 0, BAD, "frame: expected one JSON object");
    }
    refused(r#"{"id": 7, "join": {"from": }}"#, 0, BAD, "at line 1 column 28");
    refused(r#"{"id": 7, "id": 8, "join": {}}"#, 0, BAD, "`id` is given twice");
}

#[test]
fn frame_of_the_other_subprotocol_is_refused_under_zero() {
    let text = Frame::Text(Bytes::from_static(br#"{"id": 7, "leave": {}}"#));
    let binary = Frame::Binary(text.bytes().clone());
    for (codec, frame, says) in
        [(Codec::Json, binary, "expected text"), (Codec::Proto, text, "expected binary")]
    {
        let error = codec.decode_request(&frame, &limits()).unwrap_err();
        assert_eq!((error.id, error.error.code), (0, BAD));
        assert!(error.error.message.contains(says));
        let error = codec.decode_server(&frame, |_| None).unwrap_err();
        assert_eq!((error.id, error.error.code), (0, BAD));
    }
}

#[test]
fn text_that_is_not_utf8_is_refused_under_zero() {
    let frame = Frame::Text(Bytes::from_static(b"{\"id\": 7, \"hello\": {\"device\": \"\xff\"}}"));
    let error = Codec::Json.decode_request(&frame, &limits()).unwrap_err();
    assert_eq!((error.id, error.error.code), (0, BAD));
}

#[test]
fn frame_above_the_limit_is_too_large() {
    for codec in Codec::ALL {
        let bytes = Bytes::from(vec![b' '; 4_097]);
        let frame = if codec == Codec::Json { Frame::Text(bytes) } else { Frame::Binary(bytes) };
        let error = codec.decode_request(&frame, &limits()).unwrap_err();
        assert_eq!((error.id, error.error.code), (0, LARGE));
    }
}

#[test]
fn id_that_is_none_is_refused_under_zero() {
    for id in ["0", "-1", "4294967296", "1.0", "1e3", "\"7\"", "null", "true", "[7]", "99999999999999999999"]
    {
        refused(
            &format!(r#"{{"id": {id}, "leave": {{}}}}"#),
            0,
            BAD,
            "id: expected a whole number from 1 to 4294967295",
        );
    }
    refused(r#"{"leave": {}}"#, 0, BAD, "id: expected");
}

#[test]
fn id_at_its_ends_and_after_the_command_is_read() {
    assert!(decode(r#"{"leave": {}, "id": 1}"#).is_ok());
    assert!(decode(r#"{"leave": {}, "id": 4294967295}"#).is_ok());
    refused(r#"{"publish": {}, "id": 4294967295}"#, 4_294_967_295, BAD, "messages");
}

#[test]
fn frame_without_exactly_one_known_command_is_refused_under_its_id() {
    refused(r#"{"id": 7}"#, 7, BAD, "has none");
    refused(r#"{"id": 7, "frobnicate": {}}"#, 7, BAD, "'frobnicate' is not a command");
    refused(r#"{"id": 7, "Join": {}}"#, 7, BAD, "'Join' is not a command");
    refused(r#"{"id": 7, "join": {}, "leave": {}}"#, 7, BAD, "'join' and 'leave'");
    refused(r#"{"id": 7, "join": {}, "join": {}}"#, 7, BAD, "'join' and 'join'");
    let long = "x".repeat(3_000);
    let (_, error) = decode(&format!(r#"{{"id": 7, "{long}": {{}}}}"#)).unwrap_err();
    assert!(error.message.len() < 200, "an error does not echo a long name: {}", error.message.len());
}

#[test]
fn command_that_is_no_object_is_refused() {
    for command in CommandKind::ALL.iter().map(|kind| kind.name()) {
        for fields in ["null", "[]", "[\"general\"]", "7", "\"general\"", "true"] {
            let says = format!("{command}: expected an object");
            refused(&format!(r#"{{"id": 7, "{command}": {fields}}}"#), 7, BAD, &says);
        }
    }
}

#[test]
fn field_given_twice_is_refused() {
    fields_refused("leave", &[(r#"{"room": "a", "room": "b"}"#, "`room` is given twice")]);
    fields_refused("leave", &[(r#"{"room": null, "room": "b"}"#, "`room` is given twice")]);
}

#[test]
fn room_and_life_outside_their_grammar_are_refused() {
    let long = format!(r#"{{"room": "{}"}}"#, "a".repeat(129));
    for command in
        ["join", "leave", "signal", "commit", "credit", "presence", "delete", "confirm", "rollback"]
    {
        fields_refused(
            command,
            &[
                (r#"{"room": ""}"#, "room: a room name has 1 to 128 characters"),
                (long.as_str(), "room: a room name has 1 to 128 characters"),
                (r#"{"room": "a b"}"#, "room: a room name is made of"),
                (r##"{"room": "#ubuntu"}"##, "room: a room name is made of"),
                (r#"{"room": "~ann"}"#, "~user:name"),
                (r#"{"room": 7}"#, "room: expected text, got 7"),
                (r#"{"room": ["a"]}"#, "room: expected text"),
                (r#"{"life": "1"}"#, "life: '1' is not a life"),
                (r#"{"life": 1}"#, "life: expected text, got 1"),
            ],
        );
    }
    fields_refused("create", &[(r#"{"room": "a/b"}"#, "room: a room name is made of")]);
    fields_refused("publish", &[(r#"{"room": "a/b", "messages": []}"#, "room: a room name is made of")]);
    fields_refused("history", &[(r#"{"room": "a/b", "from": "beginning"}"#, "room: a room name is made of")]);
}

#[test]
fn hello_with_a_bad_field_is_refused() {
    let long = |field: &str, len: usize| format!(r#"{{"{field}": "{}"}}"#, "x".repeat(len));
    fields_refused(
        "hello",
        &[
            (r#"{"token": 1}"#, "token: expected text"),
            (r#"{"token": ""}"#, "token: expected 1 to 16384 bytes"),
            (r#"{"user": ""}"#, "user: a user name has 1 to 128 bytes"),
            (r#"{"user": "a\u0000b"}"#, "user: a user name has"),
            (long("user", 129).as_str(), "user: a user name has"),
            (r#"{"device": {}}"#, "device: expected text"),
            (long("device", 257).as_str(), "device: expected 1 to 256 bytes"),
            (r#"{"session": false}"#, "session: expected text"),
            (long("session", 257).as_str(), "session: expected 1 to 256 bytes"),
            (r#"{"client": []}"#, "client: expected text"),
            (long("client", 257).as_str(), "client: expected 1 to 256 bytes"),
        ],
    );
}

/// `(from, what the error says)` for both commands that have it.
const BAD_STARTS: &[(&str, &str)] = &[
    ("\"newest\"", "from: expected"),
    ("7", "from: expected"),
    ("[1, 2]", "from: expected"),
    ("{}", "from: expected"),
    (r#"{"offset": "1"}"#, "from: expected"),
    (r#"{"offset": -1}"#, "from: expected"),
    (r#"{"offset": 1.5}"#, "from: expected"),
    (r#"{"offset": 0}"#, "from.offset: expected a whole number from 1 to 9007199254740991"),
    (r#"{"offset": 9007199254740992}"#, "from.offset: expected a whole number from 1 to 9007199254740991"),
    (r#"{"offset": 1, "range": [1, 2]}"#, "from: expected"),
    (r#"{"range": [1]}"#, "from: expected"),
    (r#"{"range": [1, 2, 3]}"#, "from: expected"),
    (r#"{"range": [1, -2]}"#, "from: expected"),
    (r#"{"range": {"a": 1}}"#, "from: expected"),
    (r#"{"range": [0, 2]}"#, "from.range: expected"),
    (r#"{"range": [2, 1]}"#, "from.range: expected [a, b] with a <= b, got [2, 1]"),
    (r#"{"range": [1, 9007199254740992]}"#, "from.range: expected"),
];

#[test]
fn join_with_a_bad_field_is_refused() {
    let long = format!(r#"{{"consumer": "{}"}}"#, "x".repeat(129));
    fields_refused(
        "join",
        &[
            (r#"{"from": "committed"}"#, "consumer: expected"),
            (r#"{"consumer": ""}"#, "consumer: a consumer name has 1 to 128 bytes"),
            (long.as_str(), "consumer: a consumer name has 1 to 128 bytes"),
            (r#"{"consumer": 7}"#, "consumer: expected text"),
            (r#"{"credit": -1}"#, "credit: expected a whole number"),
            (r#"{"credit": "5"}"#, "credit: expected a whole number"),
            (r#"{"credit": 9007199254740992}"#, "credit: expected a whole number from 0 to 9007199254740991"),
            (r#"{"isolation": "none"}"#, "isolation: expected \"committed\" or \"uncommitted\""),
            (r#"{"isolation": 1}"#, "isolation: expected text"),
            (r#"{"presence": 1}"#, "presence: expected true or false"),
        ],
    );
    for (from, says) in BAD_STARTS {
        fields_refused("join", &[(&format!(r#"{{"from": {from}}}"#), says)]);
    }
}

#[test]
fn history_with_a_bad_field_is_refused() {
    fields_refused(
        "history",
        &[
            ("{}", "from: expected"),
            (r#"{"from": null}"#, "from: expected"),
            (r#"{"from": "latest"}"#, "from: history starts at"),
            (r#"{"from": "committed"}"#, "from: history starts at"),
            (r#"{"from": "beginning", "limit": 0}"#, "limit: expected a whole number from 1 to 1000, got 0"),
            (r#"{"from": "beginning", "limit": 1001}"#, "limit: expected a whole number from 1 to 1000"),
            (
                r#"{"from": "beginning", "limit": 4294967297}"#,
                "limit: expected a whole number from 1 to 1000",
            ),
            (r#"{"from": "beginning", "limit": -1}"#, "limit: expected a whole number"),
            (r#"{"from": "beginning", "limit": "9"}"#, "limit: expected a whole number"),
            (r#"{"from": "beginning", "isolation": "x"}"#, "isolation: expected"),
        ],
    );
    for (from, says) in BAD_STARTS {
        fields_refused("history", &[(&format!(r#"{{"from": {from}}}"#), says)]);
    }
}

#[test]
fn rooms_with_a_bad_field_is_refused() {
    let long = |field: &str| format!(r#"{{"{field}": "{}"}}"#, "x".repeat(129));
    fields_refused(
        "rooms",
        &[
            (r#"{"prefix": 1}"#, "prefix: expected text"),
            (long("prefix").as_str(), "prefix: expected 0 to 128 bytes"),
            (r#"{"after": 1}"#, "after: expected text"),
            (long("after").as_str(), "after: expected 0 to 128 bytes"),
            (r#"{"limit": 0}"#, "limit: expected a whole number from 1 to 1000"),
            (r#"{"limit": 1001}"#, "limit: expected a whole number from 1 to 1000"),
            (r#"{"limit": 1.5}"#, "limit: expected a whole number"),
            (r#"{"page": 101}"#, "page: expected a whole number from 0 to 100"),
            (r#"{"page": -1}"#, "page: expected a whole number"),
        ],
    );
}

#[test]
fn create_with_a_bad_field_is_refused() {
    fields_refused(
        "create",
        &[
            (r#"{"placement": ""}"#, "placement: expected \"hash\" or \"least_loaded\", got ''"),
            (r#"{"placement": "Hash"}"#, "placement: expected \"hash\" or \"least_loaded\", got 'Hash'"),
            (r#"{"placement": 1}"#, "placement: expected text"),
            (r#"{"options": 5}"#, "options: expected an object of retain_ms, retain_messages"),
            (r#"{"options": []}"#, "options: expected an object of retain_ms"),
            (r#"{"options": {"retain": 5}}"#, "'retain' is none of them"),
            (r#"{"options": {"colour": null}}"#, "'colour' is none of them"),
            (r#"{"options": {"retain_ms": 1, "retain_ms": 1}}"#, "`retain_ms` is given twice"),
            (r#"{"options": {"retain_ms": 0}}"#, "options.retain_ms: expected a whole number from 1"),
            (r#"{"options": {"retain_ms": "5"}}"#, "options.retain_ms: expected a whole number"),
            (
                r#"{"options": {"retain_messages": 0}}"#,
                "options.retain_messages: expected a whole number from 1",
            ),
            (
                r#"{"options": {"retain_bytes": 9007199254740992}}"#,
                "options.retain_bytes: expected a whole number from 1 to 9007199254740991",
            ),
            (r#"{"options": {"presence": 1}}"#, "options.presence: expected true or false"),
            (r#"{"options": {"max_members": 0}}"#, "options.max_members: expected a whole number from 1"),
            (
                r#"{"options": {"max_members": 4294967296}}"#,
                "options.max_members: expected a whole number from 1 to 4294967295",
            ),
        ],
    );
    assert_eq!(decode(r#"{"id": 7, "create": {"options": {}}}"#), Ok(Command::Create(Create::default())));
}

#[test]
fn signal_commit_and_credit_with_a_bad_field_are_refused() {
    fields_refused(
        "signal",
        &[
            ("{}", "data: expected any JSON value, or data_b64"),
            (r#"{"data": 1, "data_b64": "AA=="}"#, "data: expected either"),
            (r#"{"data_b64": "AA"}"#, "data_b64: expected standard base64"),
        ],
    );
    let long = r#"{"id": 7, "signal": {"data": "123456789012345"}}"#;
    refused(long, 7, LARGE, "data: expected at most 16 bytes, got 17");
    fields_refused(
        "commit",
        &[
            (r#"{"offset": 1}"#, "consumer: expected a consumer's name, got nothing"),
            (r#"{"consumer": "", "offset": 1}"#, "consumer: a consumer name has"),
            (r#"{"consumer": 5, "offset": 1}"#, "consumer: expected text"),
            (r#"{"consumer": "c"}"#, "offset: expected a whole number, 0 or more, got nothing"),
            (r#"{"consumer": "c", "offset": -1}"#, "offset: expected a whole number"),
            (
                r#"{"consumer": "c", "offset": 9007199254740992}"#,
                "offset: expected a whole number from 0 to 9007199254740991",
            ),
        ],
    );
    fields_refused(
        "credit",
        &[
            ("{}", "more: expected a whole number, 1 or more, got nothing"),
            (r#"{"more": 0}"#, "more: expected a whole number from 1 to 9007199254740991, got 0"),
            (r#"{"more": 9007199254740992}"#, "more: expected a whole number from 1"),
            (r#"{"more": "1"}"#, "more: expected a whole number"),
        ],
    );
}

#[test]
fn hold_without_good_ids_is_refused() {
    let [a, b, c, d] = [1, 2, 3, 4].map(|n| format!("\"{}\"", common::id(n)));
    for command in ["confirm", "rollback"] {
        fields_refused(
            command,
            &[
                ("{}", "ids: expected an array of UUIDs, got nothing"),
                (r#"{"ids": []}"#, "ids: expected 1 to 3, got none"),
                (r#"{"ids": {}}"#, "ids: expected an array of UUIDs"),
                (r#"{"ids": [1]}"#, "ids: expected an array of UUIDs"),
                (r#"{"ids": ["x"]}"#, "expected an array of UUIDs: UUID parsing failed"),
                (&format!(r#"{{"ids": [{a}, {b}, {a}]}}"#), "ids[2]: expected distinct ids"),
            ],
        );
        let many = format!(r#"{{"id": 7, "{command}": {{"ids": [{a}, {b}, {c}, {d}]}}}}"#);
        refused(&many, 7, LARGE, "ids: expected 1 to 3, got 4");
    }
}

#[test]
fn unknown_field_of_a_command_is_ignored() {
    let text = r#"{"id": 7, "join": {"room": "a", "colour": {"deep": [1]}, "colour": 2, "isolation": null}}"#;
    let Ok(Command::Join(join)) = decode(text) else { panic!("refused: {text}") };
    assert_eq!((join.room.room, join.isolation), (Some(common::room("a")), Isolation::Committed));
}

#[test]
fn name_or_value_with_escapes_is_read_as_without() {
    let text = r#"{"\u0069d": 7, "\u006aoin": {"\u0072oom": "\u0061", "from": "lat\u0065st"}}"#;
    let Ok(Command::Join(join)) = decode(text) else { panic!("refused: {text}") };
    assert_eq!(join.room.room, Some(common::room("a")));
}
