//! Watches one of this node's replicas: begins and ends ownership, and tells the router.

use std::sync::Arc;
use std::time::{Duration, Instant};

use roomkeeper_consensus::{Member, Role, Status};
use roomkeeper_types::{Epoch, NodeId};

use super::batcher::ShardGroup;
use super::ownership::{claim, ignores_quorum};
use super::{LocalShard, Ownership, sweeper};
use crate::events::{Event, EventKind};
use crate::node::Shared;
use crate::peer::Fact;

/// How often an owner looks whether it still is one. Everything else comes as an event.
const OWNER_TICK: Duration = Duration::from_millis(250);
/// A leader that has not heard its quorum yet looks after so long, then after twice as long each time: the answer is
/// mostly on its way, and everybody waits for this.
const LEADER_TICK_MIN: Duration = Duration::from_millis(2);
const LEADER_TICK_MAX: Duration = Duration::from_millis(50);

/// Watches the replica until the node stops or the replica does.
pub(crate) async fn watch_ownership(shared: Arc<Shared>, local: Arc<LocalShard>) {
    let mut changes = local.group.watch();
    let mut health = shared.pings.changes();
    let mut damage = local.group.store().damage();
    let mut held: Option<Ownership> = None;
    // Who was heard to lead before this node does.
    let mut former_owner = None;
    let mut leader_tick = LEADER_TICK_MIN;
    loop {
        // Marked as seen before the status is read: a later change wakes again.
        changes.mark_unchanged();
        let status = local.group.status();
        if local.leaving.is_cancelled() {
            break;
        }
        // Before anything else: it may be why the replica stopped.
        let damaged = damage.borrow_and_update().clone();
        if let Some(reason) = damaged {
            if let Some(held) = held.take() {
                give_up(&shared, &held, "a part of the rows is unreadable");
            }
            return shared.quarantine_running(&local, &reason).await;
        }
        if status.role == Role::Stopped {
            let why = status.stopped.unwrap_or_else(|| "no reason given".to_owned());
            shared.failure.report(format!("the replica of {} stopped: {why}", local.shard));
            break;
        }
        tell_router(&shared, &local, &status);
        let me = shared.identity.node;
        former_owner = status.leader.map(|leader| leader.node).filter(|node| *node != me).or(former_owner);
        // A node whose disk hangs owns nothing, though its followers may still commit for it. One that hears too
        // few voters is about to be replaced: it lets go before its last quorum is too long ago.
        let claim = claim(&status, Instant::now(), shared.tuning.quorum_age_max)
            .filter(|_| !shared.pings.is_unfit_here() && hears_quorum(&shared, &status));
        held = match (held.take(), claim) {
            (Some(ownership), Some((epoch, until)))
                if ownership.epoch() == epoch && !ownership.has_ended() =>
            {
                ownership.extend(until);
                Some(ownership)
            }
            (former, claim) => {
                if let Some(former) = former.filter(|_| !ignores_quorum() || claim.is_some()) {
                    give_up(&shared, &former, why_over(&shared, &status));
                }
                claim.and_then(|claim| take(&shared, &local, claim, former_owner.take()))
            }
        };
        let pause = match claim {
            Some((_, until)) => OWNER_TICK.min(until.saturating_duration_since(Instant::now())),
            None if status.role == Role::Leader => leader_tick,
            None => Duration::MAX,
        };
        leader_tick = match claim {
            None if status.role == Role::Leader => (leader_tick * 2).min(LEADER_TICK_MAX),
            _ => LEADER_TICK_MIN,
        };
        tokio::select! {
            () = shared.tasks.stopping() => break,
            () = local.leaving.cancelled() => break,
            changed = changes.changed() => if changed.is_err() { break },
            changed = health.changed() => if changed.is_err() { break },
            changed = damage.changed() => if changed.is_err() { break },
            () = tokio::time::sleep(pause) => {}
        }
    }
    if let Some(held) = held {
        let why =
            if local.leaving.is_cancelled() { "the replica leaves this node" } else { "the node stops" };
        give_up(&shared, &held, why);
    }
}

fn tell_router(shared: &Shared, local: &LocalShard, status: &Status) {
    let (shard, epoch) = (local.shard, status.epoch);
    match status.leader {
        Some(leader) => shared.table.learn(Fact { shard, epoch, owner: leader.node }),
        None => shared.table.leaderless(shard, epoch),
    };
}

fn take(
    shared: &Arc<Shared>,
    local: &LocalShard,
    claim: (Epoch, Instant),
    from: Option<NodeId>,
) -> Option<Ownership> {
    let (shard, epoch) = (local.shard, claim.0);
    let group: Arc<dyn ShardGroup> = Arc::new(local.group.clone());
    let store = local.group.store().clone();
    #[cfg(feature = "sabotage")]
    let group: Arc<dyn ShardGroup> = Arc::new(super::sabotaged::Guessing {
        group,
        store: store.clone(),
        shard,
        shards: shared.identity.shards,
        observer: shared.observer.clone(),
    });
    let (ownership, batcher) = Ownership::begin(
        shard,
        claim,
        group,
        store,
        local.stamps.clone(),
        &shared.tuning,
        shared.space.clone(),
    );
    let me = shared.identity.node;
    if !shared.table.hold(me, ownership.clone()) {
        tracing::debug!(%shard, %epoch, "not taking ownership: a higher epoch is known");
        return None;
    }
    shared.tasks.spawn(batcher.run());
    shared.tasks.spawn(sweeper::run(ownership.clone(), local.stamps.clone()));
    shared.announcer.announce(Fact { shard, epoch, owner: me });
    shared.births.notify_one();
    let (reason, duration) = match shared.failover.take_reason(shard) {
        Some((reason, took)) => (reason, Some(took)),
        None if from.is_some() => ("elected".to_owned(), None),
        None => ("elected, no other owner was known".to_owned(), None),
    };
    let event = Event::of(EventKind::Election, shard, epoch, reason);
    shared.events.record(Event { from, to: Some(me), duration, ..event });
    Some(ownership)
}

/// Whether a majority of the voters is there, this node included, as far as pings tell.
fn hears_quorum(shared: &Shared, status: &Status) -> bool {
    let is_there = |voter: &&Member| !shared.pings.is_gone(voter.node);
    status.voters.iter().filter(is_there).count() * 2 > status.voters.len()
}

fn why_over(shared: &Shared, status: &Status) -> &'static str {
    match status.role {
        Role::Leader if shared.pings.is_unfit_here() => "the disk hangs",
        Role::Leader if !hears_quorum(shared, status) => "too few voters are heard",
        Role::Leader if status.term_applied => "no quorum was heard for too long",
        Role::Leader => "elected again, in a higher epoch",
        _ => "another replica leads or is being elected",
    }
}

fn give_up(shared: &Shared, ownership: &Ownership, reason: &str) {
    let (shard, epoch) = (ownership.shard(), ownership.epoch());
    ownership.end();
    shared.table.release(shard, epoch);
    let event = Event::of(EventKind::StepDown, shard, epoch, reason);
    shared.events.record(Event { from: Some(shared.identity.node), ..event });
}
