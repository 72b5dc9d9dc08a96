//! What must hold in every state, and what must happen in some.

use stateright::{Model, Property};

use crate::protocol::{Protocol, Step};
use crate::state::{Message, Reader, Stage, State, Wrong};

pub(crate) const LOST: &str = "what was acked is stored at the offset that was told";
pub(crate) const DOUBLED: &str = "a message is stored once";
pub(crate) const DISAGREE: &str = "all acks of a message name one offset";
pub(crate) const TWO_OWNERS: &str = "one node acks in an epoch";
pub(crate) const LATE_ACK: &str = "nothing sent after an ack of an epoch is acked in an earlier one";
pub(crate) const LATE_READ: &str = "nothing asked after an ack of an epoch is served in an earlier one";
pub(crate) const STALE_READ: &str = "a read shows what was acked before it";
pub(crate) const ORDER: &str = "messages of a connection are stored in their order";
pub(crate) const HARMLESS: &str = "a planned hand-over leaves no publish without its answer";

impl Model for Protocol {
    type State = State;
    type Action = Step;

    fn init_states(&self) -> Vec<State> {
        vec![self.beginning()]
    }

    fn actions(&self, state: &State, steps: &mut Vec<Step>) {
        // Nothing follows what is wrong. (Not by a boundary: what is beyond one is not looked at.)
        if state.wrong.is_none() {
            self.steps(state, steps);
        }
    }

    fn next_state(&self, state: &State, step: Step) -> Option<State> {
        Some(self.after(state, step))
    }

    fn properties(&self) -> Vec<Property<Self>> {
        let mut properties = vec![
            Property::always(LOST, |model: &Self, state: &State| model.told_is_stored(state)),
            Property::always(DOUBLED, |model: &Self, state: &State| model.stored_once(state)),
            Property::always(ORDER, |model: &Self, state: &State| model.in_order(state)),
            Property::always(HARMLESS, |model: &Self, state: &State| model.hand_over_is_harmless(state)),
            Property::always(DISAGREE, |_, state: &State| state.wrong != Some(Wrong::AcksDisagree)),
            Property::always(TWO_OWNERS, |_, state: &State| state.wrong != Some(Wrong::TwoOwners)),
            Property::always(LATE_ACK, |_, state: &State| state.wrong != Some(Wrong::LateAck)),
            Property::always(LATE_READ, |_, state: &State| state.wrong != Some(Wrong::LateRead)),
            Property::always(STALE_READ, |_, state: &State| state.wrong != Some(Wrong::StaleRead)),
            Property::sometimes("everything is acked", |_, state: &State| {
                state.told.iter().all(Option::is_some)
            }),
            Property::sometimes("an owner that was elected acks", |_, state: &State| {
                state.completed == 2 && !state.leaders[1].planned
            }),
            Property::sometimes("an owner by hand-over acks what was sent before", |_, state: &State| {
                state.completed == 2 && state.leaders[1].planned && state.was_sent_early_and_once()
            }),
            Property::sometimes("a zombie owns after its successor acked", |_, state: &State| {
                state.completed == 2 && state.nodes.iter().any(|node| node.owns == 1)
            }),
        ];
        if self.connections > 1 {
            properties.push(Property::sometimes("a retry is known", |model: &Self, state: &State| {
                model.retry_was_known(state)
            }));
            properties.push(Property::sometimes("a retry is stored first", |model: &Self, state: &State| {
                model.retry_was_stored(state)
            }));
        }
        if self.reads {
            properties.push(Property::sometimes("a read is served by the next owner", |_, state: &State| {
                matches!(state.reader, Reader::Confirmed { epoch: 2, .. })
            }));
        }
        properties
    }
}

impl Protocol {
    fn told_is_stored(&self, state: &State) -> bool {
        let stored = self.room(&state.log).stored;
        let stands = |message: Message, offset: u8| stored.get(offset as usize - 1) == Some(&message);
        (0..).zip(&state.told).all(|(message, told)| told.is_none_or(|offset| stands(message, offset)))
    }

    fn stored_once(&self, state: &State) -> bool {
        let mut stored = self.room(&state.log).stored;
        stored.sort_unstable();
        stored.windows(2).all(|pair| pair[0] != pair[1])
    }

    /// Of each client the first ones are stored, in their order.
    fn in_order(&self, state: &State) -> bool {
        let stored = self.room(&state.log).stored;
        let place = |message| stored.iter().position(|stored| *stored == message);
        (0..self.clients.len() as u8).all(|client| {
            let places: Vec<_> = self.messages_of(client).map(place).collect();
            places.windows(2).all(|pair| match (pair[0], pair[1]) {
                (Some(before), Some(after)) => before < after,
                (None, Some(_)) => false,
                (_, None) => true,
            })
        })
    }

    /// Where nothing happened but hand-overs, nobody was left without an answer.
    fn hand_over_is_harmless(&self, state: &State) -> bool {
        let planned = state.leaders.iter().skip(1).all(|leader| leader.planned);
        let quiet = planned && state.crashes_left == self.crashes;
        let mut items = self.items(state);
        !quiet || !items.any(|(item, _, stage)| stage == Stage::Unknown && state.is_heard(item))
    }

    /// Proposed twice, stored once, and acked.
    fn retry_was_known(&self, state: &State) -> bool {
        let outcomes = self.room(&state.log).outcomes.into_iter();
        outcomes.filter(|(_, _, known)| *known).any(|(item, ..)| state.told[item.message as usize].is_some())
    }

    /// The first attempt ended unknown and was never committed; another one is acked.
    fn retry_was_stored(&self, state: &State) -> bool {
        let committed = |item| state.log.iter().any(|entry| entry.items.contains(&item));
        self.items(state).any(|(item, _, stage)| {
            stage == Stage::Unknown && state.told[item.message as usize].is_some() && !committed(item)
        })
    }
}
