//! A small run with nothing wrong, for the checks' tests to spoil.

use std::time::{Duration, Instant};

use roomkeeper_protocol::{Data, Item};
use roomkeeper_types::{Epoch, MessageId, NodeId, Offset, RoomName, Timestamp};

use super::Violation;
use crate::history::{Copy, Fault, History, Outcome, RoomLog, Sent, Watch};

pub(super) fn room() -> RoomName {
    "general".parse().unwrap()
}

pub(super) fn id(number: u8) -> MessageId {
    MessageId([number; 16])
}

fn sent(writer: u32, numbers: &[u8], outcome: Outcome) -> Sent {
    let messages = numbers.iter().map(|n| (id(*n), n.to_string().into())).collect();
    Sent { room: room(), writer, messages, outcome }
}

pub(super) fn acked(at: Instant, offsets: &[u64]) -> Outcome {
    Outcome::Acked { at, epoch: Epoch(1), offsets: offsets.iter().copied().map(Offset).collect() }
}

/// Writer 0 sends 1, the batch 2 and 3, and 5; writer 1 sends 4, and 9 in vain. One is killed in between.
pub(super) fn run() -> History {
    let start = Instant::now();
    let at = |ms| start + Duration::from_millis(ms);
    let unknown = Outcome::Unknown("no answer".to_owned());
    History {
        sends: vec![
            sent(0, &[1], acked(at(1), &[1])),
            sent(0, &[2, 3], acked(at(2), &[2, 3])),
            sent(1, &[4], acked(at(8), &[4])),
            sent(1, &[9], unknown),
            sent(0, &[5], acked(at(9), &[5])),
        ],
        watches: vec![Watch {
            room: room(),
            from: Offset(1),
            items: (1..=5).map(|n| (Offset(u64::from(n)), id(n))).collect(),
            error: None,
        }],
        faults: vec![Fault { at: at(5), what: "kill -9 of node 0".to_owned() }],
    }
}

pub(super) fn item(offset: u64, number: u8) -> Item {
    Item {
        offset: Offset(offset),
        epoch: Epoch(1),
        id: id(number),
        from: "ann".parse().unwrap(),
        time: Timestamp(0),
        sent: None,
        data: Data::Json(number.to_string().into()),
    }
}

/// What the cluster should hold after [`run`].
pub(super) fn log() -> RoomLog {
    let copy = |node| Copy { node: NodeId(node), next: Offset(6), hash: "abc".to_owned() };
    RoomLog {
        room: room(),
        next: Offset(6),
        items: (1..=5).map(|n| item(u64::from(n), n)).collect(),
        replicas: vec![NodeId(1), NodeId(2), NodeId(3)],
        copies: vec![copy(1), copy(2), copy(3)],
    }
}

/// Fails unless a violation says so.
#[track_caller]
pub(super) fn assert_found(violations: &[Violation], words: &str) {
    let found = violations.iter().any(|violation| violation.what.contains(words));
    assert!(found, "nobody found '{words}': {violations:?}");
}
