//! The JSON of each reply, push and command, letter for letter as the contract (`docs/protocol.md`) has it.
#![allow(clippy::unwrap_used, reason = "tests")]

mod common;

use common::*;
use roomkeeper_protocol::{
    Codec, Command, CommitOk, Error, ErrorCode, Frame, From, HelloOk, HistoryOk, HoldOk, Isolation, Join,
    JoinOk, Limits, NewMessage, PresenceOk, PresencePush, Publish, Push, Reply, Request, RoomRef,
    encode_error_json, encode_redirect_json, encode_reply_json, encode_room_json,
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

const HELD: &str =
    r#"{"epoch":3,"id":"00000000-0000-4000-8000-000000000006","from":"ann","time":1700000000000,"data":1}"#;

#[test]
fn hello_reply_has_the_contracts_shape() {
    let all = concat!(
        r#"{"node":2,"cluster":"00000000-0000-4000-8000-000000000009","user":"ann","session":"s-1","#,
        r#""heartbeat_ms":[3500,7000],"#,
        r#""limits":{"max_frame":1048576,"max_message":65536,"max_batch":1000},"features":["sync"]}"#,
    );
    reply_is(Reply::Hello(hello_ok()), all);
    let with_token = HelloOk { expires: Some(Timestamp(5)), ..hello_ok() };
    reply_is(Reply::Hello(with_token), &all.replace(r#"["sync"]}"#, r#"["sync"],"expires":5}"#));
}

#[test]
fn join_reply_has_the_contracts_shape() {
    let all =
        r#"{"room":"general","owner":2,"epoch":3,"life":"7-12c-1","first":1,"next":6,"from":4,"members":2}"#;
    reply_is(Reply::Join(join_ok()), all);
    let mut without_presence = join_ok();
    without_presence.members = None;
    reply_is(Reply::Join(without_presence), &all.replace(r#","members":2"#, ""));
    let of_consumer = JoinOk { committed: Some(Offset(0)), unread: Some(5), ..join_ok() };
    reply_is(
        Reply::Join(of_consumer),
        &all.replace(r#""members":2"#, r#""members":2,"committed":0,"unread":5"#),
    );
}

#[test]
fn publish_reply_has_the_contracts_shape() {
    reply_is(Reply::Publish(publish_ok()), r#"{"epoch":3,"offsets":[4,5],"duplicates":[true,false]}"#);
    reply_is(
        Reply::Publish(held_ok()),
        r#"{"epoch":3,"offsets":[],"duplicates":[true,false],"held":true,"expires":1700000060000}"#,
    );
}

#[test]
fn history_reply_has_the_contracts_shape() {
    reply_is(Reply::History(history_ok()), &format!(r#"{{"items":{ITEMS},"next":6}}"#));
    let held = HistoryOk { items: vec![held_item()], next: Offset(6) };
    reply_is(Reply::History(held), &format!(r#"{{"items":[{HELD}],"next":6}}"#));
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
fn commit_presence_and_hold_replies_have_the_contracts_shape() {
    reply_is(Reply::Commit(CommitOk { committed: Offset(4) }), r#"{"committed":4}"#);
    reply_is(Reply::Presence(PresenceOk { members: members() }), &format!(r#"{{"members":[{ANN},{BOB}]}}"#));
    reply_is(Reply::Confirm(HoldOk { offsets: vec![Offset(4), Offset(5)] }), r#"{"offsets":[4,5]}"#);
    reply_is(Reply::Rollback, r#"{"offsets":[]}"#);
}

#[test]
fn reply_without_fields_is_an_empty_object() {
    for reply in [Reply::Leave, Reply::Signal, Reply::Credit, Reply::Heartbeat, Reply::Delete] {
        reply_is(reply, "{}");
    }
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
        r#""retry_after_ms":250,"items":[{"id":"00000000-0000-4000-8000-000000000001","index":4,"reason":"too \"rude\""}]}}"#,
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
fn sync_push_has_the_contracts_shape() {
    let json = format!(r#"{{"sync":{{"room":"general","items":{ITEMS}}}}}"#);
    push_is(Push::Sync { room: room("general"), items: items() }, &json);
    assert_eq!(text(&Codec::Json.encode_sync(&room("general"), &items())), json);
}

const ANN: &str = r#"{"user":"ann","device":"phone \"1\"","since":1700000000000}"#;
const BOB: &str = r#"{"user":"bob","since":1700000000000}"#;

#[test]
fn presence_push_has_the_contracts_shape() {
    let all = format!(r#"{{"presence":{{"room":"general","joined":[{ANN}],"left":[{BOB}],"count":1}}}}"#);
    push_is(Push::Presence(presence_push()), &all);
    let mut push = PresencePush { joined: Vec::new(), left: Vec::new(), ..presence_push() };
    push.settled = false;
    let json = r#"{"presence":{"room":"general","joined":[],"left":[],"count":1,"settled":false}}"#;
    push_is(Push::Presence(push.clone()), json);
    (push.settled, push.members) = (true, Some(members()));
    push_is(
        Push::Presence(push),
        &json.replace(r#""settled":false"#, &format!(r#""members":[{ANN},{BOB}]"#)),
    );
}

#[test]
fn signal_and_hold_pushes_have_the_contracts_shape() {
    let (room, from) = (room("general"), user("ann"));
    push_is(
        Push::Signal { room: room.clone(), from, data: json("[ 1 ]") },
        r#"{"signal":{"room":"general","from":"ann","data":[ 1 ]}}"#,
    );
    push_is(
        Push::Held { room: room.clone(), items: vec![held_item()], expires: Timestamp(9) },
        &format!(r#"{{"held":{{"room":"general","items":[{HELD}],"expires":9}}}}"#),
    );
    push_is(
        Push::RolledBack { room, ids: vec![id(1)] },
        r#"{"rolled_back":{"room":"general","ids":["00000000-0000-4000-8000-000000000001"]}}"#,
    );
}

#[test]
fn owner_pushes_have_the_contracts_shape() {
    let all = concat!(
        r#"{"room":"general","node":2,"url":"http://127.0.0.1:7710","epoch":3,"shard":7,"#,
        r#""retry_after_ms":250}"#,
    );
    push_is(Push::Moved(hint()), &format!(r#"{{"moved":{all}}}"#));
    push_is(Push::Redirect(hint()), &format!(r#"{{"redirect":{all}}}"#));
    push_is(Push::Moved(hint_of_nobody()), r#"{"moved":{"room":"general","epoch":3,"retry_after_ms":250}}"#);
    let redirect = r#"{"owner":2,"url":"http://127.0.0.1:7710","epoch":3,"shard":7}"#;
    assert_eq!(encode_redirect_json(&hint()), redirect);
    let hashed = roomkeeper_protocol::OwnerHint { shard: None, ..hint() };
    assert_eq!(encode_redirect_json(&hashed), redirect.replace(r#","shard":7"#, ""));
}

#[test]
fn requests_have_the_contracts_shape() {
    let join = Join {
        room: room_ref(),
        from: From::Range(Offset(1), Offset(9)),
        consumer: Some(consumer("c")),
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

/// As in the contract's table, in the order of `small_commands`.
#[test]
fn small_requests_have_the_contracts_shape() {
    let room = r#""room":"general","life":"7-12c-1""#;
    let ids = r#"["00000000-0000-4000-8000-000000000001","00000000-0000-4000-8000-000000000002"]"#;
    let options = concat!(
        r#"{"retain_ms":1,"retain_messages":2,"retain_bytes":9007199254740991,"#,
        r#""presence":false,"max_members":4294967295}"#,
    );
    let rooms =
        format!(r#"{{"":{{"here":false,"seen":{ids},"upto":4}},"general":{{"here":true,"seen":[]}}}}"#);
    let expected = [
        format!(r#"{{"id":7,"leave":{{{room}}}}}"#),
        format!(r#"{{"id":7,"signal":{{{room},"data":{{"typing": true}}}}}}"#),
        format!(r#"{{"id":7,"commit":{{{room},"consumer":"worker 1","offset":4}}}}"#),
        format!(r#"{{"id":7,"credit":{{{room},"more":100}}}}"#),
        format!(r#"{{"id":7,"heartbeat":{{"rooms":{rooms}}}}}"#),
        format!(r#"{{"id":7,"presence":{{{room}}}}}"#),
        format!(r#"{{"id":7,"create":{{"room":"general","options":{options},"placement":"least_loaded"}}}}"#),
        format!(r#"{{"id":7,"delete":{{{room}}}}}"#),
        format!(r#"{{"id":7,"confirm":{{{room},"ids":{ids}}}}}"#),
        format!(r#"{{"id":7,"rollback":{{{room},"ids":{ids}}}}}"#),
    ];
    for (command, json) in small_commands().into_iter().zip(expected) {
        request_is(command, &json);
    }
}

/// It may be logged where errors are.
#[test]
fn error_about_a_hello_does_not_repeat_its_token() {
    let limits = Limits::default();
    for text in [
        r#"{"id": 1, "hello": {"token": ["canary"]}}"#,
        r#"{"id": 1, "hello": {"token": {"a": "canary"}}}"#,
        r#"{"id": 1, "hello": {"token": "canary", "device": 7}}"#,
        r#"{"id": 1, "hello": {"token": "canary", "token": "canary"}}"#,
        r#"{"id": 1, "hello": "canary"}"#,
        r#"{"id": 1, "hello": ["canary"]}"#,
        r#"{"id": 1, "hello": {"token": "canary"#,
        r#""canary""#,
        r#"["canary"]"#,
    ] {
        let refused = Codec::Json.decode_request(&Frame::Text(text.into()), &limits).unwrap_err();
        assert!(!refused.error.message.contains("canary"), "{text}: {}", refused.error.message);
    }
}
