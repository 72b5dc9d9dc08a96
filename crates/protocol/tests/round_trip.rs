//! What one side writes the other reads as the same, in both codecs.
#![allow(clippy::unwrap_used, reason = "tests")]

mod common;

use bytes::Bytes;
use common::*;
use proptest::collection::vec;
use proptest::prelude::*;
use roomkeeper_protocol::{
    Codec, Command, CommandKind, Commit, Create, Credit, Data, Error, ErrorCode, Frame, From, Heartbeat,
    Hello, HelloOk, History, HistoryOk, HoldRef, Isolation, Item, Join, JoinOk, Limits, NewMessage,
    Placement, Publish, Push, Reply, Request, RoomOptions, RoomRef, Rooms, ServerFrame, Signal,
};
use roomkeeper_types::{Offset, Timestamp};

fn request_returns(command: Command) {
    for codec in Codec::ALL {
        let request = Request { id: u32::MAX, command: command.clone() };
        let frame = codec.encode_request(&request);
        assert_eq!(codec.decode_request(&frame, &Limits::default()), Ok(request), "{codec:?} {frame:?}");
    }
}

fn server_frame_returns(codec: Codec, kind: CommandKind, sent: ServerFrame) {
    let frame = match &sent {
        ServerFrame::Reply(id, reply) => codec.encode_reply(*id, reply),
        ServerFrame::Push(push) => codec.encode_push(push),
    };
    assert_eq!(codec.decode_server(&frame, |_| Some(kind)), Ok(Some(sent)), "{codec:?} {frame:?}");
}

fn join(from: From) -> Join {
    Join { from, ..Join::default() }
}

fn publish(messages: Vec<NewMessage>) -> Publish {
    Publish { room: RoomRef::default(), messages, expect: None, hold_ms: None, timeout_ms: None }
}

#[test]
fn command_with_every_field_returns() {
    let text = |text: &str| Some(text.to_owned());
    request_returns(Command::Hello(Hello {
        token: Some("t.o.k".into()),
        user: Some(user("zoë \"z\" \\")),
        device: text("phone\n"),
        session: text("s-1"),
        client: text("roomkeeper-rs/0.1"),
    }));
    request_returns(Command::Join(Join {
        room: room_ref(),
        from: From::Committed,
        consumer: Some(consumer("worker")),
        credit: Some(0),
        isolation: Isolation::Uncommitted,
        presence: Some(false),
    }));
    request_returns(Command::Publish(Publish {
        room: room_ref(),
        messages: vec![
            NewMessage { id: id(1), data: json("null"), sent: Some(Timestamp(MAX)) },
            NewMessage { id: id(2), data: Data::Binary(Bytes::new()), sent: None },
        ],
        expect: None,
        hold_ms: Some(86_400_000),
        timeout_ms: Some(60_000),
    }));
    request_returns(Command::History(History {
        room: room_ref(),
        from: From::Range(Offset(1), Offset(MAX)),
        limit: Some(1_000),
        isolation: Isolation::Uncommitted,
    }));
    request_returns(Command::Rooms(Rooms {
        prefix: text("gen"),
        after: text("general"),
        limit: Some(1),
        page: Some(0),
    }));
    for command in small_commands() {
        request_returns(command);
    }
}

#[test]
fn command_with_as_few_fields_as_can_be_returns() {
    request_returns(Command::Hello(Hello::default()));
    request_returns(Command::Join(Join::default()));
    request_returns(Command::Leave(RoomRef::default()));
    request_returns(Command::Publish(publish(vec![NewMessage { id: id(1), data: json("0"), sent: None }])));
    request_returns(Command::Publish(Publish {
        expect: Some(Offset(MAX)),
        ..publish(vec![NewMessage { id: id(1), data: json("0"), sent: None }])
    }));
    request_returns(Command::Signal(Signal { room: RoomRef::default(), data: json("null") }));
    request_returns(Command::History(History {
        room: RoomRef::default(),
        from: From::Beginning,
        limit: None,
        isolation: Isolation::Committed,
    }));
    let (room, consumer) = (RoomRef::default(), consumer("c"));
    request_returns(Command::Commit(Commit { room: room.clone(), consumer, offset: Offset(0) }));
    request_returns(Command::Credit(Credit { room: room.clone(), more: 1 }));
    request_returns(Command::Heartbeat(Heartbeat::default()));
    request_returns(Command::Presence(room.clone()));
    request_returns(Command::Rooms(Rooms::default()));
    request_returns(Command::Create(Create::default()));
    request_returns(Command::Delete(room.clone()));
    request_returns(Command::Confirm(HoldRef { room, ids: vec![id(1)] }));
}

