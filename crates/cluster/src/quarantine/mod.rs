//! Replicas that are not what they were: found out before they take part, and replaced by new ones.
//!
//! A disk can lose what was acked: a flipped bit, an old copy of a data directory, a wiped one. A replica that
//! votes or is filled as its former self then undoes what its group has decided. So before a replica is opened:
//!
//! 1. Its own disk is asked: the log is compared with its durable mark ([`roomkeeper_storage`]).
//! 2. Its peers are asked ([`admission`]): nodes tell each other about once a second how far their replicas are
//!    on disk ([`exchange`]) and keep that on disk themselves ([`memory`]). A majority of the group's voters,
//!    this node included, must have answered, and nobody may remember more than there is.
//!
//! What fails either is in quarantine: it is not opened, its bytes stay as they are, and meta is asked for another
//! replica in its place ([`renewal`]), which is filled by its group. The rest of the node serves meanwhile. Where
//! a majority of a group is in quarantine the group stands still, since it cannot take new members either: only an
//! operator can go on.

mod admission;
mod exchange;
mod memory;
mod own_meta;
mod renewal;

pub(crate) use admission::{Candidate, Verdict};
pub(crate) use exchange::tell_standings;
pub(crate) use memory::{Memory, Recollection};

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;
use roomkeeper_consensus::GroupId;
use roomkeeper_types::ReplicaId;

/// What this node knows of replicas that may not take part.
pub(crate) struct Quarantine {
    pub(crate) memory: Memory,
    held: Mutex<BTreeMap<ReplicaId, GroupId>>,
    /// This node has looked at what its own replicas on disk say of others: of shards, and of meta.
    looked: [AtomicBool; 2],
}

impl Quarantine {
    pub(crate) fn new(memory: Memory) -> Self {
        Self { memory, held: Mutex::default(), looked: Default::default() }
    }

    /// Whether this replica is in quarantine here.
    pub(crate) fn holds(&self, replica: ReplicaId) -> bool {
        self.held.lock().contains_key(&replica)
    }

    fn set_looked(&self, meta: bool) {
        self.looked[usize::from(meta)].store(true, Ordering::Release);
    }

    fn has_looked(&self, meta: bool) -> bool {
        self.looked[usize::from(meta)].load(Ordering::Acquire)
    }

    /// Takes it in; false if it was before.
    fn take(&self, group: GroupId, replica: ReplicaId) -> bool {
        self.held.lock().insert(replica, group).is_none()
    }
}
