//! The replica of meta. Without it a node knows nothing, so that it is opened first and renewed by asking the nodes
//! that the identity names.

use std::slice;
use std::sync::Arc;
use std::time::{Duration, Instant};

use roomkeeper_consensus::{Group, GroupId, OpenError};
use roomkeeper_types::ReplicaId;
use tokio::sync::watch;

use super::Candidate;
use super::admission::Verdict;
use crate::error::StartError;
use crate::meta::MetaState;
use crate::meta::machine::MetaMachine;
use crate::node::Shared;

/// Between two rounds of questions.
const PAUSE: Duration = Duration::from_millis(50);
/// An operator is told of a wait that is longer.
const PATIENCE: Duration = Duration::from_secs(3);

impl Shared {
    /// Opens this node's replica of meta, or the one that takes its place; `None` when the node stops meanwhile.
    ///
    /// # Errors
    /// The disk failed, or the replica is in quarantine and there is nobody to ask for another one.
    pub(crate) async fn open_meta(
        &self,
        states: watch::Sender<Arc<MetaState>>,
    ) -> Result<Option<Group>, StartError> {
        let mut replica = self.identity.meta_replica;
        let (begun, mut told) = (Instant::now(), false);
        loop {
            let verdict = tokio::select! {
                verdict = self.judge_meta(replica) => verdict,
                () = self.tasks.stopping() => return Ok(None),
            };
            let opened = match verdict {
                Ok(Verdict::Admitted) => {
                    let machine = MetaMachine::new(states.clone());
                    self.consensus.open(GroupId::Meta, replica, self.tuning.meta, machine).await
                }
                Ok(Verdict::Refused(reason)) => Err(OpenError::Quarantined { replica, reason }),
                Ok(Verdict::Waits) => {
                    if begun.elapsed() > PATIENCE && !std::mem::replace(&mut told, true) {
                        tracing::warn!("waiting until a majority of meta's voters says what it remembers");
                    }
                    tokio::time::sleep(PAUSE).await;
                    continue;
                }
                Err(error) => Err(error),
            };
            let reason = match opened {
                Ok(group) => return Ok(Some(group)),
                Err(OpenError::Quarantined { reason, .. }) => reason,
                Err(error) => return Err(error.into()),
            };
            self.tell_quarantine(GroupId::Meta, replica, &reason);
            if self.identity.peers.iter().all(|(node, _)| *node == self.identity.node) {
                return Err(StartError::MetaLost { reason });
            }
            let renewed = tokio::select! {
                renewed = self.renew(GroupId::Meta, replica) => renewed,
                () = self.tasks.stopping() => return Ok(None),
            };
            replica = renewed.ok_or(StartError::MetaLost { reason })?;
            self.update_identity(|identity| identity.meta_replica = replica)?;
        }
    }

    async fn judge_meta(&self, replica: ReplicaId) -> Result<Verdict, OpenError> {
        let peers = self.identity.peers.iter().map(|(node, _)| *node);
        let nodes = peers.chain([self.identity.node]).collect();
        let candidate = Candidate { group: GroupId::Meta, replica, nodes };
        // One answer for one candidate.
        self.judge(slice::from_ref(&candidate)).await.pop().unwrap_or(Ok(Verdict::Waits))
    }
}
