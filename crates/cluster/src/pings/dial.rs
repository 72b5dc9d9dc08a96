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

/// So often a connection that was lost is dialled again without waiting for the next interval. The kernel closes what
/// a process had open one after the other: the first attempts may still find its listener, and end with a reset; the
/// one behind it is refused, and says for sure that the process is gone.
const QUICK_REDIALS: u32 = 20;
/// Between these.
const QUICK_PAUSE: Duration = Duration::from_millis(2);

/// Pings a node for ever.
pub(super) async fn dial(inner: Arc<Inner>, around: Arc<Surroundings>, node: NodeId) {
    let mut quick = 0;
    loop {
        let pause = match quick {
            0 => inner.rhythm.interval,
            QUICK_REDIALS => Duration::ZERO,
            _ => QUICK_PAUSE,
        };
        sleep(pause).await;
        quick = quick.saturating_sub(1);
        let Some(address) = (around.address)(node) else { continue };
        match timeout(CONNECT_MAX, connect(&inner, node, &address)).await {
            Ok(Ok((stream, hello))) => {
                let begun = Instant::now();
                if let Err(error) = converse(&inner, node, stream, hello).await {
                    tracing::debug!(%node, %error, "ping connection lost");
                }
                if begun.elapsed() >= inner.rhythm.interval {
                    quick = QUICK_REDIALS;
                }
            }
            Ok(Err(error)) if error.kind() == io::ErrorKind::ConnectionRefused => {
                quick = 0;
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

#[cfg(test)]
mod tests {
    use roomkeeper_types::ClusterId;
    use tokio::net::TcpListener;
    use tokio::sync::watch;

    use super::super::{Cause, Pings, Rhythm};
    use super::*;

    /// A node's process that dies: its connections are reset while its listener is still there, which goes last.
    #[tokio::test]
    async fn process_that_dies_is_known_to_be_gone_long_before_the_next_interval() {
        let rhythm = Rhythm { interval: Duration::from_millis(400), silence_max: Duration::from_secs(5) };
        let (cluster, me, other) = (ClusterId([1; 16]), NodeId(1), NodeId(2));
        let pings = Pings::new(cluster, me, None, rhythm);
        let peer = Pings::new(cluster, other, None, rhythm);
        pings.inner.update(|detector, now| {
            detector.set_peers(&[other], now);
            false
        });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let around = Surroundings {
            address: Box::new(move |_| Some(address.clone())),
            others: watch::channel(vec![other]).1,
            disk_stalled_for: Box::new(|| Duration::ZERO),
            stall_max: Duration::MAX,
        };
        tokio::spawn(dial(pings.inner.clone(), Arc::new(around), other));

        let (mut stream, _) = listener.accept().await.unwrap();
        Hello::read(&mut stream).await.unwrap();
        peer.inner.hello(me, None).write(&mut stream).await.unwrap();
        let mut changes = pings.changes();
        sleep(rhythm.interval + Duration::from_millis(50)).await;
        drop(stream);
        for _ in 0..2 {
            drop(listener.accept().await.unwrap());
        }
        let died = Instant::now();
        drop(listener);
        while pings.suspicion(other).is_none() {
            changes.changed().await.unwrap();
        }
        assert_eq!(pings.suspicion(other).unwrap().cause, Cause::Refused);
        assert!(died.elapsed() < rhythm.interval / 2, "{:?}", died.elapsed());
    }
}
