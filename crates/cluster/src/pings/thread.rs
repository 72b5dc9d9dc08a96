//! The thread that pings live on.

use std::collections::HashMap;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use roomkeeper_types::NodeId;
use tokio::net::TcpStream;
use tokio::sync::{mpsc, watch};
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::{MissedTickBehavior, interval};

use super::answer::answer;
use super::dial::dial;
use super::{Inner, Pings};

/// What the thread asks of its node.
pub(crate) struct Surroundings {
    /// The peer address of a node, if it is known.
    pub(crate) address: Box<dyn Fn(NodeId) -> Option<String> + Send + Sync>,
    /// The other nodes; told whenever they change.
    pub(crate) others: watch::Receiver<Vec<NodeId>>,
    /// For how long the disk has not answered.
    pub(crate) disk_stalled_for: Box<dyn Fn() -> Duration + Send + Sync>,
    /// A node whose disk has not answered for so long is unfit to lead.
    pub(crate) stall_max: Duration,
}

/// Ends with [`Pings::stop`].
pub(crate) struct PingThread(std::thread::JoinHandle<()>);

impl PingThread {
    /// # Errors
    /// The system gives no thread, or nothing to wait on.
    pub(crate) fn start(pings: &Pings, around: Surroundings) -> io::Result<Self> {
        let inner = pings.inner.clone();
        let arrivals = inner.waiting.lock().take();
        let arrivals = arrivals.ok_or_else(|| io::Error::other("the ping thread was started twice"))?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let stop = inner.stop.clone();
        let pings = pings.clone();
        let body = move || {
            runtime.block_on(stop.run_until_cancelled(run(pings, around, arrivals)));
            // A name that is being looked up holds nobody up.
            runtime.shutdown_background();
        };
        std::thread::Builder::new().name("pings".to_owned()).spawn(body).map(Self)
    }

    /// Waits for its end; blocks.
    pub(crate) fn join(self) {
        if self.0.join().is_err() {
            tracing::error!("the ping thread panicked");
        }
    }
}

async fn run(pings: Pings, around: Surroundings, mut arrivals: mpsc::Receiver<TcpStream>) {
    let inner = pings.inner.clone();
    let around = Arc::new(around);
    let mut others = around.others.clone();
    let mut answers = JoinSet::new();
    let mut dials = Dials::default();
    let mut ticks = interval(inner.rhythm.interval);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    dials.follow(&inner, &around, &others.borrow_and_update().clone());
    loop {
        tokio::select! {
            _ = ticks.tick() => {
                if let Some(slept) = inner.tick().slept {
                    tracing::warn!(?slept, "this node was asleep: what it thought of others is forgotten");
                }
                look_at_disk(&pings, &around);
            }
            Some(stream) = arrivals.recv() => {
                // Registered with this runtime from now on.
                match stream.into_std().and_then(TcpStream::from_std) {
                    Ok(stream) => drop(answers.spawn(answer(inner.clone(), stream))),
                    Err(error) => tracing::debug!(%error, "a ping connection was lost"),
                }
            }
            Some(_) = answers.join_next() => {}
            Ok(()) = others.changed() => dials.follow(&inner, &around, &others.borrow_and_update().clone()),
        }
    }
}

/// A node whose disk hangs says so, as long as it does.
fn look_at_disk(pings: &Pings, around: &Surroundings) {
    let stalled = (around.disk_stalled_for)();
    let unfit = stalled >= around.stall_max;
    if pings.set_unfit(unfit) {
        match unfit {
            true => tracing::error!(?stalled, "the disk hangs: this node is unfit to own anything"),
            false => tracing::warn!("the disk answers again: this node is fit to own shards"),
        }
    }
}

/// The connections to others; all end when this is dropped.
#[derive(Default)]
struct Dials {
    tasks: JoinSet<()>,
    by_node: HashMap<NodeId, AbortHandle>,
}

impl Dials {
    fn follow(&mut self, inner: &Arc<Inner>, around: &Arc<Surroundings>, nodes: &[NodeId]) {
        inner.update(|detector, now| {
            detector.set_peers(nodes, now);
            true
        });
        self.by_node.retain(|node, task| {
            let stays = nodes.contains(node);
            if !stays {
                task.abort();
            }
            stays
        });
        for node in nodes {
            let start = || self.tasks.spawn(dial(inner.clone(), around.clone(), *node));
            self.by_node.entry(*node).or_insert_with(start);
        }
        // Those that were aborted.
        while self.tasks.try_join_next().is_some() {}
    }
}
