//! What becomes of a shard's replicas: plans of moves, and new replicas for lost ones.
//!
//! A replica that a group may have stays in its shard's record until the shard's owner reported that the group has
//! exactly the replicas of the plan. A plan can be replaced at any time, but never just be forgotten: its replicas may
//! be voters already. Whatever is in no record any more is in no group either, and its node may delete it.

use std::collections::BTreeSet;

use roomkeeper_consensus::Member;
use roomkeeper_types::{NodeId, ReplicaId, ShardId};

use super::shard::voters;
use super::{MetaReply, MetaState, Plan, PlanVersion, Refusal, ShardRecord};

impl MetaState {
    pub(super) fn plan(
        &mut self,
        shard: ShardId,
        version: PlanVersion,
        nodes: &[NodeId],
    ) -> Result<MetaReply, Refusal> {
        let record = self.born_shard(shard)?;
        check_version(shard, record, version)?;
        self.check_row(shard, nodes)?;
        let present: Vec<Option<Member>> = nodes
            .iter()
            .map(|node| record.on(*node).filter(|member| !record.lost.contains(&member.replica)))
            .collect();
        let target: Vec<Member> = nodes
            .iter()
            .zip(present)
            .map(|(node, present)| {
                present.unwrap_or_else(|| Member { replica: self.next_replica(), node: *node })
            })
            .collect();
        self.set_plan(shard, target);
        Ok(MetaReply::Done)
    }

    pub(super) fn finish(&mut self, shard: ShardId, version: PlanVersion) -> Result<MetaReply, Refusal> {
        check_version(shard, self.born_shard(shard)?, version)?;
        let record = &mut self.shards[shard.0 as usize];
        // Without a plan it is the second report.
        if let Some(plan) = record.plan.take() {
            record.preferred = plan.target[0].node;
            record.replicas = plan.target;
            record.lost.clear();
        }
        Ok(MetaReply::Done)
    }

    pub(super) fn renew(&mut self, replica: ReplicaId) -> Result<MetaReply, Refusal> {
        let of_shard = self.shards().find(|(_, record)| record.has(replica)).map(|(shard, _)| shard);
        if let Some(shard) = of_shard {
            self.born_shard(shard)?;
            return Ok(MetaReply::Renewed(self.renew_in(shard, replica)));
        }
        let of_node = self.nodes.values().find(|record| record.has_meta(replica));
        match of_node.map(|record| record.meta_replica) {
            Some(present) if present == replica => {
                let renewed = self.next_replica();
                for record in self.nodes.values_mut().filter(|record| record.meta_replica == replica) {
                    record.former_meta = Some(replica);
                    record.meta_replica = renewed;
                }
                Ok(MetaReply::Renewed(Some(renewed)))
            }
            Some(renewed) => Ok(MetaReply::Renewed(Some(renewed))),
            // It has left its group meanwhile.
            None if replica < self.next_replica => Ok(MetaReply::Renewed(None)),
            None => Err(Refusal::UnknownReplica(replica)),
        }
    }

    /// The replica that is wanted on the node of a lost one, if any is.
    fn renew_in(&mut self, shard: ShardId, lost: ReplicaId) -> Option<ReplicaId> {
        self.shards.get_mut(shard.0 as usize)?.lost.insert(lost);
        let record = self.shard(shard)?;
        let node = record.replicas.iter().find(|member| member.replica == lost)?.node;
        let wanted = record.wanted().iter().find(|member| member.node == node)?.replica;
        if wanted != lost {
            return Some(wanted);
        }
        let mut target = record.wanted().to_vec();
        let renewed = self.next_replica();
        for member in target.iter_mut().filter(|member| member.replica == lost) {
            member.replica = renewed;
        }
        self.set_plan(shard, target);
        Some(renewed)
    }

    /// The group is to have these replicas. Where it has them already, with the same votes, nothing has to be done.
    fn set_plan(&mut self, shard: ShardId, target: Vec<Member>) {
        let record = &mut self.shards[shard.0 as usize];
        record.version = PlanVersion(record.version.0 + 1);
        let set = |members: &[Member]| members.iter().copied().collect::<BTreeSet<_>>();
        let same = record.plan.is_none()
            && set(&record.replicas) == set(&target)
            && set(voters(&record.replicas)) == set(voters(&target));
        if same {
            record.preferred = target[0].node;
            record.replicas = target;
            return;
        }
        let from = record.plan.take().map_or_else(|| record.replicas.clone(), |former| former.from);
        let added = target.iter().filter(|member| !record.has(member.replica)).copied().collect::<Vec<_>>();
        record.replicas.extend(added);
        record.plan = Some(Plan { from, target });
    }

    fn born_shard(&self, shard: ShardId) -> Result<&ShardRecord, Refusal> {
        let record = self.shard(shard).ok_or(Refusal::NotPlaced(shard))?;
        if record.born { Ok(record) } else { Err(Refusal::Unborn(shard)) }
    }
}

fn check_version(shard: ShardId, record: &ShardRecord, version: PlanVersion) -> Result<(), Refusal> {
    if record.version == version { Ok(()) } else { Err(Refusal::OtherPlan { shard, now: record.version }) }
}
