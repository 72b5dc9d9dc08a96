//! One round of questions: what do the other voters say of the suspect's groups?

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures::StreamExt;
use futures::future::join_all;
use futures::stream::FuturesUnordered;
use roomkeeper_consensus::{Group, GroupId, Role, Status};
use roomkeeper_types::{Epoch, NodeId};
use serde::{Deserialize, Serialize};
use tokio::time::timeout;

use super::Testimony;
use crate::node::Shared;
use crate::peer::{Answer, Request};

/// Answers that come later than this are not waited for.
const ROUND_MAX: Duration = Duration::from_millis(150);
/// A replica that does not say in this time where its log ends has nothing to say: its disk may hang.
const LOOK_MAX: Duration = Duration::from_millis(50);

/// "I suspect this node, which led these groups; what do you say?"
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Accusation {
    pub(crate) suspect: NodeId,
    pub(crate) groups: Vec<GroupId>,
}

/// A group that the suspect led, as this node's replica knows it.
pub(super) struct Led {
    pub(super) group: Group,
    pub(super) epoch: Epoch,
    pub(super) status: Status,
}

impl Shared {
    /// Groups that the node leads as far as this node's replicas know, and in which they vote.
    pub(super) fn led_by(&self, suspect: NodeId) -> Vec<Led> {
        let groups = self.shards.all().into_iter().map(|local| local.group.clone());
        let groups = groups.chain(self.meta.group().cloned());
        let led = groups.filter_map(|group| {
            let status = group.status();
            let led = status.leader.is_some_and(|leader| leader.node == suspect);
            let votes = status.voters.iter().any(|voter| voter.replica == group.replica());
            (led && votes && status.role != Role::Leader).then(|| Led { epoch: status.epoch, group, status })
        });
        led.collect()
    }

    /// What this node's replicas say.
    pub(crate) async fn testify(&self, accusation: &Accusation) -> Vec<(GroupId, Testimony)> {
        let opinion = self.pings.opinion(accusation.suspect);
        let fit = !self.pings.is_unfit_here() && !self.pings.is_leaving_here();
        let groups = accusation.groups.iter().filter_map(|id| self.group(*id));
        let said = groups.map(|group| async move {
            let last = timeout(LOOK_MAX, group.last_position()).await.ok()?.ok()?;
            let status = group.status();
            let testimony = Testimony { replica: group.replica(), opinion, epoch: status.epoch, last, fit };
            Some((group.id(), testimony))
        });
        join_all(said).await.into_iter().flatten().collect()
    }

    pub(crate) fn group(&self, id: GroupId) -> Option<Group> {
        match id {
            GroupId::Meta => self.meta.group().cloned(),
            GroupId::Shard(shard) => self.shards.get(shard).map(|local| local.group.clone()),
        }
    }

    /// Asks all other voters of these groups at once, and this node itself. Ends when all have answered, or time
    /// is up.
    pub(super) async fn hear_voters(
        &self,
        suspect: NodeId,
        led: &[Led],
    ) -> BTreeMap<GroupId, BTreeMap<NodeId, Testimony>> {
        let me = self.identity.node;
        let groups: Vec<GroupId> = led.iter().map(|led| led.group.id()).collect();
        let voters = led.iter().flat_map(|led| &led.status.voters).map(|voter| voter.node);
        let witnesses: BTreeSet<NodeId> = voters.filter(|node| *node != me && *node != suspect).collect();
        let accusation = Accusation { suspect, groups };
        let mut heard: BTreeMap<GroupId, BTreeMap<NodeId, Testimony>> = BTreeMap::new();
        let mut take = |node: NodeId, said: Vec<(GroupId, Testimony)>| {
            for (group, testimony) in said {
                heard.entry(group).or_default().insert(node, testimony);
            }
        };
        let request = Request::Accuse(accusation.clone()).encode();
        let mut answers: FuturesUnordered<_> = witnesses
            .into_iter()
            .map(|node| {
                let request = request.clone();
                async move { (node, self.consensus.ask(node, request, ROUND_MAX).await) }
            })
            .collect();
        take(me, self.testify(&accusation).await);
        while let Some((node, answer)) = answers.next().await {
            match answer.map(|bytes| Answer::decode(&bytes)) {
                Ok(Ok(Answer::Testimonies(said))) => take(node, said),
                Ok(Ok(other)) => tracing::debug!(%node, ?other, "an accusation was answered otherwise"),
                Ok(Err(error)) => tracing::warn!(%node, %error, "the answer to an accusation is unreadable"),
                Err(error) => tracing::debug!(%node, %error, "an accusation was not answered"),
            }
        }
        heard
    }
}
