//! Planned moves of ownership: nothing in flight is lost, and nobody is told "unknown".
//!
//! 1. The owner proposes nothing more and waits for the batch in flight; commands queue up meanwhile.
//! 2. The target has the whole log, and is asked to campaign past this leader's lease.
//! 3. The moment it is elected, ownership here ends: what queued was never proposed and goes to the new owner.
//!
//! Should the target not be elected, this node still leads and goes on with the queue. openraft's own transfer has
//! no way back: a leader that has begun it accepts nothing more until somebody is elected.

use std::time::{Duration, Instant};

use roomkeeper_consensus::{Group, GroupId, Member, Role, Status};
use roomkeeper_types::{Epoch, NodeId, ShardId};
use tokio::time::{sleep, timeout};

use crate::events::{Event, EventKind};
use crate::node::Shared;
use crate::peer::{Answer, Request};

/// Longest wait for the batch in flight, and then for the target to have all of the log.
const QUIET_MAX: Duration = Duration::from_secs(1);
/// Longest wait for the target to be elected.
const ELECTED_MAX: Duration = Duration::from_millis(500);
/// How often a leader is asked how far its target is.
const LOOK: Duration = Duration::from_millis(2);
/// A target that is further behind is not waited for: nothing is proposed meanwhile.
const LAG_MAX: u64 = 256;

/// Ownership stays where it is.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum HandOverError {
    /// Nothing to give.
    #[error("this node does not own {0}")]
    NotOwner(GroupId),
    /// A replica that cannot lead.
    #[error("{0} has no vote in {1}")]
    NoVoter(NodeId, GroupId),
    /// A node that should not be given anything now.
    #[error("{node} should not own anything now: {why}")]
    NotFit {
        /// The target.
        node: NodeId,
        /// Why not.
        why: String,
    },
    /// A replica that would be waited for.
    #[error("the replica on {node} is {lag} entries behind")]
    Behind {
        /// The target.
        node: NodeId,
        /// By how much.
        lag: u64,
    },
    /// Nobody to give it to.
    #[error("no other replica can take it now")]
    NoHeir,
    /// It was tried.
    #[error("{node} was not elected: {why}")]
    NotElected {
        /// The target.
        node: NodeId,
        /// What happened.
        why: String,
    },
}

impl Shared {
    /// Gives a shard that this node owns to the replica on another node; returns when that one leads.
    ///
    /// # Errors
    /// [`HandOverError`]: the shard is still owned here, unless somebody else was elected meanwhile.
    pub(crate) async fn hand_over(
        &self,
        shard: ShardId,
        to: NodeId,
        reason: &str,
    ) -> Result<(), HandOverError> {
        let id = GroupId::Shard(shard);
        let held = self.table.known(shard).held.ok_or(HandOverError::NotOwner(id))?;
        let local = self.shards.get(shard).ok_or(HandOverError::NotOwner(id))?;
        let target = self.target(&local.group, to)?;
        let begun = Instant::now();
        // Held to the end: what queues up behind it is proposed here or, when this is no owner any more, nowhere.
        let quiet = timeout(QUIET_MAX, held.quiet()).await;
        let result = match &quiet {
            Ok(_) => self.elect(&local.group, held.epoch(), target).await,
            Err(_) => Err(not_elected(to, "the batch in flight takes too long")),
        };
        drop(quiet);
        let outcome = result
            .as_ref()
            .err()
            .map_or_else(|| reason.to_owned(), |error| format!("{reason}, failed: {error}"));
        let event = Event::of(EventKind::HandOver, shard, held.epoch(), outcome);
        let (from, to, duration) = (Some(self.identity.node), Some(to), Some(begun.elapsed()));
        self.events.record(Event { from, to, duration, ..event });
        result
    }

    /// Gives up the leadership of meta to the replica on another node.
    ///
    /// # Errors
    /// As [`Shared::hand_over`].
    pub(crate) async fn hand_over_meta(&self, to: NodeId, reason: &str) -> Result<(), HandOverError> {
        let group = self.meta.group().ok_or(HandOverError::NotOwner(GroupId::Meta))?;
        let target = self.target(group, to)?;
        // To the end, as with a shard: what waits behind it goes to the new leader.
        let _quiet = timeout(QUIET_MAX, self.meta.quiet())
            .await
            .map_err(|_| not_elected(to, "the commands under way take too long"))?;
        self.elect(group, group.status().epoch, target).await?;
        let event = Event::new(EventKind::HandOver, format!("meta: {reason}"));
        self.events.record(Event { from: Some(self.identity.node), to: Some(to), ..event });
        Ok(())
    }

