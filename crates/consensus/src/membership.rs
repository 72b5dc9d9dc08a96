//! Changes of a group's members, one step at a time.

use std::collections::{BTreeMap, BTreeSet};

use openraft::ChangeMembers;
use openraft::raft::Precondition;
use roomkeeper_types::LogPosition;

use crate::raft_types::{Home, log_id};
use crate::{Group, GroupError, Member};

/// One step of a change of members. Each leaves a group that works, whoever leads it next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// These are filled and follow, without a vote.
    Learn(Vec<Member>),
    /// Exactly these vote, by way of a joint membership. All must be members already; former voters follow without
    /// a vote.
    Vote(Vec<Member>),
    /// These, which have no vote, are no members any more.
    Forget(Vec<Member>),
}

impl Group {
    /// Leader only: changes the members, if they are still those of the entry at `expected`
    /// ([`Status::members_at`](crate::Status::members_at)). Returns when the change is committed and applied here.
    ///
    /// # Errors
    /// Not the leader, other members, or no quorum. Unless the members were others the change may be under way: a
    /// change of voters may stop at the joint membership, which the same change completes.
    pub async fn change_members(
        &self,
        expected: Option<LogPosition>,
        change: &Change,
    ) -> Result<(), GroupError> {
        let ids =
            |members: &[Member]| members.iter().map(|member| member.replica.0).collect::<BTreeSet<u64>>();
        let change = match change {
            Change::Learn(members) => {
                let homes = members.iter().map(|member| (member.replica.0, Home(member.node)));
                ChangeMembers::AddNodes(homes.collect::<BTreeMap<_, _>>())
            }
            Change::Vote(members) => ChangeMembers::ReplaceAllVoters(ids(members)),
            Change::Forget(members) => ChangeMembers::RemoveNodes(ids(members)),
        };
        let last_membership_log_id = expected.map(|at| log_id(at.epoch.0, at.index.0));
        let only_if = Precondition::LastMembershipLogId { last_membership_log_id };
        // Former voters stay as learners until they are dropped by a step of their own.
        let retain = true;
        self.raft.change_membership_if(change, retain, [only_if]).await.map_err(GroupError::of)?;
        Ok(())
    }
}
