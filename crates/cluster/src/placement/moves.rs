//! At a shard's owner: its plan is carried out, and whatever a former plan has left behind is cleared.
//!
//! Nothing is remembered between steps: the next one follows from what meta's leader says now and from what the
//! group is now. An owner that is cut off anywhere leaves a group that works, and the next owner goes on.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use roomkeeper_consensus::Member;
use roomkeeper_types::{NodeId, ShardId};

use super::steps::{Step, Wanted, next_step};
use crate::backoff::Backoff;
use crate::events::{Event, EventKind};
use crate::meta::{MetaCommand, MetaReply, Plan, PlanVersion, Refusal, ShardRecord, voters};
use crate::node::Shared;
use crate::shard::Ownership;

/// How often an owner looks whether its groups have the members that they should have.
const TICK: Duration = Duration::from_secs(1);
/// Longest wait for one change of members.
const CHANGE_TIMEOUT: Duration = Duration::from_secs(15);
/// Longest wait for meta's leader.
const ASK_TIMEOUT: Duration = Duration::from_secs(5);
/// How often replicas are looked at until they have caught up.
const CATCH_UP_TICK: Duration = Duration::from_millis(100);

/// Carries out the plans of the shards that this node owns. One task per shard, so that changes of one group are
/// never concurrent; how many there are at a time is meta's leader's business.
pub(crate) async fn carry_out_plans(shared: Arc<Shared>) {
    let mut states = shared.meta.states();
    let mut working = FuturesUnordered::new();
    let mut busy = BTreeSet::new();
    loop {
        let state = states.borrow_and_update().clone();
        for held in shared.table.held() {
            let shard = held.shard();
            let has_work = state.shard(shard).is_some_and(|record| has_work(&shared, shard, record));
            if has_work && busy.insert(shard) {
                let shared = shared.clone();
                working.push(async move {
                    carry_out(&shared, &held).await;
                    shard
                });
            }
        }
        tokio::select! {
            changed = states.changed() => if changed.is_err() { return },
            Some(shard) = working.next() => { busy.remove(&shard); }
            () = tokio::time::sleep(TICK) => {}
        }
    }
}

/// Whether the group may have other members than it should. Before it is born they are not ours to change.
fn has_work(shared: &Shared, shard: ShardId, record: &ShardRecord) -> bool {
    let Some(local) = shared.shards.get(shard).filter(|_| record.born) else { return false };
    record.plan.is_some() || next_step(&wanted(record), &local.group.status(), |_| true) != Step::Nothing
}

/// The members that the shard's group is to have.
pub(super) fn wanted(record: &ShardRecord) -> Wanted {
    let all = record.wanted();
    let voters = voters(all);
    Wanted { voters: voters.to_vec(), learners: all[voters.len()..].to_vec() }
}

/// What became of one step.
enum Outcome {
    /// There may be another one.
    Next,
    /// There is none for this owner.
    Over,
    /// Something must happen first.
    Wait(Duration),
}

async fn carry_out(shared: &Shared, held: &Ownership) {
    let begun = Instant::now();
    let mut backoff = Backoff::patient();
    while !held.has_ended() {
        let pause = match step(shared, held, begun).await {
            Ok(Outcome::Over) => return,
            Ok(Outcome::Next) => {
                backoff = Backoff::patient();
                continue;
            }
            Ok(Outcome::Wait(pause)) => pause,
            Err(error) => {
                tracing::warn!(shard = %held.shard(), error, "a step of a move failed");
                backoff.next()
            }
        };
        tokio::select! {
            () = held.lost() => return,
            () = tokio::time::sleep(pause) => {}
        }
    }
}

