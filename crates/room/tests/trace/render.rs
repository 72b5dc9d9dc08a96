//! Outcomes, effects and rows as the traces write them.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use roomkeeper_room::read::RoomInfo;
use roomkeeper_room::{Effect, Item, MemRows, Outcome, PayloadKind, Refusal, keys};
use roomkeeper_types::{LifeId, MessageId, Offset};

pub(crate) fn outcome(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Created { life, existed: false } => format!("created {life}"),
        Outcome::Created { life, existed: true } => format!("existed {life}"),
        Outcome::Deleted { life } => format!("deleted {life}"),
        Outcome::Published { life, epoch, offsets, duplicates } => {
            assert_eq!(offsets.len(), duplicates.len());
            let again =
                |(offset, again): (&Offset, &bool)| format!(" {offset}{}", if *again { "=" } else { "" });
            let offsets: String = offsets.iter().zip(duplicates).map(again).collect();
            format!("published {life} {epoch}{offsets}")
        }
        Outcome::Held { .. }
        | Outcome::Confirmed { .. }
        | Outcome::RolledBack { .. }
        | Outcome::Committed { .. }
        | Outcome::Forwarded { .. }
        | Outcome::Swept => todo!(),
        Outcome::Refused(refusal) => match refusal {
            // Their texts have the whole UUID.
            Refusal::IdReused(id) => format!("refused: id {} is used", number(*id)),
            Refusal::PartlyKnown(id) => format!("refused: id {} is not known, others are", number(*id)),
            other => format!("refused: {other}"),
        },
    }
}

pub(crate) fn effect(effect: &Effect) -> String {
    match effect {
        Effect::Appended { room, life, items } => {
            let mut out = format!("  appended {room} {life}\n");
            items.iter().for_each(|item| writeln!(out, "    {}", self::item(item)).unwrap());
            out
        }
        Effect::Deleted { room, life } => format!("  deleted {room} {life}\n"),
        Effect::Held { .. } | Effect::RolledBack { .. } | Effect::Trimmed { .. } => todo!(),
    }
}

pub(crate) fn item(item: &Item) -> String {
    let data = String::from_utf8_lossy(&item.payload.bytes);
    let kind = if item.payload.kind == PayloadKind::Binary { ":bin" } else { "" };
    let sent = item.sent.map(|sent| format!(" sent {}", sent.millis())).unwrap_or_default();
    let (offset, epoch, from, time) = (item.offset, item.epoch, &item.from, item.time.millis());
    format!("{offset} {epoch} {from} at {time}{sent}: {}{kind}={data}", number(item.id))
}

pub(crate) fn info(info: Option<RoomInfo>) -> String {
    let Some(info) = info else { return String::from("no room\n") };
    let RoomInfo { room, life, created, first, next, messages, bytes, hash, .. } = info;
    let (created, hash) = (created.millis(), &hash.to_string()[..8]);
    format!(
        "{room} {life} created {created}, {first} to {next}, {messages} messages, {bytes} bytes, hash {hash}\n"
    )
}

/// The keys, told apart by table.
pub(crate) fn rows(rows: &MemRows) -> String {
    let mut lines: BTreeMap<(u8, String), u32> = BTreeMap::new();
    for (key, _) in rows.iter() {
        let (table, rest) = (key[0], &key[1..]);
        let life = || LifeId::from_bytes(rest[..16].try_into().unwrap());
        let line = match table {
            keys::NAME_TABLE => format!("name {}", String::from_utf8_lossy(rest)),
            keys::ROOM_TABLE => format!("room {}", life()),
            keys::MESSAGE_TABLE => format!("messages {}", life()),
            keys::ID_TABLE => format!("ids {}", life()),
            other => panic!("nothing writes table {other}"),
        };
        *lines.entry((table, line)).or_default() += 1;
    }
    if lines.is_empty() {
        return String::from("no rows\n");
    }
    lines.into_iter().map(|((_, line), count)| format!("{line}: {count}\n")).collect()
}

fn number(id: MessageId) -> u128 {
    u128::from_be_bytes(id.0)
}
