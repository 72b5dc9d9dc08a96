//! `/v1/ws` and `/v1/rooms/{room}/ws`: handshakes.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::time::Instant;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use http::HeaderValue;
use http::header::AUTHORIZATION;
use http::{StatusCode, request};
use roomkeeper_auth::Behalf;
use roomkeeper_protocol::{CloseCode, Error, ErrorCode, decode_error_json};
use roomkeeper_types::RoomName;
use tracing::Instrument;

use super::answer::{Failure, error_with, misdirected, redirect, upgrade_required};
use super::request::{RoomRequest, ask};
use super::settle::nowhere;
use crate::edge::Edge;
use crate::host::Route;
use crate::identity::{Caller, Credentials, Who, forbidden};
use crate::limits::UserConnection;
use crate::local::LocalRoom;
use crate::metrics::{ConnectionKind, RedirectKind, RelayKind};
use crate::relay::{DialError, Dialled, Errand, Misdirected, Relayed, dial, pipe, refusal_body};
use crate::route::{Ask, Place, Way, owner_hint, place, relay_path};
use crate::serve::Peer;
use crate::ws::{Conn, ConnSetup, Handshake, HandshakeError, Purpose, Socket, serve, settled};

impl From<HandshakeError> for Failed {
    fn from(error: HandshakeError) -> Self {
        match error {
            HandshakeError::NotWebSocket => Self(upgrade_required()),
            HandshakeError::Bad(error) => error.into(),
        }
    }
}

/// The answer to a handshake that is not accepted.
pub(crate) struct Failed(Response);

impl From<Error> for Failed {
    fn from(error: Error) -> Self {
        Self(Failure(error).into_response())
    }
}

impl IntoResponse for Failed {
    fn into_response(self) -> Response {
        self.0
    }
}

/// `GET /v1/ws`: a session socket.
pub(crate) async fn session(
    State(edge): State<Arc<Edge>>,
    request: Request<Body>,
) -> Result<Response, Failed> {
    let (mut parts, _) = request.into_parts();
    let handshake = Handshake::read(&mut parts)?;
    let caller = edge.caller(&parts);
    let ask = ask(&edge, &parts, &caller)?;
    let accepting = Accepting { edge, handshake, parts, ask };
    let who = match accepting.who(&caller, None) {
        Ok(who) => who,
        Err(refused) => return Ok(accepting.refuse(refused)),
    };
    // The relay of a session counts it.
    let place = if ask.vouched { Ok(None) } else { accepting.place_of(&who) };
    Ok(match place {
        Ok(place) => accepting.serve(who, place, Purpose::Session),
        Err(refused) => accepting.refuse(refused),
    })
}

/// `GET /v1/rooms/{room}/ws`: a room socket.
pub(crate) async fn room(State(edge): State<Arc<Edge>>, request: RoomRequest) -> Result<Response, Failed> {
    let RoomRequest { room, ask, caller, mut parts, .. } = request;
    let ask = Ask { socket: true, ..ask };
    let handshake = Handshake::read(&mut parts)?;
    let codec = handshake.codec;
    let accepting = Accepting { edge: edge.clone(), handshake, parts, ask };
    let who = match accepting.who(&caller, Some(&room)) {
        Ok(who) => who,
        Err(refused) => return Ok(accepting.refuse(refused)),
    };
    let deadline = Instant::now() + edge.config.hold;
    let mut stale = None;
    loop {
        match place(&edge, &room, ask, stale, deadline).await {
            Place::Here(owned) => {
                let room = LocalRoom::new(edge, owned, room);
                return Ok(match accepting.place_of(&who) {
                    Ok(place) => accepting.serve(who, place, Purpose::Room(room)),
                    Err(refused) => accepting.refuse(refused),
                });
            }
            Place::Misdirected(route) => return Ok(misdirected(edge.host.as_ref(), &route)),
            Place::Nowhere => return Ok(nowhere()),
            Place::There(owner, Way::Proxy | Way::Misdirected) => {
                stale = Some(owner.tenure());
                let path = relay_path(&accepting.parts.uri);
                let authorization = accepting.authorization();
                let errand = Errand { path: &path, codec, behalf: Behalf::Client, authorization };
                match dial(&edge, &owner, errand).await {
                    Ok(socket) => {
                        edge.metrics.relayed(RelayKind::Room);
                        return Ok(accepting.relay(Relayed { room, owner, codec }, socket));
                    }
                    Err(DialError::Refused(refusal))
                        if refusal.status() != StatusCode::MISDIRECTED_REQUEST =>
                    {
                        return Ok(pass_on(refusal.status(), &refusal_body(&refusal)));
                    }
                    Err(DialError::Refused(refusal)) => {
                        Misdirected::learn(&edge, &room, &refusal_body(&refusal));
                    }
                    Err(error) => tracing::info!(node = owner.node.0, %error, "cannot relay"),
                }
            }
            Place::There(owner, way) => {
                let hint = owner_hint(&edge, &room, &Route::Elsewhere(owner));
                return Ok(match way {
                    Way::Frame => {
                        edge.metrics.redirected(RedirectKind::Frame);
                        accepting.serve(who, None, Purpose::Redirect(hint))
                    }
                    _ => {
                        edge.metrics.redirected(RedirectKind::Http);
                        redirect(&hint, &accepting.parts.uri, ask.hops, true)
                    }
                });
            }
        }
        if Instant::now() >= deadline {
            return Ok(nowhere());
        }
    }
}

