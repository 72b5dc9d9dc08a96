//! Values of the vocabulary, fixed and arbitrary.
#![allow(dead_code, clippy::unwrap_used, reason = "helpers of tests; each file uses a part of them")]

pub(crate) mod refusal;

use bytes::Bytes;
use proptest::collection::{btree_map, btree_set, vec};
use proptest::option::of;
use proptest::prelude::*;
use roomkeeper_protocol::{
    Command, Commit, CommitOk, Create, CreateOk, Credit, Data, Error, ErrorCode, Heartbeat, HelloOk,
    HistoryOk, HoldOk, HoldRef, Item, JoinOk, Limits, Member, NewMessage, OwnerHint, Placement, PresenceOk,
    PresencePush, Publish, PublishOk, Push, RefusedItem, Reply, RoomOptions, RoomRef, RoomSummary, RoomsOk,
    Seen, Signal,
};
use roomkeeper_types::{
    ClusterId, ConsumerId, Epoch, LifeId, MessageId, NodeId, Offset, RoomName, ShardId, Timestamp, UserId,
};

/// Largest number on the wire.
pub(crate) const MAX: u64 = (1 << 53) - 1;

pub(crate) fn room(name: &str) -> RoomName {
    name.parse().unwrap()
}

pub(crate) fn user(name: &str) -> UserId {
    name.parse().unwrap()
}

pub(crate) fn consumer(name: &str) -> ConsumerId {
    name.parse().unwrap()
}

/// `00000000-0000-4000-8000-0000000000NN`
pub(crate) fn id(n: u8) -> MessageId {
    MessageId([0, 0, 0, 0, 0, 0, 0x40, 0, 0x80, 0, 0, 0, 0, 0, 0, n])
}

pub(crate) fn life() -> LifeId {
    LifeId { shard: ShardId(7), index: 300, ordinal: 1 }
}

pub(crate) fn json(text: &str) -> Data {
    Data::json(text.to_owned()).unwrap()
}

pub(crate) fn room_ref() -> RoomRef {
    RoomRef { room: Some(room("general")), life: Some(life()) }
}

pub(crate) fn item(offset: u64, data: Data) -> Item {
    Item {
        offset: Offset(offset),
        epoch: Epoch(3),
        id: id(offset as u8),
        from: user("ann"),
        time: Timestamp(1_700_000_000_000),
        sent: None,
        data,
    }
}

