//! Who votes in meta: an odd number of nodes, five at most; the others learn.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use roomkeeper_consensus::{GroupError, Member};
use roomkeeper_types::NodeId;

use super::steps::{Step, Wanted, next_step};
use crate::backoff::Backoff;
use crate::meta::{MetaState, NodeState};
use crate::node::Shared;

/// Most voters of meta: more cost every commit and tolerate failures that lose shards anyway.
const VOTERS_MAX: usize = 5;
/// Longest wait for one change of the membership.
const CHANGE_TIMEOUT: Duration = Duration::from_secs(15);
/// How often replicas are looked at until they have caught up.
const CATCH_UP_TICK: Duration = Duration::from_millis(200);
/// How often a leader looks whether nodes became well.
const TICK: Duration = Duration::from_secs(1);

/// Brings meta's members to what they should be whenever this node leads meta.
pub(crate) async fn reconcile_meta(shared: Arc<Shared>) {
    let Some(group) = shared.meta.group().cloned() else { return };
    let mut changes = group.watch();
    let mut states = shared.meta.states();
    let mut backoff = Backoff::patient();
    loop {
        changes.mark_unchanged();
        let state = states.borrow_and_update().clone();
        let mut pause = None;
        if shared.meta.leads() {
            pause = Some(TICK);
            let status = group.status();
            let is_well = |node| shared.is_well(node);
            let wanted = wanted(&state, &status.voters, is_well);
            let done = match next_step(&wanted, &status, is_well) {
                Step::Nothing => Ok(()),
                Step::Settle => {
                    pause = Some(CATCH_UP_TICK);
                    Ok(())
                }
                Step::CatchUp(nodes) => {
                    tracing::debug!(?nodes, "meta waits for replicas to catch up");
                    pause = Some(CATCH_UP_TICK);
                    Ok(())
                }
                Step::Change(change) => {
                    tracing::info!(?change, "changing meta's members");
                    pause = Some(CATCH_UP_TICK);
                    let change = group.change_members(status.members_at, &change);
                    let late = || GroupError(format!("not done within {CHANGE_TIMEOUT:?}"));
                    tokio::time::timeout(CHANGE_TIMEOUT, change).await.unwrap_or_else(|_| Err(late()))
                }
                Step::HandOver(heirs) => {
                    pause = Some(CATCH_UP_TICK);
                    let reason = "this node is not to vote in it any more";
                    let done = shared.hand_over_meta(heirs[0].node, reason).await;
                    done.map_err(|error| GroupError(error.to_string()))
                }
            };
            match done {
                Ok(()) => backoff = Backoff::patient(),
                Err(error) => {
                    tracing::warn!(%error, "meta's members are not changed yet");
                    pause = Some(backoff.next());
                }
            }
        }
        tokio::select! {
            changed = changes.changed() => if changed.is_err() { return },
            changed = states.changed() => if changed.is_err() { return },
            () = tokio::time::sleep(pause.unwrap_or_default()), if pause.is_some() => {}
        }
    }
}

/// The members that meta is to have: everybody learns, and an odd number votes. Those that vote now stay before
/// others come, and only nodes that are well do. With two nodes one votes, since two voters would both be needed.
///
/// A lost voter is replaced by an active node where there is one; where there is none it keeps its vote, since with
/// one voter less the next failure would be fatal.
fn wanted(state: &MetaState, now: &[Member], is_well: impl Fn(NodeId) -> bool) -> Wanted {
    let all: BTreeMap<Member, NodeState> = state
        .nodes
        .iter()
        .map(|(node, record)| (Member { replica: record.meta_replica, node: *node }, record.state))
        .collect();
    let votes = |member: &Member| now.contains(member);
    let mut candidates: Vec<(Member, NodeState)> = all
        .iter()
        .map(|(member, state)| (*member, *state))
        .filter(|(member, state)| match state {
            NodeState::Active => votes(member) || is_well(member.node),
            NodeState::Lost => votes(member),
            NodeState::Draining => false,
        })
        .collect();
    // Stable: nodes stay in order among each other.
    candidates.sort_by_key(|(member, state)| (*state == NodeState::Lost, !votes(member)));
    let count = candidates.len().min(VOTERS_MAX);
    let odd = if count.is_multiple_of(2) { count.saturating_sub(1) } else { count };
    let mut voters: Vec<Member> = candidates.into_iter().take(odd).map(|(member, _)| member).collect();
    voters.sort();
    let learners = all.into_keys().filter(|member| !voters.contains(member)).collect();
    Wanted { voters, learners }
}

#[cfg(test)]
#[path = "voters_test.rs"]
mod tests;
