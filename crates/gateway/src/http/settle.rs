//! Plain HTTP for a room: served where the room is.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::Method;

use super::answer::{Failure, misdirected, redirect};
use super::request::{RoomRequest, body};
use crate::edge::Edge;
use crate::failure;
use crate::host::{Owner, Route};
use crate::local::LocalRoom;
use crate::relay::{Answer, Forwarded, Misdirected, RelayError};
use crate::route::{Place, Way, owner_hint, place, relay_path};

/// The owner answers by itself before that: a publish waits for its outcome for a minute at most.
const OWNER_TIMEOUT: Duration = Duration::from_secs(70);

/// A request that this node is to serve.
pub(crate) struct Settled {
    pub(crate) room: LocalRoom,
    pub(crate) body: Bytes,
}

/// Brings a request to its room's owner: if that is this node it is to be served, else the answer is there.
///
/// # Errors
/// The answer: a redirect, the owner's own through this node, `421` to another node, `503`.
pub(crate) async fn settle(edge: &Arc<Edge>, request: RoomRequest) -> Result<Settled, Response> {
    let RoomRequest { room, ask, parts, body: unread } = request;
    let body = body(edge, unread).await.map_err(|error| Failure(error).into_response())?;
    let deadline = Instant::now() + edge.config.hold;
    let mut stale = None;
    loop {
        match place(edge, &room, ask, stale, deadline).await {
            Place::Here(owned) => {
                let room = LocalRoom { edge: edge.clone(), owned, name: room };
                return Ok(Settled { room, body });
            }
            Place::Misdirected(route) => return Err(misdirected(edge.host.as_ref(), &route)),
            Place::Nowhere => return Err(nowhere()),
            Place::There(owner, Way::Proxy | Way::Misdirected) => {
                let forwarded = Forwarded {
                    method: parts.method.clone(),
                    path: relay_path(&parts.uri),
                    headers: parts.headers.clone(),
                    body: body.clone(),
                };
                stale = Some(owner.epoch);
                match ask_owner(edge, &owner, &forwarded).await {
                    Asked::Answered(response) => return Err(response),
                    Asked::NotOwner(body) => {
                        Misdirected::learn(edge.host.as_ref(), edge.host.shard_of(&room), &body);
                    }
                    Asked::Again => {}
                }
            }
            Place::There(owner, Way::Redirect | Way::Frame) => {
                let hint = owner_hint(edge.host.as_ref(), &room, &Route::Elsewhere(owner));
                return Err(redirect(&hint, &parts.uri, ask.hops, false));
            }
        }
        if Instant::now() >= deadline {
            return Err(nowhere());
        }
    }
}

enum Asked {
    Answered(Response),
    /// The body of its `421`.
    NotOwner(Bytes),
    /// Whoever owns the room next may be asked the same.
    Again,
}

async fn ask_owner(edge: &Edge, owner: &Owner, forwarded: &Forwarded) -> Asked {
    match edge.relay.send(&owner.url, forwarded, OWNER_TIMEOUT).await {
        Ok(Answer::Final(response)) => Asked::Answered(response),
        Ok(Answer::Misdirected(body)) => Asked::NotOwner(body),
        Err(error) => {
            tracing::info!(node = owner.node.0, %error, "cannot relay");
            let unsent = matches!(error, RelayError::Unsent(_));
            if unsent || is_repeatable(&forwarded.method) { Asked::Again } else { Asked::Answered(nowhere()) }
        }
    }
}

/// Whether a request that may have been carried out can be sent again: reads, and publishes, whose ids tell
/// that they are known. A create or delete would be refused for its own earlier success.
fn is_repeatable(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD | Method::POST)
}

/// `503`.
pub(crate) fn nowhere() -> Response {
    Failure(failure::no_owner()).into_response()
}
