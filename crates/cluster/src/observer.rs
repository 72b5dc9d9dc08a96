//! Who is told of what was applied.

use roomkeeper_room::Effect;
use roomkeeper_types::ShardId;

/// Told of what was applied, on every replica (an owner or not), in log order, on the apply task, after the rows
/// are visible and before the senders have their outcomes. Must not block.
///
/// Not told of what reaches a replica inside a snapshot. After a restart, entries that were applied before may be
/// applied and told again.
pub trait Observer: Send + Sync + 'static {
    /// These effects of one run of entries are in the shard's rows. At least one.
    fn applied(&self, shard: ShardId, effects: Vec<Effect>);

    /// Who listens to rooms on this node, by the shards that hold the rooms; shards that nobody ever listened to are
    /// left out. Asked once a second. Must not block.
    fn audiences(&self) -> Vec<(ShardId, Audience)> {
        Vec::new()
    }
}

/// Who listens to a shard's rooms on a node.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Audience {
    /// Subscribers, now.
    pub subscribers: u64,
    /// Messages handed to them since the node started, each counted for each of them. Never falls.
    pub deliveries: u64,
}
