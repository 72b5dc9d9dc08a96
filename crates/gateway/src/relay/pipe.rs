//! A room socket relayed frame by frame. Nothing is decoded, and nothing queued beyond the sockets' buffers.

use std::future::Future;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use futures::stream::{SplitSink, SplitStream};
use futures::{FutureExt, SinkExt, Stream, StreamExt};
use roomkeeper_protocol::{CloseCode, Codec, OwnerHint, Push};
use roomkeeper_types::RoomName;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::{self, Message};

use super::Dialled;
use crate::config::GatewayConfig;
use crate::edge::Edge;
use crate::host::Owner;
use crate::hub::to_message;
use crate::route::{FAREWELL, owner_hint, route_after};
use crate::ws::{BACKLOG_BYTES, Refusal, SILENT_LOOKS, Socket, close_message};

/// Frames that may be sent without a flush in between.
const FRAMES_PER_FLUSH: usize = 64;
/// How long the name of the new owner is waited for when the old one is gone.
const LAST_WORD: Duration = Duration::from_millis(50);
/// No live owner is silent for so long.
const OWNER_SILENT_MAX: Duration = Duration::from_secs(75);
/// How long the client may take to answer the close frame.
const CLOSE_WAIT: Duration = Duration::from_secs(2);

type ClientSink = SplitSink<Socket, Message>;
type OwnerSink = SplitSink<Dialled, Message>;

/// Why a direction ended.
enum End {
    /// The client's socket is over; this is what the owner is told.
    Client(Option<CloseFrame>),
    /// The client sent what no socket takes.
    Refused(Refusal),
    /// The owner's socket is over, with this close frame if any.
    Owner(Option<CloseFrame>),
    /// This node stops.
    Stopping,
}

/// Signs of life of the client. The owner hears of this node's own pongs, so this node looks after it: the owner's pings
/// go through to the client.
struct Life {
    begun: Instant,
    /// When it gave the last one, milliseconds after `begun`.
    heard_ms: AtomicU64,
    /// Bytes written to it since.
    unanswered: AtomicUsize,
}

impl Life {
    fn begin() -> Self {
        Self { begun: Instant::now(), heard_ms: AtomicU64::new(0), unanswered: AtomicUsize::new(0) }
    }

    fn note(&self) {
        let ms = u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.heard_ms.store(ms, Ordering::Relaxed);
        self.unanswered.store(0, Ordering::Relaxed);
    }

    /// Whether it was silent for longer than a client that lives, as on a socket of its own.
    fn is_over(&self, config: &GatewayConfig) -> bool {
        let heard = Duration::from_millis(self.heard_ms.load(Ordering::Relaxed));
        let has_backlog = self.unanswered.load(Ordering::Relaxed) >= BACKLOG_BYTES;
        let patience = if has_backlog { config.write_stall } else { config.ping_interval * 2 };
        self.begun.elapsed().saturating_sub(heard) >= patience
    }
}

/// What is relayed for whom.
pub(crate) struct Relayed {
    pub(crate) room: RoomName,
    pub(crate) owner: Owner,
    pub(crate) codec: Codec,
}

/// Relays a room socket until one end is over. The client's is then closed so that it comes back where that
/// is worth it: a room whose owner is gone has `moved`.
pub(crate) async fn pipe(edge: &Edge, relayed: Relayed, client: Socket, owner: Dialled) {
    let (mut to_client, mut from_client) = client.split();
    let (mut to_owner, mut from_owner) = owner.split();
    let life = Life::begin();
    let end = tokio::select! {
        end = up(edge, &life, &mut from_client, &mut to_owner) => end,
        end = down(edge, &life, &mut from_owner, &mut to_client) => end,
        () = other_owner(edge, &relayed) => End::Owner(None),
        () = edge.stop.cancelled() => End::Stopping,
        () = edge.draining.dismissed() => End::Stopping,
    };
    let closing = async {
        match end {
            End::Client(close) => {
                // The owner may be gone as well: then there is nobody to tell.
                drop(to_owner.send(Message::Close(close)).await);
                drop(to_client.flush().await);
                return;
            }
            End::Refused(refusal) => {
                let reply = relayed.codec.encode_reply(0, &Err(refusal.error));
                drop(to_client.feed(to_message(reply)).await);
                drop(to_client.send(close_message(refusal.close, refusal.reason)).await);
            }
            End::Owner(close) => say_moved(edge, &relayed, &mut to_client, close).await,
            End::Stopping => drop(to_client.send(close_message(CloseCode::Draining, "the node stops")).await),
        }
        drop(to_owner.close().await);
        while let Some(Ok(_)) = from_client.next().await {}
    };
    // Who does not answer the close frame is cut off.
    drop(tokio::time::timeout(CLOSE_WAIT, closing).await);
}

