//! Bounds on what is not on disk: rows are flushed by bytes and by age, and the log is cut behind them.
//!
//! openraft's snapshot policy counts entries. What a restart replays and what the memory holds are bytes and
//! time, so this asks for a snapshot (a flush, see [`crate::machine`]) before either grows too much.

use std::collections::HashMap;
use std::time::Duration;

use roomkeeper_types::{LogPosition, ReplicaId};
use tokio::sync::watch;
use tokio::time::Instant;

use crate::raft_types::position;
use crate::registry::{Local, Registry};

/// How often replicas are looked at.
const INTERVAL: Duration = Duration::from_secs(5);
/// A replica whose rows hold more than this in memory is flushed. A node's replicas share 64 MiB, beyond which
/// RocksDB flushes by itself.
const BYTES_MAX: u64 = 4 << 20;
/// Rows that were applied this long ago are flushed.
const AGE_MAX: Duration = Duration::from_secs(60);

/// Since when a replica has had rows that are not on disk, and from which position on.
struct Unflushed {
    since: Instant,
    upto: LogPosition,
}

/// Flushes what is due, until the node stops.
pub(crate) async fn run(registry: Registry, mut stop: watch::Receiver<bool>) {
    let mut unflushed = HashMap::new();
    loop {
        tokio::select! {
            () = tokio::time::sleep(INTERVAL) => {}
            // A closed channel means that the node is gone: stop too.
            _ = stop.wait_for(|stop| *stop) => return,
        }
        for local in registry.all() {
            if is_due(&local, &mut unflushed)
                && let Err(error) = local.raft.trigger().snapshot().await
            {
                tracing::debug!(replica = %local.replica, %error, "a stopped replica is not flushed");
            }
        }
    }
}

fn is_due(local: &Local, unflushed: &mut HashMap<ReplicaId, Unflushed>) -> bool {
    let (applied, flushed) = {
        use openraft::async_runtime::watch::WatchReceiver;
        let metrics = local.raft.metrics();
        let metrics = metrics.borrow_watched();
        (metrics.last_applied.as_ref().map(position), metrics.snapshot.as_ref().map(position))
    };
    let Some(applied) = applied.filter(|applied| flushed < Some(*applied)) else {
        unflushed.remove(&local.replica);
        return false;
    };
    let now = Instant::now();
    let entry = unflushed.entry(local.replica).or_insert(Unflushed { since: now, upto: applied });
    if flushed >= Some(entry.upto) {
        *entry = Unflushed { since: now, upto: applied };
    }
    local.store.unflushed_bytes() > BYTES_MAX || now.duration_since(entry.since) > AGE_MAX
}
