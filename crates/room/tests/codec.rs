//! Bytes of entries and rows: what is written is read back, is what it was in earlier versions, and anything
//! else is an error.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use bytes::Bytes;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use roomkeeper_room::hash::Digest;
use roomkeeper_room::row::{CursorRow, HoldRow, IdRow, IdState, NameRow, RoomRow};
use roomkeeper_room::{
    Applier, Batch, Command, CommandError, Commit, Create, Delete, Due, DueKind, Forward, Hold, HoldId,
    HoldRef, Item, MemRows, NewMessage, Payload, PayloadKind, Publish, RoomHash, RoomOptions, Rows,
    RowsError, keys, read,
};
use roomkeeper_types::{
    ConsumerId, Epoch, LifeId, LogPosition, MessageId, Offset, RoomName, ShardCount, ShardId, Timestamp,
    UserId,
};

fn any_room() -> impl Strategy<Value = RoomName> {
    prop_oneof!["[A-Za-z0-9._:-]{1,20}", "[a-z]{128}"].prop_map(|name| name.parse().unwrap())
}

fn any_user() -> impl Strategy<Value = UserId> {
    prop_oneof!["[a-zäß✓]{1,20}", "[a-z]{128}"].prop_map(|name| name.parse().unwrap())
}

fn any_life() -> impl Strategy<Value = LifeId> {
    any::<[u8; 16]>().prop_map(LifeId::from_bytes)
}

fn any_id() -> impl Strategy<Value = MessageId> {
    any::<[u8; 16]>().prop_map(MessageId)
}

fn any_time() -> impl Strategy<Value = Timestamp> {
    any::<u64>().prop_map(Timestamp)
}

fn any_payload() -> impl Strategy<Value = Payload> {
    let kind = prop_oneof![Just(PayloadKind::Json), Just(PayloadKind::Binary)];
    (kind, vec(any::<u8>(), 0..100)).prop_map(|(kind, bytes)| Payload { kind, bytes: bytes.into() })
}

fn any_message() -> impl Strategy<Value = NewMessage> {
    (any_id(), option::of(any_time()), any_payload()).prop_map(|(id, sent, payload)| NewMessage {
        id,
        sent,
        payload,
    })
}

fn any_options() -> impl Strategy<Value = RoomOptions> {
    let retain = (option::of(any::<u64>()), option::of(any::<u64>()), option::of(any::<u64>()));
    let options =
        (retain, any::<bool>(), option::of(any::<u32>())).prop_map(|(retain, presence, max_members)| {
            let (retain_ms, retain_messages, retain_bytes) = retain;
            RoomOptions { retain_ms, retain_messages, retain_bytes, presence, max_members }
        });
    prop_oneof![Just(RoomOptions::default()), options]
}

fn any_hold() -> impl Strategy<Value = HoldId> {
    (any::<u64>(), any::<u32>()).prop_map(|(index, ordinal)| HoldId { index, ordinal })
}

fn any_due() -> impl Strategy<Value = Due> {
    let what =
        prop_oneof![any_hold().prop_map(DueKind::Hold), any_id().prop_map(DueKind::Id), Just(DueKind::Age)];
    (any_time(), any_life(), what).prop_map(|(time, life, what)| Due { time, life, what })
}

