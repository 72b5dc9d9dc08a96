//! One replica of one group.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use openraft::async_runtime::Instant as _;
use openraft::async_runtime::watch::WatchReceiver;
use openraft::errors::{ClientWriteError, ForwardToLeader, LinearizableReadError, RaftError};
use openraft::impls::ProgressResponder;
use openraft::raft::{ReadPolicy, TransferLeaderRequest};
use openraft::{Raft, ServerState};
use roomkeeper_storage::ReplicaStore;
use roomkeeper_types::{Epoch, LogIndex, LogPosition, NodeId, ReplicaId, ShardId};
use tokio::sync::watch;

use crate::machine::{MachineAdapter, Reply};
use crate::raft_types::{Home, Payload, StoredMembership, Types, committed_leader, position};

/// How often a proposal that met an expired lease is tried again, and after which pause: right after an
/// election a leader has not heard its quorum yet.
const LEASE_RETRIES: u32 = 40;
const LEASE_PAUSE: Duration = Duration::from_millis(5);

/// Which group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
pub enum GroupId {
    /// The one that keeps what the cluster agreed on.
    Meta,
    /// The rooms of one shard.
    Shard(ShardId),
}

impl fmt::Display for GroupId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Meta => f.write_str("meta"),
            Self::Shard(shard) => shard.fmt(f),
        }
    }
}

/// A replica and the node it lives on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
pub struct Member {
    /// The replica: a Raft node id.
    pub replica: ReplicaId,
    /// Where it lives.
    pub node: NodeId,
}

/// What a replica does in its group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Orders the log.
    Leader,
    /// Votes and follows.
    Follower,
    /// Asks for votes.
    Candidate,
    /// Follows without a vote.
    Learner,
    /// Runs no more: it was shut down, or its storage failed.
    Stopped,
}

/// What a replica knows of its group.
#[derive(Debug, Clone, PartialEq)]
pub struct Status {
    /// This replica's part.
    pub role: Role,
    /// The current term.
    pub epoch: Epoch,
    /// The leader of that term, if known.
    pub leader: Option<Member>,
    /// An entry of the current term is applied here: a leader's reads and acks are its own.
    pub term_applied: bool,
    /// When a quorum last acknowledged this leader; now, where it is a quorum by itself. `None` on others.
    pub quorum_acked: Option<Instant>,
    /// Index of the last entry of the log.
    pub last: Option<LogIndex>,
    /// Position of the last entry applied.
    pub applied: Option<LogPosition>,
    /// Replicas with a vote.
    pub voters: Vec<Member>,
    /// Replicas without.
    pub learners: Vec<Member>,
    /// Position of the entry that says so; above `applied` it may not be committed yet.
    pub members_at: Option<LogPosition>,
    /// A change of voters is half done: majorities of the former and of the new ones decide together, and `voters`
    /// are those of both.
    pub joint: bool,
    /// On a leader: the last index known to be on each other replica.
    pub matched: BTreeMap<ReplicaId, Option<LogIndex>>,
    /// Why the replica stopped, if it did.
    pub stopped: Option<String>,
}

/// A proposal got no reply.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProposeError {
    /// Definitely not in the log: this replica does not lead, or not in the epoch named.
    #[error("not the leader of the epoch")]
    NotLeader,
    /// It may be in the log or not.
    #[error("outcome unknown: {0}")]
    Unknown(String),
}

/// A group operation other than a proposal failed. Most pass: not the leader, no quorum, not caught up.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{0}")]
pub struct GroupError(pub String);

impl GroupError {
    pub(crate) fn of(error: impl fmt::Display) -> Self {
        Self(error.to_string())
    }
}

/// One replica of one group. Cheap to clone.
#[derive(Clone)]
pub struct Group {
    id: GroupId,
    replica: ReplicaId,
    pub(crate) raft: Raft<Types, MachineAdapter>,
    store: ReplicaStore,
    applied_epoch: watch::Receiver<Epoch>,
    watched: watch::Receiver<Arc<Status>>,
}

impl Group {
    pub(crate) fn new(
        id: GroupId,
        replica: ReplicaId,
        raft: Raft<Types, MachineAdapter>,
        store: ReplicaStore,
        applied_epoch: watch::Receiver<Epoch>,
    ) -> Self {
        let first = Arc::new(status(&raft, replica, *applied_epoch.borrow()));
        let (tell, watched) = watch::channel(first);
        tokio::spawn(follow_status(raft.clone(), replica, applied_epoch.clone(), tell));
        Self { id, replica, raft, store, applied_epoch, watched }
    }

