//! At meta's leader: joins, drains and losses of nodes become plans, a bounded number at a time.

use std::sync::Arc;
use std::time::{Duration, Instant};

use roomkeeper_types::NodeId;

use super::silence::Watch;
use super::table::{Bounds, NewPlan, next_plans};
use crate::backoff::Backoff;
use crate::events::{Event, EventKind};
use crate::meta::{MetaCommand, MetaReply, MetaState, NodeState, Refusal};
use crate::node::Shared;

/// How often the leader looks at the nodes.
const TICK: Duration = Duration::from_millis(500);

/// Stores plans whenever this node leads meta.
pub(crate) async fn drive_placement(shared: Arc<Shared>) {
    let mut states = shared.meta.states();
    let mut backoff = Backoff::patient();
    let mut watch = Watch::default();
    loop {
        let state = states.borrow_and_update().clone();
        let mut pause = TICK;
        if shared.meta.leads() {
            watch.look(Instant::now(), TICK, &shared.other_nodes(), |node| shared.pings.is_alive(node));
            match drive(&shared, &state, &watch).await {
                Ok(()) => backoff = Backoff::patient(),
                Err(error) => {
                    tracing::warn!(error, "shards are not planned as they should be");
                    pause = backoff.next();
                }
            }
        } else {
            // Whoever leads next begins to count anew.
            watch = Watch::default();
        }
        tokio::select! {
            changed = states.changed() => if changed.is_err() { return },
            () = tokio::time::sleep(pause) => {}
        }
    }
}

async fn drive(shared: &Shared, state: &MetaState, watch: &Watch) -> Result<(), String> {
    for (node, record) in &state.nodes {
        match record.state {
            NodeState::Active if watch.is_silent_for(*node, shared.tuning.replace_after) => {
                propose(shared, MetaCommand::Lose { node: *node }).await?;
                let why = format!("silent for {:?}: its replicas are replaced", shared.tuning.replace_after);
                tell(shared, *node, why);
            }
            NodeState::Lost if watch.is_back(*node) => {
                propose(shared, MetaCommand::Find { node: *node }).await?;
                tell(shared, *node, "heard again after it was lost".to_owned());
            }
            _ => {}
        }
    }
    let bounds = Bounds { per_node: shared.tuning.moves_per_node, all: shared.tuning.moves_max };
    let plans = next_plans(state, |node| watch.of(node), bounds).map_err(|error| error.to_string())?;
    for NewPlan { shard, version, nodes } in plans {
        tracing::info!(%shard, %version, ?nodes, "shard is to be on other nodes");
        propose(shared, MetaCommand::Plan { shard, version, nodes }).await?;
        tokio::time::sleep(shared.tuning.move_interval).await;
    }
    Ok(())
}

async fn propose(shared: &Shared, command: MetaCommand) -> Result<(), String> {
    match shared.meta.propose_here(command.encode()).await {
        // Somebody was faster: the state says so in a moment.
        Ok(MetaReply::Done | MetaReply::Refused(Refusal::OtherPlan { .. })) => Ok(()),
        Ok(MetaReply::Refused(refusal)) => Err(refusal.to_string()),
        Ok(reply) => Err(format!("meta gave the reply of another command: {reply:?}")),
        Err(error) => Err(error.to_string()),
    }
}

fn tell(shared: &Shared, node: NodeId, reason: String) {
    shared.events.record(Event { from: Some(node), ..Event::new(EventKind::Membership, reason) });
}
