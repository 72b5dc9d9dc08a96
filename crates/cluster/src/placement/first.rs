//! The first placement: computed by meta's leader from the ring, stored by meta, and used by everybody.

use std::sync::Arc;

use roomkeeper_ring as ring;
use roomkeeper_types::NodeId;

use super::table::members;
use crate::backoff::Backoff;
use crate::meta::{MetaCommand, MetaReply, MetaState, Refusal};
use crate::node::Shared;

/// Places the shards when enough nodes have joined, if this node leads meta then.
pub(crate) async fn place_shards(shared: Arc<Shared>) {
    let Some(mut leadership) = shared.meta.group().map(|group| group.watch()) else { return };
    let mut states = shared.meta.states();
    let mut backoff = Backoff::quick();
    loop {
        leadership.mark_unchanged();
        let state = states.borrow_and_update().clone();
        let mut pause = None;
        if shared.meta.leads() && state.wants_placement() {
            match place(&shared, &state).await {
                Ok(()) => tracing::info!(nodes = state.nodes.len(), "shards are placed"),
                Err(error) => {
                    tracing::warn!(error, "shards are not placed yet");
                    pause = Some(backoff.next());
                }
            }
        }
        tokio::select! {
            changed = leadership.changed() => if changed.is_err() { return },
            changed = states.changed() => if changed.is_err() { return },
            () = tokio::time::sleep(pause.unwrap_or_default()), if pause.is_some() => {}
        }
    }
}

async fn place(shared: &Shared, state: &MetaState) -> Result<(), String> {
    let table = first_table(state).map_err(|error| error.to_string())?;
    match shared.meta.propose_here(MetaCommand::Place { table }.encode()).await {
        // Somebody was faster.
        Ok(MetaReply::Done | MetaReply::Refused(Refusal::AlreadyPlaced)) => Ok(()),
        Ok(MetaReply::Refused(refusal)) => Err(refusal.to_string()),
        Ok(MetaReply::Joined(_) | MetaReply::Renewed(_)) => {
            Err("meta gave the reply of another command".to_owned())
        }
        Err(error) => Err(error.to_string()),
    }
}

/// The ring's choice for all shards: nodes in order of preference. Nodes that drain have no part in it.
fn first_table(state: &MetaState) -> Result<Vec<Vec<NodeId>>, ring::RingError> {
    let Some(founded) = state.founded else { return Ok(Vec::new()) };
    let members = members(state, |_| false);
    let placement = ring::place(&members, founded.shards, founded.replicas as usize)?;
    Ok(placement.shards.into_iter().map(|shard| shard.nodes).collect())
}