async fn step(shared: &Shared, held: &Ownership, begun: Instant) -> Result<Outcome, String> {
    let shard = held.shard();
    // This node's copy of meta may be old, and replicas that it names long gone.
    let fresh = shared.meta.fresh(&shared.consensus, Instant::now() + ASK_TIMEOUT).await;
    let fresh = fresh.map_err(|error| error.to_string())?;
    let Some((record, local)) = fresh.shard(shard).zip(shared.shards.get(shard)) else {
        return Ok(Outcome::Over);
    };
    let status = local.group.status();
    match next_step(&wanted(record), &status, |node| shared.is_well(node)) {
        Step::Nothing => match &record.plan {
            Some(plan) => finish(shared, held, record.version, plan, begun).await,
            None => Ok(Outcome::Over),
        },
        Step::Settle => Ok(Outcome::Wait(CATCH_UP_TICK)),
        Step::CatchUp(nodes) => {
            tracing::debug!(%shard, ?nodes, "a move waits for replicas to catch up");
            Ok(Outcome::Wait(CATCH_UP_TICK))
        }
        Step::Change(change) => {
            tracing::info!(%shard, version = %record.version, ?change, "changing a shard's members");
            let changing = local.group.change_members(status.members_at, &change);
            match tokio::time::timeout(CHANGE_TIMEOUT, changing).await {
                Ok(Ok(())) => Ok(Outcome::Next),
                Ok(Err(error)) => Err(error.to_string()),
                Err(_) => Err(format!("not done within {CHANGE_TIMEOUT:?}")),
            }
        }
        Step::HandOver(heirs) => hand_over(shared, shard, &heirs).await,
    }
}

/// The first that takes it.
async fn hand_over(shared: &Shared, shard: ShardId, heirs: &[Member]) -> Result<Outcome, String> {
    let mut last = "nobody to hand over to".to_owned();
    for heir in heirs {
        match shared.hand_over(shard, heir.node, "the shard moves").await {
            Ok(()) => return Ok(Outcome::Over),
            Err(error) => last = error.to_string(),
        }
    }
    Err(last)
}

async fn finish(
    shared: &Shared,
    held: &Ownership,
    version: PlanVersion,
    plan: &Plan,
    begun: Instant,
) -> Result<Outcome, String> {
    let shard = held.shard();
    let command = MetaCommand::Finish { shard, version };
    match shared.meta.propose(&shared.consensus, &command, Instant::now() + ASK_TIMEOUT).await {
        Ok(MetaReply::Done) => {
            shared.events.record(completed(held, plan, begun.elapsed()));
            Ok(Outcome::Over)
        }
        // Another plan by now.
        Ok(MetaReply::Refused(Refusal::OtherPlan { .. })) => Ok(Outcome::Next),
        Ok(reply) => Err(format!("meta did not take the end of a move: {reply:?}")),
        Err(error) => Err(error.to_string()),
    }
}

/// The event of a plan that is carried out.
fn completed(held: &Ownership, plan: &Plan, duration: Duration) -> Event {
    let only_in = |these: &[Member], others: &[Member]| -> Vec<NodeId> {
        let others: BTreeSet<_> = others.iter().map(|member| member.replica).collect();
        these.iter().filter(|member| !others.contains(&member.replica)).map(|member| member.node).collect()
    };
    let (gained, lost) = (only_in(&plan.target, &plan.from), only_in(&plan.from, &plan.target));
    let words = |nodes: Vec<NodeId>| nodes.iter().map(NodeId::to_string).collect::<Vec<_>>().join(" ");
    let nodes = |members: &[Member]| words(members.iter().map(|member| member.node).collect());
    let (kind, reason) = if !gained.is_empty() && gained == lost {
        (EventKind::Repair, format!("replica built anew on {}", words(gained.clone())))
    } else {
        (EventKind::Move, format!("replicas on {} instead of {}", nodes(&plan.target), nodes(&plan.from)))
    };
    let event = Event::of(kind, held.shard(), held.epoch(), reason);
    Event { from: lost.first().copied(), to: gained.first().copied(), duration: Some(duration), ..event }
}
