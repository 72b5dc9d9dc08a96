//! One peer port for two kinds of connections: pings go to their thread, the rest to Raft's service.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use futures::Stream;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc};

use super::Pings;
use super::frame::MAGIC;

/// Connections that have not said yet what they are; further ones wait in the listener's backlog.
const UNDECIDED_MAX: usize = 256;
/// A connection says in this time what it is, or is closed.
const FIRST_BYTES: Duration = Duration::from_secs(5);
/// A connection that said a part of it is looked at again after so long.
const PEEK_PAUSE: Duration = Duration::from_millis(5);
/// After a failed accept (no file descriptors left) nothing is accepted for so long.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// Connections of the other kind that wait to be served.
const OTHERS_MAX: usize = 64;

/// The connections that are not pings, and what accepts all: it holds the listener, and is to be run beside the
/// service that takes the connections and dropped with it, so that the port is free when the service has ended.
pub(crate) fn split_incoming(
    listener: TcpListener,
    pings: Pings,
) -> (impl Stream<Item = io::Result<TcpStream>> + Send + Unpin, impl Future<Output = ()> + Send) {
    let (others, mut rest) = mpsc::channel(OTHERS_MAX);
    let incoming = futures::stream::poll_fn(move |context| rest.poll_recv(context));
    (incoming, accept(listener, pings, others))
}

/// Until nobody takes connections any more.
async fn accept(listener: TcpListener, pings: Pings, others: mpsc::Sender<io::Result<TcpStream>>) {
    let places = Arc::new(Semaphore::new(UNDECIDED_MAX));
    loop {
        let Ok(place) = places.clone().acquire_owned().await else { return };
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = others.closed() => return,
        };
        match accepted {
            Ok((stream, _)) => {
                let (pings, others) = (pings.clone(), others.clone());
                tokio::spawn(async move {
                    match tokio::time::timeout(FIRST_BYTES, sort(stream, &pings, &others)).await {
                        Ok(Ok(())) => {}
                        Ok(Err(error)) => tracing::debug!(%error, "a peer's connection ended at once"),
                        Err(_) => tracing::debug!("a connection to the peer port said nothing"),
                    }
                    drop(place);
                });
            }
            Err(error) => {
                tracing::warn!(%error, "cannot accept a peer's connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// Looks at the first bytes and hands the connection to whom they are for.
async fn sort(
    stream: TcpStream,
    pings: &Pings,
    others: &mpsc::Sender<io::Result<TcpStream>>,
) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut first = [0; MAGIC.len()];
    loop {
        let seen = stream.peek(&mut first).await?;
        if seen == 0 {
            return Ok(());
        }
        if first[..seen] != MAGIC[..seen] {
            // Fails when the service has ended: the connection is closed with it.
            drop(others.send(Ok(stream)).await);
            return Ok(());
        }
        if seen == MAGIC.len() {
            if pings.inner.arrivals.try_send(stream).is_err() {
                tracing::debug!("a ping connection was turned away: too many wait");
            }
            return Ok(());
        }
        tokio::time::sleep(PEEK_PAUSE).await;
    }
}
