//! Digests: what every node knows reaches every other, whatever was missed. With them goes what a node has to do.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use futures::future::join;
use futures::stream::FuturesUnordered;
use roomkeeper_types::NodeId;

use crate::error::StartError;
use crate::node::Shared;
use crate::peer::{Answer, Request};

/// Digests are at least this far apart, however many nodes there are.
const STEP_MIN: Duration = Duration::from_millis(30);
const DIGEST_TIMEOUT: Duration = Duration::from_secs(1);

/// Asks one node after the other, for ever: each about once per `gossip_interval`, with at most one
/// question open to each.
pub(crate) async fn gossip(shared: Arc<Shared>) {
    let mut asking = FuturesUnordered::new();
    let mut open = BTreeSet::new();
    let mut last = NodeId(0);
    loop {
        let others = shared.other_nodes();
        let rounds = u32::try_from(others.len().max(1)).unwrap_or(u32::MAX);
        let step = (shared.tuning.gossip_interval / rounds).max(STEP_MIN);
        let pause = tokio::time::sleep(step);
        tokio::pin!(pause);
        loop {
            tokio::select! {
                Some(node) = asking.next() => drop(open.remove(&node)),
                () = &mut pause => break,
            }
        }
        let Some(node) = next_after(&others, last) else { continue };
        last = node;
        if open.insert(node) {
            let shared = shared.clone();
            asking.push(async move {
                exchange(&shared, node).await;
                node
            });
        }
    }
}

/// The next in the circle.
fn next_after(nodes: &[NodeId], last: NodeId) -> Option<NodeId> {
    nodes.iter().find(|node| **node > last).or(nodes.first()).copied()
}

async fn exchange(shared: &Shared, node: NodeId) {
    join(exchange_facts(shared, node), tell_load(shared, node)).await;
}

/// A message of its own: a node of an earlier version refuses it, and nothing else with it.
async fn tell_load(shared: &Shared, node: NodeId) {
    let Some(report) = shared.loads.report(shared.identity.node) else { return };
    let request = Request::Load(report.encode()).encode();
    if let Err(error) = shared.consensus.ask(node, request, DIGEST_TIMEOUT).await {
        tracing::debug!(%node, %error, "this node's load was not told");
    }
}

async fn exchange_facts(shared: &Shared, node: NodeId) {
    let digest = Request::Digest(shared.table.facts()).encode();
    match shared.consensus.ask(node, digest, DIGEST_TIMEOUT).await {
        Ok(answer) => match Answer::decode(&answer) {
            Ok(Answer::Facts(facts)) => shared.learn(&facts),
            Ok(Answer::Removed) => {
                shared.failure.report(StartError::Removed(shared.identity.node).to_string());
            }
            Ok(Answer::Later(why)) => tracing::debug!(%node, why, "digest was put off"),
            Ok(_) => tracing::warn!(%node, "digest was answered with something else"),
            Err(error) => tracing::warn!(%node, %error, "answer to a digest is unreadable"),
        },
        Err(error) => tracing::debug!(%node, %error, "digest was not answered"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn circle_visits_every_node_in_turn() {
        let nodes = [2, 3, 7].map(NodeId);
        let mut last = NodeId(0);
        let visited: Vec<u32> = (0..5)
            .map(|_| {
                last = next_after(&nodes, last).unwrap();
                last.0
            })
            .collect();
        assert_eq!(visited, [2, 3, 7, 2, 3]);
        assert_eq!(next_after(&[], last), None);
    }
}