fn any_command() -> impl Strategy<Value = Command> {
    let life = || option::of(any_life());
    let flags = || (any::<bool>(), any::<bool>());
    let create = (any_room(), any_options(), flags()).prop_map(|(room, options, (exclusive, placed))| {
        Command::Create(Create { room, exclusive, options, placed })
    });
    let delete = (any_room(), life()).prop_map(|(room, life)| Command::Delete(Delete { room, life }));
    let expect = option::of(any::<u64>().prop_map(Offset));
    let messages = || vec(any_message(), 0..5);
    let creates = || (option::of(any_options()), any::<bool>());
    let publish = (any_room(), life(), any_user(), messages(), expect, creates()).prop_map(
        |(room, life, from, messages, expect, (create, placed))| {
            Command::Publish(Publish { room, life, from, messages, expect, create, placed })
        },
    );
    let hold = (any_room(), life(), any_user(), messages(), any::<u64>(), creates()).prop_map(
        |(room, life, from, messages, hold_ms, (create, placed))| {
            Command::Hold(Hold { room, life, from, messages, hold_ms, create, placed })
        },
    );
    let asked =
        || {
            (any_room(), life(), any_user(), vec(any_id(), 0..5))
                .prop_map(|(room, life, from, ids)| HoldRef { room, life, from, ids })
        };
    let consumer = any_user().prop_map(|name| name.as_str().parse::<ConsumerId>().unwrap());
    let commit = (any_room(), life(), consumer, any::<u64>()).prop_map(|(room, life, consumer, offset)| {
        Command::Commit(Commit { room, life, consumer, offset: Offset(offset) })
    });
    let forward =
        (any_room(), any::<u32>()).prop_map(|(room, to)| Command::Forward(Forward { room, to: ShardId(to) }));
    prop_oneof![
        2 => create,
        1 => delete,
        4 => publish,
        4 => hold,
        1 => asked().prop_map(Command::Confirm),
        1 => asked().prop_map(Command::Rollback),
        1 => commit,
        1 => forward,
        2 => vec(any_due(), 0..5).prop_map(Command::Sweep),
    ]
}

fn any_batch() -> impl Strategy<Value = Batch> {
    (any_time(), vec(any_command(), 0..6)).prop_map(|(time, commands)| Batch { time, commands })
}

fn any_item() -> impl Strategy<Value = Item> {
    let numbers = (any::<u64>(), any::<u64>());
    (numbers, any_user(), any_time(), any_message()).prop_map(|((offset, epoch), from, time, new)| Item {
        offset: Offset(offset),
        epoch: Epoch(epoch),
        id: new.id,
        from,
        time,
        sent: new.sent,
        payload: new.payload,
    })
}

fn any_room_row() -> impl Strategy<Value = RoomRow> {
    let numbers = (1..1000_u64, 0..1000_u64, any::<u64>(), any::<u64>());
    let name = (any_room(), any_time(), any::<[u8; 32]>());
    (name, numbers, any_options(), option::of(any_time())).prop_map(|(name, numbers, options, age_due)| {
        let (name, created, hash) = name;
        let (first, kept, messages, bytes) = numbers;
        let (first, next) = (Offset(first), Offset(first + kept));
        let hash = RoomHash(hash);
        RoomRow { name, created, first, next, messages, bytes, hash, options, age_due }
    })
}

fn any_name_row() -> impl Strategy<Value = NameRow> {
    (option::of(any::<u32>()), any_life()).prop_map(|(shard, life)| match shard {
        Some(shard) => NameRow::Forward { shard: ShardId(shard), life },
        None => NameRow::Life(life),
    })
}

fn any_id_row() -> impl Strategy<Value = IdRow> {
    let stored = (any::<u64>(), any::<u64>())
        .prop_map(|(offset, epoch)| IdState::Stored { offset: Offset(offset), epoch: Epoch(epoch) });
    let state = prop_oneof![stored, any_hold().prop_map(IdState::Held), Just(IdState::Dropped)];
    (state, any::<[u8; 16]>()).prop_map(|(state, digest)| IdRow { digest: Digest(digest), state })
}

fn any_cursor_row() -> impl Strategy<Value = CursorRow> {
    (any::<u64>(), any_time()).prop_map(|(offset, time)| CursorRow { offset: Offset(offset), time })
}

fn any_hold_row() -> impl Strategy<Value = HoldRow> {
    let times = (any::<u64>(), any_time(), any_time());
    (any_user(), times, vec(any_message(), 1..5)).prop_map(|(from, (epoch, time, expires), messages)| {
        HoldRow { from, epoch: Epoch(epoch), time, expires, messages }
    })
}

fn decode_hold(key: &[u8], value: &[u8]) -> Result<HoldRow, RowsError> {
    HoldRow::decode(key, &Bytes::copy_from_slice(value))
}