#[test]
fn every_option_and_placement_returns_by_itself() {
    let none = RoomOptions::default();
    for options in [
        RoomOptions { retain_ms: Some(MAX), ..none },
        RoomOptions { retain_messages: Some(MAX), ..none },
        RoomOptions { retain_bytes: Some(1), ..none },
        RoomOptions { presence: Some(true), ..none },
        RoomOptions { max_members: Some(1), ..none },
    ] {
        request_returns(Command::Create(Create { options, ..Create::default() }));
    }
    for placement in Placement::ALL {
        request_returns(Command::Create(Create { placement: Some(placement), ..Create::default() }));
        assert_eq!(Placement::from_name(placement.name()), Some(placement));
    }
}

#[test]
fn every_start_returns() {
    request_returns(Command::Join(join(From::Latest)));
    request_returns(Command::Join(join(From::Beginning)));
    request_returns(Command::Join(join(From::Offset(Offset(1)))));
    request_returns(Command::Join(join(From::Range(Offset(7), Offset(7)))));
}

#[test]
fn every_name_is_that_of_one_kind() {
    for kind in CommandKind::ALL {
        assert_eq!(CommandKind::from_name(kind.name()), Some(*kind));
    }
    assert_eq!(CommandKind::from_name("unsupported"), None);
}

#[test]
fn every_reply_returns() {
    let mut replies = vec![
        Reply::Hello(hello_ok()),
        Reply::Hello(HelloOk { expires: Some(Timestamp(MAX)), ..hello_ok() }),
        Reply::Join(join_ok()),
        Reply::Join(JoinOk { committed: Some(Offset(0)), unread: Some(5), ..join_ok() }),
        Reply::Publish(publish_ok()),
        Reply::Publish(held_ok()),
        Reply::History(history_ok()),
        Reply::History(HistoryOk { items: vec![item(5, json("0")), held_item()], next: Offset(6) }),
        Reply::Rooms(rooms_ok()),
        Reply::Create(create_ok()),
    ];
    replies.extend(small_replies());
    for kind in CommandKind::ALL {
        assert!(replies.iter().any(|reply| reply.kind() == *kind), "{kind:?} has a reply here");
    }
    for reply in replies {
        let kind = reply.kind();
        for codec in Codec::ALL {
            server_frame_returns(codec, kind, ServerFrame::Reply(1, Ok(reply.clone())));
        }
        let body = roomkeeper_protocol::encode_reply_json(&reply);
        assert_eq!(roomkeeper_protocol::decode_reply_json(kind, &body), Ok(reply), "{body:?}");
    }
}

#[test]
fn every_error_code_returns() {
    for code in ErrorCode::ALL {
        let error = Error::new(code, "because");
        for codec in Codec::ALL {
            server_frame_returns(codec, CommandKind::Join, ServerFrame::Reply(0, Err(error.clone())));
        }
        let body = roomkeeper_protocol::encode_error_json(&error);
        assert_eq!(roomkeeper_protocol::decode_error_json(&body), Ok(error));
    }
    for codec in Codec::ALL {
        server_frame_returns(codec, CommandKind::Join, ServerFrame::Reply(9, Err(full_error())));
    }
}

/// The name is written by hand and derived too, for configuration and logs.
#[test]
fn error_code_name_equals_its_serde_form() {
    for code in ErrorCode::ALL {
        assert_eq!(serde_json::to_string(&code).unwrap(), format!("\"{}\"", code.name()));
        assert_eq!(ErrorCode::from_name(code.name()), Some(code));
    }
}

#[test]
fn every_push_returns() {
    for codec in Codec::ALL {
        let messages = Push::Messages { room: room("general"), items: items() };
        for push in rare_pushes().into_iter().chain([messages]) {
            server_frame_returns(codec, CommandKind::Join, ServerFrame::Push(push));
        }
    }
}

#[test]
fn messages_of_a_slice_equal_those_of_a_push() {
    for codec in Codec::ALL {
        let push = Push::Messages { room: room("general"), items: items() };
        assert_eq!(codec.encode_messages(&room("general"), &items()), codec.encode_push(&push));
        let push = Push::Sync { room: room("general"), items: items() };
        assert_eq!(codec.encode_sync(&room("general"), &items()), codec.encode_push(&push));
    }
}

#[test]
fn subprotocol_names_lead_back_to_their_codec() {
    assert_eq!(Codec::from_subprotocol("roomkeeper.v1.json"), Some(Codec::Json));
    assert_eq!(Codec::from_subprotocol("roomkeeper.v1.proto"), Some(Codec::Proto));
    assert_eq!(Codec::from_subprotocol("roomkeeper.v2.json"), None);
    for codec in Codec::ALL {
        assert_eq!(Codec::from_subprotocol(codec.subprotocol()), Some(codec));
    }
}