/// One item with every field, one with as few as can be.
pub(crate) fn items() -> Vec<Item> {
    let mut full = item(4, json(r#"{"b": 1,  "a":[1.0, "\u00e4"]}"#));
    full.sent = Some(Timestamp(1_699_999_999_999));
    full.from = user("zoë \"z\"");
    vec![full, item(5, Data::Binary(Bytes::from_static(b"\x00\xffraw")))]
}

pub(crate) fn hello_ok() -> HelloOk {
    HelloOk {
        node: NodeId(2),
        cluster: ClusterId(id(9).0),
        user: user("ann"),
        session: "s-1".to_owned(),
        heartbeat_ms: [3_500, 7_000],
        limits: Limits::default(),
        features: vec!["sync".to_owned()],
        expires: None,
    }
}

pub(crate) fn join_ok() -> JoinOk {
    JoinOk {
        room: room("general"),
        owner: NodeId(2),
        epoch: Epoch(3),
        life: life(),
        first: Offset(1),
        next: Offset(6),
        from: Offset(4),
        members: Some(2),
        committed: None,
        unread: None,
    }
}

pub(crate) fn publish_ok() -> PublishOk {
    PublishOk {
        epoch: Epoch(3),
        offsets: vec![Offset(4), Offset(5)],
        duplicates: vec![true, false],
        held: false,
        expires: None,
    }
}

pub(crate) fn held_ok() -> PublishOk {
    PublishOk { offsets: Vec::new(), held: true, expires: Some(Timestamp(1_700_000_060_000)), ..publish_ok() }
}

pub(crate) fn members() -> Vec<Member> {
    let since = Timestamp(1_700_000_000_000);
    let ann = Member { user: user("ann"), device: Some("phone \"1\"".to_owned()), since };
    vec![ann, Member { user: user("bob"), device: None, since }]
}

/// Replies whose fields are few.
pub(crate) fn small_replies() -> Vec<Reply> {
    vec![
        Reply::Leave,
        Reply::Signal,
        Reply::Commit(CommitOk { committed: Offset(0) }),
        Reply::Credit,
        Reply::Heartbeat,
        Reply::Presence(PresenceOk { members: members() }),
        Reply::Delete,
        Reply::Confirm(HoldOk { offsets: vec![Offset(4), Offset(5)] }),
        Reply::Rollback,
    ]
}

/// An item without an offset.
pub(crate) fn held_item() -> Item {
    Item { offset: Offset(0), ..item(6, json("1")) }
}

pub(crate) fn presence_push() -> PresencePush {
    let [ann, bob] = members().try_into().unwrap();
    PresencePush {
        room: room("general"),
        joined: vec![ann],
        left: vec![bob],
        count: 1,
        settled: true,
        members: None,
    }
}

/// Every push but `messages`, with as many fields as can be.
pub(crate) fn rare_pushes() -> Vec<Push> {
    let room = room("general");
    let full = PresencePush { settled: false, members: Some(members()), ..presence_push() };
    let nobody = PresencePush { members: Some(Vec::new()), ..presence_push() };
    vec![
        Push::Sync { room: room.clone(), items: items() },
        Push::Presence(presence_push()),
        Push::Presence(full),
        Push::Presence(nobody),
        Push::Signal { room: room.clone(), from: user("ann"), data: json("null") },
        Push::Signal { room: room.clone(), from: user("ann"), data: Data::Binary(Bytes::new()) },
        Push::Held { room: room.clone(), items: vec![held_item()], expires: Timestamp(1_700_000_060_000) },
        Push::RolledBack { room, ids: vec![id(1), id(2)] },
        Push::Moved(hint()),
        Push::Redirect(hint_of_nobody()),
    ]
}

/// Every command that names a room beside `join`, `publish` and `history`, with every field.
pub(crate) fn small_commands() -> Vec<Command> {
    let hold = HoldRef { room: room_ref(), ids: vec![id(1), id(2)] };
    let seen = Seen { here: false, seen: vec![id(1), id(2)], upto: Some(Offset(4)) };
    let empty = Seen { here: true, seen: Vec::new(), upto: None };
    let options = RoomOptions {
        retain_ms: Some(1),
        retain_messages: Some(2),
        retain_bytes: Some(MAX),
        presence: Some(false),
        max_members: Some(u32::MAX),
    };
    vec![
        Command::Leave(room_ref()),
        Command::Signal(Signal { room: room_ref(), data: json(r#"{"typing": true}"#) }),
        Command::Commit(Commit { room: room_ref(), consumer: consumer("worker 1"), offset: Offset(4) }),
        Command::Credit(Credit { room: room_ref(), more: 100 }),
        Command::Heartbeat(Heartbeat { rooms: vec![(None, seen), (Some(room("general")), empty)] }),
        Command::Presence(room_ref()),
        Command::Create(Create {
            room: Some(room("general")),
            options,
            placement: Some(Placement::LeastLoaded),
        }),
        Command::Delete(room_ref()),
        Command::Confirm(hold.clone()),
        Command::Rollback(hold),
    ]
}

pub(crate) fn history_ok() -> HistoryOk {
    HistoryOk { items: items(), next: Offset(6) }
}

pub(crate) fn rooms_ok() -> RoomsOk {
    let full = RoomSummary {
        room: room("general"),
        life: life(),
        owner: Some(NodeId(2)),
        messages: 5,
        first: Offset(1),
        next: Offset(6),
        members: Some(2),
        items: vec![item(4, json("1"))],
    };
    let bare = RoomSummary {
        room: room("~ann:notes"),
        owner: None,
        members: None,
        items: Vec::new(),
        ..full.clone()
    };
    RoomsOk { rooms: vec![full, bare], next: Some(room("~ann:notes")) }
}

pub(crate) fn create_ok() -> CreateOk {
    CreateOk { owner: NodeId(2), epoch: Epoch(3), life: life() }
}

pub(crate) fn hint() -> OwnerHint {
    OwnerHint {
        room: room("general"),
        node: Some(NodeId(2)),
        url: Some("http://127.0.0.1:7710".to_owned()),
        epoch: Epoch(3),
        shard: Some(ShardId(7)),
        retry_after_ms: 250,
    }
}

/// Nobody owns the room for a moment.
pub(crate) fn hint_of_nobody() -> OwnerHint {
    OwnerHint { node: None, url: None, shard: None, ..hint() }
}

/// An error with every field.
pub(crate) fn full_error() -> Error {
    Error {
        first: Some(3),
        retry_after_ms: Some(250),
        next: Some(9),
        items: vec![RefusedItem { id: id(1), index: 4, reason: "too \"rude\"".to_owned() }],
        ..Error::new(ErrorCode::Invalid, "the room refused\n1 of 2")
    }
}

/// Any JSON text: with odd white space, escapes, surrogate pairs, long numbers.
pub(crate) fn any_json_text() -> impl Strategy<Value = String> {
    let space = "[ \t\n\r]{0,2}";
    let string = prop_oneof![
        any::<String>().prop_map(|text| serde_json_string(&text)),
        Just(r#""\u00e4\ud83e\udd80\/\b\f\u0000""#.to_owned()),
    ];
    let leaf = prop_oneof![
        Just("null".to_owned()),
        Just("true".to_owned()),
        "-?(0|[1-9][0-9]{0,40})(\\.[0-9]{1,30})?([eE][+-]?[0-9]{1,4})?",
        string.clone(),
    ];
    leaf.prop_recursive(6, 40, 5, move |inner| {
        prop_oneof![
            vec((space, inner.clone(), space), 0..5).prop_map(|parts| {
                let parts: Vec<_> = parts.into_iter().map(|(a, value, b)| format!("{a}{value}{b}")).collect();
                format!("[{}]", parts.join(","))
            }),
            vec((space, string.clone(), space, inner), 0..5).prop_map(|parts| {
                let parts: Vec<_> =
                    parts.into_iter().map(|(a, key, b, value)| format!("{a}{key}{b}:{value}")).collect();
                format!("{{{}}}", parts.join(","))
            }),
        ]
    })
}

fn serde_json_string(text: &str) -> String {
    match Data::json_string(text) {
        Data::Json(bytes) => String::from_utf8(bytes.into()).unwrap(),
        Data::Binary(_) => unreachable!("json_string makes JSON"),
    }
}

pub(crate) fn any_data() -> impl Strategy<Value = Data> {
    prop_oneof![
        any_json_text().prop_map(|text| Data::Json(text.into())),
        vec(any::<u8>(), 0..60).prop_map(|bytes| Data::Binary(bytes.into())),
    ]
}

pub(crate) fn any_room() -> impl Strategy<Value = RoomName> {
    prop_oneof!["[A-Za-z0-9._:-]{1,128}", "~[A-Za-z0-9._-]{1,20}:[A-Za-z0-9._~:-]{1,20}"]
        .prop_map(|name| name.parse().unwrap())
}

pub(crate) fn any_user() -> impl Strategy<Value = UserId> {
    "[^\\p{Cc}]{1,30}".prop_map(|name| name.parse().unwrap())
}

pub(crate) fn any_life() -> impl Strategy<Value = LifeId> {
    (0..4096_u32, any::<u64>(), any::<u32>()).prop_map(|(shard, index, ordinal)| LifeId {
        shard: ShardId(shard),
        index,
        ordinal,
    })
}

pub(crate) fn any_item() -> impl Strategy<Value = Item> {
    let numbers = (1..=MAX, 0..=MAX, 0..=MAX, of(0..=MAX));
    (numbers, any::<[u8; 16]>(), any_user(), any_data()).prop_map(
        |((offset, epoch, time, sent), id, from, data)| Item {
            offset: Offset(offset),
            epoch: Epoch(epoch),
            id: MessageId(id),
            from,
            time: Timestamp(time),
            sent: sent.map(Timestamp),
            data,
        },
    )
}

pub(crate) fn any_publish() -> impl Strategy<Value = Publish> {
    let messages = btree_map(any::<[u8; 16]>(), (any_data(), of(0..=MAX)), 1..8).prop_map(|messages| {
        let message = |(id, (data, sent)): ([u8; 16], (Data, Option<u64>))| NewMessage {
            id: MessageId(id),
            data,
            sent: sent.map(Timestamp),
        };
        messages.into_iter().map(message).collect()
    });
    let numbers = (of(1..=MAX), of(1..=86_400_000_u64), of(1..=60_000_u64));
    (of(any_room()), of(any_life()), messages, numbers).prop_map(
        |(room, life, messages, (expect, hold_ms, timeout_ms))| Publish {
            room: RoomRef { room, life },
            messages,
            expect: expect.filter(|_| hold_ms.is_none()).map(Offset),
            hold_ms,
            timeout_ms,
        },
    )
}

pub(crate) fn any_small_command() -> impl Strategy<Value = Command> {
    let room = || (of(any_room()), of(any_life())).prop_map(|(room, life)| RoomRef { room, life });
    let ids =
        |sizes| btree_set(any::<[u8; 16]>(), sizes).prop_map(|ids| ids.into_iter().map(MessageId).collect());
    let hold = move || (room(), ids(1..40)).prop_map(|(room, ids)| HoldRef { room, ids });
    let seen = (any::<bool>(), ids(0..40), of(0..=MAX)).prop_map(|(here, seen, upto)| Seen {
        here,
        seen,
        upto: upto.map(Offset),
    });
    let consumer = "[^\\p{Cc}]{1,30}".prop_map(|name| consumer(&name));
    prop_oneof![
        (room(), any_data()).prop_map(|(room, data)| Command::Signal(Signal { room, data })),
        (room(), consumer, 0..=MAX).prop_map(|(room, consumer, offset)| Command::Commit(Commit {
            room,
            consumer,
            offset: Offset(offset)
        })),
        (room(), 1..=MAX).prop_map(|(room, more)| Command::Credit(Credit { room, more })),
        // In the order of the rooms' names, as protobuf has them.
        btree_map(of(any_room()), seen, 0..5)
            .prop_map(|rooms| Command::Heartbeat(Heartbeat { rooms: rooms.into_iter().collect() })),
        room().prop_map(Command::Presence),
        hold().prop_map(Command::Confirm),
        hold().prop_map(Command::Rollback),
    ]
}
