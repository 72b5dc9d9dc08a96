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
}
