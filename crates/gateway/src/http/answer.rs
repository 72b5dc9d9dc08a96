//! HTTP answers: JSON bodies, and errors with the status of their code.

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::header::{CONTENT_TYPE, LOCATION, RETRY_AFTER, UPGRADE, WWW_AUTHENTICATE};
use http::{HeaderValue, StatusCode, Uri};
use roomkeeper_protocol::{
    Error, ErrorCode, OwnerHint, Reply, encode_error_json, encode_redirect_json, encode_reply_json,
};
use serde::Serialize;

use crate::host::{Host, Route};
use crate::relay::Misdirected;
use crate::route::{location, socket_url};

/// Seconds after which a client should try again that was held in vain, or asked too often: rates are by the second.
const RETRY_AFTER_SECONDS: &str = "1";

/// A refused request: the error, with the status of its code.
#[derive(Debug)]
pub(crate) struct Failure(pub(crate) Error);

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self(error)
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.0.code.http_status());
        error_with(status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR), &self.0)
    }
}

/// An error under a status of its own. It is an extension of the response too, for whoever counts.
pub(crate) fn error_with(status: StatusCode, error: &Error) -> Response {
    let mut response = json_bytes(status, encode_error_json(error));
    response.extensions_mut().insert(error.clone());
    let said = match (status, error.retry_after_ms) {
        (StatusCode::TOO_MANY_REQUESTS, Some(ms)) => {
            Some((RETRY_AFTER, HeaderValue::from(ms.div_ceil(1_000).max(1))))
        }
        (StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS, _) => {
            Some((RETRY_AFTER, HeaderValue::from_static(RETRY_AFTER_SECONDS)))
        }
        (StatusCode::UNAUTHORIZED, _) => Some((WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"))),
        _ => None,
    };
    if let Some((name, value)) = said {
        response.headers_mut().insert(name, value);
    }
    response
}

/// A reply's `ok` object.
pub(crate) fn reply(status: StatusCode, reply: &Reply) -> Response {
    json_bytes(status, encode_reply_json(reply))
}

/// Any value as JSON.
pub(crate) fn json(status: StatusCode, value: &impl Serialize) -> Response {
    match serde_json::to_vec(value) {
        Ok(body) => json_bytes(status, body.into()),
        Err(error) => {
            tracing::error!(%error, "an answer cannot be written as json");
            Failure(Error::new(ErrorCode::Internal, "the server could not write its answer")).into_response()
        }
    }
}

fn json_bytes(status: StatusCode, body: Bytes) -> Response {
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// `307` to the room's owner.
pub(crate) fn redirect(hint: &OwnerHint, uri: &Uri, hops: u32, socket: bool) -> Response {
    let base = hint.url.as_deref().unwrap_or_default();
    let target = if socket { location(&socket_url(base), uri, hops) } else { location(base, uri, hops) };
    let mut response = json_bytes(StatusCode::TEMPORARY_REDIRECT, encode_redirect_json(hint));
    match HeaderValue::from_str(&target) {
        Ok(target) => {
            response.headers_mut().insert(LOCATION, target);
            response
        }
        Err(error) => {
            tracing::error!(%error, "the owner's client url is no header value");
            Failure(Error::new(ErrorCode::Internal, "the owner's address is unusable")).into_response()
        }
    }
}

/// `421`: relayed to this node, which does not own the room; with what it knows.
pub(crate) fn misdirected(host: &dyn Host, route: &Route) -> Response {
    let misdirected = Misdirected::new(host, route);
    let mut response = json(StatusCode::MISDIRECTED_REQUEST, &misdirected);
    response.extensions_mut().insert(misdirected.error);
    response
}

/// `426`: a socket's address asked for without a WebSocket handshake.
pub(crate) fn upgrade_required() -> Response {
    let error = Error::bad_request("this address takes WebSocket handshakes of version 13 only");
    let mut response = error_with(StatusCode::UPGRADE_REQUIRED, &error);
    response.headers_mut().insert(UPGRADE, HeaderValue::from_static("websocket"));
    response
}
