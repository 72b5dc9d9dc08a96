//! What a client of this version makes of a server of a later one, in JSON. (The same for protobuf:
//! `src/codec/proto/client_read_tests.rs`.)
#![allow(clippy::unwrap_used, reason = "tests")]

mod common;

use bytes::Bytes;
use common::*;
use roomkeeper_protocol::{
    Codec, CommandKind, DecodeError, Error, ErrorCode, Frame, Push, Reply, ServerFrame,
};
use roomkeeper_types::Offset;

fn decode(text: &str, sent: Option<CommandKind>) -> Result<Option<ServerFrame>, DecodeError> {
    Codec::Json.decode_server(&Frame::Text(Bytes::copy_from_slice(text.as_bytes())), |_| sent)
}

const ITEM: &str = r#"{"offset":4,"epoch":3,"id":"00000000-0000-4000-8000-000000000004","from":"ann","time":1700000000000,"data":1}"#;

#[test]
fn unknown_fields_are_ignored() {
    let item = ITEM.replace('{', r#"{"colour":{"a":[1]},"#);
    let text = format!(r#"{{"later":1,"messages":{{"later":[],"room":"general","items":[{item}]}}}}"#);
    let push = Push::Messages { room: room("general"), items: vec![item_four()] };
    assert_eq!(decode(&text, None), Ok(Some(ServerFrame::Push(push))));

    let text = r#"{"id":1,"later":{},"ok":{"owner":2,"later":null,"epoch":3,"life":"7-12c-1"}}"#;
    assert_eq!(
        decode(text, Some(CommandKind::Create)),
        Ok(Some(ServerFrame::Reply(1, Ok(Reply::Create(create_ok())))))
    );
    let text = r#"{"id":1,"ok":{"later":true}}"#;
    assert_eq!(decode(text, Some(CommandKind::Leave)), Ok(Some(ServerFrame::Reply(1, Ok(Reply::Leave)))));
}

fn item_four() -> roomkeeper_protocol::Item {
    item(4, json("1"))
}

#[test]
fn unknown_push_is_skipped() {
    for text in ["{}", r#"{"weather":{"room":"general"}}"#, r#"{"signal":{"room":"general","from":"ann"}}"#] {
        assert_eq!(decode(text, None), Ok(None), "{text}");
    }
}

#[test]
fn item_without_data_is_stepped_over() {
    let redacted = r#"{"offset":3,"kind":"redacted"}"#;
    let text = format!(r#"{{"messages":{{"room":"general","items":[{redacted},{ITEM}]}}}}"#);
    let push = Push::Messages { room: room("general"), items: vec![item_four()] };
    assert_eq!(decode(&text, None), Ok(Some(ServerFrame::Push(push))));
}

/// Only what may be held has no offset: a client that counts offsets must not take it for a place.
#[test]
fn stored_item_without_an_offset_is_an_error() {
    let item = ITEM.replace(r#""offset":4,"#, "");
    for item in [item.clone(), ITEM.replace(":4,", ":0,")] {
        for push in ["messages", "sync"] {
            let text = format!(r#"{{"{push}":{{"room":"general","items":[{item}]}}}}"#);
            assert_eq!(decode(&text, None).unwrap_err().error.code, ErrorCode::BadRequest, "{text}");
        }
    }
    let text = format!(r#"{{"id":1,"ok":{{"items":[{item}],"next":5}}}}"#);
    let Ok(Some(ServerFrame::Reply(1, Ok(Reply::History(history))))) =
        decode(&text, Some(CommandKind::History))
    else {
        panic!("held items are read: {text}")
    };
    assert_eq!(history.items[0].offset, Offset(0));
}

#[test]
fn field_of_a_push_that_is_left_out_means_the_usual() {
    let text = r#"{"presence":{"room":"general","count":2,"later":1}}"#;
    let Ok(Some(ServerFrame::Push(Push::Presence(push)))) = decode(text, None) else {
        panic!("not a presence push")
    };
    assert_eq!((push.count, push.settled, push.members), (2, true, None));
    let text = r#"{"id":1,"ok":{"epoch":3,"offsets":[4,5],"duplicates":[true,false]}}"#;
    assert_eq!(
        decode(text, Some(CommandKind::Publish)),
        Ok(Some(ServerFrame::Reply(1, Ok(Reply::Publish(publish_ok())))))
    );
}

#[test]
fn item_whose_data_is_null_is_kept() {
    let text = format!(r#"{{"messages":{{"room":"general","items":[{}]}}}}"#, ITEM.replace(":1}", ":null}"));
    let push = Push::Messages { room: room("general"), items: vec![item(4, json("null"))] };
    assert_eq!(decode(&text, None), Ok(Some(ServerFrame::Push(push))));
}

#[test]
fn unknown_error_code_is_taken_by_its_retry() {
    for (retry, code) in [(true, ErrorCode::Unavailable), (false, ErrorCode::BadRequest)] {
        let text =
            format!(r#"{{"id":1,"error":{{"code":"eclipse","message":"dark","retry":{retry},"later":1}}}}"#);
        let error = Error { retry, ..Error::new(code, "dark") };
        assert_eq!(decode(&text, None), Ok(Some(ServerFrame::Reply(1, Err(error)))));
    }
}

#[test]
fn reply_to_a_command_nobody_waits_for_is_skipped() {
    assert_eq!(decode(r#"{"id":1,"ok":{}}"#, None), Ok(None));
}

#[test]
fn reply_that_does_not_fit_its_command_is_an_error_under_its_number() {
    for (kind, ok) in [
        (CommandKind::Hello, "{}"),
        (CommandKind::Join, r#"{"room":"general"}"#),
        (CommandKind::Publish, r#"{"epoch":-1,"offsets":[],"duplicates":[]}"#),
        (CommandKind::History, r#"{"items":[{"data":1}],"next":2}"#),
        (CommandKind::History, r#"{"items":[],"next":"2"}"#),
        (CommandKind::Rooms, r#"{"rooms":[{}]}"#),
        (CommandKind::Commit, "{}"),
        (CommandKind::Presence, "{}"),
        (CommandKind::Confirm, "{}"),
        (CommandKind::Create, r#"{"owner":2,"epoch":3,"life":"later"}"#),
    ] {
        let error = decode(&format!(r#"{{"id":9,"ok":{ok}}}"#), Some(kind)).unwrap_err();
        assert_eq!((error.id, error.error.code), (9, ErrorCode::BadRequest), "{ok}");
    }
}

#[test]
fn push_that_does_not_parse_is_an_error_under_zero() {
    for text in [
        "",
        "[]",
        "{",
        r#"{"messages":{"room":"a b","items":[]}}"#,
        r#"{"messages":{"room":"general","items":[{"data":1}]}}"#,
        r#"{"messages":{"room":"general","items":[{"data_b64":"?"}]}}"#,
        r#"{"moved":{"room":"general"}}"#,
        r#"{"sync":{"room":"general"}}"#,
        r#"{"presence":{"room":"general"}}"#,
        r#"{"presence":{"room":"general","count":1,"joined":[{"user":"ann"}]}}"#,
        r#"{"signal":{"room":"general","data":1}}"#,
        r#"{"held":{"room":"general","items":[]}}"#,
        r#"{"rolled_back":{"room":"general","ids":["1"]}}"#,
    ] {
        assert_eq!(decode(text, None).unwrap_err().id, 0, "{text}");
    }
}
