//! What a subscription is told beside the messages: signals, who is there, and what is held if its client wants to see it.

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;

use roomkeeper_protocol::{Codec, Isolation, Push};
use roomkeeper_types::MessageId;
use tokio_tungstenite::tungstenite::Message;

use crate::hub::{EventKind, EventNumber, Found, Full, Membership, Subscriber, Told, Waiter, to_message};

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
    presence: Option<Presence>,
}

/// How a client becomes a member.
type Entrance = dyn Fn(&Subscriber) -> Result<Membership, Full> + Send;

/// A client that is a member.
struct Presence {
    /// `None`: it does not want to be told of the others.
    told: Option<Told>,
    /// `None`: the client says that it is not there at the moment.
    membership: Option<Membership>,
    /// To enter again.
    enter: Box<Entrance>,
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
        Self { ear, signals: numbers[EventKind::Signal as usize], holds, presence: None }
    }

    /// The client is a member from now on, and is told of the others if it wants to. `enter` makes it one, and is
    /// called again when it comes back after it said that it was away.
    ///
    /// # Errors
    /// The room is full.
    pub(crate) fn with_presence(
        self,
        subscriber: &Subscriber,
        is_told: bool,
        enter: impl Fn(&Subscriber) -> Result<Membership, Full> + Send + 'static,
    ) -> Result<Self, Full> {
        let membership = Some(enter(subscriber)?);
        let told = is_told.then_some(Told::Nothing);
        let presence = Presence { told, membership, enter: Box::new(enter) };
        Ok(Self { presence: Some(presence), ..self })
    }

    /// The client says whether it is there. Where others have filled the room meanwhile, it stays away.
    pub(crate) fn note_here(&mut self, subscriber: &Subscriber, here: bool) {
        let Some(presence) = &mut self.presence else { return };
        if !here {
            presence.membership = None;
        } else if presence.membership.is_none() {
            presence.membership = (presence.enter)(subscriber).ok();
        }
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
        let told = self.presence.as_mut().and_then(|presence| presence.told.as_mut());
        if let Some(told) = told
            && let Some((event, until)) = subscriber.company(*told)
        {
            *told = until;
            return Ok(Some(event.message(codec)));
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
