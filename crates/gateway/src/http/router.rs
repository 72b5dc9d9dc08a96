//! The paths.

use std::sync::Arc;

use axum::Router;
use axum::middleware::from_fn_with_state;
use axum::response::Response;
use axum::routing::{get, post};
use http::StatusCode;
use roomkeeper_protocol::Error;

use super::answer::error_with;
use super::count::count;
use super::{cluster, commands, messages, rooms, sockets};
use crate::edge::Edge;

pub(super) const ROOMS: &str = "/v1/rooms";
pub(super) const ROOM: &str = "/v1/rooms/{room}";
pub(super) const MESSAGES: &str = "/v1/rooms/{room}/messages";
pub(super) const PRESENCE: &str = "/v1/rooms/{room}/presence";
pub(super) const CURSORS: &str = "/v1/rooms/{room}/cursors";
pub(super) const CURSOR: &str = "/v1/rooms/{room}/cursors/{consumer}";
pub(super) const CONFIRM: &str = "/v1/rooms/{room}/confirm";
pub(super) const ROLLBACK: &str = "/v1/rooms/{room}/rollback";
pub(super) const SIGNAL: &str = "/v1/rooms/{room}/signal";

/// The client listener's paths.
pub(crate) fn client(edge: Arc<Edge>) -> Router {
    Router::new()
        .route("/v1/cluster", get(cluster::map_for_clients))
        .route("/v1/ws", get(sockets::session))
        .route(ROOMS, get(rooms::list))
        .route(ROOM, get(rooms::show).put(rooms::create).delete(rooms::delete))
        .route(MESSAGES, get(messages::history).post(messages::publish))
        .route(PRESENCE, get(rooms::presence))
        .route(CURSORS, post(commands::commit))
        .route(CURSOR, get(commands::cursor))
        .route(CONFIRM, post(commands::confirm))
        .route(ROLLBACK, post(commands::rollback))
        .route(SIGNAL, post(commands::signal))
        .route("/v1/rooms/{room}/ws", get(sockets::room))
        .layer(from_fn_with_state(edge.clone(), count))
        .merge(health())
        .fallback(rooms::unknown_path)
        .method_not_allowed_fallback(wrong_method)
        .with_state(edge)
}

/// The admin listener's paths; the binary adds its own.
pub(crate) fn admin(edge: Arc<Edge>) -> Router {
    health().route("/v1/cluster", get(cluster::map)).with_state(edge)
}

fn health() -> Router<Arc<Edge>> {
    Router::new().route("/healthz", get(cluster::alive)).route("/readyz", get(cluster::ready))
}

async fn wrong_method() -> Response {
    let error = Error::bad_request("this path does not take this method");
    error_with(StatusCode::METHOD_NOT_ALLOWED, &error)
}