/// The owner's own refusal of a handshake.
fn pass_on(status: StatusCode, body: &bytes::Bytes) -> Response {
    match decode_error_json(body) {
        Ok(error) => error_with(status, &error),
        Err(_) => nowhere(),
    }
}

/// A handshake about to be accepted.
struct Accepting {
    edge: Arc<Edge>,
    handshake: Handshake,
    parts: request::Parts,
    ask: Ask,
}

/// Why a handshake's client may not have a socket.
struct Refused {
    error: Error,
    code: CloseCode,
}

impl Accepting {
    /// Who the client is, as far as the handshake says; for a socket bound to a room it has to be somebody who may do
    /// something there.
    fn who(&self, caller: &Caller, room: Option<&RoomName>) -> Result<Who, Refused> {
        let credentials =
            Credentials { parts: &self.parts, caller, offered: self.handshake.token.as_deref() };
        let who = self.edge.access.of_handshake(credentials);
        let who = who.map_err(|error| Refused { error, code: CloseCode::Unauthorized })?;
        match room {
            Some(room) if !who.may_do_something_in(room) => {
                Err(Refused { error: forbidden(room), code: CloseCode::Forbidden })
            }
            _ => Ok(who),
        }
    }

    /// The socket's place among its user's, where they are limited; who has not said who it is may do so by `hello`.
    fn place_of(&self, who: &Who) -> Result<Option<UserConnection>, Refused> {
        let place = self.edge.limiter.connect(who.identity().user());
        place.map_err(|exceeded| Refused { error: exceeded.into(), code: CloseCode::TooManySockets })
    }

    /// Refuses the handshake; where its token came as a subprotocol, over the socket, as browsers tell their pages
    /// nothing of any other refusal.
    fn refuse(self, Refused { error, code }: Refused) -> Response {
        match self.handshake.token {
            Some(_) if error.code != ErrorCode::BadRequest => {
                self.serve(Who::unknown(), None, Purpose::Refusal(error, code))
            }
            _ => Failure(error).into_response(),
        }
    }

    /// What the client proves itself with, for the node that its frames are passed on to unread.
    fn authorization(&self) -> Option<HeaderValue> {
        let offered = self.handshake.token.as_deref();
        let offered = || {
            let mut value = HeaderValue::from_str(&format!("Bearer {}", offered?)).ok()?;
            value.set_sensitive(true);
            Some(value)
        };
        self.parts.headers.get(AUTHORIZATION).cloned().or_else(offered)
    }

    fn serve(self, who: Who, place: Option<UserConnection>, purpose: Purpose) -> Response {
        let Self { edge, handshake, parts, ask } = self;
        let setup = ConnSetup {
            codec: handshake.codec,
            single: !matches!(purpose, Purpose::Session),
            relayed: ask.relayed,
            vouched: ask.vouched,
            who,
            place,
        };
        let kind = match purpose {
            _ if ask.relayed => ConnectionKind::Relay,
            Purpose::Session => ConnectionKind::Session,
            Purpose::Room(_) | Purpose::Redirect(_) | Purpose::Refusal(..) => ConnectionKind::Room,
        };
        let serving = edge.clone();
        accept(&edge, handshake, &parts, async move |socket| {
            let open = serving.metrics.open(kind);
            let (conn, queue) = Conn::new(serving, setup);
            settled(pin!(serve(socket, conn, queue, purpose))).await;
            drop(open);
        })
    }

    fn relay(self, relayed: Relayed, owner: Dialled) -> Response {
        let Self { edge, handshake, parts, .. } = self;
        let relaying = edge.clone();
        accept(&edge, handshake, &parts, async move |socket| {
            let open = relaying.metrics.open(ConnectionKind::Proxied);
            pipe(&relaying, relayed, socket, owner).await;
            drop(open);
        })
    }
}

/// Accepts a handshake; the socket is served by a task of its own.
fn accept<F>(
    edge: &Edge,
    handshake: Handshake,
    parts: &request::Parts,
    serve: impl FnOnce(Socket) -> F + Send + 'static,
) -> Response
where
    F: Future<Output = ()> + Send,
{
    let response = handshake.response();
    // Held to the end: it is this client's place among the connections.
    let peer = parts.extensions.get::<Peer>().cloned();
    let address = peer.as_ref().map(|peer| peer.address());
    let span = tracing::info_span!("socket", peer = ?address, path = parts.uri.path());
    let limits = edge.config.limits;
    let task = async move {
        if let Some(socket) = handshake.socket(&limits).await {
            serve(socket).await;
        }
        drop(peer);
    };
    edge.tasks.spawn(task.instrument(span));
    response
}
