//! A room socket relayed frame by frame. Nothing is decoded, and nothing queued beyond the sockets' buffers.

use std::future::Future;
use std::time::Duration;

use futures::stream::{SplitSink, SplitStream};
use futures::{FutureExt, SinkExt, Stream, StreamExt};
use roomkeeper_protocol::{CloseCode, Codec, OwnerHint, Push};
use roomkeeper_types::RoomName;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::{self, Message};

use super::Dialled;
use crate::edge::Edge;
use crate::host::Owner;
use crate::hub::to_message;
use crate::route::{FAREWELL, owner_hint, route_after};
use crate::ws::{Refusal, Socket, close_message};

/// Frames that may be sent without a flush in between.
const FRAMES_PER_FLUSH: usize = 64;
/// How long the name of the new owner is waited for when the old one is gone.
const LAST_WORD: Duration = Duration::from_millis(50);
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
    let end = tokio::select! {
        end = up(edge, &mut from_client, &mut to_owner) => end,
        end = down(edge, &mut from_owner, &mut to_client) => end,
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
async fn up(edge: &Edge, from: &mut SplitStream<Socket>, to: &mut OwnerSink) -> End {
    let mut unflushed = 0;
    loop {
        let next = match ready(from, unflushed) {
            Some(next) => next,
            None => {
                if to.flush().await.is_err() {
                    return End::Owner(None);
                }
                unflushed = 0;
                heard(edge, from.next()).await
            }
        };
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
async fn down(edge: &Edge, from: &mut SplitStream<Dialled>, to: &mut ClientSink) -> End {
    let mut unflushed = 0;
    loop {
        let next = match ready(from, unflushed) {
            Some(next) => next,
            None => {
                if !taken(edge, to.flush()).await {
                    return End::Client(None);
                }
                unflushed = 0;
                heard(edge, from.next()).await
            }
        };
        match next {
            Some(Ok(Message::Close(close))) => return End::Owner(close),
            Some(Ok(message)) => {
                if !taken(edge, to.feed(message)).await {
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

/// Whether the client took it in time.
async fn taken(edge: &Edge, written: impl Future<Output = Result<(), tungstenite::Error>>) -> bool {
    matches!(tokio::time::timeout(edge.config.write_stall, written).await, Ok(Ok(())))
}

/// The next frame; `None` when nothing came for longer than a live peer is ever silent, pings and pongs
/// included.
async fn heard<T>(edge: &Edge, next: impl Future<Output = Option<T>>) -> Option<T> {
    tokio::time::timeout(edge.config.ping_interval * 3, next).await.ok().flatten()
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
    let deadline = std::time::Instant::now() + LAST_WORD;
    let owner = &relayed.owner;
    let route = edge.host.wait_route(owner.shard, Some(owner.epoch), deadline).await;
    owner_hint(edge, &relayed.room, &route)
}
