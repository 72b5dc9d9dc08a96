//! Plain HTTP for a room: served where the room is.

use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::{Method, StatusCode, request};
use roomkeeper_auth::Behalf;
use roomkeeper_protocol::{Error, ErrorCode};
use roomkeeper_types::RoomName;

use super::answer::{Failure, misdirected, redirect};
use super::request::{RoomRequest, body};
use crate::edge::Edge;
use crate::failure;
use crate::host::{Owner, Route, Tenure};
use crate::local::LocalRoom;
use crate::metrics::{RedirectKind, RelayKind};
use crate::relay::{Answer, Forwarded, Misdirected, RelayError};
use crate::route::{Ask, FAREWELL, OWNERSHIP_ENDS, Place, Way, owner_hint, place, relay_path, route_after};

/// The owner answers by itself before that: a publish waits for its outcome for a minute at most.
const OWNER_TIMEOUT: Duration = Duration::from_secs(70);

/// A request for a room, on its way to whoever owns the room.
pub(crate) struct Asking {
    edge: Arc<Edge>,
    room: RoomName,
    ask: Ask,
    parts: request::Parts,
    pub(crate) body: Bytes,
    /// Until when an owner is waited for.
    deadline: Instant,
    /// This ownership was asked in vain.
    stale: Option<Tenure>,
    /// An owner was asked and its answer is not known: it may have carried the request out.
    pub(crate) is_open: bool,
}

impl Asking {
    /// Reads the request's body.
    ///
    /// # Errors
    /// The answer to one that cannot be read.
    pub(crate) async fn read(edge: &Arc<Edge>, request: RoomRequest) -> Result<Self, Response> {
        let RoomRequest { room, ask, parts, body: unread, .. } = request;
        let body = body(edge, unread).await.map_err(|error| Failure(error).into_response())?;
        let deadline = Instant::now() + edge.config.hold;
        Ok(Self { edge: edge.clone(), room, ask, parts, body, deadline, stale: None, is_open: false })
    }

    /// The room.
    pub(crate) fn room(&self) -> &RoomName {
        &self.room
    }

    /// Brings the request to its room's owner: if that is this node it is to be served, else the answer is
    /// there.
    ///
    /// # Errors
    /// The answer: a redirect, the owner's own through this node, `421` to another node, `503`.
    pub(crate) async fn settle(&mut self) -> Result<LocalRoom, Response> {
        let edge = self.edge.clone();
        let host = edge.host.as_ref();
        loop {
            match place(&edge, &self.room, self.ask, self.stale, self.deadline).await {
                Place::Here(owned) => {
                    return Ok(LocalRoom::new(edge, owned, self.room.clone()));
                }
                Place::Misdirected(route) => return Err(misdirected(host, &route)),
                Place::Nowhere => return Err(nowhere()),
                Place::There(owner, Way::Proxy | Way::Misdirected) => {
                    let forwarded = Forwarded {
                        method: self.parts.method.clone(),
                        path: relay_path(&self.parts.uri),
                        headers: self.parts.headers.clone(),
                        body: self.body.clone(),
                        behalf: Behalf::Client,
                    };
                    self.stale = Some(owner.tenure());
                    match ask_owner(&edge, &owner, &forwarded).await {
                        // This owner's limit says nothing of what the one before did with it.
                        Asked::Answered(response)
                            if self.is_open && response.status() == StatusCode::TOO_MANY_REQUESTS =>
                        {
                            return Err(nowhere());
                        }
                        Asked::Answered(response) => return Err(response),
                        Asked::NotOwner(body) => {
                            Misdirected::learn(&edge, &self.room, &body);
                            // It may have been the owner until a moment ago, and have lost the outcome with that.
                            self.is_open = true;
                        }
                        Asked::Unsent => {}
                        Asked::Again => self.is_open = true,
                    }
                }
                Place::There(owner, Way::Redirect | Way::Frame) => {
                    edge.metrics.redirected(RedirectKind::Http);
                    let hint = owner_hint(&edge, &self.room, &Route::Elsewhere(owner));
                    return Err(redirect(&hint, &self.parts.uri, self.ask.hops, false));
                }
            }
            if Instant::now() >= self.deadline {
                return Err(nowhere());
            }
        }
    }

