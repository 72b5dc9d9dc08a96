//! Bad publishes by JSON, as a command, and bad bodies of REST: nothing of them may reach the log.
#![allow(clippy::unwrap_used, reason = "tests")]

mod common;

use bytes::Bytes;
use common::id;
use common::refusal::*;
use roomkeeper_protocol::{
    Command, Create, Data, Placement, RoomOptions, decode_commit_json, decode_create_json, decode_hold_json,
    decode_publish_json, decode_signal_json, encode_command_json,
};
use roomkeeper_types::Offset;

const UUID: &str = "00000000-0000-4000-8000-000000000001";

fn publish(fields: &str) -> String {
    format!(r#"{{"id": 7, "publish": {{{fields}}}}}"#)
}

fn message(n: u8, rest: &str) -> String {
    format!(r#"{{"id": "{}"{rest}}}"#, id(n))
}

#[test]
fn publish_with_a_bad_field_is_refused() {
    let good = message(1, r#", "data": 1"#);
    for (fields, says) in [
        ("", "messages: expected an array of {id, data, sent?}, got nothing"),
        (r#""messages": null"#, "messages: expected an array"),
        (r#""messages": {}"#, "messages: expected an array"),
        (r#""messages": "a""#, "messages: expected an array"),
        (r#""messages": [1]"#, "messages: expected an array of objects"),
        (r#""messages": [[]]"#, "messages: expected an array of objects"),
        (r#""messages": []"#, "messages: expected 1 to 3, got none"),
        (r#""messages": [GOOD], "expect": 0"#, "expect: expected a whole number from 1 to 9007199254740991"),
        (r#""messages": [GOOD], "expect": 9007199254740992"#, "expect: expected a whole number from 1"),
        (r#""messages": [GOOD], "expect": "4""#, "expect: expected a whole number"),
        (r#""messages": [GOOD], "hold_ms": 0"#, "hold_ms: expected a whole number from 1 to 86400000"),
        (r#""messages": [GOOD], "hold_ms": 86400001"#, "hold_ms: expected a whole number from 1 to 86400000"),
        (r#""messages": [GOOD], "hold_ms": true"#, "hold_ms: expected a whole number"),
        (r#""messages": [GOOD], "timeout_ms": 0"#, "timeout_ms: expected a whole number from 1 to 60000"),
        (r#""messages": [GOOD], "timeout_ms": 60001"#, "timeout_ms: expected a whole number from 1 to 60000"),
        (r#""messages": [GOOD], "timeout_ms": -1"#, "timeout_ms: expected a whole number"),
        (r#""messages": [GOOD], "hold_ms": 5, "expect": 4"#, "expect: expected nothing with hold_ms"),
    ] {
        refused(&publish(&fields.replace("GOOD", &good)), 7, BAD, says);
    }
}

#[test]
fn message_with_a_bad_field_is_refused_by_its_place() {
    let good = message(1, r#", "data": 1"#);
    for (second, says) in [
        (r#"{"data": 1}"#.to_owned(), "messages[1].id: expected a UUID, got nothing"),
        (r#"{"id": "x", "data": 1}"#.to_owned(), "messages[1].id: 'x' is not a message id: expected a UUID"),
        (r#"{"id": 5, "data": 1}"#.to_owned(), "messages[1].id: expected text"),
        (message(2, ""), "messages[1].data: expected any JSON value, or data_b64"),
        (message(2, r#", "data": 1, "data_b64": "AA==""#), "messages[1].data: expected either"),
        (message(2, r#", "data_b64": "AA""#), "messages[1].data_b64: expected standard base64"),
        (message(2, r#", "data_b64": "A_-=""#), "messages[1].data_b64: expected standard base64"),
        (message(2, r#", "data_b64": 7"#), "messages[1].data_b64: expected text"),
        (message(2, r#", "data": 1, "sent": "now""#), "messages[1].sent: expected a whole number"),
        (
            message(2, r#", "data": 1, "sent": 9007199254740992"#),
            "messages[1].sent: expected a whole number from 0",
        ),
        (message(2, r#", "data": 1, "data": 2"#), "`data` is given twice"),
        (message(1, r#", "data": 2"#), "messages[1].id: expected distinct ids"),
    ] {
        refused(&publish(&format!(r#""messages": [{good}, {second}]"#)), 7, BAD, says);
    }
}

#[test]
fn publish_above_a_limit_is_too_large() {
    let messages: Vec<_> = (0..4).map(|n| message(n, r#", "data": 1"#)).collect();
    refused(
        &publish(&format!(r#""messages": [{}]"#, messages.join(","))),
        7,
        LARGE,
        "messages: expected 1 to 3, got 4",
    );
    let json = message(1, r#", "data": "123456789012345""#);
    refused(
        &publish(&format!(r#""messages": [{json}]"#)),
        7,
        LARGE,
        "messages[0].data: expected at most 16 bytes, got 17",
    );
    let binary = message(1, r#", "data_b64": "AAAAAAAAAAAAAAAAAAAAAAA=""#);
    refused(
        &publish(&format!(r#""messages": [{binary}]"#)),
        7,
        LARGE,
        "messages[0].data: expected at most 16 bytes, got 17",
    );
}

#[test]
fn publish_at_every_limit_is_taken() {
    let data =
        [r#", "data": "12345678901234""#, r#", "data_b64": "AAAAAAAAAAAAAAAAAAAAAA==""#, r#", "data": null"#];
    let messages: Vec<_> = data.iter().zip(1..).map(|(data, n)| message(n, data)).collect();
    let text = publish(&format!(r#""messages": [{}]"#, messages.join(",")));
    let Ok(Command::Publish(publish)) = decode(&text) else { panic!("refused: {text}") };
    assert_eq!(publish.messages[0].data.bytes().len(), 16);
    assert_eq!(publish.messages[1].data, Data::Binary(Bytes::from_static(&[0; 16])));
    assert_eq!(publish.messages[2].data, Data::Json(Bytes::from_static(b"null")));
}

#[test]
fn unknown_field_of_a_publish_is_ignored() {
    let message = message(1, r#", "data": 1, "kind": "later""#);
    assert!(decode(&publish(&format!(r#""messages": [{message}], "later": true"#))).is_ok());
}

#[test]
fn rest_body_is_the_commands_object() {
    let body = |text: &str| Bytes::copy_from_slice(text.as_bytes());
    let good = body(&format!(" {{\"messages\": [{{\"id\": \"{UUID}\", \"data\": [ 1 ]}}]}}\n"));
    let publish = decode_publish_json(&good, &limits()).unwrap();
    assert_eq!(publish.messages[0].data, Data::Json(Bytes::from_static(b"[ 1 ]")));
    assert_eq!(decode_create_json(&Bytes::new()), Ok(Create::default()));
    let create = decode_create_json(&body(
        r#"{"placement": "least_loaded", "options": {"retain_ms": 5, "presence": null}}"#,
    ));
    let options = RoomOptions { retain_ms: Some(5), ..RoomOptions::default() };
    let expected = Create { room: None, options, placement: Some(Placement::LeastLoaded) };
    assert_eq!(create, Ok(expected));

    let commit = decode_commit_json(&body(r#"{"consumer": "c", "offset": 0}"#)).unwrap();
    assert_eq!((commit.consumer.as_str(), commit.offset), ("c", Offset(0)));
    let again = encode_command_json(&Command::Commit(commit.clone()));
    assert_eq!(decode_commit_json(&again), Ok(commit));
    let hold = decode_hold_json(&body(&format!(r#"{{"ids": ["{UUID}"]}}"#)), &limits()).unwrap();
    assert_eq!(hold.ids, [id(1)]);
    let signal = decode_signal_json(&body(r#"{"data": [ 1 ], "life": "7-12c-1"}"#), &limits()).unwrap();
    assert_eq!(signal.data, Data::Json(Bytes::from_static(b"[ 1 ]")));
    assert_eq!(signal.room.life, Some(common::life()));
}

#[test]
fn rest_body_that_is_bad_is_refused_as_the_command_is() {
    for (text, code, says) in [
        ("", BAD, "body: expected a JSON object"),
        ("{", BAD, "body: expected a JSON object"),
        ("[]", BAD, "publish: expected an object"),
        ("{}", BAD, "messages: expected an array"),
        (r#"{"messages": []}"#, BAD, "messages: expected 1 to 3"),
        (
            r#"{"messages": [{"id": "UUID", "data": "123456789012345"}]}"#,
            LARGE,
            "messages[0].data: expected at most 16",
        ),
    ] {
        let error = decode_publish_json(&Bytes::from(text.replace("UUID", UUID)), &limits()).unwrap_err();
        assert_eq!(error.code, code, "{text}");
        assert!(error.message.contains(says), "{text}: {}", error.message);
    }
    assert!(decode_publish_json(&Bytes::from_static(b"\xff"), &limits()).is_err());
    for text in ["[]", "{", r#"{"placement": ""}"#, r#"{"options": {"colour": 1}}"#] {
        assert_eq!(decode_create_json(&Bytes::from(text)).unwrap_err().code, BAD, "{text}");
    }
    for text in ["", "[]", "{}", r#"{"consumer": "c"}"#, r#"{"consumer": "c", "offset": 9007199254740992}"#] {
        assert_eq!(decode_commit_json(&Bytes::from(text)).unwrap_err().code, BAD, "{text}");
    }
    let ids = |ids: &[u8]| format!("{:?}", ids.iter().map(|n| id(*n).to_string()).collect::<Vec<_>>());
    for (ids, code) in [(ids(&[]), BAD), (ids(&[1, 1]), BAD), (ids(&[1, 2, 3, 4]), LARGE)] {
        let text = format!(r#"{{"ids": {ids}}}"#);
        assert_eq!(decode_hold_json(&text.clone().into(), &limits()).unwrap_err().code, code, "{text}");
    }
    for (text, code) in [("{}", BAD), (r#"{"data": "123456789012345"}"#, LARGE)] {
        assert_eq!(decode_signal_json(&Bytes::from(text), &limits()).unwrap_err().code, code, "{text}");
    }
}

/// Each message that is a reason for the refusal is named by its place and id; the text tells of the first.
#[test]
fn publish_refused_for_some_of_its_messages_names_each() {
    let text = |messages: &[String]| publish(&format!(r#""messages": [{}]"#, messages.join(", ")));
    let large = |n| message(n, r#", "data": "123456789012345""#);
    let good = |n| message(n, r#", "data": 1"#);
    let named = |text: &str| {
        let (_, error) = decode(text).unwrap_err();
        let item = |item: &roomkeeper_protocol::RefusedItem| (item.index, item.id, item.reason.clone());
        (error.message.clone(), error.items.iter().map(item).collect::<Vec<_>>())
    };
    let why = "data: expected at most 16 bytes, got 17".to_owned();
    assert_eq!(
        named(&text(&[large(1), good(2), large(3)])),
        (format!("messages[0].{why}"), vec![(0, id(1), why.clone()), (2, id(3), why)])
    );
    let twice = "id: expected distinct ids, this one is another message's too".to_owned();
    assert_eq!(
        named(&text(&[good(1), good(2), good(1)])),
        (format!("messages[2].{twice}"), vec![(2, id(1), twice)])
    );
}
