//! The calling end of pings: one connection to every other node, dialled again whenever it is lost.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use roomkeeper_types::NodeId;
use tokio::io::BufReader;
use tokio::net::TcpStream;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, timeout};

use super::Inner;
use super::frame::{Frame, Hello, Kind};
use super::thread::Surroundings;

/// A connection that is not there in this time is tried anew: a lost packet costs the kernel a second.
const CONNECT_MAX: Duration = Duration::from_millis(300);

/// Pings a node for ever.
pub(super) async fn dial(inner: Arc<Inner>, around: Arc<Surroundings>, node: NodeId) {
    let mut again_at_once = false;
    loop {
        if !std::mem::take(&mut again_at_once) {
            sleep(inner.rhythm.interval).await;
        }
        let Some(address) = (around.address)(node) else { continue };
        match timeout(CONNECT_MAX, connect(&inner, node, &address)).await {
            Ok(Ok((stream, hello))) => {
                let begun = Instant::now();
                if let Err(error) = converse(&inner, node, stream, hello).await {
                    tracing::debug!(%node, %error, "ping connection lost");
                }
                // Once, at once: a process that is gone refuses then.
                again_at_once = begun.elapsed() >= inner.rhythm.interval;
            }
            Ok(Err(error)) if error.kind() == io::ErrorKind::ConnectionRefused => {
                inner.update(|detector, now| detector.refused(node, now));
            }
            Ok(Err(error)) => tracing::debug!(%node, %error, "ping connection refused"),
            Err(_) => tracing::trace!(%node, "no ping connection"),
        }
    }
}

async fn connect(inner: &Inner, node: NodeId, address: &str) -> io::Result<(TcpStream, Hello)> {
    let mut stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    inner.hello(node, inner.secret.clone()).write(&mut stream).await?;
    let hello = Hello::read(&mut stream).await?;
    if hello.cluster != inner.cluster || hello.from != node {
        let error = format!("{} of cluster {} answers there", hello.from, hello.cluster);
        return Err(io::Error::other(error));
    }
    Ok((stream, hello))
}

/// Pings until the connection breaks or is silent for too long: after a partition a new connection is there long
/// before the kernel tries the old one again.
async fn converse(inner: &Inner, node: NodeId, stream: TcpStream, hello: Hello) -> io::Result<()> {
    let (input, mut output) = stream.into_split();
    let mut input = BufReader::new(input);
    let heard = |health| inner.update(|detector, now| detector.heard(node, hello.incarnation, health, now));
    let ping = async {
        let mut ticks = interval(inner.rhythm.interval);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut number = 0;
        loop {
            ticks.tick().await;
            number += 1;
            Frame { kind: Kind::Ping, health: inner.health(), number }.write(&mut output).await?;
        }
    };
    let listen = async {
        loop {
            let frame = timeout(inner.rhythm.silence_max, Frame::read(&mut input)).await;
            heard(frame.map_err(|_| io::Error::other("silent for too long"))??.health);
        }
    };
    let ended: io::Result<std::convert::Infallible> = tokio::select! {
        ended = ping => ended,
        ended = listen => ended,
    };
    ended.map(|never| match never {})
}
