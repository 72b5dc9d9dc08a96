//! Commands as the traces write them.

use std::fmt::Debug;
use std::str::{FromStr, SplitWhitespace};

use bytes::Bytes;
use roomkeeper_room::{Command, Create, Delete, NewMessage, Payload, PayloadKind, Publish, RoomOptions};
use roomkeeper_types::{LifeId, MessageId, Offset, Timestamp};

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

    pub(crate) fn flag(&self, name: &str) -> bool {
        self.0.clone().any(|word| word == name)
    }
}

pub(crate) fn command(line: &str) -> Command {
    let mut words = Words::of(line);
    match words.next() {
        "create" => {
            let room = words.parse();
            Command::Create(Create {
                room,
                exclusive: words.flag("exclusive"),
                options: RoomOptions::default(),
                placed: false,
            })
        }
        "delete" => {
            let room = words.parse();
            Command::Delete(Delete { room, life: life(&words) })
        }
        "publish" => {
            let (room, from) = (words.parse(), words.parse());
            let sent = words.option("sent").map(|sent| Timestamp(sent.parse().unwrap()));
            Command::Publish(Publish {
                room,
                from,
                life: life(&words),
                messages: words.0.clone().filter_map(|word| message(word, sent)).collect(),
                expect: words.option("expect").map(|offset| Offset(offset.parse().unwrap())),
                create: words.flag("create"),
                placed: false,
            })
        }
        other => panic!("no command is called {other}"),
    }
}

fn life(words: &Words<'_>) -> Option<LifeId> {
    words.option("life").map(|life| life.parse().unwrap())
}

/// `ID=JSON` or `ID:bin=BYTES`.
fn message(word: &str, sent: Option<Timestamp>) -> Option<NewMessage> {
    let (id, data) = word.split_once('=')?;
    let (id, kind) = match id.strip_suffix(":bin") {
        Some(id) => (id, PayloadKind::Binary),
        None => (id, PayloadKind::Json),
    };
    let id = MessageId(id.parse::<u128>().ok()?.to_be_bytes());
    let bytes = Bytes::copy_from_slice(data.as_bytes());
    Some(NewMessage { id, sent, payload: Payload { kind, bytes } })
}
