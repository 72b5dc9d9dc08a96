//! The JSON of each reply, push and command, letter for letter as the contract (`docs/protocol.md`) has it.
#![allow(clippy::unwrap_used, reason = "tests")]

mod common;

use common::*;
use roomkeeper_protocol::{
    Codec, Command, Error, ErrorCode, Frame, From, Isolation, Join, NewMessage, Publish, Push, Reply,
    Request, RoomRef, encode_error_json, encode_redirect_json, encode_reply_json, encode_room_json,
};
use roomkeeper_types::{Offset, Timestamp};

fn text(frame: &Frame) -> &str {
    let Frame::Text(bytes) = frame else { panic!("JSON travels in text frames: {frame:?}") };
    std::str::from_utf8(bytes).unwrap()
}

fn reply_is(reply: Reply, ok: &str) {
    let frame = Codec::Json.encode_reply(7, &Ok(reply.clone()));
    assert_eq!(text(&frame), format!(r#"{{"id":7,"ok":{ok}}}"#));
    assert_eq!(encode_reply_json(&reply), ok, "the body of REST");
}

fn push_is(push: Push, json: &str) {
    assert_eq!(text(&Codec::Json.encode_push(&push)), json);
}

fn request_is(command: Command, json: &str) {
    let frame = Codec::Json.encode_request(&Request { id: 7, command });
    assert_eq!(text(&frame), json);
}

const ITEMS: &str = concat!(
    r#"[{"offset":4,"epoch":3,"id":"00000000-0000-4000-8000-000000000004","from":"zoë \"z\"","#,
    r#""time":1700000000000,"sent":1699999999999,"data":{"b": 1,  "a":[1.0, "\u00e4"]}},"#,
    r#"{"offset":5,"epoch":3,"id":"00000000-0000-4000-8000-000000000005","from":"ann","#,
    r#""time":1700000000000,"data_b64":"AP9yYXc="}]"#,
);

#[test]
fn hello_reply_has_the_contracts_shape() {
    reply_is(
        Reply::Hello(hello_ok()),
        concat!(
            r#"{"node":2,"cluster":"00000000-0000-4000-8000-000000000009","user":"ann","session":"s-1","#,
            r#""heartbeat_ms":[3500,7000],"#,
            r#""limits":{"max_frame":1048576,"max_message":65536,"max_batch":1000},"features":["sync"]}"#,
        ),
    );
}

#[test]
fn join_reply_has_the_contracts_shape() {
    let all =
        r#"{"room":"general","owner":2,"epoch":3,"life":"7-12c-1","first":1,"next":6,"from":4,"members":2}"#;
    reply_is(Reply::Join(join_ok()), all);
    let mut without_presence = join_ok();
    without_presence.members = None;
    reply_is(Reply::Join(without_presence), &all.replace(r#","members":2"#, ""));
}

#[test]
fn publish_reply_has_the_contracts_shape() {
    reply_is(Reply::Publish(publish_ok()), r#"{"epoch":3,"offsets":[4,5],"duplicates":[true,false]}"#);
}

#[test]
fn history_reply_has_the_contracts_shape() {
    reply_is(Reply::History(history_ok()), &format!(r#"{{"items":{ITEMS},"next":6}}"#));
}

const SUMMARY: &str = concat!(
    r#"{"room":"general","life":"7-12c-1","owner":2,"messages":5,"first":1,"next":6,"members":2,"items":["#,
    r#"{"offset":4,"epoch":3,"id":"00000000-0000-4000-8000-000000000004","from":"ann","time":1700000000000,"data":1}"#,
    r#"]}"#,
);

#[test]
fn rooms_reply_has_the_contracts_shape() {
    let bare = r#"{"room":"~ann:notes","life":"7-12c-1","messages":5,"first":1,"next":6,"items":[]}"#;
    let all = format!(r#"{{"rooms":[{SUMMARY},{bare}],"next":"~ann:notes"}}"#);
    reply_is(Reply::Rooms(rooms_ok()), &all);
    let mut last = rooms_ok();
    last.next = None;
    reply_is(Reply::Rooms(last), &all.replace(r#","next":"~ann:notes"}"#, "}"));
    assert_eq!(encode_room_json(&rooms_ok().rooms[0]), SUMMARY);
}

#[test]
fn create_reply_has_the_contracts_shape() {
    reply_is(Reply::Create(create_ok()), r#"{"owner":2,"epoch":3,"life":"7-12c-1"}"#);
}

#[test]
fn reply_without_fields_is_an_empty_object() {
    reply_is(Reply::Leave, "{}");
    reply_is(Reply::Delete, "{}");
}

#[test]
fn error_reply_has_the_contracts_shape() {
    let plain = r#"{"code":"not_found","message":"no such room","retry":false}"#;
    let error = Error::new(ErrorCode::NotFound, "no such room");
    assert_eq!(
        text(&Codec::Json.encode_reply(7, &Err(error.clone()))),
        format!(r#"{{"id":7,"error":{plain}}}"#)
    );
    assert_eq!(encode_error_json(&error), format!(r#"{{"error":{plain}}}"#), "the body of REST");

    let full = concat!(
        r#"{"id":0,"error":{"code":"invalid","message":"the room refused\n1 of 2","retry":false,"first":3,"next":9,"#,
        r#""items":[{"id":"00000000-0000-4000-8000-000000000001","reason":"too \"rude\""}]}}"#,
    );
    assert_eq!(text(&Codec::Json.encode_reply(0, &Err(full_error()))), full);
}

#[test]
fn messages_push_has_the_contracts_shape() {
    let json = format!(r#"{{"messages":{{"room":"general","items":{ITEMS}}}}}"#);
    push_is(Push::Messages { room: room("general"), items: items() }, &json);
    assert_eq!(text(&Codec::Json.encode_messages(&room("general"), &items())), json);
}

#[test]
fn owner_pushes_have_the_contracts_shape() {
    let all = r#"{"room":"general","node":2,"url":"http://127.0.0.1:7710","epoch":3,"retry_after_ms":250}"#;
    push_is(Push::Moved(hint()), &format!(r#"{{"moved":{all}}}"#));
    push_is(Push::Redirect(hint()), &format!(r#"{{"redirect":{all}}}"#));
    push_is(Push::Moved(hint_of_nobody()), r#"{"moved":{"room":"general","epoch":3,"retry_after_ms":250}}"#);
    assert_eq!(encode_redirect_json(&hint()), r#"{"owner":2,"url":"http://127.0.0.1:7710","epoch":3}"#);
}

#[test]
fn requests_have_the_contracts_shape() {
    let join = Join {
        room: room_ref(),
        from: From::Range(Offset(1), Offset(9)),
        consumer: Some("c".to_owned()),
        credit: Some(5),
        isolation: Isolation::Uncommitted,
        presence: Some(true),
    };
    request_is(
        Command::Join(join),
        concat!(
            r#"{"id":7,"join":{"room":"general","life":"7-12c-1","from":{"range":[1,9]},"consumer":"c","credit":5,"#,
            r#""isolation":"uncommitted","presence":true}}"#,
        ),
    );
    request_is(Command::Leave(RoomRef::default()), r#"{"id":7,"leave":{}}"#);
    let publish = Publish {
        room: RoomRef { room: Some(room("general")), life: None },
        messages: vec![NewMessage { id: id(1), data: json("{ }"), sent: Some(Timestamp(5)) }],
        expect: Some(Offset(4)),
        hold_ms: None,
        timeout_ms: Some(900),
    };
    request_is(
        Command::Publish(publish),
        concat!(
            r#"{"id":7,"publish":{"room":"general","#,
            r#""messages":[{"id":"00000000-0000-4000-8000-000000000001","data":{ },"sent":5}],"#,
            r#""expect":4,"timeout_ms":900}}"#,
        ),
    );
}
