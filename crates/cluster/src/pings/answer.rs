//! The answering end of pings.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::BufReader;
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::Inner;
use super::frame::{Frame, Hello, Kind};

/// A connection that says nothing for so long is closed: its node has dialled another one, or is gone.
const IDLE_MAX: Duration = Duration::from_secs(5);

/// Answers the pings of one connection until it ends.
pub(super) async fn answer(inner: Arc<Inner>, mut stream: TcpStream) {
    match timeout(IDLE_MAX, greet(&inner, &mut stream)).await {
        Ok(Ok(hello)) => {
            if let Err(error) = echo(&inner, &hello, stream).await {
                tracing::trace!(node = %hello.from, %error, "a ping connection ended");
            }
        }
        Ok(Err(error)) => tracing::debug!(%error, "a ping connection was refused"),
        Err(_) => tracing::debug!("a ping connection said nothing"),
    }
}

/// Refuses strangers, in the same way as the peer service does.
async fn greet(inner: &Inner, stream: &mut TcpStream) -> io::Result<Hello> {
    let hello = Hello::read(stream).await?;
    let refused = |why: String| io::Error::new(io::ErrorKind::PermissionDenied, why);
    if inner.secret.is_some() && hello.secret != inner.secret {
        return Err(refused("wrong or no cluster secret".to_owned()));
    }
    if hello.cluster != inner.cluster || hello.to != inner.me {
        return Err(refused(format!("meant for {} of cluster {}", hello.to, hello.cluster)));
    }
    inner.hello(hello.from, None).write(stream).await?;
    Ok(hello)
}

async fn echo(inner: &Inner, hello: &Hello, stream: TcpStream) -> io::Result<()> {
    let (input, mut output) = stream.into_split();
    let mut input = BufReader::new(input);
    loop {
        let frame = timeout(IDLE_MAX, Frame::read(&mut input)).await;
        let frame = frame.map_err(|_| io::Error::other("silent for too long"))??;
        inner.update(|detector, now| detector.heard(hello.from, hello.incarnation, frame.health, now));
        let pong = Frame { kind: Kind::Pong, health: inner.health(), number: frame.number };
        pong.write(&mut output).await?;
    }
}
