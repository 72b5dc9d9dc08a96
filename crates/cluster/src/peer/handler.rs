//! Answers other nodes.

use std::sync::{Arc, OnceLock, Weak};

use bytes::Bytes;
use futures::future::BoxFuture;
use roomkeeper_consensus::{GroupId, PeerHandler};
use roomkeeper_types::NodeId;

use super::{Answer, Fact, JoinRequest, Request};
use crate::events::{Event, EventKind};
use crate::load::Report;
use crate::meta::client::MetaError;
use crate::meta::{MetaCommand, MetaReply, MetaState};
use crate::node::Shared;

/// What consensus asks of the node above it. Made before the node, which it does not keep alive.
#[derive(Default)]
pub(crate) struct Handler {
    node: OnceLock<Weak<Shared>>,
}

impl Handler {
    /// Once, when the node was made.
    pub(crate) fn attach(&self, node: &Arc<Shared>) {
        if self.node.set(Arc::downgrade(node)).is_err() {
            tracing::error!("the peer handler was attached twice");
        }
    }

    fn node(&self) -> Option<Arc<Shared>> {
        self.node.get()?.upgrade()
    }
}

impl PeerHandler for Handler {
    fn handle(&self, from: Option<NodeId>, body: Bytes) -> BoxFuture<'static, Result<Bytes, String>> {
        let node = self.node();
        Box::pin(async move {
            let Some(node) = node else {
                return Ok(Answer::Later("the node is starting or stopping".to_owned()).encode());
            };
            let request = Request::decode(&body).map_err(|error| format!("unreadable message: {error}"))?;
            match from {
                Some(from) => node.answer_member(from, request).await,
                None => node.answer_anybody(request).await,
            }
            .map(|answer| answer.encode())
        })
    }

    fn address(&self, node: NodeId) -> Option<String> {
        self.node()?.address(node)
    }

    fn has_room(&self) -> bool {
        self.node().is_none_or(|node| !node.space.is_starved())
    }

    fn is_born(&self, group: GroupId) -> bool {
        // Unknown is "born": a node that knows nothing must not vote with an empty log.
        let Some(node) = self.node() else { return true };
        match group {
            GroupId::Meta => node.identity.founding.is_none(),
            GroupId::Shard(shard) => node.meta.state().shard(shard).is_none_or(|record| record.born),
        }
    }
}

impl Shared {
    async fn answer_anybody(&self, request: Request) -> Result<Answer, String> {
        match request {
            Request::WhoAreYou => Ok(Answer::Me { cluster: self.identity.cluster, node: self.identity.node }),
            Request::Join(join) => self.let_in(join).await,
            Request::AmIIn(node) if self.meta.state().was_removed(node) => Ok(Answer::Removed),
            Request::AmIIn(_) => Ok(Answer::Done),
            _ => Err("only members may ask this".to_owned()),
        }
    }

    async fn answer_member(&self, from: NodeId, request: Request) -> Result<Answer, String> {
        if self.meta.state().was_removed(from) {
            return Ok(Answer::Removed);
        }
        match request {
            Request::WhoAreYou | Request::Join(_) | Request::AmIIn(_) => self.answer_anybody(request).await,
            Request::Operate(operation) => {
                let operated = self.operate_here(operation).await;
                Ok(operated.map_or_else(|error| self.no_reply(error), |refused| Answer::Operated { refused }))
            }
            Request::Announce(facts) => {
                self.learn(&facts);
                Ok(Answer::Facts(Vec::new()))
            }
            Request::Digest(facts) => {
                self.learn(&facts);
                Ok(Answer::Facts(self.table.better_than(&facts)))
            }
            Request::Propose(command) => {
                may_propose(from, &command, &self.meta.state())?;
                let reply = self.meta.propose_here(command).await;
                Ok(reply.map_or_else(|error| self.no_reply(error), |reply| Answer::Reply(reply.encode())))
            }
            Request::Accuse(accusation) => {
                self.failover.nudge(accusation.suspect);
                Ok(Answer::Testimonies(self.testify(&accusation).await))
            }
            Request::TakeOver { group, replica, epoch } => {
                Ok(self.take_over_for(from, (group, replica, epoch)).await)
            }
            Request::Standings(standings) => {
                self.quarantine.memory.remember(&standings);
                Ok(Answer::Done)
            }
            Request::Load(report) => {
                match Report::decode(&report) {
                    Ok(report) => self.loads.learn(from, report),
                    Err(error) => {
                        tracing::debug!(%from, %error, "what a node says of its load is unreadable")
                    }
                }
                Ok(Answer::Done)
            }
            Request::Locate(inquiry) => Ok(self.answer_inquiry(&inquiry).await),
            Request::Recall { meta, replicas } => Ok(Answer::Recalled(self.recall(meta, &replicas))),
            Request::FreshState => {
                let state = self.meta.fresh_here().await;
                Ok(state.map_or_else(|error| self.no_reply(error), |state| Answer::State(state.encode())))
            }
        }
    }

