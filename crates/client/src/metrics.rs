//! Counters of what a client went through, for tools that report it.

use std::sync::atomic::{AtomicU64, Ordering};

/// Counters shared by all rooms of a client, and by the clients made from it.
#[derive(Debug, Default)]
pub struct Metrics {
    connects: AtomicU64,
    reconnects: AtomicU64,
    redirects: AtomicU64,
    republished: AtomicU64,
    holes: AtomicU64,
    signals_dropped: AtomicU64,
}

/// The counters at one moment, each since the client was made.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Room sockets opened.
    pub connects: u64,
    /// Of these, the ones opened because an earlier one ended.
    pub reconnects: u64,
    /// Redirects followed, whether by a `307` or by a push.
    pub redirects: u64,
    /// Publishes sent again because their outcome was not known.
    pub republished: u64,
    /// Times that the server skipped a message, which it never should; what was missing was got otherwise.
    pub holes: u64,
    /// Signals that found the buffer of their subscription full.
    pub signals_dropped: u64,
}

impl Metrics {
    /// The counters now.
    pub fn counts(&self) -> Counts {
        Counts {
            connects: self.connects.load(Ordering::Relaxed),
            reconnects: self.reconnects.load(Ordering::Relaxed),
            redirects: self.redirects.load(Ordering::Relaxed),
            republished: self.republished.load(Ordering::Relaxed),
            holes: self.holes.load(Ordering::Relaxed),
            signals_dropped: self.signals_dropped.load(Ordering::Relaxed),
        }
    }

    pub(crate) fn connected(&self, again: bool) {
        self.connects.fetch_add(1, Ordering::Relaxed);
        if again {
            self.reconnects.fetch_add(1, Ordering::Relaxed);
        }
    }

    pub(crate) fn hole(&self) {
        self.holes.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn signal_dropped(&self) {
        self.signals_dropped.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn redirected(&self) {
        self.redirects.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn republished(&self, publishes: u64) {
        self.republished.fetch_add(publishes, Ordering::Relaxed);
    }
}