fn decode_item(value: &[u8]) -> Result<Item, RowsError> {
    Item::decode(b"key", Offset(7), &Bytes::copy_from_slice(value))
}

/// Every row but a message's says itself where it ends.
fn cut_or_longer_is_corrupt<T>(
    value: &[u8],
    newest: u8,
    decode: impl Fn(&[u8], &[u8]) -> Result<T, RowsError>,
) {
    for len in 0..value.len() {
        assert!(matches!(decode(b"key", &value[..len]), Err(RowsError::Corrupt { .. })), "cut to {len}");
    }
    let longer = [value, b"\0"].concat();
    assert!(matches!(decode(b"key", &longer), Err(RowsError::Corrupt { .. })));
    let later = [&[newest + 1], &value[1..]].concat();
    assert!(matches!(
        decode(b"key", &later),
        Err(RowsError::Corrupt { reason: "its version is unknown", .. })
    ));
}

proptest! {
    #[test]
    fn batch_round_trips_and_its_length_is_known(batch in any_batch()) {
        let bytes = batch.encode();
        let len: usize = batch.commands.iter().map(Command::encoded_len).sum();
        prop_assert_eq!(bytes.len(), Batch::HEADER_LEN + len);
        prop_assert_eq!(Batch::decode(bytes).unwrap(), batch);
    }

    #[test]
    fn batch_cut_or_longer_is_refused(batch in any_batch(), cut in any::<prop::sample::Index>()) {
        let bytes = batch.encode();
        prop_assert!(Batch::decode(bytes.slice(..cut.index(bytes.len()))).is_err());
        let longer = [&bytes[..], b"\0"].concat();
        prop_assert!(Batch::decode(longer.into()).is_err());
    }

    #[test]
    fn batch_of_any_bytes_never_panics(bytes in vec(any::<u8>(), 0..200)) {
        // Most would end at the version; the second time they get past it.
        let versioned = [&[1], &bytes[..]].concat();
        let _ = Batch::decode(bytes.into());
        let _ = Batch::decode(versioned.into());
    }

    #[test]
    fn batch_with_a_byte_changed_never_panics(
        batch in any_batch(), at in any::<prop::sample::Index>(), to in any::<u8>(),
    ) {
        let mut bytes = batch.encode().to_vec();
        let at = at.index(bytes.len());
        bytes[at] = to;
        // One encoding per value: what is read at all is what the bytes say.
        if let Ok(read) = Batch::decode(bytes.clone().into()) {
            prop_assert_eq!(read.encode(), bytes);
        }
    }

    #[test]
    fn rows_round_trip(
        name in any_name_row(), room in any_room_row(), known in any_id_row(), item in any_item(),
        cursor in any_cursor_row(), hold in any_hold_row(),
    ) {
        prop_assert_eq!(NameRow::decode(b"key", &name.encode()).unwrap(), name);
        prop_assert_eq!(RoomRow::decode(b"key", &room.encode()).unwrap(), room);
        prop_assert_eq!(IdRow::decode(b"key", &known.encode()).unwrap(), known);
        prop_assert_eq!(Item::decode(b"key", item.offset, &item.encode()).unwrap(), item);
        prop_assert_eq!(CursorRow::decode(b"key", &cursor.encode()).unwrap(), cursor);
        prop_assert_eq!(decode_hold(b"key", &hold.encode()).unwrap(), hold);
    }

    #[test]
    fn rows_cut_or_longer_or_of_a_later_version_are_corrupt(
        name in any_name_row(), room in any_room_row(), known in any_id_row(), item in any_item(),
        cursor in any_cursor_row(), hold in any_hold_row(),
    ) {
        cut_or_longer_is_corrupt(&name.encode(), 1, NameRow::decode);
        cut_or_longer_is_corrupt(&room.encode(), 2, RoomRow::decode);
        cut_or_longer_is_corrupt(&known.encode(), 2, IdRow::decode);
        cut_or_longer_is_corrupt(&cursor.encode(), 1, CursorRow::decode);
        cut_or_longer_is_corrupt(&hold.encode(), 1, decode_hold);
        let value = item.encode();
        for len in 0..value.len() - item.payload.bytes.len() {
            prop_assert!(decode_item(&value[..len]).is_err());
        }
        prop_assert!(decode_item(&[&[2], &value[1..]].concat()).is_err());
    }

    /// One encoding per value: a row that is read at all is written again as it was.
    #[test]
    fn rows_of_any_bytes_never_panic(bytes in vec(any::<u8>(), 0..150)) {
        for value in [bytes.clone(), [&[1], &bytes[..]].concat(), [&[2], &bytes[..]].concat()] {
            if let Ok(row) = NameRow::decode(b"key", &value) {
                prop_assert_eq!(row.encode(), &value);
            }
            if let Ok(row) = RoomRow::decode(b"key", &value) {
                prop_assert_eq!(row.encode(), &value);
            }
            if let Ok(row) = IdRow::decode(b"key", &value) {
                prop_assert_eq!(row.encode(), &value);
            }
            if let Ok(row) = CursorRow::decode(b"key", &value) {
                prop_assert_eq!(row.encode(), &value);
            }
            if let Ok(row) = decode_hold(b"key", &value) {
                prop_assert_eq!(row.encode(), &value);
            }
            if let Ok(row) = decode_item(&value) {
                prop_assert_eq!(row.encode(), &value);
            }
        }
    }

    #[test]
    fn rows_with_a_byte_changed_never_panic(
        room in any_room_row(), hold in any_hold_row(), at in any::<prop::sample::Index>(), to in any::<u8>(),
    ) {
        let changed = |value: Bytes| {
            let mut value = value.to_vec();
            let at = at.index(value.len());
            value[at] = to;
            value
        };
        let value = changed(room.encode());
        if let Ok(row) = RoomRow::decode(b"key", &value) {
            prop_assert_eq!(row.encode(), value);
        }
        let value = changed(hold.encode());
        if let Ok(row) = decode_hold(b"key", &value) {
            prop_assert_eq!(row.encode(), value);
        }
    }
}

