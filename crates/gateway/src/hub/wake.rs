//! How a connection learns which of its subscriptions have something.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;
use tokio::sync::Notify;

/// Names a subscription within its connection.
pub(crate) type SubscriptionId = u64;

/// The subscriptions of one connection that have something to send. Each stands in it at most once, so it is
/// bounded by their number.
#[derive(Default)]
pub(crate) struct Ready {
    ids: Mutex<Vec<SubscriptionId>>,
    notify: Notify,
}

impl Ready {
    /// Resolves when the list is not empty, or was not since the last call.
    pub(crate) async fn notified(&self) {
        self.notify.notified().await;
    }

    /// Moves the list's ids to the end of `into`.
    pub(crate) fn take(&self, into: &mut Vec<SubscriptionId>) {
        into.append(&mut self.ids.lock());
    }
}

/// One subscription's place in [`Ready`].
pub(crate) struct Waiter {
    id: SubscriptionId,
    ready: Arc<Ready>,
    listed: AtomicBool,
}

impl Waiter {
    pub(crate) fn new(id: SubscriptionId, ready: Arc<Ready>) -> Arc<Self> {
        Arc::new(Self { id, ready, listed: AtomicBool::new(false) })
    }

    /// Puts the subscription on the list. Costs one atomic swap where it is there already.
    pub(crate) fn wake(&self) {
        if !self.listed.swap(true, Ordering::AcqRel) {
            self.ready.ids.lock().push(self.id);
            self.ready.notify.notify_one();
        }
    }

    /// The subscription was taken from the list. To be called before looking for what it has, so that what
    /// comes while looking wakes it again.
    pub(crate) fn taken(&self) {
        self.listed.store(false, Ordering::Release);
    }
}
