//! A socket's life from its handshake to its last byte.

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use futures::stream::SplitStream;
use roomkeeper_protocol::{CloseCode, Error, Limits, OwnerHint, Push};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::time::Instant;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;

use super::conn::{Conn, Outgoing};
use super::desk::{ReadEnd, serve_room, serve_session};
use super::inbox::Inbox;
use super::writer::{WriteError, Writer};
use crate::local::LocalRoom;
use crate::metrics::Closed;

/// A client's socket.
pub(crate) type Socket = WebSocketStream<TcpStream>;

/// How long the last replies and the close frame may take to be written.
const CLOSE_WRITE: Duration = Duration::from_secs(5);
/// How long the client may take to answer the close frame.
const CLOSE_ANSWER: Duration = Duration::from_secs(2);
/// Bytes that a closed client may still send before it is cut off.
const LINGER_BYTES: usize = 16 << 20;
/// A message is written at once when so many bytes wait; several small ones share a write.
const WRITE_BUFFER: usize = 16 << 10;
/// What one of our own messages may be at most: a frame in, with its bytes as base64 and names around them.
const MESSAGE_MAX: usize = 16 << 20;

/// What a socket is for.
pub(crate) enum Purpose {
    /// A room that this node owns.
    Room(LocalRoom),
    /// Any rooms.
    Session,
    /// To tell the client where the owner is.
    Redirect(OwnerHint),
    /// To tell the client why it may not have one: a browser hears of no other refusal.
    Refusal(Error, CloseCode),
}

/// Serves a client's socket to its end. One task: reading and writing take turns in it.
pub(crate) async fn serve(
    socket: Socket,
    conn: Arc<Conn>,
    queue: UnboundedReceiver<Outgoing>,
    purpose: Purpose,
) {
    let (sink, stream) = socket.split();
    let mut inbox = Inbox::new(stream, conn.clone());
    let writing = Writer::new(sink, conn.clone(), queue).run();
    tokio::pin!(writing);
    let reading = async {
        match purpose {
            Purpose::Room(room) => serve_room(&conn, &mut inbox, room).await,
            Purpose::Session => serve_session(&conn, &mut inbox).await,
            Purpose::Redirect(hint) => {
                conn.push(Push::Redirect(hint));
                conn.send(Outgoing::Close(CloseCode::Moved, "the room has another owner"));
                ReadEnd::Closing
            }
            Purpose::Refusal(error, code) => {
                conn.refuse(error);
                conn.send(Outgoing::Close(code, "refused"));
                ReadEnd::Closing
            }
        }
    };
    let dismissal = async {
        tokio::select! {
            () = conn.edge.draining.dismissed() => conn.stop.cancel(),
            // Boxed: a socket's task is as large as its largest future.
            () = Box::pin(conn.unproven()) => conn.end(CloseCode::Unauthorized, "no token that is still valid"),
        }
        std::future::pending().await
    };
    let written = tokio::select! {
        written = &mut writing => Some(written),
        () = dismissal => None,
        end = reading => match end {
            ReadEnd::Gone => None,
            // What is queued still goes out, up to the close frame.
            ReadEnd::Closing => tokio::time::timeout(CLOSE_WRITE, &mut writing).await.ok(),
        },
    };
    let metrics = &conn.edge.metrics;
    let Some((sink, ended)) = written else { return metrics.closed(Closed::Gone) };
    match ended {
        Ok(()) => {
            let mut stream = inbox.into_stream();
            let deadline = Instant::now() + CLOSE_ANSWER;
            // Who does not answer the close frame in time is cut off.
            drop(tokio::time::timeout_at(deadline, until_closed(&mut stream)).await);
            if let Ok(socket) = sink.reunite(stream) {
                drop(tokio::time::timeout_at(deadline, linger(socket.into_inner())).await);
            }
        }
        Err(error) => {
            metrics.closed(match error {
                WriteError::Socket(_) => Closed::Gone,
                WriteError::Stalled => Closed::Stalled,
                WriteError::Silent => Closed::Silent,
            });
            tracing::debug!(%error, "a socket ended");
        }
    }
}

async fn until_closed(stream: &mut SplitStream<Socket>) {
    while let Some(Ok(message)) = stream.next().await {
        if matches!(message, Message::Close(_)) {
            return;
        }
    }
}

/// Reads what the client had on its way already. Closing a connection with unread bytes resets it, and the client
/// would lose the reply and the close frame that it has not read yet.
async fn linger(mut tcp: TcpStream) {
    if tcp.shutdown().await.is_err() {
        return;
    }
    // Not in the future, which every socket's task has room for from its beginning.
    let mut scratch = vec![0; 4096];
    let mut left = LINGER_BYTES;
    while left > 0 {
        match tcp.read(&mut scratch).await {
            Ok(0) | Err(_) => return,
            Ok(read) => left = left.saturating_sub(read),
        }
    }
}

/// How clients' sockets are set up: small buffers, as most sockets are idle most of the time.
pub(crate) fn config(limits: &Limits) -> WebSocketConfig {
    let frame_max = limits.max_frame as usize;
    WebSocketConfig::default()
        .read_buffer_size(4 << 10)
        .write_buffer_size(WRITE_BUFFER)
        .max_write_buffer_size(WRITE_BUFFER + MESSAGE_MAX)
        .max_message_size(Some(frame_max))
        .max_frame_size(Some(frame_max))
}
