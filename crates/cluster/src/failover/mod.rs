//! Fail-over that does not wait for Raft's timers.
//!
//! 1. A node that suspects another one (see [`crate::pings`]) asks the other voters of every group that the suspect
//!    leads, in one message per node.
//! 2. A majority of a group's voters must call the leader dead, and nobody may have heard it just now.
//! 3. The voter with the greatest log campaigns at once, past the lease of the dead leader; the others leave it to
//!    that one. While nobody leads this is repeated a few times; after that Raft's own timers decide.
//! 4. A voter that hears the suspect ends the accusation, and the accuser waits longer each time, so that a bad
//!    link between two nodes does not flap owners.
//!
//! Nothing here is needed for safety: who is elected, and that an epoch has one owner, is Raft's. A false alarm
//! costs a hand-over, never a message.

mod accuse;
mod backoff;
mod pursue;
mod verdict;

pub(crate) use accuse::Accusation;
pub(crate) use pursue::pursue_suspects;
pub(crate) use verdict::Testimony;

use std::collections::HashMap;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use roomkeeper_types::{NodeId, ShardId};
use tokio::sync::Notify;

/// A reason that is older than this is not the reason of what happens now.
const REASON_VALID: Duration = Duration::from_secs(5);

/// What fail-over keeps between its rounds.
#[derive(Default)]
pub(crate) struct Failover {
    /// Woken when another node accuses somebody: two that suspect the same should not wait for each other.
    accused: Notify,
    /// Why this node campaigns for a shard, and since when its former owner was suspected.
    reasons: Mutex<HashMap<ShardId, (String, Instant)>>,
}

impl Failover {
    /// Somebody accused the node; whoever suspects it too looks again now.
    pub(crate) fn nudge(&self, node: NodeId) {
        tracing::trace!(%node, "accused by another node");
        self.accused.notify_waiters();
    }

    /// This node campaigns for the shard, for this reason.
    pub(crate) fn set_reason(&self, shard: ShardId, reason: String, since: Instant) {
        self.reasons.lock().insert(shard, (reason, since));
    }

    /// Why this node was elected, if it is known, and how long that took.
    pub(crate) fn take_reason(&self, shard: ShardId) -> Option<(String, Duration)> {
        let (reason, since) = self.reasons.lock().remove(&shard)?;
        let took = since.elapsed();
        (took < REASON_VALID).then_some((reason, took))
    }
}