    /// Which group.
    #[must_use]
    pub fn id(&self) -> GroupId {
        self.id
    }

    /// Which replica.
    #[must_use]
    pub fn replica(&self) -> ReplicaId {
        self.replica
    }

    /// The replica's rows, as far as applied.
    #[must_use]
    pub fn store(&self) -> &ReplicaStore {
        &self.store
    }

    /// First start of a group: this replica campaigns with these members. Once per group, ever, and only the
    /// replica that meta names.
    ///
    /// # Errors
    /// The replica has a log already, or stopped.
    pub async fn initialize(&self, members: &[Member]) -> Result<(), GroupError> {
        let members: BTreeMap<u64, Home> = members.iter().map(|m| (m.replica.0, Home(m.node))).collect();
        self.raft.initialize(members).await.map_err(GroupError::of)
    }

    /// Whether the replica's log has anything in it, or it has voted.
    ///
    /// # Errors
    /// The replica stopped.
    pub async fn is_initialized(&self) -> Result<bool, GroupError> {
        self.raft.is_initialized().await.map_err(GroupError::of)
    }

    /// Appends one entry and waits until it is applied here. With an epoch: only if this replica still leads
    /// in it.
    ///
    /// # Errors
    /// [`ProposeError`] says whether the entry may be in the log.
    pub async fn propose(
        &self,
        epoch: Option<Epoch>,
        payload: Bytes,
    ) -> Result<(LogPosition, Reply), ProposeError> {
        for _ in 0..LEASE_RETRIES {
            let (responder, answer) = ProgressResponder::complete_only();
            let mut request = self.raft.write(Payload(payload.clone())).responder(responder);
            if let Some(epoch) = epoch {
                request = request.with_leader(committed_leader(epoch.0));
            }
            // The core is gone: it did not take the request.
            request.await.map_err(|_| ProposeError::NotLeader)?;
            match answer.await {
                Ok(Ok(written)) => return Ok((position(&written.log_id), written.data)),
                Ok(Err(ClientWriteError::ForwardToLeader(forward))) => {
                    if !self.leads(&forward) {
                        return Err(ProposeError::NotLeader);
                    }
                    tokio::time::sleep(LEASE_PAUSE).await;
                }
                Ok(Err(other)) => return Err(ProposeError::Unknown(other.to_string())),
                Err(_) => return Err(ProposeError::Unknown("the replica stopped".to_owned())),
            }
        }
        Err(ProposeError::NotLeader)
    }

    /// Whether a refusal only means that the leader here has not heard its quorum yet.
    fn leads(&self, forward: &ForwardToLeader<Types>) -> bool {
        forward.leader_id.is_none_or(|leader| leader == self.replica.0) && self.raft.is_leader()
    }

    /// ReadIndex: when this returns ok, what is applied here holds everything committed before the call.
    ///
    /// # Errors
    /// This replica does not lead, or cannot reach a quorum.
    pub async fn read_index(&self) -> Result<(), GroupError> {
        for _ in 0..LEASE_RETRIES {
            match self.raft.ensure_linearizable(ReadPolicy::ReadIndex).await {
                Ok(_) => return Ok(()),
                Err(RaftError::APIError(error)) => {
                    let unheard = matches!(
                        &error,
                        LinearizableReadError::ForwardToLeader(forward) if self.leads(forward)
                    );
                    if !unheard {
                        return Err(GroupError::of(error));
                    }
                    tokio::time::sleep(LEASE_PAUSE).await;
                }
                Err(error) => return Err(GroupError::of(error)),
            }
        }
        Err(GroupError("no quorum confirmed that this replica leads".to_owned()))
    }

    /// The present status.
    #[must_use]
    pub fn status(&self) -> Status {
        status(&self.raft, self.replica, *self.applied_epoch.borrow())
    }

    /// Index up to which the log was purged; `None`: it is whole. A replica that needs more gets a snapshot.
    #[must_use]
    pub fn log_begins_after(&self) -> Option<LogIndex> {
        self.raft.metrics().borrow_watched().purged.map(|id| LogIndex(id.index))
    }

    /// Follows role, epoch, leader, membership and `term_applied`; not every entry.
    #[must_use]
    pub fn watch(&self) -> watch::Receiver<Arc<Status>> {
        self.watched.clone()
    }

