//! Plans that are replaced, owners that are cut off and replicas that are lost, at random: whatever happens, a
//! group has no member that meta does not name (its node may have deleted it), and in the end it is what was planned
//! last.

use std::collections::BTreeSet;
use std::time::Instant;

use proptest::prelude::*;
use roomkeeper_consensus::{Change, Member, Status};
use roomkeeper_types::{Epoch, LogIndex, LogPosition, NodeId, ReplicaId, ShardCount, ShardId};

use super::moves::wanted;
use super::steps::{Step, next_step};
use crate::meta::testing::cluster_of;
use crate::meta::{MetaCommand, MetaReply, MetaState, ShardRecord};
use crate::shard::testing::leader_status;

const SHARD: ShardId = ShardId(0);
const NODES: u32 = 6;

/// One thing that happens.
#[derive(Debug, Clone)]
enum Happening {
    /// Meta's leader wants the shard on these nodes.
    Plan(Vec<u32>),
    /// The owner does what is next, and reports the end. A change of voters may stop half way.
    Step { half: bool },
    /// Another voter is elected.
    Elect(usize),
    /// A replica is lost.
    Renew(usize),
}

fn happening() -> impl Strategy<Value = Happening> {
    let nodes = proptest::sample::subsequence((1..=NODES).collect::<Vec<_>>(), 1..=5).prop_shuffle();
    prop_oneof![
        2 => nodes.prop_map(Happening::Plan),
        12 => any::<bool>().prop_map(|half| Happening::Step { half }),
        2 => (0..5_usize).prop_map(Happening::Elect),
        1 => (0..5_usize).prop_map(Happening::Renew),
    ]
}

/// Meta, and the group as its leader sees it.
struct World {
    meta: MetaState,
    group: Status,
    lost: BTreeSet<ReplicaId>,
}

impl World {
    fn new() -> Self {
        let mut meta = cluster_of(NODES, ShardCount::new(1).unwrap());
        meta.apply(MetaCommand::Place { table: vec![[1, 2, 3].map(NodeId).to_vec()] });
        meta.apply(MetaCommand::Born { shards: vec![SHARD] });
        let mut group = leader_status(1, Instant::now());
        let at = LogPosition { epoch: Epoch(1), index: LogIndex(10) };
        (group.last, group.applied, group.members_at) = (Some(at.index), Some(at), Some(at));
        group.voters = meta.shards[0].replicas.clone();
        group.leader = Some(group.voters[0]);
        let mut world = Self { meta, group, lost: BTreeSet::new() };
        world.match_all();
        world
    }

    fn record(&self) -> &ShardRecord {
        &self.meta.shards[0]
    }

    fn members(&self) -> Vec<Member> {
        self.group.voters.iter().chain(&self.group.learners).copied().collect()
    }

    /// Everybody who is not lost has caught up.
    fn match_all(&mut self) {
        self.group.matched = self
            .members()
            .iter()
            .map(|member| (member.replica, self.group.last.filter(|_| !self.lost.contains(&member.replica))))
            .collect();
    }

    fn happen(&mut self, happening: Happening) {
        match happening {
            Happening::Plan(nodes) => {
                let nodes = nodes.into_iter().map(NodeId).collect();
                let version = self.record().version;
                let reply = self.meta.apply(MetaCommand::Plan { shard: SHARD, version, nodes });
                assert_eq!(reply, MetaReply::Done);
            }
            Happening::Elect(number) => {
                let fit: Vec<Member> =
                    self.group.voters.iter().filter(|v| !self.lost.contains(&v.replica)).copied().collect();
                if let Some(leader) = fit.get(number % fit.len().max(1)) {
                    self.group.leader = Some(*leader);
                }
            }
            Happening::Renew(number) => {
                let wanted = self.record().wanted();
                let replica = wanted[number % wanted.len()].replica;
                // A leader is well, and a majority stays.
                let lost = self.group.voters.iter().filter(|v| self.lost.contains(&v.replica)).count();
                let leads = self.group.leader.is_some_and(|leader| leader.replica == replica);
                if !leads && (lost + 1) * 2 < self.group.voters.len() {
                    self.lost.insert(replica);
                    self.meta.apply(MetaCommand::Renew { replica });
                }
            }
            Happening::Step { half } => drop(self.step(half)),
        }
        self.match_all();
        for member in self.members() {
            let named = self.record().has(member.replica);
            assert!(named, "{member:?} is in the group and not in {:?}", self.record());
        }
    }

    /// Whether there was something to do.
    fn step(&mut self, half: bool) -> bool {
        match next_step(&wanted(self.record()), &self.group, |_| true) {
            Step::Nothing => {
                let (version, planned) = (self.record().version, self.record().plan.is_some());
                self.meta.apply(MetaCommand::Finish { shard: SHARD, version });
                planned
            }
            Step::Change(Change::Learn(new)) => {
                self.group.learners.extend(new);
                true
            }
            Step::Change(Change::Vote(voters)) => {
                let all = self.members();
                self.group.joint = half && !self.group.joint;
                let stay = |member: &Member| self.group.joint && self.group.voters.contains(member);
                let (voting, learning) =
                    all.iter().partition(|member| voters.contains(member) || stay(member));
                (self.group.voters, self.group.learners) = (voting, learning);
                true
            }
            Step::Change(Change::Forget(gone)) => {
                self.group.learners.retain(|member| !gone.contains(member));
                true
            }
            Step::HandOver(heirs) => {
                self.group.leader = Some(heirs[0]);
                true
            }
            Step::Settle | Step::CatchUp(_) => false,
        }
    }
}

proptest! {
    #[test]
    fn moves_in_any_order_keep_groups_within_what_meta_names(
        happenings in proptest::collection::vec(happening(), 1..60),
    ) {
        let mut world = World::new();
        for happening in happenings {
            world.happen(happening);
        }
        for _ in 0..20 {
            world.step(false);
            world.match_all();
        }
        let record = world.record();
        prop_assert_eq!(&record.plan, &None);
        let named: BTreeSet<Member> = record.replicas.iter().copied().collect();
        prop_assert_eq!(world.members().into_iter().collect::<BTreeSet<_>>(), named);
        prop_assert_eq!(world.group.voters.len() % 2, 1);
        prop_assert!(record.replicas.iter().all(|member| !world.lost.contains(&member.replica)));
    }
}
