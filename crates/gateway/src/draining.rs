//! A planned stop: clients go elsewhere before the node does, a few at a time.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::edge::Edge;
use crate::route::spread;

/// How far a planned stop has come.
#[derive(Default)]
pub(crate) struct Draining {
    /// No new clients should come.
    begun: CancellationToken,
    /// Those that are left are sent away, spread over the time that is set before.
    dismissed: CancellationToken,
    within: OnceLock<Duration>,
}

impl Draining {
    /// Whether it has begun.
    pub(crate) fn has_begun(&self) -> bool {
        self.begun.is_cancelled()
    }

    /// Resolves when it is the caller's turn to go: each one's is another.
    pub(crate) async fn dismissed(&self) {
        self.dismissed.cancelled().await;
        let within = self.within.get().copied().unwrap_or_default();
        tokio::time::sleep(within.mul_f64(rand::random())).await;
    }
}

/// Leads a planned stop of a gateway that serves.
#[derive(Clone)]
pub struct Drain {
    edge: Arc<Edge>,
}

impl Drain {
    pub(crate) fn new(edge: Arc<Edge>) -> Self {
        Self { edge }
    }

    /// From now on `/readyz` says `draining`, and HTTP connections end with the answer that they wait for.
    /// Everything is still served. Room sockets are sent to the new owners as their rooms move.
    pub fn begin(&self) {
        self.edge.draining.begun.cancel();
    }

    /// Closes what is left (session sockets, relayed ones, rooms that nobody took) with 4301, spread over a
    /// time that grows with their number, `longest` at most. Returns when that time is over.
    pub async fn dismiss(&self, longest: Duration) {
        let within = spread(self.edge.tasks.len()).min(longest);
        let within = *self.edge.draining.within.get_or_init(|| within);
        self.edge.draining.dismissed.cancel();
        tokio::time::sleep(within).await;
    }
}
