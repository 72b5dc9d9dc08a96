//! Bringing a command to whoever leads meta.

use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use bytes::Bytes;
use roomkeeper_consensus::{Consensus, Group, ProposeError, Reply, Role};
use roomkeeper_types::NodeId;
use tokio::sync::{OwnedRwLockWriteGuard, RwLock, watch};
use tokio::time::timeout;

use super::{MetaCommand, MetaReply, MetaState};
use crate::backoff::Backoff;
use crate::peer::{Answer, Request};

/// How long the leader may take for one command, and a peer to answer for it.
const COMMIT_TIMEOUT: Duration = Duration::from_secs(2);
const ASK_TIMEOUT: Duration = Duration::from_secs(3);

/// Meta gave no reply.
#[derive(Debug, Clone, thiserror::Error)]
pub(crate) enum MetaError {
    /// Somebody else leads, or nobody does. Definitely not in the log.
    #[error("{}", .0.map_or("meta has no leader".to_owned(), |node| format!("{node} leads meta")))]
    NotLeader(Option<NodeId>),
    /// It may be in the log. All commands may be proposed again.
    #[error("meta did not answer: {0}")]
    Unknown(String),
}

/// This node's replica of meta, and the way to the others.
pub(crate) struct Meta {
    me: NodeId,
    /// Nodes that were there when this one last ran or joined: whom to ask before there is a state.
    peers: Vec<NodeId>,
    group: OnceLock<Group>,
    /// Held shared by each proposal that is under way here, and alone while leadership is given away.
    turn: Arc<RwLock<()>>,
    states: watch::Receiver<Arc<MetaState>>,
}

impl Meta {
    pub(crate) fn new(me: NodeId, peers: Vec<NodeId>, states: watch::Receiver<Arc<MetaState>>) -> Self {
        Self { me, peers, group: OnceLock::new(), turn: Arc::default(), states }
    }

    /// Once, when the group was opened.
    pub(crate) fn set_group(&self, group: Group) {
        if self.group.set(group).is_err() {
            tracing::error!("the meta group was opened twice");
        }
    }

    /// `None` while the node starts.
    pub(crate) fn group(&self) -> Option<&Group> {
        self.group.get()
    }

    /// The state as applied here.
    pub(crate) fn state(&self) -> Arc<MetaState> {
        self.states.borrow().clone()
    }

    /// Follows the state.
    pub(crate) fn states(&self) -> watch::Receiver<Arc<MetaState>> {
        self.states.clone()
    }

    /// The node that leads meta, as far as known here.
    pub(crate) fn leader(&self) -> Option<NodeId> {
        self.group()?.status().leader.map(|member| member.node)
    }

    /// Whether this node leads meta and has applied what came before.
    pub(crate) fn leads(&self) -> bool {
        self.group().is_some_and(|group| {
            let status = group.status();
            status.role == Role::Leader && status.term_applied
        })
    }

    /// Waits for the commands under way here; none is proposed while the guard is held.
    pub(crate) async fn quiet(&self) -> OwnedRwLockWriteGuard<()> {
        self.turn.clone().write_owned().await
    }

    /// Proposes a command here. Behind a hand-over that succeeds it ends as not proposed.
    pub(crate) async fn propose_here(&self, command: Bytes) -> Result<MetaReply, MetaError> {
        let group = self.group().ok_or(MetaError::NotLeader(None))?;
        let proposal = async {
            let _turn = self.turn.read().await;
            group.propose(None, command).await
        };
        match timeout(COMMIT_TIMEOUT, proposal).await {
            Ok(Ok((_, Reply::Bytes(reply)))) => {
                MetaReply::decode(&reply).map_err(|error| MetaError::Unknown(error.to_string()))
            }
            Ok(Ok(_)) => Err(MetaError::Unknown("the reply is not one of meta's".to_owned())),
            Ok(Err(ProposeError::NotLeader)) => Err(MetaError::NotLeader(self.other_leader())),
            Ok(Err(ProposeError::Unknown(why))) => Err(MetaError::Unknown(why)),
            Err(_) => Err(MetaError::Unknown(format!("not committed within {COMMIT_TIMEOUT:?}"))),
        }
    }

    /// The state with everything that was committed before the call; this node must lead.
    pub(crate) async fn fresh_here(&self) -> Result<Arc<MetaState>, MetaError> {
        let group = self.group().ok_or(MetaError::NotLeader(None))?;
        match timeout(COMMIT_TIMEOUT, group.read_index()).await {
            Ok(Ok(())) => Ok(self.state()),
            Ok(Err(error)) if self.leads() => Err(MetaError::Unknown(error.to_string())),
            Ok(Err(_)) => Err(MetaError::NotLeader(self.other_leader())),
            Err(_) => Err(MetaError::Unknown(format!("no quorum within {COMMIT_TIMEOUT:?}"))),
        }
    }

