//! The admin listener's own paths: what only operators may see and do.

use axum::extract::{Query, State};
use axum::routing::get;
use axum::{Json, Router};
use roomkeeper_cluster::{Node, Recorded};
use serde::Deserialize;

/// The paths that `serve` adds to the gateway's health and map.
pub(crate) fn router(node: Node) -> Router {
    Router::new().route("/v1/events", get(events)).with_state(node)
}

#[derive(Deserialize)]
struct After {
    /// Only events after this number; 0 or nothing: all that are kept.
    #[serde(default)]
    after: u64,
}

/// `GET /v1/events?after=N`: what happened to ownership and replicas, as this node saw it.
async fn events(State(node): State<Node>, Query(query): Query<After>) -> Json<Vec<Recorded>> {
    Json(node.events(query.after))
}
