//! Who is there: nodes ping each other on connections and an OS thread of their own, so that neither a busy
//! runtime nor a slow group makes a node look dead.
//!
//! Every node dials every other one at its peer address; connections that begin as one of ours are handed over by
//! the peer listener ([`split`]). What was heard goes into the pure [`detector`]; the rest of the node asks
//! [`Pings`] and follows its changes.

mod answer;
mod detector;
mod dial;
mod frame;
mod split;
mod thread;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use roomkeeper_types::{ClusterId, NodeId};
use tokio::net::TcpStream;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

pub(crate) use detector::{Cause, Opinion, Rhythm, Suspicion};
pub(crate) use split::split_incoming;
pub(crate) use thread::{PingThread, Surroundings};

use detector::{Detector, Health, Incarnation, Tick};
use frame::Hello;

/// A node that was not heard of for longer than this is shown as not alive. For people to read, and for planned
/// changes to wait for; fail-over looks at suspicions.
const SILENCE_SHOWN: Duration = Duration::from_secs(3);

/// Ping connections that wait for the thread. When it is full a connection is closed and its node dials again.
const ARRIVALS_MAX: usize = 64;

/// What is known of other nodes from their pings. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Pings {
    inner: Arc<Inner>,
}

struct Inner {
    cluster: ClusterId,
    me: NodeId,
    incarnation: Incarnation,
    secret: Option<String>,
    rhythm: Rhythm,
    detector: Mutex<Detector>,
    /// Counts changes of what is thought of anybody.
    changes: watch::Sender<u64>,
    unfit: AtomicBool,
    leaving: AtomicBool,
    arrivals: mpsc::Sender<TcpStream>,
    waiting: Mutex<Option<mpsc::Receiver<TcpStream>>>,
    stop: CancellationToken,
}

impl Pings {
    pub(crate) fn new(cluster: ClusterId, me: NodeId, secret: Option<String>, rhythm: Rhythm) -> Self {
        let (arrivals, waiting) = mpsc::channel(ARRIVALS_MAX);
        let inner = Inner {
            cluster,
            me,
            incarnation: rand::random(),
            secret,
            rhythm,
            detector: Mutex::new(Detector::new(rhythm, Instant::now())),
            changes: watch::Sender::default(),
            unfit: AtomicBool::new(false),
            leaving: AtomicBool::new(false),
            arrivals,
            waiting: Mutex::new(Some(waiting)),
            stop: CancellationToken::new(),
        };
        Self { inner: Arc::new(inner) }
    }

    /// Wakes when what is thought of any node changed.
    pub(crate) fn changes(&self) -> watch::Receiver<u64> {
        self.inner.changes.subscribe()
    }

    /// Everybody who is thought not to lead.
    pub(crate) fn suspicions(&self) -> Vec<Suspicion> {
        self.inner.detector.lock().suspicions()
    }

    /// Why the node is thought not to lead, if it is.
    pub(crate) fn suspicion(&self, node: NodeId) -> Option<Suspicion> {
        self.inner.detector.lock().suspicion(node)
    }

    /// Whether nothing is heard of the node, or its process is known to be gone. Never of this node itself.
    pub(crate) fn is_gone(&self, node: NodeId) -> bool {
        let cause = self.suspicion(node).map(|suspicion| suspicion.cause);
        matches!(cause, Some(Cause::Silent | Cause::Refused))
    }

    /// What to say of the node.
    pub(crate) fn opinion(&self, node: NodeId) -> Opinion {
        self.inner.detector.lock().opinion(node, Instant::now())
    }

    /// Whether the node was heard within the last three seconds and is not known to be gone.
    pub(crate) fn is_alive(&self, node: NodeId) -> bool {
        let detector = self.inner.detector.lock();
        let refused = matches!(detector.suspicion(node), Some(Suspicion { cause: Cause::Refused, .. }));
        !refused && detector.last_heard(node).is_some_and(|heard| heard.elapsed() < SILENCE_SHOWN)
    }

    /// Whether this node calls itself unfit to lead.
    pub(crate) fn is_unfit_here(&self) -> bool {
        self.inner.unfit.load(Ordering::Acquire)
    }

    /// From now on this node tells the others whether it is fit to lead. Returns whether that is news.
    pub(crate) fn set_unfit(&self, unfit: bool) -> bool {
        let news = self.inner.unfit.swap(unfit, Ordering::AcqRel) != unfit;
        if news {
            self.inner.changed();
        }
        news
    }

    /// Whether the node said that it is about to stop.
    pub(crate) fn is_leaving(&self, node: NodeId) -> bool {
        self.inner.detector.lock().is_leaving(node)
    }

    /// Whether this node is about to stop.
    pub(crate) fn is_leaving_here(&self) -> bool {
        self.inner.leaving.load(Ordering::Acquire)
    }

    /// From now on this node tells the others that it is about to stop.
    pub(crate) fn set_leaving(&self) {
        self.inner.leaving.store(true, Ordering::Release);
    }

    /// Ends the thread and closes its connections: others find this node gone at once.
    pub(crate) fn stop(&self) {
        self.inner.stop.cancel();
    }
}

impl Inner {
    /// Changes what is known and wakes whoever follows it, if that was news.
    fn update(&self, change: impl FnOnce(&mut Detector, Instant) -> bool) {
        let news = change(&mut self.detector.lock(), Instant::now());
        if news {
            self.changed();
        }
    }

    fn tick(&self) -> Tick {
        let tick = self.detector.lock().tick(Instant::now());
        if tick.changed {
            self.changed();
        }
        tick
    }

    fn changed(&self) {
        self.changes.send_modify(|count| *count += 1);
    }

    fn health(&self) -> Health {
        Health { unfit: self.unfit.load(Ordering::Acquire), leaving: self.leaving.load(Ordering::Acquire) }
    }

    fn hello(&self, to: NodeId, secret: Option<String>) -> Hello {
        Hello { cluster: self.cluster, from: self.me, to, incarnation: self.incarnation, secret }
    }
}