    /// Proposes a command here or at the leader, and again until there is a reply. Commands may be proposed
    /// twice.
    ///
    /// # Errors
    /// What the last attempt before the deadline met.
    pub(crate) async fn propose(
        &self,
        consensus: &Consensus,
        command: &MetaCommand,
        deadline: Instant,
    ) -> Result<MetaReply, MetaError> {
        let command = command.encode();
        let here = || self.propose_here(command.clone());
        let request = Request::Propose(command.clone());
        let understand = |answer| match answer {
            Answer::Reply(reply) => MetaReply::decode(&reply).ok(),
            _ => None,
        };
        self.at_leader(consensus, here, request, understand, deadline).await
    }

    /// The state with everything that was committed before the call, from here or from the leader.
    ///
    /// # Errors
    /// What the last attempt before the deadline met.
    pub(crate) async fn fresh(
        &self,
        consensus: &Consensus,
        deadline: Instant,
    ) -> Result<Arc<MetaState>, MetaError> {
        let understand = |answer| match answer {
            Answer::State(state) => MetaState::decode(&state).ok().map(Arc::new),
            _ => None,
        };
        self.at_leader(consensus, || self.fresh_here(), Request::FreshState, understand, deadline).await
    }

    /// Does something at the leader, wherever that is.
    ///
    /// # Errors
    /// What the last attempt before the deadline met.
    pub(crate) async fn at_leader<T, Here: Future<Output = Result<T, MetaError>>>(
        &self,
        consensus: &Consensus,
        here: impl Fn() -> Here,
        request: Request,
        understand: impl Fn(Answer) -> Option<T>,
        deadline: Instant,
    ) -> Result<T, MetaError> {
        let request = request.encode();
        let mut backoff = Backoff::quick();
        let mut search = Search { told: None, asked: self.me, by_status: true };
        loop {
            let attempt = match search.next(self) {
                None => here().await,
                Some(node) => {
                    let answer = consensus.ask(node, request.clone(), ASK_TIMEOUT).await;
                    match answer.map(|bytes| Answer::decode(&bytes)) {
                        Ok(Ok(Answer::NotLeader { leader, .. })) => Err(MetaError::NotLeader(leader)),
                        Ok(Ok(Answer::Later(why))) => Err(MetaError::Unknown(why)),
                        Ok(Ok(answer)) => understand(answer)
                            .ok_or_else(|| MetaError::Unknown(format!("{node} answered something else"))),
                        Ok(Err(unreadable)) => Err(MetaError::Unknown(unreadable.to_string())),
                        Err(error) => Err(MetaError::Unknown(error.to_string())),
                    }
                }
            };
            let error = match attempt {
                Ok(done) => return Ok(done),
                Err(error) => error,
            };
            if let MetaError::NotLeader(Some(node)) = error
                && node != self.me
            {
                search.told = Some(node);
            }
            let pause = backoff.next();
            if Instant::now() + pause >= deadline {
                return Err(error);
            }
            tokio::time::sleep(pause).await;
        }
    }

    /// The next node in the circle, without this one.
    fn node_after(&self, last: NodeId) -> Option<NodeId> {
        let state = self.state();
        let peers = if state.nodes.is_empty() { self.peers.as_slice() } else { &[] };
        let mut others = state.nodes.keys().chain(peers).copied().filter(|node| *node != self.me);
        others.clone().find(|node| *node > last).or_else(|| others.next())
    }

    /// The leader, if the group knows it and not this node.
    fn other_leader(&self) -> Option<NodeId> {
        self.leader().filter(|node| *node != self.me)
    }
}

/// Looks for meta's leader.
///
/// What this node's replica says may be long past: a node that came back under another address hears of no
/// leader until it has told somebody. So every other time any node is asked that may know better.
struct Search {
    /// The last answer named this node.
    told: Option<NodeId>,
    /// The last node asked.
    asked: NodeId,
    by_status: bool,
}

impl Search {
    /// Whom to ask now; `None`: this node itself.
    fn next(&mut self, meta: &Meta) -> Option<NodeId> {
        let target = self.told.take().or_else(|| {
            let by_status = self.by_status;
            self.by_status = !by_status;
            if by_status { meta.other_leader() } else { meta.node_after(self.asked) }
        });
        self.asked = target.unwrap_or(self.asked);
        target
    }
}
