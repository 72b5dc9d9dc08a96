//! Asks every node of a cluster what it sees.

use std::time::Duration;

use futures::future::{join_all, join3};
use roomkeeper_client::protocol::ErrorCode;
use roomkeeper_client::{Client, ClientConfig, ClusterMap, Error, NodeEntry};

use crate::cli::ConnectArgs;

/// Longest wait for one node's answer: a node that takes longer does not answer.
const PATIENCE: Duration = Duration::from_secs(2);

/// What one node said, or that it said nothing.
#[derive(Debug, Clone)]
pub(crate) struct View {
    /// The node, as the map that led to it names it.
    pub(super) node: NodeEntry,
    /// The cluster as it sees it, or why it did not answer.
    pub(super) map: Result<ClusterMap, String>,
    /// Whether it says it is ready, or what it says instead. Only of a node that answers.
    pub(super) ready: Result<(), String>,
    /// Whether it asks clients for a token. `None`: it did not say.
    pub(super) asks_for_token: Option<bool>,
}

/// Finds the nodes through whichever one answers, and asks each.
///
/// # Errors
/// Nobody answers.
pub(crate) async fn ask_everyone(connect: &ConnectArgs) -> Result<Vec<View>, Error> {
    let first = connect.map().await?;
    let client = Client::new(ClientConfig {
        connect_timeout: PATIENCE,
        handshake_timeout: PATIENCE,
        ..connect.config()
    })?;
    let asked = first.nodes.iter().map(|node| ask(&client, node));
    Ok(join_all(asked).await)
}

async fn ask(client: &Client, node: &NodeEntry) -> View {
    let stranger = client.with_token(None);
    let asked =
        join3(client.cluster_map_of(&node.url), client.ready(&node.url), stranger.cluster_map_of(&node.url));
    let (map, ready, for_stranger) = asked.await;
    View {
        node: node.clone(),
        map: map.map_err(|error| words(&error)),
        ready: ready.map_err(|error| words(&error)),
        asks_for_token: match for_stranger {
            Ok(_) => Some(false),
            Err(Error::Server(error)) if error.code == ErrorCode::Unauthorized => Some(true),
            Err(_) => None,
        },
    }
}

/// The reason without the URL, which stands beside it.
fn words(error: &Error) -> String {
    match error {
        Error::Unreachable { reason, .. } => reason.to_string(),
        Error::Refused { message, status, .. } if message.is_empty() => format!("HTTP {status}"),
        Error::Refused { message, .. } => message.clone(),
        Error::Server(error) => error.message.clone(),
        other => other.to_string(),
    }
}
