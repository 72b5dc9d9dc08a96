//! Random logs over a few rooms, users, ids and contents, so that commands meet each other.

use bytes::Bytes;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use roomkeeper_room::{
    Batch, Command, Create, Delete, Item, NewMessage, Payload, PayloadKind, Publish, RoomOptions,
};
use roomkeeper_types::{
    Epoch, LifeId, LogIndex, LogPosition, MessageId, Offset, RoomName, ShardId, Timestamp, UserId,
};

fn any_room() -> impl Strategy<Value = RoomName> {
    prop_oneof![4 => Just("a"), 2 => Just("ab"), 1 => Just("b")].prop_map(|name| name.parse().unwrap())
}

fn any_user() -> impl Strategy<Value = UserId> {
    prop_oneof![6 => Just("ann"), 1 => Just("bob")].prop_map(|name| name.parse().unwrap())
}

/// Mostly none; else one that an entry of the log may have created.
fn any_life() -> impl Strategy<Value = Option<LifeId>> {
    let life =
        (1..12_u64, 0..3_u32).prop_map(|(index, ordinal)| LifeId { shard: ShardId(0), index, ordinal });
    option::weighted(0.15, life)
}

/// An id has one content mostly.
fn any_message() -> impl Strategy<Value = NewMessage> {
    let sent = option::of((0..3_u64).prop_map(Timestamp));
    (0..12_u8, prop_oneof![8 => Just(0_u8), 1 => 1..3_u8], sent).prop_map(|(id, other, sent)| {
        let kind = if other == 2 { PayloadKind::Binary } else { PayloadKind::Json };
        let data = if other == 1 { String::from("0") } else { format!("\"{id}\"") };
        NewMessage { id: MessageId([id; 16]), sent, payload: Payload { kind, bytes: data.into() } }
    })
}

fn any_command() -> impl Strategy<Value = Command> {
    let create = (any_room(), any::<bool>()).prop_map(|(room, exclusive)| {
        Command::Create(Create { room, exclusive, options: RoomOptions::default(), placed: false })
    });
    let delete = (any_room(), any_life()).prop_map(|(room, life)| Command::Delete(Delete { room, life }));
    let expect = option::weighted(0.2, (1..6_u64).prop_map(Offset));
    let messages =
        prop_oneof![6 => vec(any_message(), 1..2), 3 => vec(any_message(), 2..5), 1 => Just(vec![])];
    let publish = (any_room(), any_life(), any_user(), messages, expect, any::<bool>()).prop_map(
        |(room, life, from, messages, expect, create)| {
            Command::Publish(Publish { room, life, from, messages, expect, create, placed: false })
        },
    );
    prop_oneof![1 => create, 1 => delete, 8 => publish]
}

/// Entries with growing indices and epochs, some indices left out as Raft's own entries are.
pub(crate) fn any_log() -> impl Strategy<Value = Vec<(LogPosition, Batch)>> {
    let entry = (vec(any_command(), 1..5), prop_oneof![5 => Just(0_u64), 1 => 1..3_u64]);
    vec(entry, 0..16).prop_map(|entries| {
        let (mut epoch, mut index) = (1, 0);
        let entry = |(commands, skip)| {
            epoch += skip;
            index += 1 + skip;
            let at = LogPosition { epoch: Epoch(epoch), index: LogIndex(index) };
            (at, Batch { time: Timestamp(1000 + index), commands })
        };
        entries.into_iter().map(entry).collect()
    })
}

/// Cuts a log into runs: behind the entries whose bits are set.
pub(crate) fn cut<T>(mut log: &[T], cuts: u64) -> Vec<&[T]> {
    let mut runs = Vec::new();
    let mut len = 0;
    for bit in 0..log.len() {
        len += 1;
        if cuts >> (bit % 64) & 1 == 1 {
            let (run, rest) = log.split_at(len);
            runs.push(run);
            (log, len) = (rest, 0);
        }
    }
    runs.push(log);
    runs
}

pub(crate) fn messages(command: &Command) -> usize {
    if let Command::Publish(publish) = command { publish.messages.len() } else { 0 }
}

/// The item with each of its fields changed in turn.
pub(crate) fn changed_by_one_field(item: &Item) -> Vec<Item> {
    let change = |change: fn(&mut Item)| {
        let mut item = item.clone();
        change(&mut item);
        item
    };
    let flip = |kind| if kind == PayloadKind::Json { PayloadKind::Binary } else { PayloadKind::Json };
    let mut kind = item.clone();
    kind.payload.kind = flip(item.payload.kind);
    vec![
        kind,
        change(|item| item.offset = item.offset.next()),
        change(|item| item.epoch = item.epoch.next()),
        change(|item| item.id.0[15] ^= 1),
        change(|item| item.from = "eve".parse().unwrap()),
        change(|item| item.time.0 += 1),
        change(|item| item.sent = if item.sent.is_some() { None } else { Some(Timestamp(0)) }),
        change(|item| item.payload.bytes = Bytes::from([&item.payload.bytes[..], b" "].concat())),
    ]
}
