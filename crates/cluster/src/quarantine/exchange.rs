//! Nodes tell each other how far their replicas are on disk.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use roomkeeper_consensus::Standing;
use roomkeeper_types::{NodeId, ReplicaId};

use crate::node::Shared;
use crate::peer::{Answer, Request};

const INTERVAL: Duration = Duration::from_secs(1);
const TELL_TIMEOUT: Duration = Duration::from_millis(500);

type Standings = BTreeMap<ReplicaId, Standing>;

/// Tells the other members of each group what is new, and puts on disk what they told, until the node stops. An idle
/// node says nothing.
pub(crate) async fn tell_standings(shared: Arc<Shared>) {
    // What each node was told last.
    let mut told: BTreeMap<NodeId, Standings> = BTreeMap::new();
    loop {
        let stopping = tokio::select! {
            () = tokio::time::sleep(INTERVAL) => false,
            () = shared.tasks.stopping() => true,
        };
        if !stopping {
            let news = news(&shared, &told);
            let telling = news.into_iter().map(|(node, standings)| tell(&shared, node, standings));
            for (node, standings) in join_all(telling).await.into_iter().flatten() {
                told.entry(node).or_default().extend(standings);
            }
        }
        save(&shared).await;
        if stopping {
            return;
        }
    }
}

async fn save(shared: &Arc<Shared>) {
    let (state, memory) = (shared.meta.state(), &shared.quarantine.memory);
    memory.remember(&shared.consensus.known_of_others());
    memory.forget(|replica| state.was_dropped(replica));
    let keeper = shared.clone();
    match tokio::task::spawn_blocking(move || keeper.quarantine.memory.save()).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::warn!(%error, "what this node remembers of others is not saved"),
        Err(error) => tracing::error!(%error, "saving what this node remembers failed"),
    }
}

/// What each other node is to be told.
fn news(shared: &Shared, told: &BTreeMap<NodeId, Standings>) -> BTreeMap<NodeId, Standings> {
    let me = shared.identity.node;
    let mut news: BTreeMap<NodeId, Standings> = BTreeMap::new();
    for running in shared.consensus.running() {
        let (replica, standing) = (running.replica, running.standing);
        let others: BTreeSet<NodeId> = running.members.iter().map(|member| member.node).collect();
        for node in others.into_iter().filter(|node| *node != me) {
            if told.get(&node).and_then(|told| told.get(&replica)) != Some(&standing) {
                news.entry(node).or_default().insert(replica, standing);
            }
        }
    }
    news
}

/// What the node took; nothing if it did not answer.
async fn tell(shared: &Shared, node: NodeId, standings: Standings) -> Option<(NodeId, Standings)> {
    let request = Request::Standings(standings.iter().map(|(id, standing)| (*id, *standing)).collect());
    match shared.consensus.ask(node, request.encode(), TELL_TIMEOUT).await.map(|it| Answer::decode(&it)) {
        Ok(Ok(Answer::Done)) => Some((node, standings)),
        Ok(Ok(other)) => {
            tracing::debug!(%node, ?other, "standings were answered otherwise");
            None
        }
        Ok(Err(error)) => {
            tracing::warn!(%node, %error, "the answer to standings is unreadable");
            None
        }
        Err(error) => {
            tracing::debug!(%node, %error, "standings were not delivered");
            None
        }
    }
}
