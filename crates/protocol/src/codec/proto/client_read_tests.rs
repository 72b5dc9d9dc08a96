//! What a client of this version makes of a server of a later one, as by JSON (`tests/tolerance.rs`).

use bytes::Bytes;
use prost::Message;
use roomkeeper_types::Offset;

use super::super::pb::{self, push::Push as WirePush, reply::Outcome, server_frame::Frame};
use super::decode_server;
use crate::{CommandKind, Data, Error, ErrorCode, Push, Reply, ServerFrame};

fn encode(frame: Frame) -> Bytes {
    pb::ServerFrame { frame: Some(frame) }.encode_to_vec().into()
}

fn reply(id: u32, outcome: Option<Outcome>) -> Bytes {
    encode(Frame::Reply(pb::Reply { id, outcome }))
}

fn messages(items: Vec<pb::Item>) -> Bytes {
    let push = pb::MessagesPush { room: "general".to_owned(), items };
    encode(Frame::Push(pb::Push { push: Some(WirePush::Messages(push)) }))
}

fn item(offset: u64) -> pb::Item {
    pb::Item {
        offset,
        epoch: 3,
        id: Bytes::from_static(&[1; 16]),
        from: "ann".to_owned(),
        time: 5,
        sent: None,
        data: Some(pb::Data { data: Some(pb::data::Data::Binary(Bytes::from_static(b"x"))) }),
    }
}

#[test]
fn unknown_push_is_skipped() {
    // A push with field 31 only, a frame with field 31 only, an empty frame.
    for frame in [&b"\x12\x03\xfa\x01\x00"[..], b"\xfa\x01\x00", b""] {
        assert_eq!(decode_server(&Bytes::copy_from_slice(frame), |_| None), Ok(None), "{frame:?}");
    }
    // A signal with content of a kind that is not known yet.
    let signal = pb::SignalPush { data: Some(pb::Data::default()), ..Default::default() };
    let signal = encode(Frame::Push(pb::Push { push: Some(WirePush::Signal(signal)) }));
    assert_eq!(decode_server(&signal, |_| None), Ok(None));
}

#[test]
fn item_without_data_is_stepped_over() {
    let bare = pb::Item { offset: 1, ..Default::default() };
    let unknown_kind = pb::Item { data: Some(pb::Data::default()), ..item(2) };
    let frame = messages(vec![bare, unknown_kind, item(3)]);
    let Ok(Some(ServerFrame::Push(Push::Messages { items, .. }))) = decode_server(&frame, |_| None) else {
        panic!("not messages")
    };
    assert_eq!(items.len(), 1);
    assert_eq!((items[0].offset.0, &items[0].data), (3, &Data::Binary(Bytes::from_static(b"x"))));
}

/// Only what may be held has no offset: a client that counts offsets must not take it for a place.
#[test]
fn stored_item_without_an_offset_is_an_error() {
    assert_eq!(decode_server(&messages(vec![item(0)]), |_| None).unwrap_err().id, 0);
    let history = Outcome::History(pb::HistoryOk { items: vec![item(0)], next: 5 });
    let Ok(Some(ServerFrame::Reply(4, Ok(Reply::History(history))))) =
        decode_server(&reply(4, Some(history)), |_| Some(CommandKind::History))
    else {
        panic!("held items are read")
    };
    assert_eq!(history.items[0].offset, Offset(0));
}

#[test]
fn unknown_error_code_is_taken_by_its_retry() {
    for (retry, code) in [(true, ErrorCode::Unavailable), (false, ErrorCode::BadRequest)] {
        for unknown in [0, 99, -1] {
            let error = pb::Error { code: unknown, message: "dark".to_owned(), retry, ..Default::default() };
            let expected = Error { retry, ..Error::new(code, "dark") };
            assert_eq!(
                decode_server(&reply(4, Some(Outcome::Error(error))), |_| None),
                Ok(Some(ServerFrame::Reply(4, Err(expected))))
            );
        }
    }
}

#[test]
fn reply_to_a_command_nobody_waits_for_is_skipped() {
    assert_eq!(decode_server(&reply(4, Some(Outcome::Leave(pb::Done {}))), |_| None), Ok(None));
}

#[test]
fn reply_that_does_not_read_is_an_error_under_its_number() {
    let life = Outcome::Create(pb::CreateOk { owner: 1, epoch: 1, life: "later".to_owned() });
    let hello = Outcome::Hello(pb::HelloOk::default());
    let outcomes = [(CommandKind::Create, life), (CommandKind::Hello, hello)];
    for (kind, outcome) in outcomes {
        let error = decode_server(&reply(9, Some(outcome)), |_| Some(kind)).unwrap_err();
        assert_eq!((error.id, error.error.code), (9, ErrorCode::BadRequest), "{kind:?}");
    }
}

#[test]
fn reply_of_another_command_is_an_error_under_its_number() {
    let error =
        decode_server(&reply(9, Some(Outcome::Leave(pb::Done {}))), |_| Some(CommandKind::Join)).unwrap_err();
    assert_eq!((error.id, error.error.code), (9, ErrorCode::BadRequest));
}

#[test]
fn push_that_does_not_read_is_an_error_under_zero() {
    let short_id = messages(vec![pb::Item { id: Bytes::from_static(b"short"), ..item(1) }]);
    let moved = pb::OwnerHint { room: "a b".to_owned(), ..Default::default() };
    let moved = encode(Frame::Push(pb::Push { push: Some(WirePush::Moved(moved)) }));
    for frame in [short_id, moved, Bytes::from_static(b"\xff")] {
        assert_eq!(decode_server(&frame, |_| None).unwrap_err().id, 0);
    }
}
