//! What the node says of itself and of the cluster.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::response::Response;
use http::StatusCode;
use serde::Serialize;

use super::answer::{Failure, json};
use crate::edge::Edge;

#[derive(Serialize)]
struct Health {
    status: &'static str,
    /// What is missing.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

/// `GET /v1/cluster` for clients: whoever may ask for anything may ask for this.
pub(crate) async fn map_for_clients(
    State(edge): State<Arc<Edge>>,
    request: Request,
) -> Result<Response, Failure> {
    let (parts, _) = request.into_parts();
    edge.access.of_request(&parts, &edge.caller(&parts))?;
    Ok(map(State(edge)).await)
}

/// `GET /v1/cluster`: nodes and shards, enough for a client to find rooms by itself.
pub(crate) async fn map(State(edge): State<Arc<Edge>>) -> Response {
    json(StatusCode::OK, &edge.host.map())
}

/// `GET /healthz`: the process runs.
pub(crate) async fn alive() -> Response {
    json(StatusCode::OK, &Health { status: "ok", reason: None })
}

/// `GET /readyz`: there is a quorum, the owners of all shards are known, and the node is not about to stop.
pub(crate) async fn ready(State(edge): State<Arc<Edge>>) -> Response {
    let stops = edge.draining.has_begun() || edge.stop.is_cancelled();
    let ready = if stops { Err("draining".to_owned()) } else { edge.host.ready() };
    match ready {
        Ok(()) => json(StatusCode::OK, &Health { status: "ready", reason: None }),
        Err(reason) => {
            json(StatusCode::SERVICE_UNAVAILABLE, &Health { status: "not ready", reason: Some(reason) })
        }
    }
}
