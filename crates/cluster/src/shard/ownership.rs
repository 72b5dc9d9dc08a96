//! What an owner is, and what it can do.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use roomkeeper_consensus::{Role, Status};
use roomkeeper_room::{Command, Outcome};
use roomkeeper_sabotage::{self as sabotage, Bug};
use roomkeeper_storage::ReplicaStore;
use roomkeeper_types::{Epoch, ShardId};
use tokio_util::sync::CancellationToken;

use super::batcher::{Batcher, Queue, ShardGroup};
use super::stamps::Stamps;
use crate::config::Tuning;
use crate::space::Space;

/// Why a command got no outcome.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SubmitError {
    /// It is definitely not in the log: this node no longer owns the shard.
    #[error("not proposed: this node no longer owns the shard")]
    NotProposed,
    /// It is definitely not in the log: this node's disk has no room for more. Reads go on.
    #[error("not proposed: the disk of the room's owner is full")]
    DiskFull,
    /// It may be in the log: send it again with the same ids.
    #[error("outcome unknown: {0}")]
    Unknown(String),
}

/// Called exactly once with a command's outcome; never on the caller's stack before `submit` returned. Must not
/// block.
pub type Completion = Box<dyn FnOnce(Result<Outcome, SubmitError>) + Send>;

/// This node's ownership of a shard in one epoch. Cheap to clone; it does not keep ownership alive.
#[derive(Clone)]
pub struct Ownership {
    inner: Arc<Inner>,
}

struct Inner {
    shard: ShardId,
    epoch: Epoch,
    begun: Instant,
    group: Arc<dyn ShardGroup>,
    store: ReplicaStore,
    queue: Queue,
    ended: CancellationToken,
    until: Until,
    read_timeout: Duration,
}

/// Rule 1: this replica leads, an entry of its own term is applied, and a quorum was heard not too long ago.
/// Returns the epoch, and until when that holds if no quorum is heard any more.
pub(crate) fn claim(status: &Status, now: Instant, quorum_age_max: Duration) -> Option<(Epoch, Instant)> {
    let until = status.quorum_acked? + quorum_age_max;
    let owns = status.role == Role::Leader && status.term_applied && now < until;
    owns.then_some((status.epoch, until))
}

/// Whether an owner is one for as long as it does not know better: never, without sabotage.
pub(crate) fn ignores_quorum() -> bool {
    sabotage::is(Bug::ZombieKeepsAcking) || sabotage::is(Bug::StaleRead)
}

impl Ownership {
    /// Ownership begins. The second value proposes what is submitted and must be run.
    pub(crate) fn begin(
        shard: ShardId,
        (epoch, until): (Epoch, Instant),
        group: Arc<dyn ShardGroup>,
        store: ReplicaStore,
        stamps: Arc<Stamps>,
        tuning: &Tuning,
        space: Arc<Space>,
    ) -> (Self, Batcher) {
        let ended = CancellationToken::new();
        let (queue, batcher) = Batcher::new(epoch, group.clone(), stamps, tuning, space, ended.clone());
        let until = Until::new(until);
        let read_timeout = tuning.answer_timeout;
        let begun = Instant::now();
        let inner = Inner { shard, epoch, begun, group, store, queue, ended, until, read_timeout };
        (Self { inner: Arc::new(inner) }, batcher)
    }

    /// The shard.
    #[must_use]
    pub fn shard(&self) -> ShardId {
        self.inner.shard
    }

    /// The epoch.
    #[must_use]
    pub fn epoch(&self) -> Epoch {
        self.inner.epoch
    }

    /// When it began.
    #[must_use]
    pub fn begun(&self) -> Instant {
        self.inner.begun
    }

    /// Leader, own term applied, quorum heard less than 1.5 s ago, and no higher epoch heard of. Cheap: two
    /// loads. `false` may come before [`Ownership::lost`] returns, and after a short stall of this node it may
    /// turn `true` again.
    #[must_use]
    pub fn is_current(&self) -> bool {
        !self.has_ended() && (self.inner.until.is_ahead() || ignores_quorum())
    }

    /// Returns when ownership is over for good. Should this node own the shard again, also in the same epoch,
    /// then by another `Ownership`.
    pub async fn lost(&self) {
        self.inner.ended.cancelled().await;
    }

