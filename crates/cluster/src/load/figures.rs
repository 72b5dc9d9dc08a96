//! The figures of a load, and what they cost.

use std::ops::AddAssign;

use serde::{Deserialize, Serialize};

/// What a node or a shard has to do, on average over the last ten seconds or so.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Load {
    /// Messages stored a second.
    pub messages_per_s: u64,
    /// Bytes of their payloads a second.
    pub bytes_per_s: u64,
    /// Messages handed to subscribers a second, each counted for each of them.
    pub deliveries_per_s: u64,
    /// Subscribers, now.
    pub subscribers: u64,
}

impl Load {
    /// Roughly what it costs: microseconds of a core per second, by `docs/benchmarks.md`. Only good for comparing.
    pub(super) fn cost(&self) -> u64 {
        let parts = [
            // 25 to 30 µs over three nodes.
            self.messages_per_s.saturating_mul(10),
            // Copied, hashed, synced and sent to two replicas.
            self.bytes_per_s >> 10,
            // 1.3 to 2.3 million a second on two cores.
            self.deliveries_per_s,
            // Heartbeats and pings.
            self.subscribers.saturating_mul(10),
        ];
        parts.into_iter().fold(0, u64::saturating_add)
    }
}

impl AddAssign for Load {
    fn add_assign(&mut self, other: Self) {
        self.messages_per_s = self.messages_per_s.saturating_add(other.messages_per_s);
        self.bytes_per_s = self.bytes_per_s.saturating_add(other.bytes_per_s);
        self.deliveries_per_s = self.deliveries_per_s.saturating_add(other.deliveries_per_s);
        self.subscribers = self.subscribers.saturating_add(other.subscribers);
    }
}