/// Client to owner.
async fn up(edge: &Edge, life: &Life, from: &mut SplitStream<Socket>, to: &mut OwnerSink) -> End {
    let mut unflushed = 0;
    loop {
        let next = match ready(from, unflushed) {
            Some(next) => next,
            None => {
                if to.flush().await.is_err() {
                    return End::Owner(None);
                }
                unflushed = 0;
                next_of_client(edge, life, from).await
            }
        };
        life.note();
        match next {
            Some(Ok(Message::Close(close))) => return End::Client(close),
            // Answered on this side.
            Some(Ok(Message::Ping(_))) => {}
            Some(Ok(message)) => {
                if to.feed(message).await.is_err() {
                    return End::Owner(None);
                }
                unflushed += 1;
            }
            Some(Err(error)) => return Refusal::of(&error).map_or(End::Client(None), End::Refused),
            None => return End::Client(None),
        }
    }
}

/// Owner to client. The owner's pings go on to the client, so that each side is heard of by the other.
async fn down(edge: &Edge, life: &Life, from: &mut SplitStream<Dialled>, to: &mut ClientSink) -> End {
    let mut unflushed = 0;
    loop {
        let next = match ready(from, unflushed) {
            Some(next) => next,
            None => {
                if !taken(edge, life, to.flush()).await {
                    return End::Client(None);
                }
                unflushed = 0;
                tokio::time::timeout(OWNER_SILENT_MAX, from.next()).await.ok().flatten()
            }
        };
        match next {
            Some(Ok(Message::Close(close))) => return End::Owner(close),
            Some(Ok(message)) => {
                life.unanswered.fetch_add(message.len(), Ordering::Relaxed);
                if !taken(edge, life, to.feed(message)).await {
                    return End::Client(None);
                }
                unflushed += 1;
            }
            Some(Err(_)) | None => return End::Owner(None),
        }
    }
}

/// What `from` has at once, unless a flush is due.
fn ready<S: Stream + Unpin>(from: &mut S, unflushed: usize) -> Option<Option<S::Item>> {
    if unflushed < FRAMES_PER_FLUSH { from.next().now_or_never() } else { None }
}

/// Whether the client took it in time. That it does where it had to be waited for is a sign of life.
async fn taken(
    edge: &Edge,
    life: &Life,
    written: impl Future<Output = Result<(), tungstenite::Error>>,
) -> bool {
    tokio::pin!(written);
    if let Some(written) = (&mut written).now_or_never() {
        return written.is_ok();
    }
    let written = matches!(tokio::time::timeout(edge.config.write_stall, written).await, Ok(Ok(())));
    life.note();
    written
}

/// The client's next frame; `None` when it is gone, or dead.
async fn next_of_client(
    edge: &Edge,
    life: &Life,
    from: &mut SplitStream<Socket>,
) -> Option<Result<Message, tungstenite::Error>> {
    let mut silent_looks = 0;
    loop {
        match tokio::time::timeout(edge.config.ping_interval / 2, from.next()).await {
            Ok(next) => return next,
            Err(_) if life.is_over(&edge.config) && silent_looks > SILENT_LOOKS => return None,
            Err(_) => silent_looks += 1,
        }
    }
}

/// Resolves when the room is known to have another owner, and the old one had time to see through what it had
/// taken on: it may have died without a word.
async fn other_owner(edge: &Edge, relayed: &Relayed) {
    route_after(edge.host.as_ref(), relayed.owner.shard, relayed.owner.epoch).await;
    tokio::time::sleep(FAREWELL).await;
}

/// The owner ended the socket. Its own last word went through; one that died had none.
async fn say_moved(edge: &Edge, relayed: &Relayed, to: &mut ClientSink, close: Option<CloseFrame>) {
    let code = close.as_ref().map(|close| u16::from(close.code));
    let message = match code {
        // Final for the client whoever says it: passed on as it is.
        Some(code) if !CloseCode::should_reconnect(code) => Message::Close(close),
        Some(code) if code == CloseCode::Moved.number() => {
            close_message(CloseCode::Moved, "the room has another owner")
        }
        _ => {
            let hint = new_owner(edge, relayed).await;
            // If the client is gone too, the close frame fails as well.
            drop(to.feed(to_message(relayed.codec.encode_push(&Push::Moved(hint)))).await);
            close_message(CloseCode::Moved, "the room's owner is gone")
        }
    };
    drop(to.send(message).await);
}

async fn new_owner(edge: &Edge, relayed: &Relayed) -> OwnerHint {
    let deadline = Instant::now() + LAST_WORD;
    let owner = &relayed.owner;
    let route = edge.host.wait_route(owner.shard, Some(owner.epoch), deadline).await;
    owner_hint(edge, &relayed.room, &route)
}
