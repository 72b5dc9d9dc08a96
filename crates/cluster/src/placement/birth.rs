//! How a shard's group comes to life, exactly once.
//!
//! 1. Meta names the replicas. The one on the preferred node, and no other, initialises the group, and only after
//!    meta's leader confirmed that the shard is unborn.
//! 2. Its first owner adds the replicas without a vote, if there are any, and tells meta that the shard is born.
//! 3. From then on nobody initialises it, and a replica with an empty log does not vote.

use std::sync::Arc;
use std::time::{Duration, Instant};

use roomkeeper_consensus::{Change, GroupError, Member};
use roomkeeper_sabotage::{self as sabotage, Bug};
use roomkeeper_types::ShardId;

use crate::backoff::Backoff;
use crate::meta::{MetaCommand, MetaReply, MetaState, ShardRecord, voters};
use crate::node::Shared;
use crate::shard::LocalShard;

/// One attempt to reach meta's leader.
const ATTEMPT: Duration = Duration::from_secs(5);

/// Initialises the groups that are this node's to initialise, until none is left.
pub(crate) async fn initialise_shards(shared: Arc<Shared>) {
    let mut backoff = Backoff::patient();
    loop {
        let mine = uninitialised(&shared, &shared.meta.state()).await;
        if mine.is_empty() {
            return;
        }
        match shared.meta.fresh(&shared.consensus, Instant::now() + ATTEMPT).await {
            Ok(fresh) => {
                for local in &mine {
                    initialise(&shared, &fresh, local).await;
                }
            }
            Err(error) => tracing::warn!(%error, "cannot ask meta which shards are unborn"),
        }
        tokio::time::sleep(backoff.next()).await;
    }
}

/// Replicas here that are to initialise their group and have not.
async fn uninitialised(shared: &Shared, state: &MetaState) -> Vec<Arc<LocalShard>> {
    let mut found = Vec::new();
    for (shard, record) in state.shards() {
        let Some(local) = shared.shards.get(shard) else { continue };
        if !record.born && founder(record).is_some_and(|member| member.replica == local.group.replica()) {
            match local.group.is_initialized().await {
                Ok(true) => {}
                Ok(false) => found.push(local),
                Err(error) => tracing::warn!(%shard, %error, "cannot tell whether the group is initialised"),
            }
        }
    }
    found
}

async fn initialise(shared: &Shared, fresh: &MetaState, local: &LocalShard) {
    let shard = local.shard;
    let Some(record) = fresh.shard(shard).filter(|record| !record.born) else {
        // Nobody else could have brought it to life. Unless it happened here meanwhile, the log is gone.
        if matches!(local.group.is_initialized().await, Ok(false)) && !sabotage::is(Bug::ReplicaIdReused) {
            let reason = format!("the replica of {shard} has lost its log: meta says that the shard is born");
            shared.failure.report(reason);
        }
        return;
    };
    match local.group.initialize(voters(&record.replicas)).await {
        Ok(()) => tracing::info!(%shard, "shard's group is initialised"),
        Err(GroupError(error)) => tracing::warn!(%shard, error, "shard's group is not initialised"),
    }
}

/// The replica that may initialise the group.
fn founder(record: &ShardRecord) -> Option<Member> {
    record.on(record.preferred)
}

/// Tells meta of the shards that were born here, for ever.
pub(crate) async fn report_births(shared: Arc<Shared>) {
    let mut states = shared.meta.states();
    let mut backoff = Backoff::quick();
    loop {
        let state = states.borrow_and_update().clone();
        let mut born = Vec::new();
        let mut incomplete = false;
        for ownership in shared.table.held() {
            let shard = ownership.shard();
            let Some(record) = state.shard(shard).filter(|record| !record.born) else { continue };
            match complete(&shared, shard, record).await {
                Ok(()) => born.push(shard),
                Err(error) => {
                    tracing::warn!(%shard, %error, "shard's group is not complete yet");
                    incomplete = true;
                }
            }
        }
        if !born.is_empty() {
            incomplete |= !report(&shared, born).await;
        }
        if incomplete {
            tokio::time::sleep(backoff.next()).await;
            continue;
        }
        backoff = Backoff::quick();
        tokio::select! {
            () = shared.births.notified() => {}
            changed = states.changed() => if changed.is_err() { return },
        }
    }
}

/// Adds the replicas that have no vote.
async fn complete(shared: &Shared, shard: ShardId, record: &ShardRecord) -> Result<(), GroupError> {
    let learners = &record.replicas[voters(&record.replicas).len()..];
    let Some(local) = shared.shards.get(shard) else { return Ok(()) };
    let status = local.group.status();
    if learners.iter().all(|learner| status.learners.contains(learner)) {
        return Ok(());
    }
    let change = Change::Learn(learners.to_vec());
    let change = tokio::time::timeout(ATTEMPT, local.group.change_members(status.members_at, &change));
    change.await.unwrap_or_else(|_| Err(GroupError(format!("not done within {ATTEMPT:?}"))))
}

async fn report(shared: &Shared, shards: Vec<ShardId>) -> bool {
    let count = shards.len();
    let command = MetaCommand::Born { shards };
    match shared.meta.propose(&shared.consensus, &command, Instant::now() + ATTEMPT).await {
        Ok(MetaReply::Done) => {
            tracing::info!(count, "shards are born");
            true
        }
        Ok(reply) => {
            tracing::error!(?reply, "meta did not take the birth of shards");
            false
        }
        Err(error) => {
            tracing::warn!(%error, "meta was not told of born shards yet");
            false
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shard::testing::member;

    #[test]
    fn initial_voters_are_odd_and_begin_with_the_preferred() {
        for (replicas, count) in [(1, 1), (2, 1), (3, 3), (4, 3), (5, 5)] {
            let replicas: Vec<Member> = (1..=replicas).map(member).collect();
            let record = ShardRecord::unborn(replicas.clone(), replicas[0].node);
            let initial = voters(&record.replicas);
            assert_eq!(initial.len(), count);
            assert_eq!(Some(initial[0]), founder(&record));
        }
    }
}
