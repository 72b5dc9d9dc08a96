//! A replica in quarantine: operators are told, and meta is asked for another one in its place.

use std::sync::Arc;
use std::time::Instant;

use roomkeeper_consensus::GroupId;
use roomkeeper_types::ReplicaId;

use crate::backoff::Backoff;
use crate::events::{Event, EventKind};
use crate::meta::{MetaCommand, MetaReply};
use crate::node::Shared;
use crate::shard::LocalShard;

impl Shared {
    /// A shard's replica may not take part. Its bytes stay until its group has another one.
    pub(crate) fn quarantine_shard(self: &Arc<Self>, group: GroupId, replica: ReplicaId, reason: &str) {
        if self.quarantine.take(group, replica) {
            self.tell_quarantine(group, replica, reason);
            let shared = self.clone();
            self.tasks.spawn_loop(async move {
                shared.renew(group, replica).await;
            });
        }
    }

    /// A part of a running replica's rows is unreadable. It stops, and the node goes on.
    pub(crate) async fn quarantine_running(self: &Arc<Self>, local: &LocalShard, reason: &str) {
        let (group, replica) = (local.group.id(), local.group.replica());
        // First: nobody opens it again once it is not among those that run.
        self.quarantine_shard(group, replica, reason);
        self.shards.take(local);
        self.consensus.close(group, replica).await;
    }

    pub(crate) fn tell_quarantine(&self, group: GroupId, replica: ReplicaId, reason: &str) {
        let reason = format!("{replica} of {group} is in quarantine: {reason}");
        tracing::error!(%group, %replica, reason, "replica in quarantine");
        self.events
            .record(Event { from: Some(self.identity.node), ..of(EventKind::Quarantine, group, reason) });
    }

    /// Asks meta for another replica until it answers; `None` if none is wanted on this node any more.
    pub(crate) async fn renew(&self, group: GroupId, replica: ReplicaId) -> Option<ReplicaId> {
        let command = MetaCommand::Renew { replica };
        let mut backoff = Backoff::patient();
        let begun = Instant::now();
        loop {
            let deadline = Instant::now() + self.tuning.answer_timeout;
            match self.meta.propose(&self.consensus, &command, deadline).await {
                Ok(MetaReply::Renewed(renewed)) => {
                    let reason = match renewed {
                        Some(renewed) => format!("{renewed} takes the place of {replica} in {group}"),
                        None => format!("{replica} has left {group}"),
                    };
                    let event = of(EventKind::Repair, group, reason);
                    let (to, duration) = (Some(self.identity.node), Some(begun.elapsed()));
                    self.events.record(Event { to, duration, ..event });
                    return renewed;
                }
                Ok(reply) => tracing::warn!(%group, %replica, ?reply, "no new replica yet"),
                Err(error) => tracing::warn!(%group, %replica, %error, "no new replica yet"),
            }
            tokio::time::sleep(backoff.next()).await;
        }
    }
}

fn of(kind: EventKind, group: GroupId, reason: String) -> Event {
    let shard = match group {
        GroupId::Meta => None,
        GroupId::Shard(shard) => Some(shard),
    };
    Event { shard, ..Event::new(kind, reason) }
}
