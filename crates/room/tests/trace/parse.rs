//! Commands as the traces write them.

use std::fmt::Debug;
use std::str::{FromStr, SplitWhitespace};

use bytes::Bytes;
use roomkeeper_room::{
    Command, Commit, Create, Delete, Due, DueKind, Forward, Hold, HoldId, HoldRef, NewMessage, Payload,
    PayloadKind, Publish, RoomOptions,
};
use roomkeeper_types::{LifeId, MessageId, Offset, ShardId, Timestamp};

/// The words of a line, one after the other, and `name=value` options among what is left.
pub(crate) struct Words<'a>(SplitWhitespace<'a>);

impl<'a> Words<'a> {
    pub(crate) fn of(line: &'a str) -> Self {
        Self(line.split_whitespace())
    }

    pub(crate) fn next(&mut self) -> &'a str {
        self.0.next().expect("one more word")
    }

    pub(crate) fn parse<T: FromStr<Err: Debug>>(&mut self) -> T {
        self.next().parse().unwrap()
    }

    pub(crate) fn number(&mut self) -> u64 {
        self.parse()
    }

    pub(crate) fn option(&self, name: &str) -> Option<&'a str> {
        self.0.clone().find_map(|word| word.strip_prefix(name)?.strip_prefix('='))
    }

    fn value<T: FromStr<Err: Debug>>(&self, name: &str) -> Option<T> {
        self.option(name).map(|value| value.parse().unwrap())
    }

    pub(crate) fn flag(&self, name: &str) -> bool {
        self.0.clone().any(|word| word == name)
    }
}

pub(crate) fn command(line: &str) -> Command {
    let mut words = Words::of(line);
    match words.next() {
        "create" => Command::Create(Create {
            room: words.parse(),
            exclusive: words.flag("exclusive"),
            options: options(&words),
            placed: words.flag("placed"),
        }),
        "delete" => Command::Delete(Delete { room: words.parse(), life: words.value("life") }),
        "publish" => Command::Publish(Publish {
            room: words.parse(),
            from: words.parse(),
            life: words.value("life"),
            messages: messages(&words),
            expect: words.value("expect").map(Offset),
            create: words.flag("create").then(|| options(&words)),
            placed: words.flag("placed"),
        }),
        "hold" => Command::Hold(Hold {
            room: words.parse(),
            from: words.parse(),
            hold_ms: words.number(),
            life: words.value("life"),
            messages: messages(&words),
            create: words.flag("create").then(|| options(&words)),
            placed: words.flag("placed"),
        }),
        "confirm" => Command::Confirm(hold_ref(words)),
        "rollback" => Command::Rollback(hold_ref(words)),
        "commit" => Command::Commit(Commit {
            room: words.parse(),
            consumer: words.parse(),
            offset: Offset(words.number()),
            life: words.value("life"),
        }),
        "forward" => Command::Forward(Forward { room: words.parse(), to: ShardId(words.number() as u32) }),
        "sweep" => Command::Sweep(words.0.map(due).collect()),
        other => panic!("no command is called {other}"),
    }
}

fn options(words: &Words<'_>) -> RoomOptions {
    RoomOptions {
        retain_ms: words.value("retain_ms"),
        retain_messages: words.value("retain_messages"),
        retain_bytes: words.value("retain_bytes"),
        presence: !words.flag("no_presence"),
        max_members: words.value("max_members"),
    }
}

fn hold_ref(mut words: Words<'_>) -> HoldRef {
    let (room, from, life) = (words.parse(), words.parse(), words.value("life"));
    HoldRef { room, life, from, ids: words.0.filter_map(id).collect() }
}

/// `TIME:LIFE:WHAT`, where what is `hold-INDEX-ORDINAL`, `id-ID` or `age`.
fn due(word: &str) -> Due {
    let mut parts = word.splitn(3, ':');
    let mut part = || parts.next().expect("one more part");
    let (time, life, what) = (part(), part(), part());
    let mut what = what.split('-');
    let mut part = || what.next().expect("one more part");
    let what = match part() {
        "hold" => DueKind::Hold(HoldId { index: part().parse().unwrap(), ordinal: part().parse().unwrap() }),
        "id" => DueKind::Id(id(part()).unwrap()),
        "age" => DueKind::Age,
        other => panic!("nothing is due that is called {other}"),
    };
    let (time, life): (_, LifeId) = (Timestamp(time.parse().unwrap()), life.parse().unwrap());
    Due { time, life, what }
}

fn id(word: &str) -> Option<MessageId> {
    Some(MessageId(word.parse::<u128>().ok()?.to_be_bytes()))
}

fn messages(words: &Words<'_>) -> Vec<NewMessage> {
    let sent = words.value("sent").map(Timestamp);
    words.0.clone().filter_map(|word| message(word, sent)).collect()
}

/// `ID=JSON` or `ID:bin=BYTES`.
fn message(word: &str, sent: Option<Timestamp>) -> Option<NewMessage> {
    let (id, data) = word.split_once('=')?;
    let (id, kind) = match id.strip_suffix(":bin") {
        Some(id) => (id, PayloadKind::Binary),
        None => (id, PayloadKind::Json),
    };
    let id = self::id(id)?;
    let bytes = Bytes::copy_from_slice(data.as_bytes());
    Some(NewMessage { id, sent, payload: Payload { kind, bytes } })
}