/// The first layouts say these, so the second ones are none of ours.
#[test]
fn plain_create_or_room_in_its_second_layout_is_refused() {
    let (room, options): (RoomName, _) = ("a".parse().unwrap(), RoomOptions::default());
    let create = Create { room: room.clone(), exclusive: false, options, placed: true };
    let batch = Batch { time: Timestamp(1), commands: vec![Command::Create(create)] };
    let mut bytes = batch.encode().to_vec();
    // Behind the header, the number, the name and the flag for exclusive.
    let placed = Batch::HEADER_LEN + 1 + 2 + 1;
    assert_eq!(bytes[placed], 1);
    bytes[placed] = 0;
    let refused = CommandError::Unreadable("a plain create is written otherwise");
    assert_eq!(Batch::decode(bytes.into()), Err(refused));

    let mut row = RoomRow::new(room, Timestamp(1), options).encode().to_vec();
    row[0] = 2;
    row.extend_from_slice(&[0, 0, 0, 1, 0, 0]);
    let refused = RoomRow::decode(b"key", &row);
    let reason = "a plain room is written otherwise";
    assert!(matches!(refused, Err(RowsError::Corrupt { reason: is, .. }) if is == reason), "{refused:?}");
}

#[test]
fn hold_without_messages_is_corrupt() {
    let (from, time) = ("ann".parse().unwrap(), Timestamp(1));
    let row = HoldRow { from, epoch: Epoch(1), time, expires: time, messages: vec![] };
    assert!(matches!(decode_hold(b"key", &row.encode()), Err(RowsError::Corrupt { .. })));
}

