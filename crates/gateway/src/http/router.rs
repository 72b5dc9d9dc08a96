//! The paths.

use std::sync::Arc;

use axum::Router;
use axum::response::Response;
use axum::routing::{get, post};
use http::StatusCode;
use roomkeeper_protocol::Error;

use super::answer::error_with;
use super::{cluster, commands, messages, rooms, sockets};
use crate::edge::Edge;

/// The client listener's paths.
pub(crate) fn client(edge: Arc<Edge>) -> Router {
    Router::new()
        .route("/v1/cluster", get(cluster::map_for_clients))
        .route("/v1/ws", get(sockets::session))
        .route("/v1/rooms", get(rooms::list))
        .route("/v1/rooms/{room}", get(rooms::show).put(rooms::create).delete(rooms::delete))
        .route("/v1/rooms/{room}/messages", get(messages::history).post(messages::publish))
        .route("/v1/rooms/{room}/presence", get(rooms::presence))
        .route("/v1/rooms/{room}/cursors", post(commands::commit))
        .route("/v1/rooms/{room}/cursors/{consumer}", get(commands::cursor))
        .route("/v1/rooms/{room}/confirm", post(commands::confirm))
        .route("/v1/rooms/{room}/rollback", post(commands::rollback))
        .route("/v1/rooms/{room}/signal", post(commands::signal))
        .route("/v1/rooms/{room}/ws", get(sockets::room))
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
