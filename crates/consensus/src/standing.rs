//! How far a replica is on its disk: what its peers remember of it, and compare with when it comes back.

use std::sync::Arc;

use parking_lot::Mutex;
use roomkeeper_types::{Epoch, LogPosition, ReplicaId};
use serde::{Deserialize, Serialize};

use crate::Member;
use crate::raft_types::{LogId, Vote, position};

/// What a replica has on disk. Ordered: a replica only ever gets further.
///
/// A follower's log may end earlier than it did before, when a new leader cuts off what was never committed. But
/// then its vote is a later one, so the vote comes first.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Standing {
    /// The term of its vote.
    pub term: Epoch,
    /// The vote was for a leader that a quorum elected.
    pub elected: bool,
    /// The last entry, in the log or applied.
    pub last: Option<LogPosition>,
}

/// What is on disk of a replica that does not run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inspection {
    /// How far it is.
    pub standing: Standing,
    /// The voters of its group as far as it has applied; empty for a new one.
    pub voters: Vec<Member>,
    /// What its vote says of the replica that it voted for.
    pub candidate: Option<(ReplicaId, Standing)>,
}

/// A replica that runs here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Running {
    /// The replica.
    pub replica: ReplicaId,
    /// How far it is on disk.
    pub standing: Standing,
    /// All members of its group, as it knows them.
    pub members: Vec<Member>,
}

/// The standing of a replica, told by its log store as writes reach the disk.
#[derive(Debug, Clone, Default)]
pub(crate) struct Synced(Arc<Mutex<OnDisk>>);

#[derive(Debug, Default)]
struct OnDisk {
    standing: Standing,
    voted_for: Option<ReplicaId>,
}

impl Synced {
    pub(crate) fn get(&self) -> Standing {
        self.0.lock().standing
    }

    /// Whom the replica voted for: that one had voted for itself before it asked, and knows if it was elected.
    pub(crate) fn candidate(&self) -> Option<(ReplicaId, Standing)> {
        let on_disk = self.0.lock();
        Some((on_disk.voted_for?, Standing { last: None, ..on_disk.standing }))
    }

    pub(crate) fn voted(&self, vote: &Vote) {
        let mut on_disk = self.0.lock();
        on_disk.voted_for = Some(ReplicaId(vote.leader_id.voted_for));
        on_disk.standing.term = Epoch(vote.leader_id.term);
        on_disk.standing.elected = vote.committed;
    }

    /// The log ends here now.
    pub(crate) fn ends(&self, last: Option<LogId>) {
        self.0.lock().standing.last = last.as_ref().map(position);
    }

    /// Everything up to here is on disk, in the log or in rows.
    pub(crate) fn reaches(&self, last: &LogId) {
        let mut on_disk = self.0.lock();
        on_disk.standing.last = on_disk.standing.last.max(Some(position(last)));
    }
}

#[cfg(test)]
mod tests {
    use roomkeeper_types::LogIndex;

    use super::*;

    fn standing(term: u64, elected: bool, last: (u64, u64)) -> Standing {
        let last = Some(LogPosition { epoch: Epoch(last.0), index: LogIndex(last.1) });
        Standing { term: Epoch(term), elected, last }
    }

    #[test]
    fn standings_sort_as_a_replica_gets_further() {
        let way = [
            Standing::default(),
            standing(1, false, (0, 0)),
            standing(1, true, (0, 0)),
            standing(1, true, (1, 9)),
            standing(1, true, (1, 10)),
            // Cut off by a new leader.
            standing(2, true, (1, 8)),
            standing(2, true, (2, 9)),
        ];
        assert!(way.is_sorted(), "{way:?}");
    }
}
