//! Counting plain HTTP: the same commands as over sockets.

use std::sync::Arc;
use std::time::Instant;

use axum::extract::{MatchedPath, Request, State};
use axum::middleware::Next;
use axum::response::Response;
use http::{Method, StatusCode};
use roomkeeper_protocol::{CommandKind, ErrorCode};

use super::router::{CONFIRM, CURSOR, CURSORS, MESSAGES, PRESENCE, ROLLBACK, ROOM, ROOMS, SIGNAL};
use crate::edge::Edge;
use crate::metrics::{Asked, Outcome};

/// Answers a request and counts it, if it is a command. Handshakes and health are none.
pub(super) async fn count(State(edge): State<Arc<Edge>>, request: Request, next: Next) -> Response {
    let path = request.extensions().get::<MatchedPath>().map(MatchedPath::as_str);
    let Some(asked) = path.and_then(|path| asked(request.method(), path)) else {
        return next.run(request).await;
    };
    let taken = Instant::now();
    let response = next.run(request).await;
    let outcome = outcome(&response);
    edge.metrics.answers.count(asked, outcome);
    if asked == Asked::Command(CommandKind::Publish) && outcome != Outcome::Redirected {
        edge.metrics.publish_duration.observe(taken.elapsed());
    }
    response
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

/// How a request was answered. This node's own errors bring their code along.
fn outcome(response: &Response) -> Outcome {
    match (response.extensions().get::<ErrorCode>(), response.status()) {
        (Some(code), _) => Outcome::Refused(*code),
        (None, StatusCode::TEMPORARY_REDIRECT) => Outcome::Redirected,
        (None, status) if status.is_success() => Outcome::Ok,
        (None, _) => Outcome::RefusedThere,
    }
}
