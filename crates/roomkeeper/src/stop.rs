//! Asked to stop: once in good order, a second time at once.

use std::time::{Duration, Instant};

use roomkeeper_cluster::Node;
use roomkeeper_gateway::Drain;
use tokio::io::AsyncReadExt;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// How long a node that owns nothing any more still takes requests: other nodes may have redirected them to it
/// before they heard, and load balancers look at `/readyz` only now and then.
const LINGER: Duration = Duration::from_millis(500);
/// What is left for closing sockets when handing over took all the time.
const DISMISS_MIN: Duration = Duration::from_millis(500);

/// What the node was asked for.
#[derive(Debug, Clone, Default)]
pub(crate) struct Asked {
    /// To stop in good order.
    pub(crate) stop: CancellationToken,
    /// To stop at once.
    pub(crate) at_once: CancellationToken,
}

impl Asked {
    /// Listens to SIGINT and SIGTERM, of which a second one means at once, and to the end of standard input if
    /// that is wanted.
    ///
    /// # Errors
    /// Signals cannot be handled.
    pub(crate) fn listen(until_stdin_closes: bool) -> std::io::Result<Self> {
        let (mut interrupt, mut terminate) =
            (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
        let asked = Self::default();
        let told = asked.clone();
        tokio::spawn(async move {
            tokio::select! {
                () = either(&mut interrupt, &mut terminate) => {}
                () = input_closed(until_stdin_closes) => {}
            }
            told.stop.cancel();
            either(&mut interrupt, &mut terminate).await;
            told.at_once.cancel();
        });
        Ok(asked)
    }
}

async fn either(interrupt: &mut Signal, terminate: &mut Signal) {
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
}

async fn input_closed(wanted: bool) {
    if !wanted {
        return std::future::pending().await;
    }
    let mut input = tokio::io::stdin();
    let mut ignored = [0; 64];
    // An error is as final as an end.
    while matches!(input.read(&mut ignored).await, Ok(1..)) {}
}

/// Leaves the cluster's work to others: rooms first, then the clients that are left. Takes `longest` at most, or a
/// little more where handing over took it all. Everything is served until it returns.
pub(crate) async fn leave(node: &Node, drain: &Drain, longest: Duration) {
    let begun = Instant::now();
    drain.begin();
    let drained = node.drain(begun + longest).await;
    let (handed_over, left) = (drained.handed_over, drained.left.len());
    if let Some((shard, reason)) = drained.left.first() {
        tracing::warn!(left, first = %shard, reason, "stopping as an owner: those shards have none for a moment");
    }
    tracing::info!(handed_over, left, took = ?begun.elapsed(), "rooms are handed over");
    if handed_over == 0 && left > 0 {
        // There is nobody to send clients to.
        return;
    }
    // Before anybody is dismissed: sockets still see through what they had under way when their room moved.
    tokio::time::sleep(LINGER).await;
    drain.dismiss(longest.saturating_sub(begun.elapsed()).max(DISMISS_MIN)).await;
}