/// The text a client wrote is the text every reader gets, whichever codec the two speak.
fn data_travels(text: &str) {
    let sent =
        format!(r#" {{"publish": {{"messages": [{{"data": {text} , "id":"{}"}}]}}, "id": 1}} "#, id(1));
    let limits = Limits { max_frame: 8 << 20, max_message: 4 << 20, ..Limits::default() };
    let request = Codec::Json.decode_request(&Frame::Text(sent.into()), &limits).unwrap();
    for codec in Codec::ALL {
        let relayed = codec.decode_request(&codec.encode_request(&request), &limits).unwrap();
        let Command::Publish(publish) = relayed.command else { panic!("not a publish") };
        let data = publish.messages[0].data.clone();
        assert_eq!(data, Data::Json(Bytes::copy_from_slice(text.as_bytes())));

        let frame = codec.encode_messages(&room("general"), &[item(1, data)]);
        if codec == Codec::Json {
            let written = std::str::from_utf8(frame.bytes()).unwrap();
            assert!(written.contains(&format!("\"data\":{text}}}")));
        }
        let Some(ServerFrame::Push(Push::Messages { items, .. })) =
            codec.decode_server(&frame, |_| None).unwrap()
        else {
            panic!("not messages")
        };
        assert_eq!(items[0].data.bytes(), text.as_bytes());
    }
}

#[test]
fn json_data_of_any_form_travels_byte_for_byte() {
    for text in [
        "null",
        "{}",
        "[ ]",
        "{ \"b\" :\t1 ,\r\n \"a\":\n[ 1 , 2 ] , \"b\": 2 }",
        r#""\u00e4\u00E4ä\/\ud83e\udd80🦀\u2028\u0000""#,
        "\"\u{2028}\u{7f}\u{10ffff}\"",
        "-0.0",
        "1e400",
        "0.1000000000000000055511151231257827021181583404541015625",
        "123456789012345678901234567890123456789012345678901234567890",
    ] {
        data_travels(text);
    }
}

/// serde_json limits the depth of what it builds; data is cut out and never built.
#[test]
fn json_data_nested_deep_travels_byte_for_byte() {
    for depth in [127, 128, 129, 100_000] {
        data_travels(&format!("{}{}", "[".repeat(depth), "]".repeat(depth)));
    }
}

#[test]
fn json_constructor_given_no_single_value_refuses() {
    for text in ["", " ", "1 ", "\n1", "1 2", "{", "[1,]", "nul", "'a'", "\"\t\"", "01"] {
        let error = Data::json(text).unwrap_err();
        assert_eq!(error.code, ErrorCode::BadRequest, "{text:?}");
    }
    assert!(Data::json(&b"\"\xff\""[..]).is_err());
}

#[test]
fn request_data_shares_the_frames_memory() {
    let text =
        r#"{"id":1,"publish":{"messages":[{"id":"00000000-0000-4000-8000-000000000001","data":"shared"}]}}"#;
    let frame = Frame::Text(Bytes::from_static(text.as_bytes()));
    let request = Codec::Json.decode_request(&frame, &Limits::default()).unwrap();
    let Command::Publish(publish) = request.command else { panic!("not a publish") };
    let within = frame.bytes().as_ptr_range();
    assert!(within.contains(&publish.messages[0].data.bytes().as_ptr()));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn any_publish_returns(publish in any_publish(), id in 1..=u32::MAX) {
        for codec in Codec::ALL {
            let request = Request { id, command: Command::Publish(publish.clone()) };
            let frame = codec.encode_request(&request);
            prop_assert_eq!(codec.decode_request(&frame, &Limits::default()), Ok(request));
        }
    }

    #[test]
    fn any_small_command_returns(command in any_small_command(), id in 1..=u32::MAX) {
        for codec in Codec::ALL {
            let request = Request { id, command: command.clone() };
            let frame = codec.encode_request(&request);
            prop_assert_eq!(codec.decode_request(&frame, &Limits::default()), Ok(request));
        }
    }

    #[test]
    fn any_held_items_return(items in vec(any_item(), 1..4), room in any_room(), expires in 0..=MAX) {
        let items = items.into_iter().map(|item| Item { offset: Offset(0), ..item }).collect();
        let push = Push::Held { room, items, expires: Timestamp(expires) };
        for codec in Codec::ALL {
            let frame = codec.encode_push(&push);
            prop_assert_eq!(codec.decode_server(&frame, |_| None), Ok(Some(ServerFrame::Push(push.clone()))));
        }
    }

    #[test]
    fn any_items_return(items in vec(any_item(), 0..6), room in any_room()) {
        for codec in Codec::ALL {
            let frame = codec.encode_messages(&room, &items);
            let push = Push::Messages { room: room.clone(), items: items.clone() };
            prop_assert_eq!(codec.decode_server(&frame, |_| None), Ok(Some(ServerFrame::Push(push))));
        }
    }

    #[test]
    fn any_items_are_json_to_others(items in vec(any_item(), 0..6), room in any_room()) {
        // Python and browsers read frames whole: they must be JSON to any parser.
        let frame = Codec::Json.encode_messages(&room, &items);
        prop_assert!(serde_json::from_slice::<serde::de::IgnoredAny>(frame.bytes()).is_ok());
        prop_assert!(std::str::from_utf8(frame.bytes()).is_ok());
    }
}