    /// Whether a command that ended with this error is to be brought to the next owner: its outcome is not
    /// known, and this node lost the room meanwhile. Only for commands that may be carried out twice.
    pub(crate) async fn goes_on(&mut self, room: &LocalRoom, error: &Error) -> bool {
        if self.follows(room) {
            return true;
        }
        if error.code != ErrorCode::Unavailable || Instant::now() >= self.deadline {
            return false;
        }
        let lost = tokio::time::timeout(OWNERSHIP_ENDS, room.owned.lost()).await.is_ok();
        self.stale = Some(room.owned.tenure());
        self.is_open = true;
        lost || !room.owned.is_current()
    }

    /// Whether a command is to be brought to another shard: it was not carried out here, as the room is there.
    pub(crate) fn follows(&self, room: &LocalRoom) -> bool {
        room.is_elsewhere() && Instant::now() < self.deadline
    }

    /// Puts the room on a shard with little to do, unless it is settled.
    ///
    /// # Errors
    /// `unavailable`: nobody says where.
    pub(crate) async fn place_room(&self) -> Result<(), Error> {
        // A relay has done so.
        if !self.ask.relayed {
            self.edge.whereabouts.place(&self.room, self.deadline).await?;
        }
        Ok(())
    }

    /// Whether what was read is to be read again at the next owner: this node lost the room meanwhile. Looked at
    /// last, as the process may have been stopped for a while.
    pub(crate) fn is_outdated(&mut self, room: &LocalRoom) -> bool {
        let outdated = !room.owned.is_current() && Instant::now() < self.deadline;
        if outdated {
            self.stale = Some(room.owned.tenure());
        }
        outdated
    }

    /// Has a request carried out once, where its room is.
    ///
    /// # Errors
    /// As [`Asking::settle`], and the answer to what is refused.
    pub(crate) async fn once<T, F>(
        &mut self,
        act: impl Fn(LocalRoom) -> F,
    ) -> Result<(LocalRoom, T), Response>
    where
        F: Future<Output = Result<T, Error>>,
    {
        loop {
            let room = self.settle().await?;
            match act(room.clone()).await {
                Ok(done) => return Ok((room, done)),
                Err(_) if self.follows(&room) => {}
                Err(error) => return Err(Failure(error).into_response()),
            }
        }
    }
}

/// Has a request carried out once, where its room is.
///
/// # Errors
/// As [`Asking::once`].
pub(crate) async fn once<T, F>(
    edge: &Arc<Edge>,
    request: RoomRequest,
    act: impl Fn(LocalRoom, Bytes) -> F,
) -> Result<(LocalRoom, T), Response>
where
    F: Future<Output = Result<T, Error>>,
{
    let mut asking = Asking::read(edge, request).await?;
    let body = asking.body.clone();
    asking.once(|room| act(room, body.clone())).await
}

enum Asked {
    Answered(Response),
    /// The body of its `421`.
    NotOwner(Bytes),
    /// It never got the request.
    Unsent,
    /// Whoever owns the room next may be asked the same.
    Again,
}

async fn ask_owner(edge: &Edge, owner: &Owner, forwarded: &Forwarded) -> Asked {
    edge.metrics.relayed(RelayKind::Http);
    let host = edge.host.as_ref();
    let overtaken = async {
        route_after(host, owner.shard, owner.epoch).await;
        tokio::time::sleep(FAREWELL).await;
    };
    let answer = tokio::select! {
        answer = edge.relay.send(owner, forwarded, OWNER_TIMEOUT) => answer,
        () = overtaken => Err(RelayError::Unanswered("the room has another owner".to_owned())),
    };
    match answer {
        Ok(Answer::Final(response)) => Asked::Answered(response),
        Ok(Answer::Misdirected(body)) => Asked::NotOwner(body),
        Err(error) => {
            tracing::info!(node = owner.node.0, %error, "cannot relay");
            match error {
                RelayError::Unsent(_) => Asked::Unsent,
                RelayError::Unanswered(_) if is_repeatable(&forwarded.method) => Asked::Again,
                RelayError::Unanswered(_) => Asked::Answered(nowhere()),
            }
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