    /// Queues a command for the shard's next entry. Waits while the queue is full (the caller's socket is not
    /// read meanwhile). Commands of one caller that awaits each call keep their order, and when one of them gets
    /// no outcome, those submitted before that was known get none either.
    ///
    /// If this future is dropped before it returns, the command is not queued and `done` is not called.
    pub async fn submit(&self, command: Command, done: Completion) {
        self.inner.queue.submit(command, done).await;
    }

    /// ReadIndex, then the rows: they hold everything acked before the call. Reading rows blocks: use
    /// `spawn_blocking` for more than a few gets.
    ///
    /// # Errors
    /// [`SubmitError::NotProposed`] if this node is not the owner, [`SubmitError::Unknown`] if no quorum said so.
    pub async fn read(&self) -> Result<ReplicaStore, SubmitError> {
        if !self.is_current() {
            return Err(SubmitError::NotProposed);
        }
        if sabotage::is(Bug::StaleRead) {
            return Ok(self.inner.store.clone());
        }
        let confirmed = tokio::select! {
            confirmed = self.inner.group.read_index() => confirmed.map_err(|error| error.to_string()),
            () = self.lost() => return Err(SubmitError::NotProposed),
            () = tokio::time::sleep(self.inner.read_timeout) => Err("no quorum answered".to_owned()),
        };
        match confirmed {
            Ok(()) => Ok(self.inner.store.clone()),
            Err(_) if !self.is_current() => Err(SubmitError::NotProposed),
            Err(why) => Err(SubmitError::Unknown(why)),
        }
    }

    /// The rows without a check (for catching a subscriber up with what is already committed).
    #[must_use]
    pub fn store(&self) -> &ReplicaStore {
        &self.inner.store
    }

    /// Waits for the batch in flight; nothing is proposed while the guard is held.
    pub(crate) async fn quiet(&self) -> tokio::sync::OwnedMutexGuard<()> {
        self.inner.queue.quiet().await
    }

    /// A quorum was heard since: ownership holds until then.
    pub(crate) fn extend(&self, until: Instant) {
        self.inner.until.set(until);
    }

    /// Ownership is over.
    pub(crate) fn end(&self) {
        self.inner.ended.cancel();
    }

    pub(crate) fn has_ended(&self) -> bool {
        self.inner.ended.is_cancelled()
    }
}

impl fmt::Debug for Ownership {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ownership")
            .field("shard", &self.shard())
            .field("epoch", &self.epoch())
            .field("current", &self.is_current())
            .finish_non_exhaustive()
    }
}

/// A moment that is read and moved without a lock.
struct Until {
    base: Instant,
    micros: AtomicU64,
}

impl Until {
    fn new(until: Instant) -> Self {
        let new = Self { base: Instant::now(), micros: AtomicU64::new(0) };
        new.set(until);
        new
    }

    fn set(&self, until: Instant) {
        let micros = until.saturating_duration_since(self.base).as_micros();
        self.micros.store(u64::try_from(micros).unwrap_or(u64::MAX), Ordering::Release);
    }

    fn is_ahead(&self) -> bool {
        self.base.elapsed() < Duration::from_micros(self.micros.load(Ordering::Acquire))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shard::testing::leader_status;

    const AGE_MAX: Duration = Duration::from_millis(1_500);

    fn claims(change: impl FnOnce(&mut Status, Instant)) -> bool {
        let now = Instant::now() + Duration::from_secs(10);
        let mut status = leader_status(7, now);
        change(&mut status, now);
        claim(&status, now, AGE_MAX).is_some()
    }

    #[test]
    fn owner_is_who_leads_has_applied_and_heard_a_quorum() {
        assert!(claims(|_, _| {}));
        for role in [Role::Follower, Role::Candidate, Role::Learner, Role::Stopped] {
            assert!(!claims(|status, _| status.role = role), "{role:?}");
        }
        assert!(!claims(|status, _| status.term_applied = false));
        assert!(!claims(|status, _| status.quorum_acked = None));
        let ago = |ms| {
            move |status: &mut Status, now| {
                status.quorum_acked = Some(now - Duration::from_millis(ms));
            }
        };
        assert!(claims(ago(1_499)));
        assert!(!claims(ago(1_500)));
    }

    #[test]
    fn until_in_the_past_is_not_ahead() {
        let until = Until::new(Instant::now() + Duration::from_secs(60));
        assert!(until.is_ahead());
        until.set(Instant::now());
        assert!(!until.is_ahead());
        until.set(Instant::now() - Duration::from_secs(1));
        assert!(!until.is_ahead());
    }
}
