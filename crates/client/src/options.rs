//! How a room is joined.

use roomkeeper_protocol::{From, Isolation};
use roomkeeper_types::ConsumerId;

/// How to receive a room's messages. A [`From`] alone is one too: `room.subscribe(From::Latest)`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SubscribeOptions {
    /// Where to start.
    pub from: From,
    /// The name of a durable cursor. With [`From::Committed`] it starts behind what was committed under that
    /// name, by whatever process; [`Subscription::commit`](crate::Subscription::commit) moves it.
    pub consumer: Option<ConsumerId>,
    /// How many messages the server may be ahead, at least 1. With a consumer: of what is committed, so that
    /// one that does not commit gets no more. Without one: of what is read. `None`: with a consumer, as many
    /// as is good of what is read; without one as many as the socket takes.
    pub credit: Option<u64>,
    /// Whether open holds are told too.
    pub isolation: Isolation,
    /// Whether to count as a member of the room, and to be told who else does. `None`: to count, where the room
    /// does count, without being told.
    pub presence: Option<bool>,
}

impl SubscribeOptions {
    /// What follows the durable cursor of that name.
    #[must_use]
    pub fn consumer(name: ConsumerId) -> Self {
        Self { from: From::Committed, consumer: Some(name), ..Self::default() }
    }
}

impl std::convert::From<From> for SubscribeOptions {
    fn from(from: From) -> Self {
        Self { from, ..Self::default() }
    }
}
