//! A shard's group that guesses what a batch will come to, for the bugs of [`sabotage`] that act on guesses. Only
//! in builds with the feature `sabotage`.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::future::BoxFuture;
use roomkeeper_consensus::{GroupError, ProposeError, Reply};
use roomkeeper_room::{Applier, Batch, Effect, Outcome};
use roomkeeper_sabotage::{self as sabotage, Bug};
use roomkeeper_storage::ReplicaStore;
use roomkeeper_types::{Epoch, LogIndex, LogPosition, ShardCount, ShardId};

use super::batcher::ShardGroup;
use crate::Observer;

/// How long [`Bug::AckBeforeCommit`] waits for the commit: long enough that it hardly shows in quiet times.
const PATIENCE: Duration = Duration::from_millis(20);

/// The group of one ownership.
pub(super) struct Guessing {
    pub(super) group: Arc<dyn ShardGroup>,
    pub(super) store: ReplicaStore,
    pub(super) shard: ShardId,
    pub(super) shards: ShardCount,
    pub(super) observer: Arc<dyn Observer>,
}

impl Guessing {
    /// What the batch would come to if it were applied now.
    fn guess(&self, epoch: Epoch, payload: Bytes) -> Option<(LogPosition, Vec<Outcome>, Vec<Effect>)> {
        let at = LogPosition { epoch, index: LogIndex(u64::MAX >> 1) };
        let mut effects = Vec::new();
        let mut applier = Applier::new(&self.store, self.shard, self.shards);
        let outcomes = applier.apply(at, Batch::decode(payload).ok()?, &mut effects).ok()?;
        Some((at, outcomes, effects))
    }
}

impl ShardGroup for Guessing {
    fn propose(
        &self,
        epoch: Epoch,
        payload: Bytes,
    ) -> BoxFuture<'_, Result<(LogPosition, Reply), ProposeError>> {
        let guess = self.guess(epoch, payload.clone());
        Box::pin(async move {
            let Some((at, outcomes, effects)) = guess else {
                return self.group.propose(epoch, payload).await;
            };
            if sabotage::is(Bug::DeliverBeforeCommit) {
                self.observer.applied(self.shard, effects);
            }
            if sabotage::is(Bug::AckBeforeCommit) {
                let group = self.group.clone();
                let proposed = tokio::spawn(async move { group.propose(epoch, payload).await });
                return match tokio::time::timeout(PATIENCE, proposed).await {
                    Ok(Ok(Ok(committed))) => Ok(committed),
                    _ => Ok((at, Reply::Outcomes(outcomes))),
                };
            }
            match self.group.propose(epoch, payload).await {
                Err(_) if sabotage::is(Bug::ZombieKeepsAcking) => Ok((at, Reply::Outcomes(outcomes))),
                result => result,
            }
        })
    }

    fn read_index(&self) -> BoxFuture<'_, Result<(), GroupError>> {
        self.group.read_index()
    }
}
