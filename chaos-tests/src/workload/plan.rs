//! How much load, and of which kind.

use std::ops::RangeInclusive;
use std::time::Duration;

use rand::SeedableRng;
use rand::rngs::StdRng;
use roomkeeper_types::{RoomName, UserId};

use crate::check::counts;
use crate::history::Gate;

/// What to run. Everything random follows from `seed`.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Rooms, created by the first publish or join.
    pub rooms: Vec<RoomName>,
    /// Writers of each room.
    pub writers: u32,
    /// Subscribers of each room, from the beginning on; every other one through a node that relays.
    pub watchers: u32,
    /// Readers of each room, who ask its owner where it stands.
    pub readers: u32,
    /// Publishes that a writer has under way.
    pub window: usize,
    /// A writer's pause between two publishes.
    pub pause: Duration,
    /// A reader's pause between two reads.
    pub read_pause: Duration,
    /// Every so many publishes of a writer one has several messages; 0: none.
    pub bulk_every: u64,
    /// How many messages those have.
    pub bulk: RangeInclusive<usize>,
    /// Bytes that a message is filled up with.
    pub filling: RangeInclusive<usize>,
    /// Every so many acked publishes one is published again through another node; 0: none, 1: all. Those
    /// that end unknown always are.
    pub retry_every: u64,
    /// The first subscriber of each room crashes after about this long, and another one goes on for it.
    pub churn: Option<Duration>,
    /// From a publish to its end, over all of the client's own retries: longer than an ordinary outage, so
    /// that an unknown outcome is the exception.
    pub deadline: Duration,
    /// The same for a retry through a chosen node, which may be dead.
    pub retry_deadline: Duration,
    /// In the first so many rooms there are also a durable consumer that is killed again and again, one who holds
    /// messages and subscribers who are told of them, and one who publishes on a condition.
    pub features: usize,
    /// Whether there are also members in them who come and go, and some who stay and are told of it. In the end it
    /// takes up to 8 s until a new owner knows who is there.
    pub members: bool,
    /// Whether guests try what their tokens do not allow: where nodes know the key of `admission`.
    pub guests: bool,
    /// Who all writers say they are: a message is known by its id only to the same sender.
    pub user: UserId,
    /// Decides sizes, ids and nodes.
    pub seed: u64,
}

impl Plan {
    /// A load that two cores can carry in a debug build: some 600 messages per second over `rooms` rooms
    /// named `PREFIX-n`.
    ///
    /// # Panics
    /// The prefix is not the beginning of a room's name.
    #[must_use]
    pub fn new(prefix: &str, rooms: u32) -> Self {
        let name = |n| match format!("{prefix}-{n}").parse() {
            Ok(name) => name,
            Err(error) => panic!("{prefix}-{n}: {error}"),
        };
        let user = match "chaos".parse() {
            Ok(user) => user,
            Err(error) => panic!("the writers' name: {error}"),
        };
        Self {
            rooms: (0..rooms).map(name).collect(),
            writers: 2,
            watchers: 2,
            readers: 1,
            window: 16,
            pause: Duration::from_millis(6) * rooms,
            read_pause: Duration::from_millis(50) * rooms,
            bulk_every: 10,
            bulk: 2..=8,
            filling: 0..=200,
            retry_every: 4,
            churn: None,
            deadline: Duration::from_secs(60),
            retry_deadline: Duration::from_secs(5),
            features: 0,
            members: true,
            guests: false,
            user,
            seed: 1,
        }
    }

    /// The rooms with more than messages.
    pub(super) fn featured(&self) -> &[RoomName] {
        &self.rooms[..self.features.min(self.rooms.len())]
    }

    /// What a run of this load has to show, or it proves nothing of the features.
    #[must_use]
    pub fn gates(&self) -> Vec<Gate> {
        let featured: &[(&str, u64)] = &[
            (counts::COMMITS, 20),
            (counts::REDELIVERED, 1),
            (counts::CREDIT_SPENT, 1),
            (counts::HOLDS_CONFIRMED, 3),
            (counts::HOLDS_ROLLED_BACK, 2),
            (counts::HOLDS_EXPIRED, 1),
            (counts::HELD_TOLD, 10),
            (counts::CONDITIONAL, 1),
            (counts::CONFLICTS, 1),
        ];
        let members: &[(&str, u64)] = &[(counts::PRESENCE_JOINS, 3), (counts::PRESENCE_LEAVES, 1)];
        let guests: &[(&str, u64)] =
            &[(counts::REFUSED_GUESTS, 10), (counts::TOLD_GUESTS, 10), (counts::TOKENS_RUN_OUT, 1)];
        let gates = |wanted: bool, gates: &[(&str, u64)]| -> Vec<Gate> {
            let gates = gates.iter().filter(|_| wanted);
            gates.map(|(count, at_least)| Gate::new(count, *at_least)).collect()
        };
        let has_members = self.features > 0 && self.members;
        [gates(self.features > 0, featured), gates(has_members, members), gates(self.guests, guests)].concat()
    }

    /// The random numbers of one part of the load: no part's depend on how fast another one is.
    pub(super) fn rng(&self, part: &str, number: usize) -> StdRng {
        let mut text = self.seed.to_be_bytes().to_vec();
        text.extend_from_slice(part.as_bytes());
        text.extend_from_slice(&number.to_be_bytes());
        StdRng::seed_from_u64(xxhash_rust::xxh3::xxh3_64(&text))
    }

    /// How long a subscriber waits for something while load goes on.
    pub(super) fn patience(&self) -> Duration {
        self.deadline
    }
}
