//! Outcomes, effects and rows as the traces write them.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use roomkeeper_room::read::{OpenHold, RoomInfo};
use roomkeeper_room::{
    Due, DueKind, Effect, Item, MemRows, Outcome, PayloadKind, Refusal, RefusedIds, RoomOptions, keys,
};
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
        Outcome::Held { life, epoch, expires, duplicate } => {
            let again = if *duplicate { " as before" } else { "" };
            format!("held {life} {epoch} until {}{again}", expires.millis())
        }
        Outcome::Confirmed { life, epoch, offsets } => {
            let offsets: String = offsets.iter().map(|offset| format!(" {offset}")).collect();
            format!("confirmed {life} {epoch}{offsets}")
        }
        Outcome::RolledBack { life } => format!("rolled back {life}"),
        Outcome::Committed { life, offset } => format!("committed {life} {offset}"),
        Outcome::Forwarded { to } => format!("forwarded to {to}"),
        Outcome::Swept => String::from("swept"),
        Outcome::Refused(refusal) => match refusal {
            // Their texts have the whole UUID.
            Refusal::IdReused(ids) => format!("refused: id {} is used", numbers(ids)),
            Refusal::PartlyKnown(ids) => format!("refused: id {} is not known, others are", numbers(ids)),
            Refusal::UnknownId(id) => format!("refused: id {} is unknown", number(*id)),
            Refusal::NotOneHold(id) => format!("refused: not one hold, see id {}", number(*id)),
            Refusal::Gone(ids) => format!("refused: id {} was dropped", numbers(ids)),
            Refusal::Held(ids) => format!("refused: id {} is held", numbers(ids)),
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
        Effect::Held { room, life, items, expires } => {
            let mut out = format!("  held {room} {life} until {}\n", expires.millis());
            items.iter().for_each(|item| writeln!(out, "    {}", self::item(item)).unwrap());
            out
        }
        Effect::RolledBack { room, life, ids } => {
            let ids: String = ids.iter().map(|id| format!(" {}", number(*id))).collect();
            format!("  rolled back {room} {life}{ids}\n")
        }
        Effect::Trimmed { room, life, first } => format!("  trimmed {room} {life}, first {first}\n"),
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
    let RoomInfo { room, life, created, first, next, messages, bytes, hash, options } = info;
    let (created, hash) = (created.millis(), &hash.to_string()[..8]);
    format!(
        "{room} {life} created {created}, {first} to {next}, {messages} messages, {bytes} bytes, hash {hash}{}\n",
        self::options(&options)
    )
}

/// Those that are not the default ones.
fn options(options: &RoomOptions) -> String {
    let RoomOptions { retain_ms, retain_messages, retain_bytes, presence, max_members } = *options;
    let numbers = [
        ("retain_ms", retain_ms),
        ("retain_messages", retain_messages),
        ("retain_bytes", retain_bytes),
        ("max_members", max_members.map(u64::from)),
    ];
    let set = |(name, number): (&str, Option<u64>)| Some(format!(", {name} {}", number?));
    let mut out: String = numbers.into_iter().filter_map(set).collect();
    if !presence {
        out.push_str(", no_presence");
    }
    out
}

pub(crate) fn hold(hold: &OpenHold) -> String {
    let items: String = hold.items.iter().map(|item| format!("  {}\n", self::item(item))).collect();
    format!("until {}\n{items}", hold.expires.millis())
}

/// As [`super::parse`] reads it.
pub(crate) fn due(due: &Due) -> String {
    let what = match due.what {
        DueKind::Hold(hold) => format!("hold-{}-{}", hold.index, hold.ordinal),
        DueKind::Id(id) => format!("id-{}", number(id)),
        DueKind::Age => String::from("age"),
    };
    format!("{}:{}:{what}\n", due.time.millis(), due.life)
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
            keys::CURSOR_TABLE => format!("cursors {}", life()),
            keys::HOLD_TABLE => format!("holds {}", life()),
            keys::DUE_TABLE => String::from("dues"),
            other => panic!("nothing writes table {other}"),
        };
        *lines.entry((table, line)).or_default() += 1;
    }
    if lines.is_empty() {
        return String::from("no rows\n");
    }
    lines.into_iter().map(|((_, line), count)| format!("{line}: {count}\n")).collect()
}

fn numbers(ids: &RefusedIds) -> String {
    ids.0.iter().map(|(_, id)| number(*id).to_string()).collect::<Vec<_>>().join(", ")
}

fn number(id: MessageId) -> u128 {
    u128::from_be_bytes(id.0)
}
