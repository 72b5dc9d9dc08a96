//! The admin listener's own paths: what only operators may see and do.

use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::routing::{delete, get, post};
use axum::{Json, Router};
use roomkeeper_cluster::{Node, OperateError, Operation, Recorded};
use roomkeeper_types::NodeId;
use serde::{Deserialize, Serialize};

/// The paths that `serve` adds to the gateway's health and map.
pub(crate) fn router(node: Node) -> Router {
    Router::new()
        .route("/v1/events", get(events))
        .route("/v1/nodes/{node}/drain", post(drain))
        .route("/v1/nodes/{node}/undrain", post(undrain))
        .route("/v1/nodes/{node}", delete(remove))
        .with_state(node)
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

/// What became of a request about a node.
#[derive(Serialize)]
struct Answer {
    /// Why it was not carried out, if it was not.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

/// `POST /v1/nodes/{node}/drain`: the node is to hold nothing. The cluster map shows how far it is.
async fn drain(State(here): State<Node>, Path(node): Path<NodeId>) -> (StatusCode, Json<Answer>) {
    operate(&here, Operation::Drain(node)).await
}

/// `POST /v1/nodes/{node}/undrain`: it may hold shards again.
async fn undrain(State(here): State<Node>, Path(node): Path<NodeId>) -> (StatusCode, Json<Answer>) {
    operate(&here, Operation::Undrain(node)).await
}

#[derive(Deserialize)]
struct Force {
    #[serde(default)]
    force: bool,
}

/// `DELETE /v1/nodes/{node}?force=true`: it never comes back.
async fn remove(
    State(here): State<Node>,
    Path(node): Path<NodeId>,
    Query(Force { force }): Query<Force>,
) -> (StatusCode, Json<Answer>) {
    operate(&here, Operation::Remove { node, force }).await
}

/// 200: carried out; 409: refused, with what to do instead; 503: the cluster did not answer.
async fn operate(here: &Node, operation: Operation) -> (StatusCode, Json<Answer>) {
    let (status, error) = match here.operate(operation).await {
        Ok(()) => (StatusCode::OK, None),
        Err(error @ OperateError::Refused(_)) => (StatusCode::CONFLICT, Some(error.to_string())),
        Err(error @ OperateError::Unavailable(_)) => {
            (StatusCode::SERVICE_UNAVAILABLE, Some(error.to_string()))
        }
    };
    (status, Json(Answer { error }))
}