    /// Position of the last entry of the log here, committed or not.
    ///
    /// # Errors
    /// The replica stopped.
    pub async fn last_position(&self) -> Result<Option<LogPosition>, GroupError> {
        let last = self.raft.with_raft_state(|state| state.log_ids.last().map(position));
        last.await.map_err(GroupError::of)
    }

    /// Campaigns at once, past the lease of a leader that is known to be dead, if the term is still this one: as
    /// if that leader had handed over. Safe at any time: voters vote by log and term as ever, so at worst a live
    /// leader is deposed.
    ///
    /// # Errors
    /// The replica stopped, or a higher term has begun.
    pub async fn take_over(&self, epoch: Epoch) -> Result<(), GroupError> {
        let vote = self.raft.with_raft_state(|state| *state.vote_ref()).await.map_err(GroupError::of)?;
        if vote.leader_id.term != epoch.0 {
            return Err(GroupError(format!("term {} has begun", vote.leader_id.term)));
        }
        let request = TransferLeaderRequest::new(vote, self.replica.0, None);
        match self.raft.handle_transfer_leader(request).await {
            Ok(accepted) => accepted.map_err(GroupError::of),
            Err(fatal) => Err(GroupError::of(fatal)),
        }
    }
}

pub(crate) fn members(stored: &StoredMembership) -> (Vec<Member>, Vec<Member>) {
    let voters: BTreeSet<u64> = stored.voter_ids().collect();
    let all = stored.nodes().map(|(id, home)| Member { replica: ReplicaId(*id), node: home.0 });
    all.partition(|member| voters.contains(&member.replica.0))
}

fn status(raft: &Raft<Types, MachineAdapter>, replica: ReplicaId, applied_epoch: Epoch) -> Status {
    let metrics = raft.metrics();
    let metrics = metrics.borrow_watched();
    let (voters, learners) = members(&metrics.membership_config);
    let stopped = metrics.running_state.as_ref().err().map(ToString::to_string);
    let role = match metrics.state {
        _ if stopped.is_some() => Role::Stopped,
        ServerState::Leader => Role::Leader,
        ServerState::Follower => Role::Follower,
        ServerState::Candidate => Role::Candidate,
        ServerState::Learner => Role::Learner,
        ServerState::Shutdown => Role::Stopped,
    };
    let alone = voters.len() == 1 && voters.iter().any(|member| member.replica == replica);
    let quorum_acked = match role {
        Role::Leader if alone => Some(Instant::now()),
        Role::Leader => {
            metrics.last_quorum_acked.and_then(|acked| Instant::now().checked_sub(acked.elapsed()))
        }
        _ => None,
    };
    let leader = metrics
        .current_leader
        .and_then(|id| voters.iter().chain(&learners).find(|member| member.replica.0 == id).copied());
    let matched = metrics.replication.iter().flatten();
    Status {
        role,
        epoch: Epoch(metrics.current_term),
        leader,
        term_applied: applied_epoch == Epoch(metrics.current_term),
        quorum_acked,
        last: metrics.last_log_index.map(LogIndex),
        applied: metrics.last_applied.as_ref().map(position),
        matched: matched
            .filter(|(id, _)| **id != replica.0)
            .map(|(id, log_id)| (ReplicaId(*id), log_id.as_ref().map(|log_id| LogIndex(log_id.index))))
            .collect(),
        voters,
        learners,
        members_at: metrics.membership_config.log_id().as_ref().map(position),
        joint: metrics.membership_config.membership().get_joint_config().len() > 1,
        stopped,
    }
}

/// Tells of changes in role, epoch, leader, membership and whether the own term is applied, until the core
/// stops.
async fn follow_status(
    raft: Raft<Types, MachineAdapter>,
    replica: ReplicaId,
    mut applied_epoch: watch::Receiver<Epoch>,
    tell: watch::Sender<Arc<Status>>,
) {
    let mut server = raft.server_metrics();
    loop {
        let ended = tokio::select! {
            changed = server.changed() => changed.is_err(),
            changed = applied_epoch.changed() => changed.is_err(),
            () = tell.closed() => return,
        };
        let mut now = status(&raft, replica, *applied_epoch.borrow_and_update());
        if ended {
            now.role = Role::Stopped;
            now.stopped.get_or_insert_with(|| "the replica was shut down".to_owned());
        }
        let stopped = now.role == Role::Stopped;
        tell.send_replace(Arc::new(now));
        if stopped {
            return;
        }
    }
}
