//! Who votes in meta: an odd number of nodes, five at most; the others learn.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use roomkeeper_consensus::{GroupError, Member, Status};
use roomkeeper_types::NodeId;

use crate::backoff::Backoff;
use crate::meta::{MetaState, NodeState};
use crate::node::Shared;

/// Most voters of meta: more cost every commit and tolerate failures that lose shards anyway.
const VOTERS_MAX: usize = 5;
/// A replica that is this many entries behind may become a voter.
const LAG_MAX: u64 = 64;
/// Longest wait for one change of the membership.
const CHANGE_TIMEOUT: Duration = Duration::from_secs(15);
/// How often new replicas are looked at until they have caught up.
const CATCH_UP_TICK: Duration = Duration::from_millis(200);

/// What to do next about meta's members.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Step {
    /// They are as they should be.
    Nothing,
    /// Make them so.
    Change { voters: Vec<Member>, learners: Vec<Member> },
    /// These replicas must catch up first.
    Wait(Vec<NodeId>),
}

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
            match next_step(&members(&state), &group.status(), |node| shared.pings.is_alive(node)) {
                Step::Nothing => backoff = Backoff::patient(),
                Step::Wait(nodes) => {
                    tracing::debug!(?nodes, "meta waits for replicas to catch up");
                    pause = Some(CATCH_UP_TICK);
                }
                Step::Change { voters, learners } => {
                    tracing::info!(?voters, ?learners, "changing meta's members");
                    let change =
                        tokio::time::timeout(CHANGE_TIMEOUT, group.change_members(&voters, &learners));
                    let late = || GroupError(format!("not done within {CHANGE_TIMEOUT:?}"));
                    if let Err(error) = change.await.unwrap_or_else(|_| Err(late())) {
                        tracing::warn!(%error, "meta's members are not changed yet");
                        pause = Some(backoff.next());
                    } else {
                        // There may be a next step.
                        pause = Some(CATCH_UP_TICK);
                    }
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

/// Meta's replicas by node.
fn members(state: &MetaState) -> Vec<Member> {
    let active = state.nodes.iter().filter(|(_, record)| record.state == NodeState::Active);
    active.map(|(node, record)| Member { replica: record.meta_replica, node: *node }).collect()
}

/// The voters that there should be of these members: those that vote now stay, then the oldest nodes. With two
/// nodes one votes, since two voters would both be needed.
fn wanted_voters(members: &[Member], now: &[Member]) -> Vec<Member> {
    let count = members.len().min(VOTERS_MAX);
    let odd = if count.is_multiple_of(2) { count.saturating_sub(1) } else { count };
    let mut order = members.to_vec();
    // Stable: nodes stay in order among each other.
    order.sort_by_key(|member| !now.contains(member));
    order.truncate(odd);
    order.sort();
    order
}

/// First everybody learns; voters change in one step, and only to replicas that live and have caught up, so that
/// nodes that died while they joined take no quorum with them.
fn next_step(members: &[Member], status: &Status, is_alive: impl Fn(NodeId) -> bool) -> Step {
    let all: BTreeSet<Member> = members.iter().copied().collect();
    let present: BTreeSet<Member> = status.voters.iter().chain(&status.learners).copied().collect();
    let voters = wanted_voters(members, &status.voters);
    let now: BTreeSet<Member> = status.voters.iter().copied().collect();
    if all.is_empty() {
        return Step::Nothing;
    }
    if !all.is_subset(&present) {
        let learners = all.difference(&now).copied().collect();
        return Step::Change { voters: status.voters.clone(), learners };
    }
    let wanted: BTreeSet<Member> = voters.iter().copied().collect();
    if wanted == now && all == present {
        return Step::Nothing;
    }
    let behind: Vec<NodeId> = wanted
        .difference(&now)
        .filter(|member| !has_caught_up(member, status) || !is_alive(member.node))
        .map(|member| member.node)
        .collect();
    if !behind.is_empty() {
        return Step::Wait(behind);
    }
    let learners = all.difference(&wanted).copied().collect();
    Step::Change { voters, learners }
}

fn has_caught_up(member: &Member, status: &Status) -> bool {
    let matched = status.matched.get(&member.replica).copied().flatten();
    match (matched, status.last) {
        (Some(matched), Some(last)) => matched.get() + LAG_MAX >= last.get(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use roomkeeper_types::LogIndex;

    use super::*;
    use crate::shard::testing::{leader_status, member};

    fn nodes(numbers: &[u32]) -> Vec<Member> {
        numbers.iter().map(|number| member(*number)).collect()
    }

    /// A leader with these members, and everybody but `behind` at its last entry.
    fn status(voters: &[u32], learners: &[u32], behind: &[u32]) -> Status {
        let mut status = leader_status(1, Instant::now());
        status.voters = nodes(voters);
        status.learners = nodes(learners);
        status.last = Some(LogIndex(500));
        for number in voters.iter().chain(learners) {
            let at = (!behind.contains(number)).then_some(LogIndex(500));
            status.matched.insert(member(*number).replica, at);
        }
        status
    }

    /// Runs the steps to their end.
    fn settle(members: &[u32], voters: &[u32], learners: &[u32]) -> (Vec<Member>, Vec<Member>) {
        let mut status = status(voters, learners, &[]);
        for _ in 0..5 {
            match next_step(&nodes(members), &status, |_| true) {
                Step::Nothing => return (status.voters, status.learners),
                Step::Change { voters, learners } => {
                    for member in &learners {
                        status.matched.insert(member.replica, status.last);
                    }
                    (status.voters, status.learners) = (voters, learners);
                }
                Step::Wait(nodes) => panic!("waits for {nodes:?}"),
            }
        }
        panic!("does not settle");
    }

    #[test]
    fn joins_one_by_one_keep_an_odd_number_of_voters() {
        let table: [(&[u32], &[u32]); 7] = [
            (&[1], &[]),
            (&[1], &[2]),
            (&[1, 2, 3], &[]),
            (&[1, 2, 3], &[4]),
            (&[1, 2, 3, 4, 5], &[]),
            (&[1, 2, 3, 4, 5], &[6]),
            (&[1, 2, 3, 4, 5], &[6, 7]),
        ];
        let (mut voters, mut learners): (&[u32], &[u32]) = (&[1], &[]);
        for (count, wanted) in (1..).zip(table) {
            let members: Vec<u32> = (1..=count).collect();
            let settled = settle(&members, voters, learners);
            assert_eq!(settled, (nodes(wanted.0), nodes(wanted.1)), "{count} nodes");
            (voters, learners) = wanted;
        }
    }

    #[test]
    fn joins_all_at_once_come_to_the_same() {
        for (count, voters) in [(1, 1), (2, 1), (3, 3), (4, 3), (5, 5), (6, 5), (7, 5)] {
            let members: Vec<u32> = (1..=count).collect();
            let settled = settle(&members, &[1], &[]);
            assert_eq!(settled.0, nodes(&members[..voters]), "{count} nodes");
            assert_eq!(settled.1, nodes(&members[voters..]), "{count} nodes");
        }
    }

    #[test]
    fn voters_that_vote_already_stay() {
        let settled = settle(&[1, 2, 3, 4, 5], &[3, 4, 5], &[]);
        assert_eq!(settled.0, nodes(&[1, 2, 3, 4, 5]));
        let settled = settle(&[1, 2, 3, 4], &[2, 3, 4], &[]);
        assert_eq!(settled, (nodes(&[2, 3, 4]), nodes(&[1])));
    }

    #[test]
    fn new_replica_learns_before_it_votes() {
        let step = next_step(&nodes(&[1, 2, 3]), &status(&[1], &[2], &[]), |_| true);
        assert_eq!(step, Step::Change { voters: nodes(&[1]), learners: nodes(&[2, 3]) });
    }

    #[test]
    fn replica_that_has_not_caught_up_holds_the_change_back() {
        let step = next_step(&nodes(&[1, 2, 3]), &status(&[1], &[2, 3], &[3]), |_| true);
        assert_eq!(step, Step::Wait(vec![NodeId(3)]));
    }

    #[test]
    fn replica_on_a_silent_node_holds_the_change_back() {
        let is_alive = |node| node != NodeId(2);
        let step = next_step(&nodes(&[1, 2, 3]), &status(&[1], &[2, 3], &[]), is_alive);
        assert_eq!(step, Step::Wait(vec![NodeId(2)]));
    }

    #[test]
    fn learner_that_has_not_caught_up_holds_nothing_back() {
        assert_eq!(next_step(&nodes(&[1, 2]), &status(&[1], &[2], &[2]), |_| false), Step::Nothing);
    }

    #[test]
    fn meta_without_nodes_is_left_alone() {
        assert_eq!(next_step(&[], &status(&[1], &[], &[]), |_| true), Step::Nothing);
    }
}
