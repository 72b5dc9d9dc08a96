//! Who listens to the rooms of each shard: what the node says of its load.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;
use roomkeeper_cluster::Audience;
use roomkeeper_types::ShardId;

/// Who listens to the rooms of one shard.
#[derive(Default)]
pub(super) struct Listeners {
    subscribers: AtomicU64,
    deliveries: AtomicU64,
}

impl Listeners {
    pub(super) fn came(&self) {
        self.subscribers.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn went(&self) {
        self.subscribers.fetch_sub(1, Ordering::Relaxed);
    }

    /// So many messages are there for so many of them.
    pub(super) fn delivered(&self, messages: u64, to: u64) {
        self.deliveries.fetch_add(messages.saturating_mul(to), Ordering::Relaxed);
    }
}

/// Listeners by shard. Shards that had some stay: a counter never falls.
#[derive(Default)]
pub(super) struct Audiences {
    shards: Mutex<BTreeMap<ShardId, Arc<Listeners>>>,
}

impl Audiences {
    pub(super) fn of(&self, shard: ShardId) -> Arc<Listeners> {
        self.shards.lock().entry(shard).or_default().clone()
    }

    pub(super) fn all(&self) -> Vec<(ShardId, Audience)> {
        let audience = |(shard, listeners): (&ShardId, &Arc<Listeners>)| {
            let subscribers = listeners.subscribers.load(Ordering::Relaxed);
            (*shard, Audience { subscribers, deliveries: listeners.deliveries.load(Ordering::Relaxed) })
        };
        self.shards.lock().iter().map(audience).collect()
    }
}