    /// The replica on the node, if it may be given leadership of the group now.
    fn target(&self, group: &Group, node: NodeId) -> Result<Member, HandOverError> {
        let status = group.status();
        if status.role != Role::Leader {
            return Err(HandOverError::NotOwner(group.id()));
        }
        let target =
            status.voters.iter().find(|voter| voter.node == node && voter.replica != group.replica());
        let target = *target.ok_or(HandOverError::NoVoter(node, group.id()))?;
        if let Some(why) = self.not_fit(node) {
            return Err(HandOverError::NotFit { node, why });
        }
        match lag(&status, target) {
            lag if lag > LAG_MAX => Err(HandOverError::Behind { node, lag }),
            _ => Ok(target),
        }
    }

    /// Why the node should not be given anything, if it should not.
    pub(crate) fn not_fit(&self, node: NodeId) -> Option<String> {
        if let Some(suspicion) = self.pings.suspicion(node) {
            return Some(suspicion.cause.to_string());
        }
        match self.pings.is_leaving(node) {
            true => Some("it is stopping".to_owned()),
            false => (!self.pings.is_alive(node)).then(|| "it was not heard lately".to_owned()),
        }
    }

    /// Has the target elected, if this replica leads in the epoch.
    async fn elect(&self, group: &Group, epoch: Epoch, target: Member) -> Result<(), HandOverError> {
        let node = target.node;
        let caught_up = async {
            while lag(&group.status(), target) > 0 {
                sleep(LOOK).await;
            }
        };
        if timeout(QUIET_MAX, caught_up).await.is_err() {
            return Err(HandOverError::Behind { node, lag: lag(&group.status(), target) });
        }
        let request = Request::TakeOver { group: group.id(), replica: target.replica, epoch }.encode();
        let answer = self.consensus.ask(node, request, ELECTED_MAX).await;
        match answer.map(|bytes| Answer::decode(&bytes)) {
            Ok(Ok(Answer::Done)) => {}
            Ok(Ok(Answer::Later(why))) => return Err(not_elected(node, &why)),
            Ok(Ok(_)) => return Err(not_elected(node, "it answered something else")),
            Ok(Err(error)) => return Err(not_elected(node, &error.to_string())),
            // It may have been asked all the same.
            Err(error) => tracing::debug!(%node, %error, "no answer from the target of a hand-over"),
        }
        let mut changes = group.watch();
        let elected = async {
            loop {
                let status = changes.borrow_and_update().clone();
                if status.epoch > epoch && status.leader.is_some() {
                    return status.leader;
                }
                if changes.changed().await.is_err() {
                    return None;
                }
            }
        };
        match timeout(ELECTED_MAX, elected).await {
            Ok(Some(leader)) if leader == target => Ok(()),
            Ok(Some(leader)) => Err(not_elected(node, &format!("{} was", leader.node))),
            Ok(None) => Err(not_elected(node, "the replica stopped")),
            Err(_) => Err(not_elected(node, "nobody was elected in time")),
        }
    }

    /// Another node wants the replica here to lead.
    pub(crate) async fn take_over_for(
        &self,
        from: NodeId,
        (group, replica, epoch): (GroupId, roomkeeper_types::ReplicaId, Epoch),
    ) -> Answer {
        let refused = |why: String| Answer::Later(why);
        if self.pings.is_unfit_here() || self.pings.is_leaving_here() || self.space.is_full() {
            return refused("this node should own nothing now".to_owned());
        }
        let Some(local) = self.group(group).filter(|local| local.replica() == replica) else {
            return refused(format!("{replica} of {group} is not here"));
        };
        if let GroupId::Shard(shard) = group {
            self.failover.set_reason(shard, format!("handed over by {from}"), Instant::now());
        }
        match local.take_over(epoch).await {
            Ok(()) => Answer::Done,
            Err(error) => refused(error.to_string()),
        }
    }
}

fn not_elected(node: NodeId, why: &str) -> HandOverError {
    HandOverError::NotElected { node, why: why.to_owned() }
}

/// Entries that the leader has and the replica has not.
pub(crate) fn lag(status: &Status, member: Member) -> u64 {
    let last = status.last.map_or(0, |last| last.get());
    let matched = status.matched.get(&member.replica).copied().flatten();
    last.saturating_sub(matched.map_or(0, |matched| matched.get()))
}
