//! A new owner tells all nodes at once.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use parking_lot::Mutex;
use roomkeeper_types::ShardId;
use tokio::sync::Notify;

use crate::node::Shared;
use crate::peer::{Fact, Request};

/// A node that does not take an announcement in this time learns of it by the next digest.
const ANNOUNCE_TIMEOUT: Duration = Duration::from_millis(500);

/// What is to be announced. At most one fact per shard waits: a newer one replaces it.
#[derive(Default)]
pub(crate) struct Announcer {
    pending: Mutex<BTreeMap<ShardId, Fact>>,
    wake: Notify,
}

impl Announcer {
    /// Tells all nodes soon.
    pub(crate) fn announce(&self, fact: Fact) {
        self.pending.lock().insert(fact.shard, fact);
        self.wake.notify_one();
    }

    fn take(&self) -> Vec<Fact> {
        std::mem::take(&mut *self.pending.lock()).into_values().collect()
    }
}

/// Sends what is pending, for ever. A silent node holds up nobody.
pub(crate) async fn announce(shared: Arc<Shared>) {
    let mut sending = FuturesUnordered::new();
    loop {
        tokio::select! {
            () = shared.announcer.wake.notified() => {}
            Some(()) = sending.next() => continue,
        }
        let facts = shared.announcer.take();
        if facts.is_empty() {
            continue;
        }
        let request = Request::Announce(facts).encode();
        for node in shared.other_nodes() {
            let (shared, request) = (shared.clone(), request.clone());
            sending.push(async move {
                match shared.consensus.ask(node, request, ANNOUNCE_TIMEOUT).await {
                    Ok(_) => {}
                    Err(error) => tracing::debug!(%node, %error, "announcement not delivered"),
                }
            });
        }
    }
}
