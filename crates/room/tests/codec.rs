//! Bytes of entries and rows: what is written is read back, is what it was in earlier versions, and anything
//! else is an error.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use bytes::Bytes;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use roomkeeper_room::hash::Digest;
use roomkeeper_room::row::{IdRow, IdState, NameRow, RoomRow};
use roomkeeper_room::{
    Applier, Batch, Command, CommandError, Create, Delete, Item, MemRows, NewMessage, Payload, PayloadKind,
    Publish, RoomHash, RoomOptions, Rows, RowsError, keys,
};
use roomkeeper_types::{
    Epoch, LifeId, LogPosition, MessageId, Offset, RoomName, ShardCount, ShardId, Timestamp, UserId,
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

fn any_command() -> impl Strategy<Value = Command> {
    let create = (any_room(), any::<bool>()).prop_map(|(room, exclusive)| {
        Command::Create(Create { room, exclusive, options: RoomOptions::default(), placed: false })
    });
    let delete =
        (any_room(), option::of(any_life())).prop_map(|(room, life)| Command::Delete(Delete { room, life }));
    let expect = option::of(any::<u64>().prop_map(Offset));
    let (life, messages) = (option::of(any_life()), vec(any_message(), 0..5));
    let publish = (any_room(), life, any_user(), messages, expect, any::<bool>()).prop_map(
        |(room, life, from, messages, expect, create)| {
            Command::Publish(Publish { room, life, from, messages, expect, create, placed: false })
        },
    );
    prop_oneof![1 => create, 1 => delete, 4 => publish]
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
    (any_room(), any_time(), numbers, any::<[u8; 32]>()).prop_map(|(name, created, numbers, hash)| {
        let (first, kept, messages, bytes) = numbers;
        let next = Offset(first + kept);
        RoomRow {
            name,
            created,
            first: Offset(first),
            next,
            messages,
            bytes,
            hash: RoomHash(hash),
            options: RoomOptions::default(),
            age_due: None,
        }
    })
}

fn any_name_row() -> impl Strategy<Value = NameRow> {
    (option::of(any::<u32>()), any_life()).prop_map(|(shard, life)| match shard {
        Some(shard) => NameRow::Forward { shard: ShardId(shard), life },
        None => NameRow::Life(life),
    })
}

fn any_id_row() -> impl Strategy<Value = IdRow> {
    (any::<u64>(), any::<u64>(), any::<[u8; 16]>()).prop_map(|(offset, epoch, digest)| IdRow {
        digest: Digest(digest),
        state: IdState::Stored { offset: Offset(offset), epoch: Epoch(epoch) },
    })
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
    ) {
        prop_assert_eq!(NameRow::decode(b"key", &name.encode()).unwrap(), name);
        prop_assert_eq!(RoomRow::decode(b"key", &room.encode()).unwrap(), room);
        prop_assert_eq!(IdRow::decode(b"key", &known.encode()).unwrap(), known);
        prop_assert_eq!(Item::decode(b"key", item.offset, &item.encode()).unwrap(), item);
    }

    #[test]
    fn rows_cut_or_longer_or_of_a_later_version_are_corrupt(
        name in any_name_row(), room in any_room_row(), known in any_id_row(), item in any_item(),
    ) {
        cut_or_longer_is_corrupt(&name.encode(), 1, NameRow::decode);
        cut_or_longer_is_corrupt(&room.encode(), 2, RoomRow::decode);
        cut_or_longer_is_corrupt(&known.encode(), 2, IdRow::decode);
        let value = item.encode();
        for len in 0..value.len() - item.payload.bytes.len() {
            prop_assert!(decode_item(&value[..len]).is_err());
        }
        prop_assert!(decode_item(&[&[2], &value[1..]].concat()).is_err());
    }

    #[test]
    fn rows_of_any_bytes_never_panic(bytes in vec(any::<u8>(), 0..150)) {
        for value in [bytes.clone(), [&[1], &bytes[..]].concat()] {
            let _ = NameRow::decode(b"key", &value);
            let _ = RoomRow::decode(b"key", &value);
            let _ = IdRow::decode(b"key", &value);
            let _ = decode_item(&value);
        }
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
            create: false,
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

/// A digest that changed would take every retry across an upgrade for another message.
#[test]
fn digest_of_a_message_is_frozen() {
    let (_, item) = one_of_each();
    let room: RoomName = "a".parse().unwrap();
    let messages = vec![NewMessage { id: item.id, sent: item.sent, payload: item.payload }];
    let publish =
        Publish { room, life: None, from: item.from, messages, expect: None, create: true, placed: false };
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