    async fn let_in(&self, join: JoinRequest) -> Result<Answer, String> {
        let JoinRequest { nonce, format, node } = join;
        let peer = node.peer.clone();
        match self.meta.propose_here(MetaCommand::Join { nonce, format, node }.encode()).await {
            Ok(MetaReply::Joined(joined)) => {
                let event = Event::new(EventKind::Membership, format!("joined the cluster at {peer}"));
                self.events.record(Event { to: Some(joined.node), ..event });
                let nodes = &self.meta.state().nodes;
                let peers = nodes.iter().map(|(node, record)| (*node, record.spec.peer.clone())).collect();
                Ok(Answer::Granted { joined, peers })
            }
            Ok(MetaReply::Refused(refusal)) => {
                tracing::warn!(peer, reason = %refusal, "node was not let in");
                Ok(Answer::Refused(refusal))
            }
            Ok(MetaReply::Done | MetaReply::Renewed(_)) => {
                Err("meta gave the reply of another command".to_owned())
            }
            Err(error) => Ok(self.no_reply(error)),
        }
    }

    fn no_reply(&self, error: MetaError) -> Answer {
        match error {
            MetaError::NotLeader(leader) => {
                Answer::NotLeader { leader, address: leader.and_then(|node| self.address(node)) }
            }
            MetaError::Unknown(why) => Answer::Later(why),
        }
    }

    /// Takes over what is news.
    pub(crate) fn learn(&self, facts: &[Fact]) {
        for fact in facts {
            self.table.learn(*fact);
        }
    }
}

/// Members propose only what follows from their own part; the rest is the meta leader's to decide.
fn may_propose(from: NodeId, command: &[u8], state: &MetaState) -> Result<(), String> {
    match MetaCommand::decode(command) {
        Ok(MetaCommand::UpdateNode { node, .. }) if node == from => Ok(()),
        Ok(MetaCommand::Born { .. } | MetaCommand::Finish { .. }) => Ok(()),
        Ok(MetaCommand::Renew { replica }) if state.node_of(replica).is_none_or(|node| node == from) => {
            Ok(())
        }
        Ok(_) => Err(format!("{from} may not propose this")),
        Err(error) => Err(format!("unreadable command: {error}")),
    }
}

#[cfg(test)]
mod tests {
    use roomkeeper_types::{ClusterId, ReplicaId, ShardCount, ShardId};

    use super::*;
    use crate::meta::NodeSpec;

    #[test]
    fn forwarded_command_of_another_node_is_refused() {
        let spec = NodeSpec {
            peer: "a:1".into(),
            client_url: "http://a:2".into(),
            admin: None,
            zone: None,
            weight: 1,
        };
        let update = MetaCommand::UpdateNode { node: NodeId(2), spec: spec.clone() }.encode();
        let mut state = MetaState::default();
        let may = |from, command: &[u8], state: &MetaState| may_propose(NodeId(from), command, state).is_ok();
        assert!(may(2, &update, &state));
        assert!(!may(3, &update, &state));
        assert!(may(3, &MetaCommand::Born { shards: vec![ShardId(0)] }.encode(), &state));
        assert!(!may(2, &MetaCommand::Place { table: vec![] }.encode(), &state));
        assert!(!may(2, b"nonsense", &state));

        let founded = MetaCommand::Bootstrap {
            cluster: ClusterId([1; 16]),
            format: 1,
            shards: ShardCount::DEFAULT,
            replicas: 3,
            initial_nodes: 1,
            founder: spec,
        };
        state.apply(founded);
        let renew = MetaCommand::Renew { replica: ReplicaId(1) }.encode();
        assert!(may(1, &renew, &state));
        assert!(!may(2, &renew, &state), "it is another node's");
    }
}
