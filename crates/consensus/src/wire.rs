//! openraft's requests and answers as messages of the peer protocol, and back.

use std::io;

use openraft::raft::{
    AppendEntriesRequest, StreamAppendError, StreamAppendResult, TransferLeaderRequest, VoteRequest,
    VoteResponse,
};
use roomkeeper_types::ShardId;

use crate::GroupId;
use crate::format;
use crate::raft_types::{LogId, SnapshotMeta, StoredMembership, Types, Vote, log_id};

/// The generated messages and service of `proto/roomkeeper/peer/v1`.
#[allow(missing_docs, unreachable_pub, clippy::all, reason = "generated")]
pub(crate) mod pb {
    tonic::include_proto!("roomkeeper.peer.v1");
}

pub(crate) use pb::envelope::Body;

fn missing(field: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("a peer's message lacks '{field}'"))
}

pub(crate) fn group_number(group: GroupId) -> u32 {
    match group {
        GroupId::Meta => 0,
        GroupId::Shard(shard) => shard.0 + 1,
    }
}

pub(crate) fn group_id(number: u32) -> GroupId {
    match number {
        0 => GroupId::Meta,
        n => GroupId::Shard(ShardId(n - 1)),
    }
}

pub(crate) fn vote_out(vote: &Vote) -> pb::VoteId {
    pb::VoteId { term: vote.leader_id.term, replica: vote.leader_id.voted_for, committed: vote.committed }
}

pub(crate) fn vote_in(vote: Option<pb::VoteId>) -> io::Result<Vote> {
    let vote = vote.ok_or_else(|| missing("vote"))?;
    Ok(if vote.committed {
        Vote::new_committed(vote.term, vote.replica)
    } else {
        Vote::new(vote.term, vote.replica)
    })
}

fn id_out(id: &LogId) -> pb::LogId {
    pb::LogId { term: id.leader_id.term, index: id.index }
}

fn id_in(id: pb::LogId) -> LogId {
    log_id(id.term, id.index)
}

pub(crate) fn append_out(request: &AppendEntriesRequest<Types>, stream: u64) -> io::Result<pb::Append> {
    let entry = |entry: &crate::raft_types::Entry| {
        let (kind, payload) = format::entry_parts(entry)?;
        let (term, index) = (entry.log_id.leader_id.term, entry.log_id.index);
        io::Result::Ok(pb::Entry { term, index, kind: kind.into(), payload })
    };
    Ok(pb::Append {
        stream,
        vote: Some(vote_out(&request.vote)),
        prev: request.prev_log_id.as_ref().map(id_out),
        commit: request.leader_commit.as_ref().map(id_out),
        entries: request.entries.iter().map(entry).collect::<io::Result<_>>()?,
    })
}

pub(crate) fn append_in(append: pb::Append) -> io::Result<AppendEntriesRequest<Types>> {
    let entry = |entry: pb::Entry| {
        let kind = u8::try_from(entry.kind).map_err(|_| missing("kind"))?;
        format::entry_from_parts(entry.term, entry.index, kind, entry.payload)
    };
    Ok(AppendEntriesRequest {
        vote: vote_in(append.vote)?,
        prev_log_id: append.prev.map(id_in),
        leader_commit: append.commit.map(id_in),
        entries: append.entries.into_iter().map(entry).collect::<io::Result<_>>()?,
    })
}

pub(crate) fn appended_out(result: StreamAppendResult<Types>) -> pb::Appended {
    use pb::appended::Result as R;
    let result = match result {
        Ok(matching) => R::Matching(pb::Matching { log_id: matching.as_ref().map(id_out) }),
        Err(StreamAppendError::Conflict(id)) => R::Conflict(id_out(&id)),
        Err(StreamAppendError::HigherVote(vote)) => R::HigherVote(vote_out(&vote)),
    };
    pb::Appended { result: Some(result) }
}

pub(crate) fn appended_in(appended: pb::Appended) -> io::Result<StreamAppendResult<Types>> {
    use pb::appended::Result as R;
    Ok(match appended.result.ok_or_else(|| missing("result"))? {
        R::Matching(matching) => Ok(matching.log_id.map(id_in)),
        R::Conflict(id) => Err(StreamAppendError::Conflict(id_in(id))),
        R::HigherVote(vote) => Err(StreamAppendError::HigherVote(vote_in(Some(vote))?)),
    })
}

pub(crate) fn request_vote_out(request: &VoteRequest<Types>, pre_vote: bool) -> pb::Vote {
    pb::Vote {
        vote: Some(vote_out(&request.vote)),
        last: request.last_log_id.as_ref().map(id_out),
        leadership_transfer: request.leadership_transfer,
        pre_vote,
    }
}

pub(crate) fn request_vote_in(vote: pb::Vote) -> io::Result<VoteRequest<Types>> {
    let mut request = VoteRequest::new(vote_in(vote.vote)?, vote.last.map(id_in));
    request.leadership_transfer = vote.leadership_transfer;
    Ok(request)
}

pub(crate) fn voted_out(response: &VoteResponse<Types>) -> pb::Voted {
    pb::Voted {
        vote: Some(vote_out(&response.vote)),
        granted: response.vote_granted,
        last: response.last_log_id.as_ref().map(id_out),
    }
}

pub(crate) fn voted_in(voted: pb::Voted) -> io::Result<VoteResponse<Types>> {
    Ok(VoteResponse::new(vote_in(voted.vote)?, voted.last.map(id_in), voted.granted))
}

pub(crate) fn transfer_out(request: &TransferLeaderRequest<Types>) -> pb::Transfer {
    pb::Transfer {
        from_leader: Some(vote_out(request.from_leader())),
        to_replica: *request.to_node_id(),
        last: request.last_log_id().map(id_out),
    }
}

pub(crate) fn transfer_in(transfer: pb::Transfer) -> io::Result<TransferLeaderRequest<Types>> {
    let last = transfer.last.map(id_in);
    Ok(TransferLeaderRequest::new(vote_in(transfer.from_leader)?, transfer.to_replica, last))
}

/// Fills a snapshot's first piece.
pub(crate) fn snapshot_head(piece: &mut pb::Snapshot, vote: &Vote, meta: &SnapshotMeta) -> io::Result<()> {
    piece.vote = Some(vote_out(vote));
    piece.last = meta.last_log_id.as_ref().map(id_out);
    piece.membership_log_id = meta.last_membership.log_id().as_ref().map(id_out);
    piece.membership = format::encode_membership(meta.last_membership.membership())?;
    Ok(())
}

/// Reads a snapshot's first piece.
pub(crate) fn snapshot_head_in(piece: &pb::Snapshot) -> io::Result<(Vote, SnapshotMeta)> {
    let membership = format::decode_membership(piece.membership.clone())?;
    let last_membership = StoredMembership::new(piece.membership_log_id.map(id_in), membership);
    let meta = SnapshotMeta { last_log_id: piece.last.map(id_in), last_membership };
    Ok((vote_in(piece.vote)?, meta))
}
