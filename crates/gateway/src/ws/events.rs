//! What a subscription is told beside the messages: signals, and holds if its client wants to see them.

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;

use roomkeeper_protocol::{Codec, Isolation, Push};
use roomkeeper_types::MessageId;
use tokio_tungstenite::tungstenite::Message;

use crate::hub::{EventKind, EventNumber, Found, Subscriber, Waiter, to_message};

/// Holds were made or dropped that the client was not told of: it joins again, and gets all that are open.
#[derive(Debug, thiserror::Error)]
#[error("the client was too slow to hear of every hold")]
pub(crate) struct HoldsMissed;

/// A subscription's place in what happens in its room.
pub(crate) struct Events {
    ear: Arc<Waiter>,
    signals: EventNumber,
    /// `None`: the client does not want to see what is held.
    holds: Option<Holds>,
}

struct Holds {
    number: EventNumber,
    /// Holds that were open when the client joined and that it was not sent yet.
    open: VecDeque<Push>,
    /// The first id of each of those: the same may come again as an event.
    known: HashSet<MessageId>,
}

impl Events {
    /// From here on nothing is missed. Holds that are open are read behind this.
    pub(crate) fn new(subscriber: &Subscriber, ear: Arc<Waiter>, isolation: Isolation) -> Self {
        let numbers = subscriber.listen(ear.clone());
        let holds = || Holds {
            number: numbers[EventKind::Hold as usize],
            open: VecDeque::new(),
            known: HashSet::new(),
        };
        let holds = (isolation == Isolation::Uncommitted).then(holds);
        Self { ear, signals: numbers[EventKind::Signal as usize], holds }
    }

    /// The client is sent these `held` pushes first.
    pub(crate) fn with_open(mut self, open: Vec<Push>) -> Self {
        if let Some(holds) = &mut self.holds {
            holds.known = open.iter().filter_map(first_id).collect();
            holds.open = open.into();
        }
        self
    }

    /// What the client is told next.
    ///
    /// # Errors
    /// It was not told of some hold, and will not be.
    pub(crate) fn next(
        &mut self,
        subscriber: &Subscriber,
        codec: Codec,
    ) -> Result<Option<Message>, HoldsMissed> {
        self.ear.taken();
        if let Some(holds) = &mut self.holds
            && let Some(message) = holds.next(subscriber, codec)?
        {
            return Ok(Some(message));
        }
        loop {
            match subscriber.event(EventKind::Signal, self.signals) {
                Found::Event(event) => {
                    self.signals += 1;
                    return Ok(Some(event.message(codec)));
                }
                // Signals are sent at most once.
                Found::Missed(oldest) => self.signals = oldest,
                Found::None => return Ok(None),
            }
        }
    }
}

impl Holds {
    fn next(&mut self, subscriber: &Subscriber, codec: Codec) -> Result<Option<Message>, HoldsMissed> {
        if let Some(open) = self.open.pop_front() {
            return Ok(Some(to_message(codec.encode_push(&open))));
        }
        loop {
            let event = match subscriber.event(EventKind::Hold, self.number) {
                Found::Event(event) => event,
                Found::None => return Ok(None),
                Found::Missed(_) => return Err(HoldsMissed),
            };
            self.number += 1;
            // What was held between the registration and the look at the rows was sent already.
            let is_known = first_id(event.push()).is_some_and(|id| self.known.remove(&id));
            if !is_known {
                return Ok(Some(event.message(codec)));
            }
        }
    }
}

/// The first message of a `held` push.
fn first_id(push: &Push) -> Option<MessageId> {
    match push {
        Push::Held { items, .. } => items.first().map(|item| item.id),
        _ => None,
    }
}
