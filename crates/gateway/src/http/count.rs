//! Counting and limiting plain HTTP: the same commands as over sockets.

use std::sync::Arc;
use std::time::Instant;

use axum::extract::{MatchedPath, Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::{Method, StatusCode, request};
use roomkeeper_protocol::{CommandKind, Error};

use super::answer::Failure;
use super::router::{CONFIRM, CURSOR, CURSORS, MESSAGES, PRESENCE, ROLLBACK, ROOM, ROOMS, SIGNAL};
use crate::edge::Edge;
use crate::metrics::{Asked, Outcome};
use crate::serve::Peer;

/// Answers a request, if its connection may ask for that now, and counts it. Only commands are looked at: handshakes
/// and health are none.
pub(super) async fn count(State(edge): State<Arc<Edge>>, request: Request, next: Next) -> Response {
    let path = request.extensions().get::<MatchedPath>().map(MatchedPath::as_str);
    let Some(asked) = path.and_then(|path| asked(request.method(), path)) else {
        return next.run(request).await;
    };
    let taken = Instant::now();
    let (parts, body) = request.into_parts();
    let response = match admit(&edge, &parts, taken) {
        Ok(()) => next.run(Request::from_parts(parts, body)).await,
        Err(error) => Failure(error).into_response(),
    };
    match (response.extensions().get::<Error>(), response.status()) {
        (Some(error), _) => edge.metrics.answered(asked, Some(error)),
        (None, StatusCode::TEMPORARY_REDIRECT) => {
            edge.metrics.answered_as(asked, Outcome::Redirected);
            return response;
        }
        (None, status) if status.is_success() => edge.metrics.answered(asked, None),
        (None, _) => edge.metrics.answered_as(asked, Outcome::RefusedThere),
    }
    if asked == Asked::Command(CommandKind::Publish) {
        edge.metrics.publish_duration.observe(taken.elapsed());
    }
    response
}

/// What another node relays comes over connections of its own, for many clients.
fn admit(edge: &Edge, parts: &request::Parts, now: Instant) -> Result<(), Error> {
    match parts.extensions.get::<Peer>() {
        Some(peer) if edge.limiter.limits_commands() && !edge.is_vouched(&edge.caller(parts)) => {
            Ok(edge.limiter.command(peer.meter(), 0, now)?)
        }
        _ => Ok(()),
    }
}

fn asked(method: &Method, path: &str) -> Option<Asked> {
    let command = match (method, path) {
        (&Method::GET, ROOM) => return Some(Asked::Room),
        (&Method::GET, CURSOR) => return Some(Asked::Cursor),
        (&Method::GET, ROOMS) => CommandKind::Rooms,
        (&Method::PUT, ROOM) => CommandKind::Create,
        (&Method::DELETE, ROOM) => CommandKind::Delete,
        (&Method::GET, MESSAGES) => CommandKind::History,
        (&Method::POST, MESSAGES) => CommandKind::Publish,
        (&Method::GET, PRESENCE) => CommandKind::Presence,
        (&Method::POST, CURSORS) => CommandKind::Commit,
        (&Method::POST, CONFIRM) => CommandKind::Confirm,
        (&Method::POST, ROLLBACK) => CommandKind::Rollback,
        (&Method::POST, SIGNAL) => CommandKind::Signal,
        _ => return None,
    };
    Some(Asked::Command(command))
}
