//! What happens in a room beside its messages: holds, which readers of isolation `uncommitted` are told of, and signals.
//!
//! As with messages, subscribers pull: each has a position in the room's newest events, and is woken when there are
//! more. There is no log behind them. Who is too far behind misses signals, which may be lost; of holds it is told
//! that it missed some.

use std::collections::VecDeque;
use std::sync::{Arc, OnceLock};

use roomkeeper_protocol::{Codec, Push};
use tokio_tungstenite::tungstenite::Message;

use super::frame::{ITEM_OVERHEAD, to_message};

/// Most events that a ring keeps.
const EVENTS_MAX: usize = 256;
/// Most bytes that a ring keeps, by [`Event::bytes`].
const BYTES_MAX: usize = 1 << 20;

/// One event on its way to a room's subscribers: encoded once per codec, shared by all.
pub(crate) struct Event {
    push: Push,
    json: OnceLock<Message>,
    proto: OnceLock<Message>,
}

impl Event {
    pub(crate) fn new(push: Push) -> Arc<Self> {
        Arc::new(Self { push, json: OnceLock::new(), proto: OnceLock::new() })
    }

    /// What it says.
    pub(crate) fn push(&self) -> &Push {
        &self.push
    }

    /// It as a message of the socket.
    pub(crate) fn message(&self, codec: Codec) -> Message {
        let slot = match codec {
            Codec::Json => &self.json,
            Codec::Proto => &self.proto,
        };
        slot.get_or_init(|| to_message(codec.encode_push(&self.push))).clone()
    }

    /// What it takes in memory, about.
    fn bytes(&self) -> usize {
        ITEM_OVERHEAD
            + match &self.push {
                Push::Held { items, .. } => {
                    items.iter().map(|item| ITEM_OVERHEAD + item.data.bytes().len()).sum()
                }
                Push::RolledBack { ids, .. } => ids.len() * size_of::<[u8; 16]>(),
                Push::Signal { data, .. } => data.bytes().len(),
                _ => 0,
            }
    }
}

/// Place of an event in its ring: counts from 0, for as long as the room has subscribers.
pub(crate) type EventNumber = u64;

/// The newest events of one kind.
#[derive(Default)]
pub(super) struct Ring {
    events: VecDeque<Arc<Event>>,
    bytes: usize,
    /// Number of the event that comes next.
    next: EventNumber,
}

/// What there is for a subscriber at some number.
pub(crate) enum Found {
    /// This event, which has that number.
    Event(Arc<Event>),
    /// Nothing yet.
    None,
    /// Events were dropped before they were taken; the oldest that is left has this number.
    Missed(EventNumber),
}

impl Ring {
    pub(super) fn push(&mut self, event: Arc<Event>) {
        self.bytes += event.bytes();
        self.events.push_back(event);
        self.next += 1;
        while self.events.len() > EVENTS_MAX || (self.bytes > BYTES_MAX && self.events.len() > 1) {
            if let Some(dropped) = self.events.pop_front() {
                self.bytes -= dropped.bytes();
            }
        }
    }

    /// Number of the event that comes next.
    pub(super) fn next(&self) -> EventNumber {
        self.next
    }

    pub(super) fn at(&self, number: EventNumber) -> Found {
        let oldest = self.next - self.events.len() as u64;
        if number < oldest {
            return Found::Missed(oldest);
        }
        match self.events.get((number - oldest) as usize) {
            Some(event) => Found::Event(event.clone()),
            None => Found::None,
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use roomkeeper_protocol::Data;

    use super::*;

    fn signal(bytes: usize) -> Arc<Event> {
        let data = Data::Binary(Bytes::from(vec![0; bytes]));
        Event::new(Push::Signal { room: "a".parse().unwrap(), from: "ann".parse().unwrap(), data })
    }

    #[test]
    fn ring_gives_each_event_once_in_order_and_then_nothing() {
        let mut ring = Ring::default();
        assert!(matches!(ring.at(0), Found::None));
        (0..3).for_each(|_| ring.push(signal(1)));
        for number in 0..3 {
            assert!(matches!(ring.at(number), Found::Event(_)));
        }
        assert!(matches!(ring.at(ring.next()), Found::None));
    }

    #[test]
    fn ring_that_is_full_says_what_was_missed() {
        let mut ring = Ring::default();
        (0..EVENTS_MAX + 7).for_each(|_| ring.push(signal(1)));
        assert!(matches!(ring.at(6), Found::Missed(7)));
        assert!(matches!(ring.at(7), Found::Event(_)));
        (0..3).for_each(|_| ring.push(signal(BYTES_MAX / 2)));
        assert!(ring.events.len() <= 2, "bytes bound it too");
        assert!(matches!(ring.at(ring.next() - 1), Found::Event(_)), "the newest always stays");
    }
}
