//! What a node without room owns is offered to others: beside the look at the disk, which no slow hand-over may delay.

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use roomkeeper_types::{NodeId, ShardId};

use crate::node::Shared;

/// How often shards are offered while there is no room.
const AGAIN: Duration = Duration::from_secs(5);
/// Shards that are offered at the same time.
const AT_ONCE: usize = 4;

/// Offers shards whenever there is no room, for ever.
pub(crate) async fn offer_shards(shared: Arc<Shared>) {
    loop {
        while !shared.space.is_full() {
            shared.space.filled.notified().await;
        }
        let owned = shared.table.held().into_iter().map(|held| offer(&shared, held.shard()));
        futures::stream::iter(owned).buffer_unordered(AT_ONCE).collect::<()>().await;
        tokio::time::sleep(AGAIN).await;
    }
}

/// Asks the other voters of a shard that is owned here to own it. One that has no room itself says no.
async fn offer(shared: &Shared, shard: ShardId) {
    let Some(local) = shared.shards.get(shard) else { return };
    let voters = local.group.status().voters;
    let others: Vec<NodeId> =
        voters.iter().map(|voter| voter.node).filter(|node| *node != shared.identity.node).collect();
    for node in others {
        match shared.hand_over(shard, node, "the disk is full").await {
            Ok(()) => return,
            Err(error) => tracing::debug!(%shard, %node, %error, "not taken"),
        }
    }
}