#[test]
fn due_rows_that_make_no_sense_are_errors() {
    let due = Due {
        time: Timestamp(5),
        life: LifeId { shard: ShardId(0), index: 1, ordinal: 0 },
        what: DueKind::Id(MessageId([7; 16])),
    };
    let key = keys::due(&due);
    let dues = |key: &[u8], value: &'static [u8]| {
        let mut rows = MemRows::default();
        let put = roomkeeper_room::Write::Put(Bytes::copy_from_slice(key), Bytes::from_static(value));
        rows.apply_writes(&[put]);
        read::due(&rows, Timestamp(0)..=Timestamp(9), 10)
    };
    assert_eq!(dues(&key, b"\x01").unwrap(), [due]);
    let unknown = [&key[..25], &[9], &key[26..]].concat();
    let broken: [(&[u8], &[u8]); 6] = [
        (&key, b""),
        (&key, b"\x02"),
        (&key, b"\x01\0"),
        (&key[..key.len() - 1], b"\x01"),
        (&[&key[..], b"\0"].concat(), b"\x01"),
        (&unknown, b"\x01"),
    ];
    for (key, value) in broken {
        assert!(matches!(dues(key, value), Err(RowsError::Corrupt { key: named, .. }) if named == key));
    }
}

#[test]
fn batch_of_a_later_version_says_so() {
    assert_eq!(Batch::decode(Bytes::from_static(b"\x02rest")), Err(CommandError::Version(2)));
}

/// A count is believed only as far as there are bytes for it: reserving for 2^32 commands would end the node.
#[test]
fn batch_with_a_huge_count_is_refused_before_memory_is_taken() {
    let bytes = [&[1][..], &[0; 8], &[0xff; 4], &[0; 20]].concat();
    assert_eq!(Batch::decode(bytes.into()), Err(CommandError::Unreadable("it ends too early")));
}

/// One encoding per value: a flag that is neither 0 nor 1 was not written by us.
#[test]
fn batch_with_a_flag_of_two_is_refused() {
    let room = "a".parse().unwrap();
    let commands = vec![Command::Create(Create {
        room,
        exclusive: true,
        options: RoomOptions::default(),
        placed: false,
    })];
    let mut bytes = Batch { time: Timestamp(1), commands }.encode().to_vec();
    *bytes.last_mut().unwrap() = 2;
    assert_eq!(Batch::decode(bytes.into()), Err(CommandError::Unreadable("a flag is neither 0 nor 1")));
}

fn one_of_each() -> (Batch, Item) {
    let payload = Payload { kind: PayloadKind::Json, bytes: Bytes::from_static(b"{\"a\":1}") };
    let (id, sent, from) = (MessageId([7; 16]), Some(Timestamp(900)), "ann".parse::<UserId>().unwrap());
    let life = Some(LifeId { shard: ShardId(3), index: 5, ordinal: 1 });
    let room: RoomName = "a".parse().unwrap();
    let item = Item {
        offset: Offset(2),
        epoch: Epoch(4),
        id,
        from: from.clone(),
        time: Timestamp(1000),
        sent,
        payload: payload.clone(),
    };
    let messages = vec![NewMessage { id, sent, payload }];
    let commands = vec![
        Command::Create(Create {
            room: room.clone(),
            exclusive: true,
            options: RoomOptions::default(),
            placed: false,
        }),
        Command::Delete(Delete { room: room.clone(), life: None }),
        Command::Publish(Publish {
            room,
            life,
            from,
            messages,
            expect: Some(Offset(2)),
            create: None,
            placed: false,
        }),
    ];
    (Batch { time: Timestamp(1000), commands }, item)
}

#[test]
fn decoded_data_are_slices_of_the_bytes() {
    let within = |part: &Bytes, whole: &Bytes| whole.as_ptr_range().contains(&part.as_ptr());
    let (batch, item) = one_of_each();
    let bytes = batch.encode();
    let Command::Publish(publish) = &Batch::decode(bytes.clone()).unwrap().commands[2] else {
        panic!("the third command is a publish");
    };
    assert!(within(&publish.messages[0].payload.bytes, &bytes));
    let value = item.encode();
    assert!(within(&Item::decode(b"key", Offset(2), &value).unwrap().payload.bytes, &value));
}

/// One of each command that came later.
fn one_of_each_since() -> Batch {
    let (batch, item) = one_of_each();
    let Command::Publish(publish) = &batch.commands[2] else { panic!("the third command is a publish") };
    let Publish { room, life, from, messages, .. } = publish.clone();
    let options = RoomOptions {
        retain_ms: Some(1),
        retain_messages: None,
        retain_bytes: Some(3),
        presence: false,
        max_members: Some(4),
    };
    let asked = HoldRef { room: room.clone(), life: None, from: from.clone(), ids: vec![item.id] };
    let due = |what| Due { time: Timestamp(5), life: life.unwrap(), what };
    let commands = vec![
        Command::Create(Create { room: room.clone(), exclusive: false, options, placed: true }),
        Command::Publish(Publish { placed: true, ..publish.clone() }),
        Command::Hold(Hold {
            room: room.clone(),
            life,
            from,
            messages,
            hold_ms: 60_000,
            create: Some(RoomOptions::default()),
            placed: false,
        }),
        Command::Confirm(asked.clone()),
        Command::Rollback(asked),
        Command::Commit(Commit {
            room: room.clone(),
            life: None,
            consumer: "phone".parse().unwrap(),
            offset: Offset(2),
        }),
        Command::Forward(Forward { room, to: ShardId(3) }),
        Command::Sweep(vec![
            due(DueKind::Hold(HoldId { index: 5, ordinal: 1 })),
            due(DueKind::Id(item.id)),
            due(DueKind::Age),
        ]),
    ];
    Batch { time: Timestamp(1000), commands }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Logs and stores on disk hold these: a change needs a new version that still reads the old one.
#[test]
fn stored_bytes_are_frozen() {
    let (batch, item) = one_of_each();
    let life = LifeId { shard: ShardId(3), index: 5, ordinal: 1 };
    let row = RoomRow::new("a".parse().unwrap(), Timestamp(1000), RoomOptions::default());
    let known =
        IdRow { digest: Digest([9; 16]), state: IdState::Stored { offset: Offset(2), epoch: Epoch(4) } };
    assert_eq!(
        hex(&batch.encode()),
        concat!(
            "0100000000000003e800000003010161010201610003016101000000030000000000000005000000",
            "0103616e6e0100000000000000020000000001070707070707070707070707070707070100000000",
            "000003840000000000000000077b2261223a317d"
        )
    );
    assert_eq!(
        hex(&item.encode()),
        concat!(
            "01000000000000000400000000000003e80707070707070707070707070707070703616e6e010000",
            "000000000384007b2261223a317d"
        )
    );
    assert_eq!(hex(&NameRow::Life(life).encode()), "010000000003000000000000000500000001");
    assert_eq!(
        hex(&NameRow::Forward { shard: ShardId(3), life }.encode()),
        "01010000000300000003000000000000000500000001"
    );
    assert_eq!(
        hex(&row.encode()),
        concat!(
            "0100000000000003e800000000000000010000000000000001000000000000000000000000000000",
            "0000000000000000000000000000000000000000000000000000000000000000000161"
        )
    );
    assert_eq!(hex(&known.encode()), "010000000000000002000000000000000409090909090909090909090909090909");
    assert_eq!(
        RoomHash::default().append(&item).to_string(),
        "dbf540635394d022d06de586d9a9459e88780f04a9e05941a6192c355ef40079"
    );
}

/// As above, of what came later.
#[test]
fn stored_bytes_since_are_frozen() {
    let (_, item) = one_of_each();
    let batch = one_of_each_since();
    assert_eq!(
        hex(&batch.encode()),
        concat!(
            "0100000000000003e800000008040161000101000000000000000100010000000000000003000100",
            "000004050161010000000300000000000000050000000103616e6e01000000000000000200000000",
            "01070707070707070707070707070707070100000000000003840000000000000000077b2261223a",
            "317d060161010000000300000000000000050000000103616e6e000000000000ea60010000000001",
            "070707070707070707070707070707070100000000000003840000000000000000077b2261223a31",
            "7d0701610003616e6e00000001070707070707070707070707070707070801610003616e6e000000",
            "0107070707070707070707070707070707090161000570686f6e6500000000000000020a01610000",
            "00030b00000003000000000000000500000003000000000000000500000001010000000000000005",
            "00000001000000000000000500000003000000000000000500000001020707070707070707070707",
            "070707070700000000000000050000000300000000000000050000000103"
        )
    );
    let digest = Digest([9; 16]);
    let hold = HoldId { index: 5, ordinal: 1 };
    assert_eq!(
        hex(&IdRow { digest, state: IdState::Held(hold) }.encode()),
        "020100000000000000050000000109090909090909090909090909090909"
    );
    assert_eq!(
        hex(&IdRow { digest, state: IdState::Dropped }.encode()),
        "020209090909090909090909090909090909"
    );
    assert_eq!(
        hex(&CursorRow { offset: Offset(2), time: Timestamp(1000) }.encode()),
        "01000000000000000200000000000003e8"
    );
    let Command::Create(create) = &batch.commands[0] else { panic!("the first command is a create") };
    let row = RoomRow::new(create.room.clone(), Timestamp(1000), create.options);
    assert_eq!(
        hex(&RoomRow { age_due: Some(Timestamp(1001)), ..row }.encode()),
        concat!(
            "0200000000000003e800000000000000010000000000000001000000000000000000000000000000",
            "00000000000000000000000000000000000000000000000000000000000000000001610100000000",
            "00000001000100000000000000030001000000040100000000000003e9"
        )
    );
    let Command::Hold(Hold { from, messages, .. }) = &batch.commands[2] else {
        panic!("the third is a hold")
    };
    let row = HoldRow {
        from: from.clone(),
        epoch: Epoch(4),
        time: Timestamp(1000),
        expires: Timestamp(61_000),
        messages: messages.clone(),
    };
    assert_eq!(
        hex(&row.encode()),
        concat!(
            "01000000000000000400000000000003e8000000000000ee4803616e6e0000000107070707070707",
            "0707070707070707070100000000000003840000000000000000077b2261223a317d"
        )
    );
    let life = LifeId { shard: ShardId(3), index: 5, ordinal: 1 };
    let due = |what| hex(&keys::due(&Due { time: Timestamp(5), life, what }));
    assert_eq!(
        due(DueKind::Hold(hold)),
        "0700000000000000050000000300000000000000050000000101000000000000000500000001"
    );
    assert_eq!(
        due(DueKind::Id(item.id)),
        concat!("07000000000000000500000003000000000000000500000001020707070707070707070707070707", "0707")
    );
    assert_eq!(due(DueKind::Age), "0700000000000000050000000300000000000000050000000103");
    assert_eq!(hex(&keys::hold(life, hold)), "0600000003000000000000000500000001000000000000000500000001");
    assert_eq!(
        hex(&keys::cursor(life, &"phone".parse().unwrap())),
        "050000000300000000000000050000000170686f6e65"
    );
}

/// A digest that changed would take every retry across an upgrade for another message.
#[test]
fn digest_of_a_message_is_frozen() {
    let (_, item) = one_of_each();
    let room: RoomName = "a".parse().unwrap();
    let messages = vec![NewMessage { id: item.id, sent: item.sent, payload: item.payload }];
    let create = Some(RoomOptions::default());
    let publish =
        Publish { room, life: None, from: item.from, messages, expect: None, create, placed: false };
    let batch = Batch { time: Timestamp(1000), commands: vec![Command::Publish(publish)] };
    let rows = MemRows::default();
    let mut applier = Applier::new(&rows, ShardId(0), ShardCount::new(1).unwrap());
    applier.apply(LogPosition::default(), batch, &mut vec![]).unwrap();
    let mut rows = rows.clone();
    rows.apply_writes(&applier.into_writes());
    let key = keys::id(LifeId { shard: ShardId(0), index: 0, ordinal: 0 }, item.id);
    let row = IdRow::decode(&key, &rows.get(&key).unwrap().unwrap()).unwrap();
    assert_eq!(hex(&row.digest.0), "363cfa21f28999dade6581d46ee915c9");
}
